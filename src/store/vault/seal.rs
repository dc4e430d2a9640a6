//! What seals the values of one session, and hides where they lie.
//!
//! The session's key gives two keys: one seals, one hides. A value is stored as
//! `nonce (24 bytes) || XChaCha20-Poly1305(group and name in clear, value)`, and its place as
//! `kind (1 byte) || HMAC(group) (16 bytes) || HMAC(name) (16 bytes)`. The stored place is associated data of the
//! seal, so a value that was moved to another place does not open; in another session's file it does not open
//! because that has another key. The same name has another HMAC in another group, and in another session.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::store::space::{Kind, Place};

/// A key: of a session, or the master key.
pub(super) type Key = Zeroizing<[u8; KEY]>;

/// The bytes of a key.
pub(super) const KEY: usize = 32;

/// The bytes of a nonce.
pub(super) const NONCE: usize = 24;

/// The bytes that a seal adds to what is sealed, besides the nonce.
pub(super) const TAG: usize = 16;

/// The bytes of an HMAC in a stored place.
const HIDDEN: usize = 16;

/// A place as it is stored.
pub(super) type StoredPlace = [u8; 1 + 2 * HIDDEN];

/// A group of a kind as the beginning of the stored places in it.
pub(super) type StoredGroup = [u8; 1 + HIDDEN];

/// Something does not open: its bytes, its place or the key is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct DoesNotOpen;

/// Seals the values of one session.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    hiding: Key,
}

impl Seal {
    /// The seal of the session whose key this is.
    pub(super) fn new(session_key: &Key) -> Self {
        let sealing = derive(session_key, &[b"wasessiond vault 1: seal"]);
        Self {
            cipher: cipher(&sealing),
            hiding: derive(session_key, &[b"wasessiond vault 1: places"]),
        }
    }

    /// The place as it is stored.
    pub(super) fn stored(&self, place: &Place) -> StoredPlace {
        let group = self.stored_group(place.kind, &place.group);
        let name = derive(&self.hiding, &[b"name", &group, &place.name]);
        let mut stored = [0; size_of::<StoredPlace>()];
        stored[..group.len()].copy_from_slice(&group);
        stored[group.len()..].copy_from_slice(&name[..HIDDEN]);
        stored
    }

    /// How the stored places of a group begin.
    pub(super) fn stored_group(&self, kind: Kind, group: &[u8]) -> StoredGroup {
        let hidden = derive(&self.hiding, &[b"group", &[kind.0], group]);
        let mut stored = [0; size_of::<StoredGroup>()];
        stored[0] = kind.0;
        stored[1..].copy_from_slice(&hidden[..HIDDEN]);
        stored
    }

    /// A value as it is stored. The place in clear is sealed with it.
    pub(super) fn seal(&self, stored: &StoredPlace, place: &Place, value: &[u8]) -> Vec<u8> {
        // The two lengths take at most ten bytes each.
        let room = place.group.len() + place.name.len() + value.len() + 20;
        let mut clear = Zeroizing::new(Vec::with_capacity(room));
        put(&mut clear, &place.group);
        put(&mut clear, &place.name);
        clear.extend_from_slice(value);
        self.seal_at(stored, &clear)
    }

    /// Opens a value that is stored there.
    pub(super) fn open(
        &self,
        stored: &[u8],
        sealed: &[u8],
    ) -> Result<(Place, Vec<u8>), DoesNotOpen> {
        let &kind = stored.first().ok_or(DoesNotOpen)?;
        let clear = self.open_at(stored, sealed)?;
        let mut rest = clear.as_slice();
        let group = take(&mut rest).ok_or(DoesNotOpen)?;
        let name = take(&mut rest).ok_or(DoesNotOpen)?;
        Ok((Place::new(Kind(kind), group, name), rest.to_vec()))
    }

    /// Seals some bytes that are stored there.
    pub(super) fn seal_at(&self, stored: &[u8], clear: &[u8]) -> Vec<u8> {
        seal(&self.cipher, stored, clear)
    }

    /// Opens some bytes that are stored there.
    pub(super) fn open_at(
        &self,
        stored: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        open(&self.cipher, stored, sealed)
    }
}

/// The cipher with this key.
pub(super) fn cipher(key: &Key) -> XChaCha20Poly1305 {
    let key: &[u8; KEY] = key;
    XChaCha20Poly1305::new(key.into())
}

/// Seals bytes with a random nonce, which comes first. Empty where they are too long for the cipher
/// (256 GiB): what is empty never opens.
pub(super) fn seal(cipher: &XChaCha20Poly1305, bound: &[u8], clear: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = rand::random();
    let payload = Payload {
        msg: clear,
        aad: bound,
    };
    let Ok(sealed) = cipher.encrypt(&XNonce::from(nonce), payload) else {
        return Vec::new();
    };
    [&nonce[..], &sealed].concat()
}

/// Opens what [`seal`] made.
pub(super) fn open(
    cipher: &XChaCha20Poly1305,
    bound: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let (nonce, msg) = sealed.split_first_chunk::<NONCE>().ok_or(DoesNotOpen)?;
    let payload = Payload { msg, aad: bound };
    let clear = cipher.decrypt(&XNonce::from(*nonce), payload);
    clear.map(Zeroizing::new).map_err(|_| DoesNotOpen)
}

/// The HMAC-SHA-256 of the parts under a key. Each part counts with its length.
pub(super) fn derive(key: &Key, parts: &[&[u8]]) -> Key {
    // HMAC fills a shorter key up with zeros; with a key of this length nothing can fail.
    let mut block = Zeroizing::new([0; 64]);
    block[..KEY].copy_from_slice(&key[..]);
    let block: &[u8; 64] = &block;
    let mut mac = <Hmac<Sha256> as KeyInit>::new(block.into());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Appends bytes with their length before them: seven bits a byte, the low ones first.
fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    let mut left = bytes.len();
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            into.push(low & 0x7f);
            break;
        }
        into.push(0x80 | low);
    }
    into.extend_from_slice(bytes);
}

/// Takes what [`put`] appended off the beginning.
fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut len = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        len |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let (bytes, rest) = from.split_at_checked(len)?;
            *from = rest;
            return Some(bytes);
        }
    }
    None
}
