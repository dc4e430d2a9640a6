//! Which ends of sessions a follower knows, and which it must still learn from the history.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::protocol::{Answer, Command, HistoryEntry, HistoryPage, MAX_HISTORY, UserId};

use super::commands::unexpected;
use super::{Client, ClientError};

/// With more names of ends than this, the history is read, so that they can be forgotten.
const MANY: usize = 4096;

/// The name of an end. No user's session ends twice in a nanosecond.
type EndName = (UserId, Timestamp);

/// The ends that are known. Ends of different users may be announced in another order than the one in
/// which they are in the history, so each is known by its name.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The newest entry of the history when it was last read. It and all older entries are known.
    newest: Option<EndName>,
    /// Ends that an event reported since.
    reported: HashSet<EndName>,
}

impl Ends {
    /// Everything in the history now is known.
    pub(super) async fn from_now(client: &Client, users: &[String]) -> Result<Self, ClientError> {
        let page = page(client, users, 1, None).await?;
        Ok(Self {
            newest: page.entries.first().map(name),
            reported: HashSet::new(),
        })
    }

    /// Notes an end that an event reports. False: it is known already.
    pub(super) fn note(&mut self, entry: &HistoryEntry) -> bool {
        self.reported.insert(name(entry))
    }

    /// Whether so many are noted that [`missed`](Self::missed) should be called, which forgets them.
    pub(super) fn are_many(&self) -> bool {
        self.reported.len() > MANY
    }

    /// Reads from the history the ends of these users that are not known, oldest first. They are known then.
    /// When this fails or is dropped, nothing has changed.
    pub(super) async fn missed(
        &mut self,
        client: &Client,
        users: &[String],
    ) -> Result<Vec<HistoryEntry>, ClientError> {
        let mut newest = None;
        let mut missed = Vec::new();
        let mut before = None;
        'pages: loop {
            let page = page(client, users, MAX_HISTORY, before.take()).await?;
            if page.entries.is_empty() && page.next.is_some() {
                return Err(ClientError::Protocol("a history without an end".to_owned()));
            }
            for entry in page.entries {
                let name = name(&entry);
                if self.newest.as_ref() == Some(&name) {
                    break 'pages;
                }
                newest.get_or_insert_with(|| name.clone());
                if !self.reported.contains(&name) && wanted(users, &name.0) {
                    missed.push(entry);
                }
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        missed.reverse();
        self.newest = newest.or(self.newest.take());
        if self.are_many() {
            // An event reported them, so they are not newer than the newest entry.
            self.reported.clear();
        }
        // Their events may still be on their way.
        self.reported.extend(missed.iter().map(name));
        Ok(missed)
    }
}

fn name(entry: &HistoryEntry) -> EndName {
    (entry.user.clone(), entry.at)
}

fn wanted(users: &[String], user: &UserId) -> bool {
    users.is_empty() || users.iter().any(|wanted| wanted == user.as_str())
}

/// A page of the history; the daemon picks the user where there is only one.
async fn page(
    client: &Client,
    users: &[String],
    limit: u32,
    before: Option<String>,
) -> Result<HistoryPage, ClientError> {
    let user = match users {
        [one] => Some(one.clone()),
        _ => None,
    };
    let command = Command::History {
        user,
        limit: Some(limit),
        before,
    };
    match client.request(command).await? {
        Answer::History(page) => Ok(page),
        other => Err(unexpected("history", &other)),
    }
}
