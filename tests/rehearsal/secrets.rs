//! No secret leaves: everything that a daemon writes while sessions live and end in every way, at the
//! most talkative log level, searched for every secret that is known. Its files are searched for accounts, too.

pub(crate) mod disk;
pub(crate) mod hunt;
mod journal;
mod life;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Command;

use crate::daemon::PROGRAM;
use crate::skipped::skipped;
use crate::stage::Stage;
use life::live;

const TALKATIVE: &str = "[log]\nfilter = \"trace\"\n[logout]\nunlink_timeout = \"2s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn reach_no_log_line_and_nothing_that_is_shown_to_everybody() {
    let mut stage = Stage::with(TALKATIVE).await;
    let life = live(&mut stage, || Command::new(PROGRAM)).await;
    stage.stop();
    let log = stage.log();
    for told in ["DEBUG", "online as", "logging out", "nothing of it is left"] {
        assert!(log.contains(told), "the log tells nothing of {told:?}");
    }
    println!(
        "{} KiB of log and {} outputs, searched for {} forms of {} secrets",
        log.len() / 1024,
        life.said.len(),
        life.hunt.forms(),
        life.hunt.secrets()
    );
    life.hunt.assert_none("the log", log.as_bytes());
    for (what, said) in &life.said {
        life.hunt.assert_none(what, said.as_bytes());
    }
}

/// Where stderr is the journal, entries with fields go to its socket.
#[tokio::test(flavor = "multi_thread")]
async fn reach_no_entry_of_the_journal() {
    let Some(journal) = journal::Journal::open() else {
        skipped("the journal: this user may make no mount namespace, so its socket is not ours");
        return;
    };
    let mut stage = Stage::launch(TALKATIVE, journal.command()).await;
    let life = live(&mut stage, || journal.command()).await;
    stage.stop();
    let entries = journal.close();
    let all = String::from_utf8_lossy(&entries);
    for told in ["WASESSION_USER", "WASESSION_CAUSE", "online as"] {
        assert!(all.contains(told), "the journal tells nothing of {told:?}");
    }
    println!("{} KiB of entries", entries.len() / 1024);
    life.hunt.assert_none("the journal", &entries);
    life.hunt.assert_none("stderr", stage.log().as_bytes());
}

/// Everything below the state directory is its owner's alone, and so is the socket's directory entry
/// but for its group.
fn assert_private(stage: &Stage) {
    let mut pending = vec![stage.state()];
    let mut files = 0;
    while let Some(path) = pending.pop() {
        // What SQLite just removed is no matter.
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        let mode = meta.permissions().mode() & 0o7777;
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("read").flatten();
            pending.extend(entries.map(|entry| entry.path()));
        } else {
            files += 1;
        }
    }
    assert!(files >= 2, "there is something to look at");
    let socket = stage.dir.path().join("control.sock");
    let meta = fs::symlink_metadata(&socket).expect("the socket");
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o7777, 0o660);
}
