//! Whoever follows a watch has the daemon's state.

use std::sync::Arc;

use futures_util::FutureExt;
use proptest::prelude::*;

use crate::protocol::fixtures::{bare_entry, bare_status};
use crate::protocol::{
    Cause, EventKind, HistoryEntry, Message, Phase, Since, Status, UserId, View,
};
use crate::supervisor::board::Board;
use crate::supervisor::{Caller, Watcher};

/// How far a watcher of these tests may fall behind.
const QUEUE: usize = 4;

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
}

impl Follower {
    fn begin(board: &Arc<Board>, caller: Caller, users: Vec<usize>, since: Option<Since>) -> Self {
        let named = users.iter().map(|n| user(*n)).collect();
        let (watching, watcher) = Watcher::begin(board, caller, named, since);
        let mut view = View::default();
        view.begin();
        Self {
            caller,
            users,
            watcher,
            view,
            seq: watching.seq,
        }
    }

    /// Reads one message, if there is one.
    fn read(&mut self) -> bool {
        let Some(message) = self.watcher.next().now_or_never() else {
            return false;
        };
        let message = message.expect("the board is there");
        match &message {
            Message::Event(event) => {
                assert!(self.view.is_in_sync(), "an event before the state");
                assert!(event.seq > self.seq, "{} after {}", event.seq, self.seq);
                self.seq = event.seq;
            }
            Message::InSync { seq } => {
                assert!(*seq >= self.seq, "back from {} to {seq}", self.seq);
                self.seq = *seq;
            }
            Message::Replayed(event) => assert!(event.seq <= self.seq, "the future is replayed"),
            Message::Present(_) => assert!(!self.view.is_in_sync()),
            Message::Lagged { missed } => assert!(*missed > 0),
            other => panic!("not of a watch: {other:?}"),
        }
        self.view.follow(&message);
        true
    }

    /// Everything is read: it has what there is.
    fn agrees_with(&self, board: &Board) {
        assert!(self.view.is_in_sync());
        let there = board.visible(self.caller, None);
        let wanted = |status: &&Arc<Status>| {
            let named = |n: &usize| USERS[*n] == status.user.as_str();
            self.users.is_empty() || self.users.iter().any(named)
        };
        let there: Vec<_> = there.iter().filter(wanted).map(|s| &**s).collect();
        let told: Vec<_> = self.view.sessions().collect();
        assert_eq!(told, there, "{:?} {:?}", self.caller, self.users);
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

fn play(steps: Vec<Step>) {
    let board = Arc::new(Board::with_queue(QUEUE));
    let mut followers: Vec<Follower> = Vec::new();
    for (number, step) in (1..).zip(steps) {
        match step {
            Step::Changes { user: n, owner } => {
                board.changed_to(EventKind::Updated, status(&user(n), owner, number));
            }
            Step::Ends { user: n } => {
                if let Some(status) = board.get(&user(n)) {
                    let entry = entry(&user(n), status.owner);
                    board.ended(EventKind::LoggedOut(Box::new(entry.clone())), &entry);
                }
            }
            Step::Begins {
                caller,
                users,
                back,
            } => {
                let since = back.map(|back| Since {
                    epoch: None,
                    seq: board.seq().saturating_sub(back),
                });
                followers.push(Follower::begin(&board, caller, users, since));
            }
            Step::Reads { who, messages } => {
                if let Some(follower) = followers.get_mut(who) {
                    for _ in 0..messages {
                        follower.read();
                    }
                }
            }
        }
    }
    for follower in &mut followers {
        while follower.read() {}
        follower.agrees_with(&board);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_client_that_follows_the_messages_has_the_daemons_state(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        play(steps);
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
        while follower.read() {}
        follower.agrees_with(&board);
    }
    assert!(followers[1].view.is_empty());
}

#[test]
fn a_reader_that_stops_in_the_middle_of_the_state_loses_nothing_but_events() {
    let board = Arc::new(Board::with_queue(QUEUE));
    for n in 0..USERS.len() {
        board.changed_to(EventKind::Online, status(&user(n), 1, 1));
    }
    let mut follower = Follower::begin(&board, callers()[0], vec![], None);
    // Two of four sessions are told; then everything changes.
    assert!(follower.read() && follower.read());
    for number in 2..10 {
        for n in 0..USERS.len() {
            board.changed_to(EventKind::Updated, status(&user(n), 1, number));
        }
    }
    // The state it was told was the state when it began.
    assert!(follower.read() && follower.read() && follower.read());
    assert!(follower.view.is_in_sync());
    assert_eq!(follower.view.seq(), 4);
    assert!(follower.view.sessions().all(|s| s.next_action == "1"));
    while follower.read() {}
    follower.agrees_with(&board);
}
