//! The `whatsapp-rust` library as a device, with what it says in a queue for each kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, mpsc};
use wasim::{Observation, Server};
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse, UreqHttpClient};
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::types::durability_hook::InboundDurabilityHook;
use whatsapp_rust::wacore::net::StreamingHttpResponse;
use whatsapp_rust::wacore::store::InMemoryBackend;
use whatsapp_rust::wacore::types::events::{
    ChatPresenceUpdate, Event, EventHandler, InboundMessage, PresenceUpdate, Receipt, ServerAck,
    UndecryptableMessage,
};
use whatsapp_rust::{
    CacheConfig, CacheEntryConfig, Client, IqError, Jid, SendError, TokioRuntime, anyhow,
    async_trait,
};

use super::LONG;

/// A queue of one kind of event.
pub(crate) type Queue<T> = Mutex<mpsc::UnboundedReceiver<T>>;

pub(crate) struct ChatClient {
    pub(crate) client: Arc<Client>,
    pub(crate) backend: Arc<InMemoryBackend>,
    /// Whether messages are committed, and so acknowledged.
    pub(crate) commits: Arc<AtomicBool>,
    /// The ids of the messages that were not committed.
    pub(crate) refused: Queue<String>,
    handle: BotHandle,
    codes: Queue<String>,
    pub(crate) messages: Queue<InboundMessage>,
    pub(crate) acks: Queue<ServerAck>,
    pub(crate) receipts: Queue<Receipt>,
    pub(crate) unreadable: Queue<UndecryptableMessage>,
    pub(crate) typing: Queue<ChatPresenceUpdate>,
    pub(crate) presence: Queue<PresenceUpdate>,
    pub(crate) previews: Queue<i32>,
}

/// The next of a queue.
pub(crate) async fn next<T>(queue: &Queue<T>) -> T {
    let mut queue = queue.lock().await;
    tokio::time::timeout(LONG, queue.recv())
        .await
        .expect("something comes")
        .expect("the client goes on")
}

/// The next of a queue that fits.
pub(crate) async fn next_that<T>(queue: &Queue<T>, fits: impl Fn(&T) -> bool) -> T {
    loop {
        let found = next(queue).await;
        if fits(&found) {
            return found;
        }
    }
}

struct Sorter {
    codes: mpsc::UnboundedSender<String>,
    messages: mpsc::UnboundedSender<InboundMessage>,
    acks: mpsc::UnboundedSender<ServerAck>,
    receipts: mpsc::UnboundedSender<Receipt>,
    unreadable: mpsc::UnboundedSender<UndecryptableMessage>,
    typing: mpsc::UnboundedSender<ChatPresenceUpdate>,
    presence: mpsc::UnboundedSender<PresenceUpdate>,
    previews: mpsc::UnboundedSender<i32>,
}

impl EventHandler for Sorter {
    fn handle_event(&self, event: Arc<Event>) {
        // A test that is over listens no more.
        match &*event {
            Event::PairingQrCode(code) => drop(self.codes.send(code.code.clone())),
            Event::Messages(batch) => {
                for message in batch.messages.iter() {
                    let _ = self.messages.send(message.clone());
                }
            }
            Event::ServerAck(ack) => drop(self.acks.send(ack.clone())),
            Event::Receipt(receipt) => drop(self.receipts.send(receipt.clone())),
            Event::UndecryptableMessage(message) => drop(self.unreadable.send(message.clone())),
            Event::ChatPresence(typing) => drop(self.typing.send(typing.clone())),
            Event::Presence(presence) => drop(self.presence.send(presence.clone())),
            Event::OfflineSyncPreview(preview) => drop(self.previews.send(preview.total)),
            _ => {}
        }
    }
}

/// Commits messages, or does not.
struct Hook {
    commits: Arc<AtomicBool>,
    refused: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, _: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        if self.commits.load(Ordering::SeqCst) {
            return Ok(());
        }
        for message in batch {
            let _ = self.refused.send(message.info.id.clone());
        }
        Err(anyhow::anyhow!("this consumer is down"))
    }
}

/// Plain HTTP with servers on this machine.
struct LoopbackHttp(UreqHttpClient);

impl LoopbackHttp {
    fn plain(mut request: HttpRequest) -> HttpRequest {
        if let Some(rest) = request.url.strip_prefix("https://127.0.0.1:") {
            request.url = format!("http://127.0.0.1:{rest}");
        }
        request
    }
}

#[async_trait]
impl HttpClient for LoopbackHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        self.0.execute(Self::plain(request)).await
    }

    fn supports_streaming(&self) -> bool {
        self.0.supports_streaming()
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        self.0.execute_streaming(Self::plain(request))
    }
}

/// With what it sent in memory. Without it, this library takes a message out of its store for as long as it sends it
/// again, and two people of a group who ask at the same time do not both get it.
fn caches() -> CacheConfig {
    CacheConfig {
        recent_messages: CacheEntryConfig::new(None, 100),
        ..CacheConfig::default()
    }
}

impl ChatClient {
    /// A device of `phone`, linked and online.
    pub(crate) async fn pair(server: &Server, phone: &str) -> (Self, String) {
        let backend = Arc::new(InMemoryBackend::new());
        let client = Self::start(&server.url(), backend, Arc::new(AtomicBool::new(true))).await;
        let qr = next(&client.codes).await;
        let device = server.scan(&qr, phone).await.unwrap();
        server.wait_online(&device, LONG).await.unwrap();
        // Without the keys of the account's own phone, it cannot write to it.
        let keys = |seen: &Observation| matches!(seen, Observation::KeysShared { jid, .. } if *jid == device);
        server.wait_for(keys, LONG).await.unwrap();
        (client, device)
    }

    /// The same device again.
    pub(crate) async fn resume(server: &Server, backend: Arc<InMemoryBackend>) -> Self {
        Self::start(&server.url(), backend, Arc::new(AtomicBool::new(true))).await
    }

    async fn start(url: &str, backend: Arc<InMemoryBackend>, commits: Arc<AtomicBool>) -> Self {
        let (codes, codes_queue) = mpsc::unbounded_channel();
        let (messages, messages_queue) = mpsc::unbounded_channel();
        let (acks, acks_queue) = mpsc::unbounded_channel();
        let (receipts, receipts_queue) = mpsc::unbounded_channel();
        let (unreadable, unreadable_queue) = mpsc::unbounded_channel();
        let (typing, typing_queue) = mpsc::unbounded_channel();
        let (presence, presence_queue) = mpsc::unbounded_channel();
        let (previews, previews_queue) = mpsc::unbounded_channel();
        let (refused, refused_queue) = mpsc::unbounded_channel();
        let bot = Bot::builder()
            .with_backend_arc(Arc::clone(&backend) as _)
            .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(url))
            .with_http_client(LoopbackHttp(UreqHttpClient::new()))
            .with_runtime(TokioRuntime)
            .with_version((2, 3000, 1_030_000_000))
            .with_wanted_pre_key_count(50)
            .with_cache_config(caches())
            .skip_history_sync()
            .with_inbound_durability_hook(Hook {
                commits: Arc::clone(&commits),
                refused,
            })
            .with_event_handler(Sorter {
                codes,
                messages,
                acks,
                receipts,
                unreadable,
                typing,
                presence,
                previews,
            })
            .build()
            .await
            .unwrap();
        Self {
            client: bot.client(),
            backend,
            commits,
            refused: Mutex::new(refused_queue),
            handle: bot.spawn(),
            codes: Mutex::new(codes_queue),
            messages: Mutex::new(messages_queue),
            acks: Mutex::new(acks_queue),
            receipts: Mutex::new(receipts_queue),
            unreadable: Mutex::new(unreadable_queue),
            typing: Mutex::new(typing_queue),
            presence: Mutex::new(presence_queue),
            previews: Mutex::new(previews_queue),
        }
    }

    /// The next message that is no private talk of the phone's.
    pub(crate) async fn message(&self) -> InboundMessage {
        next_that(&self.messages, |message| {
            message.message.protocol_message.is_unset() || !message.info.source.is_from_me
        })
        .await
    }

    /// What the server answers to the message of this id: an error code, if it refuses it.
    pub(crate) async fn ack(&self, id: &str) -> Option<String> {
        let ack = next_that(&self.acks, |ack| {
            ack.id == id && ack.class.as_deref() == Some("message")
        });
        ack.await.error
    }

    /// Sends a text. Returns its id.
    pub(crate) async fn send(&self, to: &Jid, text: &str) -> String {
        let sent = async {
            loop {
                self.client.wait_for_connected(LONG).await.unwrap();
                match self.client.send_text(to, text).await {
                    // After some pairings this library connects once more. Then nothing was sent.
                    Err(SendError::Iq(IqError::NotConnected)) => tokio::task::yield_now().await,
                    sent => return sent.unwrap().message_id.clone(),
                }
            }
        };
        tokio::time::timeout(LONG, sent)
            .await
            .expect("it is sent in time")
    }

    pub(crate) async fn stop(self) -> Arc<InMemoryBackend> {
        self.handle.shutdown().await;
        self.backend
    }
}

pub(crate) fn pn(phone: &str) -> Jid {
    Jid::pn(phone)
}

pub(crate) fn group(jid: &str) -> Jid {
    jid.parse().unwrap()
}

/// The text of a message.
pub(crate) fn text(message: &InboundMessage) -> String {
    let message = &message.message;
    let extended = message.extended_text_message.as_option();
    let extended = extended.and_then(|text| text.text.clone());
    message
        .conversation
        .clone()
        .or(extended)
        .unwrap_or_default()
}

/// Waits until nothing waits for the device any more.
pub(crate) async fn nothing_waits(server: &Server, device: &str) {
    let mut position = server.position();
    let all = async {
        while server.waiting(device).await.unwrap() > 0 {
            let said = |seen: &Observation| {
                matches!(
                    seen,
                    Observation::MessageAcknowledged { .. } | Observation::ReceiptReceived { .. }
                )
            };
            // Receipts to the device are acknowledged without a word.
            let soon = std::time::Duration::from_millis(50);
            let _ = server.wait_after(position, said, soon).await;
            position = server.position();
        }
    };
    tokio::time::timeout(LONG, all)
        .await
        .expect("everything is acknowledged");
}
