//! The certificate of the server's key: a root signs an intermediate key, and this one signs the server's
//! key.

use buffa::{Message as _, MessageField};
use serde::{Deserialize, Serialize};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

use crate::crypto::{Bytes, Key, Pair};

/// A server's key, and the chain that vouches for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certificate {
    root: Pair,
    key: Pair,
    chain: Bytes,
}

const DAY: u64 = 24 * 60 * 60;
const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;

impl Certificate {
    /// Makes a root, a chain and a key, valid from yesterday for ten years. `now` in seconds since
    /// 1970.
    pub(crate) fn generate(now: u64) -> Self {
        let (root, intermediate, key) = (Pair::generate(), Pair::generate(), Pair::generate());
        let details = |serial, issuer, key: &Pair| Details {
            serial: Some(serial),
            issuer_serial: Some(issuer),
            key: Some(key.public().to_vec()),
            not_before: Some(now.saturating_sub(DAY)),
            not_after: Some(now + 3650 * DAY),
        };
        let chain = CertChain {
            intermediate: signed(&root, &details(INTERMEDIATE_SERIAL, 0, &intermediate)),
            leaf: signed(
                &intermediate,
                &details(LEAF_SERIAL, INTERMEDIATE_SERIAL, &key),
            ),
        };
        Self {
            root,
            key,
            chain: Bytes(chain.encode_to_vec()),
        }
    }

    /// What the keys of this server's people follow from.
    pub(crate) fn secret(&self) -> Key {
        Key::from(self.root.clone())
    }

    pub(crate) fn root_key(&self) -> [u8; 32] {
        self.root.public()
    }

    /// The server's static key.
    pub(crate) fn key(&self) -> &Pair {
        &self.key
    }

    /// The encoded `CertChain`.
    pub(crate) fn chain(&self) -> &[u8] {
        &self.chain.0
    }
}

fn signed(issuer: &Pair, details: &Details) -> MessageField<NoiseCertificate> {
    let details = details.encode_to_vec();
    MessageField::some(NoiseCertificate {
        signature: Some(issuer.sign(&details).to_vec()),
        details: Some(details),
    })
}

#[cfg(test)]
mod tests {
    use wacore_libsignal::protocol::PublicKey;

    use super::*;

    #[test]
    fn each_link_of_the_chain_is_signed_by_the_one_above() {
        let certificate = Certificate::generate(1_700_000_000);
        let chain = CertChain::decode_from_slice(certificate.chain()).unwrap();
        let root = PublicKey::from_djb_public_key_bytes(&certificate.root_key()).unwrap();
        let (details, signature) = parts(&chain.intermediate);
        assert!(root.verify_signature(&details, &signature));
        let intermediate = Details::decode_from_slice(&details).unwrap();
        assert_eq!(intermediate.issuer_serial, Some(0));

        let issuer = PublicKey::from_djb_public_key_bytes(&intermediate.key.unwrap()).unwrap();
        let (details, signature) = parts(&chain.leaf);
        assert!(issuer.verify_signature(&details, &signature));
        let leaf = Details::decode_from_slice(&details).unwrap();
        assert_eq!(leaf.issuer_serial, intermediate.serial);
        assert_eq!(leaf.key.unwrap(), certificate.key().public());
        assert!(leaf.not_before < leaf.not_after);
    }

    #[test]
    fn it_stays_the_same_when_written_down() {
        let certificate = Certificate::generate(1_700_000_000);
        let text = serde_json::to_string(&certificate).unwrap();
        let read: Certificate = serde_json::from_str(&text).unwrap();
        assert_eq!(read.root_key(), certificate.root_key());
        assert_eq!(read.chain(), certificate.chain());
    }

    fn parts(certificate: &NoiseCertificate) -> (Vec<u8>, Vec<u8>) {
        (
            certificate.details.clone().unwrap(),
            certificate.signature.clone().unwrap(),
        )
    }
}
