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
