//! A client to test with: the `whatsapp-rust` library, with everything it says in a queue.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod raw;
mod resolver;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use wasim::Server;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::wacore::store::InMemoryBackend;
use whatsapp_rust::wacore::types::events::{Event, EventHandler};
use whatsapp_rust::{Client, TokioRuntime};

/// Longer than anything here takes; a test that waits for it has failed.
pub(crate) const LONG: Duration = Duration::from_mins(1);

pub(crate) struct TestClient {
    pub(crate) client: Arc<Client>,
    pub(crate) backend: Arc<InMemoryBackend>,
    handle: BotHandle,
    events: Mutex<mpsc::UnboundedReceiver<Arc<Event>>>,
}

/// Links a device of the raw client's.
pub(crate) async fn pair_raw(server: &Server, keys: &raw::Keys, phone: &str) -> String {
    let registration = keys.registration();
    let mut client = raw::RawClient::connect(server, keys, &registration, usize::MAX).await;
    let (refs, _) = client.refs().await;
    let qr = keys.qr(&refs[0]);
    let sign = async {
        let success = client.next().await.unwrap();
        client.sign(keys, &success, &keys.identity).await;
    };
    let (device, ()) = tokio::join!(server.scan(&qr, phone), sign);
    device.unwrap()
}

struct Queue(mpsc::UnboundedSender<Arc<Event>>);

impl EventHandler for Queue {
    fn handle_event(&self, event: Arc<Event>) {
        let _ = self.0.send(event);
    }
}

impl TestClient {
    pub(crate) async fn start(server: &Server) -> Self {
        Self::resume(&server.url(), Arc::new(InMemoryBackend::new())).await
    }

    pub(crate) async fn resume(url: &str, backend: Arc<InMemoryBackend>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let bot = Bot::builder()
            .with_backend_arc(Arc::clone(&backend) as _)
            .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(url))
            .with_http_client(whatsapp_rust::http::UreqHttpClient::new())
            .with_runtime(TokioRuntime)
            .with_version((2, 3000, 1_030_000_000))
            .with_wanted_pre_key_count(20)
            .skip_history_sync()
            .with_event_handler(Queue(sender))
            .build()
            .await
            .unwrap();
        let client = bot.client();
        Self {
            client,
            backend,
            handle: bot.spawn(),
            events: Mutex::new(events),
        }
    }

    /// The next event that `wanted` maps to something.
    pub(crate) async fn event<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let mut events = self.events.lock().await;
        let search = async {
            loop {
                let event = events.recv().await.expect("the client goes on");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(LONG, search)
            .await
            .expect("the event comes")
    }

    /// The text of the QR code the client shows.
    pub(crate) async fn qr(&self) -> String {
        self.event(|event| match event {
            Event::PairingQrCode(code) => Some(code.code.clone()),
            _ => None,
        })
        .await
    }

    /// Pairs by QR code, and waits until the client says it is connected. Returns the device's JID.
    pub(crate) async fn pair(&self, server: &Server, phone: &str) -> String {
        let qr = self.qr().await;
        let device = server.scan(&qr, phone).await.unwrap();
        server.wait_online(&device, LONG).await.unwrap();
        self.connected().await;
        device
    }

    pub(crate) async fn logged_out(&self) {
        self.event(|event| matches!(event, Event::LoggedOut(_)).then_some(()))
            .await;
    }

    pub(crate) async fn connected(&self) {
        self.event(|event| matches!(event, Event::Connected(_)).then_some(()))
            .await;
    }

    pub(crate) async fn stop(self) -> Arc<InMemoryBackend> {
        self.handle.shutdown().await;
        self.backend
    }
}
