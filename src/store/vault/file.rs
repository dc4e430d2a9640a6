//! `vault.db`: an SQLite file with one table of sealed values, in the form of this version.
//!
//! **Unusable is not absent, and not "cannot be opened now".** The file is unusable only where its bytes, or
//! the key to them, are wrong. A full disk, a missing permission or a lock is an obstacle, whatever SQLite's
//! message says.
//!
//! The file is in WAL mode: a commit appends to `vault.db-wal` and syncs that once; a rollback journal would
//! need three syncs before something can go on the wire. The close of the connection writes the log into the
//! file, syncs both, and removes the log. The exclusive locking mode keeps SQLite from mapping the log's index
//! into memory: on a full disk with small blocks a write to such memory is a SIGBUS, which would end all
//! sessions. Deleted values are overwritten with zeros (`secure_delete`): the key is still there, and Signal
//! counts on it that a used key is gone.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::seal::{DoesNotOpen, Seal};
use super::table;
use crate::store::durable::Replacing;
use crate::store::former::tells_of_the_disk;
use crate::store::space::SpaceError;
use crate::store::step::Step;
use crate::store::{StoreError, durable, regular};

/// The name of the file.
pub(in crate::store) const FILE: &str = "vault.db";

/// In the file's header: whose format it is.
const APPLICATION: u32 = u32::from_be_bytes(*b"waVt");

/// In the file's header: the version of the format. A newer one is refused.
const FORMAT: u32 = 1;

/// Small pages: a large value fills its last one badly, and so does each table.
pub(super) const PAGE: u16 = 1024;

/// SQLite's page cache, in pages. The system has the whole file in its own.
const CACHE: u16 = 32;

/// The log is written into the file when it has so many pages, and at the close.
const CHECKPOINT: u16 = 512;

/// The table. What the file has must be this, letter for letter. Values of some hundred bytes fill the pages of a
/// table without row ids badly: that took a fifth more.
const SCHEMA: &str =
    "CREATE TABLE sealed (place BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT";

/// Where a value lies that opens with the right key, in a vault without any other value, too.
const IDENTITY_PLACE: &[u8] = b"";

const IDENTITY: &[u8] = b"wasessiond vault";

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

const HEADER: usize = 100;

/// SQLite's code for a file that is shorter than its pages. It counts it among the errors of the disk.
const SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;

const STEPS: Replacing = Replacing {
    write: Step::VaultWrite,
    sync: Step::VaultSync,
    rename: Step::VaultRename,
    sync_dir: Step::VaultSyncDir,
};

/// What is in the file, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// There is no file.
    Missing,
    /// Nothing was ever written into it.
    Empty,
    /// Values.
    Values,
}

/// Why something could not be done with the file.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// A step was told to fail.
    Step(std::io::Error),
    /// A value, or the identity, does not open.
    DoesNotOpen,
    /// The bytes are wrong.
    Wrong(String),
    /// Said already.
    Told(SpaceError),
}

impl Failure {
    /// Whether another process has the file locked.
    pub(super) fn is_of_a_lock(&self) -> bool {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => {
                error.code == ErrorCode::DatabaseBusy
            }
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Step(error)
    }
}

impl From<DoesNotOpen> for Failure {
    fn from(_: DoesNotOpen) -> Self {
        Self::DoesNotOpen
    }
}

/// What tells whether somebody else has written into the file, or put another one in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([i64; 7]);

/// The file of one session's values.
#[derive(Debug, Clone)]
pub(super) struct VaultFile {
    path: PathBuf,
}

impl VaultFile {
    /// In this session's directory.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join(FILE),
        }
    }

    /// Looks at the beginning of the file, without SQLite. It changes nothing.
    pub(super) fn contents(&self) -> Result<Contents, SpaceError> {
        let opened = regular::open(OpenOptions::new().read(true), &self.path);
        let file = match opened {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return self.without_file(Contents::Missing);
            }
            Err(e) if regular::is_something_else(&e) => return Err(self.unusable(e)),
            Err(e) => return Err(self.unavailable(e)),
        };
        let mut header = Vec::with_capacity(HEADER);
        let read = file.take(HEADER as u64).read_to_end(&mut header);
        read.map_err(|e| self.unavailable(e))?;
        if header.is_empty() {
            return self.without_file(Contents::Empty);
        }
        match header_fault(&header) {
            None => Ok(Contents::Values),
            Some(why) => Err(self.unusable(why)),
        }
    }

    /// What it means that there is no file, or an empty one: nothing was written into it, unless there is a
    /// log. A log is made when the file is whole.
    fn without_file(&self, contents: Contents) -> Result<Contents, SpaceError> {
        match fs::metadata(self.log()) {
            Ok(about) if about.len() > 0 => {
                Err(self.unusable("it is gone or empty, and its log vault.db-wal is not"))
            }
            Err(e) if e.kind() != ErrorKind::NotFound => Err(self.unavailable(e)),
            _ => Ok(contents),
        }
    }

    /// Makes the file, without values, durably: it is there as a whole, or not at all.
    pub(super) fn create(&self, seal: &Seal) -> Result<(), SpaceError> {
        let bytes = blank(seal).map_err(|e| self.tell(e.into()))?;
        // Of an empty file that is replaced here.
        match fs::remove_file(self.log()) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(self.unavailable(e)),
            _ => {}
        }
        durable::replace(&self.path, &bytes, &STEPS).map_err(Into::into)
    }

    /// Opens the file, which must be there. Waits at most `patience` for another process's lock. Where
    /// somebody may have changed the file since it was [closed](Self::fingerprint), everything in it is
    /// checked: all pages, and all values.
    pub(super) fn open(
        &self,
        seal: &Seal,
        patience: Duration,
        known: Option<Fingerprint>,
    ) -> Result<Connection, Failure> {
        let is_known = known.is_some() && self.fingerprint() == known;
        if !is_known && self.contents().map_err(Failure::Told)? != Contents::Values {
            let gone = "it is missing or empty although this session had credentials";
            return Err(Failure::Wrong(gone.to_owned()));
        }
        let connection = self.connect(patience)?;
        fit(&connection, seal)?;
        if !is_known {
            check(&connection, seal)?;
        }
        // It is this session's, and whole: from now on the close writes the log into it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(connection)
    }

    fn connect(&self, patience: Duration) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(patience)?;
        // Of a file that turns out to be bad nothing is changed: the log beside it may be another's.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch(&format!(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA mmap_size = 0; PRAGMA cache_size = {CACHE}; \
             PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; \
             PRAGMA secure_delete = ON; PRAGMA synchronous = FULL; \
             PRAGMA wal_autocheckpoint = {CHECKPOINT};"
        ))?;
        Ok(connection)
    }

    /// What the file looks like now; `None` where it cannot be known, or has a log.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        if self.log().try_exists().unwrap_or(true) {
            return None;
        }
        let about = fs::symlink_metadata(&self.path).ok()?;
        Some(Fingerprint([
            about.dev().cast_signed(),
            about.ino().cast_signed(),
            about.len().cast_signed(),
            about.mtime(),
            about.mtime_nsec(),
            about.ctime(),
            about.ctime_nsec(),
        ]))
    }

    fn log(&self) -> PathBuf {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        log.into()
    }

    /// Says what a failure means.
    pub(super) fn tell(&self, failure: Failure) -> SpaceError {
        match failure {
            Failure::Sqlite(error) if is_of_wrong_bytes(&error) => self.unusable(error),
            Failure::Sqlite(error) => self.unavailable(error),
            Failure::Step(error) => self.unavailable(error),
            Failure::DoesNotOpen => self.unusable(
                "a value does not open with this session's key: the file is damaged, or of another session",
            ),
            Failure::Wrong(why) => self.unusable(why),
            Failure::Told(error) => error,
        }
    }

    /// The error that says that the bytes are wrong.
    pub(super) fn unusable(&self, why: impl std::fmt::Display) -> SpaceError {
        let path = self.path.display();
        SpaceError::Unusable {
            why: format!("{path}: {why}"),
        }
    }

    /// The error that says that the file cannot be used now.
    pub(super) fn unavailable(&self, why: impl std::fmt::Display) -> SpaceError {
        let path = self.path.display();
        SpaceError::Unavailable {
            why: format!("{path}: {why}"),
        }
    }
}

impl From<StoreError> for SpaceError {
    fn from(error: StoreError) -> Self {
        let why = error.to_string();
        match error {
            StoreError::Unusable { .. } => Self::Unusable { why },
            _ => Self::Unavailable { why },
        }
    }
}

/// What is wrong with the first bytes of a file. Only what SQLite never changes is looked at.
fn header_fault(header: &[u8]) -> Option<String> {
    let number = |at: usize| {
        let bytes = header
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_be_bytes)
    };
    if !header.starts_with(MAGIC) {
        return Some("it is not an SQLite database".to_owned());
    }
    if header.len() < HEADER {
        return Some("it is cut short".to_owned());
    }
    if number(68) != Some(APPLICATION) {
        return Some("it is an SQLite database, but no vault of wasessiond".to_owned());
    }
    match number(60) {
        Some(FORMAT) => {}
        Some(format) if format > FORMAT => {
            return Some(format!(
                "it was written by a newer wasessiond (format {format}, this one reads up to {FORMAT}); start \
                 the newer one again"
            ));
        }
        _ => return Some("its format is unknown: it is damaged".to_owned()),
    }
    // The size of a page, the versions of the format (WAL), the bytes reserved in a page.
    let [high, low] = PAGE.to_be_bytes();
    (header[16..21] != [high, low, 2, 2, 0]).then(|| "its header is damaged".to_owned())
}

/// The bytes of a vault without values.
fn blank(seal: &Seal) -> rusqlite::Result<Vec<u8>> {
    let memory = Connection::open_in_memory()?;
    memory.execute_batch(&format!(
        "PRAGMA page_size = {PAGE}; PRAGMA auto_vacuum = INCREMENTAL; \
         PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; {SCHEMA};"
    ))?;
    let identity = seal.seal_at(IDENTITY_PLACE, IDENTITY);
    table::put(&memory, IDENTITY_PLACE, &identity)?;
    let mut bytes = memory.serialize("main")?.to_vec();
    // A database in memory has no log; the file is to have one.
    if let Some(versions) = bytes.get_mut(18..20) {
        versions.fill(2);
    }
    Ok(bytes)
}

/// Makes sure that the file has the one table, and that the key is its own. This takes the lock.
fn fit(connection: &Connection, seal: &Seal) -> Result<(), Failure> {
    let mut about = connection.prepare("SELECT sql FROM sqlite_schema")?;
    let found = about.query_map([], |row| row.get::<_, Option<String>>(0))?;
    let found = found.collect::<Result<Vec<_>, _>>()?;
    // The index of the places has no words of its own.
    if found != [Some(SCHEMA.to_owned()), None] {
        return Err(Failure::Wrong(
            "its table is not that of a vault".to_owned(),
        ));
    }
    let identity = table::sealed(connection, IDENTITY_PLACE)?;
    let identity = identity.ok_or_else(|| Failure::Wrong("it has no identity".to_owned()))?;
    let opened = seal.open_at(IDENTITY_PLACE, &identity)?;
    if opened.as_slice() == IDENTITY {
        Ok(())
    } else {
        Err(Failure::DoesNotOpen)
    }
}

/// A file of up to so many bytes is checked as a whole when it is opened. A usual one has a hundredth of that. In
/// one that has grown far beyond, it would take seconds in which nothing else is done for the user, and a logout is
/// due; what is wrong in there shows when it is used.
const CHECKED: i64 = 16 << 20;

/// Checks everything: SQLite looks at every page and whether each value is found by its place, every value opens,
/// and the file can be written.
fn check(connection: &Connection, seal: &Seal) -> Result<(), Failure> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages * i64::from(PAGE) <= CHECKED {
        check_pages(connection)?;
        table::check(connection, seal, IDENTITY_PLACE)?;
    }
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
    Ok(())
}

fn check_pages(connection: &Connection) -> Result<(), Failure> {
    let check = "PRAGMA integrity_check(1)";
    let found: String = connection.query_row(check, [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let is_short = found.contains(&format!("error code={SHORT_READ}"));
    if !is_short && tells_of_the_disk(&found) {
        return Err(Failure::Step(std::io::Error::other(found)));
    }
    Err(Failure::Wrong(found))
}

/// Whether an error of SQLite says that the file's bytes are wrong. All statements are fixed, and so is the
/// table: what SQLite does not understand is in the file.
fn is_of_wrong_bytes(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;

    match error {
        // The file ends in the middle of a page.
        E::SqliteFailure(error, _) if error.extended_code == SHORT_READ => true,
        E::SqliteFailure(error, _) => matches!(
            error.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::SchemaChanged
                | ErrorCode::TypeMismatch
                | ErrorCode::ConstraintViolation
                | ErrorCode::Unknown
        ),
        E::InvalidColumnType(..)
        | E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..)
        | E::QueryReturnedNoRows => true,
        _ => false,
    }
}
