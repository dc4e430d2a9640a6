//! What is in a device's mailbox is sent to it: first what has waited, as the device asks for it, then what comes.

use std::time::Duration;

use tokio::time::Instant;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::delay::DeferredWork;
use super::login::Session;
use super::{Connection, Mode, Phase, Step};
use crate::fault::{Fault, Stage};
use crate::mailbox::Mailbox;
use crate::observation::Observation;
use crate::stanza::{attr, result_of, server_jid};

/// How much of what waits a device gets before it asks for more.
const PRIMER: usize = 5;

/// How much a device gets that has handled all it got, and does not ask.
const BATCH: usize = 200;

/// How much is sent without a look at what the device says.
const BURST: usize = 64;

/// How long a device may take to ask for more before it gets it all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far delivery on a connection is.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    stage: DeliveryStage,
    /// The number of the last item that was sent.
    sent: u64,
    /// How many stanzas had waited when the device came.
    waited: usize,
    /// The place of the next one among them.
    place: usize,
    /// What was sent when the device was last given time to ask for more.
    patient_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum DeliveryStage {
    /// The device has not asked for anything yet.
    #[default]
    Idle,
    /// What has waited is sent, up to this number; so much may be sent now.
    Backlog { until: u64, allowance: usize },
    /// All that has waited is sent, and that is about to be said.
    Ending,
    /// What comes is sent at once.
    Live,
}

impl Connection {
    /// Takes `<active/>`: the device wants delivery from now on.
    pub(super) async fn set_delivery(&mut self, stanza: &Node, session: &Session) -> Step {
        self.send(&result_of(stanza).build()).await?;
        if stanza.get_optional_child("active").is_none() {
            return Step::Continue(());
        }
        if let Phase::LoggedIn(session) = &mut self.phase {
            session.active = true;
        }
        self.share_keys(session).await?;
        match self.delivery.stage {
            DeliveryStage::Idle => {}
            // Whoever asks again is told again.
            DeliveryStage::Live => return self.end_backlog(session.clone()).await,
            DeliveryStage::Backlog { .. } | DeliveryStage::Ending => return Step::Continue(()),
        }
        let (waiting, until) = {
            let world = self.shared.world();
            let mailbox = world.state.mailboxes.get(&session.jid);
            mailbox.map_or_else(Default::default, |mailbox| {
                (mailbox.waiting(), mailbox.last_number())
            })
        };
        self.delivery.waited = waiting.total();
        self.delivery.stage = DeliveryStage::Backlog {
            until,
            allowance: PRIMER,
        };
        if waiting.total() > 0 {
            let preview = NodeBuilder::new("offline_preview")
                .attr("count", waiting.total())
                .attr("appdata", "0")
                .attr("message", waiting.messages)
                .attr("receipt", waiting.receipts)
                .attr("notification", waiting.notifications)
                .attr("call", "0")
                .build();
            self.send(&notice(preview)).await?;
            self.shared.see(Observation::OfflineAnnounced {
                connection: self.id,
                jid: session.jid.clone(),
                count: waiting.total(),
            });
        }
        self.deliver().await
    }

    /// Takes a notice of a device's: mostly that it wants more of what waits.
    pub(super) async fn take_notice(&mut self, stanza: &Node) -> Step {
        let Some(batch) = stanza.get_optional_child("offline_batch") else {
            return Step::Continue(());
        };
        let count = attr(batch, "count").and_then(|count| count.parse().ok());
        if let DeliveryStage::Backlog { allowance, .. } = &mut self.delivery.stage {
            *allowance += count.unwrap_or(BATCH);
        }
        self.deliver().await
    }

    /// Sends what may be sent now, and lets the device have a word in between.
    pub(super) async fn deliver(&mut self) -> Step {
        for _ in 0..BURST {
            if self.mode != Mode::Normal {
                return Step::Continue(());
            }
            let Phase::LoggedIn(session) = &self.phase else {
                return Step::Continue(());
            };
            let jid = session.jid.clone();
            let offline = match self.delivery.stage {
                DeliveryStage::Idle | DeliveryStage::Ending => return Step::Continue(()),
                DeliveryStage::Live => false,
                DeliveryStage::Backlog { until, allowance } => {
                    if !self.next_is(&jid, |next| next <= until) {
                        let session = session.clone();
                        self.end_backlog(session).await?;
                        continue;
                    }
                    if allowance == 0 {
                        self.be_patient();
                        return Step::Continue(());
                    }
                    let allowance = allowance - 1;
                    self.delivery.stage = DeliveryStage::Backlog { until, allowance };
                    true
                }
            };
            if !self.deliver_next(&jid, offline).await? {
                return Step::Continue(());
            }
        }
        self.mail.notify_one();
        Step::Continue(())
    }

    /// Gives the device some time to ask for more of what waits.
    fn be_patient(&mut self) {
        let sent = self.delivery.sent;
        if self.delivery.patient_at.replace(sent) != Some(sent) {
            self.defer(Instant::now() + PATIENCE, DeferredWork::MoreMail(sent));
        }
    }

    /// Sends the next item. False: there is none.
    async fn deliver_next(&mut self, jid: &str, offline: bool) -> Step<bool> {
        let next = {
            let mut world = self.shared.world();
            let mailbox = world.state.mailboxes.get_mut(jid);
            mailbox.and_then(|mailbox| mailbox.next_after(self.delivery.sent))
        };
        let Some((item, mut stanza)) = next else {
            return Step::Continue(false);
        };
        self.delivery.sent = item.number;
        if offline {
            stanza.attrs.push("offline", self.delivery.place);
            self.delivery.place += 1;
        }
        self.send(&stanza).await?;
        self.shared.see(Observation::MessageSent {
            connection: self.id,
            jid: jid.to_owned(),
            class: stanza.tag.to_string(),
            id: item.id,
            from: item.participant.unwrap_or(item.from),
            attempt: item.attempts,
            offline,
        });
        Step::Continue(true)
    }

    /// Whether there is a next item whose number fits.
    fn next_is(&self, jid: &str, fits: impl Fn(u64) -> bool) -> bool {
        let world = self.shared.world();
        let mailbox = world.state.mailboxes.get(jid);
        let next = mailbox.and_then(|mailbox| mailbox.number_after(self.delivery.sent));
        next.is_some_and(fits)
    }

    /// The number of the last item that was sent on this connection.
    pub(super) fn sent_mail(&self) -> u64 {
        self.delivery.sent
    }

    /// Delivers more to a device that has handled all it got.
    pub(super) async fn deliver_after_thanks(&mut self, jid: &str) -> Step {
        let sent = self.delivery.sent;
        let all_handled = {
            let world = self.shared.world();
            let mailbox = world.state.mailboxes.get(jid);
            mailbox.is_none_or(|mailbox: &Mailbox| !mailbox.has_until(sent))
        };
        if let DeliveryStage::Backlog { allowance, .. } = &mut self.delivery.stage
            && all_handled
            && *allowance == 0
        {
            *allowance = BATCH;
            return self.deliver().await;
        }
        Step::Continue(())
    }

    /// Delivers more to a device that has neither asked for it nor handled what it got.
    pub(super) async fn deliver_unasked(&mut self, sent: u64) -> Step {
        if let DeliveryStage::Backlog { allowance, .. } = &mut self.delivery.stage
            && *allowance == 0
            && self.delivery.sent == sent
        {
            *allowance = BATCH;
        }
        self.deliver().await
    }

    async fn end_backlog(&mut self, session: Session) -> Step {
        self.delivery.stage = DeliveryStage::Ending;
        if let Some(due) = self.due(Stage::Offline) {
            self.defer(due, DeferredWork::Offline(session));
            return Step::Continue(());
        }
        self.announce_offline(session).await
    }

    /// Ends the delivery of what came while the device was away: the device is online.
    pub(super) async fn announce_offline(&mut self, session: Session) -> Step {
        self.delivery.stage = DeliveryStage::Live;
        if self.has_fault(&Fault::NoOffline) {
            return Step::Continue(());
        }
        let offline = NodeBuilder::new("offline")
            .attr("count", self.delivery.waited)
            .build();
        self.send(&notice(offline)).await?;
        self.shared.see(Observation::Online {
            connection: self.id,
            jid: session.jid,
        });
        if self.has_fault(&Fault::Garble) {
            self.wire.garble();
        }
        // What came meanwhile.
        self.mail.notify_one();
        Step::Continue(())
    }
}

fn notice(child: Node) -> Node {
    NodeBuilder::new("ib")
        .attr("from", server_jid())
        .children([child])
        .build()
}
