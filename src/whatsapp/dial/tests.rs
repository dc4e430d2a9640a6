//! Dialling against peers that stop at each step, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// What a proxy answers to a request; `None`: never anything.
type Answer = fn(&[u8]) -> Option<u8>;

/// A SOCKS5 proxy that answers so to a login, and to each request as this says of its address. Tells how many
/// came.
async fn socks_proxy(
    login: &'static [u8],
    answer: Answer,
) -> (Proxy, Arc<AtomicUsize>, JoinHandle<()>) {
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    let (port, serving) = peer(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(login).await;
            let count = stream.read(&mut asked).await.unwrap_or_default();
            match answer(&asked[..count]) {
                Some(code) => {
                    let _ = stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await;
                    let _ = stream.read(&mut asked).await;
                }
                None => mute(stream).await,
            }
        }
    })
    .await;
    let url = format!("socks5://127.0.0.1:{port}");
    (Proxy::parse(&url).expect("a proxy"), came, serving)
}

fn both_families() -> [SocketAddr; 2] {
    ["[::1]:1", "127.0.0.1:1"].map(|address| address.parse().expect("an address"))
}

/// The kind of the address in a request: 4 is IPv6.
fn is_ipv6(request: &[u8]) -> bool {
    request.get(3) == Some(&4)
}

#[tokio::test]
async fn a_family_to_which_a_proxy_has_no_way_costs_a_second() {
    let resolver = Resolver::new(Room::new("resolver", 1));
    let dialling = Dialling {
        resolver: &resolver,
        deadline: Deadline::within(WHOLE),
    };
    // It never answers for IPv6, or says that there is no way.
    let ways: [Answer; 2] = [
        |request| (!is_ipv6(request)).then_some(0),
        |request| Some(if is_ipv6(request) { 3 } else { 0 }),
    ];
    for (answer, least) in ways
        .into_iter()
        .zip([race::NEXT_THROUGH_PROXY_AFTER, Duration::ZERO])
    {
        let (proxy, came, serving) = socks_proxy(&[5, 0], answer).await;
        let began = Instant::now();
        let tunnel = dialling
            .tunnel_to_one(&proxy, "name", &both_families())
            .await;
        tunnel.expect("IPv4");
        let took = began.elapsed();
        assert!(took >= least && took < PROXY_WITHIN / 2, "{took:?}");
        assert_eq!(came.load(Ordering::SeqCst), 2);
        serving.abort();
    }
}

/// What a proxy says to the choice of a login and to a request; how often it is asked, and what comes of it.
type Refusal = (&'static [u8], Answer, usize, Cause, &'static str);

#[tokio::test]
async fn a_proxy_that_refuses_the_login_is_asked_once_and_one_without_a_way_says_so() {
    let resolver = Resolver::new(Room::new("resolver", 1));
    let dialling = Dialling {
        resolver: &resolver,
        deadline: Deadline::within(WHOLE),
    };
    let cases: [Refusal; 3] = [
        (
            &[5, 0xff],
            |_| None,
            1,
            Cause::ProxyRefused,
            "asks for a user",
        ),
        (
            &[5, 0],
            |_| Some(3),
            2,
            Cause::Unreachable,
            "the network is unreachable",
        ),
        // What it does not allow is told before what it cannot do.
        (
            &[5, 0],
            |request| Some(if is_ipv6(request) { 3 } else { 2 }),
            2,
            Cause::ProxyRefused,
            "its rules do not allow it",
        ),
    ];
    for (login, answer, tries, expected, words) in cases {
        let (proxy, came, serving) = socks_proxy(login, answer).await;
        let tunnel = dialling
            .tunnel_to_one(&proxy, "name", &both_families())
            .await;
        let ending = tunnel.expect_err("no way");
        assert_eq!(cause(&ending), expected, "{ending:?}");
        assert!(ending.error.contains(words), "{}", ending.error);
        assert_eq!(came.load(Ordering::SeqCst), tries, "{words}");
        serving.abort();
    }
}
