//! Commands as they come from a client: checked, routed, awaited within their deadlines.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::actor::{Absent, Delivery, Order};
use super::refusal::not_found;
use super::{Caller, Supervisor, page};
use crate::protocol::{
    Answer, Command, DEFAULT_HISTORY, Failure, FailureCode, Group, HistoryPage, LogoutReport,
    MAX_GROUPS, MAX_HISTORY, MAX_PAGE, PhoneNumber, SessionsPage, Status, TargetEdit, UserId,
};
use crate::session::{SessionCommand, Stopped};

/// A link that is asked to close says goodbye for up to three seconds and ends within five more.
const DISCONNECT: Duration = Duration::from_secs(15);
/// A pair code takes a connection and two answers.
const CONNECT: Duration = Duration::from_secs(45);
/// WhatsApp has 20 seconds to answer.
const GROUPS: Duration = Duration::from_secs(25);
/// How long a logout may take after its task was ended by force.
const AFTER_ESCALATION: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Does what a client asks. What was begun goes on when the caller no longer waits.
    ///
    /// `ping`, `info`, `reload` and `watch` concern the daemon and the connection, not sessions; they
    /// are refused here.
    ///
    /// # Errors
    /// A [`Failure`] for the client.
    pub async fn execute(&self, caller: Caller, command: Command) -> Result<Answer, Failure> {
        match command {
            Command::Connect { user, phone } => {
                let phone = phone.map(PhoneNumber::try_from).transpose();
                let phone = phone.map_err(|e| invalid(e.to_string()))?;
                let status = self.connect(caller, user_id(user)?, phone).await?;
                Ok(Answer::Status(Box::new(status)))
            }
            Command::Disconnect { user } => self.disconnect(caller, user_id(user)?).await,
            Command::ForceLogout { user } => {
                let report = self.force_logout(caller, user_id(user)?).await?;
                Ok(Answer::LoggedOut(Box::new(report)))
            }
            Command::Groups { user } => self.groups(caller, user_id(user)?).await,
            Command::Targets { user, edit } => self.targets(caller, user_id(user)?, edit).await,
            command => self.look_up(caller, command),
        }
    }

    /// [`Supervisor::execute`] for what is answered from memory at once: `status`, `list` and
    /// `history`. Everything else is refused here.
    ///
    /// # Errors
    /// A [`Failure`] for the client.
    pub fn look_up(&self, caller: Caller, command: Command) -> Result<Answer, Failure> {
        match command {
            Command::Status { user } => {
                let status = self.status(caller, &user_id(user)?)?;
                Ok(Answer::Status(Box::new(status)))
            }
            Command::List { after } => self.list(caller, after),
            Command::History {
                user,
                limit,
                before,
            } => self.history(caller, user, limit, before.as_deref()),
            _ => Err(Failure::new(
                FailureCode::Internal,
                "this is no command for a session",
            )),
        }
    }

    /// The first of these users who has a session that the caller may not see. For the log: nobody who
    /// may not see it may be told.
    #[must_use]
    pub fn hidden(&self, caller: Caller, users: &[String]) -> Option<UserId> {
        let users = users.iter().filter_map(|user| user.parse().ok());
        self.shared.board.hidden(caller, users)
    }

    async fn connect(
        &self,
        caller: Caller,
        user: UserId,
        phone: Option<PhoneNumber>,
    ) -> Result<Status, Failure> {
        let (reply, answer) = oneshot::channel();
        let absent = Absent::Begin {
            phone: phone.clone(),
        };
        let command = SessionCommand::Connect { phone, reply };
        self.deliver(Delivery {
            user: user.clone(),
            caller,
            command,
            absent,
        })
        .await?;
        match timeout(CONNECT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(task_failed(&user)),
            // It goes on connecting; what it is doing now is the answer.
            Err(_) => self.status(caller, &user),
        }
    }

    async fn disconnect(&self, caller: Caller, user: UserId) -> Result<Answer, Failure> {
        let command = |reply| SessionCommand::Disconnect {
            by: caller.uid,
            reply,
        };
        Ok(match self.ask(caller, user, DISCONNECT, command).await? {
            Stopped::Kept(status) => Answer::Status(status),
            Stopped::Gone(report) => Answer::LoggedOut(report),
        })
    }

    /// Always ends with nothing left, or with an error that says what is left and why. A task that
    /// does not answer in time is ended, and a new one does it.
    async fn force_logout(&self, caller: Caller, user: UserId) -> Result<LogoutReport, Failure> {
        let deadline = self.shared.settings.borrow().logout_deadline;
        let command = |reply| SessionCommand::ForceLogout {
            by: caller.uid,
            reply,
        };
        let (reply, answer) = oneshot::channel();
        let delivery = Delivery {
            user: user.clone(),
            caller,
            command: command(reply),
            absent: Absent::NotFound,
        };
        self.deliver(delivery).await?;
        let hangs = match timeout(deadline, answer).await {
            Ok(Ok(answer)) => return answer,
            // It failed before it could answer; another task is at it already.
            Ok(Err(_)) => false,
            Err(_) => true,
        };
        let (reply, answer) = oneshot::channel();
        let delivery = Delivery {
            user: user.clone(),
            caller,
            command: command(reply),
            absent: Absent::NotFound,
        };
        let order = if hangs {
            Order::Escalate(delivery)
        } else {
            Order::Deliver(delivery)
        };
        self.shared
            .orders
            .send(order)
            .await
            .map_err(|_| Self::stopping())?;
        match timeout(AFTER_ESCALATION, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(task_failed(&user)),
            Err(_) => Err(too_late(
                &user,
                "its removal goes on; `wactl status` tells what is left",
            )),
        }
    }

    fn status(&self, caller: Caller, user: &UserId) -> Result<Status, Failure> {
        let status = self.shared.board.get(user);
        status
            .filter(|status| caller.may_see(status.owner))
            .ok_or_else(|| not_found(&self.shared, user, caller))
    }

    fn list(&self, caller: Caller, after: Option<String>) -> Result<Answer, Failure> {
        let after = after.map(user_id).transpose()?;
        let sessions = self.shared.board.visible(caller, after.as_ref());
        let shown = sessions
            .into_iter()
            .map(|status| Arc::unwrap_or_clone(status).without_secrets());
        let (sessions, more) = page::fill(shown, usize::MAX, MAX_PAGE);
        let last = sessions.last().filter(|_| more);
        let next = last.map(|status| status.user.clone());
        Ok(Answer::Sessions(SessionsPage { sessions, next }))
    }

    fn history(
        &self,
        caller: Caller,
        user: Option<String>,
        limit: Option<u32>,
        before: Option<&str>,
    ) -> Result<Answer, Failure> {
        let user = user.map(user_id).transpose()?;
        let limit = limit.unwrap_or(DEFAULT_HISTORY).min(MAX_HISTORY);
        if limit == 0 {
            return Ok(Answer::History(HistoryPage {
                entries: Vec::new(),
                next: None,
            }));
        }
        let history = self.shared.history.read();
        let owner = (!caller.sees_all).then_some(caller.uid);
        let entries = history.select(before, user.as_ref(), owner);
        let (page, more) = page::fill(entries, limit as usize, MAX_PAGE);
        let last = page.last().filter(|_| more);
        Ok(Answer::History(HistoryPage {
            next: last.map(|(id, _)| (*id).to_owned()),
            entries: page.into_iter().map(|(_, entry)| entry.clone()).collect(),
        }))
    }

    async fn groups(&self, caller: Caller, user: UserId) -> Result<Answer, Failure> {
        let command = |reply| SessionCommand::Groups { reply };
        let groups = self.ask(caller, user.clone(), GROUPS, command).await?;
        groups_answer(&user, groups)
    }

    async fn targets(
        &self,
        caller: Caller,
        user: UserId,
        edit: TargetEdit,
    ) -> Result<Answer, Failure> {
        let command = |reply| SessionCommand::Targets { edit, reply };
        let targets = self.ask(caller, user, GROUPS, command).await?;
        Ok(Answer::Targets(targets))
    }

    /// Delivers a command to a session that must be there, and waits for its reply.
    async fn ask<T>(
        &self,
        caller: Caller,
        user: UserId,
        within: Duration,
        command: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> SessionCommand,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let command = command(reply);
        self.deliver(Delivery {
            user: user.clone(),
            caller,
            command,
            absent: Absent::NotFound,
        })
        .await?;
        match timeout(within, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(task_failed(&user)),
            Err(_) => Err(too_late(
                &user,
                "what was begun goes on; `wactl status` tells how it stands",
            )),
        }
    }

    async fn deliver(&self, delivery: Delivery) -> Result<(), Failure> {
        let order = Order::Deliver(delivery);
        self.shared
            .orders
            .send(order)
            .await
            .map_err(|_| Self::stopping())
    }
}

/// Reads a user id as it came over the socket.
pub(super) fn user_id(user: String) -> Result<UserId, Failure> {
    UserId::try_from(user).map_err(|e| Failure::new(FailureCode::InvalidUser, e.to_string()))
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureCode::InvalidArgument, message)
}

fn task_failed(user: &UserId) -> Failure {
    let message = format!(
        "the task of the session of {user} failed before it answered; it begins again by itself, and `wactl status {user}` tells how it stands"
    );
    Failure::new(FailureCode::Internal, message)
}

fn too_late(user: &UserId, and: &str) -> Failure {
    let message = format!("the session of {user} did not answer in time; {and}");
    Failure::new(FailureCode::DeadlineExceeded, message)
}

fn groups_answer(user: &UserId, groups: Vec<Group>) -> Result<Answer, Failure> {
    let groups: Vec<_> = groups.into_iter().map(Group::bounded).collect();
    let size = page::json_len(&groups);
    if size > MAX_GROUPS {
        let message = format!(
            "the account of {user} is in {} groups: a list of {size} bytes, more than the {MAX_GROUPS} that fit into one answer. Target groups can be added by their JIDs all the same",
            groups.len()
        );
        return Err(Failure::new(FailureCode::TooLarge, message));
    }
    Ok(Answer::Groups(groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::codec::Encoding;
    use crate::protocol::{MAX_FRAME, Message, Reply};

    fn groups(count: usize, subject: &str) -> Vec<Group> {
        let group = |n| Group {
            jid: format!("1203630123456{n:05}@g.us").parse().expect("a JID"),
            subject: subject.to_owned(),
            size: 1024,
        };
        (0..count).map(group).collect()
    }

    /// An account of a few thousand groups with the longest subjects that WhatsApp takes is answered;
    /// whatever is answered fits into a frame.
    #[test]
    fn groups_that_do_not_fit_into_a_frame_are_a_failure_that_says_so() {
        let user = "alice".parse().expect("a user id");
        let ordinary = "A family with a name of usual length";
        for (count, subject) in [(0, ""), (5000, ordinary), (3000, &"ä".repeat(100))] {
            let answer = groups_answer(&user, groups(count, subject)).expect("it fits");
            let result = Ok(answer);
            let message = Message::Reply(Reply {
                id: u64::MAX,
                result,
            });
            for encoding in [Encoding::Json, Encoding::Bincode] {
                let frame = encoding.encode(&message).expect("it fits into a frame");
                assert!(frame.len() <= MAX_FRAME);
            }
        }
        for (count, subject) in [(50_000, ordinary), (400, &"\u{1}".repeat(MAX_FRAME))] {
            let failure = groups_answer(&user, groups(count, subject)).expect_err("too many");
            assert_eq!(failure.code, FailureCode::TooLarge);
            assert!(
                failure.message.contains(&format!("in {count} groups")),
                "{failure}"
            );
        }
    }
}
