//! The proxies through which WhatsApp can be reached.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use percent_encoding::percent_decode_str;

use crate::protocol::Redacted;

/// The longest user, password and host in bytes: SOCKS5 has one byte for each length.
const LONGEST: usize = 255;

/// A proxy, perhaps with a login. Displayed it is a URL without the login, and `Debug` shows no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(super) kind: ProxyKind,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: Option<Login>,
}

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyKind {
    /// HTTP, with CONNECT.
    Http,
    /// SOCKS5. The names of hosts are looked up here.
    Socks5,
    /// SOCKS5. The proxy looks the names of hosts up.
    Socks5h,
}

/// What a proxy asks for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Redacted,
    /// Empty: there is none.
    pub(super) password: Redacted,
}

/// Why a proxy cannot be used. The URL is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is not a URL.
    #[error(
        "this is not a proxy's URL: write it like \"http://proxy.example.org:3128\" or \"socks5h://user:password@proxy.example.org:1080\""
    )]
    NotAUrl,
    /// Another kind of proxy.
    #[error(
        "a proxy of this kind cannot be used: its URL begins with \"http://\", \"socks5://\" or \"socks5h://\""
    )]
    Scheme,
    /// Something stands behind the port.
    #[error("a proxy's URL ends after the port")]
    Path,
    /// A user or a password that is not encoded.
    #[error(
        "in a user and a password write \"@\" as \"%40\", \":\" as \"%3A\", \"/\" as \"%2F\", \"?\" as \"%3F\", \"#\" as \"%23\", a space as \"%20\", and \"%\" as \"%25\"; or leave the password out, and give the file that holds it: there it stands as it is"
    )]
    NotEncoded,
    /// A user or a password that no proxy could be told.
    #[error(
        "a user and a password of a proxy are at most 255 bytes each, without control characters; a user is not empty, and where the proxy speaks HTTP, it holds no \":\""
    )]
    Login,
    /// There is a password without a user.
    #[error(
        "a password is for a user: write the user before the proxy's host, like \"http://user@proxy.example.org:3128\""
    )]
    NoUser,
    /// There is one already.
    #[error("the proxy's URL has a password already")]
    HasPassword,
    /// A simulator build must not reach beyond this machine.
    #[error(
        "a simulator build reaches nothing beyond this machine, and no proxy elsewhere: give a loopback address, like \"http://127.0.0.1:3128\""
    )]
    NotLoopback,
}

impl ProxyKind {
    const fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }
}

impl Proxy {
    /// Reads a proxy's URL. User and password stand in it percent-encoded.
    ///
    /// # Errors
    /// [`ProxyError`] says why it cannot be used.
    pub fn parse(url: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = url.split_once("://").ok_or(ProxyError::NotAUrl)?;
        let (kind, usual_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, 80),
            "socks5" => (ProxyKind::Socks5, 1080),
            "socks5h" => (ProxyKind::Socks5h, 1080),
            _ => return Err(ProxyError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        if place.contains(['/', '?', '#']) {
            return Err(ProxyError::Path);
        }
        let login = login.map(|login| Login::parse(kind, login)).transpose()?;
        let place: http::uri::Authority = place.parse().map_err(|_| ProxyError::NotAUrl)?;
        let host = place.host();
        let port = match place.as_str().strip_prefix(host) {
            Some("") => usual_port,
            Some(port) => {
                let port = port.strip_prefix(':').ok_or(ProxyError::NotAUrl)?;
                port.parse::<NonZeroU16>()
                    .map_err(|_| ProxyError::NotAUrl)?
                    .get()
            }
            None => return Err(ProxyError::NotAUrl),
        };
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() || host.len() > LONGEST {
            return Err(ProxyError::NotAUrl);
        }
        // A name is looked up when the proxy is dialled, and no address beyond this machine is dialled.
        let address = host.parse::<IpAddr>();
        if cfg!(feature = "simulator") && address.is_ok_and(|address| !address.is_loopback()) {
            return Err(ProxyError::NotLoopback);
        }
        Ok(Self {
            kind,
            host: host.to_owned(),
            port,
            login,
        })
    }

    /// The same proxy with this password for its user.
    ///
    /// # Errors
    /// [`ProxyError`] where it has no user, or has a password, or this is none.
    pub fn with_password(mut self, password: &str) -> Result<Self, ProxyError> {
        let login = self.login.as_mut().ok_or(ProxyError::NoUser)?;
        if !login.password.reveal().is_empty() {
            return Err(ProxyError::HasPassword);
        }
        if password.is_empty() || !is_text(password) {
            return Err(ProxyError::Login);
        }
        login.password = password.into();
        Ok(self)
    }

    /// Whether a user goes with it.
    #[must_use]
    pub fn has_user(&self) -> bool {
        self.login.is_some()
    }

    /// Whether a password goes with it.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let login = self.login.as_ref();
        login.is_some_and(|login| !login.password.reveal().is_empty())
    }
}

impl Login {
    fn parse(kind: ProxyKind, text: &str) -> Result<Self, ProxyError> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decoded = |text: &str| {
            let half_encoded = text.split('%').skip(1).any(|code| {
                let code = code.as_bytes();
                code.len() < 2 || !code[..2].iter().all(u8::is_ascii_hexdigit)
            });
            if half_encoded || text.contains([':', '@', '/', '?', '#']) || text.contains(' ') {
                return Err(ProxyError::NotEncoded);
            }
            let text = percent_decode_str(text).decode_utf8();
            let text = text.map_err(|_| ProxyError::Login)?;
            let good = is_text(&text).then(|| text.into_owned());
            good.ok_or(ProxyError::Login)
        };
        let (user, password) = (decoded(user)?, decoded(password)?);
        if user.is_empty() || (kind == ProxyKind::Http && user.contains(':')) {
            return Err(ProxyError::Login);
        }
        Ok(Self {
            user: user.into(),
            password: password.into(),
        })
    }
}

fn is_text(text: &str) -> bool {
    text.len() <= LONGEST && !text.contains(char::is_control)
}

/// A host as it stands in a URL.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.kind.scheme(), bracketed(&self.host));
        write!(f, "{scheme}://{host}:{}", self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_proxies() {
        for (url, shown, login) in [
            ("http://127.0.0.1:3128", "http://127.0.0.1:3128", None),
            ("http://proxy.example", "http://proxy.example:80", None),
            ("HTTP://127.0.0.1:3128", "http://127.0.0.1:3128", None),
            ("Socks5H://localhost", "socks5h://localhost:1080", None),
            ("socks5://[::1]", "socks5://[::1]:1080", None),
            ("socks5h://localhost:9/", "socks5h://localhost:9", None),
            (
                "http://me:p%40s%3As@proxy:1",
                "http://proxy:1",
                Some(("me", "p@s:s")),
            ),
            ("socks5://me@proxy:1", "socks5://proxy:1", Some(("me", ""))),
            (
                "socks5://m%3Ae:%F0%9F%98%80@[::1]:1",
                "socks5://[::1]:1",
                Some(("m:e", "😀")),
            ),
        ] {
            let proxy = Proxy::parse(url).expect(url);
            assert_eq!(proxy.to_string(), shown);
            let read = proxy.login.as_ref();
            let read = read.map(|login| (login.user.reveal(), login.password.reveal()));
            assert_eq!(read, login, "{url}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_not_repeated() {
        let long = format!("http://me:pass{}@proxy:1", "x".repeat(LONGEST));
        for (url, why) in [
            ("proxy:3128", ProxyError::NotAUrl),
            ("", ProxyError::NotAUrl),
            ("http://", ProxyError::NotAUrl),
            ("http://me:pass@", ProxyError::NotAUrl),
            ("http://proxy:99999", ProxyError::NotAUrl),
            ("http://proxy:0", ProxyError::NotAUrl),
            ("http://proxy:", ProxyError::NotAUrl),
            ("http://me:pass@pro xy:1", ProxyError::NotAUrl),
            ("https://me:pass@proxy:1", ProxyError::Scheme),
            ("socks4://proxy", ProxyError::Scheme),
            ("http://me:pass@proxy:1/path", ProxyError::Path),
            ("http://me:pa@ss@proxy:1", ProxyError::NotEncoded),
            ("http://me:pa:ss@proxy:1", ProxyError::NotEncoded),
            ("http://me:pass%@proxy:1", ProxyError::NotEncoded),
            ("http://me:pass%zz@proxy:1", ProxyError::NotEncoded),
            ("http://me:pass%FF@proxy:1", ProxyError::Login),
            ("http://me:pass%0D%0A@proxy:1", ProxyError::Login),
            ("http://m%3Ae:pass@proxy:1", ProxyError::Login),
            ("http://:pass@proxy:1", ProxyError::Login),
            ("http://me:pa?ss@proxy:1", ProxyError::NotEncoded),
            ("http://me:pa#ss@proxy:1", ProxyError::NotEncoded),
            ("http://me:pa ss@proxy:1", ProxyError::NotEncoded),
            (&long, ProxyError::Login),
            (
                &format!("http://{}:1", "x".repeat(LONGEST + 1)),
                ProxyError::NotAUrl,
            ),
        ] {
            let refused = Proxy::parse(url).expect_err(url);
            assert_eq!(refused, why, "{url}");
            assert!(!refused.to_string().contains("pass@"), "{refused}");
        }
    }

    #[test]
    fn what_must_be_encoded_is_named_with_the_way_around_it() {
        let refused = Proxy::parse("http://me:p?a#ss@proxy:1").expect_err("not encoded");
        let told = refused.to_string();
        for part in [
            "\"?\" as \"%3F\"",
            "\"#\" as \"%23\"",
            "the file that holds it",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let encoded = Proxy::parse("http://me:p%3Fa%23s%20s@proxy:1").expect("encoded");
        let login = encoded.login.expect("a login");
        assert_eq!(login.password.reveal(), "p?a#s s");
    }

    #[test]
    #[cfg(feature = "simulator")]
    fn a_simulator_build_takes_no_proxy_elsewhere() {
        for url in ["http://192.0.2.1:1", "socks5h://me:pw@[2001:db8::1]:1"] {
            assert_eq!(Proxy::parse(url), Err(ProxyError::NotLoopback));
        }
    }

    #[test]
    fn a_password_is_for_a_user() {
        let with =
            |url: &str, password: &str| Proxy::parse(url).expect(url).with_password(password);
        let full = with("http://me@proxy:1", "p:w@d").expect("a login");
        assert!(full.has_password() && full.has_user());
        assert_eq!(with("http://proxy:1", "pw"), Err(ProxyError::NoUser));
        assert_eq!(
            with("http://me:x@proxy:1", "pw"),
            Err(ProxyError::HasPassword)
        );
        assert_eq!(with("http://me@proxy:1", ""), Err(ProxyError::Login));
        assert_eq!(with("http://me@proxy:1", "a\nb"), Err(ProxyError::Login));
    }

    #[test]
    fn a_login_is_not_shown() {
        let proxy = Proxy::parse("socks5://somebody:secret@proxy:1").expect("a proxy");
        let shown = format!("{proxy} {proxy:?} {proxy:#?} {:?}", Some(&proxy));
        assert!(
            !shown.contains("secret") && !shown.contains("somebody"),
            "{shown}"
        );
    }
}
