//! Requests through a link.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use whatsapp_rust::Client;
use whatsapp_rust::anyhow;
use whatsapp_rust::passkey::PasskeyError;
use whatsapp_rust::request::{InfoQuery, IqError};
use whatsapp_rust::wacore::iq::devices::RemoveCompanionDeviceSpec;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore_binary::NodeRef;

use super::auth;
use super::ending::{Ending, Verdict};
use super::event::CodeRequest;
use super::pair_code::PairCodes;
use super::passkey::Assertion;
use super::presence::Presence;
use super::scope::Scope;
use crate::deadline::Deadline;
use crate::protocol::{Account, Cause, Group, PhoneNumber, Unlink};

/// Why a request to WhatsApp has no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The link is not up, or was closed meanwhile.
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

/// How long the answer about the groups may take.
const GROUPS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long WhatsApp may take for a step of a passkey: the first one has two questions.
const PASSKEY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for the stanza that tells why the link broke during an unlink.
const LAST_WORD: Duration = Duration::from_millis(300);

/// Sends requests through a link. Clones use the same link. A request runs in the link's scope and ends
/// with it, also when somebody still waits for the answer.
#[derive(Clone)]
pub struct LinkHandle {
    pub(super) client: Arc<Client>,
    pub(super) scope: Scope,
    pub(super) codes: PairCodes,
    pub(super) ending: watch::Receiver<Option<Ending>>,
}

impl std::fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkHandle")
            .field("tasks", &self.scope.len())
            .finish_non_exhaustive()
    }
}

impl LinkHandle {
    /// Asks for a pair code. It arrives as [`LinkEvent::PairCode`](super::LinkEvent::PairCode) or
    /// [`LinkEvent::PairCodeRefused`](super::LinkEvent::PairCodeRefused) with the number of the request. A
    /// request that is under way is given up.
    pub fn ask_pair_code(&self, request: CodeRequest, phone: &PhoneNumber) {
        self.codes.ask(&self.client, &self.scope, request, phone);
    }

    /// Sends the answer of a passkey to WhatsApp's challenge. How it goes on arrives as
    /// [`LinkEvent::Passkey`](super::LinkEvent::Passkey).
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn answer_passkey(
        self,
        assertion: Assertion,
        deadline: Deadline,
    ) -> Result<(), AskError> {
        let client = Arc::clone(&self.client);
        let sent = async move { client.send_passkey_response(assertion.into_library()).await };
        self.passkey(sent, deadline).await
    }

    /// Says that the code on the phone is the same. The pairing arrives as
    /// [`LinkEvent::Paired`](super::LinkEvent::Paired).
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn confirm_passkey(self, deadline: Deadline) -> Result<(), AskError> {
        let client = Arc::clone(&self.client);
        let sent = async move { client.send_passkey_confirmation().await };
        self.passkey(sent, deadline).await
    }

    async fn passkey(
        self,
        sent: impl Future<Output = Result<(), PasskeyError>> + Send + 'static,
        deadline: Deadline,
    ) -> Result<(), AskError> {
        let deadline = deadline.at_most(PASSKEY_TIMEOUT);
        let asked = self.scope.ask(async move {
            match deadline.limit(sent).await {
                Some(Ok(())) => Ok(()),
                Some(Err(error)) => Err(AskError::Refused(error.to_string())),
                None => Err(AskError::Timeout),
            }
        });
        asked.await.unwrap_or(Err(AskError::NotConnected))
    }

    /// Asks WhatsApp for the account's groups, by subject.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn groups(self, deadline: Deadline) -> Result<Vec<Group>, AskError> {
        if !self.client.is_logged_in() {
            return Err(AskError::NotConnected);
        }
        let client = Arc::clone(&self.client);
        let deadline = deadline.at_most(GROUPS_TIMEOUT);
        let asked = self.scope.ask(async move {
            let asked = deadline.limit(client.groups().get_participating()).await;
            let found = asked.ok_or(AskError::Timeout)?.map_err(|e| refusal(&e))?;
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
        });
        asked.await.unwrap_or(Err(AskError::NotConnected))
    }

    /// Whether WhatsApp has accepted the login.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.client.is_logged_in()
    }

    /// Sets what the link says of itself, and says it at once where that is new.
    pub fn set_presence(&self, presence: Presence) {
        if self.scope.announcements().set(presence) && self.is_logged_in() {
            let client = Arc::clone(&self.client);
            self.scope.run(async move {
                let said = match presence {
                    Presence::Available => client.presence().set_available().await,
                    Presence::Unavailable => client.presence().set_unavailable().await,
                };
                if let Err(error) = said {
                    tracing::debug!("the presence could not be said: {error}");
                }
            });
        }
    }

    /// Says `available`, and takes it back at once: WhatsApp calls a device that is never available
    /// inactive. A link that is available anyway need not.
    pub fn show_up(&self) {
        let announcements = self.scope.announcements().clone();
        if announcements.present() == Presence::Available || !self.is_logged_in() {
            return;
        }
        let client = Arc::clone(&self.client);
        self.scope.run(async move {
            announcements.let_one_pass();
            let said = client.presence().set_available().await;
            announcements.let_none_pass();
            let taken_back = client.presence().set_unavailable().await;
            if let Err(error) = said.and(taken_back) {
                tracing::debug!("the device could not show up: {error}");
            }
        });
    }

    /// Says `unavailable` before the link closes, where it was available: the phone is silent until then.
    pub(super) async fn say_goodbye(&self, deadline: Deadline) {
        if self.scope.announcements().present() == Presence::Available && self.is_logged_in() {
            let client = Arc::clone(&self.client);
            let said = self.scope.ask(async move {
                // The link closes in any case.
                let _ = client.presence().set_unavailable().await;
            });
            deadline.limit(said).await;
        }
    }

    /// The account, from the moment at which the phone accepted the device. The event
    /// [`LinkEvent::Paired`](super::LinkEvent::Paired) comes later, when the account is durable.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        let device = self.client.persistence_manager().get_device_snapshot();
        let jid = device.pn.as_ref()?;
        Some(auth::account(jid, &device.push_name))
    }

    /// Writes the state that is only in memory, as far as there is time: the device, and the keys of its
    /// conversations. The log says what could not be written.
    pub async fn flush(&self, deadline: Deadline) {
        let client = Arc::clone(&self.client);
        let written = self.scope.ask(async move {
            auth::write_device(&client.persistence_manager()).await?;
            let keys = client.flush_pending_signal_state().await;
            keys.map_err(|e| e.to_string())
        });
        match deadline.limit(written).await {
            Some(Some(Ok(()))) => {}
            Some(Some(Err(why))) => {
                tracing::warn!("the device's state could not be written: {why}");
            }
            Some(None) | None => tracing::warn!("the device's state was not written in time"),
        }
    }

    /// Asks WhatsApp to remove this device from the account. It counts as confirmed when WhatsApp
    /// says so, or throws the device out instead of answering.
    pub async fn unlink(&self, deadline: Deadline) -> Unlink {
        let Some(jid) = self.client.pn() else {
            return Unlink::NotLinked;
        };
        let (client, within) = (Arc::clone(&self.client), deadline.left());
        let spec = Within(RemoveCompanionDeviceSpec::new(&jid), within);
        let asked = self.scope.ask(async move { client.execute(spec).await });
        let mut ending = self.ending.clone();
        let answer = tokio::select! {
            biased;
            answer = deadline.limit(asked) => answer.flatten(),
            _ = ending.wait_for(Option::is_some) => None,
        };
        match answer {
            Some(Ok(())) => Unlink::Confirmed,
            Some(Err(IqError::ServerError { .. } | IqError::UnexpectedResponseType { .. })) => {
                Unlink::Refused
            }
            Some(Err(_)) | None => self.last_word().await,
        }
    }

    /// The result of an unlink during which the link broke or fell silent: WhatsApp's last stanza decides.
    async fn last_word(&self) -> Unlink {
        let mut ending = self.ending.clone();
        let said = timeout(LAST_WORD, ending.wait_for(Option::is_some)).await;
        let verdict = match said {
            Ok(Ok(ending)) => ending.as_ref().map(|e| e.verdict),
            _ => None,
        };
        match verdict {
            Some(Verdict::Wipe(Cause::Unlinked | Cause::LoggedOut, _)) => Unlink::Confirmed,
            _ => Unlink::Unreachable,
        }
    }
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

/// A request of the library with this daemon's own time-out.
pub(super) struct Within<S>(pub(super) S, pub(super) Duration);

impl<S: IqSpec> IqSpec for Within<S> {
    type Response = S::Response;

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq().with_timeout(self.1)
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<S::Response, anyhow::Error> {
        self.0.parse_response(response)
    }
}
