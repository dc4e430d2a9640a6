//! A device's identity in an account: what the account and the device sign about each other.

use buffa::Message as _;
use wacore_binary::Node;
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVEncryptionType, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC,
};

use super::registration::Registration;
use crate::account::Account;
use crate::crypto::{Key, hmac_sha256};
use crate::settings::Hosting;
use crate::shared::now;
use crate::stanza::child_content;

/// The prefix of what the account signs: this device belongs to the account.
const ACCOUNT_SIGNATURE: &[u8] = &[6, 0];

/// The prefix of what the device signs: it belongs to this account.
const DEVICE_SIGNATURE: &[u8] = &[6, 1];

/// The same two for a device that is hosted.
const HOSTED_ACCOUNT_SIGNATURE: &[u8] = &[6, 5];
const HOSTED_DEVICE_SIGNATURE: &[u8] = &[6, 6];

/// What an account says about a new device.
pub(super) struct Statement {
    /// The encoded `ADVDeviceIdentity` that both sides sign.
    details: Vec<u8>,
    account_key: [u8; 32],
    account_signature: Vec<u8>,
    hosting: Hosting,
}

/// What is wrong in a statement that is sent, as a fault says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spoiled {
    pub hmac: bool,
    pub account_signature: bool,
}

impl Statement {
    /// The account signs that the device with this identity key belongs to it.
    pub(super) fn new(account: &Account, key_index: u32, identity: &Key) -> Self {
        let hosting = account.settings.hosting;
        let (kind, prefix) = if hosting == Hosting::Device {
            (ADVEncryptionType::HOSTED, HOSTED_ACCOUNT_SIGNATURE)
        } else {
            (ADVEncryptionType::E2EE, ACCOUNT_SIGNATURE)
        };
        let details = ADVDeviceIdentity {
            raw_id: Some(account.raw_id),
            timestamp: Some(now()),
            key_index: Some(key_index),
            account_type: Some(ADVEncryptionType::E2EE),
            device_type: Some(kind),
        }
        .encode_to_vec();
        let message = [prefix, &details, &identity.0].concat();
        Self {
            account_key: account.identity.public(),
            account_signature: account.identity.sign(&message).to_vec(),
            details,
            hosting,
        }
    }

    /// What the client is sent: authenticated with the secret that only it and the phone know.
    pub(super) fn container(&self, adv_secret: &[u8], spoiled: Spoiled) -> Vec<u8> {
        let mut signature = self.account_signature.clone();
        if spoiled.account_signature {
            signature[7] ^= 1;
        }
        let signed = ADVSignedDeviceIdentity {
            details: Some(self.details.clone()),
            account_signature_key: Some(self.account_key.to_vec()),
            account_signature: Some(signature),
            device_signature: None,
        }
        .encode_to_vec();
        // The container of a hosted account is authenticated with its prefix, the one of another account without.
        let hosted = self.hosting != Hosting::Not;
        let prefix = if hosted {
            HOSTED_ACCOUNT_SIGNATURE
        } else {
            &[]
        };
        let mut hmac = hmac_sha256(adv_secret, &[prefix, &signed]);
        if spoiled.hmac {
            hmac[0] ^= 1;
        }
        ADVSignedDeviceIdentityHMAC {
            details: Some(signed),
            hmac: Some(hmac.to_vec()),
            account_type: hosted.then_some(ADVEncryptionType::HOSTED),
        }
        .encode_to_vec()
    }

    /// Checks what the client signed. Returns the device's identity with both signatures, encoded.
    pub(super) fn verify(
        &self,
        registration: &Registration,
        answer: &Node,
    ) -> Result<Vec<u8>, &'static str> {
        let signed = answer
            .get_optional_child("pair-device-sign")
            .and_then(|sign| child_content(sign, "device-identity"))
            .and_then(|bytes| ADVSignedDeviceIdentity::decode_from_slice(bytes).ok())
            .ok_or("the answer to pair-success carries no device identity")?;
        if signed.details.as_ref() != Some(&self.details) {
            return Err("the client signed other details than it was sent");
        }
        let signature = signed.device_signature.as_deref().unwrap_or_default();
        let identity = registration
            .identity
            .public()
            .ok_or("the client's identity key is none")?;
        let is_signed = |prefix: &[u8]| {
            let identity_key = &registration.identity.0;
            let message = [prefix, &self.details, identity_key, &self.account_key].concat();
            identity.verify_signature(&message, signature)
        };
        // A hosted device is believed with either prefix. Clients differ here, and whoever checks the signature later
        // takes the hosted one.
        let hosted = self.hosting == Hosting::Device;
        let believed = is_signed(DEVICE_SIGNATURE) || hosted && is_signed(HOSTED_DEVICE_SIGNATURE);
        if !believed {
            return Err(
                "the device signature is not one of the identity key that the client registered",
            );
        }
        let whole = ADVSignedDeviceIdentity {
            account_signature_key: Some(self.account_key.to_vec()),
            account_signature: Some(self.account_signature.clone()),
            ..signed
        };
        Ok(whole.encode_to_vec())
    }
}
