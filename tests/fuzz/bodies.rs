//! What is done with the bytes of a fuzzer. The fuzzer's targets and the ordinary tests share it.
//!
//! Each takes any bytes and panics where a promise of the protocol is broken.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasessiond::protocol::codec::{CodecError, Encoding};
use wasessiond::protocol::preface::{Hello, Welcome, spoken_revision};
use wasessiond::protocol::{MAX_FRAME, Message, Request, View};

pub(crate) const ENCODINGS: [Encoding; 2] = [Encoding::Bincode, Encoding::Json];

/// A request as it comes from a client.
pub(crate) fn request(bytes: &[u8]) {
    for encoding in ENCODINGS {
        round::<Request>(encoding, bytes);
    }
}

/// A message as it comes from the daemon, and what it does to a client's picture.
pub(crate) fn message(bytes: &[u8]) {
    for encoding in ENCODINGS {
        if let Some(message) = round::<Message>(encoding, bytes) {
            View::default().follow(&message);
        }
    }
}

/// The first frame, in each direction.
pub(crate) fn preface(bytes: &[u8]) {
    if let Ok(hello) = Hello::parse(bytes) {
        assert!(!hello.client.contains(char::is_control), "{hello:?}");
        let again = Hello::parse(hello.to_string().as_bytes());
        assert_eq!(again.as_ref(), Ok(&hello));
    }
    if let Ok(welcome) = Welcome::parse(bytes) {
        if let Welcome::Error(why) = &welcome {
            // Any number is one that a client may print.
            let _ = spoken_revision(why);
        }
        let again = Welcome::parse(welcome.to_string().as_bytes());
        assert_eq!(again.as_ref(), Ok(&welcome));
    }
}

/// Whatever can be read can be written, and what was written reads as the same, in either encoding.
fn round<T>(encoding: Encoding, bytes: &[u8]) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let Ok(value) = encoding.decode::<T>(bytes) else {
        return None;
    };
    for other in ENCODINGS {
        let written = match other.encode(&value) {
            Ok(written) => written,
            // In JSON a newer daemon may say what this revision of bincode has no place for.
            Err(CodecError::Encode(_)) if other == Encoding::Bincode => continue,
            // Not everything that is small in one encoding fits into a frame in the other.
            Err(_) => {
                assert!(bytes.len() > MAX_FRAME / 8, "{value:?} cannot be written");
                continue;
            }
        };
        let again = other.decode::<T>(&written);
        let again = again.unwrap_or_else(|e| panic!("{value:?} reads as {e} in {other}"));
        assert_eq!(again, value, "in {other}");
        // And there is one way to write it.
        assert_eq!(other.encode(&again).ok(), Some(written), "in {other}");
    }
    Some(value)
}
