//! `session.toml`: the record of a session.
//!
//! An operator can read it with a text editor. What names an account or a person, what is a secret, and
//! WhatsApp's words, which may name anybody, are one sealed text in the field `sealed`: see [`sealed`] for each
//! field. A record of a former version has them in clear. It is sealed when its session begins at the next start.

mod sealed;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use self::sealed::RecordKey;
use super::durable::Replacing;
use super::step::Step;
use super::{StoreError, durable, regular};
use crate::protocol::{Account, Cause, GroupJid, PhoneNumber, Redacted, Restriction, UserId};

/// The format written by this version. A file of a newer one is refused, never overwritten.
const VERSION: u32 = 3;

pub(super) const FILE: &str = "session.toml";

const STEPS: Replacing = Replacing {
    write: Step::RecordWrite,
    sync: Step::RecordSync,
    rename: Step::RecordRename,
    sync_dir: Step::RecordSyncDir,
};

/// The record of a session: what the daemon itself knows about it. The credentials are in `vault.db`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// Whether it stands for one that cannot be read: then nothing in it is the session's. It is never written.
    #[serde(skip)]
    pub is_stand_in: bool,
    /// Whether nobody knows the session's proxy: of a stand-in for one that may name it. It is never written.
    #[serde(skip)]
    pub is_way_unknown: bool,
    /// How it lies in the file. It is never written.
    #[serde(skip)]
    form: Form,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<GroupJid>,
    /// Until when WhatsApp may conclude a login that a stop of the daemon has cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_open_until: Option<Timestamp>,
    /// The account, from the moment its credentials were durable. `None`: perhaps never paired; only
    /// `vault.db` can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// When the device was linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_at: Option<Timestamp>,
    /// The account that is expected, as long as none is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<PhoneNumber>,
    /// Why it must not connect by itself, over restarts too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What WhatsApp said about a locked account, until it accepts a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<AccountLock>,
    /// What WhatsApp forbids the account for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restrictions: Vec<Restriction>,
    /// The session's own proxy; `None`: the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyChoice>,
    /// Of a record in the file: whether what is sealed has a proxy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    own_proxy: bool,
    /// Of a record in the file: what is sealed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

/// How a record lies in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// As this version writes it.
    #[default]
    Sealed,
    /// With something in clear that is to be sealed.
    InClear,
}

/// The proxy that somebody chose for a session. In the file it is a string: a URL, or `none`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ProxyChoice {
    /// No proxy, also where the configuration has one.
    Direct,
    /// The proxy with this URL, which may hold a user and a password.
    Url(Redacted),
}

const NO_PROXY: &str = "none";

impl From<String> for ProxyChoice {
    fn from(text: String) -> Self {
        if text == NO_PROXY {
            Self::Direct
        } else {
            Self::Url(text.into())
        }
    }
}

impl From<ProxyChoice> for String {
    fn from(choice: ProxyChoice) -> Self {
        match choice {
            ProxyChoice::Direct => NO_PROXY.to_owned(),
            ProxyChoice::Url(url) => url.reveal().to_owned(),
        }
    }
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

/// A lock of the account, as WhatsApp has told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLock {
    /// When WhatsApp first said so.
    pub since: Timestamp,
    /// When WhatsApp last said so.
    pub last: Timestamp,
    /// How often WhatsApp said so, and nothing else.
    pub answers: u32,
    /// For how many seconds that was seen.
    pub seen_for: u64,
    /// What WhatsApp said to the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The token with which the person can appeal. WhatsApp sends it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appeal_token: Option<Redacted>,
}

impl AccountLock {
    /// The time between two answers counts up to this. The wall clock measures it, also over restarts, and a
    /// clock that is set must not make years of a day: so a lock is old only after many answers.
    const LONGEST_GAP: Duration = Duration::from_hours(48);

    /// A lock that WhatsApp has not told yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            last: now,
            answers: 0,
            seen_for: 0,
            text: None,
            appeal_token: None,
        }
    }

    /// WhatsApp says so, perhaps again. What it said before is kept where it says nothing now.
    pub fn seen(&mut self, now: Timestamp, text: Option<String>, appeal_token: Option<Redacted>) {
        // Zero where the clock was set back.
        let gap = Duration::try_from(now.duration_since(self.last)).unwrap_or_default();
        let gap = gap.min(Self::LONGEST_GAP);
        self.seen_for = self.seen_for.saturating_add(gap.as_secs());
        self.answers = self.answers.saturating_add(1);
        if self.answers == 1 {
            (self.since, self.seen_for) = (now, 0);
        }
        self.last = now;
        self.text = text.or(self.text.take());
        self.appeal_token = appeal_token.or(self.appeal_token.take());
        // WhatsApp may repeat the token in words, and says only once which it is.
        if let (Some(text), Some(token)) = (&mut self.text, &self.appeal_token)
            && !token.reveal().is_empty()
        {
            *text = text.replace(token.reveal(), "[token]");
        }
    }

    /// WhatsApp says something else: the next lock is another one. What WhatsApp said is kept.
    pub fn begin_anew(&mut self) {
        (self.answers, self.seen_for) = (0, 0);
    }

    /// For how long it was seen.
    #[must_use]
    pub fn seen_for(&self) -> Duration {
        Duration::from_secs(self.seen_for)
    }

    /// How long to wait before the next try. Trying often makes a lock last longer.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_hours(match self.answers {
            0 | 1 => 1,
            2 => 6,
            _ => 24,
        })
    }
}

impl Record {
    /// The record of a new session of this uid.
    #[must_use]
    pub fn new(owner: u32) -> Self {
        Self {
            version: VERSION,
            is_stand_in: false,
            is_way_unknown: false,
            form: Form::Sealed,
            user: None,
            owner,
            created_at: Timestamp::now(),
            desired: Desired::Up,
            last_activity: None,
            phone_heard: None,
            showed_up: None,
            settings_missing: None,
            targets: Vec::new(),
            login_open_until: None,
            account: None,
            linked_at: None,
            expect: None,
            hold: None,
            lock: None,
            restrictions: Vec::new(),
            proxy: None,
            own_proxy: false,
            sealed: None,
        }
    }

    /// A record in the place of one that cannot be read. Where nobody can read whose session it is, it belongs
    /// to uid 0: only admins see it.
    #[must_use]
    pub fn stand_in() -> Self {
        Self {
            is_stand_in: true,
            is_way_unknown: true,
            ..Self::new(0)
        }
    }

    /// The same, for what lies in this directory, as far as it can be read: whose session it is, and that it has
    /// no proxy of its own.
    pub(super) fn stand_in_for(dir: &Path) -> Self {
        let bytes = regular::read(&dir.join(FILE)).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(text) = text else {
            return Self::stand_in();
        };
        let names_no_proxy = !text.to_ascii_lowercase().contains("proxy");
        let is_record = text
            .parse::<toml::Table>()
            .is_ok_and(|table| !table.is_empty());
        let stand_in = Self {
            is_way_unknown: !(is_record && names_no_proxy),
            ..Self::stand_in()
        };
        match Self::parse(&text) {
            Ok(readable) => Self {
                owner: readable.owner,
                created_at: readable.created_at,
                linked_at: readable.linked_at,
                ..stand_in
            },
            Err(_) => stand_in,
        }
    }

    /// Whether the record in this directory has in clear what is to be sealed, or may have: one that cannot be read
    /// says nothing about that.
    pub(super) fn may_lie_in_clear(dir: &Path) -> bool {
        let read = Self::read_file(dir).and_then(|text| {
            Self::parse(&text).map_err(|why| StoreError::unusable(&dir.join(FILE), why))
        });
        !read.is_ok_and(|record| !record.has_secrets())
    }

    /// Writes it, durably. Where the file before it has in clear what this one seals, its bytes are destroyed.
    pub(super) fn save(&self, key: &RecordKey<'_>) -> Result<(), StoreError> {
        let path = key.dir.join(FILE);
        let written = self.sealed_with(key)?;
        let text = toml::to_string(&written)
            .map_err(|e| StoreError::unusable(&path, format!("it cannot be written: {e}")))?;
        if self.form == Form::InClear {
            durable::replace_in_clear(&path, &STEPS, |file| file.write_all(text.as_bytes()))
        } else {
            durable::replace(&path, text.as_bytes(), &STEPS)
        }
    }

    /// Seals what the file has in clear, if there is anything.
    pub(super) fn seal_file(&mut self, key: &RecordKey<'_>) -> Result<(), StoreError> {
        if self.form == Form::InClear {
            self.save(key)?;
            self.form = Form::Sealed;
        }
        Ok(())
    }

    /// Reads it, and changes nothing.
    pub(super) fn read(key: &RecordKey<'_>) -> Result<Self, StoreError> {
        let path = key.dir.join(FILE);
        let text = Self::read_file(key.dir)?;
        let read = Self::parse(&text).map_err(|why| StoreError::unusable(&path, why))?;
        read.opened_with(key)
    }

    fn read_file(dir: &Path) -> Result<String, StoreError> {
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
        String::from_utf8(bytes).map_err(|_| StoreError::unusable(&path, "it is not text"))
    }

    /// The record as it stands in the file.
    fn parse(text: &str) -> Result<Self, String> {
        // The version is read first: a file of a newer version is not a wrong one.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned = toml::from_str(text).map_err(|e| without_text(text, &e))?;
        if versioned.version > VERSION {
            return Err(format!(
                "it was written by a newer wasessiond (format {}, this one reads up to {VERSION}); start the newer one again",
                versioned.version
            ));
        }
        // What this version does not know it would lose with its next write, so it does not take the file.
        let read: Self = toml::from_str(text).map_err(|e| without_text(text, &e))?;
        Ok(Self {
            version: VERSION,
            ..read
        })
    }
}

/// The keys of the record. Only they are named where something is wrong.
const KEYS: &[&str] = &[
    "version",
    "user",
    "owner",
    "created_at",
    "desired",
    "last_activity",
    "phone_heard",
    "showed_up",
    "settings_missing",
    "targets",
    "login_open_until",
    "account",
    "linked_at",
    "expect",
    "hold",
    "lock",
    "restrictions",
    "proxy",
    "own_proxy",
    "sealed",
];

/// What is wrong with a file, without the line in which it is wrong: that may hold a proxy's password.
fn without_text(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message.to_owned();
    };
    let line = before.matches('\n').count();
    let key = text.lines().nth(line).and_then(|line| line.split_once('='));
    let key = key.map(|(key, _)| key.trim());
    match key.filter(|key| KEYS.contains(key)) {
        Some(key) => format!("line {}, {key}: {message}", line + 1),
        None => format!("line {}: {message}", line + 1),
    }
}

#[cfg(test)]
mod tests;
