//! Delayed answers, where a fault demands a delay.
//!
//! A delay holds up nothing but its own answer. The connection goes on reading, answering and obeying
//! orders. When the client goes away, its delayed answers are dropped.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wacore_binary::Node;

use super::login::{Login, Session};
use super::pairing::Restart;
use super::{Connection, Mode, Step};
use crate::fault::Stage;
use crate::wire::Goodbye;

/// Something to do later.
pub(super) struct Deferred {
    due: Instant,
    work: DeferredWork,
}

pub(super) enum DeferredWork {
    Login(Login),
    /// Give out the QR references.
    Refs,
    /// Send this, which comes from the phone.
    FromPhone(Node),
    Restart(Restart),
    /// Announce the end of offline delivery.
    Offline(Session),
    /// Answer this request of a device.
    Query(Node, Session),
    /// Answer a stanza that came before the login was concluded.
    Early(Node),
    /// Deliver more of what waits, unless the device has asked for it since: so much was sent at that time.
    MoreMail(u64),
    /// Acknowledge a message.
    Ack(Node),
}

impl Connection {
    /// When something at this stage is due, if a fault demands a delay there.
    pub(super) fn due(&self, stage: Stage) -> Option<Instant> {
        self.delay(stage).map(|delay| Instant::now() + delay)
    }

    pub(super) fn defer(&mut self, due: Instant, work: DeferredWork) {
        self.deferred.push(Deferred { due, work });
    }

    /// When the next delayed answer is due. A connection that hangs or is frozen sends none.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let next = self.deferred.iter().map(|deferred| deferred.due).min();
        next.filter(|_| self.mode == Mode::Normal)
    }

    /// Sends the first delayed answer that is due at this time.
    pub(super) async fn do_deferred(&mut self, due: Instant) -> Step {
        let first = self.deferred.iter().position(|next| next.due == due);
        let Some(first) = first else {
            return Step::Continue(());
        };
        match self.deferred.remove(first).work {
            DeferredWork::Login(login) => self.log_in(login).await,
            DeferredWork::Refs => self.send_refs().await,
            DeferredWork::FromPhone(stanza) | DeferredWork::Ack(stanza) => self.send(&stanza).await,
            DeferredWork::Restart(restart) => self.restart(restart).await,
            DeferredWork::Offline(session) => self.announce_offline(session).await,
            DeferredWork::Query(stanza, session) => self.answer_request(&stanza, &session).await,
            DeferredWork::Early(stanza) => self.answer(&stanza).await,
            DeferredWork::MoreMail(sent) => self.deliver_unasked(sent).await,
        }
    }

    /// When a login is due that is concluded even when its client has given it up.
    pub(super) fn ghost_due(&self) -> Option<Instant> {
        let ghost = |deferred: &&Deferred| matches!(&deferred.work, DeferredWork::Login(login) if login.is_ghost());
        self.deferred.iter().find(ghost).map(|login| login.due)
    }

    /// When the delayed login is due, if there is one.
    pub(super) fn login_due(&self) -> Option<Instant> {
        let login = |deferred: &&Deferred| matches!(deferred.work, DeferredWork::Login(_));
        self.deferred.iter().find(login).map(|login| login.due)
    }

    /// Waits before the server hello, if a fault demands it. Nothing can be answered before the hello, but
    /// orders are obeyed, and the wait ends when the client goes away.
    pub(super) async fn pause_handshake(&mut self) -> Step {
        let Some(delay) = self.delay(Stage::Handshake) else {
            return Step::Continue(());
        };
        let mut pause = pin!(sleep(delay));
        let mut over = false;
        while !over || self.mode != Mode::Normal {
            let frozen = self.mode == Mode::Frozen;
            tokio::select! {
                biased;
                order = self.orders.recv() => self.take(order).await?,
                () = self.wire.closed(frozen) => return Step::Break(Goodbye::Gone),
                () = &mut pause, if !over => over = true,
            }
        }
        Step::Continue(())
    }

    fn delay(&self, stage: Stage) -> Option<Duration> {
        self.shared.delay(&self.who, stage)
    }
}
