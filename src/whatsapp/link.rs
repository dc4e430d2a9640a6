//! One connection of one session to WhatsApp.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use whatsapp_rust::Client;
use whatsapp_rust::RawNodeLease;
use whatsapp_rust::bot::Bot;
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::request::{InfoQuery, IqError};
use whatsapp_rust::store::SqliteStore;
use whatsapp_rust::wacore::iq::devices::RemoveCompanionDeviceSpec;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::store::{DeviceCommand, DevicePropsOverride};

use super::auth::{self, CredentialsError};
use super::ending::{Ending, Verdict};
use super::event::LinkEvent;
use super::gateway::Gateway;
use super::monitor::{LinkMonitor, Teller};
use super::pump::{Dialer, Heard};
use super::restart::Restart;
use super::scope::{Scope, ScopedRuntime};
use super::signal::{Handler, Signals};
use crate::protocol::{Account, Cause, Group, PhoneNumber, Unlink};

/// A question to WhatsApp that got no answer to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The link is not up.
    #[error("the link to WhatsApp is not up")]
    NotConnected,
    /// No answer in time.
    #[error("WhatsApp did not answer in time")]
    Timeout,
    /// WhatsApp asks to slow down.
    #[error("WhatsApp asks to slow down")]
    RateLimited {
        /// When to ask again.
        retry_after: Option<Duration>,
    },
    /// WhatsApp said no.
    #[error("WhatsApp refused: {0}")]
    Refused(String),
}

/// Prekeys a device keeps at the server. Each is a row and a key in memory; a client that talks to
/// few new people needs few, and it fills up when they run low.
const PREKEYS: usize = 100;
/// How long a flush and a goodbye may take before the link is cut.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long the last tasks of a link may take to end once they are cancelled: one write of a slow
/// disk.
const LAST_TASKS: Duration = Duration::from_secs(5);
/// How long the answer about the groups may take.
const GROUPS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for the stanza that tells why the link broke during an unlink.
const LAST_WORD: Duration = Duration::from_millis(300);

/// What a link is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The credentials must be an account's.
    pub paired: bool,
    /// Shake hands as with a server that is not known: the short handshake of a known device has
    /// failed, and the library would go on with it for as long as the server does not say why.
    pub full_handshake: bool,
}

/// One connection of one session.
pub struct Link {
    client: Arc<Client>,
    store: Arc<SqliteStore>,
    scope: Scope,
    ending: watch::Receiver<Option<Ending>>,
    _stanzas: RawNodeLease,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("tasks", &self.scope.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Link {
    /// A link that is dropped without [`Link::close`] (a panic) must not go on by itself.
    fn drop(&mut self) {
        self.scope.cancel();
    }
}

impl Link {
    /// Opens the credentials (or makes new ones) and begins to connect. What comes of it is told to
    /// `events`.
    ///
    /// # Errors
    /// [`CredentialsError`]: the credentials cannot be used, or are not the expected account's; nothing was
    /// begun.
    pub async fn open(
        gateway: &Gateway,
        auth_db: &Path,
        expected: Expected,
        scope: Scope,
        events: mpsc::UnboundedSender<LinkEvent>,
    ) -> Result<Self, CredentialsError> {
        let path = auth_db.to_owned();
        let opening = async move {
            if expected.paired {
                auth::open_existing(&path).await
            } else {
                auth::open(&path, auth::BUSY).await
            }
        };
        let store = scope.work().see_through(opening).await?;
        let (signals, received) = Signals::channel();
        let restart = Restart::default();
        let heard = Heard::now();

        let dialer = Dialer {
            target: gateway.target.clone(),
            connector: Arc::clone(&gateway.connector),
            scope: scope.clone(),
            signals: signals.clone(),
            heard: heard.clone(),
            restart: restart.clone(),
        };
        let handler = Handler {
            signals: signals.clone(),
            restart: restart.clone(),
            heard: heard.clone(),
        };
        let fetched = scope
            .unless_cancelled(gateway.versions.get(&gateway.http))
            .await;
        let version = fetched.ok_or_else(|| CredentialsError::Unavailable {
            path: auth_db.to_owned(),
            why: "the link was given up".to_owned(),
        })?;
        let built = Bot::builder()
            .with_backend_arc(Arc::clone(&store) as Arc<dyn whatsapp_rust::store::Backend>)
            .with_transport_factory(dialer)
            .with_http_client(SharedHttp(Arc::clone(&gateway.http)))
            .with_runtime(ScopedRuntime(scope.clone()))
            .with_version(version.as_ref().map_or((0, 0, 0), |v| *v))
            .with_device_props(DevicePropsOverride::new().with_os(gateway.device_name.as_ref()))
            .with_wanted_pre_key_count(PREKEYS)
            .skip_history_sync()
            .with_event_handler(handler)
            .build()
            .await;
        let bot = built.map_err(|e| CredentialsError::Unavailable {
            path: auth_db.to_owned(),
            why: e.to_string(),
        })?;
        let client = bot.client();
        if expected.paired && client.pn().is_none() {
            scope.cancel();
            return Err(CredentialsError::Unusable {
                path: auth_db.to_owned(),
                why: "they hold no account although this session was paired".to_owned(),
            });
        }

        if expected.full_handshake {
            let forget = DeviceCommand::ClearServerCertChain;
            client.persistence_manager().process_command(forget).await;
        }
        restart.adopt(&client.enable_auto_reconnect);
        if client.pn().is_some() {
            restart.is_paired();
        }
        let stanzas = client.acquire_raw_node_forwarding();
        let (told, ending) = watch::channel(None);
        let teller = Teller { events, told };
        match version {
            Ok(_) => {
                let telling = LinkMonitor {
                    client: Arc::clone(&client),
                    store: Arc::clone(&store),
                    scope: scope.clone(),
                    heard,
                    signals,
                    teller,
                };
                scope.run(telling.tell(bot.spawn(), received));
            }
            Err(why) => teller.end(why),
        }
        Ok(Self {
            client,
            store,
            scope,
            ending,
            _stanzas: stanzas,
        })
    }

    /// Asks for a pair code. It arrives as [`LinkEvent::PairCode`] or [`LinkEvent::PairCodeRefused`].
    pub fn ask_pair_code(&self, phone: &PhoneNumber) {
        let client = Arc::clone(&self.client);
        let options = PairCodeOptions {
            phone_number: phone.digits().to_owned(),
            ..PairCodeOptions::default()
        };
        self.scope.run(async move {
            // Both outcomes are events of the library too.
            let _ = client.pair_with_code(options).await;
        });
    }

    /// Asks WhatsApp for the account's groups, by subject. The future does not borrow the link.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn groups(&self) -> impl Future<Output = Result<Vec<Group>, AskError>> + Send + use<> {
        let client = Arc::clone(&self.client);
        async move {
            if !client.is_logged_in() {
                return Err(AskError::NotConnected);
            }
            let asked = timeout(GROUPS_TIMEOUT, client.groups().get_participating()).await;
            let found = asked
                .map_err(|_| AskError::Timeout)?
                .map_err(|e| refusal(&e))?;
            let mut groups: Vec<Group> = found
                .into_iter()
                .filter_map(|(jid, group)| {
                    let size = group.size.map_or(group.participants.len(), |n| n as usize);
                    Some(Group {
                        jid: jid.to_string().try_into().ok()?,
                        subject: group.subject,
                        size: u32::try_from(size).unwrap_or(u32::MAX),
                    })
                })
                .collect();
            groups.sort_by(|a, b| (&a.subject, &a.jid).cmp(&(&b.subject, &b.jid)));
            Ok(groups)
        }
    }

    /// Whether WhatsApp has accepted the login.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.client.is_logged_in()
    }

    /// The account, from the moment at which the phone accepted the device: somewhat before that is
    /// durable and told.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        let device = self.client.persistence_manager().get_device_snapshot();
        let jid = device.pn.as_ref()?;
        Some(auth::account(jid, &device.push_name))
    }

    /// Writes what is only in memory.
    pub async fn flush(&self) {
        if let Err(e) = self.client.persistence_manager().flush().await {
            tracing::warn!("the device's state could not be flushed: {e}");
        }
    }

    /// Asks WhatsApp to remove this device from the account. It counts as confirmed when WhatsApp
    /// says so, or throws the device out instead of answering.
    pub async fn unlink(&self, within: Duration) -> Unlink {
        let Some(jid) = self.client.pn() else {
            return Unlink::NotLinked;
        };
        let spec = RemoveDevice(RemoveCompanionDeviceSpec::new(&jid), within);
        let mut ending = self.ending.clone();
        let answer = tokio::select! {
            biased;
            answer = timeout(within, self.client.execute(spec)) => answer,
            _ = ending.wait_for(Option::is_some) => Ok(Err(IqError::NotConnected)),
        };
        match answer {
            Ok(Ok(())) => Unlink::Confirmed,
            Ok(Err(IqError::ServerError { .. } | IqError::UnexpectedResponseType { .. })) => {
                Unlink::Refused
            }
            Ok(Err(_)) | Err(_) => self.last_word().await,
        }
    }

    /// The link broke or fell silent during an unlink: what WhatsApp said at the end decides.
    async fn last_word(&self) -> Unlink {
        let mut ending = self.ending.clone();
        let said = timeout(LAST_WORD, ending.wait_for(Option::is_some)).await;
        let verdict = match said {
            Ok(Ok(ending)) => ending.as_ref().map(|e| e.verdict),
            _ => None,
        };
        match verdict {
            Some(Verdict::Wipe(Cause::Unlinked | Cause::LoggedOut)) => Unlink::Confirmed,
            _ => Unlink::Unreachable,
        }
    }

    /// Closes the link. With `flush`, what is only in memory is written first and WhatsApp is told
    /// goodbye; without, it is cut: the credentials are to be removed anyway.
    ///
    /// When it returns `Ok`, nothing of the link runs any more and nothing can write.
    ///
    /// # Errors
    /// [`StillRunning`] when a task or a blocking call did not end in time. It goes on being counted
    /// by the scope.
    pub async fn close(self, flush: bool) -> Result<(), StillRunning> {
        if flush {
            // The library's own teardown may wait for the network; the flush must not depend on it.
            let _ = timeout(GOODBYE, self.client.disconnect()).await;
            self.flush().await;
        }
        let (client, store, scope) = (
            Arc::clone(&self.client),
            Arc::clone(&self.store),
            self.scope.clone(),
        );
        scope.cancel();
        drop(self);
        let ended = timeout(LAST_TASKS, scope.ended()).await;
        drop(client);
        if ended.is_err() {
            return Err(StillRunning { tasks: scope.len() });
        }
        // The store runs its calls on its own; one more call through its only connection is a barrier
        // behind all of them.
        let _ = timeout(LAST_TASKS, store.shared().run(|_| Ok(()))).await;
        Ok(())
    }
}

/// A link whose tasks did not all end in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tasks} tasks of the link are still running")]
pub struct StillRunning {
    /// How many.
    pub tasks: usize,
}

fn refusal(error: &(dyn std::error::Error + 'static)) -> AskError {
    let mut source = Some(error);
    while let Some(inner) = source {
        if let Some(iq) = inner.downcast_ref::<IqError>() {
            return match iq {
                IqError::Timeout => AskError::Timeout,
                IqError::ServerError {
                    code: 429, backoff, ..
                } => AskError::RateLimited {
                    retry_after: backoff.map(|s| Duration::from_secs(s.into())),
                },
                IqError::ServerError { code, text, .. } => {
                    AskError::Refused(format!("{code} {text}"))
                }
                _ => AskError::NotConnected,
            };
        }
        source = inner.source();
    }
    AskError::Refused(error.to_string())
}

/// The library's request with this daemon's own time-out.
struct RemoveDevice(RemoveCompanionDeviceSpec, Duration);

impl IqSpec for RemoveDevice {
    type Response = ();

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq().with_timeout(self.1)
    }

    fn parse_response(
        &self,
        response: &whatsapp_rust::wacore_binary::NodeRef<'_>,
    ) -> Result<(), anyhow::Error> {
        self.0.parse_response(response)
    }
}

/// The library wants an HTTP client of its own; all sessions share one.
struct SharedHttp(Arc<dyn whatsapp_rust::http::HttpClient>);

#[async_trait::async_trait]
impl whatsapp_rust::http::HttpClient for SharedHttp {
    async fn execute(
        &self,
        request: whatsapp_rust::http::HttpRequest,
    ) -> Result<whatsapp_rust::http::HttpResponse, anyhow::Error> {
        self.0.execute(request).await
    }
}
