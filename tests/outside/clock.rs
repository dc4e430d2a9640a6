//! A wall clock that is set, forward or back, while sessions are at all they can be at.

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use wasessiond::client::{Client, Options, Watch, WatchItem};
use wasessiond::protocol::{Cause, EventKind, Phase, Status, WarningKind};
use wasim::{Failure, Fault, FaultRule, Observation};

use crate::daemon::failing;
use crate::preloaded::compile;
use crate::stage::{PATIENCE, PHONE, Stage};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

const BACKING_OFF: &str = "15550001002";
const CONNECTING: &str = "15550001003";

/// A wait may be longer on a busy machine, but not by this much; and it must not be shorter.
const LATE: Duration = Duration::from_secs(15);
const EARLY: Duration = Duration::from_millis(500);

/// The wall clock of a daemon.
struct WallClock(fs::File);

impl WallClock {
    /// Sets it to so many seconds ahead of the true time.
    fn set_ahead(&self, seconds: i64) {
        let bytes = seconds.to_ne_bytes();
        self.0.write_all_at(&bytes, 0).expect("write");
    }
}

/// A stage whose daemon has a clock of its own, and fails at these points. `None`: there is no C
/// compiler, which was said.
async fn with_clock(config: &str, points: &str) -> Option<(Stage, WallClock)> {
    let dir = tempfile::tempdir().expect("a directory");
    let object = compile(include_str!("clock.c"), dir.path())?;
    let path = dir.path().join("clock");
    let clock = WallClock(fs::File::create(&path).expect("a file"));
    clock.set_ahead(0);
    let mut command = failing(points);
    command
        .env("LD_PRELOAD", object)
        .env("WASESSIOND_TEST_CLOCK", &path);
    let sim = wasim::Server::start(wasim::Options::default()).await;
    let sim = sim.expect("a simulator");
    let stage = Stage::found(sim, dir, config, command).await;
    Some((stage, clock))
}

/// How long a status waits for its next try, by the daemon's own clock.
fn wait(status: &Status) -> Duration {
    let until = status.retry_at.expect("when it tries again");
    Duration::try_from(until.duration_since(status.since)).expect("later")
}

/// What waited since then came when it should have.
fn came_on_time(what: &str, since: Instant, wait: Duration) {
    let took = since.elapsed();
    assert!(
        took + EARLY >= wait && took <= wait + LATE,
        "{what}: after {took:?} instead of {wait:?}"
    );
}

/// Somebody who follows one session, whatever the others do.
struct Follower(Watch);

impl Follower {
    async fn of(stage: &Stage, user: &str) -> Self {
        // A connection has one watch.
        let socket = stage.dir.path().join("control.sock");
        let client = Client::connect(&socket, Options::default()).await;
        let watch = client.expect("join").watch([user], None).await;
        Self(watch.expect("a watch"))
    }

    /// Waits for a status in this phase.
    async fn phase(&mut self, phase: Phase) -> Status {
        let found = timeout(PATIENCE, async {
            loop {
                if let WatchItem::Event(event) = self.0.next().await.expect("it goes on")
                    && let Some(status) = event.status
                    && status.phase == phase
                {
                    return status;
                }
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("{phase} does not come"))
    }
}

/// Everybody who waits for something while the clock is set.
struct Waiting {
    stage: Stage,
    clock: WallClock,
    backing_off: Follower,
}

/// An hour, a day, and back to the true time: nothing that counts in seconds notices.
async fn changes_nothing(sign: i64) {
    // The first removal fails once, and is tried again.
    let points = "trash_rename:before=1*return(EIO)";
    let Some((mut stage, clock)) = with_clock("", points).await else {
        return;
    };
    stage.pair("online", PHONE).await;
    stage.pair("backing-off", BACKING_OFF).await;
    stage.pair("connecting", CONNECTING).await;
    let purged = stage.pair("purged", "15550001004").await;
    let position = stage.sim.position();
    for user in ["backing-off", "connecting"] {
        stage.client.disconnect(user).await.expect("disconnect");
    }
    let unavailable = FaultRule::from(Fault::FailLogin(Failure::reason(503)));
    let silent = FaultRule::from(Fault::NoSuccess).only(CONNECTING);
    let faults = [unavailable.only(BACKING_OFF), silent];
    stage.sim.set_faults(faults).await.expect("faults");

    let mut hanging = Follower::of(&stage, "connecting").await;
    stage.connect("connecting").await;
    let ignored = |seen: &Observation| matches!(seen, Observation::LoginIgnored { .. });
    let seen = stage.sim.wait_after(position, ignored, PATIENCE).await;
    seen.expect("a login without an answer");
    let since = Instant::now();
    let given_up = tokio::spawn(async move {
        let status = hanging.phase(Phase::BackingOff).await;
        (status, since.elapsed())
    });

    let backing_off = Follower::of(&stage, "backing-off").await;
    let mut waiting = Waiting {
        stage,
        clock,
        backing_off,
    };
    for (n, ahead) in [sign * HOUR, sign * DAY, 0].into_iter().enumerate() {
        waiting.see_the_clock_set(n, ahead, &purged).await;
    }

    // The login that hung was given up when its time was over.
    let (status, took) = given_up.await.expect("no panic");
    assert_eq!(status.reason, Some(Cause::Stuck), "{status:?}");
    let usual = Duration::from_secs(20)..Duration::from_secs(45);
    assert!(usual.contains(&took), "{took:?}: {status:?}");
    // Who is online was so all the time.
    let stage = waiting.stage;
    let status = stage.client.status("online").await.expect("a session");
    assert_eq!(status.phase, Phase::Online);
    let login = |seen: &Observation| matches!(seen, Observation::Login { jid, .. } if jid.starts_with(PHONE));
    let again = stage.sim.wait_after(position, login, Duration::ZERO).await;
    assert!(again.is_err(), "it had to connect again: {again:?}");
}

impl Waiting {
    /// Lets a session back off for a few seconds, and returns its status.
    async fn backs_off(&mut self) -> Status {
        let stopped = self.stage.client.disconnect("backing-off").await;
        stopped.expect("disconnect");
        // What it did before is not to be taken for what it does now.
        self.backing_off = Follower::of(&self.stage, "backing-off").await;
        // The wait begins anew, and becomes longer with each try.
        self.stage.connect("backing-off").await;
        loop {
            let status = self.backing_off.phase(Phase::BackingOff).await;
            if wait(&status) >= Duration::from_secs(2) {
                return status;
            }
        }
    }

    /// Sets the clock while one session backs off, one shows a QR code, and, the first time, one could
    /// not be removed.
    async fn see_the_clock_set(&mut self, n: usize, ahead: i64, purged: &str) {
        let pairing = format!("pairing{n}");
        self.stage.connect(&pairing).await;
        self.stage.qr(&pairing).await;
        let backing_off = self.backs_off().await;
        let since = Instant::now();
        let failed = if n == 0 {
            self.stage.sim.replace(purged).await.expect("replace");
            Some(self.stage.phase("purged", Phase::PurgeFailed).await)
        } else {
            None
        };
        let purge_since = Instant::now();
        self.clock.set_ahead(ahead);

        self.backing_off.phase(Phase::Connecting).await;
        came_on_time("the next try to connect", since, wait(&backing_off));
        if let Some(failed) = failed {
            self.stage.ended("purged").await;
            let took = purge_since.elapsed();
            assert!(took <= wait(&failed) + LATE, "{took:?}: {failed:?}");
        }
        // The code on the screen is still the one that WhatsApp takes.
        let status = self.stage.client.status(&pairing).await;
        let status = status.expect("a session");
        assert_eq!(status.phase, Phase::AwaitingScan, "{status:?}");
        let code = status.qr.and_then(|qr| qr.code).expect("a code");
        let phone = format!("1555000110{n}");
        let scanned = self.stage.sim.scan(code.reveal(), &phone).await;
        scanned.expect("scan");
        self.stage.until(&pairing, Phase::Online).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_forward_changes_nothing() {
    changes_nothing(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_changes_nothing() {
    changes_nothing(-1).await;
}

/// What is stated as a time of day is kept by the clock on the wall.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stated_as_a_time_of_day_follows_the_clock() {
    let config = "[sessions]\nidle_after = \"5h\"\n";
    let Some((mut stage, clock)) = with_clock(config, "").await else {
        return;
    };
    stage.pair("idle", PHONE).await;
    let banned = stage.pair("banned", BACKING_OFF).await;
    let ban = Failure::temporary_ban(101, 7200);
    let next = stage.sim.fail_next_login(&banned, ban).await;
    next.expect("a ban");
    stage.sim.drop_connection(&banned).await.expect("drop");
    let held = stage.phase("banned", Phase::Held).await;
    assert!(held.held_until.is_some(), "{held:?}");

    clock.set_ahead(3 * HOUR);
    stage.until("banned", Phase::Online).await;
    let status = stage.client.status("idle").await.expect("a session");
    assert_eq!(status.phase, Phase::Online);

    clock.set_ahead(6 * HOUR);
    let status = stage.until("idle", Phase::Disconnected).await;
    assert_eq!(status.reason, Some(Cause::Idle));
}

/// Seconds since 1970, this long after now.
fn in_seconds(seconds: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    now.checked_add_signed(seconds).expect("a time")
}

/// A4: what the server delivers tells when the account's phone was last there. After ten days without it a person is
/// warned, because after 14 WhatsApp unlinks all devices.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_silent_for_days_is_warned_of_until_it_is_heard() {
    let Some((mut stage, clock)) = with_clock("", "").await else {
        return;
    };
    stage.pair("alice", PHONE).await;
    let warned = |days: i64| {
        let text = format!("for {days} days");
        move |status: &Status| {
            let [warning] = &status.warnings[..] else {
                return false;
            };
            warning.kind == WarningKind::PhoneSilent && warning.text.contains(&text)
        }
    };
    clock.set_ahead(11 * DAY);
    let status = warnings(&mut stage, warned(11)).await;
    assert_eq!(status.phase, Phase::Online);
    let due = status.warnings[0].due.expect("a day").as_second();
    let due = u64::try_from(due).expect("after 1970");
    assert!(due.abs_diff(in_seconds(14 * DAY)) < 600, "{status:?}");

    // What it did before comes late, and proves nothing.
    let before = stage.sim.phone_speaks(PHONE, Some(in_seconds(HOUR)));
    before.await.expect("a receipt");
    // A question and its answer: whatever the receipt did, it has done by then.
    stage.client.groups("alice").await.expect("groups");
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.warnings.len(), 1, "{status:?}");
    let heard = stage.sim.phone_speaks(PHONE, Some(in_seconds(11 * DAY)));
    heard.await.expect("a receipt");
    warnings(&mut stage, |status| status.warnings.is_empty()).await;

    // It is used on the 14th day while the device is away, and not again. The device hears of that when it comes back.
    stage.client.disconnect("alice").await.expect("disconnect");
    let away = stage.sim.phone_speaks(PHONE, Some(in_seconds(14 * DAY)));
    away.await.expect("a receipt");
    clock.set_ahead(22 * DAY);
    stage.connect("alice").await;
    stage.until("alice", Phase::Online).await;
    stage.client.groups("alice").await.expect("groups");
    clock.set_ahead(25 * DAY);
    warnings(&mut stage, warned(11)).await;
    clock.set_ahead(26 * DAY + HOUR);
    warnings(&mut stage, warned(12)).await;
}

/// Waits until the session tells its warnings, and they are these.
async fn warnings(stage: &mut Stage, fits: impl Fn(&Status) -> bool) -> Status {
    let told = stage.event("alice", |event| {
        event.kind == EventKind::Warnings && event.status.as_ref().is_some_and(&fits)
    });
    told.await.status.expect("it was looked at")
}
