//! The library's store on a credentials file: opens it, looks into it, makes it durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::store::{DeviceStore, SqliteStore, SqliteStoreConfig};
use whatsapp_rust::wacore::store::error::StoreError;

use crate::blocking::UncancellableWork;
use crate::protocol::Account;
use crate::store::{Contents, Credentials, CredentialsError, set_up};

/// SQLite's page cache of one session, in KiB. The library's 512 cost 0.3 MB a session more and made
/// nothing measurably faster.
const CACHE_KIB: u32 = 32;

/// How long to wait for a lock on the file: longer than any transaction of a session.
pub const BUSY: Duration = Duration::from_secs(5);

/// What a credentials file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// There is no file.
    Nothing,
    /// An identity that was never paired.
    Unpaired,
    /// The credentials of this account.
    Paired(Account),
}

/// Looks into a credentials file and closes it again. Waits at most `patience` for another process's lock.
///
/// # Errors
/// [`CredentialsError`]; the file is left as it is.
pub async fn look_into(
    credentials: &Credentials,
    work: &UncancellableWork,
    patience: Duration,
) -> Result<Stored, CredentialsError> {
    let (credentials, own) = (credentials.clone(), work.clone());
    work.see_through(async move { look_at(&credentials, &own, patience).await })
        .await
}

async fn look_at(
    credentials: &Credentials,
    work: &UncancellableWork,
    patience: Duration,
) -> Result<Stored, CredentialsError> {
    let file = credentials.clone();
    match work.on_disk(move || file.contents()).await? {
        Contents::Missing => return Ok(Stored::Nothing),
        // A crash came between the making of the file and its first transaction. A caller that knows of an
        // account must not take this for "never paired".
        Contents::Empty => return Ok(Stored::Unpaired),
        Contents::Database => {}
    }
    let store = open(credentials, work, patience).await?;
    let device = match store.load().await {
        Ok(device) => device,
        Err(e) => return Err(diagnose(credentials, work, store, chain(&e)).await),
    };
    // Closing it writes and syncs.
    work.on_disk(move || drop(store)).await;
    let pn = device.as_ref().and_then(|device| device.pn.clone());
    let stored = match (device, pn) {
        (Some(device), Some(jid)) => Stored::Paired(account(&jid, &device.push_name)),
        _ => Stored::Unpaired,
    };
    Ok(stored)
}

/// Opens the credentials of an account. A missing or empty file is an error, and is not made anew.
pub(super) async fn open_existing(
    credentials: &Credentials,
    work: &UncancellableWork,
) -> Result<Arc<SqliteStore>, CredentialsError> {
    let file = credentials.clone();
    match work.on_disk(move || file.contents()).await? {
        Contents::Database => open(credentials, work, BUSY).await,
        Contents::Empty => {
            Err(credentials.unusable("the file is empty although this session was paired"))
        }
        Contents::Missing => {
            Err(credentials.unusable("the file is missing although this session was paired"))
        }
    }
}

/// Opens a credentials file, or makes it. Waits at most `patience` for another process's lock. The file
/// counts as work until its connection is closed.
pub(super) async fn open(
    credentials: &Credentials,
    work: &UncancellableWork,
    patience: Duration,
) -> Result<Arc<SqliteStore>, CredentialsError> {
    let file = credentials.clone();
    // A plain connection is opened before the pool. The pool takes every failure for a passing one and
    // tries for half a minute, on one of the few threads that all sessions share: one user's broken file
    // would slow down everybody.
    work.on_disk(move || match file.contents()? {
        Contents::Database => file.check(patience),
        Contents::Missing | Contents::Empty => file.has_room(),
    })
    .await?;
    let path = credentials.path().to_str();
    let url = path.ok_or_else(|| credentials.unavailable("the path is not UTF-8"))?;
    let counted = work.clone();
    let config = SqliteStoreConfig {
        cache_size_kib: CACHE_KIB,
        busy_timeout: patience,
        ..SqliteStoreConfig::default()
    }
    .with_connection_init(move |connection| {
        set_up(connection, patience)?;
        note_the_close(connection, &counted)?;
        Ok(())
    });
    match SqliteStore::with_config(url, config).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(e) => Err(diagnose(credentials, work, (), chain(&e)).await),
    }
}

/// Says what a failure of the library's store means. The file is looked at when the store is closed.
async fn diagnose<S: Send + 'static>(
    credentials: &Credentials,
    work: &UncancellableWork,
    store: S,
    why: String,
) -> CredentialsError {
    let file = credentials.clone();
    let closed = move || {
        drop(store);
        file.diagnose(why)
    };
    work.on_disk(closed).await
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// Does nothing, and is never called: see [`note_the_close`].
    fn wasessiond_connection() -> diesel::sql_types::Integer;
}

/// Counts a connection as work for as long as it is open. The pool closes its connections some time after
/// it is dropped, and reports that to nobody. But SQLite drops a connection's functions when it has closed
/// the connection's files. So a function that owns the count ends it at the moment at which no file is open
/// any more.
fn note_the_close(connection: &mut SqliteConnection, work: &UncancellableWork) -> QueryResult<()> {
    let open = AssertUnwindSafe(work.hold());
    wasessiond_connection_utils::register_nondeterministic_impl(connection, move || {
        let _ = &open;
        0
    })
}

/// Writes the device as it is in memory. The library's own flush does not: it marks the device as written
/// before it writes, so after a flush that was broken off, or beside one that is under way, it does nothing.
///
/// # Errors
/// In words.
pub(super) async fn write_device(memory: &PersistenceManager) -> Result<(), String> {
    let device = memory.get_device_snapshot().to_serializable();
    let written = memory.backend().save(&device).await;
    written.map_err(|e| chain(&e))
}

/// Writes the log into the database and syncs both: what was committed survives a loss of power.
///
/// # Errors
/// In words.
pub(super) async fn make_durable(store: &SqliteStore) -> Result<(), String> {
    let checkpoint = |conn: &mut SqliteConnection| {
        diesel::sql_query("PRAGMA wal_checkpoint(FULL)")
            .execute(conn)
            .map_err(|e| StoreError::Database(Box::new(e)))
    };
    match store.shared().run(checkpoint).await {
        Ok(_) => Ok(()),
        Err(e) => Err(chain(&e)),
    }
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

/// An account from its JID and push name.
pub(super) fn account(jid: &whatsapp_rust::Jid, name: &str) -> Account {
    Account {
        jid: jid.to_string(),
        phone: format!("+{}", jid.user),
        name: (!name.is_empty()).then(|| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;
    use whatsapp_rust::store::{Backend, Device};

    use super::*;

    /// A directory, and credentials in it.
    fn place() -> (TempDir, Credentials, UncancellableWork) {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().canonicalize().expect("path").join("auth.db");
        (dir, Credentials::new(path), UncancellableWork::default())
    }

    /// Makes them, unpaired.
    async fn make(credentials: &Credentials, work: &UncancellableWork) {
        drop(open(credentials, work, BUSY).await.expect("open"));
        work.gone().await;
    }

    #[tokio::test]
    async fn a_new_file_is_an_unpaired_one() {
        let (_dir, credentials, work) = place();
        let stored = look_into(&credentials, &work, BUSY).await;
        assert_eq!(stored.expect("nothing"), Stored::Nothing);
        make(&credentials, &work).await;
        let stored = look_into(&credentials, &work, BUSY).await;
        assert_eq!(stored.expect("new"), Stored::Unpaired);
    }

    #[tokio::test]
    async fn broken_files_are_unusable_and_left_as_they_are() {
        let (_dir, credentials, work) = place();
        make(&credentials, &work).await;
        let path = credentials.path();
        let whole = std::fs::read(path).expect("read");
        let mut scrambled = whole.clone();
        scrambled[100..].fill(0xa5);
        let cases: [(&str, &[u8]); 3] = [
            (
                "text",
                b"this is not a database at all, but long enough to be one",
            ),
            ("truncated", &whole[..whole.len() / 2]),
            ("scrambled", &scrambled),
        ];
        for (name, bytes) in cases {
            for extension in ["db-wal", "db-shm"] {
                let _ = std::fs::remove_file(path.with_extension(extension));
            }
            std::fs::write(path, bytes).expect("write");
            let found = look_into(&credentials, &work, BUSY).await;
            assert!(
                matches!(found, Err(CredentialsError::Unusable { .. })),
                "{name}: {found:?}"
            );
            assert_eq!(std::fs::read(path).expect("read"), bytes, "{name}");
        }
    }

    #[tokio::test]
    async fn an_empty_file_begins_a_pairing_and_is_unusable_where_one_was() {
        let (_dir, credentials, work) = place();
        std::fs::write(credentials.path(), b"").expect("write");
        let stored = look_into(&credentials, &work, BUSY).await;
        assert_eq!(stored.expect("empty"), Stored::Unpaired);
        let found = open_existing(&credentials, &work).await.map(|_| ());
        assert!(
            matches!(found, Err(CredentialsError::Unusable { .. })),
            "{found:?}"
        );
        assert_eq!(std::fs::read(credentials.path()).expect("read"), b"");
        // A try on a full disk left it, and there is room now.
        make(&credentials, &work).await;
        let stored = look_into(&credentials, &work, BUSY).await;
        assert_eq!(stored.expect("made"), Stored::Unpaired);
    }

    #[tokio::test]
    async fn the_librarys_newest_schema_is_the_one_that_is_known() {
        let (_dir, credentials, work) = place();
        make(&credentials, &work).await;
        credentials.check(BUSY).expect(
            "the library has a new schema: older versions of this daemon must refuse it, so NEWEST_SCHEMA \
             changes with it, and a sample of the state directory is added to tests/samples",
        );
    }

    #[tokio::test]
    async fn what_a_flush_that_was_broken_off_did_not_write_is_written() {
        let (_dir, credentials, work) = place();
        let store = open(&credentials, &work, BUSY).await.expect("open");
        let memory = PersistenceManager::new(Arc::clone(&store) as Arc<dyn Backend>).await;
        let memory = memory.expect("a device");
        let rename = |device: &mut Device| "Alice".clone_into(&mut device.push_name);
        memory.modify_device(rename).await;
        // The database is busy while the library flushes, and the flush is given up.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begins, begun) = tokio::sync::oneshot::channel();
        let shared = store.shared();
        let busy = tokio::spawn(async move {
            let hangs = move |_: &mut SqliteConnection| {
                let _ = begins.send(());
                let _ = wait.recv();
                Ok(())
            };
            shared.run(hangs).await
        });
        begun.await.expect("it is busy");
        let moment = Duration::from_millis(50);
        let flushed = tokio::time::timeout(moment, memory.flush()).await;
        assert!(flushed.is_err(), "it does not wait for the database");
        drop(go);
        busy.await.expect("no panic").expect("it goes on");

        memory.flush().await.expect("it says so");
        let name = async || {
            let device = store.load().await.expect("load");
            device.map(|device| device.push_name)
        };
        assert_ne!(
            name().await.as_deref(),
            Some("Alice"),
            "the library is mended"
        );
        write_device(&memory).await.expect("written");
        assert_eq!(name().await.as_deref(), Some("Alice"));
    }

    #[tokio::test]
    async fn a_connection_counts_until_its_files_are_closed() {
        let (_dir, credentials, work) = place();
        let store = open(&credentials, &work, BUSY).await.expect("open");
        assert!(!work.is_empty() && is_open(credentials.path()));
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        assert!(!maps.contains("auth.db"), "a mapped file");
        drop(store);
        work.gone().await;
        assert!(!is_open(credentials.path()));
    }

    /// A new file, which this connection has locked.
    async fn locked(credentials: &Credentials, work: &UncancellableWork) -> SqliteConnection {
        make(credentials, work).await;
        let url = credentials.path().to_str().expect("UTF-8");
        let mut connection = SqliteConnection::establish(url).expect("open");
        run(&mut connection, "BEGIN IMMEDIATE");
        connection
    }

    fn run(connection: &mut SqliteConnection, statement: &str) {
        let done = diesel::sql_query(statement).execute(connection);
        done.expect("run");
    }

    #[tokio::test]
    async fn a_file_that_is_locked_for_a_moment_is_waited_for() {
        let (_dir, credentials, work) = place();
        let other = locked(&credentials, &work).await;
        let mut looking = Box::pin(look_into(&credentials, &work, BUSY));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut looking).await;
        assert!(early.is_err(), "{early:?}");
        drop(other);
        assert_eq!(looking.await.expect("unlocked"), Stored::Unpaired);
    }

    #[tokio::test]
    async fn a_look_that_nobody_waits_for_any_more_is_waited_for_by_the_next() {
        let (_dir, credentials, work) = place();
        let other = locked(&credentials, &work).await;
        let moment = Duration::from_millis(50);
        let early = tokio::time::timeout(moment, look_into(&credentials, &work, BUSY)).await;
        assert!(early.is_err(), "{early:?}");
        let early = tokio::time::timeout(moment, work.gone()).await;
        assert!(early.is_err(), "its connection is still open");
        drop(other);
        work.gone().await;
        assert!(!is_open(credentials.path()));
    }

    fn is_open(path: &Path) -> bool {
        let files = std::fs::read_dir("/proc/self/fd").expect("read");
        let mut open = files
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok());
        open.any(|file| file == path)
    }

    #[tokio::test]
    async fn an_obstacle_is_not_corruption() {
        let dir = tempfile::tempdir().expect("tempdir");
        let missing = Credentials::new(dir.path().join("gone/auth.db"));
        let found = open(&missing, &UncancellableWork::default(), BUSY).await;
        assert!(matches!(
            found.map(|_| ()),
            Err(CredentialsError::Unavailable { .. })
        ),);
    }
}
