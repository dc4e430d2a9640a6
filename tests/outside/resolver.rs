//! A name server that never answers.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use wasessiond::protocol::{Cause, Unlink};

use crate::mounts;
use crate::skipped::skipped;
use crate::stage::{PHONE, Stage};
use crate::watchdog::Watchdog;

/// What a client waits for who asks for nothing that needs a name.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(3);

/// `logout.deadline`, and a moment for a busy machine.
pub(crate) const LOGOUT: Duration = Duration::from_secs(13);

/// It takes questions, and that is all.
struct MuteNameServer {
    socket: UdpSocket,
    command: Command,
}

impl MuteNameServer {
    /// Listens on an address of its own below 127.0.0.0/8. `None`: that cannot be had here, which was
    /// said.
    fn start(home: &Path) -> Option<Self> {
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 64 | a, b, c.max(1));
        let socket = match UdpSocket::bind((address, 53)) {
            Ok(socket) => socket,
            Err(error) => {
                skipped(&format!("a mute name server: {address} port 53: {error}"));
                return None;
            }
        };
        let asked = Some(Duration::from_mins(1));
        socket.set_read_timeout(asked).expect("a time-out");
        let resolver = home.join("resolv.conf");
        let text = format!("nameserver {address}\noptions timeout:30 attempts:5\n");
        fs::write(&resolver, text).expect("write");
        let switch = home.join("nsswitch.conf");
        let text = "passwd: files\ngroup: files\nhosts: files dns\n";
        fs::write(&switch, text).expect("write");
        let command = mounts::daemon(
            "a mute name server",
            "mount --bind \"$1\" /etc/resolv.conf
             if [ -e /etc/nsswitch.conf ]; then mount --bind \"$2\" /etc/nsswitch.conf; fi",
            &[&resolver, &switch],
        )?;
        Some(Self { socket, command })
    }

    /// Waits until somebody has asked it something.
    fn is_asked(&self) {
        self.socket.recv(&mut [0; 512]).expect("a question");
    }
}

/// Everything that needs no name is answered at once.
pub(crate) async fn answers_at_once(stage: &Stage) {
    let began = Instant::now();
    let asked = async {
        stage.client.ping().await.expect("ping");
        stage.client.list().await.expect("list");
        stage.client.info().await.expect("info");
        let _ = stage.client.status("nobody").await;
    };
    let answered = timeout(AT_ONCE, asked).await;
    assert!(answered.is_ok(), "no answer after {:?}", began.elapsed());
}

/// Sessions whose proxy has a name that nobody resolves wait for it; the watchdog, the socket and a
/// logout do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_never_answers_holds_up_only_who_asks_it() {
    const WAITING: usize = 40;
    let mut stage = Stage::set().await;
    let Some(server) = MuteNameServer::start(stage.dir.path()) else {
        return;
    };
    stage.pair("alice", PHONE).await;
    stage.pair("bob", "15550001002").await;
    stage.stop();
    let config = stage.dir.path().join("config.toml");
    let text = fs::read_to_string(&config).expect("read");
    let proxy = "proxy = \"http://proxy.example:3128\"\n[sessions]\nmax = 1000\n";
    fs::write(&config, format!("{text}{proxy}")).expect("write");

    let MuteNameServer { socket, command } = server;
    let server = MuteNameServer {
        socket,
        command: Command::new("true"),
    };
    let mut watchdog = Watchdog::start(&mut stage, command).await;
    tokio::task::block_in_place(|| server.is_asked());
    for n in 0..WAITING {
        let user = format!("user{n}");
        let begun = timeout(AT_ONCE, stage.client.connect_session(&user, None)).await;
        begun.expect("an answer at once").expect("connect");
    }
    answers_at_once(&stage).await;
    watchdog.is_fed(2).await;
    for user in ["alice", "bob"] {
        let began = Instant::now();
        let report = timeout(LOGOUT, stage.client.force_logout(user)).await;
        let report = report.expect("an answer by the deadline");
        let report = report.expect("force-logout");
        assert_eq!(report.entry.unlink, Unlink::Unreachable);
        assert_eq!(report.entry.cause, Cause::ForceLogout);
        assert_eq!(
            stage.of_user_on_disk(user),
            [""; 0],
            "{:?}",
            began.elapsed()
        );
        answers_at_once(&stage).await;
    }
    watchdog.is_fed(2).await;
    // A stop waits for none of them.
    tokio::task::block_in_place(|| stage.stop());
}
