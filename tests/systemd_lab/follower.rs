//! Somebody who follows every session over restarts of the daemon, and must be told of no end.

use std::collections::BTreeMap;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use wasessiond::client::{Client, Follow, FollowItem};
use wasessiond::protocol::{EventKind, Phase, View};

use crate::lab::{Lab, PATIENCE};

/// What must outlive the daemon: of each user the phase, the device and the target groups.
pub(crate) type Picture = BTreeMap<String, (Phase, String, Vec<String>)>;

pub(crate) struct Follower {
    told: UnboundedReceiver<FollowItem>,
    /// The runs of the daemon it has seen.
    epochs: Vec<u64>,
    view: View,
}

impl Follower {
    /// Reads whatever comes, at any time, as a client should.
    pub(crate) async fn of(client: &Client) -> Self {
        let nobody: [&str; 0] = [];
        let follow = client.follow(nobody, None).await.expect("it follows");
        let (teller, told) = unbounded_channel();
        tokio::spawn(async move {
            let mut follow: Follow = follow;
            while let Ok(item) = follow.next().await {
                if teller.send(item).is_err() {
                    break;
                }
            }
        });
        let mut this = Self {
            told,
            epochs: Vec::new(),
            view: View::default(),
        };
        this.item().await;
        this
    }

    pub(crate) fn picture(&self) -> Picture {
        let sessions = self.view.sessions().map(|status| {
            let jid = status.account.as_ref().map(|account| account.jid.clone());
            let targets = status.targets.iter().map(ToString::to_string).collect();
            let what = (status.phase, jid.unwrap_or_default(), targets);
            (status.user.to_string(), what)
        });
        sessions.collect()
    }

    /// Waits until another run of the daemon has brought everything back. On the way there, no session
    /// may end or ask for a code.
    pub(crate) async fn until_back(&mut self, lab: &Lab, picture: &Picture) {
        let before = self.epochs.len();
        let back = timeout(PATIENCE, async {
            while self.epochs.len() == before || self.picture() != *picture {
                self.item().await;
            }
        });
        let back = back.await.is_ok();
        assert!(
            back,
            "not everything is back: {:#?}\n{}",
            self.picture(),
            lab.journal("-u wasessiond")
        );
    }

    async fn item(&mut self) {
        let item = self.told.recv().await.expect("it follows on");
        assert!(item.ended().is_none(), "{item:?}");
        match item {
            FollowItem::State(state) => {
                if self.epochs.last() != Some(&state.epoch) {
                    self.epochs.push(state.epoch);
                }
                self.view = state.view;
            }
            FollowItem::Event(event) => {
                let fresh = matches!(event.kind, EventKind::Qr | EventKind::PairCode);
                assert!(!fresh, "{event:?}");
                self.view.apply(&event);
            }
            FollowItem::Replayed(_) | FollowItem::Lost(_) => {}
            item => panic!("{item:?}"),
        }
    }
}
