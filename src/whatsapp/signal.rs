//! What the library and the transport report, in order, before it is given a meaning.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use whatsapp_rust::types::events::{Event, EventHandler};
use whatsapp_rust::wacore_binary::Node;

use super::ending::Ending;
use super::event::PairCodeRefused;
use super::pump::Heard;
use super::restart::Restart;
use crate::protocol::Redacted;

/// Something that was reported.
pub(super) enum Signal {
    Dialing,
    Dialed,
    /// The encrypted handshake is done.
    HandshakeDone,
    /// It failed before it began.
    Failed(Ending),
    /// The other end closed the socket.
    Closed(String),
    /// How many QR codes this pairing may show.
    Refs(usize),
    Qr {
        code: Redacted,
        valid_for: Duration,
    },
    QrExhausted,
    PairCode {
        code: Redacted,
        valid_for: Duration,
    },
    PairCodeRefresh,
    PairCodeRefused(PairCodeRefused),
    PairSuccess,
    /// The stream of a pairing ends, and the library connects again.
    Restart,
    PairFailed(String),
    Success,
    StreamError(Box<Node>),
    Failure(Box<Node>),
    StreamEnd,
    /// The link is ready for use.
    Ready,
    Name(String),
    /// Something arrived for the user.
    Activity,
}

/// The way into the channel.
#[derive(Clone)]
pub(super) struct Signals(mpsc::UnboundedSender<Signal>);

impl Signals {
    /// Unbounded, and still bounded: what is frequent is thinned out by the receiver's speed, and a
    /// link's life has only so many of the rest.
    pub(super) fn channel() -> (Self, mpsc::UnboundedReceiver<Signal>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(super) fn send(&self, signal: Signal) {
        // The receiver is gone when the link is being closed; then nobody wants to know.
        let _ = self.0.send(signal);
    }
}

/// Called by the library inline, in the order in which things happen; it only passes them on.
pub(super) struct Handler {
    pub(super) signals: Signals,
    pub(super) restart: Restart,
    pub(super) heard: Heard,
}

impl EventHandler for Handler {
    fn handle_event(&self, event: Arc<Event>) {
        if let Some(signal) = self.read(&event) {
            self.signals.send(signal);
        }
    }
}

impl Handler {
    fn read(&self, event: &Event) -> Option<Signal> {
        let signal = match event {
            Event::RawNode(node) => {
                self.heard.note();
                return self.read_stanza(node);
            }
            Event::PairingQrCode(qr) => Signal::Qr {
                code: qr.code.as_str().into(),
                valid_for: qr.timeout,
            },
            Event::PairingQrCodesExhausted(_) => Signal::QrExhausted,
            Event::PairingCode(code) => Signal::PairCode {
                code: code.code.as_str().into(),
                valid_for: code.timeout,
            },
            Event::PairingCodeRefresh(_) => Signal::PairCodeRefresh,
            Event::PairingCodeError(error) => Signal::PairCodeRefused(PairCodeRefused {
                rate_limited: error
                    .rejection
                    .is_some_and(whatsapp_rust::pair_code::PairCodeRejection::is_throttled),
                retry_after: error.backoff,
                error: error.error.clone(),
            }),
            Event::PairSuccess(_) => {
                self.restart.allow();
                self.restart.settle();
                Signal::PairSuccess
            }
            Event::PairError(error) => {
                self.restart.forbid();
                Signal::PairFailed(error.error.clone())
            }
            Event::Connected(_) => Signal::Ready,
            Event::SelfPushNameUpdated(update) => Signal::Name(update.new_name.clone()),
            Event::Messages(_) => Signal::Activity,
            _ => return None,
        };
        Some(signal)
    }

    /// The library reports some endings as events, some only in its log, some not at all. The
    /// stanzas themselves are always seen, so they are what counts.
    fn read_stanza(&self, node: &whatsapp_rust::OwnedNodeRef) -> Option<Signal> {
        match node.tag() {
            "stream:error" => {
                let node = node.to_owned_node();
                if self.restart.is_announced_by(&node) {
                    self.restart.allow();
                    return Some(Signal::Restart);
                }
                Some(Signal::StreamError(Box::new(node)))
            }
            "failure" => Some(Signal::Failure(Box::new(node.to_owned_node()))),
            "success" => {
                self.restart.logged_in();
                Some(Signal::Success)
            }
            "xmlstreamend" => Some(Signal::StreamEnd),
            "iq" => {
                let pairing = node.get().get_optional_child("pair-device")?;
                let refs = pairing.children().unwrap_or_default();
                let refs = refs.iter().filter(|n| n.tag.as_ref() == "ref");
                Some(Signal::Refs(refs.count()))
            }
            _ => None,
        }
    }
}
