//! A relay before a server, which can take the links of all clients at once, and be away for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A relay. While it is away, its port refuses connections.
pub(crate) struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    /// Fires when the relay goes away.
    away: Option<CancellationToken>,
    /// How many connections were relayed.
    accepted: Arc<AtomicUsize>,
}

impl Relay {
    /// A relay to this server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut relay = Self {
            address: listener.local_addr().expect("an address"),
            server,
            away: None,
            accepted: Arc::default(),
        };
        relay.serve(listener);
        relay
    }

    /// Where a daemon finds the server behind it.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }

    /// How many connections were relayed so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Closes every connection, and takes no new ones.
    pub(crate) fn go_away(&mut self) {
        self.away.take().expect("it is there").cancel();
    }

    /// Takes connections again.
    pub(crate) async fn come_back(&mut self) {
        assert!(self.away.is_none(), "it is there");
        let listener = loop {
            // The listener from before may close a moment later.
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                    tokio::task::yield_now().await;
                }
                Err(e) => panic!("the port cannot be taken again: {e}"),
            }
        };
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let away = CancellationToken::new();
        self.away = Some(away.clone());
        let (server, accepted) = (self.server, Arc::clone(&self.accepted));
        tokio::spawn(async move {
            loop {
                let client = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = away.cancelled() => return,
                };
                let Ok((mut client, _)) = client else {
                    continue;
                };
                accepted.fetch_add(1, Ordering::SeqCst);
                let away = away.clone();
                tokio::spawn(away.run_until_cancelled_owned(async move {
                    let Ok(mut server) = TcpStream::connect(server).await else {
                        return;
                    };
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }));
            }
        });
    }
}
