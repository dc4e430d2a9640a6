//! A line about the end of a session: in the history, and before that among the intents.
//!
//! ```text
//! {"id":"<the removal>","entry":{"at":…,"user":…,"cause":…,…},"sealed":"<base64>"}
//! ```
//!
//! An operator can read it with a text editor. In clear are: when, whose session (the name of its user), the cause,
//! the uids of its owner and of who asked, how the unlink went, what was removed, since when the device was linked.
//! Sealed are: the account, WhatsApp's words, which may name anybody, the appeal token, and what WhatsApp forbade
//! the account, in WhatsApp's words. A line without any of these has nothing sealed.
//!
//! The sealed text is bound to the removal and to the user. An intent and its line in the history are the same
//! line: where the key is missing after a crash, the intent goes into the history as it is. A line that does not
//! open is shown without what is sealed, and is kept byte by byte.
//!
//! Lines of a former version have everything in clear. They are sealed when their file is rewritten: at the next
//! start.

mod seal;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

pub(super) use self::seal::LineSeal;
use super::vault::TextSeal;
use crate::protocol::{
    Account, Cause, HistoryEntry, Redacted, Removed, Restriction, Unlink, UserId,
};

/// The fields of an entry that are sealed.
const SECRETS: [&str; 4] = ["account", "text", "appeal_token", "restrictions"];

/// A line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The removal that the line belongs to. It keeps the line of an interrupted removal from being written
    /// twice.
    pub(super) id: String,
    pub(super) entry: HistoryEntry,
    form: Form,
}

/// How a line stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// As this version writes it.
    Own,
    /// Otherwise: a newer version has put more into it.
    Other(Box<str>),
    /// What is sealed in it could not be opened, and is not in the entry.
    Locked(Box<str>),
    /// In clear, by a former version. With what can be read of it, where this version would write it otherwise.
    InClear(Option<Box<str>>),
}

/// What is sealed of an entry, as one text.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Secrets {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appeal_token: Option<Redacted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restrictions: Vec<Restriction>,
}

/// A line as it is read.
#[derive(Deserialize)]
struct Read {
    id: String,
    entry: HistoryEntry,
    #[serde(default)]
    sealed: Option<String>,
}

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    entry: InClear<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<&'a str>,
}

/// What of an entry is in clear.
#[derive(Serialize)]
struct InClear<'a> {
    at: Timestamp,
    user: &'a UserId,
    cause: Cause,
    owner: u32,
    requested_by: Option<u32>,
    unlink: Unlink,
    removed: Removed,
    linked_at: Option<Timestamp>,
}

impl Secrets {
    fn take_from(entry: &mut HistoryEntry) -> Self {
        Self {
            account: entry.account.take(),
            text: entry.text.take(),
            appeal_token: entry.appeal_token.take(),
            restrictions: std::mem::take(&mut entry.restrictions),
        }
    }

    fn put_into(self, entry: &mut HistoryEntry) {
        entry.account = self.account;
        entry.text = self.text;
        entry.appeal_token = self.appeal_token;
        entry.restrictions = self.restrictions;
    }
}

impl Line {
    /// The line of this removal.
    pub(super) fn new(id: &str, entry: HistoryEntry) -> Self {
        Self {
            id: id.to_owned(),
            entry,
            form: Form::Own,
        }
    }

    /// Parses a line; `None` where it is none of a version that is known. Without a seal nothing is opened.
    pub(super) fn parse(text: &[u8], seal: Option<&TextSeal>) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let Read {
            id,
            mut entry,
            sealed,
        } = serde_json::from_slice(text).ok()?;
        let as_it_is = || Box::from(String::from_utf8_lossy(text));
        let in_clear = Secrets::take_from(&mut entry);
        let is_own = |sealed| readable(&id, &entry, sealed).is_ok_and(|own| own.as_bytes() == text);
        let (secrets, form) = match &sealed {
            None if in_clear == Secrets::default() && is_own(None) => (in_clear, Form::Own),
            None => {
                let rest = without_secrets(text)?;
                let own = readable(&id, &entry, None).ok()?;
                let is_known = serde_json::from_str::<Value>(&own).is_ok_and(|own| own == rest);
                let form = match in_clear == Secrets::default() {
                    // A former version wrote that there are none.
                    true if is_known => Form::Own,
                    true => Form::Other(as_it_is()),
                    false => Form::InClear((!is_known).then(|| rest.to_string().into())),
                };
                (in_clear, form)
            }
            Some(sealed) => match open(&id, &entry.user, sealed, seal) {
                None => (in_clear, Form::Locked(as_it_is())),
                Some((secrets, true)) if is_own(Some(sealed)) => (secrets, Form::Own),
                Some((secrets, _)) => (secrets, Form::Other(as_it_is())),
            },
        };
        secrets.put_into(&mut entry);
        Some(Self {
            id,
            entry: entry.bounded(),
            form,
        })
    }

    /// The line as it is to stand in its file, without the end of the line. Without a seal, what is to be sealed
    /// is left out, unless it was in clear before.
    pub(super) fn text(&self, seal: Option<&TextSeal>) -> serde_json::Result<String> {
        let rest = match &self.form {
            Form::Other(text) | Form::Locked(text) => return Ok(text.to_string()),
            Form::InClear(rest) => rest.as_deref(),
            Form::Own => None,
        };
        let sealed = match seal {
            Some(seal) if self.has_secrets() => Some(self.sealed(seal)?),
            _ => None,
        };
        match (rest, &sealed) {
            _ if seal.is_none() && self.is_in_clear() => self.text_in_clear(rest),
            (Some(rest), Some(sealed)) => {
                let mut line: Value = serde_json::from_str(rest)?;
                line["sealed"] = Value::from(sealed.as_str());
                serde_json::to_string(&line)
            }
            _ => readable(&self.id, &self.entry, sealed.as_deref()),
        }
    }

    /// Whether the line has anything that is to be sealed, or to be opened.
    pub(super) fn needs_seal(&self) -> bool {
        matches!(self.form, Form::Own | Form::InClear(_)) && self.has_secrets()
    }

    /// Whether its file has in clear what is to be sealed.
    pub(super) fn is_in_clear(&self) -> bool {
        matches!(self.form, Form::InClear(_))
    }

    /// Whether it has something sealed that could not be opened.
    pub(super) fn is_locked(&self) -> bool {
        matches!(self.form, Form::Locked(_))
    }

    /// Whether it stands in its file as this version writes it.
    #[cfg(test)]
    pub(super) fn is_own(&self) -> bool {
        self.form == Form::Own
    }

    fn has_secrets(&self) -> bool {
        let entry = &self.entry;
        entry.account.is_some()
            || entry.text.is_some()
            || entry.appeal_token.is_some()
            || !entry.restrictions.is_empty()
    }

    fn sealed(&self, seal: &TextSeal) -> serde_json::Result<String> {
        let secrets = Secrets::take_from(&mut self.entry.clone());
        let text = Zeroizing::new(serde_json::to_vec(&secrets)?);
        Ok(seal.seal(&place(&self.id, &self.entry.user), &text))
    }

    /// As a former version wrote it.
    fn text_in_clear(&self, rest: Option<&str>) -> serde_json::Result<String> {
        let rest = match rest {
            Some(rest) => Cow::from(rest),
            None => readable(&self.id, &self.entry, None)?.into(),
        };
        let mut line: Value = serde_json::from_str(&rest)?;
        let entry = serde_json::to_value(&self.entry)?;
        for name in SECRETS {
            line["entry"][name] = entry[name].clone();
        }
        serde_json::to_string(&line)
    }
}

/// What a sealed text is bound to.
fn place<'a>(id: &'a str, user: &'a UserId) -> [&'a str; 2] {
    [id, user.as_str()]
}

/// Opens what is sealed, and says whether this version knows all that is in it.
fn open(id: &str, user: &UserId, sealed: &str, seal: Option<&TextSeal>) -> Option<(Secrets, bool)> {
    let text = seal?.open(&place(id, user), sealed).ok()?;
    let secrets: Secrets = serde_json::from_slice(&text).ok()?;
    let own = serde_json::to_vec(&secrets).map(Zeroizing::new);
    let is_all = own.is_ok_and(|own| *own == *text);
    Some((secrets, is_all))
}

/// A line as this version writes it.
fn readable(id: &str, entry: &HistoryEntry, sealed: Option<&str>) -> serde_json::Result<String> {
    let HistoryEntry {
        at,
        user,
        cause,
        account: _,
        owner,
        requested_by,
        unlink,
        removed,
        text: _,
        appeal_token: _,
        restrictions: _,
        linked_at,
    } = entry;
    let entry = InClear {
        at: *at,
        user,
        cause: *cause,
        owner: *owner,
        requested_by: *requested_by,
        unlink: *unlink,
        removed: *removed,
        linked_at: *linked_at,
    };
    serde_json::to_string(&Written { id, entry, sealed })
}

/// What can be read of a line in clear when the rest is sealed.
fn without_secrets(text: &[u8]) -> Option<Value> {
    let mut line: Value = serde_json::from_slice(text).ok()?;
    let entry = line.get_mut("entry")?.as_object_mut()?;
    for name in SECRETS {
        entry.remove(name);
    }
    Some(line)
}

#[cfg(test)]
mod tests;
