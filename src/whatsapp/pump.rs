//! A WebSocket as the library's transport: bytes in, bytes out.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_websockets::{CloseCode, Connector, Message};
use whatsapp_rust::wacore::net::{DisconnectReason, Transport, TransportEvent, TransportFactory};
use whatsapp_rust::{anyhow, async_channel};

use super::backend::Trouble;
use super::dial::{Socket, Target, dial};
use super::restart::{Dial, Restart};
use super::scope::Scope;
use super::signal::{Signal, Signals};

/// How many messages the library may lag behind before reading pauses.
const EVENT_QUEUE: usize = 64;

/// Makes the transports of one link.
pub(super) struct Dialer {
    pub(super) target: Target,
    pub(super) connector: Arc<Connector>,
    pub(super) scope: Scope,
    pub(super) signals: Signals,
    pub(super) last_heard: LastHeard,
    /// Allows one connection; only a pairing gets a second one.
    pub(super) restart: Restart,
    /// The trouble with the credentials that ends the link; `None`: none does.
    pub(super) trouble: Option<Trouble>,
}

/// When the server last gave a sign of life: it connected, or a stanza of it was read. Bytes that cannot be
/// decrypted are none.
#[derive(Debug, Clone)]
pub(super) struct LastHeard(Arc<std::sync::Mutex<Instant>>);

impl LastHeard {
    pub(super) fn now() -> Self {
        Self(Arc::new(std::sync::Mutex::new(Instant::now())))
    }

    pub(super) fn note(&self) {
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
        self.last_heard.note();
        self.signals.send(Signal::Dialed);

        let (sink, stream) = socket.split();
        let (events, receiver) = async_channel::bounded(EVENT_QUEUE);
        let (close, closed) = watch::channel(false);
        let _ = events.try_send(TransportEvent::Connected);
        let signals = self.signals.clone();
        self.scope.run(async move {
            let reason = read(stream, &events, closed).await;
            if !matches!(reason, DisconnectReason::Unknown) {
                signals.send(Signal::Closed(reason.to_string()));
            }
            let _ = events.send(TransportEvent::Disconnected(reason)).await;
        });
        let pump = Pump {
            sink: Mutex::new(Some(sink)),
            close,
            trouble: self.trouble.clone(),
        };
        Ok((Arc::new(pump), receiver))
    }
}

/// Reads until the other end or this one closes; says how it ended (`Unknown`: this end did it).
async fn read(
    mut stream: SplitStream<Socket>,
    events: &async_channel::Sender<TransportEvent>,
    mut closed: watch::Receiver<bool>,
) -> DisconnectReason {
    let mut frames = Frames::default();
    loop {
        let message = tokio::select! {
            biased;
            _ = closed.changed() => return DisconnectReason::Unknown,
            message = stream.next() => message,
        };
        match message {
            Some(Ok(message)) if message.is_binary() => {
                frames.push(Bytes::from(message.into_payload()));
                while let Some(data) = frames.next() {
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

/// Cuts the bytes that arrive into frames: three bytes of length, then that many bytes. A message may hold
/// several frames, or a part of one. Without this the library would take one frame from the message that
/// ends its handshake, and throw away the stanza behind it, and with it every later stanza.
#[derive(Default)]
struct Frames(BytesMut);

impl Frames {
    fn push(&mut self, message: Bytes) {
        if self.0.is_empty() {
            // As a rule a message is a frame, and nobody else holds it.
            self.0 = message.into();
        } else {
            self.0.extend_from_slice(&message);
        }
    }

    /// The next whole frame, with its length.
    fn next(&mut self) -> Option<Bytes> {
        let [high, middle, low] = *self.0.first_chunk::<3>()?;
        let length = 3 + u32::from_be_bytes([0, high, middle, low]) as usize;
        (self.0.len() >= length).then(|| self.0.split_to(length).freeze())
    }
}

/// A transport that is closed from the start. The library takes it for a passing failure, not for an error.
fn closed_already() -> (Arc<dyn Transport>, async_channel::Receiver<TransportEvent>) {
    let (_, receiver) = async_channel::bounded(1);
    let pump = Pump {
        sink: Mutex::new(None),
        close: watch::channel(true).0,
        trouble: None,
    };
    (Arc::new(pump), receiver)
}

struct Pump {
    sink: Mutex<Option<SplitSink<Socket, Message>>>,
    close: watch::Sender<bool>,
    trouble: Option<Trouble>,
}

impl Pump {
    /// Whether the credentials could not be read or written. The library would refuse a message that it cannot
    /// read for that reason, and WhatsApp would forget the message.
    fn must_be_silent(&self) -> bool {
        let trouble = self.trouble.as_ref();
        trouble.is_some_and(|trouble| trouble.so_far().is_some())
    }
}

#[async_trait]
impl Transport for Pump {
    async fn send(&self, data: Bytes) -> Result<(), anyhow::Error> {
        let mut sink = self.sink.lock().await;
        if self.must_be_silent() {
            return Err(anyhow::anyhow!("the credentials cannot be used"));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_however_they_come() {
        let long = [b"\0\x01\0".as_slice(), &[7; 256]].concat();
        let whole: [&[u8]; 4] = [b"\0\0\x05hello", b"\0\0\0", b"\0\0\x01!", &long];
        let stream = whole.concat();
        for size in 1..=stream.len() {
            let mut frames = Frames::default();
            let mut cut = Vec::new();
            for message in stream.chunks(size) {
                frames.push(Bytes::copy_from_slice(message));
                cut.extend(std::iter::from_fn(|| frames.next()));
            }
            assert_eq!(cut, whole, "in messages of {size} bytes");
            assert!(frames.0.is_empty());
        }
    }
}
