//! The cryptographic primitives of the protocol.

use aes::Aes256;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ctr::Ctr128BE;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use wacore_libsignal::protocol::{KeyPair, PrivateKey, PublicKey};

/// A key of 32 bytes, in base64 when written down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub [u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(..)")
    }
}

impl Key {
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The key as one to agree or verify with.
    pub(crate) fn public(&self) -> Option<PublicKey> {
        PublicKey::from_djb_public_key_bytes(&self.0).ok()
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.base64())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Self::from_slice(&bytes).ok_or_else(|| D::Error::custom("a key has 32 bytes"))
    }
}

/// Bytes, in base64 when written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(D::Error::custom)
    }
}

/// Plain byte vectors as base64.
pub(crate) mod base64_bytes {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Bytes;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Bytes(bytes.to_vec()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        Bytes::deserialize(deserializer).map(|bytes| bytes.0)
    }
}

/// A Curve25519 key pair: the private half is kept, the public one follows from it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Key", into = "Key")]
pub(crate) struct Pair {
    private: PrivateKey,
    public: PublicKey,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pair(..)")
    }
}

impl TryFrom<Key> for Pair {
    type Error = wacore_libsignal::protocol::CurveError;

    fn try_from(key: Key) -> Result<Self, Self::Error> {
        let private = PrivateKey::deserialize(&key.0)?;
        let public = private.public_key()?;
        Ok(Self { private, public })
    }
}

impl From<Pair> for Key {
    fn from(pair: Pair) -> Self {
        Self(*pair.private.serialize())
    }
}

impl Pair {
    pub(crate) fn generate() -> Self {
        let pair = KeyPair::generate(&mut rand::rng());
        Self {
            private: pair.private_key,
            public: pair.public_key,
        }
    }

    /// The pair that follows from a secret and what it is for: always the same.
    pub(crate) fn derive(secret: &Key, purpose: &str) -> Self {
        let mut key = [0; 32];
        hkdf_sha256(&secret.0, None, purpose.as_bytes(), &mut key);
        key[0] &= 0xf8;
        key[31] = (key[31] & 0x7f) | 0x40;
        Self::try_from(Key(key)).expect("invariant: any 32 bytes in this form are a private key")
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.public
            .public_key_bytes()
            .try_into()
            .expect("invariant: a Curve25519 public key has 32 bytes")
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn private_key(&self) -> &PrivateKey {
        &self.private
    }

    /// The shared secret with the owner of `public`; None for a key that agrees with nobody.
    pub(crate) fn agree(&self, public: &[u8; 32]) -> Option<[u8; 32]> {
        let public = PublicKey::from_djb_public_key_bytes(public).ok()?;
        self.private.calculate_agreement(&public).ok()
    }

    /// A signature, by the scheme called `XEdDSA`.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.private
            .calculate_signature(message, &mut rand::rng())
            .expect("invariant: a Curve25519 private key can sign anything")
    }
}

/// An id of a message, as phones make them.
pub(crate) fn message_id() -> String {
    format!("3A{}", hex(&random::<10>()).to_uppercase())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes[..]);
    bytes
}

/// HMAC-SHA256 over the parts, one after the other.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF-SHA256. `out` must not be longer than 8160 bytes.
pub(crate) fn hkdf_sha256(secret: &[u8], salt: Option<&[u8]>, info: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::new(salt, secret)
        .expand(info, out)
        .expect("invariant: no caller wants more than 255 blocks");
}

/// PBKDF2-HMAC-SHA256 for one block of output, which is all the protocol takes.
pub(crate) fn pbkdf2_sha256(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    let keyed = keyed(password);
    let mut mac = keyed.clone();
    mac.update(salt);
    mac.update(&1u32.to_be_bytes());
    let mut block: [u8; 32] = mac.finalize().into_bytes().into();
    let mut out = block;
    for _ in 1..rounds {
        let mut mac = keyed.clone();
        mac.update(&block);
        block = mac.finalize().into_bytes().into();
        for (sum, byte) in out.iter_mut().zip(block) {
            *sum ^= byte;
        }
    }
    out
}

/// AES-256-CTR, which undoes itself.
pub(crate) fn aes_ctr(key: &[u8; 32], iv: &[u8; 16], data: &mut [u8]) {
    Ctr128BE::<Aes256>::new(key.into(), iv.into()).apply_keystream(data);
}

/// AES-256-GCM with its tag at the end.
pub(crate) fn aes_gcm_seal(
    key: &[u8; 32],
    nonce: &[u8; 12],
    bound_to: &[u8],
    plain: &[u8],
) -> Vec<u8> {
    let mut sealed = Vec::new();
    wacore_libsignal::crypto::aes_256_gcm_encrypt(key, nonce, bound_to, plain, &mut sealed)
        .expect("invariant: AES-256-GCM encrypts anything that fits in memory");
    sealed
}

/// Undoes [`aes_gcm_seal`]. None when the tag is wrong.
pub(crate) fn aes_gcm_open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    bound_to: &[u8],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    wacore_libsignal::crypto::aes_256_gcm_decrypt(key, nonce, bound_to, sealed, &mut plain).ok()?;
    Some(plain)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("invariant: HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pbkdf2_agrees_with_the_published_vector() {
        // RFC 7914, section 11 (first 32 of 64 bytes).
        let expected = [
            0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f, 0xec, 0x16, 0x91, 0xc2, 0x25, 0x44,
            0xb6, 0x05, 0xf9, 0x41, 0x85, 0x21, 0x6d, 0xde, 0x04, 0x65, 0xe6, 0x8b, 0x9d, 0x57,
            0xc2, 0x0d, 0xac, 0xbc,
        ];
        assert_eq!(pbkdf2_sha256(b"passwd", b"salt", 1), expected);
    }

    #[test]
    fn a_pair_survives_being_written_down() {
        let pair = Pair::generate();
        let text = serde_json::to_string(&pair).unwrap();
        let read: Pair = serde_json::from_str(&text).unwrap();
        assert_eq!(read.public(), pair.public());
        assert!(serde_json::from_str::<Pair>("\"AAAA\"").is_err());
    }

    #[test]
    fn a_pair_is_derived_again_the_same() {
        let secret = Key([3; 32]);
        let pair = Pair::derive(&secret, "one");
        assert_eq!(pair.public(), Pair::derive(&secret, "one").public());
        assert_ne!(pair.public(), Pair::derive(&secret, "two").public());
        let other = Pair::generate();
        assert_eq!(pair.agree(&other.public()), other.agree(&pair.public()));
        assert!(
            pair.public_key()
                .verify_signature(b"text", &pair.sign(b"text"))
        );
    }

    #[test]
    fn both_ends_agree_and_signatures_verify() {
        let (ours, theirs) = (Pair::generate(), Pair::generate());
        assert_eq!(ours.agree(&theirs.public()), theirs.agree(&ours.public()));
        let signature = ours.sign(b"text");
        assert!(ours.public_key().verify_signature(b"text", &signature));
        assert!(!theirs.public_key().verify_signature(b"text", &signature));
    }
}
