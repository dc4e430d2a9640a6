//! `session.toml`: the record of a session.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durable::Replacing;
use super::step::Step;
use super::{StoreError, durable, regular};
use crate::protocol::{Account, Cause, GroupJid, Restriction, UserId};

/// The format written by this version. A file of a newer one is refused, never overwritten.
const VERSION: u32 = 2;

pub(super) const FILE: &str = "session.toml";

const STEPS: Replacing = Replacing {
    write: Step::RecordWrite,
    sync: Step::RecordSync,
    rename: Step::RecordRename,
    sync_dir: Step::RecordSyncDir,
};

/// The record of a session: what the daemon itself knows about it. The credentials are in `auth.db`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// Whose session it is, from the last time that it was certain. In a directory that was copied or renamed
    /// it is another name than the directory's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The uid that created the session.
    pub owner: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// What the session is to be.
    pub desired: Desired,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Timestamp>,
    /// When the account's phone last gave a sign of life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_heard: Option<Timestamp>,
    /// When the device last showed itself as available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub showed_up: Option<Timestamp>,
    /// Since when the critical part of the account's settings has been missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_missing: Option<Timestamp>,
    /// The target groups.
    #[serde(default)]
    pub targets: Vec<GroupJid>,
    /// The account, from the moment its credentials were durable. `None`: perhaps never paired; only
    /// `auth.db` can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// Why it must not connect by itself, over restarts too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What WhatsApp forbids the account for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restrictions: Vec<Restriction>,
}

/// What a session is to be, over restarts of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Online.
    Up,
    /// Closed, until somebody says `connect`.
    Down,
}

/// Why a session must not connect by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The cause.
    pub cause: Cause,
    /// Until when; `None`: until somebody says `connect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What WhatsApp said, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Record {
    /// The record of a new session of this uid.
    #[must_use]
    pub fn new(owner: u32) -> Self {
        Self {
            version: VERSION,
            user: None,
            owner,
            created_at: Timestamp::now(),
            desired: Desired::Up,
            last_activity: None,
            phone_heard: None,
            showed_up: None,
            settings_missing: None,
            targets: Vec::new(),
            account: None,
            hold: None,
            restrictions: Vec::new(),
        }
    }

    pub(super) fn save(&self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(FILE);
        let text = toml::to_string(self)
            .map_err(|e| StoreError::unusable(&path, format!("it cannot be written: {e}")))?;
        durable::replace(&path, text.as_bytes(), &STEPS)
    }

    /// Reads it, and changes nothing.
    pub(super) fn read(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let bytes = match regular::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if regular::is_something_else(&e) => {
                return Err(StoreError::unusable(&path, "it is not a file"));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::unusable(&path, "it is missing"));
            }
            Err(e) => return Err(StoreError::unavailable("read", &path, e)),
        };
        let text =
            String::from_utf8(bytes).map_err(|_| StoreError::unusable(&path, "it is not text"))?;
        Self::parse(&text).map_err(|why| StoreError::unusable(&path, why))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The version is read first: a file of a newer version is not a wrong one.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned = toml::from_str(text).map_err(|e| e.to_string())?;
        if versioned.version > VERSION {
            return Err(format!(
                "it was written by a newer wasessiond (format {}, this one reads up to {VERSION}); start the newer one again",
                versioned.version
            ));
        }
        // What this version does not know it would lose with its next write, so it does not take the file.
        let read: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        Ok(Self {
            version: VERSION,
            ..read
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RestrictionKind;

    /// A file as version 0.1.0 wrote it. It must load for ever.
    const SAMPLE: &str = r#"
version = 1
owner = 1000
created_at = "2026-11-24T09:00:00Z"
desired = "down"
last_activity = "2026-11-24T09:10:00Z"
targets = ["120363012345678901@g.us"]

[account]
jid = "15550100999:7@s.whatsapp.net"
phone = "+15550100999"
name = "Alice"

[hold]
cause = "temporary_ban"
until = "2026-11-25T09:00:00Z"
error = "too many messages"
"#;

    #[test]
    fn the_sample_loads_and_reads_back() {
        let record = Record::parse(SAMPLE).expect("the sample");
        assert_eq!(record.owner, 1000);
        assert_eq!(record.desired, Desired::Down);
        assert_eq!(
            record.account.as_ref().and_then(|a| a.name.as_deref()),
            Some("Alice")
        );
        assert_eq!(
            record.hold.as_ref().map(|h| h.cause),
            Some(Cause::TemporaryBan)
        );
        let text = toml::to_string(&record).expect("write");
        assert_eq!(Record::parse(&text), Ok(record));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let known = toml::to_string(&Record::new(0)).expect("write");
        let newer = known.replace("version = 2", "version = 3");
        let why = Record::parse(&newer).expect_err("a newer version");
        assert!(why.contains("start the newer one again"), "{why}");
        let more = format!("colour = \"blue\"\n{known}");
        let why = Record::parse(&more).expect_err("a field of another version");
        assert!(why.contains("unknown field `colour`"), "{why}");
    }

    #[test]
    fn a_new_record_reads_back() {
        let mut record = Record::new(0);
        let text = toml::to_string(&record).expect("write");
        assert_eq!(Record::parse(&text), Ok(record.clone()));
        record.account = Some(Account {
            jid: "15550100999:7@s.whatsapp.net".to_owned(),
            phone: "+15550100999".to_owned(),
            name: None,
        });
        record.phone_heard = Some(Timestamp::UNIX_EPOCH);
        record.showed_up = Some(Timestamp::UNIX_EPOCH);
        record.settings_missing = Some(Timestamp::UNIX_EPOCH);
        let restriction = Restriction {
            kind: RestrictionKind::ReachoutTimelock,
            since: Timestamp::UNIX_EPOCH,
            until: None,
            detail: Some("RESTRICT_ALL_COMPANIONS".to_owned()),
        };
        record.restrictions = vec![restriction; 2];
        let text = toml::to_string(&record).expect("write");
        assert_eq!(Record::parse(&text), Ok(record));
    }
}
