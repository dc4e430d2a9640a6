//! The credentials file: whether it can be used, and whom it belongs to.
//!
//! **Corrupt is not absent.** SQLite would take an empty file for a new database, and the library
//! would put a new identity into it; so the file is looked at first, and what it says of itself is
//! held against what the record says of it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use whatsapp_rust::store::{DeviceStore, SqliteStore, SqliteStoreConfig};
use whatsapp_rust::wacore::store::error::StoreError;

use crate::blocking::UncancellableWork;
use crate::protocol::Account;

/// SQLite's page cache of one session, in KiB. The library's 512 cost 0.3 MB a session more and made
/// nothing measurably faster.
const CACHE_KIB: u32 = 32;

/// How long to wait for a lock on the file: longer than any transaction of a session.
pub const BUSY: Duration = Duration::from_secs(5);

/// The newest of the library's migrations of the file. SQLite would let this version write into a file
/// that a newer one has changed since, and the library does not look.
const NEWEST_SCHEMA: &str = "20260703000001";

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

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

/// Why a credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Its content is broken, or not what it must be. Trying again does not help.
    #[error("the credentials in {path} cannot be used: {why}", path = path.display())]
    Unusable {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },
    /// It could not be opened just now: no permission, no descriptors, no room.
    #[error("the credentials in {path} could not be opened: {why}", path = path.display())]
    Unavailable {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },
}

/// Looks into a credentials file and closes it again. One that somebody has locked is waited for so long.
///
/// # Errors
/// [`CredentialsError`]; the file is left as it is.
pub async fn look_into(
    path: &Path,
    work: &UncancellableWork,
    patience: Duration,
) -> Result<Stored, CredentialsError> {
    let path = path.to_owned();
    work.see_through(async move { look_at(&path, patience).await })
        .await
}

async fn look_at(path: &Path, patience: Duration) -> Result<Stored, CredentialsError> {
    match head(path).await? {
        Head::Missing => return Ok(Stored::Nothing),
        // A crash came between its making and its first transaction. Whoever knows of an account must
        // not take that for an answer.
        Head::Empty => return Ok(Stored::Unpaired),
        Head::Database => {}
    }
    let store = open(path, patience).await?;
    let device = store.load().await.map_err(|e| refused(path, chain(&e)))?;
    let pn = device.as_ref().and_then(|device| device.pn.clone());
    let stored = match (device, pn) {
        (Some(device), Some(jid)) => Stored::Paired(account(&jid, &device.push_name)),
        _ => Stored::Unpaired,
    };
    Ok(stored)
}

/// Opens a credentials file that must be there: one that is missing is not made anew.
pub(super) async fn open_existing(path: &Path) -> Result<Arc<SqliteStore>, CredentialsError> {
    if head(path).await? != Head::Missing {
        return open(path, BUSY).await;
    }
    Err(corrupt(
        path,
        "the file is missing although this session was paired",
    ))
}

/// Opens a credentials file, or makes it. One that somebody has locked is waited for so long.
pub(super) async fn open(
    path: &Path,
    patience: Duration,
) -> Result<Arc<SqliteStore>, CredentialsError> {
    let existed = match head(path).await? {
        Head::Missing => false,
        Head::Database => true,
        Head::Empty => return Err(corrupt(path, "the file is empty")),
    };
    let config = SqliteStoreConfig {
        cache_size_kib: CACHE_KIB,
        ..SqliteStoreConfig::default()
    };
    let url = path.to_str().ok_or_else(|| CredentialsError::Unavailable {
        path: path.to_owned(),
        why: "the path is not UTF-8".to_owned(),
    })?;
    try_first(path, url, existed, patience).await?;
    let store = SqliteStore::with_config(url, config).await;
    let store = store.map_err(|e| refused(path, chain(&e)))?;
    Ok(Arc::new(store))
}

/// What the first look at a file tells.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    Missing,
    /// Nothing was ever written into it.
    Empty,
    Database,
}

/// Looks at the beginning of a file; an error when it cannot be a database. On a thread of its own: a
/// disk that hangs under one session must not hold up those that share this one.
async fn head(path: &Path) -> Result<Head, CredentialsError> {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || read_head(&path)).await {
        Ok(head) => head,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

fn read_head(path: &Path) -> Result<Head, CredentialsError> {
    let unavailable = |e: std::io::Error| CredentialsError::Unavailable {
        path: path.to_owned(),
        why: e.to_string(),
    };
    // A pipe in its place would make the reader wait for ever.
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Head::Missing),
        Err(e) => return Err(unavailable(e)),
    };
    if !file.metadata().map_err(unavailable)?.is_file() {
        return Err(corrupt(path, "it is not a file"));
    }
    let mut head = Vec::with_capacity(MAGIC.len());
    file.take(MAGIC.len() as u64)
        .read_to_end(&mut head)
        .map_err(unavailable)?;
    if head == MAGIC {
        return Ok(Head::Database);
    }
    if !head.is_empty() {
        return Err(corrupt(path, "it is not an SQLite database"));
    }
    // A database whose first transaction is still in its log has an empty file, and that is fine.
    let log = path.with_extension("db-wal");
    if std::fs::metadata(log).is_ok_and(|meta| meta.len() > 0) {
        return Ok(Head::Database);
    }
    Ok(Head::Empty)
}

fn corrupt(path: &Path, why: &str) -> CredentialsError {
    CredentialsError::Unusable {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

#[derive(QueryableByName)]
struct Check {
    #[diesel(sql_type = diesel::sql_types::Text)]
    quick_check: String,
}

#[derive(QueryableByName)]
struct Schema {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    newest: Option<String>,
}

/// One plain connection before the pool. The pool takes every failure for a passing one and tries for
/// half a minute, on one of the few threads that all sessions share: one user's broken file would be
/// everybody's trouble.
async fn try_first(
    path: &Path,
    url: &str,
    existed: bool,
    patience: Duration,
) -> Result<(), CredentialsError> {
    let (path, url) = (path.to_owned(), url.to_owned());
    let tried = tokio::task::spawn_blocking(move || {
        if existed {
            try_existing(&path, &url, patience)
        } else {
            try_new(&path)
        }
    });
    match tried.await {
        Ok(tried) => tried,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// SQLite's own look at every page (milliseconds for the few hundred KiB of a session), and whether it
/// could write.
fn try_existing(path: &Path, url: &str, patience: Duration) -> Result<(), CredentialsError> {
    let mut connection =
        SqliteConnection::establish(url).map_err(|e| refused(path, e.to_string()))?;
    // The connection of the link before may be closing yet, which locks the file for some milliseconds.
    let waits = format!("PRAGMA busy_timeout = {}", patience.as_millis());
    diesel::sql_query(waits)
        .execute(&mut connection)
        .map_err(|e| refused(path, e.to_string()))?;
    let check = diesel::sql_query("PRAGMA quick_check(1)").get_result::<Check>(&mut connection);
    let check = check.map_err(|e| refused(path, e.to_string()))?;
    if check.quick_check != "ok" {
        return Err(CredentialsError::Unusable {
            path: path.to_owned(),
            why: check.quick_check,
        });
    }
    if let Some(newest) = newest_migration(&mut connection).map_err(|e| refused(path, e))?
        && newest.as_str() > NEWEST_SCHEMA
    {
        return Err(CredentialsError::Unusable {
            path: path.to_owned(),
            why: format!(
                "it was written by a newer wasessiond (schema {newest}, this one reads up to \
                 {NEWEST_SCHEMA}); start the newer one again"
            ),
        });
    }
    for statement in ["BEGIN IMMEDIATE", "ROLLBACK"] {
        let done = diesel::sql_query(statement).execute(&mut connection);
        done.map_err(|e| refused(path, e.to_string()))?;
    }
    Ok(())
}

/// The newest migration that was done on a file; `None` when the first was not.
fn newest_migration(connection: &mut SqliteConnection) -> Result<Option<String>, String> {
    let mut ask = |statement: &str| {
        let answer = diesel::sql_query(statement).get_result::<Schema>(connection);
        answer.map(|row| row.newest).map_err(|e| e.to_string())
    };
    let table = ask(
        "SELECT max(name) AS newest FROM sqlite_master WHERE name = '__diesel_schema_migrations'",
    )?;
    match table {
        Some(_) => ask("SELECT max(version) AS newest FROM __diesel_schema_migrations"),
        None => Ok(None),
    }
}

/// Whether a file can be made there.
fn try_new(path: &Path) -> Result<(), CredentialsError> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    match tempfile::tempfile_in(dir) {
        Ok(_) => Ok(()),
        Err(e) => Err(CredentialsError::Unavailable {
            path: path.to_owned(),
            why: e.to_string(),
        }),
    }
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

/// Tells broken content from an obstacle that may go away.
fn refused(path: &Path, why: String) -> CredentialsError {
    let lower = why.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let is_broken = has(&[
        "malformed",
        "not a database",
        "corrupt",
        "migration error",
        "no such table",
        "no such column",
    ]);
    let is_obstacle = has(&[
        "full",
        "unable to open",
        "readonly",
        "permission",
        "disk i/o",
        "locked",
    ]);
    let path = path.to_owned();
    if is_broken && !is_obstacle {
        CredentialsError::Unusable { path, why }
    } else {
        CredentialsError::Unavailable { path, why }
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
    use super::*;

    #[tokio::test]
    async fn a_new_file_is_an_unpaired_one() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("auth.db");
        assert_eq!(
            look_into(&path, &UncancellableWork::default(), BUSY)
                .await
                .expect("nothing"),
            Stored::Nothing
        );
        drop(open(&path, BUSY).await.expect("open"));
        assert_eq!(
            look_into(&path, &UncancellableWork::default(), BUSY)
                .await
                .expect("new"),
            Stored::Unpaired
        );
    }

    #[tokio::test]
    async fn broken_files_are_corrupt_and_left_as_they_are() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("auth.db");
        drop(open(&path, BUSY).await.expect("open"));
        let whole = std::fs::read(&path).expect("read");
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
            std::fs::write(&path, bytes).expect("write");
            let found = look_into(&path, &UncancellableWork::default(), BUSY).await;
            assert!(
                matches!(found, Err(CredentialsError::Unusable { .. })),
                "{name}: {found:?}"
            );
            assert_eq!(std::fs::read(&path).expect("read"), bytes, "{name}");
        }
    }

    #[tokio::test]
    async fn an_empty_file_was_never_paired_and_is_corrupt_where_one_was() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("auth.db");
        std::fs::write(&path, b"").expect("write");
        assert_eq!(
            look_into(&path, &UncancellableWork::default(), BUSY)
                .await
                .expect("empty"),
            Stored::Unpaired
        );
        let found = open_existing(&path).await.map(|_| ());
        assert!(
            matches!(found, Err(CredentialsError::Unusable { .. })),
            "{found:?}"
        );
        assert_eq!(std::fs::read(&path).expect("read"), b"");
    }

    #[tokio::test]
    async fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("auth.db");
        drop(open(&path, BUSY).await.expect("open"));
        let mut connection =
            SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("open");
        assert_eq!(
            newest_migration(&mut connection),
            Ok(Some(NEWEST_SCHEMA.to_owned())),
            "the library has a new schema: older versions of this daemon must refuse it, so NEWEST_SCHEMA \
             changes with it, and a sample of the state directory is added to tests/samples"
        );
        assert_eq!(
            look_into(&path, &UncancellableWork::default(), BUSY)
                .await
                .expect("its own"),
            Stored::Unpaired
        );
        let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
        diesel::sql_query(newer)
            .execute(&mut connection)
            .expect("run");
        drop(connection);
        let before = std::fs::read(&path).expect("read");
        let found = look_into(&path, &UncancellableWork::default(), BUSY).await;
        assert!(
            matches!(&found, Err(CredentialsError::Unusable { why, .. }) if why.contains("a newer wasessiond")),
            "{found:?}"
        );
        assert_eq!(std::fs::read(&path).expect("read"), before);
    }

    /// A new file, which this connection has locked.
    async fn locked(path: &Path) -> SqliteConnection {
        drop(open(path, BUSY).await.expect("open"));
        let url = path.to_str().expect("UTF-8");
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
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("auth.db");
        let mut other = locked(&path).await;
        let work = UncancellableWork::default();
        let mut looking = Box::pin(look_into(&path, &work, BUSY));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut looking).await;
        assert!(early.is_err(), "{early:?}");
        run(&mut other, "ROLLBACK");
        assert_eq!(looking.await.expect("unlocked"), Stored::Unpaired);
    }

    #[tokio::test]
    async fn a_look_that_nobody_waits_for_any_more_is_waited_for_by_the_next() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().canonicalize().expect("path").join("auth.db");
        let mut other = locked(&path).await;
        let work = UncancellableWork::default();
        let moment = Duration::from_millis(50);
        let early = tokio::time::timeout(moment, look_into(&path, &work, BUSY)).await;
        assert!(early.is_err(), "{early:?}");
        let early = tokio::time::timeout(moment, work.gone()).await;
        assert!(early.is_err(), "its connection is still open");
        run(&mut other, "ROLLBACK");
        work.gone().await;
        drop(other);
        // The library's pool closes its connections a moment after it is dropped, and tells nobody: a
        // logout looks again, too.
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while is_open(&path) {
            assert!(std::time::Instant::now() < deadline, "it is still open");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
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
        let missing = dir.path().join("gone/auth.db");
        let found = open(&missing, BUSY).await.map(|_| ());
        assert!(
            matches!(found, Err(CredentialsError::Unavailable { .. })),
            "{found:?}"
        );
    }
}
