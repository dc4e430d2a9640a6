//! The number of a request that could not be read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::protocol::codec::{CodecError, Encoding};
use crate::protocol::{Command, Failure, FailureCode};

/// The outside of a request: its number, and the name of its command.
#[derive(Debug, Deserialize)]
struct Envelope {
    id: u64,
    command: Name,
}

/// The name of a command, whatever belongs to it.
#[derive(Debug)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Outside)
    }
}

struct Outside;

impl<'de> Visitor<'de> for Outside {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command: its name, or an object with its name as the only key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Name, A::Error> {
        let mut name = None;
        while let Some((key, IgnoredAny)) = map.next_entry::<String, _>()? {
            name.get_or_insert(key);
        }
        Ok(Name(name.unwrap_or_default()))
    }
}

/// The answer to a request that cannot be read, and its number. In JSON both are known: frames stay in
/// step whatever is in them. `None`: no frame after this one can be trusted.
pub(super) fn refusal(
    encoding: Encoding,
    frame: &[u8],
    error: &CodecError,
) -> Option<(u64, Failure)> {
    if encoding != Encoding::Json {
        return None;
    }
    let Envelope { id, command } = Encoding::Json.decode(frame).ok()?;
    let name: String = command.0.chars().take(64).collect();
    let failure = if Command::NAMES.contains(&name.as_str()) {
        let message = format!("The command {name:?} could not be read: {error}");
        Failure::new(FailureCode::InvalidRequest, message)
    } else {
        let message = format!(
            "wasessiond {} knows no command {name:?}; it knows {}. A newer client may need a newer daemon",
            env!("CARGO_PKG_VERSION"),
            Command::NAMES.join(", ")
        );
        Failure::new(FailureCode::UnknownCommand, message)
    };
    Some((id, failure))
}
