//! The effects that take time. Each runs beside the task's loop, and its result is an input.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::command::SessionCommand;
use super::super::gate::{Gate, Turn};
use super::super::logout::{Unlinking, remove, unlink_if_paired_just_now};
use super::super::machine::{Close, Input, Request, Unlinked};
use super::super::standing::{Standing, look};
use super::{FirstLink, Task};
use crate::deadline::Deadline;
use crate::message_id;
use crate::protocol::{Account, Group, HistoryEntry};
use crate::store::{CredentialsError, Intent, Record, Removal};
use crate::whatsapp::{AskError, Assertion, Expected, Gateway, Link, LinkEvent, LinkEvents, Scope};

/// The longest time for which a session keeps its turn: a server that hangs must not hold up the other
/// sessions.
const LONGEST_TURN: Duration = Duration::from_secs(10);
/// The longest time that a restored session waits before it asks for its turn.
const RESTORE_SPREAD: Duration = Duration::from_millis(500);
/// How long opening a link may take when it is the session's turn: the rest of the last link must end, the
/// credentials are opened, and WhatsApp's version is fetched.
const OPEN_WITHIN: Duration = Duration::from_mins(1);

/// The result of an effect.
pub(super) enum Done {
    Opened(Box<Opened>),
    Copied(String),
    Closed(Close, Result<(), String>),
    Saved(Result<(), String>),
    Looked(Standing),
    Groups(Request, Result<Vec<Group>, AskError>),
    Passkey(Option<Request>, Result<(), AskError>),
    Unlinked(Unlinked, Option<Link>),
    Removed(Removal, Result<Box<HistoryEntry>, String>),
}

/// The result of opening a link.
pub(super) struct Opened {
    number: u64,
    result: Result<(Link, LinkEvents), CredentialsError>,
    turn: Option<Turn>,
}

/// A link that is being opened. Dropping this gives the link up, and ends what it has begun.
///
/// So nothing goes on when the task is ended by force, or panics: the link is cut, and the user's next task
/// waits until nothing of it is left.
pub(super) struct Opening {
    number: u64,
    /// Fires when nobody needs the link any more.
    unwanted: CancellationToken,
    /// Fires when the session need not wait for its turn.
    hurry: CancellationToken,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.unwanted.cancel();
    }
}

impl Task {
    pub(super) fn done(&mut self, done: Done) {
        let input = match done {
            Done::Opened(opened) => match self.opened(*opened) {
                Some(input) => input,
                None => return,
            },
            Done::Copied(why) => Input::Copied(why),
            Done::Closed(close, closed) => Input::Closed(close, closed),
            Done::Saved(saved) => Input::Saved(saved),
            Done::Looked(standing) => Input::Looked(standing),
            Done::Groups(request, groups) => Input::GroupsAnswered(request, groups),
            Done::Passkey(request, taken) => Input::PasskeyAnswered(request, taken),
            Done::Unlinked(unlinked, link) => {
                self.link = link;
                Input::Unlinked(unlinked)
            }
            Done::Removed(removal, removed) => {
                self.removal = Some(removal);
                Input::Removed(removed)
            }
        };
        let is_opened = input == Input::Opened;
        self.take(input);
        if is_opened {
            self.catch_up_with_a_pairing();
        }
    }

    /// Looks whether the link before ended in the middle of a pairing that the phone had accepted. Before the
    /// login only the opened credentials say so. If such a pairing were taken for an unfinished one, it would
    /// expire, and the account's credentials with it.
    fn catch_up_with_a_pairing(&mut self) {
        if self.machine.paired {
            return;
        }
        let account = self.link.as_ref().and_then(|link| link.handle().account());
        if let Some(account) = named(account) {
            self.take(Input::Link(LinkEvent::Paired(account)));
        }
    }

    /// The way to WhatsApp, through the session's own proxy if it has one.
    fn gateway(&self) -> Gateway {
        let choice = self.machine.record().proxy.as_ref();
        self.context.gateway.through(choice)
    }

    fn run(&self, effect: impl Future<Output = Done> + Send + 'static) {
        self.under_way.push(effect.boxed());
    }

    // ---- the link -------------------------------------------------------------------------------

    /// Opens a link, and never before the last one has ended. The session waits for its turn, unless
    /// somebody asked for it.
    pub(super) fn open_link(&mut self, expected: Expected) {
        let account = self.machine.record().account.clone();
        if let Some(account) = account.filter(|_| expected.paired)
            && let Err(refused) = self.claim(&account)
        {
            return self.run(async { Done::Copied(refused) });
        }
        self.last_request += 1;
        let number = self.last_request;
        let (hurry, unwanted) = (CancellationToken::new(), CancellationToken::new());
        self.opening = Some(Opening {
            number,
            unwanted: unwanted.clone(),
            hurry: hurry.clone(),
        });
        let (span, work) = (self.context.span.clone(), self.context.work.clone());
        let gateway = self.gateway();
        let credentials = self.context.store.credentials(&self.context.user);
        let presence = self.context.settings.borrow().presence;
        let first = std::mem::replace(&mut self.context.first_link, FirstLink::InLine);
        let spread = match first {
            FirstLink::Restored => RESTORE_SPREAD.mul_f64(rand::random()),
            FirstLink::AtOnce | FirstLink::InLine => Duration::ZERO,
        };
        let in_line = (!self.urgent).then(|| InLine {
            gate: self.context.gate.clone(),
            after: spread,
            was_online_for: self.machine.was_online_for(),
        });
        self.run(async move {
            let file = credentials.clone();
            let opening = async move {
                let turn = match in_line {
                    Some(waiting) => wait_for_turn(waiting, hurry).await,
                    None => None,
                };
                let link = async {
                    work.gone().await;
                    let scope = Scope::new(span, work).announces(presence);
                    Link::open(&gateway, &credentials, expected, scope).await
                };
                in_turn(turn, Deadline::within(OPEN_WITHIN).limit(link)).await
            };
            let (opened, turn) = unwanted
                .run_until_cancelled(Box::pin(opening))
                .await
                .unwrap_or_default();
            let result = opened.unwrap_or_else(|| {
                let seconds = OPEN_WITHIN.as_secs();
                Err(file.unavailable(format!("nothing within {seconds} s, a disk may be hanging")))
            });
            Done::Opened(Box::new(Opened {
                number,
                result,
                turn,
            }))
        });
    }

    fn opened(&mut self, opened: Opened) -> Option<Input> {
        let Opened {
            number,
            result,
            turn,
        } = opened;
        // A link that was given up meanwhile is dropped, which ends it.
        self.opening.take_if(|opening| opening.number == number)?;
        self.turn = turn.map(|turn| (turn, Instant::now() + LONGEST_TURN));
        Some(match result {
            Ok((link, events)) => {
                // Only the credentials say which device it is.
                let device = link.handle().account();
                let claimed = named(device).map(|account| self.claim(&account));
                if let Some(Err(copied)) = claimed {
                    return Some(Input::Copied(copied));
                }
                // The configuration may have changed meanwhile.
                link.handle()
                    .set_presence(self.context.settings.borrow().presence);
                self.link = Some(link);
                self.events = Some(events);
                Input::Opened
            }
            Err(e @ CredentialsError::Unavailable { .. }) => Input::Unavailable(e.to_string()),
            Err(e) => Input::Unusable(e.to_string()),
        })
    }

    /// Takes the device for this session, or says in words that another session uses it.
    pub(super) fn claim(&self, account: &Account) -> Result<(), String> {
        let claimed = self.context.devices.claim(&account.jid, &self.context.user);
        claimed.map_err(|other| {
            tracing::warn!("these are the credentials of the session {other}: this one is a copy");
            format!(
                "another session here uses the same credentials, those of the linked device {}: this one is a copy",
                account.jid
            )
        })
    }

    /// Lets the session connect at once instead of waiting for its turn.
    pub(super) fn skip_the_queue(&mut self) {
        self.urgent = true;
        if let Some(opening) = &self.opening {
            opening.hurry.cancel();
        }
    }

    /// Takes the link away from the task: its events do not count any more. A link that is being opened is
    /// given up.
    fn forget_link(&mut self) -> Option<Link> {
        self.events = None;
        self.turn = None;
        self.opening = None;
        self.link.take()
    }

    pub(super) fn close_link(&mut self, close: Close, goodbye: bool, within: Duration) {
        let link = self.forget_link();
        let work = self.context.work.clone();
        let deadline = Deadline::within(within);
        self.run(async move {
            let closed = match link {
                Some(link) => link.close(goodbye, deadline).await,
                None => Ok(()),
            };
            if let Err(running) = closed {
                tracing::warn!("the old link did not end in time: {running}");
                return Done::Closed(close, Err(running.to_string()));
            }
            // An opening that was given up, a write.
            let gone = deadline.limit(work.gone()).await;
            let closed = gone.ok_or_else(|| {
                "its files are still being opened or written, a disk may be hanging".to_owned()
            });
            Done::Closed(close, closed)
        });
    }

    pub(super) fn ask_groups(&mut self, request: Request) {
        let deadline = match self.asked.get(&request) {
            Some(
                SessionCommand::Groups { deadline, .. } | SessionCommand::Targets { deadline, .. },
            ) => *deadline,
            _ => Deadline::within(OPEN_WITHIN),
        };
        let handle = self.link.as_ref().map(|link| link.handle().clone());
        self.run(async move {
            let groups = match handle {
                Some(handle) => handle.groups(deadline).await,
                None => Err(AskError::NotConnected),
            };
            Done::Groups(request, groups)
        });
    }

    /// Sends an assertion to WhatsApp, or says that the codes are the same.
    pub(super) fn send_passkey(&self, request: Option<Request>, assertion: Option<Assertion>) {
        let asked = request.and_then(|request| self.asked.get(&request));
        let deadline = match asked {
            Some(SessionCommand::Passkey { deadline, .. }) => *deadline,
            _ => Deadline::within(OPEN_WITHIN),
        };
        let handle = self.link.as_ref().map(|link| link.handle().clone());
        self.run(async move {
            let taken = match (handle, assertion) {
                (Some(handle), Some(assertion)) => handle.answer_passkey(assertion, deadline).await,
                (Some(handle), None) => handle.confirm_passkey(deadline).await,
                (None, _) => Err(AskError::NotConnected),
            };
            Done::Passkey(request, taken)
        });
    }

    pub(super) fn unlink(&mut self, paired: bool, full_handshake: bool, within: Duration) {
        let link = self.forget_link();
        let record = self.machine.record();
        let unlinking = Unlinking {
            gateway: self.gateway(),
            user: self.context.user.clone(),
            devices: self.context.devices.clone(),
            credentials: self.context.store.credentials(&self.context.user),
            span: self.context.span.clone(),
            work: self.context.work.clone(),
            // Of a record that does not open the account is not known, and the time is.
            was_paired: record.account.is_some() || record.linked_at.is_some(),
            full_handshake,
            deadline: Deadline::within(within),
        };
        self.run(async move {
            let (unlinked, link) = if paired {
                unlinking.unlink(link).await
            } else {
                unlink_if_paired_just_now(unlinking, link).await
            };
            Done::Unlinked(unlinked, link)
        });
    }

    // ---- the disk -------------------------------------------------------------------------------

    pub(super) fn save(&self, record: Record) {
        let (store, user) = (self.context.store.clone(), self.context.user.clone());
        let work = self.context.work.clone();
        self.run(async move {
            let saved = work.on_disk(move || store.save(&user, &record)).await;
            if let Err(error) = &saved {
                // A person sees it, and it is written again by itself.
                tracing::error!(
                    message_id = message_id::STORE_FAILED,
                    "the session's record could not be written: {error}"
                );
            }
            Done::Saved(saved.map_err(|e| e.to_string()))
        });
    }

    pub(super) fn look(&self) {
        let (store, user) = (self.context.store.clone(), self.context.user.clone());
        let work = self.context.work.clone();
        self.run(async move { Done::Looked(look(&store, &user, &work).await) });
    }

    pub(super) fn remove(&mut self, intent: Box<Intent>) {
        let removal = self
            .removal
            .take()
            .unwrap_or_else(|| self.context.store.removal(&self.context.user));
        let history = Arc::clone(&self.context.history);
        let work = self.context.work.clone();
        self.run(async move {
            let (removal, removed) = work.see_through(remove(removal, intent, history)).await;
            Done::Removed(removal, removed)
        });
    }
}

/// The account of a pairing. One that names no account is none.
fn named(account: Option<Account>) -> Option<Account> {
    account.filter(|account| account.phone != "+")
}

/// A session that waits for its turn.
struct InLine {
    gate: Gate,
    /// How long it waits before it asks.
    after: Duration,
    was_online_for: Duration,
}

/// Waits for the session's turn, or until somebody is in a hurry.
async fn wait_for_turn(in_line: InLine, hurry: CancellationToken) -> Option<Turn> {
    let waits = async move {
        if !in_line.after.is_zero() {
            sleep(in_line.after).await;
        }
        in_line.gate.turn(in_line.was_online_for).await
    };
    hurry.run_until_cancelled(waits).await
}

/// Does some work, and keeps its turn meanwhile, but no longer than a turn may last: work that hangs must not
/// hold up the other sessions.
async fn in_turn<T>(turn: Option<Turn>, work: impl Future<Output = T>) -> (T, Option<Turn>) {
    let mut work = pin!(work);
    let Some(turn) = turn else {
        return (work.await, None);
    };
    tokio::select! {
        biased;
        done = &mut work => return (done, Some(turn)),
        () = sleep(LONGEST_TURN) => drop(turn),
    }
    (work.await, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_opening_that_hangs_gives_its_turn_back() {
        let gate = Gate::new(1);
        let turn = gate.turn(Duration::ZERO).await;
        let mut hangs = pin!(in_turn(Some(turn), sleep(LONGEST_TURN * 3)));
        let mut next = pin!(gate.turn(Duration::ZERO));
        let early = tokio::time::timeout(LONGEST_TURN / 2, &mut hangs).await;
        assert!(early.is_err() && next.as_mut().now_or_never().is_none());
        let early = tokio::time::timeout(LONGEST_TURN, &mut hangs).await;
        assert!(early.is_err());
        let turn = next.as_mut().now_or_never().expect("at once");
        assert!(hangs.await.1.is_none());
        assert!(in_turn(Some(turn), async {}).await.1.is_some());
    }
}
