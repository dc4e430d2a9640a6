//! The accept loop on real sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::daemon::harness::Harness;
use crate::daemon::in_force::InForce;

struct House {
    harness: Harness,
    path: PathBuf,
    liveness: LivenessProbe,
    listening: JoinHandle<()>,
    _directory: TempDir,
}

/// A daemon that allows so many connections of one uid.
async fn house(limit: usize) -> House {
    let harness = Harness::new().await;
    let present = harness.daemon.in_force();
    let mut config = present.config.clone();
    config.access.max_connections_per_uid = limit;
    harness.daemon.replace(InForce {
        policy: present.policy.clone(),
        origins: present.origins.clone(),
        config,
    });
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s");
    let socket = ControlSocket::bind(
        &path,
        &present.config.socket,
        &harness.daemon.rooms().accounts,
    )
    .await;
    let (listener, liveness) = Listener::new(socket.expect("a socket"), harness.daemon.clone());
    let listening = tokio::spawn(listener.run(harness.stop.clone()));
    House {
        harness,
        path,
        liveness,
        listening,
        _directory: directory,
    }
}

impl House {
    /// Connects, says hello, and reads what the daemon says to it.
    async fn welcome(&self) -> (StdStream, Welcome) {
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let mut stream = StdStream::connect(path).expect("it listens");
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .expect("a timeout");
            // Who is turned away may be so before this arrives.
            let _ = stream.write_all(b"\0\0\0\x10wasession/1 json");
            let mut head = [0; 4];
            stream.read_exact(&mut head).expect("a frame");
            let length = usize::try_from(u32::from_be_bytes(head)).expect("a length");
            let mut frame = vec![0; length];
            stream.read_exact(&mut frame).expect("a frame");
            (stream, Welcome::parse(&frame).expect("a preface"))
        });
        asked.await.expect("no panic")
    }
}

#[tokio::test]
async fn a_uid_has_its_limit_and_gets_its_places_back() {
    let house = house(2).await;
    let (first, welcome) = house.welcome().await;
    assert!(matches!(welcome, Welcome::Ok(_)));
    let (_second, welcome) = house.welcome().await;
    assert!(matches!(welcome, Welcome::Ok(_)));
    for _ in 0..200 {
        let (_, refused) = house.welcome().await;
        let Welcome::Error(why) = refused else {
            panic!("one too many is served");
        };
        assert!(why.contains("max_connections_per_uid"), "{why}");
    }
    drop(first);
    // The place is free once the daemon has noticed.
    let free = async { while let (_, Welcome::Error(_)) = house.welcome().await {} };
    timeout(Duration::from_secs(20), free)
        .await
        .expect("the place is given back");
}

#[tokio::test]
async fn its_loop_answers_until_it_stops() {
    let house = house(2).await;
    assert!(house.liveness.answers(Duration::from_secs(20)).await);
    let (_client, _) = house.welcome().await;
    house.harness.stop.cancel();
    house.listening.await.expect("it ended well");
    assert!(!house.liveness.answers(Duration::from_secs(20)).await);
    assert!(!house.path.exists(), "its socket is gone");
    assert!(StdStream::connect(&house.path).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_noticed() {
    let (liveness, _questions) = mpsc::channel(1);
    let begin = Instant::now();
    assert!(
        !LivenessProbe(liveness)
            .answers(Duration::from_secs(3))
            .await
    );
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_end() {
    let mut pause = Pause::default();
    let emfile = || io::Error::from_raw_os_error(Errno::EMFILE as i32);
    for expected in [100, 200, 400, 800, 1000, 1000] {
        let begin = Instant::now();
        pause.after(&emfile());
        pause.over().await;
        assert_eq!(begin.elapsed(), Duration::from_millis(expected));
    }
    pause.end();
    let begin = Instant::now();
    pause.over().await;
    pause.after(&io::Error::from_raw_os_error(Errno::ECONNABORTED as i32));
    pause.over().await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}
