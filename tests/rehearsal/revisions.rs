//! A client of another revision of bincode, at the real daemon: they speak JSON, and everything works.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use wasessiond::client::{Client, FollowItem, Options};
use wasessiond::protocol::codec::Encoding;
use wasessiond::protocol::preface::BINCODE_REVISION;
use wasessiond::protocol::{Cause, Phase, TargetEdit, Unlink};

use crate::stage::{PATIENCE, PHONE, Stage};

/// A way to the daemon on which each client that speaks bincode says another revision than its own.
struct Way {
    path: PathBuf,
    changed: Arc<AtomicUsize>,
    listening: AbortHandle,
}

impl Way {
    fn to(stage: &Stage) -> Self {
        let path = stage.dir.path().join("way.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let daemon = stage.dir.path().join("control.sock");
        let changed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&changed);
        let listening = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                let (daemon, count) = (daemon.clone(), Arc::clone(&count));
                tokio::spawn(async move { pass_on(client, &daemon, &count).await });
            }
        });
        Self {
            path,
            changed,
            listening: listening.abort_handle(),
        }
    }

    /// How many prefaces it has changed.
    fn changed(&self) -> usize {
        self.changed.load(Ordering::SeqCst)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Passes on what both sides say. A client whose daemon is away is left alone: its connection ends.
async fn pass_on(mut client: UnixStream, daemon: &Path, changed: &AtomicUsize) {
    let Ok(mut daemon) = UnixStream::connect(daemon).await else {
        return;
    };
    let length = client.read_u32().await.expect("a length");
    let mut preface = vec![0; usize::try_from(length).expect("a short preface")];
    client.read_exact(&mut preface).await.expect("a preface");
    let said = String::from_utf8(preface).expect("text");
    let ours = format!("bincode/{BINCODE_REVISION}");
    if said.contains(&ours) {
        changed.fetch_add(1, Ordering::SeqCst);
    }
    let said = said.replace(&ours, &format!("bincode/{}", BINCODE_REVISION + 1));
    let length = u32::try_from(said.len()).expect("a short preface");
    let frame = [&length.to_be_bytes(), said.as_bytes()].concat();
    daemon.write_all(&frame).await.expect("passed on");
    // However it ends, it has ended.
    let _ = copy_bidirectional(&mut client, &mut daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_another_revision_does_all_of_its_work() {
    let mut stage = Stage::set().await;
    let way = Way::to(&stage);
    let client = Client::connect(&way.path, Options::default()).await;
    let client = client.expect("it is connected");
    assert_eq!(client.encoding(), Encoding::Json);
    assert_eq!(way.changed(), 1);
    assert_eq!(stage.client.encoding(), Encoding::Bincode);

    // From here on everything that the stage does goes this way.
    stage.watch = client
        .watch(Vec::<String>::new(), None)
        .await
        .expect("a watch");
    stage.client = client;
    let device = stage.pair("alice", PHONE).await;
    let groups = stage.client.groups("alice").await.expect("groups");
    let chosen = vec![groups[0].jid.to_string()];
    let targets = stage.client.targets("alice", TargetEdit::Set(chosen)).await;
    assert_eq!(targets.expect("targets"), [groups[0].jid.clone()]);
    assert_eq!(stage.until("alice", Phase::Online).await.targets.len(), 1);
    stage.sim.unlink(&device).await.expect("unlink");
    let ended = stage.ended("alice").await;
    assert_eq!((ended.cause, ended.removed.targets), (Cause::Unlinked, 1));
    stage
        .assert_gone("alice", Cause::Unlinked, Unlink::NotLinked)
        .await;
    stage.connect("alice").await;
    stage.qr("alice").await;
    stage.client.force_logout("alice").await.expect("a logout");
    stage.ended("alice").await;
}

/// A follower meets the next daemon in the same way.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_another_revision_survives_a_restart() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let way = Way::to(&stage);
    let client = Client::connect(&way.path, Options::default()).await;
    let client = client.expect("it is connected");
    let mut follow = client.follow(["alice"], None).await.expect("it follows");
    stage.stop();
    stage.start().await;
    let mut states = 0;
    while states < 2 {
        let item = timeout(PATIENCE, follow.next()).await;
        if let FollowItem::State(state) = item.expect("in time").expect("it goes on") {
            assert_eq!(state.sessions().count(), 1);
            states += 1;
        }
    }
    assert_eq!(follow.client().encoding(), Encoding::Json);
    assert!(way.changed() >= 2, "{}", way.changed());
}

#[cfg(feature = "ctl")]
#[tokio::test(flavor = "multi_thread")]
async fn wactl_of_another_revision_works() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let way = Way::to(&stage);
    for (words, tells) in [
        (&["status", "alice"][..], "\"phase\":\"online\""),
        (&["list"], "\"alice\""),
        (&["disconnect", "alice"], "\"phase\":\"disconnected\""),
        (
            &["force-logout", "alice", "--yes"],
            "\"cause\":\"force_logout\"",
        ),
        (&["history"], "\"force_logout\""),
    ] {
        let mut wactl = Command::new(env!("CARGO_BIN_EXE_wactl"));
        wactl
            .arg("--socket")
            .arg(&way.path)
            .arg("--json")
            .args(words);
        let ran = tokio::task::spawn_blocking(move || wactl.output()).await;
        let ran = ran.expect("no panic").expect("it runs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(
            ran.status.success() && said.contains(tells),
            "{words:?}: {said}"
        );
    }
    assert_eq!(way.changed(), 5);
}
