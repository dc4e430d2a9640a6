//! The kinds of value that only the daemon has.

use std::fmt;

use toml::de::DeValue;

use crate::service::config::kinds::{Kind, quoted, single, string};
use crate::service::logging::check_filter;
use crate::supervisor::{OnConflict, OnLocked};
use crate::whatsapp::{Presence, Proxy, check_endpoint};

/// A version of WhatsApp Web.
pub type Version = (u32, u32, u32);

/// Somebody who sees and controls every session, as the file names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// A user, by name.
    User(String),
    /// A user, by number.
    Uid(u32),
    /// The members of a group: `"@name"`.
    Group(String),
}

/// Who chooses the proxies of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnProxies {
    /// Only admins.
    Admins,
    /// Also the owners of sessions.
    Owners,
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => f.write_str(name),
            Self::Uid(uid) => write!(f, "{uid}"),
            Self::Group(name) => write!(f, "@{name}"),
        }
    }
}

pub(super) fn admin(value: &DeValue<'_>) -> Result<Admin, String> {
    let text = match value {
        // A bare number is what somebody writes who thinks of uids.
        DeValue::Integer(number) => number.as_str().to_owned(),
        other => string(other)?,
    };
    let wrong = || {
        format!(
            "{text:?} is no user and no group: write a user name, a uid, or \"@\" and a group name"
        )
    };
    let (group, name) = match text.strip_prefix('@') {
        Some(name) => (true, name),
        None => (false, text.as_str()),
    };
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "@:,/".contains(c)) {
        return Err(wrong());
    }
    if group {
        return Ok(Admin::Group(name.to_owned()));
    }
    if name.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return name.parse().map(Admin::Uid).map_err(|_| wrong());
    }
    Ok(Admin::User(name.to_owned()))
}

pub(super) fn write_admin(admin: &Admin) -> String {
    quoted(&admin.to_string())
}

pub(super) fn own_proxies() -> impl Kind<OwnProxies> {
    let read = |value: &DeValue<'_>| match string(value)?.as_str() {
        "admins" => Ok(OwnProxies::Admins),
        "owners" => Ok(OwnProxies::Owners),
        other => Err(format!(
            "{other:?} is not who chooses the proxies of sessions: write \"admins\" (only admins) or \"owners\" \
             (also those who created the sessions)"
        )),
    };
    single(read, |who: &OwnProxies| {
        quoted(match who {
            OwnProxies::Admins => "admins",
            OwnProxies::Owners => "owners",
        })
    })
}

pub(super) fn on_conflict() -> impl Kind<OnConflict> {
    let read = |value: &DeValue<'_>| match string(value)?.as_str() {
        "logout" => Ok(OnConflict::Logout),
        "park" => Ok(OnConflict::Park),
        other => Err(format!(
            "{other:?} is not a way to answer a conflict: write \"logout\" (the session ends and its \
             credentials are removed) or \"park\" (it stops and waits for a person)"
        )),
    };
    single(read, |answer: &OnConflict| {
        quoted(match answer {
            OnConflict::Logout => "logout",
            OnConflict::Park => "park",
        })
    })
}

pub(super) fn on_locked() -> impl Kind<OnLocked> {
    let read = |value: &DeValue<'_>| match string(value)?.as_str() {
        "hold" => Ok(OnLocked::Hold),
        "logout" => Ok(OnLocked::Logout),
        other => Err(format!(
            "{other:?} is not a way to answer a lock: write \"hold\" (the credentials are kept, and it is \
             tried again rarely, for two weeks) or \"logout\" (the session ends at once and its credentials \
             are removed)"
        )),
    };
    single(read, |answer: &OnLocked| {
        quoted(match answer {
            OnLocked::Hold => "hold",
            OnLocked::Logout => "logout",
        })
    })
}

pub(super) fn presence() -> impl Kind<Presence> {
    let read = |value: &DeValue<'_>| match string(value)?.as_str() {
        "unavailable" => Ok(Presence::Unavailable),
        "available" => Ok(Presence::Available),
        other => Err(format!(
            "{other:?} is no presence: write \"unavailable\" (the phones go on to show notifications) or \
             \"available\" (contacts see the accounts online, and the phones may stay silent)"
        )),
    };
    single(read, |presence: &Presence| {
        quoted(match presence {
            Presence::Unavailable => "unavailable",
            Presence::Available => "available",
        })
    })
}

pub(super) fn endpoint() -> impl Kind<String> {
    let read = |value: &DeValue<'_>| {
        let endpoint = string(value)?;
        match check_endpoint(&endpoint) {
            Ok(_) => Ok(endpoint),
            Err(why) => Err(why.to_string()),
        }
    };
    single(read, |endpoint: &String| quoted(endpoint))
}

pub(super) fn version() -> impl Kind<Version> {
    let read = |value: &DeValue<'_>| {
        let wrong = || {
            "write the version as a string of three numbers, like \"2.3000.1020000000\"".to_owned()
        };
        let text = value.as_str().ok_or_else(wrong)?;
        let parts: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
        match parts.as_deref() {
            Ok([_, _, 0]) => Err("revision 0 is no version of WhatsApp Web".to_owned()),
            Ok([major, minor, patch]) => Ok((*major, *minor, *patch)),
            _ => Err(wrong()),
        }
    };
    single(read, |(major, minor, patch): &Version| {
        quoted(&format!("{major}.{minor}.{patch}"))
    })
}

/// The phone shows this under Linked devices, in one line.
pub(super) fn device_name() -> impl Kind<String> {
    let read = |value: &DeValue<'_>| {
        let name = string(value)?;
        if name.chars().count() > 50 || name.trim() != name {
            return Err(
                "a device name has at most 50 characters, and no space around it".to_owned(),
            );
        }
        Ok(name)
    };
    single(read, |name: &String| quoted(name))
}

pub(super) fn proxy() -> impl Kind<Proxy> {
    let read = |value: &DeValue<'_>| {
        // The URL is not repeated: it may hold a password.
        Proxy::parse(&string(value)?).map_err(|why| why.to_string())
    };
    single(read, |proxy: &Proxy| {
        let shown = proxy.to_string();
        if proxy.has_user() {
            return quoted(&shown.replacen("://", "://[hidden]@", 1));
        }
        quoted(&shown)
    })
}

pub(super) fn filter() -> impl Kind<String> {
    let read = |value: &DeValue<'_>| {
        let filter = string(value)?;
        check_filter(&filter).map(|()| filter)
    };
    single(read, |filter: &String| quoted(filter))
}
