//! What may be at the socket's path, and what becomes of it.

use std::os::unix::net::{UnixListener as AnyListener, UnixStream as StdStream};

use tempfile::TempDir;

use super::*;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn config(mode: u32) -> config::Socket {
    config::Socket {
        path: None,
        mode,
        group: None,
    }
}

fn accounts() -> Room {
    Room::new("accounts", 1)
}

async fn bind(path: &Path) -> Result<ControlSocket, SocketError> {
    ControlSocket::bind(path, &config(0o660), &accounts()).await
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

#[tokio::test]
async fn the_socket_has_its_mode_and_goes_with_its_owner() {
    let directory = directory();
    let path = directory.path().join("s");
    for mode in [0o600, 0o660, 0o666] {
        let socket = ControlSocket::bind(&path, &config(mode), &accounts())
            .await
            .expect("a socket");
        assert_eq!(mode_of(&path), mode);
        StdStream::connect(&path).expect("it listens");
        socket.touch();
        drop(socket);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_missing_directory_is_made_for_whom_the_socket_lets_in() {
    let directory = directory();
    for (mode, expected) in [
        (0o600, 0o700),
        (0o660, 0o750),
        (0o620, 0o750),
        (0o666, 0o755),
    ] {
        let parent = directory.path().join(format!("{mode:o}/below"));
        let made = ControlSocket::bind(&parent.join("s"), &config(mode), &accounts()).await;
        let _socket = made.expect("a socket");
        assert_eq!(mode_of(&parent), expected, "{mode:o}");
    }
    // One that is there is somebody's own business.
    let own = directory.path().join("own");
    DirBuilder::new()
        .mode(0o711)
        .create(&own)
        .expect("a directory");
    let before = mode_of(&own);
    let _socket = bind(&own.join("s")).await.expect("a socket");
    assert_eq!(mode_of(&own), before);
}

#[tokio::test]
async fn a_dead_socket_is_taken_over() {
    let directory = directory();
    let path = directory.path().join("s");
    drop(AnyListener::bind(&path).expect("a socket"));
    assert!(path.exists());
    let _socket = bind(&path).await.expect("it was dead");
    StdStream::connect(&path).expect("it listens");
}

#[tokio::test]
async fn a_live_socket_is_left_alone() {
    let directory = directory();
    let path = directory.path().join("s");
    let _first = bind(&path).await.expect("a socket");
    let error = bind(&path).await.expect_err("it is alive");
    assert!(matches!(error, SocketError::Live(_)), "{error}");
    StdStream::connect(&path).expect("the first still listens");
}

#[tokio::test]
async fn a_live_socket_with_a_full_queue_is_left_alone() {
    let directory = directory();
    let path = directory.path().join("s");
    let address = UnixAddr::new(&path).expect("an address");
    let flags = SockFlag::SOCK_CLOEXEC;
    let full = socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
    nix::sys::socket::bind(full.as_raw_fd(), &address).expect("bound");
    listen(&full, Backlog::new(0).expect("a backlog")).expect("it listens");
    let _waiting = StdStream::connect(&path).expect("the first one waits");
    let asked = tokio::time::timeout(Duration::from_secs(5), bind(&path)).await;
    let error = asked.expect("it does not wait").expect_err("it is alive");
    assert!(matches!(error, SocketError::Live(_)), "{error}");
}

#[tokio::test]
async fn what_is_no_socket_is_not_touched() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "precious").expect("a file");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    for path in [file.as_path(), &link, directory.path()] {
        let error = bind(path).await.expect_err("not a socket");
        assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
    }
    assert_eq!(fs::read_to_string(&link).expect("the file"), "precious");
}

#[tokio::test]
async fn somebody_elses_socket_is_not_removed_at_the_end() {
    let directory = directory();
    let path = directory.path().join("s");
    let socket = bind(&path).await.expect("a socket");
    fs::remove_file(&path).expect("it is removed");
    let _other = AnyListener::bind(&path).expect("another socket");
    drop(socket);
    StdStream::connect(&path).expect("the other one still listens");
}

#[tokio::test]
async fn the_longest_path_that_works_and_the_next() {
    let directory = directory();
    let base = directory.path().as_os_str().len() + 1;
    let longest = directory.path().join("x".repeat(MAX_PATH - base));
    let _socket = bind(&longest).await.expect("it fits");
    let error = bind(&directory.path().join("x".repeat(MAX_PATH - base + 1))).await;
    let error = error.expect_err("one byte too long");
    assert!(
        matches!(error, SocketError::TooLong { length: 108, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_group_that_is_not_there_leaves_nothing_behind() {
    let directory = directory();
    let path = directory.path().join("s");
    let config = config::Socket {
        group: Some("no-such-group-here".to_owned()),
        ..config(0o660)
    };
    let error = ControlSocket::bind(&path, &config, &accounts())
        .await
        .expect_err("no group");
    assert!(
        error
            .to_string()
            .contains("groupadd --system no-such-group-here"),
        "{error}"
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn of_two_that_start_at_once_one_wins() {
    let directory = directory();
    let path = directory.path().join("s");
    for _ in 0..20 {
        // Both find a dead socket.
        drop(AnyListener::bind(&path).expect("a socket"));
        let path = &path;
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { bind(&path).await })
            })
            .collect();
        let mut winners = Vec::new();
        for start in starts {
            winners.extend(start.await.expect("no panic").ok());
        }
        assert_eq!(winners.len(), 1);
        StdStream::connect(path).expect("the winner listens");
        drop(winners);
    }
}
