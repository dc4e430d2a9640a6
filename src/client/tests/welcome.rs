//! The first words, and sockets where nobody says any.

use tokio::io::{AsyncWriteExt, duplex};
use tokio::net::UnixListener;

use crate::client::{Client, ClientError, Options};
use crate::protocol::preface::Hello;

/// What the client makes of a daemon that says this first.
async fn welcomed_with(answer: &[u8]) -> ClientError {
    let (ours, mut theirs) = duplex(4096);
    theirs.write_all(answer).await.expect("sent");
    theirs.shutdown().await.expect("closed");
    Client::over(ours, Options::default())
        .await
        .expect_err("a bad welcome was taken")
}

fn framed(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

#[tokio::test]
async fn a_bad_welcome_is_told_apart() {
    let refused = welcomed_with(&framed("wasession/1 error too many connections")).await;
    assert!(matches!(&refused, ClientError::Refused(why) if why == "too many connections"));
    let newer = welcomed_with(&framed("wasession/2 ok wasessiond/2.0")).await;
    assert!(matches!(newer, ClientError::VersionMismatch(2)));
    for other in [framed("+OK"), b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()] {
        let error = welcomed_with(&other).await;
        assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
    }
    assert!(matches!(
        welcomed_with(b"").await,
        ClientError::Closed(None)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_does_not_welcome_runs_into_the_timeout() {
    let (ours, _theirs) = duplex(4096);
    let error = Client::over(ours, Options::default())
        .await
        .expect_err("no welcome");
    assert!(matches!(error, ClientError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_long_name_still_makes_a_good_preface() {
    let name = format!("näme\n{}", "ü".repeat(1000));
    let (ours, mut theirs) = duplex(4096);
    let hello = async {
        use tokio::io::AsyncReadExt;
        let length = theirs.read_u32().await.expect("a length") as usize;
        let mut frame = vec![0; length];
        theirs.read_exact(&mut frame).await.expect("a preface");
        theirs
            .write_all(&framed("wasession/1 ok x"))
            .await
            .expect("sent");
        Hello::parse(&frame).expect("a good preface")
    };
    let options = Options {
        name,
        ..Options::default()
    };
    let (client, hello) = tokio::join!(Client::over(ours, options), hello);
    client.expect("welcome");
    assert!(hello.client.starts_with("nämeüü"), "{}", hello.client);
}

#[tokio::test]
async fn who_is_not_there_is_told_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control.sock");
    let connect = || Client::connect(&path, Options::default());

    let missing = connect().await.expect_err("nothing there").to_string();
    assert!(
        missing.contains("there is no socket") && missing.contains("control.sock"),
        "{missing}"
    );
    drop(UnixListener::bind(&path).expect("bound"));
    let stale = connect().await.expect_err("nobody listens").to_string();
    assert!(stale.contains("nobody listens on"), "{stale}");

    let refused = ClientError::NoDaemon {
        path: path.clone(),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    assert!(refused.to_string().contains("group"), "{refused}");
}

/// Others fill the queue, and the daemon is slow to take from it.
#[cfg(feature = "daemon")]
#[tokio::test]
async fn a_queue_that_is_full_is_waited_for() {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
    use nix::sys::socket::{bind, listen, socket};
    use std::os::fd::AsRawFd;
    use tokio::net::UnixStream;

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control.sock");
    let flags = SockFlag::SOCK_NONBLOCK;
    let queue = socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
    bind(queue.as_raw_fd(), &UnixAddr::new(&path).expect("a path")).expect("bound");
    // Room for one.
    listen(&queue, Backlog::new(0).expect("a length")).expect("it listens");
    let _other = UnixStream::connect(&path).await.expect("the first");
    let full = UnixStream::connect(&path).await.expect_err("it is full");
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);

    let patient = tokio::spawn(async move {
        let options = Options {
            connect_timeout: std::time::Duration::from_secs(30),
            ..Options::default()
        };
        Client::connect(&path, options).await
    });
    // It has tried once when this goes on, for there is one thread.
    tokio::task::yield_now().await;
    let listener = UnixListener::from_std(queue.into()).expect("a listener");
    listener.accept().await.expect("the first");
    let (mut stream, _) = listener.accept().await.expect("the patient one");
    let welcome = framed("wasession/1 ok wasessiond/9");
    stream.write_all(&welcome).await.expect("a welcome");
    patient.await.expect("no panic").expect("it got in");
}
