//! The credentials file of a former layout, `auth.db`: whether it is there, whole, and of a known version.
//! Its contents are taken over into the vault; then it is destroyed.
//!
//! **Unusable is not absent, and not "cannot be opened now".** SQLite would take an empty file for a new
//! database, and the library would put a new identity into it; so the file is looked at first. The file is
//! [unusable](CredentialsError::Unusable) only where its bytes are wrong. A full disk, a missing permission
//! or a lock is an [obstacle](CredentialsError::Unavailable), whatever SQLite's message says.
//!
//! The connection of an open session holds an exclusive lock on the file. Another program can read the
//! file after a `disconnect`, or in a copy.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::prelude::*;

use super::credentials::CredentialsError;
use super::shred;
use super::step::Step;
use super::{StoreError, durable};

/// The newest migration that this version knows. Without this check it would write into a file that a
/// newer version has changed.
const NEWEST_SCHEMA: &str = "20260703000001";

/// The name of the file.
pub(super) const FILE: &str = "auth.db";

/// The file of credentials that are in the vault now, until it is destroyed: it is no credentials any more.
const TAKEN: &str = "auth.db.taken";

/// Second names of its logs. SQLite removes a log when it closes the file, and keys in clear are in it.
const LOGS: [&str; 2] = ["auth.db-wal.1", "auth.db-wal.2"];

/// Everything that there can be.
const PARTS: [&str; 6] = ["auth.db-wal", "auth.db-shm", LOGS[0], LOGS[1], FILE, TAKEN];

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where the credentials of one session lie.
#[derive(Debug, Clone)]
pub struct Former {
    path: PathBuf,
}

/// The kind of the file, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// There is none.
    Missing,
    /// Nothing was ever written into it.
    Empty,
    /// A database.
    Database,
}

impl Former {
    /// The credentials in this file.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The error that says that they are unusable.
    #[must_use]
    pub fn unusable(&self, why: impl Into<String>) -> CredentialsError {
        CredentialsError::Unusable {
            path: self.path.clone(),
            why: why.into(),
        }
    }

    /// The error that says that they cannot be opened now.
    #[must_use]
    pub fn unavailable(&self, why: impl Into<String>) -> CredentialsError {
        CredentialsError::Unavailable {
            path: self.path.clone(),
            why: why.into(),
        }
    }

    /// Gives the log, if there is one, a second name, so that its bytes can be destroyed when SQLite has removed
    /// it. There are two logs in a takeover: that of the former version, and the takeover's own. Blocks.
    pub fn keep_log(&self) {
        let dir = durable::parent(&self.path);
        let log = dir.join(PARTS[0]);
        for name in LOGS {
            match fs::hard_link(&log, dir.join(name)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                // Where it fails, the log is only removed.
                Ok(()) | Err(_) => return,
            }
        }
    }

    /// Destroys the file and its logs, whose contents are in the vault now: they are overwritten with noise and
    /// removed. Nobody may have them open. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`Former::finish`] goes on.
    pub fn destroy(&self) -> Result<(), StoreError> {
        let dir = durable::parent(&self.path);
        let taken = dir.join(TAKEN);
        // From here on nobody takes half a file for credentials.
        match Step::FormerRename.take(|| fs::rename(&self.path, &taken)) {
            // A crash came after it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|e| StoreError::unavailable("rename", &self.path, e))?,
        }
        durable::sync_dir(dir, Step::FormerSync)?;
        self.finish()
    }

    /// Goes on with a [destruction](Former::destroy) that a crash broke off. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub fn finish(&self) -> Result<(), StoreError> {
        let dir = durable::parent(&self.path);
        if dir.join(TAKEN).symlink_metadata().is_err() {
            return Ok(());
        }
        // The one that says that there is something to destroy comes last.
        let mut others = PARTS.iter().filter(|part| **part != FILE);
        others.try_for_each(|part| shred::file(&dir.join(part)))
    }

    /// Whether the file, or one that was not destroyed, is there, or something that may be one. Blocks.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let dir = durable::parent(&self.path);
        [FILE, TAKEN].iter().any(|name| {
            let looked = dir.join(name).symlink_metadata();
            !looked.is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
        })
    }

    /// Looks at the beginning of the file. Blocks.
    ///
    /// # Errors
    /// [`CredentialsError`] when it cannot be a database, or cannot be read.
    pub fn contents(&self) -> Result<Contents, CredentialsError> {
        let read = self
            .read_head()
            .map_err(|e| self.unavailable(e.to_string()));
        let head = match read? {
            Head::Missing => return Ok(Contents::Missing),
            Head::NoFile => return Err(self.unusable("it is not a file")),
            Head::Bytes(head) => head,
        };
        if head == MAGIC {
            return Ok(Contents::Database);
        }
        if !head.is_empty() {
            return Err(self.unusable("it is not an SQLite database"));
        }
        // An empty file is fine where the first transaction of the database is still in the log.
        let log = self.path.with_extension("db-wal");
        match fs::metadata(log) {
            Ok(meta) if meta.len() > 0 => Ok(Contents::Database),
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.unavailable(e.to_string())),
            _ => Ok(Contents::Empty),
        }
    }

    fn read_head(&self) -> io::Result<Head> {
        // Reading a pipe in the file's place would wait for ever.
        let opened = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Head::Missing),
            Err(e) => return Err(e),
        };
        if !file.metadata()?.is_file() {
            return Ok(Head::NoFile);
        }
        let mut head = Vec::with_capacity(MAGIC.len());
        file.take(MAGIC.len() as u64).read_to_end(&mut head)?;
        Ok(Head::Bytes(head))
    }

    /// Checks whether a database that is there can be used: SQLite looks at every page (milliseconds for
    /// the few hundred KiB of a session), the version must be known, and the file must be writable. Waits
    /// at most `patience` for another process's lock. Blocks.
    ///
    /// # Errors
    /// [`CredentialsError`]; the file is left as it is.
    pub fn check(&self, patience: Duration) -> Result<(), CredentialsError> {
        let mut connection = self.open_checked(patience)?;
        if let Some(newest) = newest_migration(&mut connection).map_err(|e| self.obstacle(&e))?
            && newest.as_str() > NEWEST_SCHEMA
        {
            return Err(self.unusable(format!(
                "it was written by a newer wasessiond (schema {newest}, this one reads up to \
                 {NEWEST_SCHEMA}); start the newer one again"
            )));
        }
        for statement in ["BEGIN IMMEDIATE", "ROLLBACK"] {
            run(&mut connection, statement).map_err(|e| self.obstacle(&e))?;
        }
        Ok(())
    }

    /// Says what it means that the library could not open or read the file. The bytes decide, and are looked
    /// at again. The words of the library's error do not: that of a migration hides a full disk. Blocks.
    #[must_use]
    pub fn diagnose(&self, why: String) -> CredentialsError {
        match self.contents() {
            Ok(Contents::Database) => match self.open_checked(Duration::ZERO) {
                Err(unusable @ CredentialsError::Unusable { .. }) => unusable,
                Ok(_) | Err(_) => self.unavailable(why),
            },
            Ok(Contents::Missing | Contents::Empty) => self.unavailable(why),
            Err(error) => error,
        }
    }

    /// Opens a connection, and lets SQLite look at every page.
    fn open_checked(&self, patience: Duration) -> Result<SqliteConnection, CredentialsError> {
        let path = self.path.to_str();
        let url = path.ok_or_else(|| self.unavailable("the path is not UTF-8"))?;
        let established = SqliteConnection::establish(url);
        let mut connection = established.map_err(|e| self.obstacle(&e))?;
        set_up(&mut connection, patience).map_err(|e| self.obstacle(&e))?;
        let check = diesel::sql_query("PRAGMA quick_check(1)").get_result::<Check>(&mut connection);
        let check = check.map_err(|e| self.obstacle(&e))?;
        match check.quick_check.as_str() {
            "ok" => Ok(connection),
            why if tells_of_the_disk(why) => Err(self.unavailable(why)),
            why => Err(self.unusable(why)),
        }
    }

    /// Says what an error of SQLite means. SQLite has two messages for wrong bytes.
    fn obstacle(&self, error: &dyn std::error::Error) -> CredentialsError {
        let why = error.to_string();
        if why.contains("malformed") || why.contains("not a database") {
            self.unusable(why)
        } else {
            self.unavailable(why)
        }
    }
}

/// Whether SQLite's check of the pages found one that the disk did not deliver. SQLite reports that in the
/// same way as a wrong page.
pub(super) fn tells_of_the_disk(found: &str) -> bool {
    /// SQLite's two codes for wrong bytes; the lowest eight bits of its longer codes are one of these.
    const WRONG_BYTES: [u32; 2] = [11, 26];
    let code = found.split("unable to get the page. error code=").nth(1);
    match code.map(|rest| rest.chars().take_while(char::is_ascii_digit)) {
        Some(code) => {
            let code = code.collect::<String>().parse::<u32>();
            code.is_ok_and(|code| !WRONG_BYTES.contains(&(code & 0xff)))
        }
        // Of a page whose number is right.
        None => found.contains("failed to get page"),
    }
}

/// Whether a file of this name is one of the parts.
pub(super) fn is_part(name: &str) -> bool {
    PARTS.contains(&name)
}

enum Head {
    Missing,
    NoFile,
    Bytes(Vec<u8>),
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

/// Sets up a connection to credentials, before anything else is done with it.
///
/// The exclusive locking mode keeps SQLite from mapping the index of its log into memory: on a full disk
/// with small blocks a write to such memory is a SIGBUS, which would end all sessions. It also keeps every
/// other program from reading the file while the connection is open.
///
/// # Errors
/// SQLite's.
pub(crate) fn set_up(connection: &mut SqliteConnection, patience: Duration) -> QueryResult<()> {
    run(connection, "PRAGMA locking_mode = EXCLUSIVE")?;
    run(
        connection,
        &format!("PRAGMA busy_timeout = {}", patience.as_millis()),
    )
}

fn run(connection: &mut SqliteConnection, statement: &str) -> QueryResult<()> {
    diesel::sql_query(statement).execute(connection).map(drop)
}

/// The newest migration that was done on a file; `None` when the first was not.
fn newest_migration(connection: &mut SqliteConnection) -> QueryResult<Option<String>> {
    let mut ask = |statement: &str| {
        let answer = diesel::sql_query(statement).get_result::<Schema>(connection);
        answer.map(|row| row.newest)
    };
    let table = ask(
        "SELECT max(name) AS newest FROM sqlite_master WHERE name = '__diesel_schema_migrations'",
    )?;
    match table {
        Some(_) => ask("SELECT max(version) AS newest FROM __diesel_schema_migrations"),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// A database with a table, and where it is.
    fn database(dir: &Path) -> Former {
        let credentials = Former::new(dir.join("auth.db"));
        let url = credentials.path().to_str().expect("UTF-8").to_owned();
        let mut connection = SqliteConnection::establish(&url).expect("open");
        for statement in [
            "PRAGMA journal_mode = WAL",
            "CREATE TABLE device (id INTEGER PRIMARY KEY, key BLOB)",
            "INSERT INTO device (key) VALUES (zeroblob(20000))",
        ] {
            run(&mut connection, statement).expect(statement);
        }
        credentials
    }

    #[test]
    fn only_wrong_bytes_are_unusable_whatever_the_words_of_an_error_say() {
        let dir = tempfile::tempdir().expect("tempdir");
        let credentials = database(dir.path());
        for why in [
            "Failed to run 2026_migration: database or disk is full",
            "migration error: no such table: device",
            "database disk image is malformed",
        ] {
            let error = credentials.diagnose(why.to_owned());
            let obstacle = matches!(error, CredentialsError::Unavailable { .. });
            assert!(obstacle, "{why}: {error}");
        }
        credentials.check(PATIENCE).expect("it is whole");
        let whole = fs::read(credentials.path()).expect("read");
        let mut scrambled = whole.clone();
        scrambled[100..].fill(0xa5);
        for bytes in [&scrambled[..], &whole[..whole.len() / 2], b"no database"] {
            fs::write(credentials.path(), bytes).expect("write");
            let error = credentials.diagnose("locked".to_owned());
            let unusable = matches!(error, CredentialsError::Unusable { .. });
            assert!(unusable, "{error}");
            assert_eq!(fs::read(credentials.path()).expect("read"), bytes);
        }
    }

    #[test]
    fn a_page_that_the_disk_does_not_give_is_no_wrong_page() {
        for (found, of_the_disk) in [
            ("Tree 3 page 5: unable to get the page. error code=10", true),
            (
                "Tree 3 page 5: unable to get the page. error code=266",
                true,
            ),
            (
                "Tree 3 page 5: unable to get the page. error code=11",
                false,
            ),
            ("Tree 3 page 5 cell 1: failed to get page 7", true),
            (
                "Tree 3 page 5: btreeInitPage() returns error code 11",
                false,
            ),
            ("Tree 3 page 5 cell 1: invalid page number 70000", false),
            ("row 1 missing from index device_key", false),
        ] {
            assert_eq!(tells_of_the_disk(found), of_the_disk, "{found}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_no_corruption() {
        let dir = tempfile::tempdir().expect("tempdir");
        let credentials = Former::new(dir.path().join("auth.db"));
        assert_eq!(credentials.contents().expect("nothing"), Contents::Missing);
        // What a try on a full disk leaves.
        fs::write(credentials.path(), b"").expect("write");
        assert_eq!(credentials.contents().expect("empty"), Contents::Empty);
        let error = credentials.diagnose("disk is full".to_owned());
        assert!(
            matches!(error, CredentialsError::Unavailable { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_pipe_and_a_directory_are_told_at_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        for (name, made) in [
            (
                "pipe",
                nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU),
            ),
            (
                "dir",
                nix::unistd::mkdir(&dir.path().join("dir"), nix::sys::stat::Mode::S_IRWXU),
            ),
        ] {
            made.expect(name);
            let error = Former::new(dir.path().join(name)).contents();
            let unusable = matches!(error, Err(CredentialsError::Unusable { .. }));
            assert!(unusable, "{name}: {error:?}");
        }
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().expect("tempdir");
        let credentials = database(dir.path());
        let url = credentials.path().to_str().expect("UTF-8").to_owned();
        let mut connection = SqliteConnection::establish(&url).expect("open");
        for statement in [
            "CREATE TABLE __diesel_schema_migrations (version TEXT)",
            "INSERT INTO __diesel_schema_migrations VALUES ('20990101000000')",
        ] {
            run(&mut connection, statement).expect(statement);
        }
        drop(connection);
        let before = fs::read(credentials.path()).expect("read");
        let error = credentials.check(PATIENCE).expect_err("a newer one");
        assert!(
            matches!(&error, CredentialsError::Unusable { why, .. } if why.contains("a newer wasessiond")),
            "{error}"
        );
        assert_eq!(fs::read(credentials.path()).expect("read"), before);
    }

    #[test]
    fn nothing_is_mapped_into_memory() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().canonicalize().expect("path");
        let credentials = database(&path);
        let mut connection = credentials.open_checked(PATIENCE).expect("it opens");
        run(
            &mut connection,
            "INSERT INTO device (key) VALUES (zeroblob(9))",
        )
        .expect("a write");
        let maps = fs::read_to_string("/proc/self/maps").expect("maps");
        let mapped = maps
            .lines()
            .find(|line| line.contains(&*path.to_string_lossy()));
        assert_eq!(mapped, None);
    }
}
