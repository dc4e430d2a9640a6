//! The Noise protocol's symmetric half: the running hash, the chaining key, and the ciphers it ends
//! in.

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use wacore_libsignal::crypto::{
    TransportAead, aes_256_gcm_decrypt, aes_256_gcm_encrypt, transport_aead,
};

/// A message that was not made with the expected keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NoiseError {
    #[error("a message does not decrypt")]
    Decrypt,
    #[error("a key agrees with nobody")]
    BadKey,
}

/// Noise's `SymmetricState` for AESGCM and SHA256.
pub(crate) struct Symmetric {
    hash: [u8; 32],
    chain: [u8; 32],
    key: Option<[u8; 32]>,
    counter: u64,
}

impl Symmetric {
    /// Starts from the full name of the protocol, as in `Noise_XX_25519_AESGCM_SHA256`.
    pub(crate) fn new(name: &str, prologue: &[u8]) -> Self {
        let mut hash = [0; 32];
        if let Some(start) = hash.get_mut(..name.len()) {
            start.copy_from_slice(name.as_bytes());
        } else {
            hash = Sha256::digest(name).into();
        }
        let mut state = Self {
            hash,
            chain: hash,
            key: None,
            counter: 0,
        };
        state.mix_hash(prologue);
        state
    }

    pub(crate) fn mix_hash(&mut self, data: &[u8]) {
        let mut hasher = Sha256::new();
        hasher.update(self.hash);
        hasher.update(data);
        self.hash = hasher.finalize().into();
    }

    pub(crate) fn mix_key(&mut self, secret: Option<[u8; 32]>) -> Result<(), NoiseError> {
        let (chain, key) = self.derive(&secret.ok_or(NoiseError::BadKey)?);
        self.chain = chain;
        self.key = Some(key);
        self.counter = 0;
        Ok(())
    }

    pub(crate) fn encrypt_and_hash(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + 16);
        if let Some(key) = self.key {
            aes_256_gcm_encrypt(&key, &nonce(self.counter), &self.hash, plain, &mut out)
                .expect("invariant: AES-256-GCM takes a key of 32 and a nonce of 12 bytes");
            self.counter += 1;
        } else {
            out.extend_from_slice(plain);
        }
        self.mix_hash(&out);
        out
    }

    pub(crate) fn decrypt_and_hash(&mut self, sealed: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut out = Vec::with_capacity(sealed.len());
        if let Some(key) = self.key {
            aes_256_gcm_decrypt(&key, &nonce(self.counter), &self.hash, sealed, &mut out)
                .map_err(|_| NoiseError::Decrypt)?;
            self.counter += 1;
        } else {
            out.extend_from_slice(sealed);
        }
        self.mix_hash(sealed);
        Ok(out)
    }

    /// The ciphers of the two directions: from the initiator, and to it.
    pub(crate) fn split(self) -> (Cipher, Cipher) {
        let (from_initiator, to_initiator) = self.derive(&[]);
        (Cipher::new(&from_initiator), Cipher::new(&to_initiator))
    }

    fn derive(&self, secret: &[u8]) -> ([u8; 32], [u8; 32]) {
        let mut out = [0; 64];
        Hkdf::<Sha256>::new(Some(&self.chain), secret)
            .expand(&[], &mut out)
            .expect("invariant: two blocks are less than 255");
        let mut halves = ([0; 32], [0; 32]);
        halves.0.copy_from_slice(&out[..32]);
        halves.1.copy_from_slice(&out[32..]);
        halves
    }
}

/// One direction of an established connection: a key and a counter.
pub(crate) struct Cipher {
    aead: Box<dyn TransportAead>,
    counter: u64,
}

impl Cipher {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            aead: transport_aead(key).expect("invariant: AES-256-GCM takes a key of 32 bytes"),
            counter: 0,
        }
    }

    /// Encrypts in place, and appends the tag.
    pub(crate) fn seal(&mut self, buffer: &mut Vec<u8>) {
        self.aead
            .encrypt_in_place(&nonce(self.counter), b"", buffer)
            .expect("invariant: AES-256-GCM encrypts any frame of less than 16 MiB");
        self.counter += 1;
    }

    /// Decrypts in place, and removes the tag.
    pub(crate) fn open(&mut self, buffer: &mut Vec<u8>) -> Result<(), NoiseError> {
        self.aead
            .decrypt_in_place(&nonce(self.counter), b"", buffer)
            .map_err(|_| NoiseError::Decrypt)?;
        self.counter += 1;
        Ok(())
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_longer_than_a_hash_is_hashed() {
        let long = "Noise_XXfallback_25519_AESGCM_SHA256";
        let mut expected = Symmetric {
            hash: Sha256::digest(long).into(),
            chain: [0; 32],
            key: None,
            counter: 0,
        };
        expected.mix_hash(b"WA");
        assert_eq!(Symmetric::new(long, b"WA").hash, expected.hash);
    }

    #[test]
    fn directions_do_not_mix_and_counters_count() {
        let ends = || Symmetric::new("Noise_XX_25519_AESGCM_SHA256", b"").split();
        let ((mut ours, _), (mut theirs, mut other)) = (ends(), ends());
        for text in [b"one".to_vec(), b"two".to_vec()] {
            let mut sealed = text.clone();
            ours.seal(&mut sealed);
            assert_eq!(other.open(&mut sealed.clone()), Err(NoiseError::Decrypt));
            theirs.open(&mut sealed).unwrap();
            assert_eq!(sealed, text);
        }
    }
}
