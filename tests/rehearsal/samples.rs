//! State directories of former versions, each with the simulator that its sessions are linked to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use diesel::prelude::*;
use tempfile::TempDir;
use wasessiond::protocol::{Cause, Phase};
use wasessiond::store::Step;

use crate::daemon::{Daemon, PROGRAM, failing};
use crate::secrets::disk::{add_account, assert_sealed};
use crate::secrets::hunt::Hunt;
use crate::stage::Stage;

const ALICE: &str = "15550001001:1@s.whatsapp.net";
const DORA: &str = "15550001003:1@s.whatsapp.net";
const BOB: &str = "15550001002:1@s.whatsapp.net";
const GROUP: &str = "1203630155500010011@g.us";

/// Whose accounts the sample names in clear.
fn accounts() -> Hunt {
    let mut hunt = Hunt::default();
    for device in [ALICE, BOB, DORA] {
        add_account(&mut hunt, device);
    }
    hunt.add("a group", GROUP);
    hunt
}

/// A directory with a copy of the sample, as private as the daemon keeps it.
fn restored() -> TempDir {
    let home = tempfile::tempdir().expect("make a directory");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/state-v1");
    copy(&sample, home.path());
    home
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the sample") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            fs::create_dir(&to).expect("make a directory");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o700)).expect("permissions");
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copy");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("permissions");
        }
    }
}

async fn stage(home: TempDir) -> Stage {
    let sim = simulator(&home).await;
    Stage::found(sim, home, "", Command::new(PROGRAM)).await
}

async fn simulator(home: &TempDir) -> wasim::Server {
    let options = wasim::Options {
        state: Some(home.path().join("simulator.json")),
        ..wasim::Options::default()
    };
    let sim = wasim::Server::start(options).await;
    sim.expect("start the simulator")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_version_1_come_online_without_a_qr_code() {
    let mut stage = stage(restored()).await;
    // Nobody scans anything, so nobody is online but with the keys of the sample.
    let alice = stage.until("alice", Phase::Online).await;
    assert_eq!(alice.account.expect("an account").jid, ALICE);
    let targets: Vec<_> = alice.targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, [GROUP]);
    let dora = stage.client.status("dora").await.expect("dora");
    assert_eq!(dora.phase, Phase::Disconnected);
    let connected = stage.client.connect_session("dora", None).await;
    connected.expect("connect");
    let dora = stage.until("dora", Phase::Online).await;
    assert_eq!(dora.account.expect("an account").jid, DORA);
    let history = stage.client.history(None, None).await.expect("the history");
    let ended: Vec<_> = history
        .iter()
        .map(|entry| (entry.user.as_str(), entry.cause))
        .collect();
    assert_eq!(ended, [("bob", Cause::Unlinked)]);
    assert_sealed(&accounts(), &stage.state());

    // What this version makes of it loads again, and ends as any session.
    stage.stop();
    stage.start().await;
    stage.until("alice", Phase::Online).await;
    stage.sim.unlink(ALICE).await.expect("unlink");
    assert_eq!(stage.ended("alice").await.cause, Cause::Unlinked);
}

/// Whether a file of the former layout is left in anybody's directory.
fn is_former(stage: &Stage) -> bool {
    let is_left = |user| {
        let entries = fs::read_dir(stage.session_dir(user)).expect("her directory");
        let mut names = entries.map(|entry| entry.expect("an entry").file_name());
        names.any(|name| name.to_string_lossy().starts_with("auth.db"))
    };
    ["alice", "dora"].into_iter().any(is_left)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_a_takeover_costs_no_session() {
    for step in TAKEOVER {
        for moment in ["before", "after"] {
            let home = restored();
            let point = format!("{}:{moment}=return(kill)", step.as_str());
            let sim = simulator(&home).await;
            let endpoint = format!("[whatsapp]\nendpoint = {:?}\n", sim.url());
            fs::write(home.path().join("config.toml"), endpoint).expect("write");
            // It may die before it is ready, or after.
            if let Ok(daemon) = Daemon::attempt(home.path(), failing(&point)) {
                assert_eq!(daemon.wait().signal(), Some(9), "{point}");
            }
            let mut stage = Stage::found(sim, home, "", Command::new(PROGRAM)).await;
            let alice = stage.until("alice", Phase::Online).await;
            assert_eq!(alice.account.expect("an account").jid, ALICE, "{point}");
            // Taken over at the start, though she is not to connect.
            let dora = stage.until("dora", Phase::Disconnected).await;
            assert_eq!(dora.account.expect("an account").jid, DORA, "{point}");
            assert!(!is_former(&stage), "{point}");
            let connected = stage.client.connect_session("dora", None).await;
            connected.expect("connect");
            stage.until("dora", Phase::Online).await;
            assert_sealed(&accounts(), &stage.state());
        }
    }
}

/// The steps of a takeover: of the history, then of the first session.
const TAKEOVER: [Step; 25] = [
    Step::MasterWrite,
    Step::MasterSync,
    Step::MasterRename,
    Step::MasterSyncDir,
    Step::KeyWrite,
    Step::KeySync,
    Step::KeyRename,
    Step::KeySyncDir,
    Step::VaultWrite,
    Step::VaultSync,
    Step::VaultRename,
    Step::VaultSyncDir,
    Step::VaultChange,
    Step::VaultCommit,
    Step::FormerRename,
    Step::FormerSync,
    Step::ShortenWrite,
    Step::ShortenSync,
    Step::ShortenRename,
    Step::ShortenSyncDir,
    Step::Shred,
    Step::RecordWrite,
    Step::RecordSync,
    Step::RecordRename,
    Step::RecordSyncDir,
];

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_newer_version_are_refused_and_kept() {
    let home = restored();
    let file = home.path().join("state/sessions/alice/auth.db");
    let mut connection =
        SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("open it");
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
    diesel::sql_query(newer)
        .execute(&mut connection)
        .expect("a newer schema");
    drop(connection);
    let before = fs::read(&file).expect("read");
    let mut stage = stage(home).await;
    let status = stage.until("alice", Phase::StoreCorrupt).await;
    let error = status.error.expect("why");
    assert!(error.contains("a newer wasessiond"), "{error}");
    stage.stop();
    assert_eq!(fs::read(&file).expect("read"), before);
}
