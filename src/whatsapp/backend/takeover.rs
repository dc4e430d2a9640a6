//! Takes over the credentials that an earlier version of this daemon kept in the library's own SQLite file.
//!
//! Everything is taken, so that the device goes on as if nothing had happened. The device itself comes last and
//! commits the takeover: a space without one holds nothing that counts, and a takeover that a crash ended is made
//! again from its beginning. The library's own store reads the old file, and may bring its tables up
//! to date; whoever calls this destroys it afterwards.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
use whatsapp_rust::store::{
    AppSyncStore, DeviceInfo, DeviceListRecord, DeviceStore, LidPnMappingEntry, SqliteStore,
    TcTokenEntry,
};
use whatsapp_rust::wacore::store::error::StoreError;

use super::app_state::{self, Mac, mac_box};
use super::boxes::{Boxes, spread};
use super::device_lists::DeviceList;
use super::mappings::Mappings;
use super::prekeys::{self, Prekey};
use super::secrets::{self, Secret};
use super::sent::{self, Dated};
use super::tokens::Token;
use super::{device, kinds, pending, protocol, put_packed, put_raw, signal};
use crate::store::{Batch, Change, Durability, Space, SpaceError};

/// How many rows are read at a time.
const PAGE: usize = 256;

/// How many changes are committed together.
const CHANGES: usize = 512;

/// What a takeover found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::whatsapp) enum Taken {
    /// A device, which is in the space now, durably.
    Now,
    /// A device was in the space already that counts: it is paired, or the file's is not. It may have gone on
    /// since, so nothing was changed.
    Before,
    /// The file has no device. The space is as it was.
    Nothing,
}

/// Why nothing was taken over. The old file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(in crate::whatsapp) enum TakeoverError {
    /// The old file holds something that cannot be right.
    #[error("{0}")]
    Damaged(&'static str),
    /// The old file cannot be read.
    #[error("the former credentials cannot be read: {0}")]
    Source(#[source] StoreError),
    /// The space cannot be read or written.
    #[error("the former credentials cannot be taken over: {0}")]
    Space(#[from] SpaceError),
}

/// Whether a device is paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::whatsapp) struct IsPaired(pub(in crate::whatsapp) bool);

type Result<T> = std::result::Result<T, TakeoverError>;

impl From<StoreError> for TakeoverError {
    fn from(error: StoreError) -> Self {
        Self::Source(error)
    }
}

/// Takes over everything of an old file into a space, unless there is a device in the space that counts:
/// `present` is whether there is one, and whether it is paired.
///
/// # Errors
/// [`TakeoverError`]. The space then has the device that it had, or none, and what is in it does not count.
pub(in crate::whatsapp) async fn take_over(
    from: &SqliteStore,
    into: &dyn Space,
    present: Option<IsPaired>,
) -> Result<Taken> {
    let reader = Reader { from };
    let Some(device) = from.load().await? else {
        return Ok(Taken::Nothing);
    };
    // A former version that was started again for a while may have paired its own device, beside one that never
    // was.
    if present.is_some_and(|IsPaired(is_paired)| is_paired || device.pn.is_none()) {
        return Ok(Taken::Before);
    }
    let names = reader.names_of_the_account().await?;
    for (name, is_there) in [
        (names.0, device.pn.is_some()),
        (names.1, device.lid.is_some()),
    ] {
        if !name.is_empty() && !is_there {
            // The library would go on as if the device had never been paired.
            return Err(TakeoverError::Damaged(
                "the account's name in it cannot be read",
            ));
        }
    }
    let mut writer = Writer {
        into,
        changes: kinds::ALL.into_iter().map(Change::DeleteKind).collect(),
    };
    take_signal(&reader, &mut writer).await?;
    take_app_state(&reader, &mut writer).await?;
    take_contacts(&reader, &mut writer).await?;
    take_messages(&reader, &mut writer).await?;
    writer.put(device::put(&device)?).await?;
    writer.flush(Durability::Synced).await?;
    Ok(Taken::Now)
}

async fn take_signal(reader: &Reader<'_>, writer: &mut Writer<'_>) -> Result<()> {
    let identities = Table::new("identities").a("address").bytes("key");
    let each = |row: Row| Ok(put_raw(signal::place(kinds::IDENTITY, &row.a), &row.bytes));
    reader.copy(identities, writer, each).await?;
    let sessions = Table::new("sessions").a("address").bytes("record");
    let each = |row: Row| Ok(put_raw(signal::place(kinds::SESSION, &row.a), &row.bytes));
    reader.copy(sessions, writer, each).await?;
    let sender_keys = Table::new("sender_keys").a("address").bytes("record");
    let each = |row: Row| Ok(put_raw(signal::sender_key(&row.a), &row.bytes));
    reader.copy(sender_keys, writer, each).await?;
    let signed = Table::new("signed_prekeys").x("id").bytes("record");
    let each = |row: Row| Ok(put_raw(signal::signed_prekey(number(row.x)), &row.bytes));
    reader.copy(signed, writer, each).await?;
    let base_keys = Table::new("base_keys")
        .a("address")
        .b("message_id")
        .bytes("base_key");
    let each = |row: Row| Ok(put_raw(protocol::base_key(&row.a, &row.b), &row.bytes));
    reader.copy(base_keys, writer, each).await?;

    let mut boxes = Boxes::new(kinds::PREKEYS, b"");
    let prekeys = Table::new("prekeys").x("id").y("uploaded").bytes("key");
    let each = |row: Row| {
        let id = number(row.x);
        boxes.insert(
            prekeys::in_box(id),
            id,
            Prekey::new(id, &row.bytes, row.y != 0),
        );
        Ok(())
    };
    reader.each(prekeys, each).await?;
    writer.put_all(boxes.changes()?).await?;

    let mut boxes = Boxes::new(kinds::SENDER_KEY_DEVICES, b"");
    let devices = Table::new("sender_key_devices")
        .a("group_jid")
        .b("device_jid")
        .x("has_key");
    let each = |row: Row| {
        boxes.insert(row.a.into_bytes(), row.b, row.x != 0);
        Ok(())
    };
    reader.each(devices, each).await?;
    writer.put_all(boxes.changes()?).await
}

async fn take_app_state(reader: &Reader<'_>, writer: &mut Writer<'_>) -> Result<()> {
    let mut ids = Vec::new();
    let keys = Table::new("app_state_keys").bytes("key_id");
    let each = |row: Row| {
        ids.push(row.bytes);
        Ok(())
    };
    reader.each(keys, each).await?;
    for id in ids {
        // A key that cannot be decoded is none to the library either: it asks the phone for it.
        if let Some(key) = reader.from.get_sync_key(&id).await? {
            writer.put(app_state::put_key(&id, key)?).await?;
        }
    }
    let mut names = Vec::new();
    let versions = Table::new("app_state_versions").a("name");
    let each = |row: Row| {
        names.push(row.a);
        Ok(())
    };
    reader.each(versions, each).await?;
    for name in names {
        let state = reader.from.get_version(&name).await?;
        writer.put(app_state::put_version(&name, state)?).await?;
    }
    let mut collections: BTreeMap<String, Boxes<Vec<u8>, Mac>> = BTreeMap::new();
    let macs = Table::new("app_state_mutation_macs")
        .a("name")
        .bytes("index_mac")
        .more("value_mac")
        .x("version");
    let each = |row: Row| {
        let group = row.a.clone();
        let boxes = collections
            .entry(row.a)
            .or_insert_with(|| Boxes::new(kinds::SYNC_MACS, group.as_bytes()));
        let mac = Mac {
            version: u64::from_ne_bytes(row.x.to_ne_bytes()),
            value: row.more,
        };
        boxes.insert(mac_box(&row.bytes), row.bytes, mac);
        Ok(())
    };
    reader.each(macs, each).await?;
    for boxes in collections.into_values() {
        writer.put_all(boxes.changes()?).await?;
    }
    Ok(())
}

async fn take_contacts(reader: &Reader<'_>, writer: &mut Writer<'_>) -> Result<()> {
    let mut mappings = Mappings::new();
    let table = Table::new("lid_pn_mapping")
        .a("lid")
        .b("phone_number")
        .c("learning_source")
        .x("created_at")
        .y("updated_at");
    let each = |row: Row| {
        mappings.put(&LidPnMappingEntry {
            lid: row.a,
            phone_number: row.b,
            created_at: row.x,
            updated_at: row.y,
            learning_source: row.c,
        });
        Ok(())
    };
    reader.each(table, each).await?;
    writer.put_all(mappings.by_lid.changes()?).await?;
    writer.put_all(mappings.by_phone.changes()?).await?;

    let mut boxes = Boxes::new(kinds::DEVICE_LISTS, b"");
    let lists = Table::new("device_registry")
        .a("user_id")
        .b("devices_json")
        .c("coalesce(phash, '')")
        .x("timestamp")
        .y("phash IS NOT NULL")
        .z("raw_id");
    let each = |row: Row| {
        let Ok(devices) = serde_json::from_str::<Vec<DeviceInfo>>(&row.b) else {
            tracing::warn!(
                "a list of a contact's devices could not be read, and is asked for again"
            );
            return Ok(());
        };
        let (user, list) = DeviceList::from_record(DeviceListRecord {
            user: row.a,
            devices,
            timestamp: row.x,
            phash: (row.y != 0).then_some(row.c),
            raw_id: row.z.map(number),
        });
        boxes.insert(spread(&user), user, list);
        Ok(())
    };
    reader.each(lists, each).await?;
    writer.put_all(boxes.changes()?).await?;

    let mut boxes = Boxes::new(kinds::TC_TOKENS, b"");
    let tokens = Table::new("tc_tokens")
        .a("jid")
        .bytes("token")
        .x("token_timestamp")
        .z("sender_timestamp");
    let each = |row: Row| {
        let token = Token::from_entry(TcTokenEntry {
            token: row.bytes,
            token_timestamp: row.x,
            sender_timestamp: row.z,
        });
        boxes.insert(spread(&row.a), row.a, token);
        Ok(())
    };
    reader.each(tokens, each).await?;
    writer.put_all(boxes.changes()?).await?;

    let groups = Table::new("group_metadata").a("group_jid").bytes("info");
    let each = |row: Row| Ok(put_raw(protocol::group_metadata(&row.a), &row.bytes));
    reader.copy(groups, writer, each).await
}

async fn take_messages(reader: &Reader<'_>, writer: &mut Writer<'_>) -> Result<()> {
    let sent = Table::new("sent_messages")
        .a("chat_jid")
        .b("message_id")
        .bytes("payload")
        .x("created_at");
    let each = |row: Row| put_packed(sent::place(&row.a, &row.b), &row.dated());
    reader.copy(sent, writer, each).await?;
    let pending = Table::new("pending_inbound_messages")
        .a("chat")
        .b("sender")
        .c("id")
        .bytes("message")
        .x("inserted_at");
    let each = |row: Row| put_packed(pending::place(&row.a, &row.b, &row.c), &row.dated());
    reader.copy(pending, writer, each).await?;
    let secrets = Table::new("msg_secrets")
        .a("chat")
        .b("sender")
        .c("msg_id")
        .bytes("secret")
        .x("expires_at")
        .y("message_ts");
    let each = |row: Row| {
        let place = secrets::place(&row.a, &row.b, &row.c);
        let secret = Secret {
            bytes: row.bytes,
            expires_at: row.x,
            message_at: row.y,
        };
        put_packed(place, &secret)
    };
    reader.copy(secrets, writer, each).await
}

/// An id that the library has put into a signed column.
fn number(column: i64) -> u32 {
    // The library casts in the same way when it writes and reads.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = column as u32;
    number
}

/// A table of the old file, and the columns to read of it.
#[derive(Clone, Copy)]
struct Table {
    name: &'static str,
    a: &'static str,
    b: &'static str,
    c: &'static str,
    bytes: &'static str,
    more: &'static str,
    x: &'static str,
    y: &'static str,
    z: &'static str,
}

macro_rules! columns {
    ($($column:ident)*) => {$(
        const fn $column(self, $column: &'static str) -> Self {
            Self { $column, ..self }
        }
    )*};
}

impl Table {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            a: "''",
            b: "''",
            c: "''",
            bytes: "x''",
            more: "x''",
            x: "0",
            y: "0",
            z: "NULL",
        }
    }

    columns!(a b c bytes more x y z);

    fn query(&self) -> String {
        let Self {
            name,
            a,
            b,
            c,
            bytes,
            more,
            x,
            y,
            z,
        } = self;
        format!(
            "SELECT rowid AS number, {a} AS a, {b} AS b, {c} AS c, {bytes} AS bytes, {more} AS more, {x} AS x, \
             {y} AS y, {z} AS z FROM {name} WHERE device_id = ? AND rowid > ? ORDER BY rowid LIMIT {PAGE}"
        )
    }
}

/// A row of any table.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    a: String,
    #[diesel(sql_type = Text)]
    b: String,
    #[diesel(sql_type = Text)]
    c: String,
    #[diesel(sql_type = Binary)]
    bytes: Vec<u8>,
    #[diesel(sql_type = Binary)]
    more: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    x: i64,
    #[diesel(sql_type = BigInt)]
    y: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    z: Option<i64>,
}

impl Row {
    fn dated(self) -> Dated {
        Dated {
            at: self.x,
            message: self.bytes,
        }
    }
}

#[derive(QueryableByName)]
struct Names {
    #[diesel(sql_type = Text)]
    pn: String,
    #[diesel(sql_type = Text)]
    lid: String,
}

struct Reader<'a> {
    from: &'a SqliteStore,
}

impl Reader<'_> {
    /// Phone number and LID of the account, as they stand in the file.
    async fn names_of_the_account(&self) -> Result<(String, String)> {
        let device_id = self.from.device_id();
        let ask = move |connection: &mut SqliteConnection| {
            diesel::sql_query("SELECT pn, lid FROM device WHERE id = ?")
                .bind::<Integer, _>(device_id)
                .get_result::<Names>(connection)
                .map_err(|e| StoreError::Database(Box::new(e)))
        };
        let names = self.from.shared().read(ask).await?;
        Ok((names.pn, names.lid))
    }

    /// A page of a table, after the row with this number.
    async fn page(&self, table: Table, after: i64) -> Result<Vec<Row>> {
        let device_id = self.from.device_id();
        let ask = move |connection: &mut SqliteConnection| {
            diesel::sql_query(table.query())
                .bind::<Integer, _>(device_id)
                .bind::<BigInt, _>(after)
                .load::<Row>(connection)
                .map_err(|e| StoreError::Database(Box::new(e)))
        };
        Ok(self.from.shared().read(ask).await?)
    }

    /// Reads a table, row by row.
    async fn each(
        &self,
        table: Table,
        mut take: impl FnMut(Row) -> std::result::Result<(), StoreError>,
    ) -> Result<()> {
        let mut after = i64::MIN;
        loop {
            let page = self.page(table, after).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.number;
            page.into_iter().try_for_each(&mut take)?;
        }
    }

    /// Makes a change of each row of a table, page by page.
    async fn copy(
        &self,
        table: Table,
        writer: &mut Writer<'_>,
        change: impl Fn(Row) -> std::result::Result<Change, StoreError>,
    ) -> Result<()> {
        let mut after = i64::MIN;
        loop {
            let page = self.page(table, after).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.number;
            for row in page {
                writer.put(change(row)?).await?;
            }
        }
    }
}

/// Commits changes, many at a time.
struct Writer<'a> {
    into: &'a dyn Space,
    changes: Vec<Change>,
}

impl Writer<'_> {
    async fn put(&mut self, change: Change) -> Result<()> {
        self.changes.push(change);
        if self.changes.len() >= CHANGES {
            self.flush(Durability::Eventual).await?;
        }
        Ok(())
    }

    async fn put_all(&mut self, changes: Vec<Change>) -> Result<()> {
        for change in changes {
            self.put(change).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, durability: Durability) -> Result<()> {
        let changes = std::mem::take(&mut self.changes);
        let batch = Batch {
            changes,
            durability,
        };
        Ok(self.into.commit(batch).await?)
    }
}
