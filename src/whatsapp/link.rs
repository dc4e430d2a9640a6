//! One connection of one session to WhatsApp.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use whatsapp_rust::bot::Bot;
use whatsapp_rust::store::Backend;
use whatsapp_rust::wacore::store::{DeviceCommand, DevicePropsOverride};
use whatsapp_rust::{CacheConfig, RawNodeLease};

use super::auth;
use super::backend::SpaceBackend;
use super::event::LinkEvent;
use super::gateway::Gateway;
use super::handle::LinkHandle;
use super::monitor::{Claim, LinkMonitor, Reporter};
use super::pair_code::PairCodes;
use super::phone::Phone;
use super::pump::{Dialer, LastHeard};
use super::restart::Restart;
use super::scope::{Scope, ScopedRuntime};
use super::signal::{Handler, Signals};
use super::transfer::LinkHttp;
use crate::blocking::UncancellableWork;
use crate::deadline::Deadline;
use crate::store::{Credentials, CredentialsError, Space, Vault};

/// How many prekeys a device uploads: as many as the official client does. Far fewer is one of the deviations
/// that were blamed for devices that WhatsApp removed seconds after they were linked.
const PREKEYS: usize = 812;
/// How many chats keep their lane, the queue in which a chat's messages wait their turn. A lane takes about
/// 31 KiB, and the library keeps 5000 for ever: 150 MiB for a session that has heard from as many chats. One
/// that is evicted is made anew with the chat's next message, and one that is in use is never evicted, so 32
/// are enough for the chats that talk at the same time.
const CHAT_LANES: u64 = 32;
/// How long a goodbye may take, and the flush after it, before the link is cut.
const GOODBYE: Duration = Duration::from_secs(3);
/// How many events may wait for the session, which always takes them. When there are more, the link waits.
const EVENTS: usize = 64;

/// What the caller expects of a new link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The credentials must be an account's.
    pub paired: bool,
    /// Whether to do the full handshake. The short handshake of a known device has failed, and the library
    /// would repeat it for as long as the server does not say why.
    pub full_handshake: bool,
    /// The link is for the unlink of a device whose credentials are removed then: it goes on where they cannot be
    /// written, as on a full disk.
    pub to_unlink: bool,
}

/// The events of a link, in order, until its end.
pub type LinkEvents = mpsc::Receiver<LinkEvent>;

/// One connection of one session, to be closed by its owner.
pub struct Link {
    handle: LinkHandle,
    _stanzas: RawNodeLease,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Link").field(&self.handle).finish()
    }
}

impl Drop for Link {
    /// Ends a link that is dropped without [`Link::close`], for instance by a panic.
    fn drop(&mut self) {
        self.handle.scope.cancel();
    }
}

impl Link {
    /// Opens the credentials, or makes new ones, and begins to connect. The events say how it goes on.
    ///
    /// # Errors
    /// [`CredentialsError`]: the credentials cannot be used, or are not the expected account's; nothing
    /// was begun, and the scope is cancelled.
    pub async fn open(
        gateway: &Gateway,
        credentials: &Credentials,
        expected: Expected,
        scope: Scope,
    ) -> Result<(Self, LinkEvents), CredentialsError> {
        // A caller that drops this future in the middle gives the link up.
        let unless_opened = scope.cancel_on_drop();
        let opened = Self::begin(gateway, credentials, expected, &scope).await?;
        unless_opened.disarm();
        Ok(opened)
    }

    async fn begin(
        gateway: &Gateway,
        credentials: &Credentials,
        expected: Expected,
        scope: &Scope,
    ) -> Result<(Self, LinkEvents), CredentialsError> {
        let vault = open_vault(credentials, expected, scope.work()).await?;
        scope.closes(Arc::clone(&vault));
        let backend = SpaceBackend::new(vault as Arc<dyn Space>);
        let trouble = backend.trouble();
        let (signals, received) = Signals::channel();
        let restart = Restart::default();
        let last_heard = LastHeard::now();

        let dialer = Dialer {
            target: gateway.target.clone(),
            connector: Arc::clone(&gateway.connector),
            scope: scope.clone(),
            signals: signals.clone(),
            last_heard: last_heard.clone(),
            restart: restart.clone(),
            trouble: (!expected.to_unlink).then(|| trouble.clone()),
        };
        let phone = Arc::new(Phone::default());
        let version = gateway.versions.get(&gateway.http).await;
        let handler = Handler::new(
            signals.clone(),
            restart.clone(),
            last_heard.clone(),
            Arc::clone(&phone),
        );
        let runtime = ScopedRuntime {
            scope: scope.clone(),
            signals: signals.clone(),
            room: gateway.rooms.library.clone(),
            runtime: gateway.runtime.clone(),
        };
        let http = LinkHttp {
            http: Arc::clone(&gateway.session_http),
            room: gateway.rooms.media.clone(),
            runtime: gateway.runtime.clone(),
            scope: scope.clone(),
        };
        let built = Bot::builder()
            .with_backend_arc(Arc::new(backend) as Arc<dyn Backend>)
            .with_http_client(http)
            .with_runtime(runtime)
            .with_device_props(DevicePropsOverride::new().with_os(gateway.device_name.as_ref()))
            .with_wanted_pre_key_count(PREKEYS)
            .with_cache_config(caches())
            .skip_history_sync()
            .with_transport_factory(dialer)
            .with_version(version.as_ref().map_or((0, 0, 0), |v| *v))
            .with_event_handler(handler)
            .build()
            .await;
        let bot = built.map_err(|e| auth::failure(credentials, &trouble, &e))?;
        let client = bot.client();
        phone.of(Arc::downgrade(&client));
        if expected.full_handshake {
            let forget = DeviceCommand::ClearServerCertChain;
            client.persistence_manager().process_command(forget).await;
        }
        restart.adopt(&client.enable_auto_reconnect);
        if client.pn().is_some() {
            restart.is_paired();
        }
        let stanzas = client.acquire_raw_node_forwarding();
        let (events, received_events) = mpsc::channel(EVENTS);
        let (end, ending) = watch::channel(None);
        let reporter = Reporter { events, end };
        let codes = PairCodes::new(signals.clone());
        match version {
            Ok(version) => {
                let claim = Claim {
                    versions: Arc::clone(&gateway.versions),
                    http: Arc::clone(&gateway.http),
                    version,
                };
                let monitor = LinkMonitor {
                    claim,
                    client: Arc::clone(&client),
                    trouble: (!expected.to_unlink).then_some(trouble),
                    scope: scope.clone(),
                    last_heard,
                    signals,
                    reporter,
                };
                scope.run(monitor.run(bot.spawn(), received));
            }
            Err(why) => reporter.end(why).await,
        }
        let link = Self {
            handle: LinkHandle {
                client,
                scope: scope.clone(),
                codes,
                ending,
            },
            _stanzas: stanzas,
        };
        Ok((link, received_events))
    }

    /// The handle for requests through this link.
    #[must_use]
    pub fn handle(&self) -> &LinkHandle {
        &self.handle
    }

    /// Closes the link. With `goodbye`, the link tells WhatsApp and writes its memory to the disk, as far as
    /// there is time. Without it, the link is cut, because the credentials are to be removed anyway.
    ///
    /// After `Ok`, no task of the link runs, no file of it is open, and nothing of it can write.
    ///
    /// # Errors
    /// [`StillRunning`] if that is not so at the deadline.
    pub async fn close(self, goodbye: bool, deadline: Deadline) -> Result<(), StillRunning> {
        if goodbye {
            let part = GOODBYE.min(deadline.left() / 3);
            self.handle.say_goodbye(Deadline::within(part)).await;
            let client = Arc::clone(&self.handle.client);
            // The library's own teardown may wait for the network; the flush must not depend on it.
            let said = self
                .handle
                .scope
                .ask(async move { client.disconnect().await });
            Deadline::within(part).limit(said).await;
            self.handle.flush(Deadline::within(part)).await;
        }
        let running = StillRunning {
            tasks: 0,
            work: self.handle.scope.work().clone(),
        };
        drop(self);
        running.within(deadline).await
    }
}

async fn open_vault(
    credentials: &Credentials,
    expected: Expected,
    work: &UncancellableWork,
) -> Result<Arc<Vault>, CredentialsError> {
    let (credentials, own) = (credentials.clone(), work.clone());
    let opening = Box::pin(async move {
        if expected.paired {
            auth::open_existing(&credentials, &own).await
        } else {
            auth::open(&credentials, &own).await
        }
    });
    work.in_one_piece(opening).await
}

/// The tasks and calls of a closed link that have not ended. Before they have, no other link may be opened
/// on the same credentials, and no file may be removed.
#[derive(Debug, Clone, thiserror::Error)]
#[must_use = "another link on the same credentials must wait until it has ended"]
#[error("{tasks} tasks or calls of the link have not ended, a disk may be hanging")]
pub struct StillRunning {
    tasks: usize,
    work: UncancellableWork,
}

impl StillRunning {
    /// Waits until it has ended.
    pub async fn ended(self) {
        self.work.gone().await;
    }

    async fn within(self, deadline: Deadline) -> Result<(), Self> {
        match deadline.limit(self.work.gone()).await {
            Some(()) => Ok(()),
            None => Err(Self {
                tasks: self.work.len(),
                ..self
            }),
        }
    }
}

/// What the library keeps in memory for a session. Its own choices suit a program with one account. The other
/// caches keep what is small, or keep it for an hour; without a bound is only the one of the accounts' two
/// addresses, of which the library must not lose any.
fn caches() -> CacheConfig {
    CacheConfig {
        chat_lanes_capacity: CHAT_LANES,
        ..CacheConfig::default()
    }
}
