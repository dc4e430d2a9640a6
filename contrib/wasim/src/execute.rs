//! Carries out commands.

mod account;
mod chat;

use tokio::sync::oneshot;

use crate::Error;
use crate::account::phone_number;
use crate::app_state::CRITICAL_BLOCK;
use crate::command::{Answer, Command, Connection as Listed, Device};
use crate::connection::{Connection, normalize, unwrap, wrap};
use crate::crypto::{Key, Pair, hex};
use crate::ending::{Failure, StreamError};
use crate::fault::{Fault, FaultRule, Target};
use crate::group::Group;
use crate::observation::Observation;
use crate::order::{Scanned, Then, Typed, Work};
use crate::qr::QrCode;
use crate::shared::{Shared, now};
use crate::stanza::Stanza;
use crate::wire::Goodbye;
use crate::world::Named;

impl Shared {
    pub(crate) async fn execute(&self, command: Command) -> Result<Answer, Error> {
        if self.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        match command {
            Command::Scan { qr, phone } => self.scan(&qr, &phone).await,
            Command::Link { phone, code } => self.link(&phone, &code).await,
            Command::Devices { phone } => self.devices(phone.as_deref()),
            Command::Unlink { device } => self.unlink(&device).await,
            Command::Replace { device } => self.send_error(&device, &StreamError::replaced()).await,
            Command::StreamError { device, error } => self.send_error(&device, &error).await,
            Command::EndStream { device, keep_open } => {
                let then = if keep_open {
                    Then::Hang
                } else {
                    Then::End(Goodbye::Close)
                };
                self.tell(&device, vec![Stanza::new("xmlstreamend")], then)
                    .await
            }
            Command::Close { device } => {
                self.tell(&device, Vec::new(), Then::End(Goodbye::Close))
                    .await
            }
            Command::Drop { device } => {
                self.tell(&device, Vec::new(), Then::End(Goodbye::Fin))
                    .await
            }
            Command::Reset { device } => {
                self.tell(&device, Vec::new(), Then::End(Goodbye::Reset))
                    .await
            }
            Command::Freeze { device } => self.give(&device, Work::Freeze).await,
            Command::Hang { device } => self.give(&device, Work::Hang).await,
            Command::Resume { device } => self.give(&device, Work::Resume).await,
            Command::RenewRefs { device } => self.give(&device, Work::RenewRefs).await,
            Command::RefreshCode {
                device,
                force_manual,
            } => self.give(&device, Work::RefreshCode(force_manual)).await,
            Command::RefreshRegistration { device } => {
                self.give(&device, Work::RefreshRegistration).await
            }
            Command::SendRaw { device, stanza } => {
                self.tell(&device, vec![stanza], Then::GoOn).await
            }
            Command::FailNext { device, failure } => self.fail_next(device, failure),
            Command::SetFault { rule } => Ok(self.set_fault(rule)),
            Command::ClearFaults => {
                self.world().faults.clear();
                Ok(Answer::Done)
            }
            Command::Faults => Ok(Answer::Faults {
                rules: self.world().faults.rules().to_vec(),
            }),
            Command::SetGroups { phone, groups } => self.set_groups(&phone, groups).await,
            Command::Groups { phone } => {
                let phone = phone_number(&phone)?;
                let groups = self.world().account(&phone, now()).groups.clone();
                Ok(Answer::Groups { groups })
            }
            Command::SetPushName { phone, name } => self.set_push_name(&phone, name).await,
            Command::OnUnlink {
                device,
                answer,
                times,
            } => {
                let device = device.map(|device| plain(&device));
                self.world().set_unlink(device, answer, times);
                Ok(Answer::Done)
            }
            Command::SetListening { listening } => self.set_listening(listening).await,
            Command::Received { device } => {
                let stanzas = self.world().received(&device)?;
                Ok(Answer::Received { stanzas })
            }
            Command::Observations {
                after,
                only,
                device,
            } => Ok(self.observations(after, &only, device.as_deref())),
            Command::Logins => Ok(self.logins()),
            Command::Info => Ok(Answer::Info {
                url: format!("ws://{}/ws/chat", self.address),
                root_key: hex(&self.world().state.certificate.root_key()),
            }),
            other @ (Command::Say { .. }
            | Command::Messages { .. }
            | Command::Media { .. }
            | Command::LoseMedia { .. }
            | Command::RenewMediaAuth
            | Command::SendReceipt { .. }
            | Command::AskAgain { .. }
            | Command::Typing { .. }
            | Command::PersonPresence { .. }
            | Command::Mailbox { .. }) => self.execute_in_chat(other),
            other => self.execute_for_account(other).await,
        }
    }

    fn fail_next(&self, device: String, failure: Failure) -> Result<Answer, Error> {
        let mut world = self.world();
        let jid = world.find(&device)?.jid;
        let jid = jid.ok_or(Error::NoSuchDevice(device))?;
        world.keep_token(&failure);
        world.failures.insert(jid, failure);
        Ok(Answer::Done)
    }

    fn set_fault(&self, mut rule: FaultRule) -> Answer {
        if let Target::Only(who) = &mut rule.target {
            *who = plain(who);
        }
        let mut world = self.world();
        if let Fault::FailLogin(failure) = &rule.fault {
            world.keep_token(failure);
        }
        world.faults.add(rule);
        Answer::Done
    }

    async fn scan(&self, text: &str, phone: &str) -> Result<Answer, Error> {
        let phone = phone_number(phone)?;
        let qr = QrCode::read(text)?;
        let connection = {
            let mut world = self.world();
            world.secrets.insert(text.to_owned());
            world.keep_secret(&Key(qr.adv_secret));
            world.account(&phone, now());
            let mut showing = world
                .links
                .iter()
                .filter_map(|(id, link)| Some((id, link.showing.as_ref()?)));
            let (id, showing) = showing
                .find(|(_, showing)| showing.refs.contains(&qr.reference))
                .ok_or(Error::CodeExpired)?;
            if showing.noise_key != qr.noise_key || showing.identity != qr.identity {
                return Err(Error::BadQr(
                    "its keys are not those of the client that shows it".to_owned(),
                ));
            }
            *id
        };
        let (outcome, receiver) = oneshot::channel();
        let adv_secret = qr.adv_secret.to_vec();
        self.order(
            connection,
            Work::Scanned(Scanned {
                phone,
                adv_secret,
                outcome,
            }),
        )
        .await?;
        self.linked(receiver).await
    }

    async fn link(&self, phone: &str, code: &str) -> Result<Answer, Error> {
        let phone = phone_number(phone)?;
        let code = normalize(code)?;
        let (connection, wrapped) = {
            let mut world = self.world();
            world.secrets.insert(code.clone());
            world
                .secrets
                .insert(format!("{}-{}", &code[..4], &code[4..]));
            // The latest to ask is the one the phone is asked about.
            let mut asking = world.links.iter().rev().filter_map(|(id, link)| {
                let (wanted, wrapped) = link.showing.as_ref()?.code.as_ref()?;
                (*wanted == phone).then(|| (*id, wrapped.clone()))
            });
            asking.next().ok_or(Error::CodeExpired)?
        };
        let ours = Pair::generate();
        let public = ours.public();
        let crypted =
            tokio::task::spawn_blocking(move || (wrap(public, &code), unwrap(&wrapped, &code)));
        let (wrapped, client) = crypted.await.map_err(|_| Error::Stopped)?;
        let client = client.ok_or(Error::WrongCode)?;
        let (outcome, receiver) = oneshot::channel();
        let typed = Typed {
            phone,
            ours,
            wrapped,
            client,
            outcome,
        };
        self.order(connection, Work::Typed(Box::new(typed))).await?;
        self.linked(receiver).await
    }

    async fn linked(
        &self,
        outcome: oneshot::Receiver<Result<String, Error>>,
    ) -> Result<Answer, Error> {
        match Connection::outcome_within(outcome, self.options.pairing_deadline).await {
            Ok(device) => Ok(Answer::Linked { device }),
            Err(Error::PasskeyNeeded { connection }) => Ok(Answer::PasskeyNeeded { connection }),
            Err(error) => Err(error),
        }
    }

    fn devices(&self, phone: Option<&str>) -> Result<Answer, Error> {
        let phone = phone.map(phone_number).transpose()?;
        let world = self.world();
        let accounts = world.state.accounts.values();
        let accounts =
            accounts.filter(|account| phone.as_ref().is_none_or(|phone| account.phone == *phone));
        let devices = accounts.flat_map(|account| {
            account.devices.values().map(|device| {
                let jid = account.jid(device.id).to_string();
                let connection = world.logins.get(&jid).copied();
                Device {
                    lid: account.lid(device.id).to_string(),
                    phone: account.phone.clone(),
                    name: device.name.clone(),
                    linked_at: device.linked_at,
                    online: connection.is_some(),
                    connection,
                    jid,
                }
            })
        });
        Ok(Answer::Devices {
            devices: devices.collect(),
        })
    }

    fn observations(&self, after: u64, only: &[String], device: Option<&str>) -> Answer {
        let device = device.map(plain);
        let (next, observations) = self.journal.since(after, |observation| {
            (only.is_empty() || only.contains(&observation.name()))
                && device.as_ref().is_none_or(|who| observation.is_about(who))
        });
        Answer::Observations { next, observations }
    }

    fn logins(&self) -> Answer {
        let world = self.world();
        let connections = world.links.iter().map(|(id, link)| Listed {
            connection: *id,
            stage: link.stage.to_owned(),
            jid: link.jid.clone(),
        });
        Answer::Logins {
            connections: connections.collect(),
        }
    }

    async fn unlink(&self, device: &str) -> Result<Answer, Error> {
        let (jid, connection) = {
            let mut world = self.world();
            let linked = world.find(device)?.device;
            let removed = linked.and_then(|(phone, id)| world.remove(&phone, id));
            let jid = removed.ok_or_else(|| Error::NoSuchDevice(device.to_owned()))?;
            let connection = world.logins.get(&jid).copied();
            (jid, connection)
        };
        self.persist().await;
        self.see(Observation::Unlinked { jid });
        if let Some(connection) = connection {
            let nodes = vec![StreamError::device_removed().stanza().to_node()?];
            let then = Then::End(Goodbye::Close);
            // It may be gone by now; it will hear of it when it comes back.
            let _ = self.order(connection, Work::Send { nodes, then }).await;
        }
        Ok(Answer::Done)
    }

    async fn send_error(&self, device: &str, error: &StreamError) -> Result<Answer, Error> {
        let mut stanzas = vec![error.stanza()];
        if error.end_stream {
            stanzas.push(Stanza::new("xmlstreamend"));
        }
        let then = if error.keep_open {
            Then::Hang
        } else {
            Then::End(Goodbye::Close)
        };
        self.tell(device, stanzas, then).await
    }

    async fn tell(&self, device: &str, stanzas: Vec<Stanza>, then: Then) -> Result<Answer, Error> {
        let nodes: Result<Vec<_>, Error> = stanzas.iter().map(Stanza::to_node).collect();
        self.give(
            device,
            Work::Send {
                nodes: nodes?,
                then,
            },
        )
        .await
    }

    async fn give(&self, device: &str, work: Work) -> Result<Answer, Error> {
        let Named { connection, .. } = self.world().find(device)?;
        let connection = connection.ok_or_else(|| Error::NotConnected(device.to_owned()))?;
        match self.order(connection, work).await {
            Err(Error::ClientGone) => Err(Error::NotConnected(device.to_owned())),
            other => other.map(|()| Answer::Done),
        }
    }

    async fn set_groups(&self, phone: &str, groups: Vec<Group>) -> Result<Answer, Error> {
        let phone = phone_number(phone)?;
        if let Some(group) = groups.iter().find(|group| !is_group(&group.jid)) {
            return Err(Error::Invalid(format!(
                "{:?} is not the JID of a group (123@g.us)",
                group.jid
            )));
        }
        self.world().account(&phone, now()).groups = groups;
        self.persist().await;
        Ok(Answer::Done)
    }

    async fn set_push_name(&self, phone: &str, name: String) -> Result<Answer, Error> {
        let phone = phone_number(phone)?;
        let version = {
            let mut world = self.world();
            let account = world.account(&phone, now());
            account.push_name = name;
            account.publish_push_name(now())
        };
        self.persist().await;
        self.announce(&phone, CRITICAL_BLOCK, version, None);
        Ok(Answer::Done)
    }

    async fn set_listening(&self, listening: bool) -> Result<Answer, Error> {
        let (done, outcome) = oneshot::channel();
        self.listening
            .send((listening, done))
            .await
            .map_err(|_| Error::Stopped)?;
        outcome.await.unwrap_or(Err(Error::Stopped))?;
        Ok(Answer::Done)
    }
}

/// A phone number without its plus; anything else as it is.
fn plain(name: &str) -> String {
    phone_number(name).unwrap_or_else(|_| name.to_owned())
}

fn is_group(jid: &str) -> bool {
    let number = jid.strip_suffix("@g.us").unwrap_or_default();
    !number.is_empty()
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
}
