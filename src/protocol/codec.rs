//! Messages as bytes, in either encoding.
//!
//! - **bincode**: bincode 2's `config::standard()` (little endian, variable-length integers) through
//!   serde. A message is exactly one frame: bytes left over are an error. What a frame claims to
//!   hold is limited before anything is allocated, so no few bytes can ask for a terabyte.
//! - **json**: `serde_json`, UTF-8, one object a frame.
//!
//! # bincode, byte by byte
//!
//! - An unsigned integer below 251 is one byte. Otherwise a byte says how many follow, little endian:
//!   251 two, 252 four, 253 eight. `bool` is a byte, 0 or 1.
//! - A string is the number of its bytes, as such an integer, and its UTF-8. A list is the number of its
//!   items, and the items.
//! - A struct is its fields, one after the other, in the order in which they are declared.
//! - An enum with data is the index of its variant, from 0, as such an integer, and then its fields.
//!   `Result` is one: 0 `Ok`, 1 `Err`. An `Option` is a byte, 0 or 1, and with 1 the value.
//! - [`UserId`](super::UserId), [`GroupJid`](super::GroupJid), [`Redacted`](super::Redacted), times, and
//!   names that may grow ([`Phase`](super::Phase), [`Cause`](super::Cause) and the like) are strings, the
//!   same as in JSON.
//!
//! So a field that is added breaks every reader, and raises the
//! [revision](super::preface::BINCODE_REVISION): see
//! [what may change](super#what-may-change-within-version-1). Attributes that bincode cannot carry (`skip_serializing_if`, `flatten`, `untagged`, internally tagged
//! enums) must not be used in these types; a test refuses them.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_FRAME;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Compact, for programs in Rust of the same release as the daemon.
    Bincode,
    /// For scripts, other languages, and daemons of another release.
    Json,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bincode => "bincode",
            Self::Json => "json",
        })
    }
}

/// A message that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not a message of this protocol in bincode.
    #[error("not a bincode message of this protocol: {0}")]
    Bincode(#[source] bincode::error::DecodeError),
    /// The bytes are not a message of this protocol in JSON.
    #[error("not a JSON message of this protocol: {0}")]
    Json(#[source] serde_json::Error),
    /// The message ends before the frame does.
    #[error("{0} bytes are left over after the message")]
    TrailingBytes(usize),
    /// The message does not fit into a frame.
    #[error("the message has {0} bytes, more than the {MAX_FRAME} a frame may have")]
    TooLarge(usize),
    /// The message cannot be written in this encoding.
    #[error("the message cannot be written: {0}")]
    Encode(String),
}

const BINCODE: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_FRAME>,
> = bincode::config::standard().with_limit::<MAX_FRAME>();

impl Encoding {
    /// Writes a message.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] when it does not fit into a frame; [`CodecError::Encode`] when it
    /// cannot be written at all.
    pub fn encode<T: Serialize>(self, message: &T) -> Result<Vec<u8>, CodecError> {
        let bytes = match self {
            Self::Bincode => bincode::serde::encode_to_vec(message, BINCODE)
                .map_err(|e| CodecError::Encode(e.to_string()))?,
            Self::Json => {
                serde_json::to_vec(message).map_err(|e| CodecError::Encode(e.to_string()))?
            }
        };
        // bincode's limit does not apply to writing.
        if bytes.len() > MAX_FRAME {
            return Err(CodecError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads a message that is a whole frame.
    ///
    /// # Errors
    /// [`CodecError`] says what is wrong with the bytes.
    pub fn decode<T: DeserializeOwned>(self, frame: &[u8]) -> Result<T, CodecError> {
        match self {
            Self::Bincode => {
                let (message, read) = bincode::serde::decode_from_slice(frame, BINCODE)
                    .map_err(CodecError::Bincode)?;
                match frame.len() - read {
                    0 => Ok(message),
                    left => Err(CodecError::TrailingBytes(left)),
                }
            }
            Self::Json => serde_json::from_slice(frame).map_err(CodecError::Json),
        }
    }
}
