//! How a session's task begins: what is on the disk decides.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{sleep, timeout};

use super::restore;
use crate::deadline::Deadline;
use crate::protocol::{Cause, Failure, FailureCode, HistoryEntry};
use crate::session::{
    LOGIN_MAY_BE_OPEN, Origin, Outcome, PairOptions, Past, SessionContext, SessionEnd, Standing,
    log_proxy, look, look_further, run,
};
use crate::store::{Found, Record};

/// After this time a warning says that the work of the earlier task is not over.
const WARN_AFTER: Duration = Duration::from_secs(5);

/// How many of a user's last sessions are looked at when another one begins.
const PAST: usize = 100;

const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// How long the first look at a stored session may take. Then it has a status that says so, before the
/// daemon's start gives up waiting for its first status, and is looked at again.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Why a session's task is started.
pub(super) enum Birth {
    /// Somebody said `connect`, and no task runs.
    Connect { owner: u32, options: PairOptions },
    /// It was on the disk when the daemon started.
    Restored {
        /// What the start has read of it; `None`: nothing that can be used.
        found: Option<Found>,
    },
    /// Its task failed.
    Failed {
        error: String,
        wait: Duration,
        /// Whether the task failed before it had published a status.
        unpublished: bool,
    },
}

/// How a session's task ended.
pub(super) enum TaskExit {
    /// The session ran.
    Ran(Outcome),
    /// There was nothing on the disk, and nobody said `connect`. With the line of the logout that the earlier
    /// task had begun, if there was one.
    NothingOnDisk(SessionContext, Option<Box<HistoryEntry>>),
    /// The session could not begin.
    CouldNotStart(SessionContext, Failure),
}

/// Looks at the disk, and runs the session.
pub(super) async fn run_session(mut context: SessionContext, mut birth: Birth) -> TaskExit {
    if let Birth::Failed {
        wait: pause,
        unpublished: true,
        ..
    } = &birth
    {
        wait(&mut context, *pause).await;
    }
    let mut entry = None;
    if matches!(birth, Birth::Failed { .. }) {
        wait_for_earlier_work(&context).await;
        entry = finish_purge(&context).await;
    }
    let mut standing = first_look(&context, &mut birth).await;
    match &mut standing {
        Standing::Nothing => drop(tidy(&context, None).await),
        Standing::Session { record, .. } => {
            if let Some(tidied) = tidy(&context, Some(record.clone())).await {
                *record = tidied;
            }
        }
        Standing::Unusable { .. } | Standing::Unavailable { .. } => {}
    }
    if let Standing::Session { record, .. } = &standing
        && let Some(account) = &record.account
    {
        // Where another session has the device, this one learns it before it connects.
        let _ = context.devices.claim(&account.jid, &context.user);
    }
    let (record, origin) = match (standing, birth) {
        (Standing::Nothing, Birth::Connect { owner, options }) => {
            return begin_new(context, owner, options).await;
        }
        (Standing::Nothing, _) => return TaskExit::NothingOnDisk(context, entry.map(Box::new)),
        (Standing::Unavailable { why, .. }, Birth::Connect { .. }) => {
            let message = format!(
                "the session of {} cannot be read now: {why}. Try again",
                context.user
            );
            let failure = Failure::new(FailureCode::StoreFailed, message);
            return TaskExit::CouldNotStart(context, failure);
        }
        (Standing::Unavailable { record, why }, _) => {
            let record = record.map_or_else(Record::stand_in, |record| *record);
            (record, Origin::Unavailable(why))
        }
        (Standing::Unusable { record, why }, _) => {
            let record = match record {
                Some(record) => *record,
                None => stand_in(&context).await,
            };
            (record, Origin::Unusable(why))
        }
        (Standing::Session { record, paired }, Birth::Failed { error, wait, .. }) => {
            let origin = Origin::Failed {
                paired,
                error,
                wait,
                past: past(&context, record.owner),
            };
            (*record, origin)
        }
        (Standing::Session { mut record, paired }, birth) => {
            if matches!(birth, Birth::Restored { .. }) && context.store.was_left_by_a_crash() {
                // Nobody knows which logins the crash has cut off.
                record.login_open_until = context.clock.now().checked_add(LOGIN_MAY_BE_OPEN).ok();
            }
            (*record, Origin::Stored { paired })
        }
    };
    let outcome = run(context, record, origin).await;
    match outcome.ended {
        // Callers that wait for an answer learn that the session is gone, and ask again.
        SessionEnd::NothingOnDisk(context) => TaskExit::NothingOnDisk(*context, None),
        _ => TaskExit::Ran(outcome),
    }
}

/// Looks at the disk, for a stored session only for a while.
async fn first_look(context: &SessionContext, birth: &mut Birth) -> Standing {
    let (store, user, work) = (&context.store, &context.user, &context.work);
    let deadline = Deadline::within(LOOK_WITHIN);
    let in_time = match birth {
        // Whoever asks has a deadline of their own.
        Birth::Connect { .. } => return look(store, user, work).await,
        Birth::Restored { found } => match found.take() {
            Some(found) => {
                let rest = look_further(store, user, work, Ok(found));
                deadline.limit(rest).await
            }
            None => deadline.limit(look(store, user, work)).await,
        },
        Birth::Failed { .. } => deadline.limit(look(store, user, work)).await,
    };
    in_time.unwrap_or_else(|| Standing::Unavailable {
        record: None,
        why: format!(
            "{} has not answered within {} s",
            context.store.session_dir(&context.user).display(),
            LOOK_WITHIN.as_secs()
        ),
    })
}

/// What stands for a record that cannot be used.
async fn stand_in(context: &SessionContext) -> Record {
    let (store, user) = (context.store.clone(), context.user.clone());
    context.work.on_disk(move || store.stand_in(&user)).await
}

/// Clears away files that a crash left beside the record, and a directory that never got one. Seals what the
/// record has in clear, and returns the record.
async fn tidy(context: &SessionContext, record: Option<Box<Record>>) -> Option<Box<Record>> {
    let (store, user) = (context.store.clone(), context.user.clone());
    let tidy = move || {
        let mut record = record;
        store.tidy(&user, record.as_deref_mut());
        record
    };
    context.work.on_disk(tidy).await
}

/// Waits before a task begins again that failed before its first status. Without the wait it would fail as
/// fast as it can begin, at everybody's cost. A command ends the wait. A task that had published a status
/// waits in phase `backing_off`.
async fn wait(context: &mut SessionContext, pause: Duration) {
    tokio::select! {
        () = sleep(pause) => {}
        () = context.stop.cancelled() => {}
        command = context.commands.recv() => context.early = command,
    }
}

async fn begin_new(context: SessionContext, owner: u32, options: PairOptions) -> TaskExit {
    let mut record = Record::new(owner);
    record.user = Some(context.user.clone());
    record.expect.clone_from(&options.expect);
    record.proxy.clone_from(&options.proxy);
    let (store, user, written) = (context.store.clone(), context.user.clone(), record.clone());
    let created = context.work.on_disk(move || store.create(&user, &written));
    let why = match created.await {
        Ok(()) => {
            if record.proxy.is_some() {
                log_proxy(owner, &context.gateway.proxy_of(record.proxy.as_ref()));
            }
            let past = past(&context, owner);
            return TaskExit::Ran(run(context, record, Origin::New { options, past }).await);
        }
        Err(e) => e.to_string(),
    };
    let message = format!("the session of {} could not be made: {why}", context.user);
    TaskExit::CouldNotStart(context, Failure::new(FailureCode::StoreFailed, message))
}

/// What the history knows of the user, as far as the owner of the new session may know it.
fn past(context: &SessionContext, owner: u32) -> Past {
    let history = context.history.read();
    let entries = history.select(None, Some(&context.user), (owner != 0).then_some(owner));
    past_of(entries.map(|(_, entry)| entry), context.clock.now())
}

/// What these lines of the history, the newest first, say of their user.
fn past_of<'a>(entries: impl Iterator<Item = &'a HistoryEntry>, now: Timestamp) -> Past {
    let mut past = Past::default();
    for entry in entries.take(PAST) {
        // An account that was linked by mistake, or whose pairing was broken off, was never the user's.
        let was_the_users = entry.cause != Cause::WrongAccount && !entry.ends_a_pairing();
        if past.account.is_none() && was_the_users {
            past.account.clone_from(&entry.account);
        }
        let is_recent = now.duration_since(entry.at) <= A_DAY;
        if is_recent && entry.removed_soon().is_some() {
            past.removed_soon += 1;
        }
    }
    past
}

/// Waits until the uncancellable work of the earlier task is over, such as an opening of the credentials or
/// a rename. The next task must not run at the same time. A disk that hangs holds up its own user only, and
/// commands are answered at their deadlines.
async fn wait_for_earlier_work(context: &SessionContext) {
    if timeout(WARN_AFTER, context.work.gone()).await.is_err() {
        tracing::warn!(
            "the work of the session's earlier task is not over yet, a disk may be hanging"
        );
        context.work.gone().await;
    }
}

/// Finishes a purge in the middle of which the earlier task failed, if it had renamed the session. Returns
/// the line for the history, if there is one.
async fn finish_purge(context: &SessionContext) -> Option<HistoryEntry> {
    let (store, user) = (context.store.clone(), context.user.clone());
    let history = Arc::clone(&context.history);
    let work = context.work.see_through(async move {
        let disk = store.disk().clone();
        let left = disk.run(move || store.unfinished(&user)).await;
        let newest = left.last().and_then(|left| left.entry.clone());
        (newest, restore::finish(left, &history).await)
    });
    let (entry, unfinished) = work.await;
    // The end of the session is published without this.
    tokio::spawn(restore::keep_finishing(
        restore::Unfinished::failed(unfinished),
        Arc::clone(&context.history),
        |_| (),
    ));
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Account;
    use crate::protocol::fixtures::bare_entry;

    fn ended(cause: Cause, hours_ago: i64, phone: &str, linked_for: Option<i64>) -> HistoryEntry {
        let at = Timestamp::UNIX_EPOCH - SignedDuration::from_hours(hours_ago);
        HistoryEntry {
            at,
            account: (!phone.is_empty()).then(|| Account {
                jid: String::new(),
                phone: phone.to_owned(),
                name: None,
            }),
            linked_at: linked_for.map(|seconds| at - SignedDuration::from_secs(seconds)),
            ..bare_entry("alice", cause)
        }
    }

    #[test]
    fn the_last_account_is_the_last_one_that_was_the_users() {
        let entries = [
            ended(Cause::PairingExpired, 1, "", None),
            ended(Cause::WrongAccount, 2, "+3", None),
            ended(Cause::PairingAbandoned, 2, "+4", None),
            ended(Cause::Unlinked, 3, "+2", None),
            ended(Cause::Unlinked, 4, "+1", None),
        ];
        let past = past_of(entries.iter(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            past.account.map(|account| account.phone).as_deref(),
            Some("+2")
        );
        assert_eq!(past.removed_soon, 0);
        assert_eq!(past_of([].iter(), Timestamp::UNIX_EPOCH), Past::default());
    }

    #[test]
    fn what_whatsapp_removed_soon_counts_for_a_day() {
        let entries = [
            ended(Cause::Unlinked, 1, "+1", Some(12)),
            ended(Cause::LoggedOut, 2, "+1", Some(120)),
            ended(Cause::Unlinked, 3, "+1", Some(121)),
            ended(Cause::ForceLogout, 4, "+1", Some(12)),
            ended(Cause::Unlinked, 23, "+1", Some(0)),
            ended(Cause::Unlinked, 25, "+1", Some(12)),
        ];
        let past = past_of(entries.iter(), Timestamp::UNIX_EPOCH);
        assert_eq!(past.removed_soon, 3);
    }
}
