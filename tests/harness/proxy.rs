//! Small real proxies: HTTP with CONNECT and Basic, and SOCKS5 with a user and a password.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Socks5,
}

/// What somebody asked a proxy for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// With this user and password.
    pub(crate) login: Option<(String, String)>,
    /// To be connected to this; `None`: it was sent away before it could say that.
    pub(crate) target: Option<String>,
}

/// A proxy, which is gone when this is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    asked: watch::Receiver<Vec<Asked>>,
    /// Dropped, the proxy closes all connections, and takes no more.
    _serving: DropGuard,
}

impl Proxy {
    /// A proxy that lets in who has this login, or everybody.
    pub(crate) async fn start(kind: Kind, login: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, asked) = watch::channel(Vec::new());
        let tell = Arc::new(tell);
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let serving = CancellationToken::new();
        let until = serving.clone();
        tokio::spawn(serving.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, login) = (Arc::clone(&tell), login.clone());
                tokio::spawn(until.clone().run_until_cancelled_owned(async move {
                    let served = match kind {
                        Kind::Http => http(stream, login, &tell).await,
                        Kind::Socks5 => socks(stream, login, &tell).await,
                    };
                    // A client that goes away is no matter.
                    drop(served);
                }));
            }
        }));
        Self {
            address,
            asked,
            _serving: serving.drop_guard(),
        }
    }

    /// Everything that it was asked for so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// Waits until it was asked for more than so much.
    pub(crate) async fn asked_more_than(&mut self, count: usize) {
        let asked = self.asked.wait_for(|asked| asked.len() > count).await;
        asked.expect("the proxy serves");
    }
}

type Login = Option<(String, String)>;
type Tell = watch::Sender<Vec<Asked>>;

fn note(tell: &Tell, login: Login, target: Option<String>) {
    tell.send_modify(|asked| asked.push(Asked { login, target }));
}

async fn relay(mut client: TcpStream, target: &str, granted: &[u8]) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    client.write_all(granted).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn http(mut client: TcpStream, login: Login, tell: &Tell) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    let request = String::from_utf8(request).expect("a request is text");
    let mut lines = request.lines();
    let target = lines
        .next()
        .and_then(|line| line.strip_prefix("CONNECT "))
        .and_then(|rest| rest.strip_suffix(" HTTP/1.1"))
        .expect("a CONNECT")
        .to_owned();
    let given = lines
        .find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "))
        .map(|basic| {
            let decoded = from_base64(basic);
            let (user, password) = decoded.split_once(':').expect("a user and a password");
            (user.to_owned(), password.to_owned())
        });
    note(tell, given.clone(), Some(target.clone()));
    if login.is_some() && login != given {
        let refused = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                       Proxy-Authenticate: Basic realm=\"here\"\r\n\r\n";
        return client.write_all(refused.as_bytes()).await;
    }
    relay(
        client,
        &target,
        b"HTTP/1.1 200 Connection established\r\n\r\n",
    )
    .await
}

async fn socks(mut client: TcpStream, login: Login, tell: &Tell) -> std::io::Result<()> {
    assert_eq!(client.read_u8().await?, 5, "SOCKS5");
    let methods = read_counted(&mut client).await?;
    let wanted = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        note(tell, None, None);
        return client.write_all(&[5, 0xff]).await;
    }
    client.write_all(&[5, wanted]).await?;
    let mut given = None;
    if let Some(login) = login {
        assert_eq!(client.read_u8().await?, 1, "the version of the login");
        let user = read_counted(&mut client).await?;
        let password = read_counted(&mut client).await?;
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let told = (text(user), text(password));
        given = Some(told.clone());
        if told != login {
            note(tell, given, None);
            return client.write_all(&[1, 1]).await;
        }
        client.write_all(&[1, 0]).await?;
    }
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    assert_eq!(head[..3], [5, 1, 0], "a CONNECT");
    let host = match head[3] {
        1 => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await?;
            Ipv4Addr::from(address).to_string()
        }
        3 => String::from_utf8(read_counted(&mut client).await?).expect("a name"),
        4 => {
            let mut address = [0; 16];
            client.read_exact(&mut address).await?;
            format!("[{}]", Ipv6Addr::from(address))
        }
        // There is no other kind: it is refused with the word for that.
        _ => return client.write_all(&[5, 8, 0, 1, 0, 0, 0, 0, 0, 0]).await,
    };
    let target = format!("{host}:{}", client.read_u16().await?);
    note(tell, given, Some(target.clone()));
    relay(client, &target, &[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await
}

async fn read_counted(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(client.read_u8().await?)];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn from_base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|d| *d == digit).expect("base64");
        bits = (bits << 6) | u32::try_from(value).expect("small");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("a byte"));
        }
    }
    String::from_utf8(bytes).expect("text")
}
