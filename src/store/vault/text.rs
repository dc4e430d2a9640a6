//! Seals short texts that stand in files which people read: a field of `session.toml`, or of a line of the
//! history.
//!
//! A sealed text is `base64(nonce (24 bytes) || XChaCha20-Poly1305(text))`. Its key is derived from that of a
//! [`KeyFile`] and from what the text is. Its place is associated data: what was moved to another place does not
//! open.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use super::keys::{self, KeyFile};
use super::master::MasterKeys;
use super::seal::{self, DoesNotOpen, Key};
use crate::protocol::UserId;
use crate::store::space::SpaceError;

/// Seals texts of one kind.
pub(in crate::store) struct TextSeal {
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for TextSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextSeal")
    }
}

/// Whether a key that is missing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Missing {
    /// It is made, durably.
    IsMade,
    /// It is not: nothing that it has sealed is there.
    IsNone,
}

impl TextSeal {
    /// For what the record of a session hides. Its key is the session's own, so it goes with the session.
    pub(in crate::store) fn of_record(
        dir: &Path,
        user: &UserId,
        masters: &MasterKeys,
        missing: Missing,
    ) -> Result<Option<Self>, SpaceError> {
        Self::of(&KeyFile::new(dir, user), "record", masters, missing)
    }

    /// For what the lines of the history hide, and the intents, which become such lines.
    pub(in crate::store) fn of_lines(
        state: &Path,
        masters: &MasterKeys,
        missing: Missing,
    ) -> Result<Option<Self>, SpaceError> {
        Self::of(&KeyFile::of_state(state), "line", masters, missing)
    }

    /// Whether something has the name of the key of [`TextSeal::of_lines`].
    pub(in crate::store) fn is_for_lines(state: &Path) -> bool {
        state.join(keys::STATE_FILE).symlink_metadata().is_ok()
    }

    fn of(
        file: &KeyFile,
        what: &str,
        masters: &MasterKeys,
        missing: Missing,
    ) -> Result<Option<Self>, SpaceError> {
        let key = match (file.read(masters)?, missing) {
            (None, Missing::IsMade) => Some(file.create(masters)?),
            (key, _) => key,
        };
        Ok(key.map(|key| Self::new(&key, what)))
    }

    pub(super) fn new(key: &Key, what: &str) -> Self {
        let key = seal::derive(key, &[b"wasessiond text 1", what.as_bytes()]);
        Self {
            cipher: seal::cipher(&key),
        }
    }

    /// Seals a text that belongs there.
    pub(in crate::store) fn seal(&self, place: &[&str], text: &[u8]) -> String {
        BASE64_STANDARD.encode(seal::seal(&self.cipher, &bound_to(place), text))
    }

    /// Opens a text that belongs there.
    pub(in crate::store) fn open(
        &self,
        place: &[&str],
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let bytes = BASE64_STANDARD.decode(sealed).map_err(|_| DoesNotOpen)?;
        seal::open(&self.cipher, &bound_to(place), &bytes)
    }
}

/// Each part counts with its length.
fn bound_to(place: &[&str]) -> Vec<u8> {
    let mut bound = Vec::new();
    for part in place {
        bound.extend((part.len() as u64).to_be_bytes());
        bound.extend(part.as_bytes());
    }
    bound
}

#[cfg(test)]
impl TextSeal {
    /// One with a key that nobody else has.
    pub(in crate::store) fn random() -> Self {
        Self::new(&keys::random_key().expect("a key"), "test")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_opens_in_its_place_only(
            text in prop::collection::vec(any::<u8>(), 0..300),
            place in prop::collection::vec("[a-z]{0,4}", 0..3),
            other in prop::collection::vec("[a-z]{0,4}", 0..3),
            bit in any::<prop::sample::Index>(),
        ) {
            let (mine, another) = (TextSeal::random(), TextSeal::random());
            let place: Vec<_> = place.iter().map(String::as_str).collect();
            let other: Vec<_> = other.iter().map(String::as_str).collect();
            let sealed = mine.seal(&place, &text);
            let opened = mine.open(&place, &sealed);
            prop_assert_eq!(opened.map(|text| text.to_vec()), Ok(text.clone()));
            prop_assert!(another.open(&place, &sealed).is_err());
            prop_assert_eq!(mine.open(&other, &sealed).is_ok(), place == other);
            prop_assert_ne!(mine.seal(&place, &text), sealed.clone(), "each has a nonce of its own");
            let mut bytes = BASE64_STANDARD.decode(&sealed).expect("base64");
            let bit = bit.index(8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(mine.open(&place, &BASE64_STANDARD.encode(&bytes)).is_err());
            for short in [bit / 8, 0] {
                bytes.truncate(short);
                prop_assert!(mine.open(&place, &BASE64_STANDARD.encode(&bytes)).is_err());
            }
            prop_assert!(mine.open(&place, "no base64!").is_err());
        }
    }
}
