//! Reaching WhatsApp: DNS, TCP, a proxy where there is one, TLS, the WebSocket upgrade. Each failure has a
//! cause of its own: a proxy that answers 401 is not a logout.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_websockets::upgrade::Error as UpgradeError;
use tokio_websockets::{
    ClientBuilder, Connector, Error as WsError, MaybeTlsStream, WebSocketStream,
};
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;

use super::ending::Ending;
use super::resolver::Resolver;
use crate::protocol::Cause;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where to dial.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) uri: http::Uri,
    pub(super) proxy: Option<Proxy>,
    pub(super) resolver: Resolver,
}

/// An HTTP proxy that tunnels with CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Opens a WebSocket.
///
/// # Errors
/// How the link ended, before it began.
pub(super) async fn dial(target: &Target, connector: &Connector) -> Result<Socket, Ending> {
    let unreachable = |what: String| Ending::retry(Cause::Unreachable, what);
    let host = target
        .uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']']);
    let secure = target.uri.scheme_str() == Some("wss");
    let port = target
        .uri
        .port_u16()
        .unwrap_or(if secure { 443 } else { 80 });

    let stream = match &target.proxy {
        None => connect(&target.resolver, host, port)
            .await
            .map_err(unreachable)?,
        Some(proxy) => tunnel(&target.resolver, proxy, host, port).await?,
    };
    // Stanzas are small and each waits for its answer.
    let _ = stream.set_nodelay(true);

    let stream = if secure {
        let wrapped = connector.wrap(host, stream).await;
        wrapped.map_err(|e| unreachable(format!("TLS with {host} failed: {e}")))?
    } else {
        MaybeTlsStream::Plain(stream)
    };
    upgrade(&target.uri, stream).await
}

/// DNS and TCP. The error says which.
async fn connect(resolver: &Resolver, host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = resolver
        .look_up(host, port)
        .await
        .map_err(|e| format!("the name {host} could not be resolved: {e}"))?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses.iter() {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(format!("{host} port {port} could not be reached: {last}"))
}

/// The longest answer of a proxy to CONNECT, in bytes.
const LONGEST_ANSWER: usize = 8 * 1024;

async fn tunnel(
    resolver: &Resolver,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<TcpStream, Ending> {
    let unreachable = |what: String| Ending::retry(Cause::Unreachable, what);
    let at = format!("the proxy {}:{}", proxy.host, proxy.port);
    let mut stream = connect(resolver, &proxy.host, proxy.port)
        .await
        .map_err(|e| unreachable(format!("{at}: {e}")))?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    let broke = |e: io::Error| unreachable(format!("{at} broke off: {e}"));
    stream.write_all(request.as_bytes()).await.map_err(broke)?;

    // Byte by byte: what follows the blank line belongs to the tunnel.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < LONGEST_ANSWER {
        answer.push(stream.read_u8().await.map_err(broke)?);
    }
    match status_of(&answer) {
        Some(200..=299) => Ok(stream),
        Some(status) => Err(from_status(status, &format!("{at} answered"))),
        None => Err(unreachable(format!(
            "{at} answered something that is not HTTP"
        ))),
    }
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer).ok()?.lines().next()?;
    let (version, rest) = line.split_once(' ')?;
    version.starts_with("HTTP/1.").then_some(())?;
    rest.get(..3)?.parse().ok()
}

async fn upgrade(uri: &http::Uri, stream: MaybeTlsStream<TcpStream>) -> Result<Socket, Ending> {
    let unreachable = |what: String| Ending::retry(Cause::Unreachable, what);
    let origin = http::HeaderValue::from_static(WHATSAPP_WEB_ORIGIN);
    let builder = ClientBuilder::from_uri(uri.clone())
        .add_header(http::header::ORIGIN, origin)
        .map_err(|e| unreachable(format!("the WebSocket request cannot be made: {e}")))?;
    match builder.connect_on(stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(WsError::Upgrade(UpgradeError::DidNotSwitchProtocols(status))) => Err(from_status(
            status,
            "the WebSocket upgrade was answered with",
        )),
        Err(e) => Err(unreachable(format!("the WebSocket upgrade failed: {e}"))),
    }
}

/// The ending for an HTTP answer in the place of a WebSocket. WhatsApp ends sessions on the stream, never
/// here: 401, 403 and 407 come from a proxy in between.
fn from_status(status: u16, what: &str) -> Ending {
    let cause = match status {
        401 | 403 | 407 => Cause::ProxyRefused,
        429 => Cause::RateLimited,
        500..=599 => Cause::ServerUnavailable,
        _ => Cause::Unreachable,
    };
    Ending::retry(cause, format!("{what} HTTP {status}"))
}

#[cfg(test)]
mod tests {
    use super::super::ending::Verdict;
    use super::*;

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

    #[test]
    fn answers_of_proxies() {
        assert_eq!(
            status_of(b"HTTP/1.1 200 Connection established\r\n\r\n"),
            Some(200)
        );
        assert_eq!(
            status_of(b"HTTP/1.0 407 Proxy Authentication Required\r\n\r\n"),
            Some(407)
        );
        assert_eq!(status_of(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(status_of(b"HTTP/1.1 2\r\n"), None);
        assert_eq!(status_of(b""), None);
    }
}
