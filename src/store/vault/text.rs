//! Seals short texts that stand in files which people read: a field of `session.toml`, or of a line of the
//! history.
//!
//! A sealed text is `base64(nonce (24 bytes) || XChaCha20-Poly1305(text))`. Its key is derived from that of a
//! [`KeyFile`] and from what the text is. Its place is associated data: what was moved to another place does not
//! open.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::XChaCha20Poly1305;
use zeroize::Zeroizing;

use super::keys::{self, KeyFile};
use super::master::MasterKeys;
use super::seal::{self, DoesNotOpen, Key};
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
        masters: &MasterKeys,
        missing: Missing,
    ) -> Result<Option<Self>, SpaceError> {
        Self::of(&KeyFile::new(dir), "record", masters, missing)
    }

    /// For what the lines of the history hide, and the intents, which become such lines.
    pub(in crate::store) fn of_lines(
        state: &Path,
        masters: &MasterKeys,
        missing: Missing,
    ) -> Result<Option<Self>, SpaceError> {
        Self::of(&KeyFile::of_state(state), "line", masters, missing)
    }

    /// Gives the file with the key of [`TextSeal::of_lines`], which cannot be used for this reason, another name.
    pub(in crate::store) fn set_aside_for_lines(
        state: &Path,
        why: &str,
    ) -> Result<PathBuf, SpaceError> {
        KeyFile::of_state(state).set_aside(why)
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
            (None, Missing::IsMade) if file.is_needed() => {
                return Err(file.unusable("it is missing, and what it has sealed is there"));
            }
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
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::blocking::{Room, UncancellableWork};
    use crate::store::vault::{MasterKey, rotate};

    #[tokio::test]
    async fn the_key_of_the_history_is_rotated_with_the_sessions() {
        let dir = tempfile::tempdir().expect("tempdir");
        let state = dir.path();
        fs::create_dir(state.join("sessions")).expect("mkdir");
        let masters = || MasterKeys::load(state, None);
        let seal = |missing| TextSeal::of_lines(state, &masters()?, missing);
        assert!(seal(Missing::IsNone).expect("no key").is_none());
        let sealed = seal(Missing::IsMade)
            .expect("a key")
            .expect("a key")
            .seal(&["a"], b"text");
        let (file, master) = (state.join(keys::STATE_FILE), state.join("key"));
        let [old_key, old_master] = [&file, &master].map(|file| fs::read(file).expect("read"));
        let rotated = |next| {
            let (ring, room) = (masters().expect("a master key"), Room::new("rotation", 1));
            async move {
                let work = |_: &crate::protocol::UserId| UncancellableWork::default();
                rotate(state, &ring, next, &room, work).await
            }
        };
        // As long as it cannot be wrapped anew, the old master key is needed.
        fs::write(&file, "damaged").expect("write");
        let next = Some(MasterKey::random().expect("a key"));
        let why = rotated(next).await.expect_err("damaged").to_string();
        assert!(why.contains("the key of the history in"), "{why}");
        assert_eq!(fs::read(&master).expect("read"), old_master);
        fs::write(&file, &old_key).expect("write");
        rotated(None).await.expect("it goes on");
        assert_ne!(fs::read(&master).expect("read"), old_master);
        assert_ne!(fs::read(&file).expect("read"), old_key);
        let opened = seal(Missing::IsNone)
            .expect("a key")
            .expect("a key")
            .open(&["a"], &sealed);
        assert_eq!(opened.expect("it opens").as_slice(), b"text");
        // No other master key is made for it, and a session's key in its place is none.
        fs::remove_file(&master).expect("remove");
        let why = masters().expect_err("missing").to_string();
        assert!(why.contains("is missing"), "{why}");
        fs::write(&master, &old_master).expect("write");
        assert!(seal(Missing::IsMade).is_err());
    }

    #[test]
    fn the_keys_of_sessions_and_of_the_history_are_not_taken_for_each_other() {
        let dir = tempfile::tempdir().expect("tempdir");
        let masters = MasterKeys::load(dir.path(), None).expect("a key");
        let alice = KeyFile::new(dir.path());
        fs::remove_file(dir.path().join("key")).expect("make room for hers");
        alice.create(&masters).expect("a key");
        fs::rename(dir.path().join("key"), dir.path().join(keys::STATE_FILE)).expect("rename");
        assert!(KeyFile::of_state(dir.path()).read(&masters).is_err());
    }

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
