//! The one table of a vault: sealed values by their stored places.

use rusqlite::{Connection, OptionalExtension};

use super::file::Failure;
use super::seal::Seal;
use crate::store::space::{Change, Kind, Place};
use crate::store::step::Step;

/// Beyond every stored place that begins with the prefix: a stored place is shorter than this is.
const BEYOND: [u8; 40] = [0xff; 40];

/// The value of a place.
pub(super) fn get(
    connection: &Connection,
    seal: &Seal,
    place: &Place,
) -> Result<Option<Vec<u8>>, Failure> {
    let stored = seal.stored(place);
    let Some(sealed) = sealed(connection, &stored)? else {
        return Ok(None);
    };
    let (found, value) = seal.open(&stored, &sealed)?;
    if found == *place {
        Ok(Some(value))
    } else {
        Err(Failure::DoesNotOpen)
    }
}

/// All values of a kind, or of a group of it.
pub(super) fn list(
    connection: &Connection,
    seal: &Seal,
    kind: Kind,
    group: Option<&[u8]>,
) -> Result<Vec<(Place, Vec<u8>)>, Failure> {
    let (from, to) = match group {
        Some(group) => range(&seal.stored_group(kind, group)),
        None => range(&[kind.0]),
    };
    let mut select = connection.prepare(
        "SELECT place, value FROM sealed WHERE place >= ?1 AND place < ?2 ORDER BY place",
    )?;
    let mut rows = select.query([from, to])?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        let (stored, sealed) = (bytes(row, 0)?, bytes(row, 1)?);
        values.push(seal.open(stored, sealed)?);
    }
    Ok(values)
}

/// Makes the changes in one transaction.
pub(super) fn commit(
    connection: &Connection,
    seal: &Seal,
    changes: &[Change],
) -> Result<(), Failure> {
    // Dropped before the commit, the transaction is rolled back.
    let transaction = connection.unchecked_transaction()?;
    for change in changes {
        Step::VaultChange.take(|| Ok(apply(&transaction, seal, change)))??;
    }
    Step::VaultCommit.take(|| Ok(transaction.commit()))??;
    Ok(())
}

fn apply(connection: &Connection, seal: &Seal, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Put(place, value) => {
            let stored = seal.stored(place);
            put(connection, &stored, &seal.seal(&stored, place, value))
        }
        Change::Delete(place) => {
            let stored = seal.stored(place);
            let mut delete = connection.prepare("DELETE FROM sealed WHERE place = ?1")?;
            delete.execute([&stored[..]]).map(drop)
        }
        Change::DeleteGroup(kind, group) => delete(connection, &seal.stored_group(*kind, group)),
        Change::DeleteKind(kind) => delete(connection, &[kind.0]),
    }
}

/// Puts sealed bytes there.
pub(super) fn put(connection: &Connection, stored: &[u8], sealed: &[u8]) -> rusqlite::Result<()> {
    let mut put = connection.prepare(
        "INSERT INTO sealed (place, value) VALUES (?1, ?2) \
         ON CONFLICT (place) DO UPDATE SET value = excluded.value",
    )?;
    put.execute([stored, sealed]).map(drop)
}

/// The sealed bytes that are stored there.
pub(super) fn sealed(connection: &Connection, stored: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut select = connection.prepare("SELECT value FROM sealed WHERE place = ?1")?;
    select.query_row([stored], |row| row.get(0)).optional()
}

/// Opens every value but the one that is stored in `besides`. A place that was changed shows: the value in it is
/// bound to it.
pub(super) fn check(connection: &Connection, seal: &Seal, besides: &[u8]) -> Result<(), Failure> {
    let mut select = connection.prepare("SELECT place, value FROM sealed")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (stored, sealed) = (bytes(row, 0)?, bytes(row, 1)?);
        if stored == besides {
            continue;
        }
        let (place, _) = seal.open(stored, sealed)?;
        if seal.stored(&place) != stored {
            return Err(Failure::DoesNotOpen);
        }
    }
    Ok(())
}

/// Gives pages that are not needed any more back to the file system, where they are a good part of the file.
pub(super) fn shrink(connection: &Connection) -> rusqlite::Result<()> {
    let number = |pragma| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let free = number("PRAGMA freelist_count")?;
    if free > 64 && free > number("PRAGMA page_count")? / 4 {
        // Each step gives one page back.
        let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
    }
    Ok(())
}

fn delete(connection: &Connection, prefix: &[u8]) -> rusqlite::Result<()> {
    let (from, to) = range(prefix);
    let mut delete = connection.prepare("DELETE FROM sealed WHERE place >= ?1 AND place < ?2")?;
    delete.execute([from, to]).map(drop)
}

/// The places that begin with a prefix: from the first, up to but without the second.
fn range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut after = prefix.to_vec();
    while let Some(last) = after.last_mut() {
        if let Some(next) = last.checked_add(1) {
            *last = next;
            return (prefix.to_vec(), after);
        }
        after.pop();
    }
    (prefix.to_vec(), BEYOND.to_vec())
}

fn bytes<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<&'a [u8], Failure> {
    let value = row.get_ref(column)?;
    value
        .as_blob()
        .map_err(|_| Failure::Wrong("a value is of another type".to_owned()))
}
