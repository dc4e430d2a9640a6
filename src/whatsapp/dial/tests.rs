//! Dialling against peers that stop at each step, over real sockets.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::ending::Verdict;
use super::*;
use crate::blocking::Room;

/// A peer on this machine that does this with each connection.
async fn peer<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> (u16, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    (port, serving)
}

/// Takes what it is told, and never says anything.
async fn mute(mut stream: TcpStream) {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
}

fn target(uri: &str, proxy: Option<&str>) -> Target {
    Target {
        uri: uri.parse().expect("a URL"),
        route: proxy.map_or(Route::Direct, |url| {
            Route::Proxy(Proxy::parse(url).expect("a proxy"))
        }),
        resolver: Resolver::new(Room::new("resolver", 1)),
    }
}

async fn refused(target: &Target) -> Ending {
    let connector = Arc::new(whatsapp_rust::transport::default_tls_connector());
    let dialled = dial(target, &connector).await;
    dialled.map(|_| ()).expect_err("it is not reached")
}

fn cause(ending: &Ending) -> Cause {
    match ending.verdict {
        Verdict::Retry(cause, _) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_http_status_wipes() {
    for status in 100..=999 {
        let ending = from_status(status, "answered");
        assert!(matches!(ending.verdict, Verdict::Retry(..)), "{status}");
    }
    for status in [401, 403, 407] {
        let ending = from_status(status, "answered");
        assert!(matches!(
            ending.verdict,
            Verdict::Retry(Cause::ProxyRefused, _)
        ));
    }
}

#[tokio::test]
async fn each_step_that_hangs_has_its_own_limit_and_words() {
    let (port, serving) = peer(mute).await;
    let began = Instant::now();
    for (target, limit, words) in [
        (
            target(&format!("wss://127.0.0.1:{port}/"), None),
            TLS_WITHIN,
            "127.0.0.1 did not answer TLS within 8 s".to_owned(),
        ),
        (
            target(&format!("ws://127.0.0.1:{port}/"), None),
            UPGRADE_WITHIN,
            "127.0.0.1 did not answer the WebSocket upgrade within 8 s".to_owned(),
        ),
        (
            target(
                "ws://127.0.0.1:1/",
                Some(&format!("http://u:p@127.0.0.1:{port}")),
            ),
            PROXY_WITHIN,
            format!("the proxy http://127.0.0.1:{port} did not answer within 10 s"),
        ),
        (
            target(
                "ws://127.0.0.1:1/",
                Some(&format!("socks5h://u:p@127.0.0.1:{port}")),
            ),
            PROXY_WITHIN,
            format!("the proxy socks5h://127.0.0.1:{port} did not answer within 10 s"),
        ),
    ]
    .map(|(target, limit, words)| {
        let task = tokio::spawn(async move { refused(&target).await });
        (task, limit, words)
    }) {
        let ending = target.await.expect("no panic");
        assert_eq!(ending.error, words);
        assert_eq!(cause(&ending), Cause::Unreachable);
        assert!(began.elapsed() >= limit && began.elapsed() < WHOLE);
    }
    serving.abort();
}

#[tokio::test]
async fn what_an_http_proxy_answers() {
    for (answer, login, expected, words) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required",
            "",
            Cause::ProxyRefused,
            "answered HTTP 407: it asks for a user and a password",
        ),
        (
            "HTTP/1.1 407 Proxy Authentication Required",
            "u:p@",
            Cause::ProxyRefused,
            "answered HTTP 407: it does not accept the user and the password",
        ),
        (
            "HTTP/1.1 401 No",
            "",
            Cause::ProxyRefused,
            "answered HTTP 401",
        ),
        (
            "HTTP/1.1 403 No",
            "",
            Cause::ProxyRefused,
            "answered HTTP 403",
        ),
        (
            "HTTP/1.1 502 Bad Gateway",
            "",
            Cause::ServerUnavailable,
            "answered HTTP 502",
        ),
        (
            "SSH-2.0-OpenSSH",
            "",
            Cause::Unreachable,
            "answered something that is not HTTP",
        ),
    ] {
        let (port, serving) = peer(move |mut stream| async move {
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let said = format!("{answer}\r\n\r\n");
            let _ = stream.write_all(said.as_bytes()).await;
        })
        .await;
        let url = format!("http://{login}127.0.0.1:{port}");
        let ending = refused(&target("ws://127.0.0.1:1/", Some(&url))).await;
        assert_eq!(cause(&ending), expected, "{ending:?}");
        assert_eq!(
            ending.error,
            format!("the proxy http://127.0.0.1:{port} {words}")
        );
        serving.abort();
    }
}

/// What a proxy says to the choice of a login, to the login and to the request, each where the one before it
/// is good; the login in the URL; what comes of it, and the end of its words.
type Socks = (
    &'static [u8],
    &'static [u8],
    &'static [u8],
    &'static str,
    Cause,
    &'static str,
);

#[tokio::test]
async fn what_a_socks_proxy_answers() {
    let cases: [Socks; 7] = [
        (
            &[5, 0xff],
            &[],
            &[],
            "",
            Cause::ProxyRefused,
            "refused the connection: it asks for a user and a password",
        ),
        (
            &[5, 2],
            &[1, 1],
            &[],
            "u:p@",
            Cause::ProxyRefused,
            "refused the connection: it does not accept the user and the password",
        ),
        (
            &[5, 0xff],
            &[],
            &[],
            "u@",
            Cause::ProxyRefused,
            "refused the connection: it asks for a password besides the user",
        ),
        (
            &[5, 0],
            &[],
            &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0],
            "",
            Cause::ProxyRefused,
            "refused the connection: its rules do not allow it",
        ),
        (
            &[5, 2],
            &[1, 0],
            &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
            "u:p@",
            Cause::Unreachable,
            "could not connect: the other end refused it",
        ),
        (
            &[5, 0],
            &[],
            &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0],
            "",
            Cause::Unreachable,
            "could not connect: the host is unreachable from there",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            &[],
            &[],
            "",
            Cause::Unreachable,
            "could not connect: it answered something that is not SOCKS5",
        ),
    ];
    for (choice, login_answer, answer, login, expected, words) in cases {
        let (port, serving) = peer(move |mut stream| async move {
            let mut asked = [0; 1024];
            for said in [choice, login_answer, answer] {
                if !said.is_empty() {
                    let _ = stream.read(&mut asked).await;
                    let _ = stream.write_all(said).await;
                }
            }
            let _ = stream.read(&mut asked).await;
        })
        .await;
        let url = format!("socks5h://{login}127.0.0.1:{port}");
        let ending = refused(&target("ws://127.0.0.1:1/", Some(&url))).await;
        assert_eq!(cause(&ending), expected, "{ending:?}");
        assert_eq!(
            ending.error,
            format!("the proxy socks5h://127.0.0.1:{port} {words}")
        );
        serving.abort();
    }
}

#[tokio::test]
#[cfg(feature = "simulator")]
async fn a_simulator_build_dials_nothing_elsewhere() {
    let here: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let there: SocketAddr = "192.0.2.1:1".parse().expect("an address");
    assert_eq!(reachable("name", &[there, here]), Ok(vec![here]));
    assert!(reachable("name", &[there]).is_err());
    assert_eq!(reachable("name", &[]), Ok(vec![]));
}
