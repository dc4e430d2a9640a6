//! What is sealed of a record.
//!
//! | in clear | why |
//! |---|---|
//! | `version`, `user`, `owner`, `desired` | the name of the user is the directory's, the uid is of this machine |
//! | `created_at`, `last_activity`, `phone_heard`, `showed_up`, `settings_missing`, `login_open_until`, `linked_at` | times |
//! | `hold.cause`, `hold.until`, `lock` without its words | what an operator asks for first; of one account among many |
//! | `own_proxy` | that there is one says nothing of it. Where the rest cannot be opened, WhatsApp is not asked on another way |
//!
//! | sealed | why |
//! |---|---|
//! | `account`, `expect` | JID, phone number and name |
//! | `targets` | groups; the JID of an old one is its maker's phone number |
//! | `hold.error`, `lock.text`, `restrictions` | WhatsApp's words |
//! | `lock.appeal_token` | a secret |
//! | `proxy` | its URL may hold a user and a password, and its host says where somebody is |
//!
//! The key is the session's own: that of its credentials. A purge destroys it, and then what the disk may keep
//! of the record is noise, too. Another session's record does not open. What somebody has written in clear
//! beside the sealed text is taken for a change of it, and is sealed like a record of a former version.

use std::mem::take;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{FILE, Form, ProxyChoice, Record};
use crate::protocol::{Account, GroupJid, PhoneNumber, Redacted, Restriction};
use crate::store::StoreError;
use crate::store::masters::Masters;
use crate::store::space::SpaceError;
use crate::store::vault::{KEY_FILE, Missing, TextSeal};

/// What the text is bound to, besides the session by its key.
const PLACE: &[&str] = &[FILE];

/// Where a record and its key are. A call on it reads the key.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct RecordKey<'a> {
    /// The directory of the session, or what it was, in the trash.
    pub(in crate::store) dir: &'a Path,
    /// The keys that wrap the session's.
    pub(in crate::store) masters: &'a Masters,
}

/// What is sealed of a record, as one text.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Secrets {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<PhoneNumber>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<GroupJid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appeal_token: Option<Redacted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restrictions: Vec<Restriction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyChoice>,
}

impl Record {
    /// As it stands in the file.
    pub(super) fn sealed_with(&self, key: &RecordKey<'_>) -> Result<Self, StoreError> {
        let mut written = self.clone();
        let secrets = written.take_secrets();
        if secrets != Secrets::default() {
            let text = serde_json::to_vec(&secrets).map(Zeroizing::new);
            let text = text.map_err(|e| key.unusable(format!("it cannot be written: {e}")))?;
            written.own_proxy = secrets.proxy.is_some();
            written.sealed = Some(key.seal(&text)?);
        }
        Ok(written)
    }

    /// What stands in the file, with what is sealed in it.
    pub(super) fn opened_with(mut self, key: &RecordKey<'_>) -> Result<Self, StoreError> {
        let in_clear = self.take_secrets();
        if in_clear != Secrets::default() {
            self.form = Form::InClear;
        }
        self.own_proxy = false;
        if let Some(sealed) = self.sealed.take() {
            let text = key.open(&sealed)?;
            let secrets = serde_json::from_slice(&text);
            // The error's own words could repeat a part of the text.
            let secrets = secrets.map_err(|_| key.unusable("what it has sealed is no record"))?;
            self.put(secrets);
        }
        self.put(in_clear);
        Ok(self)
    }

    /// Whether it has anything that is to be sealed.
    pub(super) fn has_secrets(mut self) -> bool {
        self.take_secrets() != Secrets::default()
    }

    /// Every field is decided here.
    fn take_secrets(&mut self) -> Secrets {
        let Self {
            version: _,
            is_stand_in: _,
            is_way_unknown: _,
            form: _,
            user: _,
            owner: _,
            created_at: _,
            desired: _,
            last_activity: _,
            phone_heard: _,
            showed_up: _,
            settings_missing: _,
            targets,
            login_open_until: _,
            account,
            linked_at: _,
            expect,
            hold,
            lock,
            restrictions,
            proxy,
            own_proxy: _,
            sealed: _,
        } = self;
        let (lock_text, appeal_token) = lock.as_mut().map_or((None, None), |lock| {
            (lock.text.take(), lock.appeal_token.take())
        });
        Secrets {
            account: account.take(),
            expect: expect.take(),
            targets: take(targets),
            hold_error: hold.as_mut().and_then(|hold| hold.error.take()),
            lock_text,
            appeal_token,
            restrictions: take(restrictions),
            proxy: proxy.take(),
        }
    }

    /// Takes these, in the place of those that it has.
    fn put(&mut self, secrets: Secrets) {
        let Secrets {
            account,
            expect,
            targets,
            hold_error,
            lock_text,
            appeal_token,
            restrictions,
            proxy,
        } = secrets;
        self.account = account.or(self.account.take());
        self.expect = expect.or(self.expect.take());
        if !targets.is_empty() {
            self.targets = targets;
        }
        if let Some(hold) = &mut self.hold {
            hold.error = hold_error.or(hold.error.take());
        }
        if let Some(lock) = &mut self.lock {
            lock.text = lock_text.or(lock.text.take());
            lock.appeal_token = appeal_token.or(lock.appeal_token.take());
        }
        if !restrictions.is_empty() {
            self.restrictions = restrictions;
        }
        self.proxy = proxy.or(self.proxy.take());
    }
}

impl RecordKey<'_> {
    fn seal(&self, text: &[u8]) -> Result<String, StoreError> {
        let seal = self.key(Missing::IsMade)?;
        let seal = seal.ok_or_else(|| self.unusable("there is no key to seal it with"))?;
        Ok(seal.seal(PLACE, text))
    }

    fn open(&self, sealed: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let key = self.dir.join(KEY_FILE);
        let Some(seal) = self.key(Missing::IsNone)? else {
            let why = format!(
                "what it has sealed cannot be opened: the session's key {} is missing",
                key.display()
            );
            return Err(self.unusable(why));
        };
        seal.open(PLACE, sealed).map_err(|_| {
            self.unusable(format!(
                "what it has sealed does not open with the session's key {}: one of the two is damaged, or another session's",
                key.display()
            ))
        })
    }

    fn key(&self, missing: Missing) -> Result<Option<TextSeal>, StoreError> {
        let masters = self.masters.get().map_err(|e| self.failure(e))?;
        let seal = TextSeal::of_record(self.dir, &masters, missing);
        seal.map_err(|e| self.failure(e))
    }

    fn failure(&self, error: SpaceError) -> StoreError {
        let sealed = "the key to what is sealed in it cannot be used";
        match error {
            SpaceError::Unusable { why } => self.unusable(format!("{sealed}: {why}")),
            other => {
                let why = std::io::Error::other(other.to_string());
                StoreError::unavailable("use the key to", &self.file(), why)
            }
        }
    }

    fn unusable(&self, why: impl Into<String>) -> StoreError {
        StoreError::unusable(&self.file(), why)
    }

    fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }
}
