//! Reaching WhatsApp: DNS, TCP, a proxy where there is one, TLS, the WebSocket upgrade. Each failure has a
//! cause of its own: a proxy that answers 401 is not a logout. Each step has a limit and words of its own.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_websockets::upgrade::Error as UpgradeError;
use tokio_websockets::{
    ClientBuilder, Connector, Error as WsError, MaybeTlsStream, WebSocketStream,
};
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;

use super::ending::{Ending, Verdict};
use super::proxy::{Proxy, ProxyKind};
use super::race;
use super::resolver::Resolver;
use super::tunnel::{NoTunnel, Place, place, tunnel};
use crate::deadline::Deadline;
use crate::protocol::Cause;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where to dial.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) uri: http::Uri,
    pub(super) route: Route,
    pub(super) resolver: Resolver,
}

/// The way to where is dialled.
#[derive(Debug, Clone)]
pub(super) enum Route {
    /// Without a proxy.
    Direct,
    /// Through this proxy.
    Proxy(Proxy),
    /// Nowhere: the session's record names a proxy that cannot be used, and this is why. To go without it
    /// would show WhatsApp another address than its user wants.
    Closed(String),
}

/// How long all steps together may take. The library gives up after 20 s, and cannot say at which step.
const WHOLE: Duration = Duration::from_secs(18);
/// How long a name server may take. The system asks again after 5 s.
const NAME_WITHIN: Duration = Duration::from_secs(8);
/// How long all addresses of a host together may take.
const TCP_WITHIN: Duration = Duration::from_secs(12);
/// How long a proxy may take to connect.
const PROXY_WITHIN: Duration = Duration::from_secs(10);
const TLS_WITHIN: Duration = Duration::from_secs(8);
const UPGRADE_WITHIN: Duration = Duration::from_secs(8);

/// Opens a WebSocket.
///
/// # Errors
/// How the link ended, before it began.
pub(super) async fn dial(target: &Target, connector: &Connector) -> Result<Socket, Ending> {
    let deadline = Deadline::within(WHOLE);
    let host = target.uri.host().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let secure = target.uri.scheme_str() == Some("wss");
    let port = target.uri.port_u16();
    let port = port.unwrap_or(if secure { 443 } else { 80 });

    let stream = reach(&target.route, &target.resolver, (host, port), deadline).await?;

    let stream = if secure {
        let late = |within| unreachable(format!("{host} did not answer TLS within {within}"));
        let wrapped = within(deadline, TLS_WITHIN, late, connector.wrap(host, stream)).await?;
        wrapped.map_err(|e| unreachable(format!("TLS with {host} failed: {e}")))?
    } else {
        MaybeTlsStream::Plain(stream)
    };
    let late = |within| {
        unreachable(format!(
            "{host} did not answer the WebSocket upgrade within {within}"
        ))
    };
    within(deadline, UPGRADE_WITHIN, late, upgrade(&target.uri, stream)).await?
}

/// Opens a TCP connection to a port of a host on this way: for a link, and for the HTTP client.
///
/// # Errors
/// How the link ended, before it began.
pub(super) async fn reach(
    route: &Route,
    resolver: &Resolver,
    (host, port): (&str, u16),
    deadline: Deadline,
) -> Result<TcpStream, Ending> {
    let dialling = Dialling { resolver, deadline };
    let stream = match route {
        Route::Direct => dialling.connect(host, port).await.map_err(unreachable)?,
        Route::Proxy(proxy) => dialling.through(proxy, host, port).await?,
        Route::Closed(why) => return Err(unreachable(why.clone())),
    };
    // What is sent is small, and each waits for its answer.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn unreachable(what: String) -> Ending {
    Ending::retry(Cause::Unreachable, what)
}

/// Waits for a step, at most this long and never beyond the deadline of the whole. `late` gets the time
/// that the step had, in words.
async fn within<T, E>(
    deadline: Deadline,
    limit: Duration,
    late: impl FnOnce(String) -> E,
    step: impl Future<Output = T>,
) -> Result<T, E> {
    let step_deadline = deadline.at_most(limit);
    let had = step_deadline.left();
    let done = step_deadline.limit(step).await;
    done.ok_or_else(|| late(seconds(had)))
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f32().ceil())
}

/// The steps until the other end has accepted a TCP connection.
struct Dialling<'a> {
    resolver: &'a Resolver,
    deadline: Deadline,
}

impl Dialling<'_> {
    /// DNS and TCP. The error says which.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let addresses = self.look_up(host, port).await?;
        let deadline = self.deadline.at_most(TCP_WITHIN);
        let stream = race::connect(&addresses, deadline).await;
        stream.map_err(|why| format!("{host} port {port} could not be reached: {why}"))
    }

    async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let deadline = self.deadline.at_most(NAME_WITHIN);
        let had = deadline.left();
        let found = deadline.limit(self.resolver.look_up(host, port)).await;
        let found = found.unwrap_or_else(|| {
            Err(format!("no name server answered within {}", seconds(had)).into())
        });
        let found = found.map_err(|e| format!("the name {host} could not be resolved: {e}"))?;
        reachable(host, &found)
    }

    /// TCP to the proxy, dialled like any other host, and the proxy's answer.
    async fn through(&self, proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, Ending> {
        let look_up_here = proxy.kind == ProxyKind::Socks5;
        if !look_up_here {
            let to = place(host, port).map_err(unreachable)?;
            let tunnel = self.tunnel(proxy, to).await;
            return tunnel.map_err(|none| none.ending);
        }
        let addresses = self.look_up(host, port).await.map_err(unreachable)?;
        self.tunnel_to_one(proxy, host, &addresses).await
    }

    /// Asks the proxy for a tunnel to the first of these addresses that it reaches.
    async fn tunnel_to_one(
        &self,
        proxy: &Proxy,
        host: &str,
        addresses: &[SocketAddr],
    ) -> Result<TcpStream, Ending> {
        let had = self.deadline.left();
        // The proxy may have no way to one of the families, and say so only when its own limit is over.
        let tries = race::first(
            addresses,
            race::NEXT_THROUGH_PROXY_AFTER,
            self.deadline,
            move |address| async move {
                match self.tunnel(proxy, Place::Ip(address)).await {
                    Ok(stream) => Ok(Ok(stream)),
                    Err(none) if none.elsewhere => Err(none.ending),
                    // It ends the race.
                    Err(none) => Ok(Err(none.ending)),
                }
            },
        );
        match tries.await {
            Ok(result) => result,
            Err(failures) => Err(no_way(proxy, host, failures, had)),
        }
    }

    /// Asks the proxy for a tunnel to one place.
    async fn tunnel(&self, proxy: &Proxy, to: Place<'_>) -> Result<TcpStream, NoTunnel> {
        let stream = self.connect(&proxy.host, proxy.port).await;
        let stream = stream.map_err(|why| NoTunnel {
            ending: unreachable(format!("the proxy {proxy}: {why}")),
            elsewhere: false,
        })?;
        let late = |within| {
            let words = format!("the proxy {proxy} did not answer within {within}");
            NoTunnel::here(unreachable(words))
        };
        within(self.deadline, PROXY_WITHIN, late, tunnel(stream, proxy, to)).await?
    }
}

/// The ending where a proxy reached none of a host's addresses. A refusal is told before what else became of
/// the other addresses.
fn no_way(proxy: &Proxy, host: &str, failures: Vec<(SocketAddr, Ending)>, had: Duration) -> Ending {
    let is_refusal = |(_, ending): &(SocketAddr, Ending)| {
        matches!(ending.verdict, Verdict::Retry(Cause::ProxyRefused, _))
    };
    let (refusals, others): (Vec<_>, Vec<_>) = failures.into_iter().partition(is_refusal);
    let first = refusals.into_iter().chain(others).next();
    first.map_or_else(
        || {
            unreachable(format!(
                "the proxy {proxy} reached no address of {host} within {}",
                seconds(had)
            ))
        },
        |(_, ending)| ending,
    )
}

/// The addresses of a host that this build may dial: a simulator build stays on this machine, wherever a
/// name leads.
fn reachable(host: &str, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, String> {
    if cfg!(not(feature = "simulator")) {
        return Ok(addresses.to_vec());
    }
    let here = addresses
        .iter()
        .filter(|address| address.ip().is_loopback());
    let here: Vec<_> = here.copied().collect();
    if here.is_empty() && !addresses.is_empty() {
        return Err(format!(
            "{host} is not on this machine, and a simulator build reaches nothing else"
        ));
    }
    Ok(here)
}

async fn upgrade(uri: &http::Uri, stream: MaybeTlsStream<TcpStream>) -> Result<Socket, Ending> {
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
pub(super) fn from_status(status: u16, what: &str) -> Ending {
    let cause = match status {
        401 | 403 | 407 => Cause::ProxyRefused,
        429 => Cause::RateLimited,
        500..=599 => Cause::ServerUnavailable,
        _ => Cause::Unreachable,
    };
    Ending::retry(cause, format!("{what} HTTP {status}"))
}

#[cfg(test)]
mod tests;
