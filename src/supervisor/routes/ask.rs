//! Sends commands to sessions, and waits for the replies within the deadlines. A `force-logout` ends a
//! task that does not answer, and the next task carries it out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::oneshot;

use super::super::caller::Caller;
use super::super::narration;
use super::{AfterTask, Begin, COMMANDS, Handed, Order, Route, Routes, not_found, stopping};
use crate::deadline::Deadline;
use crate::protocol::{
    Failure, FailureCode, Group, GroupJid, HistoryEntry, LogoutReport, PasskeyAction, ProxyEdit,
    SessionProxy, Status, TargetEdit, UserId,
};
use crate::session::{Disconnected, PairOptions, PasskeyReply, SessionCommand, report};

/// A link that is asked to close says goodbye for up to three seconds and ends within five more.
const DISCONNECT: Duration = Duration::from_secs(15);
/// A pair code takes a connection and two answers.
const CONNECT: Duration = Duration::from_secs(45);
/// WhatsApp has 20 seconds to answer.
const GROUPS: Duration = Duration::from_secs(25);
/// WhatsApp has 20 seconds to take it.
const PASSKEY: Duration = Duration::from_secs(25);
/// The record is written; a logout may be under way before.
const PROXY: Duration = Duration::from_secs(15);
/// How long after the deadline a task counts as not answering at all.
const OVERDUE: Duration = Duration::from_secs(1);
/// How long a logout may take after its task was ended by force.
const AFTER_FORCE: Duration = Duration::from_secs(10);
/// How long a task that has dropped a command may take to end.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// Whose session is asked, and by whom.
#[derive(Clone, Copy)]
struct Asked<'a> {
    caller: Caller,
    user: &'a UserId,
    verb: Verb,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// Where there is no session, one begins.
    Connect,
    /// The answer is that the session is gone.
    ForceLogout,
    /// A command to a session that must be there.
    Other,
}

/// The outcome of a command.
enum Outcome<T> {
    /// Its answer.
    Answered(Result<T, Failure>),
    /// The session ended before it carried out the command; with its line in the history, if it has one.
    Gone(Option<Arc<HistoryEntry>>),
    /// The task failed before it answered; with the task that runs the session now, if there is one.
    Failed(Option<Arc<Route>>),
    /// The task did not answer in time.
    Silent(Arc<Route>),
}

type Reply<T> = oneshot::Sender<Result<T, Failure>>;

impl Routes {
    /// Brings a session up. `None`: the session goes on connecting, or has ended again, and the caller answers
    /// with the present status.
    pub(in super::super) async fn connect(
        &self,
        caller: Caller,
        user: &UserId,
        options: PairOptions,
    ) -> Result<Option<Status>, Failure> {
        let asked = Asked {
            caller,
            user,
            verb: Verb::Connect,
        };
        let command = |reply| SessionCommand::Connect {
            options: options.clone(),
            reply,
        };
        let deadline = Deadline::within(CONNECT);
        match self.ask(asked, deadline, command).await? {
            Outcome::Answered(answer) => answer.map(Some),
            Outcome::Failed(_) => Err(task_failed(user)),
            Outcome::Gone(_) | Outcome::Silent(_) => Ok(None),
        }
    }

    pub(in super::super) async fn disconnect(
        &self,
        caller: Caller,
        user: UserId,
    ) -> Result<Disconnected, Failure> {
        let command = |reply| SessionCommand::Disconnect {
            by: caller.uid,
            reply,
        };
        let deadline = Deadline::within(DISCONNECT);
        self.ask_present(caller, &user, deadline, command).await
    }

    pub(in super::super) async fn passkey(
        &self,
        caller: Caller,
        user: &UserId,
        action: PasskeyAction,
    ) -> Result<PasskeyReply, Failure> {
        let deadline = Deadline::within(PASSKEY);
        let command = |reply| SessionCommand::Passkey {
            action: action.clone(),
            deadline,
            reply,
        };
        self.ask_present(caller, user, deadline, command).await
    }

    pub(in super::super) async fn groups(
        &self,
        caller: Caller,
        user: &UserId,
    ) -> Result<Vec<Group>, Failure> {
        let deadline = Deadline::within(GROUPS);
        let command = |reply| SessionCommand::Groups { deadline, reply };
        self.ask_present(caller, user, deadline, command).await
    }

    pub(in super::super) async fn targets(
        &self,
        caller: Caller,
        user: UserId,
        edit: TargetEdit,
    ) -> Result<Vec<GroupJid>, Failure> {
        let deadline = Deadline::within(GROUPS);
        let command = |reply| SessionCommand::Targets {
            edit: edit.clone(),
            deadline,
            reply,
        };
        self.ask_present(caller, &user, deadline, command).await
    }

    pub(in super::super) async fn proxy(
        &self,
        caller: Caller,
        user: &UserId,
        edit: ProxyEdit,
    ) -> Result<SessionProxy, Failure> {
        let command = |reply| SessionCommand::Proxy {
            by: caller.uid,
            edit: edit.clone(),
            reply,
        };
        let deadline = Deadline::within(PROXY);
        self.ask_present(caller, user, deadline, command).await
    }

    /// Logs a session out. Always ends with nothing left, or with a failure that says what is left and why. A
    /// task that does not answer is ended by force, and the next task carries out the logout.
    pub(in super::super) async fn force_logout(
        &self,
        caller: Caller,
        user: UserId,
    ) -> Result<LogoutReport, Failure> {
        let asked = Asked {
            caller,
            user: &user,
            verb: Verb::ForceLogout,
        };
        let command = |deadline| {
            move |reply| SessionCommand::ForceLogout {
                by: caller.uid,
                deadline,
                reply,
            }
        };
        let deadline = Deadline::within(self.settings.borrow().logout_deadline);
        let next = match self.ask(asked, deadline, command(deadline)).await? {
            Outcome::Answered(answer) => return answer,
            Outcome::Gone(Some(end)) => return Ok(report((*end).clone())),
            Outcome::Gone(None) => None,
            // It failed before it could answer; another task is at it already.
            Outcome::Failed(next) => next,
            Outcome::Silent(route) => {
                narration::hung(&user);
                route.task.abort();
                match Deadline::within(AFTER_FORCE).limit(route.end.wait()).await {
                    Some(AfterTask::Failed(next)) => Some(Arc::clone(next)),
                    Some(AfterTask::Gone(Some(end))) => return Ok(report((**end).clone())),
                    Some(AfterTask::Gone(None)) => None,
                    None => return Err(removal_goes_on(&user)),
                }
            }
        };
        let deadline = Deadline::within(AFTER_FORCE);
        let (reply, answer) = oneshot::channel();
        let command = command(deadline)(reply);
        let handed = match next {
            Some(route) => route.hand(command),
            None => self.hand(asked, command).await?,
        };
        match self.outcome(asked, handed, answer, deadline).await? {
            Outcome::Answered(answer) => answer,
            Outcome::Gone(Some(end)) => Ok(report((*end).clone())),
            Outcome::Gone(None) => Err(not_found(&self.history, &user, caller)),
            Outcome::Failed(_) => Err(task_failed(&user)),
            Outcome::Silent(_) => Err(removal_goes_on(&user)),
        }
    }

    /// Sends a command to a session that must be there, and waits for the reply.
    async fn ask_present<T>(
        &self,
        caller: Caller,
        user: &UserId,
        deadline: Deadline,
        command: impl Fn(Reply<T>) -> SessionCommand,
    ) -> Result<T, Failure> {
        let asked = Asked {
            caller,
            user,
            verb: Verb::Other,
        };
        match self.ask(asked, deadline, command).await? {
            Outcome::Answered(answer) => answer,
            Outcome::Failed(_) => Err(task_failed(user)),
            Outcome::Gone(_) | Outcome::Silent(_) => Err(too_late(user)),
        }
    }

    /// Sends a command to the user's session, and waits for the outcome. When the session ends before it
    /// carries out the command, the command is sent again: it concerns the user, not the session.
    async fn ask<T>(
        &self,
        asked: Asked<'_>,
        deadline: Deadline,
        command: impl Fn(Reply<T>) -> SessionCommand,
    ) -> Result<Outcome<T>, Failure> {
        loop {
            let (reply, answer) = oneshot::channel();
            let handed = self.hand(asked, command(reply)).await?;
            let outcome = self.outcome(asked, handed, answer, deadline).await?;
            match &outcome {
                Outcome::Gone(Some(_)) if asked.verb == Verb::ForceLogout => return Ok(outcome),
                Outcome::Gone(_) if !deadline.is_over() => {}
                _ => return Ok(outcome),
            }
        }
    }

    /// Hands a command to the user's session, or to the registry, where a session is to begin.
    async fn hand(&self, asked: Asked<'_>, command: SessionCommand) -> Result<Handed, Failure> {
        let Asked { caller, user, verb } = asked;
        let handed = self.give(caller, user, command);
        let Handed::Nobody(command) = handed else {
            return Ok(handed);
        };
        if verb != Verb::Connect {
            return Err(not_found(&self.history, user, caller));
        }
        let (reply, handed) = oneshot::channel();
        let begin = Order::Begin(Box::new(Begin {
            caller,
            user: user.clone(),
            command,
            reply,
        }));
        let sent = self.orders.send(begin).await;
        sent.map_err(|_| stopping())?;
        handed.await.map_err(|_| stopping())
    }

    /// Waits for the outcome of a command that was handed over.
    async fn outcome<T>(
        &self,
        asked: Asked<'_>,
        handed: Handed,
        answer: oneshot::Receiver<Result<T, Failure>>,
        deadline: Deadline,
    ) -> Result<Outcome<T>, Failure> {
        let patience = Deadline::within(deadline.left() + OVERDUE);
        let mut handed = handed;
        let route = loop {
            let (route, command) = match handed {
                Handed::Taken(route) => break route,
                Handed::Refused(failure) => return Err(failure),
                Handed::Nobody(_) => {
                    return Err(not_found(&self.history, asked.user, asked.caller));
                }
                Handed::Full(..) if asked.verb != Verb::ForceLogout => {
                    return Err(full(asked.user));
                }
                // The way out of everything is not refused because much else waits.
                Handed::Full(route, command) => {
                    match patience.limit(route.commands.send(command)).await {
                        Some(Ok(())) => break route,
                        Some(Err(SendError(command))) => (route, command),
                        None => return Ok(Outcome::Silent(route)),
                    }
                }
                Handed::Ending(route, command) => (route, command),
            };
            match patience.limit(route.end.wait()).await {
                Some(AfterTask::Failed(next)) => {
                    handed = Arc::clone(next).hand(command);
                }
                Some(AfterTask::Gone(end)) => return Ok(Outcome::Gone(end.clone())),
                None => return Ok(Outcome::Silent(route)),
            }
        };
        match patience.limit(answer).await {
            Some(Ok(answer)) => return Ok(Outcome::Answered(answer)),
            // The task dropped the command: it has ended, or is about to.
            Some(Err(_)) => {}
            None => return Ok(Outcome::Silent(route)),
        }
        let end = Deadline::within(LAST_MOMENTS).limit(route.end.wait()).await;
        Ok(match end {
            Some(AfterTask::Gone(end)) => Outcome::Gone(end.clone()),
            Some(AfterTask::Failed(next)) => Outcome::Failed(Some(Arc::clone(next))),
            None => Outcome::Failed(None),
        })
    }
}

fn task_failed(user: &UserId) -> Failure {
    let message = format!(
        "the task of the session of {user} failed before it answered; it begins again by itself, and `wactl status {user}` says how it is doing"
    );
    Failure::new(FailureCode::Internal, message)
}

fn full(user: &UserId) -> Failure {
    let message = format!(
        "{COMMANDS} commands already wait for the session of {user}, which does not take them: a disk may be hanging. `wactl force-logout {user}` ends it"
    );
    Failure::new(FailureCode::QuotaExceeded, message)
}

fn too_late(user: &UserId) -> Failure {
    overdue(
        user,
        "what was begun goes on; `wactl status` says how the session is doing",
    )
}

fn removal_goes_on(user: &UserId) -> Failure {
    overdue(
        user,
        "its removal goes on; `wactl status` says what is left",
    )
}

fn overdue(user: &UserId, and: &str) -> Failure {
    let message = format!("the session of {user} did not answer in time; {and}");
    Failure::new(FailureCode::DeadlineExceeded, message)
}
