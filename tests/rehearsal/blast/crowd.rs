//! A hundred users on one daemon, and what tells whether 99 of them missed a beat.

use std::collections::BTreeMap;
use std::iter::StepBy;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wasessiond::client::{Client, Options, Watch, WatchItem};
use wasessiond::protocol::{Event, EventKind, Phase};
use wasessiond::store::{Batch, Change, Durability, Kind, Place, Space as _};
use wasim::Observation;

use super::pulse::Pulse;
use crate::stage::{PATIENCE, Stage};
use crate::vault;

pub(crate) const USERS: u32 = 100;

/// How many pair at the same time.
const AT_ONCE: u32 = 8;

/// The one in trouble.
pub(crate) const ONE: &str = "user7";
pub(crate) const PHONE_OF_ONE: &str = "15550000007";

pub(crate) struct Crowd {
    pub(crate) stage: Stage,
    /// The device of the one.
    pub(crate) device: String,
}

/// Everybody but the one, before the trouble.
struct Before {
    since: BTreeMap<String, (Phase, Timestamp)>,
    seen: broadcast::Receiver<Observation>,
    watch: Watch,
}

impl Crowd {
    /// Pairs a hundred users.
    pub(crate) async fn gather(config: &str) -> Self {
        let mut stage = Stage::with(config).await;
        let began = Instant::now();
        let mut pairing = JoinSet::new();
        for first in 1..=AT_ONCE {
            let (sim, client) = (stage.sim.clone(), join(&stage).await);
            pairing.spawn(pair(sim, client, (first..=USERS).step_by(AT_ONCE as usize)));
        }
        while let Some(paired) = pairing.join_next().await {
            paired.expect("they pair");
        }
        println!("{USERS} paired in {:.1} s", began.elapsed().as_secs_f64());
        // Nobody read that one meanwhile.
        stage.watch = watch(&stage).await;
        let linked = stage.sim.devices(PHONE_OF_ONE).await.expect("devices");
        let device = linked[0].jid.clone();
        Self { stage, device }
    }

    /// Waits until all of these are online; nobody but the one may be anything but on the way there.
    pub(crate) async fn until_online(&mut self, users: u32) {
        let waited = timeout(PATIENCE, async {
            loop {
                let sessions = self.stage.watch.view().sessions();
                let others = sessions.filter(|s| s.user.as_str() != ONE);
                let (online, rest): (Vec<_>, Vec<_>) =
                    others.partition(|s| s.phase == Phase::Online);
                for status in &rest {
                    assert_eq!(status.phase, Phase::Connecting, "{status:#?}");
                }
                if online.len() == users as usize {
                    return;
                }
                let item = self.stage.watch.next().await.expect("the watch goes on");
                assert!(matches!(item, WatchItem::Event(_)), "{item:?}");
            }
        });
        waited.await.expect("they come online in time");
    }

    /// Lets one user have its trouble, and makes sure that nobody else notices: the others' phases last,
    /// no event is about them, the simulator sees none of them come or go, and what they ask is
    /// answered.
    pub(crate) async fn undisturbed_by(
        &mut self,
        trouble_is: &str,
        trouble: impl AsyncFnOnce(&mut Stage, &str),
    ) {
        let pulse = Pulse::of(&self.stage).await;
        let quiet = pulse.beat(10).await;
        let before = self.before().await;
        let beating = pulse.keep_beating();
        let began = Instant::now();
        trouble(&mut self.stage, &self.device).await;
        let took = began.elapsed();
        let during = beating.stop().await;
        before.assert_now(&self.stage).await;
        println!("{trouble_is} ({:.1} s)", took.as_secs_f64());
        println!("  before: {quiet}\n  during: {during}");
        during.assert_alive();
    }

    async fn before(&self) -> Before {
        Before {
            since: since(&self.stage).await,
            seen: self.stage.sim.subscribe(),
            watch: watch(&self.stage).await,
        }
    }
}

/// Pairs these, one after the other.
async fn pair(sim: wasim::Server, client: Client, numbers: StepBy<RangeInclusive<u32>>) {
    for n in numbers {
        let user = format!("user{n}");
        let mut watch = client.watch([user.as_str()], None).await.expect("watch");
        let begun = client.connect_session(&user, None).await;
        begun.expect("connect");
        let online = timeout(PATIENCE, async {
            loop {
                let item = watch.next().await.expect("the watch goes on");
                let WatchItem::Event(event) = item else {
                    panic!("{item:?}");
                };
                let status = event.status.expect("it lives");
                if matches!(event.kind, EventKind::Qr) {
                    let code = status.qr.and_then(|qr| qr.code).expect("a code");
                    let phone = format!("1555{n:07}");
                    sim.scan(code.reveal(), &phone).await.expect("scan");
                } else if status.phase == Phase::Online {
                    return;
                }
            }
        });
        online.await.expect("it comes online in time");
    }
}

impl Before {
    async fn assert_now(mut self, stage: &Stage) {
        assert_eq!(
            since(stage).await,
            self.since,
            "somebody else missed a beat"
        );
        let about = events_until_now(&mut self.watch, stage).await;
        assert!(about.is_empty(), "events about others: {about:#?}");
        loop {
            match self.seen.try_recv() {
                Ok(seen) => assert!(!is_about_others(&seen), "{seen:?}"),
                Err(TryRecvError::Empty) => return,
                Err(e) => panic!("the simulator saw more than can be read: {e}"),
            }
        }
    }
}

/// The phases of all but the one, and since when.
async fn since(stage: &Stage) -> BTreeMap<String, (Phase, Timestamp)> {
    let listed = stage.client.list().await.expect("list").into_iter();
    let others = listed.filter(|s| s.user.as_str() != ONE);
    let since: BTreeMap<_, _> = others
        .map(|s| (s.user.to_string(), (s.phase, s.since)))
        .collect();
    assert_eq!(since.len(), USERS as usize - 1);
    assert!(since.values().all(|(phase, _)| *phase == Phase::Online));
    since
}

async fn watch(stage: &Stage) -> Watch {
    let client = join(stage).await;
    let everybody: [&str; 0] = [];
    client.watch(everybody, None).await.expect("watch")
}

/// Somebody else's connection.
pub(super) async fn join(stage: &Stage) -> Client {
    let daemon = stage.daemon.as_ref().expect("it runs");
    let joined = Client::connect(&daemon.socket, Options::default()).await;
    joined.expect("join the daemon")
}

/// What a watch was told about the others, up to now.
async fn events_until_now(told: &mut Watch, stage: &Stage) -> Vec<Event> {
    let now = watch(stage).await.position().seq;
    let mut about = Vec::new();
    while told.position().seq < now {
        let item = timeout(PATIENCE, told.next()).await.expect("what happened");
        match item.expect("the watch goes on") {
            WatchItem::Event(event) if event.user.as_str() != ONE => about.push(*event),
            WatchItem::Event(_) => {}
            lagged => panic!("{lagged:?}"),
        }
    }
    about
}

/// Whether a device that is not the one's came or went.
fn is_about_others(seen: &Observation) -> bool {
    let comes_or_goes = matches!(
        seen,
        Observation::Login { .. }
            | Observation::LoginRefused { .. }
            | Observation::Online { .. }
            | Observation::Disconnected { .. }
            | Observation::Unlinked { .. }
            | Observation::UnlinkRequested { .. }
            | Observation::Paired { .. }
    );
    comes_or_goes && seen.jid().is_some_and(|jid| !jid.starts_with(PHONE_OF_ONE))
}

/// How often each of the others logged in, since this was subscribed to.
pub(super) fn logins_of_others(
    seen: &mut broadcast::Receiver<Observation>,
) -> BTreeMap<String, u32> {
    let mut logins = BTreeMap::new();
    loop {
        match seen.try_recv() {
            Ok(Observation::Login { jid, .. }) if !jid.starts_with(PHONE_OF_ONE) => {
                *logins.entry(jid).or_default() += 1;
            }
            Ok(_) => {}
            Err(TryRecvError::Empty) => return logins,
            Err(e) => panic!("the simulator saw more than can be read: {e}"),
        }
    }
}

/// The one's credentials file, opened from outside.
pub(super) fn database(stage: &Stage) -> SqliteConnection {
    let path = stage.session_dir(ONE).join("vault.db");
    let url = path.to_str().expect("UTF-8");
    let mut database = SqliteConnection::establish(url).expect("open");
    database
        .batch_execute("PRAGMA busy_timeout = 10000")
        .expect("patience");
    database
}

/// A hundred megabytes more in the one's vault, as a state that has grown for years.
pub(super) async fn blow_up(stage: &Stage) {
    let vault = vault::open(&stage.state(), ONE).await;
    // Of a kind that nothing asks for.
    let of_nobody = Kind(250);
    let changes = (0..100_u8)
        .map(|n| Change::Put(Place::new(of_nobody, "", [n]), vec![n; 1_000_000]))
        .collect();
    let batch = Batch {
        changes,
        durability: Durability::Synced,
    };
    vault.commit(batch).await.expect("blow it up");
    vault.close().await;
    let dir = stage.session_dir(ONE);
    let file = std::fs::metadata(dir.join("vault.db")).expect("look");
    assert!(file.len() > 100_000_000, "{} bytes", file.len());
}

/// How long something took, printed with what it was.
pub(super) fn told(what: &str, began: Instant) -> Duration {
    let took = began.elapsed();
    println!("  {what} {:.2} s", took.as_secs_f64());
    took
}
