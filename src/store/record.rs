//! `session.toml`: the record of a session.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durable::Replacing;
use super::step::Step;
use super::{StoreError, durable, regular};
use crate::protocol::{Account, Cause, GroupJid, PhoneNumber, Redacted, Restriction, UserId};

/// The format written by this version. A file of a newer one is refused, never overwritten.
const VERSION: u32 = 2;

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

    /// The same, for what lies in this directory: what can be read as far as that may say that the session has
    /// no proxy of its own.
    pub(super) fn stand_in_for(dir: &Path) -> Self {
        let bytes = regular::read(&dir.join(FILE)).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let says_nothing_of_one = |text: String| {
            let is_record = text
                .parse::<toml::Table>()
                .is_ok_and(|table| !table.is_empty());
            is_record && !text.to_ascii_lowercase().contains("proxy")
        };
        Self {
            is_way_unknown: !text.is_some_and(says_nothing_of_one),
            ..Self::stand_in()
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
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::RestrictionKind;

    fn start() -> Timestamp {
        "2026-11-24T09:00:00Z".parse().expect("a time")
    }

    /// A lock that was seen at these hours.
    fn seen_at(hours: &[i64]) -> AccountLock {
        let mut lock = AccountLock::new(start());
        for hours in hours {
            lock.seen(start() + SignedDuration::from_hours(*hours), None, None);
        }
        lock
    }

    #[test]
    fn a_lock_is_old_after_many_answers_whatever_the_clock_says() {
        let days = |hours: &[i64]| seen_at(hours).seen_for().as_secs() / 86400;
        assert_eq!(days(&[0]), 0);
        // The hours at which a daemon that is always up tries.
        let mut tries = vec![0, 1, 7];
        tries.extend((1..=14).map(|day| 7 + 24 * day));
        assert_eq!(days(&tries), 14);
        // A clock that was years behind at the first answer, and is right at the next one.
        let years = 24 * 365 * 10;
        assert_eq!(days(&[0, years, years + 6]), 2);
        assert_eq!(days(&[years, 0, 6]), 0);
        // A daemon that was off for a month.
        assert_eq!(days(&[0, 24 * 30]), 2);
    }

    #[test]
    fn a_lock_waits_longer_and_longer() {
        let mut lock = AccountLock::new(start());
        let waits = [(); 4].map(|()| {
            lock.seen(start(), None, None);
            lock.wait().as_secs() / 3600
        });
        assert_eq!(waits, [1, 6, 24, 24]);
    }

    #[test]
    fn a_token_is_kept_when_whatsapp_does_not_repeat_it() {
        let mut lock = AccountLock::new(start());
        lock.seen(start(), Some("locked".to_owned()), Some("once".into()));
        lock.seen(start(), None, None);
        lock.begin_anew();
        lock.seen(start(), None, None);
        assert_eq!(lock.text.as_deref(), Some("locked"));
        let mut again = lock.clone();
        again.seen(start(), Some("appeal with once".to_owned()), None);
        assert_eq!(again.text.as_deref(), Some("appeal with [token]"));
        let token = lock.appeal_token.as_ref().map(Redacted::reveal);
        assert_eq!((token, lock.answers), (Some("once"), 1));
        assert!(!format!("{lock:?}").contains("once"));
        let mut record = Record::new(0);
        record.lock = Some(lock);
        let text = toml::to_string(&record).expect("write");
        assert_eq!(Record::parse(&text), Ok(record));
    }

    proptest! {
        /// Seven answers are never enough, however the clock is set between them.
        #[test]
        fn few_answers_never_make_a_lock_old(hours in prop::collection::vec(-200_000i64..200_000, 0..8)) {
            let lock = seen_at(&hours);
            prop_assert!(lock.seen_for() < Duration::from_hours(14 * 24));
        }
    }

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
    fn a_proxy_reads_back() {
        for (said, choice) in [
            ("none", ProxyChoice::Direct),
            (
                "socks5://me:pw@proxy:1",
                ProxyChoice::Url("socks5://me:pw@proxy:1".into()),
            ),
        ] {
            let text = format!("proxy = \"{said}\"\n{SAMPLE}");
            let record = Record::parse(&text).expect("a record");
            assert_eq!(record.proxy, Some(choice));
            let text = toml::to_string(&record).expect("write");
            assert_eq!(Record::parse(&text), Ok(record));
        }
    }

    /// Whatever is wrong with the file goes into the status and into the log.
    #[test]
    fn what_is_wrong_is_told_without_a_password() {
        for proxy in [
            "proxy = \"http://me:secret@proxy",
            "proxy = http://me:secret@proxy",
            "proxies = \"http://me:secret@proxy\"",
            "proxy = [\"http://me:secret@proxy\"]",
            "proxy = \"http://me:secret@proxy\"\nproxy = \"http://me:secret@proxy\"",
        ] {
            let why = Record::parse(&format!("{proxy}\n{SAMPLE}")).expect_err(proxy);
            assert!(why.starts_with("line ") && !why.contains("secret"), "{why}");
        }
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
        assert_eq!(Record::parse(&text), Ok(record.clone()));
        // Each key can be named where it is wrong.
        let Record {
            version: _,
            is_stand_in: _,
            is_way_unknown: _,
            owner: _,
            created_at: now,
            desired: _,
            targets: _,
            account: _,
            restrictions: _,
            phone_heard: _,
            showed_up: _,
            settings_missing: _,
            user,
            last_activity,
            login_open_until,
            linked_at,
            expect,
            hold,
            lock,
            proxy,
        } = &mut record;
        *user = Some("alice".parse().expect("an id"));
        *expect = Some("+15550100999".parse().expect("a number"));
        *hold = Some(Hold {
            cause: Cause::AccountLocked,
            until: None,
            error: None,
        });
        *lock = Some(AccountLock::new(*now));
        *proxy = Some(ProxyChoice::Direct);
        for time in [last_activity, login_open_until, linked_at] {
            *time = Some(*now);
        }
        let written = toml::Table::try_from(&record).expect("a table");
        let mut known = KEYS.to_vec();
        known.sort_unstable();
        let written: Vec<_> = written.keys().map(String::as_str).collect();
        assert_eq!(written, known);
    }
}
