//! Through a proxy: HTTP's CONNECT, and SOCKS5.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as SocksError, IntoTargetAddr, TargetAddr};

use super::dial::from_status;
use super::ending::Ending;
use super::proxy::{Login, Proxy, ProxyKind, bracketed};
use crate::protocol::Cause;

/// The longest answer of a proxy to CONNECT, in bytes.
const LONGEST_ANSWER: usize = 8 * 1024;

/// Where a proxy is to connect to: a name that the proxy looks up, or an address.
pub(super) type Place<'a> = TargetAddr<'a>;

/// A tunnel that did not come about.
pub(super) struct NoTunnel {
    /// How the link ended, before it began.
    pub(super) ending: Ending,
    /// Whether the proxy may reach another address of the same host. A proxy that refuses a login refuses it
    /// for each address, and counts the tries.
    pub(super) elsewhere: bool,
}

impl NoTunnel {
    pub(super) fn here(ending: Ending) -> Self {
        Self {
            ending,
            elsewhere: true,
        }
    }

    fn anywhere(ending: Ending) -> Self {
        Self {
            ending,
            elsewhere: false,
        }
    }
}

/// A host that the proxy is to look up, or an address.
pub(super) fn place(host: &str, port: u16) -> Result<Place<'_>, String> {
    let place = (host, port).into_target_addr();
    place.map_err(|e| format!("{host}: {e}"))
}

/// Asks the proxy at the other end of this stream for a tunnel.
///
/// # Errors
/// [`NoTunnel`] names the proxy without its login.
pub(super) async fn tunnel(
    stream: TcpStream,
    proxy: &Proxy,
    to: Place<'_>,
) -> Result<TcpStream, NoTunnel> {
    match proxy.kind {
        ProxyKind::Http => {
            let tunnel = connect(stream, proxy, &to).await;
            tunnel.map_err(NoTunnel::anywhere)
        }
        ProxyKind::Socks5 | ProxyKind::Socks5h => socks(stream, proxy, to).await,
    }
}

fn broke_off(proxy: &Proxy, error: &std::io::Error) -> Ending {
    let words = format!("the proxy {proxy} broke off: {error}");
    Ending::retry(Cause::Unreachable, words)
}

async fn connect(
    mut stream: TcpStream,
    proxy: &Proxy,
    to: &Place<'_>,
) -> Result<TcpStream, Ending> {
    let broke = |e: std::io::Error| broke_off(proxy, &e);
    let request = request(proxy.login.as_ref(), to);
    stream.write_all(request.as_bytes()).await.map_err(broke)?;

    // Byte by byte: what follows the blank line belongs to the tunnel.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < LONGEST_ANSWER {
        answer.push(stream.read_u8().await.map_err(broke)?);
    }
    let is_whole = answer.ends_with(b"\r\n\r\n");
    let said = match status_of(&answer).filter(|_| is_whole) {
        Some(200..=299) => return Ok(stream),
        Some(status) => status,
        None => {
            let words = format!("the proxy {proxy} answered something that is not HTTP");
            return Err(Ending::retry(Cause::Unreachable, words));
        }
    };
    let mut ending = from_status(said, &format!("the proxy {proxy} answered"));
    if said == 407 {
        ending.error.push_str(match proxy.login {
            Some(_) => ": it does not accept the user and the password",
            None => ": it asks for a user and a password",
        });
    }
    Err(ending)
}

fn request(login: Option<&Login>, to: &Place<'_>) -> String {
    let to = match to {
        TargetAddr::Ip(address) => address.to_string(),
        TargetAddr::Domain(host, port) => format!("{}:{port}", bracketed(host)),
    };
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some(Login { user, password }) = login {
        let login = format!("{}:{}", user.reveal(), password.reveal());
        let login = BASE64_STANDARD.encode(login);
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&login);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request
}

fn status_of(answer: &[u8]) -> Option<u16> {
    // What follows the first line may be in any encoding.
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let (version, rest) = line.split_once(' ')?;
    version.starts_with("HTTP/1.").then_some(())?;
    rest.get(..3)?.parse().ok()
}

async fn socks(stream: TcpStream, proxy: &Proxy, to: Place<'_>) -> Result<TcpStream, NoTunnel> {
    let tunnel = match &proxy.login {
        Some(Login { user, password }) if !password.reveal().is_empty() => {
            let (user, password) = (user.reveal(), password.reveal());
            Socks5Stream::connect_with_password_and_socket(stream, to, user, password).await
        }
        // The protocol has no user without a password.
        _ => Socks5Stream::connect_with_socket(stream, to).await,
    };
    let error = match tunnel {
        Ok(tunnel) => return Ok(tunnel.into_inner()),
        Err(error) => error,
    };
    let not_allowed = |what: &str| {
        let words = format!("the proxy {proxy} refused the connection: {what}");
        Ending::retry(Cause::ProxyRefused, words)
    };
    let refused = |what: &str| NoTunnel::anywhere(not_allowed(what));
    let no_way = |what: &str| {
        let words = format!("the proxy {proxy} could not connect: {what}");
        Ending::retry(Cause::Unreachable, words)
    };
    let unreachable = |what: &str| NoTunnel::here(no_way(what));
    Err(match error {
        SocksError::Io(error) => NoTunnel::here(broke_off(proxy, &error)),
        SocksError::PasswordAuthFailure(_) => {
            refused("it does not accept the user and the password")
        }
        SocksError::NoAcceptableAuthMethods
        | SocksError::UnknownAuthMethod
        | SocksError::AuthorizationRequired => match &proxy.login {
            Some(login) if login.password.reveal().is_empty() => {
                refused("it asks for a password besides the user")
            }
            Some(_) => refused("it takes no user and password, only another kind of login"),
            None => refused("it asks for a user and a password"),
        },
        SocksError::ConnectionNotAllowedByRuleset => {
            NoTunnel::here(not_allowed("its rules do not allow it"))
        }
        SocksError::NetworkUnreachable => unreachable("the network is unreachable from there"),
        SocksError::HostUnreachable => unreachable("the host is unreachable from there"),
        SocksError::ConnectionRefused => unreachable("the other end refused it"),
        SocksError::TtlExpired => unreachable("no answer came in time (TTL expired)"),
        SocksError::GeneralSocksServerFailure => unreachable("it failed, and does not say why"),
        SocksError::CommandNotSupported => NoTunnel::anywhere(no_way("it makes no connections")),
        SocksError::AddressTypeNotSupported => unreachable("it does not take this kind of address"),
        SocksError::InvalidResponseVersion => {
            NoTunnel::anywhere(no_way("it answered something that is not SOCKS5"))
        }
        other => unreachable(&other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let latin_1 = b"HTTP/1.1 200 OK\r\nVia: caf\xe9\r\n\r\n";
        assert_eq!(status_of(latin_1), Some(200));
        assert_eq!(status_of(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(status_of(b"HTTP/1.1 2\r\n"), None);
        assert_eq!(status_of(b""), None);
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_no_tunnel() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answers = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let head = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(LONGEST_ANSWER));
            // The client may have gone.
            let _ = stream.write_all(head.as_bytes()).await;
            stream
        };
        let asks = async {
            let proxy = Proxy::parse(&format!("http://{address}")).expect("a proxy");
            let stream = TcpStream::connect(address).await.expect("connected");
            tunnel(stream, &proxy, place("web.example", 443).expect("a place")).await
        };
        let (_, tunnel) = tokio::join!(answers, asks);
        let Err(NoTunnel { ending, .. }) = tunnel else {
            panic!("it has no end");
        };
        assert!(ending.error.contains("the proxy"), "{}", ending.error);
    }

    #[test]
    fn requests_to_proxies() {
        let login = |url: &str| Proxy::parse(url).expect(url).login;
        let to = place("web.example", 443).expect("a place");
        assert_eq!(
            request(login("http://localhost").as_ref(), &to),
            "CONNECT web.example:443 HTTP/1.1\r\nHost: web.example:443\r\n\r\n"
        );
        let to = place("::1", 443).expect("a place");
        assert_eq!(
            request(
                login("http://Aladdin:open%20sesame@localhost").as_ref(),
                &to
            ),
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
    }
}
