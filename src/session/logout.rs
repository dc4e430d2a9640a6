//! The logout: unlink, close, wait until nothing can write, rename, write the history, erase.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::command::{LogoutReply, Stopped};
use crate::protocol::{
    Cause, Failure, HistoryEntry, LogoutReport, Redacted, Stage, Unlink, UserId,
};
use crate::store::{History, Intent, Removal, Store};
use crate::whatsapp::{Ending, Expected, Gateway, Link, LinkEvent, Scope, Stored, look_into};

/// How long a descriptor of this process may stay open below a directory whose link is closed.
const LAST_DESCRIPTORS: Duration = Duration::from_secs(5);
/// How long somebody else's lock on the credentials may hold up a logout. The link that was there is
/// closed, and a reply is due.
const LOCKED: Duration = Duration::from_secs(1);
/// How often to look again. Closing takes milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How unlinking went, and what WhatsApp said when the login for it was refused: the token to appeal
/// with comes once.
#[derive(Debug)]
pub(super) struct Unlinked {
    pub(super) unlink: Unlink,
    pub(super) text: Option<String>,
    pub(super) appeal_token: Option<Redacted>,
}

impl From<Unlink> for Unlinked {
    fn from(unlink: Unlink) -> Self {
        Self {
            unlink,
            text: None,
            appeal_token: None,
        }
    }
}

impl From<Ending> for Unlinked {
    fn from(ending: Ending) -> Self {
        Self {
            unlink: ending.as_unlink(),
            text: ending.text,
            appeal_token: ending.appeal_token,
        }
    }
}

/// What a session still holds when its logout begins, and what the logout needs.
pub(super) struct Logout<'a> {
    pub(super) store: &'a Store,
    pub(super) gateway: &'a Gateway,
    pub(super) history: &'a Arc<History>,
    pub(super) auth_db: PathBuf,
    pub(super) scope: Scope,
    /// Whether the record names an account.
    pub(super) was_paired: bool,
    /// Whether the last handshake failed.
    pub(super) full_handshake: bool,
}

impl Logout<'_> {
    /// Asks WhatsApp to remove the device: over the link that is up, or over one that is opened for
    /// it, as far as there is time.
    pub(super) async fn unlink(&self, link: &mut Option<Link>, within: Duration) -> Unlinked {
        let deadline = Instant::now() + within;
        if let Some(up) = link.as_ref().filter(|link| link.is_logged_in()) {
            return up.unlink(within).await.into();
        }
        close(link, false).await.ok();
        match look_into(&self.auth_db, self.scope.work(), LOCKED).await {
            Ok(Stored::Paired(_)) => {}
            Ok(Stored::Nothing | Stored::Unpaired) if !self.was_paired => {
                return Unlink::NotLinked.into();
            }
            // Perhaps it is linked; nobody can tell, and nobody can log in with it.
            Ok(Stored::Nothing | Stored::Unpaired) | Err(_) => {
                return Unlink::Unreachable.into();
            }
        }
        let over_a_new_link = self.unlink_over_a_new_link(link, deadline);
        timeout_at(deadline, over_a_new_link)
            .await
            .unwrap_or_else(|_| Unlink::Unreachable.into())
    }

    async fn unlink_over_a_new_link(&self, link: &mut Option<Link>, deadline: Instant) -> Unlinked {
        let (events, mut told) = tokio::sync::mpsc::unbounded_channel();
        let opened = Link::open(
            self.gateway,
            &self.auth_db,
            Expected {
                paired: true,
                full_handshake: self.full_handshake,
            },
            self.scope.clone(),
            events,
        )
        .await;
        let Ok(opened) = opened else {
            return Unlink::Unreachable.into();
        };
        // Kept where the caller closes it, whatever happens here.
        let opened = link.insert(opened);
        while let Some(event) = told.recv().await {
            match event {
                // The login is accepted; that the link is ready for more need not be waited for.
                LinkEvent::Stage(Stage::Sync) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    return opened.unlink(left).await.into();
                }
                LinkEvent::Ended(ending) => return ending.into(),
                _ => {}
            }
        }
        Unlink::Unreachable.into()
    }

    /// The destructive half. The link must be closed.
    ///
    /// # Errors
    /// What is left and why, in words. It can be called again.
    pub(super) async fn purge(
        &self,
        removal: &mut Option<Removal>,
        intent: &Intent,
    ) -> Result<HistoryEntry, String> {
        if removal.as_ref().is_none_or(|r| !r.is_committed()) {
            self.nothing_open(&intent.user).await?;
        }
        let mut taken = removal
            .take()
            .unwrap_or_else(|| self.store.removal(&intent.user));
        let intent = intent.clone();
        let history = Arc::clone(self.history);
        let work = self.scope.work().see_through(async move {
            let done = taken.carry_out(&intent, &history).await;
            (taken, done.map_err(|failed| failed.to_string()))
        });
        let (taken, done) = work.await;
        *removal = Some(taken);
        done
    }

    /// Waits until this process has nothing of the session open.
    async fn nothing_open(&self, user: &UserId) -> Result<(), String> {
        let deadline = Instant::now() + LAST_DESCRIPTORS;
        loop {
            let open = self.store.open_files(user).await;
            let Some(first) = open.first() else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(format!(
                    "{} is left: this daemon still has {} file(s) open there ({}), a disk may be hanging",
                    self.store.session_dir(user).display(),
                    open.len(),
                    first.display()
                ));
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// Closes a link, if there is one.
pub(super) async fn close(link: &mut Option<Link>, flush: bool) -> Result<(), String> {
    match link.take() {
        Some(link) => link.close(flush).await.map_err(|e| e.to_string()),
        None => Ok(()),
    }
}

/// Answers everybody who waited for a logout: those who asked for it, and those who asked for a
/// disconnect that found nothing to keep.
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
fn report(entry: HistoryEntry) -> LogoutReport {
    let user = &entry.user;
    let again = format!("`wactl connect {user}` shows a fresh QR code.");
    let next_action = if entry.unlink.device_may_remain() {
        format!(
            "WhatsApp did not confirm the unlink: remove the device on the phone under Settings, Linked devices. {again}"
        )
    } else if entry.cause == Cause::AccountLocked {
        "WhatsApp locked the account: open WhatsApp on the phone; the history keeps what it said."
            .to_owned()
    } else {
        again
    };
    LogoutReport { entry, next_action }
}
