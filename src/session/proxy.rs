//! Changes of a session's proxy.

use crate::protocol::{Failure, FailureCode, ProxyEdit};
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
            ProxyEdit::Set(url) => match Proxy::parse(url.reveal()) {
                Ok(_) => Self::To(Some(ProxyChoice::Url(url))),
                Err(why) => {
                    let message = format!("the proxy cannot be used: {why}. Nothing was changed");
                    return Err(Failure::new(FailureCode::InvalidArgument, message));
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
