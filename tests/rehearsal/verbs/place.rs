//! The places that a session can be in, and how each is reached in life.

use std::fs;
use std::future::Future;

use tokio::task::JoinHandle;
use wasessiond::client::{Client, Options};
use wasessiond::protocol::{self, LogoutReport, Phase, TargetEdit};
use wasim::{Failure, Fault, Group, Observation, Stanza, StreamError, UnlinkAnswer};

use super::super::conformance::person::Person;
use super::verb::{CHOIR, TEAM, Verb};
use crate::stage::{PATIENCE, Stage};

/// Makes the enum, the list of all of it, and what each is called, from one list.
macro_rules! places {
    ($($place:ident $phase:expr, $name:literal;)*) => {
        /// A place that a session can be in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Place { $($place),* }

        impl Place {
            pub(super) const ALL: &[Self] = &[$(Self::$place),*];

            /// The phase that a status shows; `None`: there is no session.
            pub(super) const fn phase(self) -> Option<Phase> {
                match self { $(Self::$place => $phase),* }
            }

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$place => $name),* }
            }
        }
    };
}

places! {
    Nobody None, "no session";
    Transport Some(Phase::Connecting), "connecting: transport";
    Handshake Some(Phase::Connecting), "connecting: handshake";
    Login Some(Phase::Connecting), "connecting: login";
    Sync Some(Phase::Connecting), "connecting: sync";
    ToPair Some(Phase::Connecting), "connecting, to pair";
    AwaitingScan Some(Phase::AwaitingScan), "awaiting_scan";
    AwaitingCode Some(Phase::AwaitingCode), "awaiting_code";
    Online Some(Phase::Online), "online";
    BackingOff Some(Phase::BackingOff), "backing_off";
    BackingOffToPair Some(Phase::BackingOff), "backing_off, to pair";
    Held Some(Phase::Held), "held";
    Parked Some(Phase::Parked), "parked";
    ParkedToPair Some(Phase::Parked), "parked, to pair";
    Disconnected Some(Phase::Disconnected), "disconnected";
    LoggingOut Some(Phase::LoggingOut), "logging_out";
    PurgeFailed Some(Phase::PurgeFailed), "purge_failed";
    CorruptCredentials Some(Phase::StoreCorrupt), "store_corrupt: vault.db";
    CorruptRecord Some(Phase::StoreCorrupt), "store_corrupt: session.toml";
}

/// The next try of a purge that failed so often is a minute away.
const FAILED_PURGES: usize = 6;

/// A person who is there, and whoever else waits for something.
pub(super) struct There {
    pub(super) person: Person,
    /// The number of the connection, where it pairs.
    connection: Option<u64>,
    /// Another client's force-logout.
    pub(super) leaving: Option<JoinHandle<LogoutReport>>,
}

impl Place {
    const fn has_account(self) -> bool {
        !matches!(
            self,
            Self::Nobody
                | Self::ToPair
                | Self::AwaitingScan
                | Self::AwaitingCode
                | Self::BackingOffToPair
                | Self::ParkedToPair
        )
    }

    /// Brings so many people there.
    pub(super) async fn bring(self, stage: &mut Stage, count: usize) -> Vec<There> {
        let mut people = Vec::new();
        for number in 1..=count {
            people.push(Person::new(stage, number).await);
        }
        if self.has_account() {
            people = each(people, with_an_account).await;
        }
        self.prepare(stage, &mut people).await;
        if self != Self::ToPair {
            return each(people, move |person| self.enter(person)).await;
        }
        // One after the other: nothing else tells the server's connections apart.
        let mut there = Vec::new();
        for person in people {
            there.push(self.enter(person).await);
        }
        there
    }

    /// What is done for all of them at once: a trouble meets everybody.
    async fn prepare(self, stage: &mut Stage, people: &mut [Person]) {
        let fault = match self {
            Self::Transport => Fault::NoUpgrade,
            Self::Handshake => Fault::NoServerHello,
            Self::Login => Fault::NoSuccess,
            Self::Sync => Fault::NoOffline,
            Self::ToPair => Fault::Refs(0),
            Self::LoggingOut => {
                let answer = stage.sim.on_unlink(None, UnlinkAnswer::Ignore).await;
                return answer.expect("on_unlink");
            }
            Self::PurgeFailed => {
                // Nothing can be moved into a trash that is no directory, by root neither.
                let trash = stage.state().join("trash");
                fs::remove_dir(&trash).expect("remove the trash");
                return fs::write(&trash, "an obstacle").expect("put an obstacle there");
            }
            Self::CorruptCredentials | Self::CorruptRecord => {
                return self.damage(stage, people).await;
            }
            _ => return,
        };
        if self.has_account() {
            for person in people {
                person
                    .client
                    .disconnect(&person.user)
                    .await
                    .expect("disconnect");
            }
        }
        stage.sim.set_fault(fault).await.expect("fault");
    }

    /// Spoils a file of everybody while the daemon is down.
    async fn damage(self, stage: &mut Stage, people: &mut [Person]) {
        stage.stop();
        for person in people.iter() {
            let dir = stage.session_dir(&person.user);
            if self == Self::CorruptRecord {
                fs::write(dir.join("session.toml"), "version = 99\n").expect("spoil it");
            } else {
                for log in ["vault.db-wal", "vault.db-shm"] {
                    let _ = fs::remove_file(dir.join(log));
                }
                fs::write(dir.join("vault.db"), [7; 5000]).expect("spoil it");
            }
        }
        stage.start().await;
        for person in people {
            person.rejoin(stage).await;
        }
    }

    /// What each does.
    async fn enter(self, mut person: Person) -> There {
        let (mut connection, mut leaving) = (None, None);
        match self {
            Self::Nobody | Self::Online | Self::CorruptCredentials | Self::CorruptRecord => {}
            Self::Transport => connecting(&mut person, protocol::Stage::Transport).await,
            Self::Handshake => connecting(&mut person, protocol::Stage::Handshake).await,
            Self::Login => connecting(&mut person, protocol::Stage::Login).await,
            Self::Sync => connecting(&mut person, protocol::Stage::Sync).await,
            Self::ToPair => {
                person.connect().await;
                person.until_stage(protocol::Stage::Login).await;
                connection = Some(pairing_connection(&person).await);
            }
            Self::AwaitingScan => {
                person.connect().await;
                person.qr().await;
            }
            Self::AwaitingCode => {
                let phone = format!("+{}", person.phone);
                let asked = person.client.connect_session(&person.user, Some(&phone));
                asked.await.expect("a pair code");
            }
            Self::BackingOff => {
                let slow_down = StreamError::code(429);
                let sent = person.sim.stream_error(&person.device, slow_down).await;
                sent.expect("stream error");
            }
            Self::BackingOffToPair | Self::ParkedToPair => {
                person.connect().await;
                person.qr().await;
                let number = format!("#{}", connection_of_code(&person).await);
                let sent = if self == Self::ParkedToPair {
                    let failure = Stanza::new("failure").attr("reason", "409");
                    person.sim.send_raw(&number, failure).await
                } else {
                    person
                        .sim
                        .stream_error(&number, StreamError::code(429))
                        .await
                };
                sent.expect("it is told");
            }
            Self::Held => refused(&person, Failure::temporary_ban(101, 6 * 3600)).await,
            Self::Parked => refused(&person, Failure::reason(409)).await,
            Self::Disconnected => {
                person
                    .client
                    .disconnect(&person.user)
                    .await
                    .expect("disconnect");
            }
            Self::LoggingOut => leaving = Some(somebody_else_forces(&person).await),
            Self::PurgeFailed => {
                for _ in 0..FAILED_PURGES {
                    let failed = person.client.force_logout(&person.user).await;
                    failed.expect_err("an obstacle is in the way");
                }
            }
        }
        person.until(self.phase()).await;
        There {
            person,
            connection,
            leaving,
        }
    }
}

impl There {
    /// What comes from WhatsApp while the verb waits for it.
    pub(super) async fn meanwhile(&self, verb: Verb) {
        if let (Verb::ConnectByCode, Some(connection)) = (verb, self.connection) {
            let sim = &self.person.sim;
            sim.clear_faults().await.expect("clear");
            let device = format!("#{connection}");
            let renewed = sim.execute(wasim::Command::RenewRefs { device }).await;
            renewed.expect("QR codes");
        }
    }
}

/// Does something with each of them at the same time.
pub(super) async fn each<A, B, F>(all: Vec<A>, work: impl Fn(A) -> F) -> Vec<B>
where
    F: Future<Output = B> + Send + 'static,
    B: Send + 'static,
{
    let running: Vec<_> = all.into_iter().map(|one| tokio::spawn(work(one))).collect();
    let mut done = Vec::new();
    for task in running {
        done.push(task.await.expect("one of them failed"));
    }
    done
}

async fn with_an_account(mut person: Person) -> Person {
    let groups = [CHOIR, TEAM].map(|(jid, name)| Group::new(jid, name));
    let set = person.sim.set_groups(&person.phone, groups.to_vec()).await;
    set.expect("groups");
    person.pair().await;
    let choir = TargetEdit::Set(vec![CHOIR.0.to_owned()]);
    let chosen = person.client.targets(&person.user, choir).await;
    chosen.expect("targets");
    person
}

async fn connecting(person: &mut Person, stage: protocol::Stage) {
    person.connect().await;
    person.until_stage(stage).await;
}

/// The next login is refused.
async fn refused(person: &Person, failure: Failure) {
    let (sim, device) = (&person.sim, &person.device);
    sim.fail_next_login(device, failure).await.expect("fail");
    sim.drop_connection(device).await.expect("drop");
}

/// The connection that began to pair and was not asked for yet.
async fn pairing_connection(person: &Person) -> u64 {
    let pairing = |o: &Observation| matches!(o, Observation::Pairing { .. });
    let seen = person.sim.wait_for(pairing, PATIENCE).await;
    seen.expect("a pairing").connection().expect("its number")
}

/// The connection that was given the reference in the code that is shown.
async fn connection_of_code(person: &Person) -> u64 {
    let status = person.client.status(&person.user).await.expect("status");
    let code = status.qr.and_then(|qr| qr.code).expect("a QR code");
    let ours = |o: &Observation| match o {
        Observation::Pairing { refs, .. } => refs.iter().any(|r| code.reveal().contains(r)),
        _ => false,
    };
    let seen = person.sim.wait_after(0, ours, PATIENCE).await;
    seen.expect("its pairing").connection().expect("its number")
}

/// Another client forces the logout, which then takes as long as WhatsApp is waited for.
async fn somebody_else_forces(person: &Person) -> JoinHandle<LogoutReport> {
    let other = Client::connect(person.socket(), Options::default()).await;
    let (other, user) = (other.expect("join"), person.user.clone());
    tokio::spawn(async move { other.force_logout(&user).await.expect("force-logout") })
}

/// Takes the obstacle away: then it works.
pub(super) async fn clear_the_way(stage: &Stage, people: Vec<There>) {
    let trash = stage.state().join("trash");
    fs::remove_file(&trash).expect("remove the obstacle");
    fs::create_dir(&trash).expect("make the trash");
    for There { person, .. } in people {
        let report = person.client.force_logout(&person.user).await;
        let entry = report.expect("the way is free").entry;
        person.is_gone(entry.cause, entry.unlink).await;
    }
}
