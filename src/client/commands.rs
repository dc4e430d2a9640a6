//! The commands, each with the type of its answer.

use crate::protocol::{
    Answer, Command, DEFAULT_HISTORY, Group, GroupJid, HistoryEntry, Info, LogoutReport,
    PasskeyAction, PasskeyChallenge, ProxyEdit, Redacted, Reloaded, RotatedKey, SessionProxy,
    Status, TargetEdit,
};

use super::{Client, ClientError};

/// What [`Client::disconnect`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disconnected {
    /// The session is closed; its credentials are kept.
    Kept(Box<Status>),
    /// It was still pairing and had nothing to keep: it is removed.
    Removed(Box<LogoutReport>),
}

/// The error for an answer that belongs to another command, or that only a newer client knows. It ends
/// the request, and nothing else.
pub(super) fn unexpected(command: &str, answer: &Answer) -> ClientError {
    ClientError::Protocol(match answer {
        Answer::Unknown(name) => format!(
            "the daemon answered {command} with {name:?}, which this client does not know: it is older than the daemon"
        ),
        _ => format!("an answer that does not belong to {command}"),
    })
}

/// Asks, and takes the one answer that belongs to the command.
macro_rules! ask {
    ($client:ident, $name:literal, $command:expr, $($answer:pat => $value:expr),+) => {
        match $client.request($command).await? {
            $($answer => Ok($value),)+
            other => Err(unexpected($name, &other)),
        }
    };
}

/// What can be said of a session that is to be connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The account's phone number, to pair by code instead of by QR code.
    pub phone: Option<String>,
    /// The phone number of the account that is expected: where another one is linked, it is unlinked again, and
    /// the session ends.
    pub expect: Option<String>,
    /// The proxy of a session that begins now, from its first connection on: a URL, or `none`.
    pub proxy: Option<Redacted>,
}

impl Client {
    /// Is the daemon there?
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ping(&self) -> Result<(), ClientError> {
        ask!(self, "ping", Command::Ping, Answer::Pong => ())
    }

    /// About the daemon.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn info(&self) -> Result<Info, ClientError> {
        ask!(self, "info", Command::Info, Answer::Info(info) => *info)
    }

    /// Lets the daemon read its configuration again. Admins only.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        ask!(self, "reload", Command::Reload, Answer::Reloaded(reloaded) => reloaded)
    }

    /// Makes another key the master key, which wraps the keys of all sessions. Admins only.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rotate_key(&self) -> Result<RotatedKey, ClientError> {
        ask!(self, "rotate_key", Command::RotateKey, Answer::RotatedKey(rotated) => rotated)
    }

    /// Brings a session up; with a phone number it pairs by code instead of by QR code. The answer
    /// comes as soon as the session runs: watch it to follow.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect_session(
        &self,
        user: &str,
        phone: Option<&str>,
    ) -> Result<Status, ClientError> {
        self.connect_expecting(user, phone, None).await
    }

    /// The same for an account that is expected, by its phone number: where another one is linked, it is
    /// unlinked again, and the session ends.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect_expecting(
        &self,
        user: &str,
        phone: Option<&str>,
        expect: Option<&str>,
    ) -> Result<Status, ClientError> {
        let options = ConnectOptions {
            phone: phone.map(str::to_owned),
            expect: expect.map(str::to_owned),
            proxy: None,
        };
        self.connect_with(user, &options).await
    }

    /// The same with everything that can be said of the session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect_with(
        &self,
        user: &str,
        options: &ConnectOptions,
    ) -> Result<Status, ClientError> {
        let ConnectOptions {
            phone,
            expect,
            proxy,
        } = options.clone();
        let command = Command::Connect {
            user: user.to_owned(),
            phone,
            expect,
            proxy,
        };
        ask!(self, "connect", command, Answer::Status(status) => *status)
    }

    /// Closes a session and keeps its credentials.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn disconnect(&self, user: &str) -> Result<Disconnected, ClientError> {
        let user = user.to_owned();
        ask!(self, "disconnect", Command::Disconnect { user },
            Answer::Status(status) => Disconnected::Kept(status),
            Answer::LoggedOut(report) => Disconnected::Removed(report))
    }

    /// Unlinks the device at WhatsApp if it can be reached, and removes everything of the session. It
    /// is gone when the answer comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn force_logout(&self, user: &str) -> Result<LogoutReport, ClientError> {
        let user = user.to_owned();
        ask!(self, "force_logout", Command::ForceLogout { user },
            Answer::LoggedOut(report) => *report)
    }

    /// One session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self, user: &str) -> Result<Status, ClientError> {
        let user = user.to_owned();
        ask!(self, "status", Command::Status { user }, Answer::Status(status) => *status)
    }

    /// Every session the caller may see, by user, without secrets. The daemon sends them page by page,
    /// each of its own moment: [`Client::watch`] has all of one moment.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&self) -> Result<Vec<Status>, ClientError> {
        let mut sessions = Vec::new();
        let mut after = None;
        loop {
            let command = Command::List {
                after: after.as_ref().map(ToString::to_string),
            };
            let page = ask!(self, "list", command, Answer::Sessions(page) => page)?;
            sessions.extend(page.sessions);
            if page.next.is_none() {
                return Ok(sessions);
            }
            if page.next <= after {
                return Err(ClientError::Protocol("a list without an end".to_owned()));
            }
            after = page.next;
        }
    }

    /// Sessions that ended, newest first: of one user or of all, at most so many, or
    /// [`DEFAULT_HISTORY`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn history(
        &self,
        user: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryEntry>, ClientError> {
        let wanted = limit.unwrap_or(DEFAULT_HISTORY) as usize;
        let mut entries = Vec::new();
        let mut before = None;
        loop {
            let left = wanted.saturating_sub(entries.len());
            let command = Command::History {
                user: user.map(str::to_owned),
                limit: u32::try_from(left).ok(),
                before: before.take(),
            };
            let page = ask!(self, "history", command, Answer::History(page) => page)?;
            before = page.next;
            let empty = page.entries.is_empty();
            entries.extend(page.entries.into_iter().take(left));
            if before.is_none() || entries.len() >= wanted {
                return Ok(entries);
            }
            if empty {
                return Err(ClientError::Protocol("a history without an end".to_owned()));
            }
        }
    }

    /// WhatsApp's challenge for a passkey, where the pairing needs one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn passkey_challenge(&self, user: &str) -> Result<PasskeyChallenge, ClientError> {
        let command = Command::Passkey {
            user: user.to_owned(),
            action: PasskeyAction::Challenge,
        };
        ask!(self, "passkey", command, Answer::Passkey(challenge) => challenge)
    }

    /// Hands in the answer of a passkey to the challenge: a `PublicKeyCredential` in JSON. The code to
    /// compare follows in the session's status.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn passkey_assert(
        &self,
        user: &str,
        assertion: Redacted,
    ) -> Result<Status, ClientError> {
        let command = Command::Passkey {
            user: user.to_owned(),
            action: PasskeyAction::Assert(assertion),
        };
        ask!(self, "passkey", command, Answer::Status(status) => *status)
    }

    /// Says that the code of the pairing is the same on the phone.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn passkey_confirm(&self, user: &str) -> Result<Status, ClientError> {
        let command = Command::Passkey {
            user: user.to_owned(),
            action: PasskeyAction::Confirm,
        };
        ask!(self, "passkey", command, Answer::Status(status) => *status)
    }

    /// The groups of the account, asked from WhatsApp.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn groups(&self, user: &str) -> Result<Vec<Group>, ClientError> {
        let user = user.to_owned();
        ask!(self, "groups", Command::Groups { user }, Answer::Groups(groups) => groups)
    }

    /// Shows or changes the target groups, and returns them as they are then.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn targets(
        &self,
        user: &str,
        edit: TargetEdit,
    ) -> Result<Vec<GroupJid>, ClientError> {
        let user = user.to_owned();
        ask!(self, "targets", Command::Targets { user, edit }, Answer::Targets(targets) => targets)
    }

    /// Shows or changes the proxy through which a session reaches WhatsApp, and returns it as it is then,
    /// without user and password.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn proxy(&self, user: &str, edit: ProxyEdit) -> Result<SessionProxy, ClientError> {
        let user = user.to_owned();
        ask!(self, "proxy", Command::Proxy { user, edit }, Answer::Proxy(proxy) => proxy)
    }
}
