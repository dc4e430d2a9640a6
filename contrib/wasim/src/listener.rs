//! Accepts connections, or refuses them on the same port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::connection::serve;
use crate::shared::Shared;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long to wait when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// The port: either listening, or held so that nobody else takes it while clients are refused.
pub(crate) enum Port {
    Listening(TcpListener),
    Held(TcpSocket),
}

/// Takes the port, and listens on it. Must be called within a runtime.
pub(crate) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let problem = |source| Error::Listen { address, source };
    let listener = hold(address)?.listen(BACKLOG).map_err(problem)?;
    let address = listener.local_addr().map_err(problem)?;
    Ok((listener, address))
}

fn hold(address: SocketAddr) -> Result<TcpSocket, Error> {
    let problem = |source| Error::Listen { address, source };
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(problem)?;
    socket.set_reuseaddr(true).map_err(problem)?;
    socket.bind(address).map_err(problem)?;
    Ok(socket)
}

/// Serves whoever connects, until the server stops.
pub(crate) async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut switch: mpsc::Receiver<(bool, oneshot::Sender<Result<(), Error>>)>,
) {
    let mut port = Some(Port::Listening(listener));
    loop {
        let accept = async {
            match &port {
                Some(Port::Listening(listener)) => listener.accept().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            order = switch.recv() => {
                let Some((listening, done)) = order else { return };
                let result = turn(&mut port, listening, shared.address);
                // Nobody may be waiting for it.
                let _ = done.send(result);
            }
            accepted = accept => match accepted {
                Ok((stream, _)) => {
                    // Without it stanzas may be late; they still arrive.
                    let _ = stream.set_nodelay(true);
                    shared.tasks.spawn(serve(Arc::clone(&shared), stream));
                }
                Err(error) => {
                    tracing::warn!("cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn turn(port: &mut Option<Port>, listening: bool, address: SocketAddr) -> Result<(), Error> {
    let problem = |source| Error::Listen { address, source };
    match (port.take(), listening) {
        (Some(Port::Held(socket)), true) => {
            *port = Some(Port::Listening(socket.listen(BACKLOG).map_err(problem)?));
        }
        (None, true) => {
            *port = Some(Port::Listening(
                hold(address)?.listen(BACKLOG).map_err(problem)?,
            ));
        }
        (Some(Port::Listening(listener)), false) => {
            drop(listener);
            *port = Some(Port::Held(hold(address)?));
        }
        (same, _) => *port = same,
    }
    Ok(())
}
