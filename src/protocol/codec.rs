//! Messages as bytes, in either encoding.
//!
//! - **bincode**: bincode 2's `config::standard()` (little endian, variable-length integers) through
//!   serde. A message is exactly one frame: bytes left over are an error. What a frame claims to
//!   hold is limited before anything is allocated, so no few bytes can ask for a terabyte.
//! - **json**: `serde_json`, UTF-8, one object a frame.
//!
//! bincode breaks when a field is added, so every change to the types is a new version of the
//! protocol. Attributes that bincode cannot carry (`skip_serializing_if`, `flatten`, `untagged`,
//! internally tagged enums) must not be used in these types; the golden-bytes tests notice.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_FRAME;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Compact, for programs in Rust.
    Bincode,
    /// For scripts and other languages.
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
