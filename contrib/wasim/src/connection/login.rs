//! The payload of a client after the handshake: a device logs in, or a client wants to be linked.

use std::time::Duration;

use buffa::Message as _;
use tokio::time::{Instant, sleep_until};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::ClientPayload;

use super::delay::DeferredWork;
use super::key_share::Shares;
use super::pairing::stream_error;
use super::registration::Registration;
use super::{Connection, Mode, Phase, Step};
use crate::account::Account;
use crate::crypto::{Bytes, Key};
use crate::ending::{Failure, StreamError};
use crate::fault::{Fault, Stage, Who};
use crate::observation::Observation;
use crate::order::{Order, Then, Work};
use crate::shared::{Shared, now};
use crate::stanza::server_jid;
use crate::wire::Goodbye;

/// A device that is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub phone: String,
    pub device: u16,
    pub jid: String,
    /// Whether it has asked for active delivery.
    pub active: bool,
    /// What the phone has sent it on this connection.
    pub(super) shares: Shares,
}

/// The payload of a device at its login.
pub(super) struct Login {
    /// The key that it has proved to own.
    client: Key,
    phone: String,
    device: u16,
    passive: bool,
    /// Whether it is concluded even when the client has given it up.
    ghost: bool,
}

impl Login {
    pub(super) fn is_ghost(&self) -> bool {
        self.ghost
    }
}

/// What a client is told of the end of its version's life. `at` in seconds since 1970.
pub(crate) fn client_expiration(at: u64) -> Node {
    let expiration = NodeBuilder::new("client_expiration").attr("t", at).build();
    NodeBuilder::new("ib")
        .attr("from", server_jid())
        .children([expiration])
        .build()
}

/// Concludes a login, whose client has given it up, at the time it was due: whoever is logged in as the device is thrown
/// out.
pub(super) async fn conclude_ghost(
    shared: std::sync::Arc<Shared>,
    connection: u64,
    jid: String,
    due: Instant,
) {
    sleep_until(due).await;
    let newer = shared.world().logins.remove(&jid);
    shared.see(Observation::GhostConcluded {
        connection,
        jid,
        replaced: newer,
    });
    if let Some(newer) = newer {
        let work = Work::Send {
            nodes: vec![stream_error(&StreamError::replaced())],
            then: Then::End(Goodbye::Close),
        };
        // It may be gone by now.
        let _ = shared.order(newer, work).await;
    }
}

/// The sender that a payload names.
pub(super) fn who(payload: &[u8]) -> Who {
    let payload = ClientPayload::decode_from_slice(payload).unwrap_or_default();
    let Some(phone) = payload.username.map(|phone| phone.to_string()) else {
        return Who::default();
    };
    let device = payload.device.unwrap_or_default();
    Who {
        device: Some(format!("{phone}:{device}@s.whatsapp.net")),
        phone: Some(phone),
    }
}

impl Connection {
    /// Reads the payload of a client that has proved to own the key `client`.
    pub(super) async fn introduce(&mut self, client: Key, payload: &[u8]) -> Step {
        let Ok(payload) = ClientPayload::decode_from_slice(payload) else {
            return self.refuse(&Failure::reason(400), String::new()).await;
        };
        self.who = who(&payload.encode_to_vec());
        if self.has_fault(&Fault::CloseAfterHandshake) {
            return Step::Break(Goodbye::Fin);
        }
        if self.is_outdated(&payload) {
            let jid = self.who.device.clone().unwrap_or_default();
            return self.refuse(&Failure::reason(405), jid).await;
        }
        if let Some(registration) = payload.device_pairing_data.as_option() {
            return match Registration::read(client, registration).filter(Registration::is_signed) {
                Some(registration) => self.register(registration).await,
                None => self.refuse(&Failure::reason(400), String::new()).await,
            };
        }
        let device = u16::try_from(payload.device.unwrap_or_default()).unwrap_or(u16::MAX);
        let phone = payload.username.unwrap_or_default().to_string();
        let mut login = Login {
            client,
            phone,
            device,
            passive: payload.passive.unwrap_or_default(),
            ghost: false,
        };
        self.set_stage("login");
        let ghost = self.fault(|fault| match fault {
            Fault::GhostLogin(milliseconds) => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        });
        if let Some(delay) = ghost {
            login.ghost = true;
            self.shared.see(Observation::LoginIgnored {
                connection: self.id,
                jid: self.who.device.clone().unwrap_or_default(),
            });
            self.defer(Instant::now() + delay, DeferredWork::Login(login));
            return Step::Continue(());
        }
        if let Some(due) = self.due(Stage::Login) {
            self.defer(due, DeferredWork::Login(login));
            return Step::Continue(());
        }
        self.log_in(login).await
    }

    /// Whether the client is older than the oldest version that is accepted.
    fn is_outdated(&self, payload: &ClientPayload) -> bool {
        let Some(minimum) = self.shared.world().state.minimum_version else {
            return false;
        };
        let version = payload
            .user_agent
            .as_option()
            .and_then(|agent| agent.app_version.as_option());
        let number = |part: Option<u32>| part.unwrap_or_default();
        let version = version.map_or([0; 3], |version| {
            [
                number(version.primary),
                number(version.secondary),
                number(version.tertiary),
            ]
        });
        version < minimum
    }

    pub(super) async fn log_in(&mut self, login: Login) -> Step {
        let Login {
            client,
            phone,
            device,
            passive,
            ..
        } = login;
        let jid = self.who.device.clone().unwrap_or_default();
        if let Some(failure) = self.login_failure(&client, &phone, device, &jid) {
            return self.refuse(&failure, jid).await;
        }
        if self.has_fault(&Fault::NoSuccess) {
            self.shared.see(Observation::LoginIgnored {
                connection: self.id,
                jid,
            });
            self.mode = Mode::Hanging;
            return Step::Continue(());
        }
        let session = Session {
            phone,
            device,
            jid: jid.clone(),
            active: false,
            shares: Shares::default(),
        };
        let Some(account) = self.enter(&session) else {
            return self.refuse(&Failure::reason(401), jid).await;
        };
        self.phase = Phase::LoggedIn(session);
        let success = NodeBuilder::new("success")
            .attr("t", now())
            .attr("props", "27")
            .attr(
                "companion_enc_static",
                Key(account.identity.public()).base64(),
            )
            .attr("lid", account.lid(device))
            .attr("display_name", account.push_name.as_str())
            .attr("location", "odn")
            .attr("abprops", "0")
            .attr("group_abprops", "0")
            .attr("creation", account.sync_key.created)
            .build();
        self.send(&success).await?;
        self.shared.see(Observation::Login {
            connection: self.id,
            jid,
            passive,
        });
        let expiration = self.shared.world().state.client_expiration;
        if let Some(at) = expiration {
            self.send(&client_expiration(at)).await?;
        }
        if self.has_fault(&Fault::NoAnswers) {
            self.mode = Mode::Hanging;
        }
        Step::Continue(())
    }

    /// Why this login is refused, if it is.
    fn login_failure(&self, client: &Key, phone: &str, device: u16, jid: &str) -> Option<Failure> {
        let fault = self.told_failure();
        let mut world = self.shared.world();
        if let Some(failure) = world.failures.remove(jid).or(fault) {
            return Some(failure);
        }
        let known = world
            .device(phone, device)
            .is_some_and(|known| known.noise_key == *client);
        (!known).then(|| Failure::reason(401))
    }

    /// How a fault refuses every login and registration, if one does.
    pub(super) fn told_failure(&self) -> Option<Failure> {
        self.fault(|fault| match fault {
            Fault::FailLogin(failure) => Some(failure.clone()),
            _ => None,
        })
    }

    /// Takes the device's place, and throws out whoever had it.
    fn enter(&self, session: &Session) -> Option<Account> {
        let mut world = self.shared.world();
        let account = world.state.accounts.get(&session.phone)?.clone();
        // It may have been removed on the phone a moment ago.
        account.devices.get(&session.device)?;
        let link = world.links.get_mut(&self.id)?;
        link.stage = "online";
        link.jid = Some(session.jid.clone());
        let before = world.logins.insert(session.jid.clone(), self.id);
        if let Some(before) = before.and_then(|before| world.links.get(&before)) {
            let work = Work::Send {
                nodes: vec![stream_error(&StreamError::replaced())],
                then: Then::End(Goodbye::Close),
            };
            // A connection whose inbox is full is being ended already.
            let _ = before.orders.try_send(Order {
                work,
                done: tokio::sync::oneshot::channel().0,
            });
        }
        Some(account)
    }

    pub(super) async fn refuse(&mut self, failure: &Failure, jid: String) -> Step {
        self.shared.see(Observation::LoginRefused {
            connection: self.id,
            jid,
            reason: failure.reason,
        });
        let stanza = failure.stanza().to_node();
        let stanza = stanza.unwrap_or_else(|_| NodeBuilder::new("failure").build());
        self.send(&stanza).await?;
        Step::Break(Goodbye::Close)
    }

    /// The device this connection is logged in as, with the account it belongs to.
    pub(super) fn session(&self) -> Option<(Session, Account)> {
        let Phase::LoggedIn(session) = &self.phase else {
            return None;
        };
        let account = self
            .shared
            .world()
            .state
            .accounts
            .get(&session.phone)?
            .clone();
        Some((session.clone(), account))
    }

    /// The last signature of the device's identity, for those who ask for its keys.
    pub(super) fn signed_identity(account: &Account, device: u16) -> Bytes {
        account
            .devices
            .get(&device)
            .map(|device| device.signed_identity.clone())
            .unwrap_or_default()
    }
}
