//! Commands as they come from a client: checked, then answered from what is known, or by the session.

use std::sync::Arc;

use super::routes::not_found;
use super::views::{fill, json_len};
use super::{Caller, Supervisor};
use crate::protocol::{
    Answer, Command, DEFAULT_HISTORY, Failure, FailureCode, Group, HistoryPage, MAX_GROUPS,
    MAX_HISTORY, MAX_PAGE, PhoneNumber, SessionsPage, Status, UserId,
};
use crate::session::{Disconnected, PairOptions, PasskeyReply, parse_proxy};

/// No session is shorter than this as JSON.
const SHORTEST: usize = 200;

impl Supervisor {
    /// Carries out a client's command. What was begun goes on when the caller no longer waits.
    ///
    /// `ping`, `info`, `reload`, `rotate_key` and `watch` concern the daemon and the connection, not sessions;
    /// they are refused here.
    ///
    /// # Errors
    /// A [`Failure`] for the client.
    pub async fn execute(&self, caller: Caller, command: Command) -> Result<Answer, Failure> {
        match command {
            Command::Connect {
                user,
                phone,
                expect,
                proxy,
            } => {
                let number = |text: Option<String>| {
                    let number = text.map(PhoneNumber::try_from).transpose();
                    number.map_err(|e| invalid(e.to_string()))
                };
                let options = PairOptions {
                    phone: number(phone)?,
                    expect: number(expect)?,
                    proxy: proxy.as_ref().map(parse_proxy).transpose()?,
                };
                agree(&options)?;
                let user = user_id(user)?;
                let status = match self.shared.routes.connect(caller, &user, options).await? {
                    Some(status) => status,
                    None => self.status(caller, &user)?,
                };
                Ok(Answer::Status(Box::new(status)))
            }
            Command::Disconnect { user } => Ok(
                match self
                    .shared
                    .routes
                    .disconnect(caller, user_id(user)?)
                    .await?
                {
                    Disconnected::Kept(status) => Answer::Status(status),
                    Disconnected::Gone(report) => Answer::LoggedOut(report),
                },
            ),
            Command::ForceLogout { user } => {
                let report = self
                    .shared
                    .routes
                    .force_logout(caller, user_id(user)?)
                    .await?;
                Ok(Answer::LoggedOut(Box::new(report)))
            }
            Command::Groups { user } => {
                let user = user_id(user)?;
                let groups = self.shared.routes.groups(caller, &user).await?;
                groups_answer(&user, groups)
            }
            Command::Targets { user, edit } => {
                let targets = self
                    .shared
                    .routes
                    .targets(caller, user_id(user)?, edit)
                    .await?;
                Ok(Answer::Targets(targets))
            }
            Command::Passkey { user, action } => {
                let user = user_id(user)?;
                let reply = self.shared.routes.passkey(caller, &user, action).await?;
                Ok(match reply {
                    PasskeyReply::Challenge(challenge) => Answer::Passkey(*challenge),
                    PasskeyReply::Taken(status) => Answer::Status(status),
                })
            }
            Command::Proxy { user, edit } => {
                let user = user_id(user)?;
                let proxy = self.shared.routes.proxy(caller, &user, edit).await?;
                Ok(Answer::Proxy(proxy))
            }
            command => self.look_up(caller, command),
        }
    }

    /// [`Supervisor::execute`] for commands that are answered at once from memory: `status`, `list` and
    /// `history`. Every other command is refused here.
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

    /// The first of these users who has a session that the caller may not see. This is for the log; the
    /// caller must not learn it.
    #[must_use]
    pub fn hidden(&self, caller: Caller, users: &[String]) -> Option<UserId> {
        let users = users.iter().filter_map(|user| user.parse().ok());
        self.shared.board.hidden(caller, users)
    }

    pub(super) fn status(&self, caller: Caller, user: &UserId) -> Result<Status, Failure> {
        let status = self.shared.board.get(user);
        match status.filter(|status| caller.may_see(status.owner)) {
            Some(status) => Ok(Arc::unwrap_or_clone(status)),
            None => Err(not_found(&self.shared.history, user, caller)),
        }
    }

    fn list(&self, caller: Caller, after: Option<String>) -> Result<Answer, Failure> {
        let after = after.map(user_id).transpose()?;
        // One more than can fit, so that it is known whether more follow.
        let most = MAX_PAGE / SHORTEST + 1;
        let sessions = self.shared.board.visible(caller, after.as_ref(), most);
        let shown = sessions
            .into_iter()
            .map(|status| Arc::unwrap_or_clone(status).without_secrets());
        let (sessions, more) = fill(shown, usize::MAX, MAX_PAGE);
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
        let (page, more) = fill(entries, limit as usize, MAX_PAGE);
        let last = page.last().filter(|_| more);
        Ok(Answer::History(HistoryPage {
            next: last.map(|(id, _)| (*id).to_owned()),
            entries: page.into_iter().map(|(_, entry)| entry.clone()).collect(),
        }))
    }
}

/// Reads a user id as it came over the socket.
pub(super) fn user_id(user: String) -> Result<UserId, Failure> {
    UserId::try_from(user).map_err(|e| Failure::new(FailureCode::InvalidUser, e.to_string()))
}

/// A pair code for one number links no account of another.
fn agree(options: &PairOptions) -> Result<(), Failure> {
    match (&options.phone, &options.expect) {
        (Some(phone), Some(expected)) if phone != expected => Err(invalid(format!(
            "a pair code for {phone} cannot link {expected}, which is expected. Nothing was changed; name one number"
        ))),
        _ => Ok(()),
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureCode::InvalidArgument, message)
}

fn groups_answer(user: &UserId, groups: Vec<Group>) -> Result<Answer, Failure> {
    let groups: Vec<_> = groups.into_iter().map(Group::bounded).collect();
    let size = json_len(&groups);
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
    use crate::protocol::Phase;
    use crate::protocol::codec::Encoding;
    use crate::protocol::fixtures::bare_status;
    use crate::protocol::{MAX_FRAME, Message, Reply};

    #[test]
    fn no_session_is_shorter_than_a_page_counts_on() {
        for &phase in Phase::ALL {
            assert!(json_len(&bare_status("a", phase)) > SHORTEST);
        }
    }

    #[test]
    fn two_numbers_that_differ_are_an_invalid_argument() {
        let number = |text: &str| text.parse::<PhoneNumber>().ok();
        let [one, other] = ["+15550100991", "+15550100992"].map(number);
        for (phone, expect, refused) in [
            (one.clone(), other.clone(), true),
            (one.clone(), one.clone(), false),
            (one.clone(), None, false),
            (None, one, false),
        ] {
            let code = agree(&PairOptions {
                phone,
                expect,
                proxy: None,
            })
            .map_err(|no| no.code);
            let invalid = Err(FailureCode::InvalidArgument);
            assert_eq!(code, if refused { invalid } else { Ok(()) });
        }
    }

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
