//! The HTTP client, for WhatsApp's web page and for media. Its connections are made as those of links are: on
//! the same way, through the same proxy, with all addresses of a host in one race.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream as BlockingStream;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use ureq::config::Config;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, RustlsConnector, Transport,
};
use whatsapp_rust::http::HttpClient;
use whatsapp_rust_ureq_http_client::UreqHttpClient;

use super::dial::{Route, reach};
use super::resolver::Resolver;
use crate::deadline::Deadline;

/// The buffers of a connection: the library's own choice for its small answers.
const BUFFER: usize = 16 * 1024;
/// How long a connection may take: DNS, all addresses together, the proxy, and TLS.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may take to answer, and then to send what it answers. A call that waits has a thread.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
const BODY_WITHIN: Duration = Duration::from_mins(1);
/// How many idle connections a client keeps.
const IDLE: usize = 3;

/// An HTTP client that goes this way, and nowhere else: what the environment says about proxies does not
/// count. Its calls block, and its connections are made on this runtime.
pub(super) fn client(route: Route, resolver: Resolver, runtime: Handle) -> Arc<dyn HttpClient> {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(IDLE)
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_send_request(Some(ANSWERED_WITHIN))
        .timeout_recv_response(Some(ANSWERED_WITHIN))
        .timeout_recv_body(Some(BODY_WITHIN))
        .build();
    let dialler = Dialler {
        route,
        resolver,
        runtime,
    };
    let connector = dialler.chain(RustlsConnector::default());
    let agent = ureq::Agent::with_parts(config, connector, NoLookUp);
    Arc::new(UreqHttpClient::with_agent(agent))
}

/// Makes the client's TCP connections.
struct Dialler {
    route: Route,
    resolver: Resolver,
    runtime: Handle,
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialler").field(&self.route).finish()
    }
}

impl Connector for Dialler {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, ureq::Error> {
        let uri = details.uri;
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let usual_port = if details.needs_tls() { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual_port);
        let limit = details.timeout.not_zero();
        let limit = limit.map_or(CONNECT_WITHIN, |left| (*left).min(CONNECT_WITHIN));

        let (route, resolver) = (self.route.clone(), self.resolver.clone());
        let (tell, told) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            let deadline = Deadline::within(limit);
            let reached = reach(&route, &resolver, (&host, port), deadline).await;
            let reached = reached.map_err(|ending| io::Error::other(ending.error));
            // The caller waits, or its thread is gone with the process.
            let _ = tell.send(reached.and_then(blocking));
        });
        // Without an answer the runtime has ended.
        let gone = |_| io::Error::other("the daemon is stopping");
        let stream = told.recv().map_err(gone)??;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Connection { stream, buffers }))
    }
}

/// The same connection for calls that block.
fn blocking(stream: TcpStream) -> io::Result<BlockingStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A connection that the dialler has made.
#[derive(Debug)]
struct Connection {
    stream: BlockingStream,
    buffers: LazyBuffers,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_timeout(left(timeout)?)?;
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output).map_err(|e| late(e, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_timeout(left(timeout)?)?;
        let input = self.buffers.input_append_buf();
        let read = loop {
            match self.stream.read(input) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read.map_err(|e| late(e, timeout))?,
            }
        };
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        // Of an idle connection nothing is to be read: what there is belongs to no request, and an end is one.
        let is_idle = |stream: &BlockingStream| {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok::<_, io::Error>(peeked.is_err_and(|e| e.kind() == ErrorKind::WouldBlock))
        };
        is_idle(&self.stream).unwrap_or(false)
    }
}

/// The time for the next call; `None`: no limit.
fn left(timeout: NextTimeout) -> Result<Option<Duration>, ureq::Error> {
    if timeout.after.is_zero() {
        return Err(ureq::Error::Timeout(timeout.reason));
    }
    Ok(timeout.not_zero().map(|left| *left))
}

fn late(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

/// The dialler looks names up.
#[derive(Debug)]
struct NoLookUp;

impl UreqResolver for NoLookUp {
    fn resolve(
        &self,
        _: &http::Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use whatsapp_rust::http::HttpRequest;

    use super::super::proxy::Proxy;
    use super::*;
    use crate::blocking::Room;

    /// A server on this machine that takes one connection, and says these things to it: each after it was told
    /// something. Returns what it was told.
    async fn server(
        says: &'static [&'static [u8]],
    ) -> (u16, tokio::task::JoinHandle<Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut heard = Vec::new();
            for said in says {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.expect("a request");
                request.truncate(read);
                heard.push(request);
                stream.write_all(said).await.expect("taken");
            }
            heard
        });
        (port, serving)
    }

    fn client_on(route: Route) -> Arc<dyn HttpClient> {
        let resolver = Resolver::new(Room::new("resolver", 1));
        client(route, resolver, Handle::current())
    }

    const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";

    #[tokio::test]
    async fn a_page_comes_directly_and_through_each_kind_of_proxy() {
        let ways: [(Option<&str>, &'static [&'static [u8]]); 4] = [
            (None, &[PAGE]),
            (
                Some("http://me:pw@"),
                &[b"HTTP/1.1 200 Established\r\n\r\n", PAGE],
            ),
            (
                Some("socks5://"),
                &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0], PAGE],
            ),
            (
                Some("socks5h://"),
                &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0], PAGE],
            ),
        ];
        for (proxy, says) in ways {
            let (port, serving) = server(says).await;
            let (route, url) = match proxy {
                None => (Route::Direct, format!("http://localhost:{port}/")),
                Some(scheme) => {
                    let proxy = Proxy::parse(&format!("{scheme}127.0.0.1:{port}"));
                    let route = Route::Proxy(proxy.expect("a proxy"));
                    // Nobody listens there: only the proxy can answer.
                    (route, "http://127.0.0.1:1/".to_owned())
                }
            };
            let page = client_on(route).execute(HttpRequest::get(url)).await;
            let page = page.expect("an answer");
            assert_eq!(
                (page.status_code, page.body.as_slice()),
                (200, &b"page"[..])
            );
            let heard = serving.await.expect("no panic");
            let asked = String::from_utf8_lossy(heard.last().expect("a request")).into_owned();
            assert!(asked.starts_with("GET / HTTP/1.1"), "{asked}");
            assert!(!asked.to_lowercase().contains("proxy"), "{asked}");
        }
    }

    #[tokio::test]
    async fn a_way_that_is_closed_is_not_gone_around() {
        let (port, serving) = server(&[PAGE]).await;
        let http = client_on(Route::Closed("the proxy cannot be used".to_owned()));
        let url = format!("http://127.0.0.1:{port}/");
        let Err(why) = http.execute(HttpRequest::get(url)).await else {
            panic!("it went around");
        };
        assert!(
            why.to_string().contains("the proxy cannot be used"),
            "{why}"
        );
        assert!(!serving.is_finished());
        serving.abort();
    }

    #[tokio::test]
    async fn where_nobody_answers_each_address_is_named() {
        let url = "http://127.0.0.1:1/".to_owned();
        let Err(why) = client_on(Route::Direct)
            .execute(HttpRequest::get(url))
            .await
        else {
            panic!("nobody listens there");
        };
        let why = format!("{why:#}");
        assert!(why.contains("127.0.0.1 refuses the connection"), "{why}");
    }
}
