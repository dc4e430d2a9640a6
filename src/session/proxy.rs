//! Changes of a session's proxy.

use crate::protocol::{Failure, FailureCode, ProxyEdit, ProxySource, Redacted, SessionProxy};
use crate::store::ProxyChoice;
use crate::whatsapp::Proxy;

/// A change of the proxy whose URL is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyChange {
    /// No change: the proxy is only shown.
    Nothing,
    /// To this choice; `None`: to what the configuration says.
    To(Option<ProxyChoice>),
}

impl ProxyChange {
    /// Reads a change as it came over the socket.
    pub(super) fn parse(edit: ProxyEdit) -> Result<Self, Failure> {
        Ok(match edit {
            ProxyEdit::Show => Self::Nothing,
            ProxyEdit::Clear => Self::To(None),
            ProxyEdit::None => Self::To(Some(ProxyChoice::Direct)),
            ProxyEdit::Set(url) => Self::To(Some(usable(url)?)),
        })
    }
}

/// Reads the proxy of a session that is to begin: a URL, or `none`.
///
/// # Errors
/// Why it cannot be used. The URL is not repeated.
pub fn parse_proxy(text: &Redacted) -> Result<ProxyChoice, Failure> {
    match ProxyChoice::from(text.reveal().to_owned()) {
        ProxyChoice::Direct => Ok(ProxyChoice::Direct),
        ProxyChoice::Url(url) => usable(url),
    }
}

fn usable(url: Redacted) -> Result<ProxyChoice, Failure> {
    match Proxy::parse(url.reveal()) {
        Ok(_) => Ok(ProxyChoice::Url(url)),
        Err(why) => {
            let message = format!("the proxy cannot be used: {why}. Nothing was changed");
            Err(Failure::new(FailureCode::InvalidArgument, message))
        }
    }
}

/// Whether these are the same proxy with the same login, however the URLs are written.
pub(super) fn is_same(one: &ProxyChoice, other: &ProxyChoice) -> bool {
    match (one, other) {
        (ProxyChoice::Url(one), ProxyChoice::Url(other)) => {
            let parse = |url: &Redacted| Proxy::parse(url.reveal()).ok();
            one == other || parse(one).is_some_and(|one| parse(other) == Some(one))
        }
        _ => one == other,
    }
}

/// Logs which proxy a session has from now on, and who chose it. Nobody is told its login.
pub fn log_proxy(by: u32, proxy: &SessionProxy) {
    let url = proxy.url.as_deref().unwrap_or("none");
    let whose = match proxy.source {
        ProxySource::Default => ", the configuration's",
        _ => "",
    };
    tracing::info!("the session's proxy is {url}{whose}; uid {by} chose it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_proxy_may_be_written_in_two_ways() {
        let url = |url: &str| ProxyChoice::Url(url.into());
        for (one, other, same) in [
            (
                url("http://me:pw@proxy:80"),
                url("HTTP://me:p%77@proxy/"),
                true,
            ),
            (
                url("http://me:pw@proxy:80"),
                url("http://me:px@proxy:80"),
                false,
            ),
            (url("http://proxy:80"), url("socks5://proxy:80"), false),
            (url("unreadable"), url("unreadable"), true),
            (url("unreadable"), url("another"), false),
            (url("http://proxy"), ProxyChoice::Direct, false),
            (ProxyChoice::Direct, ProxyChoice::Direct, true),
        ] {
            assert_eq!(is_same(&one, &other), same);
        }
        assert_eq!(parse_proxy(&"none".into()), Ok(ProxyChoice::Direct));
        let refused = parse_proxy(&"http://me:secret@".into()).expect_err("no proxy");
        assert!(!refused.message.contains("secret"), "{refused}");
    }

    #[test]
    fn a_wrong_url_is_refused_and_not_repeated() {
        let refused = ProxyChange::parse(ProxyEdit::Set("ftp://me:secret@proxy".into()));
        let failure = refused.expect_err("no proxy");
        assert_eq!(failure.code, FailureCode::InvalidArgument);
        assert!(!failure.message.contains("secret"), "{failure}");
        let url = || "socks5h://me:secret@localhost:9".into();
        assert_eq!(
            ProxyChange::parse(ProxyEdit::Set(url())),
            Ok(ProxyChange::To(Some(ProxyChoice::Url(url()))))
        );
    }
}
