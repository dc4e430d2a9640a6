//! A WebSocket as the library's transport: bytes in, bytes out, and a note of when the other end was
//! last heard.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_websockets::{CloseCode, Connector, Message};
use whatsapp_rust::wacore::net::{DisconnectReason, Transport, TransportEvent, TransportFactory};
use whatsapp_rust::{anyhow, async_channel};

use super::dial::{Socket, Target, dial};
use super::restart::{Dial, Restart};
use super::scope::Scope;
use super::signal::{Signal, Signals};

/// What the library may lag behind before reading pauses, in messages.
const EVENT_QUEUE: usize = 64;

/// Makes the transports of one link.
pub(super) struct Dialer {
    pub(super) target: Target,
    pub(super) connector: Arc<Connector>,
    pub(super) scope: Scope,
    pub(super) signals: Signals,
    pub(super) heard: Heard,
    /// A link is one connection; only a pairing gets a second.
    pub(super) restart: Restart,
}

/// When the other end was last heard.
#[derive(Debug, Clone)]
pub(super) struct Heard(Arc<std::sync::Mutex<Instant>>);

impl Heard {
    pub(super) fn now() -> Self {
        Self(Arc::new(std::sync::Mutex::new(Instant::now())))
    }

    fn note(&self) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn ago(&self) -> std::time::Duration {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .elapsed()
    }
}

#[async_trait]
impl TransportFactory for Dialer {
    async fn create_transport(
        &self,
    ) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>), anyhow::Error> {
        match self.restart.may_dial().await {
            Dial::Yes => {}
            Dial::No => return Err(anyhow::anyhow!("a link is one connection")),
            Dial::Again => return Ok(closed_already()),
        }
        self.signals.send(Signal::Dialing);
        let socket = match dial(&self.target, &self.connector).await {
            Ok(socket) => socket,
            Err(ending) => {
                let error = anyhow::anyhow!("{}", ending.error);
                self.signals.send(Signal::Failed(ending));
                return Err(error);
            }
        };
        self.heard.note();
        self.signals.send(Signal::Dialed);

        let (sink, stream) = socket.split();
        let (events, receiver) = async_channel::bounded(EVENT_QUEUE);
        let (close, closed) = watch::channel(false);
        let _ = events.try_send(TransportEvent::Connected);
        let heard = self.heard.clone();
        let signals = self.signals.clone();
        self.scope.run(async move {
            let reason = read(stream, &events, closed, &heard).await;
            if !matches!(reason, DisconnectReason::Unknown) {
                signals.send(Signal::Closed(reason.to_string()));
            }
            let _ = events.send(TransportEvent::Disconnected(reason)).await;
        });
        let pump = Pump {
            sink: Mutex::new(Some(sink)),
            close,
        };
        Ok((Arc::new(pump), receiver))
    }
}

/// Reads until the other end or this one closes; says how it ended (`Unknown`: this end did it).
async fn read(
    mut stream: SplitStream<Socket>,
    events: &async_channel::Sender<TransportEvent>,
    mut closed: watch::Receiver<bool>,
    heard: &Heard,
) -> DisconnectReason {
    loop {
        let message = tokio::select! {
            biased;
            _ = closed.changed() => return DisconnectReason::Unknown,
            message = stream.next() => message,
        };
        heard.note();
        match message {
            Some(Ok(message)) if message.is_binary() => {
                let data = Bytes::from(message.into_payload());
                tokio::select! {
                    biased;
                    _ = closed.changed() => return DisconnectReason::Unknown,
                    sent = events.send(TransportEvent::DataReceived(data)) => {
                        if sent.is_err() {
                            return DisconnectReason::Unknown;
                        }
                    }
                }
            }
            Some(Ok(message)) => {
                if let Some((code, reason)) = message.as_close() {
                    return DisconnectReason::ServerClose {
                        code: Some(code.into()),
                        reason: reason.to_owned(),
                    };
                }
            }
            Some(Err(e)) => return DisconnectReason::ReadError(e.to_string()),
            None => return DisconnectReason::StreamEnded,
        }
    }
}

/// A transport that is closed before it begins: to the library a passing failure, and no error.
fn closed_already() -> (Arc<dyn Transport>, async_channel::Receiver<TransportEvent>) {
    let (_, receiver) = async_channel::bounded(1);
    let pump = Pump {
        sink: Mutex::new(None),
        close: watch::channel(true).0,
    };
    (Arc::new(pump), receiver)
}

struct Pump {
    sink: Mutex<Option<SplitSink<Socket, Message>>>,
    close: watch::Sender<bool>,
}

#[async_trait]
impl Transport for Pump {
    async fn send(&self, data: Bytes) -> Result<(), anyhow::Error> {
        let mut sink = self.sink.lock().await;
        let sink = sink
            .as_mut()
            .ok_or_else(|| anyhow::anyhow!("the connection is closed"))?;
        sink.send(Message::binary(data))
            .await
            .map_err(|e| anyhow::anyhow!("sending failed: {e}"))
    }

    async fn disconnect(&self) {
        let _ = self.close.send(true);
        if let Some(mut sink) = self.sink.lock().await.take() {
            let goodbye = Message::close(Some(CloseCode::NORMAL_CLOSURE), "");
            let _ = sink.send(goodbye).await;
            let _ = sink.close().await;
        }
    }
}
