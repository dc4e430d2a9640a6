//! What WhatsApp calls things: accounts, phone numbers, groups.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The WhatsApp account a session is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Account {
    /// The device's JID: `<phone>:<device>@s.whatsapp.net`.
    pub jid: String,
    /// The phone number in E.164 form, with the plus sign.
    pub phone: String,
    /// The name the person gave themselves, when WhatsApp has told it.
    pub name: Option<String>,
}

/// A WhatsApp group of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Group {
    /// The group's JID.
    pub jid: GroupJid,
    /// Its subject: the title people see.
    pub subject: String,
    /// How many participants it has.
    pub size: u32,
}

/// The JID of a group: digits (and one dash in old ones), then `@g.us`. It travels as a string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupJid(String);

/// A string that is not the JID of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{shown:?} is not the JID of a group. A group's JID looks like 120363012345678901@g.us; `wactl groups USER` lists them"
)]
pub struct InvalidGroupJid {
    shown: String,
}

/// A phone number in E.164 form, kept as its digits. It travels as a string and reads with or
/// without the plus sign; spaces, dashes, dots and parentheses are ignored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

/// A string that is not a phone number in E.164 form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{shown:?} is not a phone number: give it with its country code, like +15550100999 (7 to 15 digits, no leading zero)"
)]
pub struct InvalidPhone {
    shown: String,
}

/// How much of a wrong string an error repeats, in characters.
const SHOWN: usize = 64;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

impl GroupJid {
    /// The JID as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_valid(text: &str) -> bool {
        let Some(local) = text.strip_suffix("@g.us") else {
            return false;
        };
        // Old groups are named <creator's phone>-<time>, newer ones by a number of 18 digits.
        let mut parts = local.splitn(2, '-');
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        local.len() <= 40 && parts.all(digits)
    }
}

impl TryFrom<String> for GroupJid {
    type Error = InvalidGroupJid;

    fn try_from(text: String) -> Result<Self, InvalidGroupJid> {
        if Self::is_valid(&text) {
            Ok(Self(text))
        } else {
            Err(InvalidGroupJid {
                shown: shown(&text),
            })
        }
    }
}

impl FromStr for GroupJid {
    type Err = InvalidGroupJid;

    fn from_str(text: &str) -> Result<Self, InvalidGroupJid> {
        Self::try_from(text.to_owned())
    }
}

impl From<GroupJid> for String {
    fn from(jid: GroupJid) -> Self {
        jid.0
    }
}

impl fmt::Display for GroupJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for GroupJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PhoneNumber {
    /// The digits, without the plus sign, as WhatsApp wants them.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = InvalidPhone;

    fn try_from(text: String) -> Result<Self, InvalidPhone> {
        let refused = || InvalidPhone {
            shown: shown(&text),
        };
        let body = text.trim();
        let body = body.strip_prefix('+').unwrap_or(body);
        if body.len() > SHOWN {
            return Err(refused());
        }
        let digits: String = body
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')'))
            .collect();
        let plausible = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if plausible {
            Ok(Self(digits))
        } else {
            Err(refused())
        }
    }
}

impl FromStr for PhoneNumber {
    type Err = InvalidPhone;

    fn from_str(text: &str) -> Result<Self, InvalidPhone> {
        Self::try_from(text.to_owned())
    }
}

impl From<PhoneNumber> for String {
    fn from(phone: PhoneNumber) -> Self {
        phone.to_string()
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_jids() {
        for good in ["120363012345678901@g.us", "15550100999-1600000000@g.us"] {
            assert!(good.parse::<GroupJid>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "@g.us",
            "15550100999@s.whatsapp.net",
            "12-@g.us",
            "-12@g.us",
            "1-2-3@g.us",
            "12a@g.us",
            "status@broadcast",
            "120363012345678901@g.us ",
        ] {
            assert!(bad.parse::<GroupJid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn phone_numbers() {
        for (text, digits) in [
            ("+15550100999", "15550100999"),
            ("15550100999", "15550100999"),
            (" +49 (151) 234-567.89 ", "4915123456789"),
        ] {
            assert_eq!(
                text.parse::<PhoneNumber>().map(|p| p.0),
                Ok(digits.to_owned())
            );
        }
        let long = "1".repeat(16);
        for bad in [
            "",
            "+",
            "123456",
            "0151234567",
            "+1555o100999",
            long.as_str(),
            "++15550100999",
        ] {
            assert!(bad.parse::<PhoneNumber>().is_err(), "{bad}");
        }
    }
}
