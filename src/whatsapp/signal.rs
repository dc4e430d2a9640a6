//! Signals: what the library and the transport report, in order. The monitor says what they mean.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::types::events::{Event, EventHandler};
use whatsapp_rust::wacore_binary::{Node, NodeRef};
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::ADVEncryptionType;

use super::ending::Ending;
use super::event::{CodeRequest, PairCodeRefused};
use super::limits::{self, Limit};
use super::passkey::{PasskeyEvent, check_challenge};
use super::phone::Phone;
use super::pump::LastHeard;
use super::restart::Restart;
use super::scope::own_task;
use crate::protocol::Redacted;

/// A report of the library or the transport.
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
        request: CodeRequest,
        code: Redacted,
        valid_for: Duration,
    },
    PairCodeRefresh,
    PairCodeRefused(CodeRequest, PairCodeRefused),
    Passkey(PasskeyEvent),
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
    /// The account's phone sent something, so long ago.
    PhoneHeard(Duration),
    /// How a limit of the account stands now: WhatsApp says so by itself.
    Limit(Limit),
    /// How a limit of the account stood when it was asked for.
    AskedLimit(Limit),
    /// The critical part of the account's settings does not come.
    SettingsMissing,
    /// From when on WhatsApp refuses this version of the client; `None`: it takes that back.
    ClientExpires(Option<Timestamp>),
}

/// The notification with which WhatsApp wants a passkey, and whose it is.
const PASSKEY: &str = "passkey_prologue_request";
const SERVER: &str = "s.whatsapp.net";

/// How many signals may wait to be read. A link has a few dozen in all, besides the activity, which is
/// reported rarely. A server that causes more is misbehaving, and the link ends.
const QUEUE: usize = 256;
/// Activity is reported at most this often.
const ACTIVITY: Duration = Duration::from_secs(10);

/// The sending end of the channel. Sending never waits, because the library calls it inline.
#[derive(Clone)]
pub(super) struct Signals {
    sender: mpsc::Sender<Signal>,
    flooded: CancellationToken,
}

impl Signals {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Signal>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let flooded = CancellationToken::new();
        (Self { sender, flooded }, receiver)
    }

    /// Sends a signal. Where the channel is full, the link is [flooded](Signals::flooded): a signal is never
    /// lost silently.
    pub(super) fn send(&self, signal: Signal) {
        match self.sender.try_send(signal) {
            // The receiver is gone when the link is being closed, and then nobody needs the signal.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.flooded.cancel(),
        }
    }

    /// Waits until a signal did not fit into the channel: then the link must end.
    pub(super) async fn flooded(&self) {
        self.flooded.cancelled().await;
    }
}

/// Passes the library's events on. The library calls it inline, in the order in which things happen.
pub(super) struct Handler {
    signals: Signals,
    restart: Restart,
    last_heard: LastHeard,
    phone: Arc<Phone>,
    /// When activity was last reported.
    active: Mutex<Option<Instant>>,
    /// The library's task that shows one QR code after the other. At their end it closes the link.
    qr_codes: Mutex<Option<CancellationToken>>,
    /// Whether the last answer of a phone was that of a Business account in coexistence.
    hosted: AtomicBool,
}

impl EventHandler for Handler {
    fn handle_event(&self, event: Arc<Event>) {
        if let Some(signal) = self.read(&event) {
            self.signals.send(signal);
        }
    }
}

impl Handler {
    pub(super) fn new(
        signals: Signals,
        restart: Restart,
        last_heard: LastHeard,
        phone: Arc<Phone>,
    ) -> Self {
        Self {
            signals,
            restart,
            last_heard,
            phone,
            active: Mutex::default(),
            qr_codes: Mutex::default(),
            hosted: AtomicBool::new(false),
        }
    }

    /// Ends the library's QR codes: the last one was scanned. A link that shows no more codes stays up.
    fn end_qr_codes(&self) {
        let codes = &self.qr_codes;
        let ended = codes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = ended {
            task.cancel();
        }
    }

    fn note_qr_codes(&self) {
        let codes = &self.qr_codes;
        *codes.lock().unwrap_or_else(PoisonError::into_inner) = own_task();
    }

    /// Whether activity is to be reported again.
    fn is_active(&self) -> bool {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let due = active.is_none_or(|at| at.elapsed() >= ACTIVITY);
        if due {
            *active = Some(Instant::now());
        }
        due
    }

    fn read(&self, event: &Event) -> Option<Signal> {
        let signal = match event {
            Event::RawNode(node) => {
                self.last_heard.note();
                if let Some(ago) = self.phone.heard_in(node.get(), Timestamp::now()) {
                    self.signals.send(Signal::PhoneHeard(ago));
                }
                return self.read_stanza(node);
            }
            Event::PairingQrCode(qr) => {
                self.note_qr_codes();
                Signal::Qr {
                    code: qr.code.as_str().into(),
                    valid_for: qr.timeout,
                }
            }
            Event::PairingQrCodesExhausted(_) => Signal::QrExhausted,
            // A code and a refusal do not say for which request they are. Whoever asked reports them.
            Event::PairingCodeRefresh(_) => Signal::PairCodeRefresh,
            Event::PairSuccess(_) => {
                self.restart.allow();
                self.restart.settle();
                Signal::PairSuccess
            }
            Event::PairError(error) => {
                self.restart.forbid();
                let hosted = self.hosted.load(Ordering::SeqCst);
                Signal::PairFailed(pair_error(&error.error, hosted))
            }
            Event::PairPasskeyRequest(request) => {
                self.end_qr_codes();
                let options = &request.request_options_json;
                Signal::Passkey(match check_challenge(options) {
                    Ok(()) => PasskeyEvent::Challenge(options.as_str().into()),
                    Err(why) => PasskeyEvent::Failed(why),
                })
            }
            Event::PairPasskeyConfirmation(confirm) => Signal::Passkey(PasskeyEvent::Confirm {
                code: confirm.code.as_str().into(),
                skip: confirm.skip_handoff_ux,
            }),
            Event::PairPasskeyError(error) => {
                Signal::Passkey(PasskeyEvent::Failed(error.error.clone()))
            }
            Event::Connected(_) => Signal::Ready,
            Event::SelfPushNameUpdated(update) => Signal::Name(update.new_name.clone()),
            // What waited for the device may be over; how it is now is asked at each login.
            Event::MexNotification(said) if said.offline.is_none() => {
                for limit in limits::read(&said.payload) {
                    self.signals.send(Signal::Limit(limit));
                }
                return None;
            }
            Event::AppStateSyncFailed(failed) => {
                let all = [&failed.fatal, &failed.retryable, &failed.skipped];
                let critical = |name: &String| name.starts_with("critical");
                let is_critical = all.into_iter().flatten().any(critical);
                return is_critical.then_some(Signal::SettingsMissing);
            }
            Event::Messages(_) if self.is_active() => Signal::Activity,
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
            "ib" => {
                let said = node.get().get_optional_child("client_expiration")?;
                expiration(said).map(Signal::ClientExpires)
            }
            "notification" => {
                let node = node.get();
                let is = |name: &str, value: &str| {
                    node.get_attr(name).is_some_and(|v| v.as_str() == value)
                };
                // The library takes it from the server only. It reports the challenge when that is there.
                if !is("type", PASSKEY) || !is("from", SERVER) {
                    return None;
                }
                self.end_qr_codes();
                Some(Signal::Passkey(PasskeyEvent::Announced))
            }
            "iq" => {
                if let Some(success) = node.get().get_optional_child("pair-success") {
                    self.hosted.store(is_hosted(success), Ordering::SeqCst);
                }
                let pairing = node.get().get_optional_child("pair-device")?;
                let refs = pairing.children().unwrap_or_default();
                let refs = refs.iter().filter(|n| n.tag.as_ref() == "ref");
                Some(Signal::Refs(refs.count()))
            }
            _ => None,
        }
    }
}

/// What WhatsApp says of the expiry of this version: a time, or without one that there is none. A time that
/// cannot be read says nothing.
#[allow(
    clippy::option_option,
    reason = "nothing said, and said that there is none"
)]
fn expiration(said: &NodeRef<'_>) -> Option<Option<Timestamp>> {
    let Some(at) = said.get_attr("t") else {
        return Some(None);
    };
    let at: i64 = at.as_str().parse().ok()?;
    if at == 0 {
        return Some(None);
    }
    Timestamp::from_second(at).ok().map(Some)
}

/// Whether a phone's answer is that of a Business account in coexistence: its WhatsApp is hosted, and its
/// signatures are made in another way.
fn is_hosted(success: &NodeRef<'_>) -> bool {
    let identity = success.get_optional_child("device-identity");
    let Some(bytes) = identity.and_then(NodeRef::content_bytes) else {
        return false;
    };
    let Ok(container) = codec::adv_signed_device_identity_hmac_decode(bytes) else {
        return false;
    };
    if container.account_type == Some(ADVEncryptionType::HOSTED) {
        return true;
    }
    let signed = container.details.as_deref().unwrap_or_default();
    let signed = codec::adv_signed_device_identity_decode(signed).ok();
    let details = signed.and_then(|signed| signed.details);
    let details = codec::adv_device_identity_decode(details.as_deref().unwrap_or_default()).ok();
    details.is_some_and(|details| {
        let hosted = Some(ADVEncryptionType::HOSTED);
        details.account_type == hosted || details.device_type == hosted
    })
}

/// Why a phone's answer could not be used, for a person.
fn pair_error(error: &str, hosted: bool) -> String {
    if hosted {
        format!(
            "this is a WhatsApp Business account in coexistence (hosted with Meta), which signs its devices in another way than this version of wasessiond knows: {error}. Update wasessiond, or link an account that is only on its phone"
        )
    } else {
        error.to_owned()
    }
}
