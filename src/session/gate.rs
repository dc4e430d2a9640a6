//! The gate through which all sessions go when they connect: after a start of the daemon, and after they
//! have lost their link. It lets through a limited number at a time, first those that were online longest.
//!
//! A server that restarts, a router, a machine that wakes up: each takes the links of all sessions at once.
//! If all of them came back at once, WhatsApp would take that for an attack.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// The shortest turn. Where WhatsApp answers at once, or nothing listens, a crowd would otherwise go
/// through the gate as fast as the machine can.
const SHORTEST_TURN: Duration = Duration::from_millis(100);

/// Sessions that lose their link within this time of one another are a crowd. It is a little longer than
/// the wait before the first try after a loss, so all of a crowd have come to the gate when it is over.
const CROWD: Duration = Duration::from_millis(1100);

/// How long a crowd may gather in all.
const LONGEST_CROWD: Duration = Duration::from_secs(3);

/// How often sessions are told that WhatsApp can be reached again.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The gate. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    /// Ticks when WhatsApp can be reached again.
    reachable: watch::Sender<()>,
}

/// The sessions that wait, and how many are through.
#[derive(Debug)]
struct Line {
    /// How many may connect at a time.
    most: usize,
    connecting: usize,
    waiting: BTreeMap<Rank, oneshot::Sender<Turn>>,
    next: u64,
    crowd: Option<Crowd>,
    told: Option<Instant>,
}

/// The place in the line: whoever was online longest comes first, then whoever came first.
type Rank = (Reverse<Duration>, u64);

/// Sessions that lost their links one shortly after the other.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    began: Instant,
    last: Instant,
    size: usize,
}

impl Crowd {
    /// Until when the crowd gathers, so that the order is that of all of it, not of who happens to be fast.
    fn gathers_until(&self) -> Instant {
        (self.last + CROWD).min(self.began + LONGEST_CROWD)
    }
}

/// The right to connect. The next session gets it when this is dropped.
#[derive(Debug)]
pub struct Turn {
    /// `None`: the turn was given back already.
    gate: Option<Gate>,
    since: Instant,
}

impl Gate {
    /// A gate that lets through so many sessions at a time, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let line = Line {
            most: most.max(1),
            connecting: 0,
            waiting: BTreeMap::new(),
            next: 0,
            crowd: None,
            told: None,
        };
        Self {
            shared: Arc::new(Shared {
                line: Mutex::new(line),
                reachable: watch::Sender::new(()),
            }),
        }
    }

    /// Changes how many sessions may connect at a time.
    pub fn set_limit(&self, most: usize) {
        self.line().most = most.max(1);
        self.advance();
    }

    /// Notes that a session that was online has lost its link. Where more sessions do so at the same time
    /// than may connect at a time, the gate waits until all of them have come to it.
    pub fn lost(&self) {
        let now = Instant::now();
        let mut line = self.line();
        let crowd = line.crowd.filter(|crowd| now <= crowd.last + CROWD);
        let (began, size) = crowd.map_or((now, 0), |crowd| (crowd.began, crowd.size));
        line.crowd = Some(Crowd {
            began,
            last: now,
            size: size + 1,
        });
    }

    /// Waits for a turn. Whoever was online longest comes first. Dropping the future gives the place up.
    pub async fn turn(&self, was_online_for: Duration) -> Turn {
        let (mut place, mut granted) = self.enter(was_online_for);
        loop {
            let gathers_until = self.advance();
            // A crowd may begin to gather while this one waits for a turn to be given back, and whoever gives it
            // back cannot wait for the crowd.
            let look_again = gathers_until.unwrap_or_else(|| Instant::now() + LONGEST_CROWD);
            tokio::select! {
                biased;
                Ok(turn) = &mut granted => {
                    place.rank = None;
                    return turn;
                }
                () = sleep_until(look_again) => {}
            }
        }
    }

    /// Notes that a session came online after it had failed to. Others that failed to need not wait any
    /// longer.
    pub fn reached(&self) {
        let now = Instant::now();
        {
            let mut line = self.line();
            if line.told.is_some_and(|told| now < told + TOLD_EVERY) {
                return;
            }
            line.told = Some(now);
        }
        self.shared.reachable.send_replace(());
    }

    /// Ticks when WhatsApp can be reached again.
    #[must_use]
    pub fn reachable(&self) -> watch::Receiver<()> {
        self.shared.reachable.subscribe()
    }

    fn enter(&self, was_online_for: Duration) -> (Place, oneshot::Receiver<Turn>) {
        let (grant, granted) = oneshot::channel();
        let mut line = self.line();
        let rank = (Reverse(was_online_for), line.next);
        line.next += 1;
        line.waiting.insert(rank, grant);
        let place = Place {
            gate: self.clone(),
            rank: Some(rank),
        };
        (place, granted)
    }

    /// Gives the turns that are free to the first in the line. Returns until when none is given because a
    /// crowd gathers.
    fn advance(&self) -> Option<Instant> {
        let mut line = self.line();
        let now = Instant::now();
        if let Some(crowd) = line.crowd
            && crowd.size > line.most
            && crowd.gathers_until() > now
        {
            return Some(crowd.gathers_until());
        }
        while line.connecting < line.most
            && let Some((_, grant)) = line.waiting.pop_first()
        {
            let turn = Turn {
                gate: Some(self.clone()),
                since: now,
            };
            match grant.send(turn) {
                Ok(()) => line.connecting += 1,
                // It was given up at this moment. It must not ask for the lock that is held here.
                Err(mut turn) => turn.gate = None,
            }
        }
        None
    }

    fn release(&self) {
        self.line().connecting -= 1;
        self.advance();
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Each change of it is whole, which a panic cannot leave half done.
        let line = self.shared.line.lock();
        line.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line, which is given up when this is dropped.
struct Place {
    gate: Gate,
    rank: Option<Rank>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(rank) = self.rank {
            // Without the grant the receiver learns nothing, and nobody waits for it any more.
            let grant = self.gate.line().waiting.remove(&rank);
            drop(grant);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        let rest = SHORTEST_TURN.saturating_sub(self.since.elapsed());
        match Handle::try_current() {
            Ok(runtime) if !rest.is_zero() => {
                runtime.spawn(async move {
                    sleep(rest).await;
                    gate.release();
                });
            }
            // Where the runtime has ended, nobody waits.
            _ => gate.release(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hours(hours: u64) -> Duration {
        Duration::from_hours(hours)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_alone_goes_through_at_once() {
        let gate = Gate::new(1);
        gate.lost();
        let turn = gate.turn(hours(1)).now_or_never().expect("at once");
        drop(turn);
        // The next one waits for the rest of the shortest turn.
        let began = Instant::now();
        let _turn = gate.turn(hours(1)).await;
        assert_eq!(began.elapsed(), SHORTEST_TURN);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_through_and_no_more() {
        let gate = Gate::new(2);
        let first = gate.turn(SECOND).await;
        let _second = gate.turn(SECOND).await;
        assert!(timeout(hours(1), gate.turn(SECOND)).await.is_err());
        drop(first);
        let _third = gate.turn(SECOND).await;
        assert!(timeout(hours(1), gate.turn(SECOND)).await.is_err());
        // A reload lets more through.
        let mut waiting = std::pin::pin!(gate.turn(SECOND));
        assert!(waiting.as_mut().now_or_never().is_none());
        gate.set_limit(3);
        waiting.now_or_never().expect("at once");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_online_longest_comes_first() {
        let gate = Gate::new(1);
        let last = gate.turn(hours(0)).await;
        let mut line = JoinSet::new();
        for online_for in [2, 0, 3, 1, 2] {
            let gate = gate.clone();
            line.spawn(async move {
                let _turn = gate.turn(hours(online_for)).await;
                sleep(SECOND).await;
                online_for
            });
        }
        tokio::task::yield_now().await;
        drop(last);
        let mut order = Vec::new();
        while let Some(done) = line.join_next().await {
            order.push(done.expect("no panic"));
        }
        assert_eq!(order, [3, 2, 2, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_gathers_before_the_first_goes_through() {
        let gate = Gate::new(2);
        let mut line = JoinSet::new();
        let began = Instant::now();
        for online_for in 0..8 {
            gate.lost();
            let gate = gate.clone();
            line.spawn(async move {
                // The longer it was online, the later it comes.
                sleep(Duration::from_millis(500 + 50 * online_for)).await;
                let _turn = gate.turn(hours(online_for)).await;
                let through = began.elapsed();
                sleep(SECOND).await;
                (online_for, through)
            });
        }
        let mut order = Vec::new();
        while let Some(done) = line.join_next().await {
            order.push(done.expect("no panic"));
        }
        assert!(order.iter().all(|(_, through)| *through >= CROWD));
        let mut sessions: Vec<_> = order.iter().map(|(session, _)| *session).collect();
        // Two at a time.
        sessions.chunks_mut(2).for_each(<[_]>::sort_unstable);
        assert_eq!(sessions, [6, 7, 4, 5, 2, 3, 0, 1]);
        // What is no crowd does not wait.
        sleep(SECOND * 2).await;
        gate.lost();
        gate.lost();
        gate.turn(SECOND).now_or_never().expect("at once");
    }

    #[tokio::test(start_paused = true)]
    async fn losses_that_never_end_do_not_close_the_gate() {
        let gate = Gate::new(1);
        let losing = gate.clone();
        let losing = tokio::spawn(async move {
            loop {
                losing.lost();
                sleep(SECOND / 10).await;
            }
        });
        sleep(SECOND / 2).await;
        let began = Instant::now();
        let _turn = gate.turn(SECOND).await;
        assert!(began.elapsed() <= LONGEST_CROWD, "{:?}", began.elapsed());
        losing.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_up_holds_up_nobody() {
        let gate = Gate::new(1);
        let first = gate.turn(SECOND).await;
        assert!(timeout(SECOND, gate.turn(hours(9))).await.is_err());
        assert!(gate.line().waiting.is_empty());
        let granted = gate.turn(hours(9));
        let mut granted = Box::pin(granted);
        assert!(granted.as_mut().now_or_never().is_none());
        // It is granted, and dropped before it is taken.
        drop(first);
        sleep(SECOND).await;
        drop(granted);
        sleep(SECOND).await;
        gate.turn(SECOND).now_or_never().expect("at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_back_while_a_crowd_gathers_is_not_forgotten() {
        let gate = Gate::new(1);
        let held = gate.turn(SECOND).await;
        sleep(SHORTEST_TURN).await;
        let mut waiting = std::pin::pin!(gate.turn(SECOND));
        assert!(waiting.as_mut().now_or_never().is_none());
        // Of the crowd nobody comes to the gate.
        gate.lost();
        gate.lost();
        drop(held);
        let turn = timeout(LONGEST_CROWD * 2, waiting).await;
        turn.expect("its turn comes");
    }

    #[tokio::test(start_paused = true)]
    async fn that_whatsapp_can_be_reached_is_told_once_a_second() {
        let gate = Gate::new(1);
        let mut told = gate.reachable();
        for _ in 0..5 {
            gate.reached();
        }
        told.changed().await.expect("the gate is there");
        assert!(timeout(SECOND, told.changed()).await.is_err());
        gate.reached();
        told.changed().await.expect("the gate is there");
    }
}
