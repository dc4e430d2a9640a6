//! The logout's effects (the unlink at WhatsApp, the removal), and its replies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::Span;

use super::command::{LogoutReply, Stopped};
use super::devices::Devices;
use super::machine::Unlinked;
use crate::blocking::UncancellableWork;
use crate::deadline::Deadline;
use crate::protocol::{Account, Cause, Failure, HistoryEntry, LogoutReport, Stage, Unlink, UserId};
use crate::store::{Credentials, History, Intent, Removal};
use crate::whatsapp::{Expected, Gateway, Link, LinkEvent, LinkEvents, Scope, Stored, look_into};

/// How long a logout waits for another process's lock on the credentials. The session's own link is
/// closed already, and a reply is due.
const LOCKED: Duration = Duration::from_secs(1);

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
    /// Asks WhatsApp to remove the device, as far as there is time: over the link that is up, or over a new
    /// one. Returns the link that was used; the caller closes it.
    pub(super) async fn unlink(self, mut link: Option<Link>) -> (Unlinked, Option<Link>) {
        if let Some(up) = link.as_ref().filter(|link| link.handle().is_logged_in()) {
            let unlink = up.handle().unlink(self.deadline).await;
            return (unlink.into(), link);
        }
        if let Some(link) = link.take() {
            // Tasks of the old link that have not ended are waited for with all other work of the user.
            let _ = link.close(false, self.deadline).await;
        }
        let unlinked = match self.deadline.limit(self.work.gone()).await {
            Some(()) => self.over_a_new_link(&mut link).await,
            None => Unlink::Unreachable.into(),
        };
        (unlinked, link)
    }

    async fn over_a_new_link(&self, link: &mut Option<Link>) -> Unlinked {
        let looking = look_into(&self.credentials, &self.work, LOCKED);
        match self.deadline.limit(looking).await {
            // The credentials are a copy. Unlinking would end the session that they were copied from.
            Some(Ok(Stored::Paired(account))) if self.is_copy(&account) => {
                return Unlink::NotAsked.into();
            }
            Some(Ok(Stored::Paired(_))) => {}
            Some(Ok(Stored::Nothing | Stored::Unpaired)) if !self.was_paired => {
                return Unlink::NotLinked.into();
            }
            // The device may be linked, but nobody can tell, and nobody can log in with these credentials.
            Some(Ok(Stored::Nothing | Stored::Unpaired) | Err(_)) | None => {
                return Unlink::Unreachable.into();
            }
        }
        let expected = Expected {
            paired: true,
            full_handshake: self.full_handshake,
        };
        let opening = Link::open(
            &self.gateway,
            &self.credentials,
            expected,
            Scope::new(self.span.clone(), self.work.clone()),
        );
        let Some(Ok((opened, events))) = self.deadline.limit(opening).await else {
            return Unlink::Unreachable.into();
        };
        // The caller closes the link, whatever happens here.
        let opened = link.insert(opened);
        let unlinked = self.when_logged_in(opened, events);
        let unlinked = self.deadline.limit(unlinked).await;
        unlinked.unwrap_or_else(|| Unlink::Unreachable.into())
    }

    fn is_copy(&self, account: &Account) -> bool {
        self.devices.is_anothers(&account.jid, &self.user)
    }

    async fn when_logged_in(&self, link: &Link, mut events: LinkEvents) -> Unlinked {
        while let Some(event) = events.recv().await {
            match event {
                // The login is accepted. An unlink need not wait until the link is ready for more.
                LinkEvent::Stage(Stage::Sync) => {
                    // Nobody needs the link's other events.
                    drop(events);
                    return link.handle().unlink(self.deadline).await.into();
                }
                LinkEvent::Ended(ending) => return ending.into(),
                _ => {}
            }
        }
        Unlink::Unreachable.into()
    }
}

/// Unlinks the device of a session without an account, if the phone has accepted the device just now: the
/// phone lists the device then. The new credentials are written first, because an unlink over a new link
/// needs them.
pub(super) async fn unlink_if_paired_just_now(
    unlinking: Unlinking,
    link: Option<Link>,
) -> (Unlinked, Option<Link>) {
    let account = link.as_ref().and_then(|link| link.handle().account());
    let (Some(account), Some(link)) = (account, link) else {
        return (nothing_to_unlink(), None);
    };
    let soon = unlinking.deadline.left() / 4;
    link.handle().flush(Deadline::within(soon)).await;
    let was_paired = Unlinking {
        was_paired: true,
        ..unlinking
    };
    let (mut unlinked, link) = was_paired.unlink(Some(link)).await;
    unlinked.account = Some(account);
    (unlinked, link)
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
    stopped: Vec<oneshot::Sender<Result<Stopped, Failure>>>,
) {
    let report = report(entry.clone());
    for waiter in waiters {
        let _ = waiter.send(Ok(report.clone()));
    }
    for waiter in stopped {
        let _ = waiter.send(Ok(Stopped::Gone(Box::new(report.clone()))));
    }
}

/// The report of a logout, with what the person should do.
#[must_use]
pub fn report(entry: HistoryEntry) -> LogoutReport {
    let user = &entry.user;
    let again = format!("`wactl connect {user}` shows a fresh QR code.");
    let next_action = if entry.unlink.device_may_remain() {
        format!(
            "WhatsApp did not confirm the unlink: remove the device on the phone under Settings, Linked devices. {again}"
        )
    } else if let Some(age) = entry.removed_soon() {
        format!(
            "WhatsApp removed the device {} s after it was linked; it was not the phone's owner who did that. Wait some hours before `wactl connect {user}` links it again: WhatsApp does this to accounts that link devices often or automate much.",
            age.as_secs()
        )
    } else if entry.cause == Cause::WrongAccount {
        format!(
            "Another account was linked than the one expected, and it was unlinked again. `wactl connect {user}` shows a fresh QR code for the right phone."
        )
    } else if entry.cause == Cause::AccountLocked {
        "WhatsApp locked the account: open WhatsApp on the phone; the history keeps what it said."
            .to_owned()
    } else {
        again
    };
    LogoutReport { entry, next_action }
}
