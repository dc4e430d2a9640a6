//! A user database, a directory service perhaps, that does not answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::unistd::{Gid, Group, Uid, geteuid, setgid, setgroups, setuid};
use tokio::time::timeout;
use wasessiond::client::{Client, Options};
use wasessiond::protocol::Unlink;

use crate::daemon::PROGRAM;
use crate::preloaded::{are_made, compile};
use crate::resolver::{AT_ONCE, LOGOUT, answers_at_once};
use crate::skipped::skipped;
use crate::stage::{PATIENCE, PHONE, Stage};
use crate::watchdog::Watchdog;

const UID: &str = "WASESSIOND_TEST_UID";
const SOCKET: &str = "WASESSIOND_TEST_SOCKET";

/// More than any number of look-ups that might be made at a time.
const CLIENTS: u32 = 20;

/// This program once more, as another user of the machine, who connects and pings.
fn neighbour(uid: u32, socket: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "accounts::what_a_neighbour_does"])
        .env(UID, uid.to_string())
        .env(SOCKET, socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a neighbour")
}

/// Not a test: where a neighbour's process begins. In every other process it does nothing.
#[tokio::test]
async fn what_a_neighbour_does() {
    let (Ok(uid), Some(socket)) = (std::env::var(UID), std::env::var_os(SOCKET)) else {
        return;
    };
    let uid = uid.parse().expect("a uid");
    setgroups(&[]).expect("no groups");
    setgid(Gid::from_raw(uid)).expect("a group");
    setuid(Uid::from_raw(uid)).expect("a uid");
    let options = Options {
        connect_timeout: PATIENCE,
        ..Options::default()
    };
    let client = Client::connect(Path::new(&socket), options)
        .await
        .expect("join");
    client.ping().await.expect("ping");
}

/// Those whose groups decide what they may do wait for the user database. Admins do not, nor does what
/// is done for the sessions.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_database_that_hangs_holds_up_only_who_is_looked_up() {
    if !geteuid().is_root() {
        skipped("a user database that hangs: only root can start processes of other users");
        return;
    }
    let group = Group::from_gid(Gid::from_raw(0)).ok().flatten();
    let Some(group) = group else {
        skipped("a user database that hangs: group 0 has no name");
        return;
    };
    let config = format!(
        "[socket]\nmode = \"0666\"\n[access]\nadmins = [\"@{}\"]\n",
        group.name
    );
    let mut stage = Stage::with(&config).await;
    let home = stage.dir.path().to_owned();
    let Some(object) = compile(include_str!("accounts.c"), &home) else {
        return;
    };
    stage.pair("alice", PHONE).await;
    stage.stop();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o711)).expect("a mode");

    let (hang, calls) = (home.join("hang"), home.join("calls"));
    let mut command = Command::new(PROGRAM);
    command
        .env("LD_PRELOAD", object)
        .env("WASESSIOND_TEST_HANG", &hang)
        .env("WASESSIOND_TEST_CALLS", &calls);
    let mut watchdog = Watchdog::start(&mut stage, command).await;
    fs::write(&hang, "").expect("write");
    let socket = home.join("control.sock");
    let mut neighbours: Vec<_> = (0..CLIENTS)
        .map(|n| neighbour(61_100 + n, &socket))
        .collect();
    tokio::task::block_in_place(|| are_made(&calls, 1));
    answers_at_once(&stage).await;
    watchdog.is_fed(2).await;

    // Admins join, and are served.
    let root = timeout(AT_ONCE, Client::connect(&socket, Options::default())).await;
    let root = root.expect("a welcome at once").expect("join");
    timeout(AT_ONCE, root.ping())
        .await
        .expect("at once")
        .expect("ping");
    stage
        .until("alice", wasessiond::protocol::Phase::Online)
        .await;
    let report = timeout(LOGOUT, stage.client.force_logout("alice")).await;
    let report = report.expect("in time").expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    stage.pair("bob", "15550001002").await;
    watchdog.is_fed(2).await;

    fs::remove_file(&hang).expect("remove");
    let last = neighbour(61_100 + CLIENTS, &socket);
    neighbours.push(last);
    let ended = tokio::task::block_in_place(|| {
        let waited = neighbours
            .iter_mut()
            .map(|child| child.wait().expect("it ended"));
        waited.collect::<Vec<_>>()
    });
    let last = ended.last().expect("the last");
    assert!(
        last.success(),
        "nobody is let in when the database answers again"
    );
}
