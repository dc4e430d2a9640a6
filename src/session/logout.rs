//! The logout's effects (the unlink at WhatsApp, the removal), and its replies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::Span;

use super::command::{Disconnected, LogoutReply};
use super::devices::Devices;
use super::machine::Unlinked;
use crate::blocking::UncancellableWork;
use crate::deadline::Deadline;
use crate::protocol::{Account, Cause, Failure, HistoryEntry, LogoutReport, Stage, Unlink, UserId};
use crate::store::{Credentials, CredentialsError, History, Intent, Removal};
use crate::whatsapp::{
    Ending, Expected, Gateway, Link, LinkEvent, Pace, Scope, Stored, Verdict, look_into,
};

/// The least time that a new link gets for the unlink: a login takes round trips over a slow network.
const LEAST_TIME: Duration = Duration::from_millis(1500);
/// How long until the next try, after one that failed at once.
const AGAIN: Duration = Duration::from_millis(200);

/// What an unlink needs.
pub(super) struct Unlinking {
    pub(super) gateway: Gateway,
    pub(super) user: UserId,
    pub(super) devices: Devices,
    pub(super) credentials: Credentials,
    pub(super) span: Span,
    pub(super) work: UncancellableWork,
    /// Whether the record names an account.
    pub(super) was_paired: bool,
    /// Whether the last handshake failed.
    pub(super) full_handshake: bool,
    pub(super) deadline: Deadline,
}

impl Unlinking {
    /// Asks WhatsApp to remove the device, as far as there is time: for half of it over the link that is up,
    /// then over new ones, until WhatsApp answers. A link that breaks or falls silent does not end it.
    /// Returns the link that was used last; the caller closes it.
    pub(super) async fn unlink(self, mut link: Option<Link>) -> (Unlinked, Option<Link>) {
        // Whether WhatsApp may have removed the device although its answer did not arrive.
        let mut asked = false;
        if let Some(up) = link.as_ref().filter(|link| link.handle().is_logged_in()) {
            let half = self.deadline.at_most(self.deadline.left() / 2);
            match up.handle().unlink(half).await {
                Unlink::Unreachable => asked = true,
                answered => return (answered.into(), link),
            }
        }
        let mut looked = false;
        let mut out_of_reach = false;
        let mut pause = AGAIN;
        loop {
            if let Some(link) = link.take() {
                // Tasks of the old link that have not ended are waited for with all other work of the user.
                let _ = link.close(false, self.deadline).await;
            }
            // No second connection is opened with the same credentials before the first is gone.
            if self.deadline.limit(self.work.gone()).await.is_none() {
                return (Unlink::Unreachable.into(), None);
            }
            if !looked {
                match self.stored().await {
                    Some(Stored::Paired(account)) if self.is_copy(&account) => {
                        return (Unlink::NotAsked.into(), None);
                    }
                    Some(Stored::Paired(_)) => looked = true,
                    Some(Stored::Nothing | Stored::Unpaired) if !self.was_paired => {
                        return (Unlink::NotLinked.into(), None);
                    }
                    // The device may be linked, but nobody can tell, and nobody can log in with these
                    // credentials.
                    Some(Stored::Nothing | Stored::Unpaired) | None => {
                        return (Unlink::Unreachable.into(), None);
                    }
                }
            }
            let left = self.deadline.left();
            let part = self.deadline.at_most((left / 2).max(LEAST_TIME));
            let tried = part.limit(self.over_a_new_link(&mut link, &mut asked, part));
            match tried.await {
                Some(Tried::Answered(unlinked)) => return (unlinked, link),
                Some(Tried::Hopeless) => return (Unlink::Unreachable.into(), link),
                // Twice in a row: WhatsApp cannot be reached now, and a reply is due.
                Some(Tried::OutOfReach) if out_of_reach => {
                    return (Unlink::Unreachable.into(), link);
                }
                Some(Tried::OutOfReach) => out_of_reach = true,
                Some(Tried::NotAnswered) | None => out_of_reach = false,
            }
            if self.deadline.limit(sleep(pause)).await.is_none() {
                return (Unlink::Unreachable.into(), link);
            }
            pause *= 2;
        }
    }

    /// Unlinks the device of this account.
    async fn unlink_paired(self, account: Account, link: Option<Link>) -> (Unlinked, Option<Link>) {
        let was_paired = Self {
            was_paired: true,
            ..self
        };
        let (mut unlinked, link) = was_paired.unlink(link).await;
        unlinked.account = Some(account);
        (unlinked, link)
    }

    /// What the credentials hold. Nothing else has them open.
    async fn stored(&self) -> Option<Stored> {
        let looking = look_into(&self.credentials, &self.work);
        self.deadline.limit(looking).await?.ok()
    }

    /// Whether the credentials are a copy. Unlinking would end the session that they were copied from.
    fn is_copy(&self, account: &Account) -> bool {
        self.devices.is_anothers(&account.jid, &self.user)
    }

    async fn over_a_new_link(
        &self,
        link: &mut Option<Link>,
        asked: &mut bool,
        deadline: Deadline,
    ) -> Tried {
        let expected = Expected {
            paired: true,
            full_handshake: self.full_handshake,
            to_unlink: true,
        };
        let scope = Scope::new(self.span.clone(), self.work.clone());
        let opened = Link::open(&self.gateway, &self.credentials, expected, scope).await;
        let (opened, mut events) = match opened {
            Ok(opened) => opened,
            Err(CredentialsError::Unavailable { .. }) => return Tried::NotAnswered,
            // The device may be linked, but nobody can log in with these credentials.
            Err(CredentialsError::Unusable { .. }) => return Tried::Hopeless,
        };
        // The caller closes the link, whatever happens here.
        let opened = link.insert(opened);
        while let Some(event) = events.recv().await {
            match event {
                // The login is accepted. An unlink need not wait until the link is ready for more.
                LinkEvent::Stage(Stage::Sync) => {
                    // Nobody needs the link's other events.
                    drop(events);
                    *asked = true;
                    return match opened.handle().unlink(deadline).await {
                        Unlink::Unreachable => Tried::NotAnswered,
                        answered => Tried::Answered(answered.into()),
                    };
                }
                LinkEvent::Ended(ending) => return after_end(ending, *asked),
                _ => {}
            }
        }
        Tried::NotAnswered
    }
}

/// How a try to unlink over a new link went.
enum Tried {
    /// WhatsApp has answered.
    Answered(Unlinked),
    /// It has not, and may answer the next time.
    NotAnswered,
    /// There was no connection to WhatsApp.
    OutOfReach,
    /// No link can be opened with these credentials.
    Hopeless,
}

/// What the end of a link that was opened for an unlink means, where WhatsApp may have been asked before.
fn after_end(ending: Ending, asked: bool) -> Tried {
    match ending.verdict {
        // WhatsApp knows no such device any more, and it was asked to remove it.
        Verdict::Wipe(..) if asked && ending.as_unlink() == Unlink::NotLinked => {
            Tried::Answered(Unlink::Confirmed.into())
        }
        Verdict::Retry(Cause::Unreachable | Cause::ProxyRefused, _) => Tried::OutOfReach,
        // An end of a connection of before may have ended this one.
        Verdict::Retry(_, Pace::AtOnce | Pace::Usual) | Verdict::Conflict => Tried::NotAnswered,
        Verdict::Unusable => Tried::Hopeless,
        // WhatsApp refuses, or asks for more patience than there is until the reply.
        Verdict::Wipe(..)
        | Verdict::Locked
        | Verdict::Park(_)
        | Verdict::Hold(..)
        | Verdict::Retry(_, Pace::Long | Pace::Outdated) => Tried::Answered(ending.into()),
    }
}

/// Unlinks the device of a session without an account, if the phone has accepted the device just now: the
/// phone lists the device then.
pub(super) async fn unlink_if_paired_just_now(
    unlinking: Unlinking,
    link: Option<Link>,
) -> (Unlinked, Option<Link>) {
    let account = link.as_ref().and_then(|link| link.handle().account());
    if let Some(account) = account {
        // Only the open link knows of the account. An unlink over a new link needs it on the disk.
        let soon = unlinking.deadline.left() / 4;
        if let Some(link) = &link {
            link.handle().flush(Deadline::within(soon)).await;
        }
        return unlinking.unlink_paired(account, link).await;
    }
    // An earlier link may have left a pairing on the disk that this session did not learn of.
    if let Some(link) = link {
        let _ = link.close(false, unlinking.deadline).await;
    }
    let gone = unlinking.deadline.limit(unlinking.work.gone()).await;
    let stored = match gone {
        Some(()) => unlinking.stored().await,
        None => None,
    };
    match stored {
        Some(Stored::Paired(account)) => unlinking.unlink_paired(account, None).await,
        _ => (nothing_to_unlink(), None),
    }
}

fn nothing_to_unlink() -> Unlinked {
    Unlinked {
        unlink: None,
        account: None,
        text: None,
        appeal_token: None,
    }
}

/// Removes everything, and writes the history. Goes on when nobody waits any more.
pub(super) async fn remove(
    mut removal: Removal,
    intent: Box<Intent>,
    history: Arc<History>,
) -> (Removal, Result<Box<HistoryEntry>, String>) {
    let removed = removal.carry_out(&intent, &history).await;
    (removal, removed.map(Box::new).map_err(|e| e.to_string()))
}

/// Sends the replies of a logout: to each `force-logout`, and to each `disconnect` that found nothing to
/// keep.
pub fn answer(
    entry: &HistoryEntry,
    waiters: Vec<LogoutReply>,
    stopped: Vec<oneshot::Sender<Result<Disconnected, Failure>>>,
) {
    let report = report(entry.clone());
    for waiter in waiters {
        let _ = waiter.send(Ok(report.clone()));
    }
    for waiter in stopped {
        let _ = waiter.send(Ok(Disconnected::Gone(Box::new(report.clone()))));
    }
}

/// The report of a logout, with what the person should do.
#[must_use]
pub fn report(entry: HistoryEntry) -> LogoutReport {
    let user = &entry.user;
    let device = if entry.unlink == Unlink::NotKnown {
        "WhatsApp did not say whether it still lists the device: look on the phone under Settings, Linked devices, and remove it there. "
    } else if entry.unlink.device_may_remain() {
        "WhatsApp did not confirm the unlink: remove the device on the phone under Settings, Linked devices. "
    } else {
        ""
    };
    let then = if let Some(age) = entry.removed_soon() {
        format!(
            "WhatsApp removed the device {} s after it was linked; that soon it is rarely the phone's owner who does that. Wait some hours before `wactl connect {user}` links it again: WhatsApp does this to accounts that link devices often or automate much.",
            age.as_secs()
        )
    } else if entry.cause == Cause::WrongAccount {
        format!(
            "Another account was linked than the one expected. `wactl connect {user}` shows a fresh QR code for the right phone."
        )
    } else if entry.cause == Cause::AccountLocked {
        "WhatsApp locked the account: open WhatsApp on the phone; the history keeps what it said."
            .to_owned()
    } else {
        format!("`wactl connect {user}` shows a fresh QR code.")
    };
    let next_action = format!("{device}{then}");
    LogoutReport { entry, next_action }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(verdict: Verdict) -> Ending {
        Ending {
            verdict,
            error: "in a test".to_owned(),
            text: None,
            appeal_token: None,
        }
    }

    fn answer(verdict: Verdict, asked: bool) -> Option<Unlink> {
        match after_end(ended(verdict), asked) {
            Tried::Answered(unlinked) => unlinked.unlink,
            _ => None,
        }
    }

    #[test]
    fn a_device_that_is_gone_after_the_question_is_confirmed() {
        for cause in [Cause::Unlinked, Cause::LoggedOut] {
            let gone = Verdict::Wipe(cause, Unlink::NotLinked);
            assert_eq!(answer(gone, true), Some(Unlink::Confirmed));
            let before = answer(gone, false);
            assert_eq!(before, Some(Unlink::NotLinked));
        }
    }

    #[test]
    fn what_says_nothing_about_the_device_is_tried_again() {
        for asked in [false, true] {
            for cause in [
                Cause::ConnectionLost,
                Cause::HandshakeFailed,
                Cause::StreamEnded,
                Cause::Silent,
                Cause::ServerUnavailable,
            ] {
                let tried = after_end(ended(Verdict::Retry(cause, Pace::Usual)), asked);
                assert!(matches!(tried, Tried::NotAnswered), "{cause}");
            }
            let tried = after_end(ended(Verdict::Conflict), asked);
            assert!(matches!(tried, Tried::NotAnswered));
            let refused = Verdict::Retry(Cause::Unreachable, Pace::Usual);
            assert!(matches!(
                after_end(ended(refused), asked),
                Tried::OutOfReach
            ));
            for verdict in [
                Verdict::Retry(Cause::RateLimited, Pace::Long),
                Verdict::Hold(Cause::TemporaryBan, Duration::from_mins(1)),
                Verdict::Park(Cause::Refused(None)),
                Verdict::Retry(Cause::ClientOutdated, Pace::Outdated),
                Verdict::Locked,
            ] {
                assert_eq!(answer(verdict, asked), Some(Unlink::Unreachable));
            }
        }
    }
}
