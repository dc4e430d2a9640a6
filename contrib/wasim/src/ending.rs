//! The ways WhatsApp ends a stream, refuses a login, and answers an unlink.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stanza::Stanza;

/// A `<stream:error>`: everything but its presence is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamError {
    /// The `code` attribute.
    pub code: Option<String>,
    /// The children, such as `<conflict type="device_removed"/>`.
    pub children: Vec<Stanza>,
    /// Leave the socket open afterwards, and go on answering nothing. Otherwise it is closed.
    pub keep_open: bool,
    /// Send `<xmlstreamend/>` after the error, before closing.
    pub end_stream: bool,
}

impl StreamError {
    /// `<stream:error code=".."/>` without children.
    #[must_use]
    pub fn code(code: u16) -> Self {
        Self {
            code: Some(code.to_string()),
            ..Self::default()
        }
    }

    /// `<stream:error/>`: no code, no children.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// What a device gets when the person removes it on the phone: 401 with
    /// `<conflict type="device_removed"/>`.
    #[must_use]
    pub fn device_removed() -> Self {
        Self::code(401).conflict("device_removed")
    }

    /// What a connection gets when another one logs in with the same credentials.
    #[must_use]
    pub fn replaced() -> Self {
        Self::empty().conflict("replaced")
    }

    /// Adds `<conflict type=".."/>`.
    #[must_use]
    pub fn conflict(self, kind: &str) -> Self {
        self.child(Stanza::new("conflict").attr("type", kind))
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, child: Stanza) -> Self {
        self.children.push(child);
        self
    }

    /// Leaves the socket open.
    #[must_use]
    pub fn keep_open(mut self) -> Self {
        self.keep_open = true;
        self
    }

    /// Sends `<xmlstreamend/>` after it.
    #[must_use]
    pub fn end_stream(mut self) -> Self {
        self.end_stream = true;
        self
    }

    pub(crate) fn stanza(&self) -> Stanza {
        let mut stanza = Stanza::new("stream:error");
        if let Some(code) = &self.code {
            stanza = stanza.attr("code", code);
        }
        stanza.children.clone_from(&self.children);
        stanza
    }
}

/// A `<failure>`: the login is refused, then the socket is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Failure {
    /// The reason, such as 401. None leaves the attribute out.
    pub reason: Option<u16>,
    /// Which data centre refused, such as `odn` or `rva`.
    pub location: Option<String>,
    /// The kind of a temporary ban, such as 101.
    pub code: Option<u32>,
    /// Seconds until a temporary ban is over, from now.
    pub expire: Option<u64>,
    /// Text for a person.
    pub message: Option<String>,
    /// Where to read more.
    pub url: Option<String>,
    /// The one-time token with which the owner of a locked account may appeal.
    pub appeal_token: Option<String>,
    /// Headline of the text that WhatsApp shows when it locks an account.
    pub logout_message_header: Option<String>,
    /// The rest of that text.
    pub logout_message_subtext: Option<String>,
    /// Language of that text, such as `en`.
    pub logout_message_locale: Option<String>,
    /// Any other attributes.
    pub extra: BTreeMap<String, String>,
}

impl Failure {
    /// `<failure reason=".."/>` with a location, as the real server sends one.
    #[must_use]
    pub fn reason(reason: u16) -> Self {
        Self {
            reason: Some(reason),
            location: Some("odn".to_owned()),
            ..Self::default()
        }
    }

    /// A locked account: 403 with an appeal token and the text WhatsApp shows.
    #[must_use]
    pub fn account_locked(appeal_token: &str) -> Self {
        Self {
            reason: Some(403),
            location: Some("rva".to_owned()),
            appeal_token: Some(appeal_token.to_owned()),
            logout_message_header: Some("You have been logged out".to_owned()),
            logout_message_subtext: Some("Open WhatsApp on your phone for details".to_owned()),
            logout_message_locale: Some("en".to_owned()),
            ..Self::default()
        }
    }

    /// A temporary ban of `code`, over in `expire` seconds.
    #[must_use]
    pub fn temporary_ban(code: u32, expire: u64) -> Self {
        Self {
            code: Some(code),
            expire: Some(expire),
            ..Self::reason(402)
        }
    }

    pub(crate) fn stanza(&self) -> Stanza {
        let mut stanza = Stanza::new("failure");
        let texts = [
            ("reason", self.reason.map(|n| n.to_string())),
            ("location", self.location.clone()),
            ("code", self.code.map(|n| n.to_string())),
            ("expire", self.expire.map(|n| n.to_string())),
            ("message", self.message.clone()),
            ("url", self.url.clone()),
            ("appeal_token", self.appeal_token.clone()),
            ("logout_message_header", self.logout_message_header.clone()),
            (
                "logout_message_subtext",
                self.logout_message_subtext.clone(),
            ),
            ("logout_message_locale", self.logout_message_locale.clone()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                stanza = stanza.attr(name, &text);
            }
        }
        stanza.attrs.extend(self.extra.clone());
        stanza
    }
}

/// What a client gets that asks to be unlinked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnlinkAnswer {
    /// The device is removed and the request answered; the socket stays open.
    Result,
    /// The device is removed; a 401 `device_removed` comes instead of the answer.
    ConflictOnly,
    /// The device is removed, the request answered, then 401 `device_removed`, as the real server
    /// does.
    #[default]
    ResultThenConflict,
    /// The request is answered with this error code; the device stays linked.
    Refuse(u16),
    /// No answer; the device stays linked.
    Ignore,
    /// The socket is closed without an answer; the device stays linked.
    CloseSocket,
    /// The socket is reset without an answer; the device stays linked.
    ResetSocket,
    /// The connection is frozen: nothing is read or sent on it any more, and the socket stays open. The device stays
    /// linked.
    Freeze,
    /// The device is removed, and the socket is reset before the answer is sent.
    LoseResult,
}
