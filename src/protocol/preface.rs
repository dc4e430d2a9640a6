//! The first frame in each direction: one line of text, so that any program can make it, and an old
//! client and a new daemon never misread each other.
//!
//! ```text
//! client:  wasession/1 json my-bot
//! daemon:  wasession/1 ok wasessiond/0.1.0
//! ```
//!
//! or `wasession/1 error <why>`, and the daemon closes. A line feed at the end is passed over.
//!
//! bincode has revisions, and a client says which one it speaks: `wasession/1 bincode/<revision> my-bot`.
//! A daemon that speaks another one refuses, and begins the reason with its own:
//! `wasession/1 error bincode/<revision> is spoken here, ..`. The client then connects again and speaks
//! JSON, which has no revisions.
//!
//! In every version, now and later, a preface begins with `wasession/`, the version in decimal digits
//! and a space: that much can always be read, and each side says its own version. What follows belongs
//! to the version.

use std::fmt;

use super::codec::Encoding;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The revision of the bincode encoding. Whatever changes the bytes of a message raises it: a test sees
/// to that.
pub const BINCODE_REVISION: u32 = 4;

/// The longest preface, in bytes.
pub const MAX_LEN: usize = 256;

const NAME: &str = "wasession";

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The encoding of everything after the preface.
    pub encoding: Encoding,
    /// What the client calls itself, for the log. Empty: nothing.
    pub client: String,
}

/// Why a preface is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefaceError {
    /// It is not the text of this protocol at all.
    #[error(
        "this is the control socket of wasessiond: begin with a frame \"wasession/{VERSION} json\" or \"wasession/{VERSION} bincode/{BINCODE_REVISION}\""
    )]
    NotThisProtocol,
    /// It is this protocol in a version that this side does not speak.
    #[error(
        "version {0} of the protocol is not spoken here, only version {VERSION}: use a client and a daemon of the same release"
    )]
    Version(u32),
    /// The encoding is not known.
    #[error("the encoding must be \"json\" or \"bincode/{BINCODE_REVISION}\"")]
    Encoding,
    /// It is bincode in a revision that this side does not speak, or without one. The text begins with
    /// the revision that is spoken: [`spoken_revision`] finds it there.
    #[error(
        "bincode/{BINCODE_REVISION} is spoken here, not {}: use json, which has no revisions, or a client and a daemon of the same release",
        Bincode(*.0)
    )]
    Revision(Option<u32>),
    /// The daemon refused, in its own words.
    #[error("the daemon refused the connection: {0}")]
    Refused(String),
}

/// `bincode/7`, or `bincode` where no revision is said.
struct Bincode(Option<u32>);

impl fmt::Display for Bincode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(revision) => write!(f, "bincode/{revision}"),
            None => f.write_str("bincode without a revision"),
        }
    }
}

impl Hello {
    /// Reads a client's preface.
    ///
    /// # Errors
    /// [`PrefaceError`] says what is wrong with it; its text is what the client is told.
    pub fn parse(frame: &[u8]) -> Result<Self, PrefaceError> {
        let rest = versioned(frame)?;
        let (encoding, client) = rest.split_once(' ').unwrap_or((rest, ""));
        let encoding = match encoding.split_once('/') {
            None if encoding == "json" => Encoding::Json,
            None if encoding == "bincode" => return Err(PrefaceError::Revision(None)),
            Some(("bincode", revision)) => match revision.parse() {
                Ok(BINCODE_REVISION) => Encoding::Bincode,
                Ok(other) => return Err(PrefaceError::Revision(Some(other))),
                Err(_) => return Err(PrefaceError::Encoding),
            },
            _ => return Err(PrefaceError::Encoding),
        };
        // It goes into a log line.
        let client = client.chars().filter(|c| !c.is_control()).collect();
        Ok(Self { encoding, client })
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}/{VERSION} {}", self.encoding)?;
        if self.encoding == Encoding::Bincode {
            write!(f, "/{BINCODE_REVISION}")?;
        }
        if !self.client.is_empty() {
            write!(f, " {}", self.client)?;
        }
        Ok(())
    }
}

/// What the daemon says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Welcome {
    /// Go on. The daemon's name and version.
    Ok(String),
    /// No, and why; the daemon closes.
    Error(String),
}

impl Welcome {
    /// Reads the daemon's preface.
    ///
    /// # Errors
    /// [`PrefaceError`], when it is not one, or of another version.
    pub fn parse(frame: &[u8]) -> Result<Self, PrefaceError> {
        let rest = versioned(frame)?;
        if let Some(server) = rest.strip_prefix("ok ") {
            return Ok(Self::Ok(server.to_owned()));
        }
        rest.strip_prefix("error ")
            .map(|why| Self::Error(why.to_owned()))
            .ok_or(PrefaceError::NotThisProtocol)
    }
}

/// The revision of bincode that the daemon speaks, where it refused another one: from its reason.
#[must_use]
pub fn spoken_revision(why: &str) -> Option<u32> {
    let (revision, _) = why.strip_prefix("bincode/")?.split_once(' ')?;
    revision.parse().ok()
}

impl fmt::Display for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(server) => write!(f, "{NAME}/{VERSION} ok {server}"),
            Self::Error(why) => write!(f, "{NAME}/{VERSION} error {why}"),
        }
    }
}

/// Takes `wasession/<our version> ` off, and returns the rest.
fn versioned(frame: &[u8]) -> Result<&str, PrefaceError> {
    if frame.len() > MAX_LEN {
        return Err(PrefaceError::NotThisProtocol);
    }
    let text = std::str::from_utf8(frame).map_err(|_| PrefaceError::NotThisProtocol)?;
    let text = text.trim_end_matches(['\r', '\n']);
    let (name, rest) = text.split_once('/').ok_or(PrefaceError::NotThisProtocol)?;
    if name != NAME {
        return Err(PrefaceError::NotThisProtocol);
    }
    let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let version = version.parse().map_err(|_| PrefaceError::NotThisProtocol)?;
    if version == VERSION {
        Ok(rest)
    } else {
        Err(PrefaceError::Version(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellos_read_back() {
        for encoding in [Encoding::Bincode, Encoding::Json] {
            for client in ["", "wactl/0.1.0", "a bot with spaces"] {
                let hello = Hello {
                    encoding,
                    client: client.to_owned(),
                };
                assert_eq!(Hello::parse(hello.to_string().as_bytes()), Ok(hello));
            }
        }
    }

    #[test]
    fn welcomes_read_back() {
        for welcome in [
            Welcome::Ok("wasessiond/9".to_owned()),
            Welcome::Error("too many connections".to_owned()),
        ] {
            assert_eq!(Welcome::parse(welcome.to_string().as_bytes()), Ok(welcome));
        }
    }

    #[test]
    fn wrong_hellos_say_what_is_wrong() {
        let long = [b"wasession/1 json ".as_slice(), &[b'x'; MAX_LEN]].concat();
        for (frame, error) in [
            (b"".as_slice(), PrefaceError::NotThisProtocol),
            (b"GET / HTTP/1.1", PrefaceError::NotThisProtocol),
            (b"wasession", PrefaceError::NotThisProtocol),
            (b"wasession/x json", PrefaceError::NotThisProtocol),
            (b"wasession/1\xff json", PrefaceError::NotThisProtocol),
            (b"wasession/2 json", PrefaceError::Version(2)),
            (b"wasession/0 json", PrefaceError::Version(0)),
            (b"wasession/1", PrefaceError::Encoding),
            (b"wasession/1 xml", PrefaceError::Encoding),
            (b"wasession/1 JSON", PrefaceError::Encoding),
            (b"wasession/1 json/1", PrefaceError::Encoding),
            (b"wasession/1 bincode", PrefaceError::Revision(None)),
            (b"wasession/1 bincode my-bot", PrefaceError::Revision(None)),
            (b"wasession/1 bincode/0", PrefaceError::Revision(Some(0))),
            (b"wasession/1 bincode/", PrefaceError::Encoding),
            (b"wasession/1 bincode/x", PrefaceError::Encoding),
            (b"wasession/1 bincode/4294967296", PrefaceError::Encoding),
            (&long, PrefaceError::NotThisProtocol),
        ] {
            assert_eq!(
                Hello::parse(frame),
                Err(error),
                "{:?}",
                frame.escape_ascii()
            );
        }
    }

    /// A daemon says which revision it speaks, in words and so that a client can read it.
    #[test]
    fn another_revision_is_told_the_one_that_is_spoken() {
        for theirs in [None, Some(BINCODE_REVISION + 1)] {
            let refusal = Welcome::Error(PrefaceError::Revision(theirs).to_string());
            let text = refusal.to_string();
            assert!(text.len() <= MAX_LEN, "{text}");
            let Ok(Welcome::Error(why)) = Welcome::parse(text.as_bytes()) else {
                panic!("{text} is no refusal");
            };
            assert_eq!(spoken_revision(&why), Some(BINCODE_REVISION), "{text}");
        }
        for other in [
            "too many connections",
            "bincode/x is spoken here",
            "bincode/7",
        ] {
            assert_eq!(spoken_revision(other), None);
        }
        assert_eq!(spoken_revision(&PrefaceError::Encoding.to_string()), None);
    }

    #[test]
    fn the_text_by_hand_works() {
        let typed = Hello::parse(b"wasession/1 json\n").expect("a line typed by a person");
        assert_eq!(typed.encoding, Encoding::Json);
    }
}
