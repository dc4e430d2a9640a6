//! Whoever follows a watch has the daemon's state.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};

use futures_util::FutureExt;
use proptest::prelude::*;

use super::board::Board;
use super::ring::Limits;
use super::watcher::Watcher;
use crate::protocol::fixtures::{bare_entry, bare_status};
use crate::protocol::{
    Cause, EventKind, HistoryEntry, MAX_TARGETS, Message, Phase, Since, Status, UserId, View,
};
use crate::supervisor::Caller;

/// How far a watcher of these tests may fall behind.
const FEW: Limits = Limits {
    events: 4,
    bytes: 1024 * 1024,
};

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

fn user(n: usize) -> UserId {
    USERS[n].parse().expect("a user id")
}

fn status(user: &UserId, owner: u32, number: u64) -> Status {
    Status {
        next_action: number.to_string(),
        owner,
        ..bare_status(user.as_str(), Phase::Online)
    }
}

fn entry(user: &UserId, owner: u32) -> HistoryEntry {
    HistoryEntry {
        owner,
        ..bare_entry(user.as_str(), Cause::Unlinked)
    }
}

/// A client, and what it makes of what it is told.
struct Follower {
    caller: Caller,
    users: Vec<usize>,
    watcher: Watcher,
    view: View,
    /// The highest number it was told of as event now.
    seq: u64,
    /// What there was for it when the state that arrives began.
    began_with: Vec<Status>,
}

impl Follower {
    fn begin(board: &Arc<Board>, caller: Caller, users: Vec<usize>, since: Option<Since>) -> Self {
        let named = users.iter().map(|n| user(*n)).collect();
        let (watching, watcher) = Watcher::begin(board, caller, named, since);
        let mut view = View::default();
        view.begin();
        let mut follower = Self {
            caller,
            users,
            watcher,
            view,
            seq: watching.seq,
            began_with: Vec::new(),
        };
        follower.began_with = follower.there_is(board);
        follower
    }

    /// What there is for it now.
    fn there_is(&self, board: &Board) -> Vec<Status> {
        let there = board.visible(self.caller, None, usize::MAX);
        let wanted = |status: &&Arc<Status>| {
            let named = |n: &usize| USERS[*n] == status.user.as_str();
            self.users.is_empty() || self.users.iter().any(named)
        };
        there
            .iter()
            .filter(wanted)
            .map(|s| Status::clone(s))
            .collect()
    }

    /// Reads one message, if there is one.
    fn read(&mut self, board: &Board) -> bool {
        let Some(message) = self.watcher.next().now_or_never() else {
            return false;
        };
        match &message {
            Message::Event(event) => {
                assert!(self.view.is_in_sync(), "an event before the state");
                assert!(event.seq > self.seq, "{} after {}", event.seq, self.seq);
                self.seq = event.seq;
            }
            Message::InSync { seq } => {
                assert!(*seq >= self.seq, "back from {} to {seq}", self.seq);
                self.seq = *seq;
                // All of it is of one moment.
                let told = self.view.sessions().cloned();
                assert!(told.eq(self.began_with.iter().cloned()));
            }
            Message::Replayed(event) => assert!(event.seq <= self.seq, "the future is replayed"),
            Message::Present(_) => assert!(!self.view.is_in_sync()),
            Message::Lagged { missed } => {
                assert!(*missed > 0);
                self.began_with = self.there_is(board);
            }
            other => panic!("not of a watch: {other:?}"),
        }
        self.view.follow(&message);
        true
    }

    /// Everything is read: it has what there is.
    fn agrees_with(&self, board: &Board) {
        assert!(self.view.is_in_sync());
        let told: Vec<_> = self.view.sessions().cloned().collect();
        assert_eq!(
            told,
            self.there_is(board),
            "{:?} {:?}",
            self.caller,
            self.users
        );
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Changes {
        user: usize,
        owner: u32,
    },
    Ends {
        user: usize,
    },
    Begins {
        caller: Caller,
        users: Vec<usize>,
        back: Option<u64>,
    },
    Reads {
        who: usize,
        messages: usize,
    },
}

fn caller() -> impl Strategy<Value = Caller> {
    (0..3_u32).prop_map(|uid| Caller {
        uid,
        sees_all: uid == 0,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let users = proptest::collection::vec(0..USERS.len(), 0..3);
    let back = proptest::option::of(0..10_u64);
    prop_oneof![
        6 => (0..USERS.len(), 0..3_u32).prop_map(|(user, owner)| Step::Changes { user, owner }),
        2 => (0..USERS.len()).prop_map(|user| Step::Ends { user }),
        1 => (caller(), users, back).prop_map(|(caller, users, back)| Step::Begins { caller, users, back }),
        2 => (0..8_usize, 0..12_usize).prop_map(|(who, messages)| Step::Reads { who, messages }),
    ]
}

fn play(limits: Limits, steps: Vec<Step>) {
    let board = Arc::new(Board::with_limits(limits));
    let mut followers: Vec<Follower> = Vec::new();
    for (number, step) in (1..).zip(steps) {
        match step {
            Step::Changes { user: n, owner } => {
                board.changed_to(EventKind::Updated, status(&user(n), owner, number));
            }
            Step::Ends { user: n } => {
                if let Some(status) = board.get(&user(n)) {
                    let entry = entry(&user(n), status.owner);
                    board.ended(&entry);
                }
            }
            Step::Begins {
                caller,
                users,
                back,
            } => {
                let since = back.map(|back| Since {
                    epoch: None,
                    seq: board.seq(caller).saturating_sub(back),
                });
                followers.push(Follower::begin(&board, caller, users, since));
            }
            Step::Reads { who, messages } => {
                if let Some(follower) = followers.get_mut(who) {
                    for _ in 0..messages {
                        follower.read(&board);
                    }
                }
            }
        }
    }
    for follower in &mut followers {
        while follower.read(&board) {}
        follower.agrees_with(&board);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_client_that_follows_the_messages_has_the_daemons_state(
        events in prop_oneof![Just(FEW.events), Just(64)],
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        play(Limits { events, ..FEW }, steps);
    }
}

/// One that sees everything, and one that sees only what uid 1 owns.
fn callers() -> [Caller; 2] {
    [0, 1].map(|uid| Caller {
        uid,
        sees_all: uid == 0,
    })
}

#[test]
fn a_session_that_becomes_somebody_elses_is_gone_for_its_owner() {
    let board = Arc::new(Board::new());
    board.changed_to(EventKind::Online, status(&user(0), 1, 1));
    let mut followers = callers().map(|caller| Follower::begin(&board, caller, vec![], None));
    board.changed_to(EventKind::StoreCorrupt, status(&user(0), 0, 2));
    for follower in &mut followers {
        while follower.read(&board) {}
        follower.agrees_with(&board);
    }
    assert!(followers[1].view.is_empty());
}

/// What a reader is told that reads half of a state of four, then everything changes eight times, and
/// then it reads on.
fn stops_in_the_middle(limits: Limits) -> (Arc<Board>, Follower) {
    let board = Arc::new(Board::with_limits(limits));
    for n in 0..USERS.len() {
        board.changed_to(EventKind::Online, status(&user(n), 1, 1));
    }
    let mut follower = Follower::begin(&board, callers()[0], vec![], None);
    assert!(follower.read(&board) && follower.read(&board));
    for number in 2..10 {
        for n in 0..USERS.len() {
            board.changed_to(EventKind::Updated, status(&user(n), 1, number));
        }
    }
    (board, follower)
}

#[test]
fn a_reader_that_stops_in_the_middle_of_the_state_is_told_the_state_when_it_began() {
    let (board, mut follower) = stops_in_the_middle(Limits { events: 64, ..FEW });
    assert!(follower.read(&board) && follower.read(&board) && follower.read(&board));
    assert!(follower.view.is_in_sync());
    assert_eq!(follower.view.seq(), 4);
    assert!(follower.view.sessions().all(|s| s.next_action == "1"));
    while follower.read(&board) {}
    follower.agrees_with(&board);
}

#[test]
fn a_reader_that_stops_in_the_middle_of_the_state_for_too_long_is_told_another_one() {
    let (board, mut follower) = stops_in_the_middle(FEW);
    assert!(follower.read(&board));
    assert!(follower.view.is_empty() && !follower.view.is_in_sync());
    while follower.read(&board) {}
    follower.agrees_with(&board);
}

fn with_targets(number: u64) -> Status {
    let jid = |n| format!("1203630123456{n:05}@g.us").parse().expect("a JID");
    Status {
        targets: (0..MAX_TARGETS).map(jid).collect(),
        ..status(&user(0), 1, number)
    }
}

/// A thousand target groups are edited over and over, before watchers that do not read.
#[test]
fn the_past_and_those_who_do_not_read_are_bounded_in_bytes() {
    let limits = Limits {
        events: 4096,
        bytes: 1024 * 1024,
    };
    let board = Arc::new(Board::with_limits(limits));
    board.changed_to(EventKind::Online, with_targets(0));
    let mut followers = Vec::new();
    let mut old = Vec::new();
    for number in 1..300 {
        followers.push(Follower::begin(&board, callers()[0], vec![], None));
        old.push(Arc::downgrade(&board.get(&user(0)).expect("a session")));
        board.changed_to(EventKind::Targets, with_targets(number));
        assert!(board.bytes() <= limits.bytes, "{}", board.bytes());
    }
    let kept = old.iter().filter(|old| old.strong_count() > 0).count();
    assert!((10..30).contains(&kept), "{kept} of {} are kept", old.len());
    for follower in &mut followers {
        while follower.read(&board) {}
        follower.agrees_with(&board);
    }
}

#[test]
fn nothing_of_sessions_that_are_gone_stays() {
    let board = Arc::new(Board::with_limits(FEW));
    let gone = status(&user(0), 1, 1);
    board.changed_to(EventKind::Online, gone);
    let gone = Arc::downgrade(&board.get(&user(0)).expect("a session"));
    board.ended(&entry(&user(0), 1));
    for number in 0..4 {
        board.changed_to(EventKind::Online, status(&user(1), 2, number));
    }
    assert_eq!(gone.strong_count(), 0);
    for caller in callers() {
        assert!(board.visible(caller, None, usize::MAX).len() <= 1);
    }
}

/// Numbers of others would tell how active they are.
#[test]
fn numbers_count_only_what_the_watcher_may_see() {
    let board = Arc::new(Board::new());
    let [admin, owner] = callers();
    let foreign = |times| {
        for number in 0..times {
            board.changed_to(EventKind::Updated, status(&user(1), 2, number));
        }
    };
    foreign(100);
    board.changed_to(EventKind::Online, status(&user(0), 1, 1));
    foreign(100);
    let mut follower = Follower::begin(&board, owner, vec![], None);
    assert_eq!(follower.seq, 1);
    while follower.read(&board) {}
    foreign(100);
    board.changed_to(EventKind::Updated, status(&user(0), 1, 2));
    foreign(100);
    while follower.read(&board) {}
    assert_eq!(follower.seq, 2);
    assert_eq!((board.seq(owner), board.seq(admin)), (2, 402));

    // And `since` goes on where it left off, with the numbers of its own epoch only.
    let since = |caller, seq| Since {
        epoch: Some(board.epoch(caller)),
        seq,
    };
    let begin = |since| Watcher::begin(&board, owner, [].into(), Some(since));
    let (watching, mut watcher) = begin(since(owner, 1));
    assert_eq!((watching.seq, watching.gap), (2, false));
    let replayed = watcher.next().now_or_never().expect("a message");
    assert!(matches!(replayed, Message::Replayed(event) if event.seq == 2));
    assert!(begin(since(admin, 1)).0.gap);
    assert!(!begin(since(owner, 2)).0.gap);
    assert!(begin(since(owner, 3)).0.gap);
}

#[test]
fn events_of_others_are_not_lost_to_a_watcher() {
    let board = Arc::new(Board::with_limits(FEW));
    let owner = callers()[1];
    board.changed_to(EventKind::Online, status(&user(0), 1, 1));
    let mut follower = Follower::begin(&board, owner, vec![], None);
    let foreign = || {
        for number in 0..100 {
            board.changed_to(EventKind::Updated, status(&user(1), 2, number));
        }
    };
    foreign();
    // The state, and that it is complete; nothing was lost.
    assert!(follower.read(&board) && follower.read(&board));
    assert!(follower.view.is_in_sync());
    foreign();
    board.changed_to(EventKind::Updated, status(&user(0), 1, 2));
    assert!(follower.read(&board));
    assert_eq!(follower.seq, 2, "it has lagged");
    follower.agrees_with(&board);
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_event_wakes_only_those_it_is_for() {
    let board = Arc::new(Board::new());
    board.changed_to(EventKind::Online, status(&user(0), 1, 1));
    let mut follower = Follower::begin(&board, callers()[1], vec![], None);
    while follower.read(&board) {}
    let count = Arc::new(Wakes::default());
    let waker = Arc::clone(&count).into();
    let mut next = pin!(follower.watcher.next());
    assert!(
        next.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    board.changed_to(EventKind::Updated, status(&user(1), 2, 2));
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    board.changed_to(EventKind::Updated, status(&user(0), 1, 3));
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(
        next.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    );
}
