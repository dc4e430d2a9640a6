//! The kinds of value that are more than a string or a number.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use super::reader::string;
use super::{Version, duration};
use crate::supervisor::OnConflict;
use crate::whatsapp::{check_endpoint, check_proxy};

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

pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(string(value)?);
    if path.is_absolute() {
        Ok(path)
    } else {
        // A daemon's working directory is nobody's business.
        Err(format!(
            "{} is not absolute: begin it with \"/\"",
            path.display()
        ))
    }
}

pub(super) fn mode(value: &DeValue<'_>) -> Result<u32, String> {
    if value.is_integer() {
        return Err("write the mode as a string of octal digits, like \"0660\"".to_owned());
    }
    let text = string(value)?;
    let octal = text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = u32::from_str_radix(&text, 8)
        .ok()
        .filter(|mode| octal && *mode <= 0o777);
    match mode {
        None => Err(format!(
            "{text:?} is not a mode: write octal digits, like \"0660\""
        )),
        Some(mode) if mode & 0o600 != 0o600 => Err(format!(
            "{text:?} keeps the socket's owner out: the mode must include 0600"
        )),
        Some(mode) => Ok(mode),
    }
}

pub(super) fn length(value: &DeValue<'_>) -> Result<Duration, String> {
    if value.is_integer() || value.is_float() {
        return Err(
            "a duration needs a unit: write it as a string, like \"5s\" or \"10m\"".to_owned(),
        );
    }
    duration::parse(&string(value)?)
}

/// `"never"`, or a duration.
pub(super) fn idle_after(value: &DeValue<'_>) -> Result<Option<Duration>, String> {
    if value.as_str() == Some("never") {
        return Ok(None);
    }
    length(value)
        .map(Some)
        .map_err(|why| format!("{why}; or \"never\""))
}

pub(super) fn on_conflict(value: &DeValue<'_>) -> Result<OnConflict, String> {
    match string(value)?.as_str() {
        "logout" => Ok(OnConflict::Logout),
        "park" => Ok(OnConflict::Park),
        other => Err(format!(
            "{other:?} is not a way to answer a conflict: write \"logout\" (the session ends and its \
             credentials are removed) or \"park\" (it stops and waits for a person)"
        )),
    }
}

pub(super) fn endpoint(value: &DeValue<'_>) -> Result<String, String> {
    let endpoint = string(value)?;
    match check_endpoint(&endpoint) {
        Ok(_) => Ok(endpoint),
        Err(why) => Err(why.to_string()),
    }
}

pub(super) fn version(value: &DeValue<'_>) -> Result<Version, String> {
    let wrong =
        || "write the version as a string of three numbers, like \"2.3000.1020000000\"".to_owned();
    let text = value.as_str().ok_or_else(wrong)?;
    let parts: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
    match parts.as_deref() {
        Ok([major, minor, patch]) => Ok((*major, *minor, *patch)),
        _ => Err(wrong()),
    }
}

/// The phone shows this under Linked devices, in one line.
pub(super) fn device_name(value: &DeValue<'_>) -> Result<String, String> {
    let name = string(value)?;
    if name.chars().count() > 50 || name.trim() != name {
        return Err("a device name has at most 50 characters, and no space around it".to_owned());
    }
    Ok(name)
}

pub(super) fn proxy(value: &DeValue<'_>) -> Result<String, String> {
    let url = string(value)?;
    match check_proxy(&url) {
        Ok(()) => Ok(url),
        // Not repeated here: it may hold a password.
        Err(_) => Err(
            "this is not a proxy's URL: write it like \"http://proxy.example.org:3128\". Only HTTP \
             proxies without a password are supported"
                .to_owned(),
        ),
    }
}

pub(super) fn filter(value: &DeValue<'_>) -> Result<String, String> {
    let text = string(value)?;
    match EnvFilter::builder().parse(&text) {
        Ok(_) => Ok(text),
        Err(why) => Err(format!(
            "{text:?} is not a filter ({why}): write a level, like \"info\", or parts and their \
             levels, like \"info,wasessiond::session=debug\""
        )),
    }
}
