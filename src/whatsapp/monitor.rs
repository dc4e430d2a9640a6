//! The monitor of a link: reads the signals of the library and the transport in order, and makes the link's
//! events and its ending of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use whatsapp_rust::Client;
use whatsapp_rust::bot::BotHandle;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::wacore::store::DeviceCommand;

use super::auth::{account, write_device};
use super::backend::{Fault, Trouble};
use super::ending::{Ending, Pace, Verdict, from_failure, from_fault, from_stream_error};
use super::event::LinkEvent;
use super::limits;
use super::pump::LastHeard;
use super::scope::Scope;
use super::signal::{Signal, Signals};
use super::version::{Version, Versions};
use crate::deadline::Deadline;
use crate::protocol::{Account, Cause, RestrictionKind, Stage};

/// After this long without a stanza the link is silent. The library itself asks an idle server for a sign
/// of life every 15 to 30 s, and gives it up after 45 to 50 s. This limit is for when the library is stuck.
const SILENCE: Duration = Duration::from_secs(75);
/// After this long without a stanza the monitor asks the server for a sign of life. The library does not ask
/// while it waits for an answer, and it may wait for one as long as [`SILENCE`].
const ASK_AFTER: Duration = Duration::from_secs(45);
/// An end without a reason counts as silence when no stanza had come for this long.
const QUIET: Duration = Duration::from_secs(20);
/// The encrypted handshake has its own, longer time-out in the session.
const HANDSHAKE_WATCH: Duration = Duration::from_mins(2);
/// After `<success>` the library reports readiness within seconds, or, where the server leaves a
/// stanza out, after a minute or never. The login itself has succeeded.
const READY_AT_THE_LATEST: Duration = Duration::from_secs(15);
/// How long the credentials of a pairing may take to be written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(20);
/// How long the last stanzas may take to be handled once the connection is closed.
const LAST_STANZAS: Duration = Duration::from_millis(100);

/// Sends the link's events to the session, and its ending to those who wait for it.
pub(super) struct Reporter {
    pub(super) events: mpsc::Sender<LinkEvent>,
    pub(super) end: watch::Sender<Option<Ending>>,
}

impl Reporter {
    async fn send(&self, event: LinkEvent) {
        // Nobody receives the events of a link that is being closed.
        let _ = self.events.send(event).await;
    }

    pub(super) async fn end(&self, ending: Ending) {
        self.end.send_replace(Some(ending.clone()));
        self.send(LinkEvent::Ended(ending)).await;
    }
}

/// The version that the link names, and who wants to know what WhatsApp says to it.
pub(super) struct Claim {
    pub(super) versions: Arc<Versions>,
    pub(super) http: Arc<dyn HttpClient>,
    pub(super) version: Version,
}

impl Claim {
    /// The ending of a login that WhatsApp refused, with what the other logins say about it.
    fn weigh(&self, mut ending: Ending) -> Ending {
        let refused = matches!(ending.verdict, Verdict::Retry(Cause::ClientOutdated, _));
        if refused && self.versions.refused(self.version, &self.http) {
            ending.verdict = Verdict::Retry(Cause::ClientOutdated, Pace::Outdated);
        }
        ending
    }
}

pub(super) struct LinkMonitor {
    pub(super) claim: Claim,
    pub(super) client: Arc<Client>,
    /// `None` where it does not end the link.
    pub(super) trouble: Option<Trouble>,
    pub(super) scope: Scope,
    pub(super) last_heard: LastHeard,
    pub(super) signals: Signals,
    pub(super) reporter: Reporter,
}

/// How far the present connection got.
#[derive(Default, PartialEq, PartialOrd)]
enum Reached {
    #[default]
    Nothing,
    Socket,
    Handshake,
}

/// How far the link got.
#[derive(Default)]
struct Progress {
    reached: Reached,
    /// Whether the device was paired just now: the server closes, and the library connects again.
    restarting: bool,
    closed: Option<String>,
    logged_in_at: Option<Instant>,
    online: bool,
    refs: u32,
    shown: u32,
    /// The reference in the QR code that is shown.
    reference: Option<String>,
    /// Whether the silent server was asked for a sign of life.
    asked: bool,
    name: Option<String>,
    /// The limits of the account that WhatsApp has told by itself.
    told_limits: BTreeSet<RestrictionKind>,
}

impl Progress {
    /// Notes that the handshake is over. Returns whether that is new.
    fn handshake_done(&mut self) -> bool {
        let news = self.reached < Reached::Handshake;
        self.reached = Reached::Handshake;
        news
    }

    /// Counts a QR code. WhatsApp may demand new keys for the code that is shown: then another code comes
    /// with the same reference, and takes its place.
    fn show(&mut self, code: &str) {
        let reference = code.split(',').next().unwrap_or_default();
        if self.reference.as_deref() != Some(reference) {
            self.reference = Some(reference.to_owned());
            self.shown += 1;
        }
    }
}

impl LinkMonitor {
    /// Reads signals until the link has ended, and reports what they mean.
    pub(super) async fn run(self, mut library: BotHandle, mut received: mpsc::Receiver<Signal>) {
        let mut progress = Progress::default();
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ending = loop {
            let over = tokio::select! {
                biased;
                Some(signal) = received.recv() => self.read(signal, &mut progress).await,
                () = self.scope.announcements().held_back() => {
                    // The library believes that it is available.
                    self.client.set_force_active_delivery_receipts(false);
                    None
                }
                () = self.signals.flooded() => Some(Ending::retry(
                    Cause::StreamError,
                    "WhatsApp sent more than a session can take in",
                )),
                fault = self.trouble_arises() => Some(from_fault(&fault)),
                () = &mut library => Some(self.on_loop_exit(&mut received, &mut progress).await),
                _ = tick.tick() => self.check(&mut progress).await,
            };
            if let Some(ending) = over {
                break ending;
            }
        };
        self.reporter.end(ending).await;
        // The library goes on until the session closes the link: an unlink may be under way.
        library.await;
    }

    /// Waits for trouble with the credentials, where that ends the link.
    async fn trouble_arises(&self) -> Fault {
        match &self.trouble {
            Some(trouble) => trouble.arises().await,
            None => std::future::pending().await,
        }
    }

    async fn read(&self, signal: Signal, progress: &mut Progress) -> Option<Ending> {
        match signal {
            Signal::Dialing => self.reporter.send(LinkEvent::Stage(Stage::Transport)).await,
            Signal::Dialed => self.dialed(progress).await,
            Signal::HandshakeDone => self.handshake_done(progress).await,
            Signal::Failed(ending) => return Some(ending),
            Signal::Closed(_) | Signal::StreamEnd if progress.restarting => {}
            // The library may still be reading what arrived before: the end of its loop decides.
            Signal::Closed(reason) => progress.closed = Some(reason),
            Signal::Refs(refs) => {
                self.handshake_done(progress).await;
                let is_first = progress.refs == 0;
                progress.refs = u32::try_from(refs).unwrap_or(u32::MAX);
                progress.shown = 0;
                progress.reference = None;
                // A pair code stays good when the references are renewed.
                if is_first {
                    self.reporter.send(LinkEvent::ReadyForPairCode).await;
                }
            }
            Signal::Qr { code, valid_for } => {
                self.handshake_done(progress).await;
                progress.show(code.reveal());
                self.reporter
                    .send(LinkEvent::Qr {
                        code,
                        valid_for,
                        number: progress.shown,
                        remaining: progress.refs.saturating_sub(progress.shown),
                    })
                    .await;
            }
            Signal::QrExhausted => self.reporter.send(LinkEvent::QrExhausted).await,
            Signal::PairCode {
                request,
                code,
                valid_for,
            } => {
                self.reporter
                    .send(LinkEvent::PairCode {
                        request,
                        code,
                        valid_for,
                    })
                    .await;
            }
            Signal::PairCodeRefresh => self.reporter.send(LinkEvent::PairCodeStale).await,
            Signal::PairCodeRefused(request, why) => {
                let refused = LinkEvent::PairCodeRefused(request, why);
                self.reporter.send(refused).await;
            }
            Signal::Passkey(event) => self.reporter.send(LinkEvent::Passkey(event)).await,
            Signal::Restart => progress.restarting = true,
            Signal::PairSuccess => return self.paired(progress).await,
            Signal::PairFailed(why) => {
                progress.restarting = false;
                self.reporter.send(LinkEvent::PairFailed(why)).await;
            }
            // WhatsApp may say it more than once; the login is that of the first time.
            Signal::Success if progress.logged_in_at.is_some() => {}
            Signal::Success => {
                self.handshake_done(progress).await;
                self.claim.versions.accepted(self.claim.version);
                progress.logged_in_at = Some(Instant::now());
                self.reporter.send(LinkEvent::Stage(Stage::Sync)).await;
            }
            Signal::Ready => {
                self.ready(progress).await;
                self.settings_are_here().await;
            }
            Signal::Name(name) => {
                progress.name = Some(name.clone());
                self.reporter.send(LinkEvent::Name(name)).await;
                self.settings_are_here().await;
            }
            Signal::SettingsMissing => {
                let missing = LinkEvent::Settings { complete: false };
                self.reporter.send(missing).await;
            }
            Signal::Activity => self.reporter.send(LinkEvent::Activity).await,
            Signal::PhoneHeard(ago) => self.reporter.send(LinkEvent::PhoneHeard { ago }).await,
            Signal::Limit(limit) => {
                progress.told_limits.insert(limit.kind);
                self.reporter.send(LinkEvent::Limit(limit)).await;
            }
            // The answer may be older than what WhatsApp has told meanwhile.
            Signal::AskedLimit(limit) if progress.told_limits.contains(&limit.kind) => {}
            Signal::AskedLimit(limit) => self.reporter.send(LinkEvent::Limit(limit)).await,
            Signal::ClientExpires(at) => self.claim.versions.expires(self.claim.version, at),
            Signal::StreamEnd => {
                return Some(Ending::retry(
                    Cause::StreamEnded,
                    "WhatsApp ended the stream",
                ));
            }
            Signal::StreamError(node) => return stream_error(&node),
            Signal::Failure(node) => return Some(self.claim.weigh(from_failure(&node))),
        }
        None
    }

    async fn dialed(&self, progress: &mut Progress) {
        *progress = Progress {
            reached: Reached::Socket,
            name: progress.name.take(),
            ..Progress::default()
        };
        self.reporter.send(LinkEvent::Stage(Stage::Handshake)).await;
        let (client, signals) = (Arc::clone(&self.client), self.signals.clone());
        self.scope.run(async move {
            if client.wait_for_socket(HANDSHAKE_WATCH).await.is_ok() {
                signals.send(Signal::HandshakeDone);
            }
        });
    }

    /// Reports the end of the handshake once. Two signals say it: the task that waits for it, and the first
    /// stanza. The later one is ignored, so that a link that is online does not go back to its login.
    async fn handshake_done(&self, progress: &mut Progress) {
        if progress.handshake_done() {
            self.reporter.send(LinkEvent::Stage(Stage::Login)).await;
        }
    }

    /// Reports a pairing when it is durable. The library reports it before it has written it.
    async fn paired(&self, progress: &mut Progress) -> Option<Ending> {
        progress.restarting = true;
        if self.account().is_none() {
            return Some(self.paired_with_nobody().await);
        }
        let written = Deadline::within(WRITTEN_WITHIN).limit(self.write()).await;
        let durable = written.unwrap_or_else(|| Err("the disk did not answer in time".to_owned()));
        let event = match (durable, self.account()) {
            (Ok(()), Some(account)) => LinkEvent::Paired(account),
            (Err(why), _) => {
                LinkEvent::PairFailed(format!("the new credentials could not be written: {why}"))
            }
            (Ok(()), None) => LinkEvent::PairFailed("the pairing named no account".to_owned()),
        };
        self.reporter.send(event).await;
        None
    }

    /// Writes what the library has in memory, durably.
    async fn write(&self) -> Result<(), String> {
        write_device(&self.client.persistence_manager()).await
    }

    /// Undoes a pairing whose answer names no device. The library takes such an answer for a pairing, and
    /// would log in without an account. After this the next link shows a code again.
    async fn paired_with_nobody(&self) -> Ending {
        let device = self.client.persistence_manager();
        for forget in [
            DeviceCommand::SetId(None),
            DeviceCommand::SetLid(None),
            DeviceCommand::SetAccount(None),
        ] {
            device.process_command(forget).await;
        }
        let why = "the phone's answer named no account";
        self.reporter
            .send(LinkEvent::PairFailed(why.to_owned()))
            .await;
        Ending::retry(Cause::StreamError, why)
    }

    async fn ready(&self, progress: &mut Progress) {
        if !progress.online
            && let Some(account) = self.account()
        {
            progress.online = true;
            self.reporter.send(LinkEvent::Online(account)).await;
            self.ask_for_limits();
        }
    }

    /// Reports that the account's settings are here. The account's name is a part of them.
    async fn settings_are_here(&self) {
        if self.account().is_some_and(|account| account.name.is_some()) {
            let here = LinkEvent::Settings { complete: true };
            self.reporter.send(here).await;
        }
    }

    /// Asks how the limits of the account stand. WhatsApp tells only changes by itself.
    fn ask_for_limits(&self) {
        let (client, signals) = (Arc::clone(&self.client), self.signals.clone());
        self.scope.run(async move {
            for limit in limits::ask(&client).await {
                signals.send(Signal::AskedLimit(limit));
            }
        });
    }

    /// Checks once a second what no signal reports: a late readiness, and silence.
    async fn check(&self, progress: &mut Progress) -> Option<Ending> {
        if let Some(at) = progress.logged_in_at
            && at.elapsed() >= READY_AT_THE_LATEST
        {
            self.ready(progress).await;
        }
        if progress.reached != Reached::Handshake {
            return None;
        }
        let silent = self.last_heard.ago();
        if silent < ASK_AFTER {
            progress.asked = false;
        } else if !progress.asked {
            progress.asked = true;
            self.ask_for_a_sign_of_life();
        }
        (silent >= SILENCE).then(|| self.silence())
    }

    fn ask_for_a_sign_of_life(&self) {
        let client = Arc::clone(&self.client);
        self.scope.run(async move {
            // The answer counts as a stanza like any other.
            let within = SILENCE.saturating_sub(ASK_AFTER);
            let _ = client.execute(KeepaliveSpec::with_timeout(within)).await;
        });
    }

    fn silence(&self) -> Ending {
        let seconds = self.last_heard.ago().as_secs();
        Ending::retry(
            Cause::Silent,
            format!("nothing was heard from WhatsApp for {seconds} s"),
        )
    }

    /// Finds the reason after the end of the library's loop. The signals that are still on their way are read
    /// first: a task of the library may still be handling the stanza with the reason.
    async fn on_loop_exit(
        &self,
        received: &mut mpsc::Receiver<Signal>,
        progress: &mut Progress,
    ) -> Ending {
        let until = Instant::now() + LAST_STANZAS;
        while let Ok(Some(signal)) = timeout_at(until, received.recv()).await {
            if let Some(ending) = self.read(signal, progress).await {
                return ending;
            }
        }
        if let Some(reason) = progress.closed.take() {
            let (cause, when) =
                if progress.reached == Reached::Handshake || self.client.is_connected() {
                    (Cause::ConnectionLost, "the connection was lost")
                } else {
                    (
                        Cause::HandshakeFailed,
                        "the encrypted handshake was broken off",
                    )
                };
            return Ending::retry(cause, format!("{when}: {reason}"));
        }
        if progress.restarting {
            return Ending::new(
                Verdict::Retry(Cause::StreamEnded, Pace::AtOnce),
                "the link was closed after the pairing",
            );
        }
        if progress.reached == Reached::Nothing {
            return Ending::retry(Cause::Unreachable, "WhatsApp could not be reached in time");
        }
        if progress.reached < Reached::Handshake {
            return Ending::retry(Cause::HandshakeFailed, "the encrypted handshake failed");
        }
        if self.last_heard.ago() >= QUIET {
            return self.silence();
        }
        Ending::retry(Cause::ConnectionLost, "the connection was lost")
    }

    fn account(&self) -> Option<Account> {
        let device = self.client.persistence_manager().get_device_snapshot();
        let jid = device.pn.as_ref().filter(|jid| !jid.user.is_empty())?;
        Some(account(jid, &device.push_name))
    }
}

fn stream_error(node: &whatsapp_rust::wacore_binary::Node) -> Option<Ending> {
    let ending = from_stream_error(node);
    if ending.is_none() {
        tracing::debug!("WhatsApp reported a stream error that ends nothing");
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_with_new_keys_keeps_its_number() {
        let mut progress = Progress::default();
        let shown: Vec<u32> = ["a,k1", "a,k2", "b,k2", "b,k3", "b,k3", "c,k3"]
            .into_iter()
            .map(|code| {
                progress.show(code);
                progress.shown
            })
            .collect();
        assert_eq!(shown, [1, 1, 2, 2, 2, 3]);
    }

    #[test]
    fn the_handshake_of_a_connection_is_over_once() {
        let mut progress = Progress::default();
        assert!(progress.handshake_done());
        assert!(!progress.handshake_done(), "the word that came late");
        // The next connection, of a pairing that goes on.
        progress = Progress {
            reached: Reached::Socket,
            ..Progress::default()
        };
        assert!(progress.handshake_done());
    }
}
