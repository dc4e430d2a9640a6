//! The registration of a client that wants to be linked.

use buffa::Message as _;
use waproto::whatsapp::DeviceProps;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use crate::account::PublicPreKey;
use crate::crypto::{Bytes, Key};

/// What a client registers with.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub noise_key: Key,
    pub identity: Key,
    pub id: u32,
    pub signed_prekey: PublicPreKey,
    pub name: String,
}

impl Registration {
    /// None when something is missing that a device needs.
    pub(super) fn read(noise_key: Key, data: &DevicePairingRegistrationData) -> Option<Self> {
        let props = data.device_props.as_deref().unwrap_or_default();
        let name = DeviceProps::decode_from_slice(props)
            .ok()
            .and_then(|props| props.os);
        Some(Self {
            noise_key,
            identity: Key::from_slice(data.e_ident.as_deref()?)?,
            id: u32::try_from(number(data.e_regid.as_deref()?)).ok()?,
            signed_prekey: PublicPreKey {
                id: u32::try_from(number(data.e_skey_id.as_deref()?)).ok()?,
                key: Key::from_slice(data.e_skey_val.as_deref()?)?,
                signature: Bytes(data.e_skey_sig.clone()?),
            },
            name: name.unwrap_or_default(),
        })
    }

    /// Whether the signed prekey is signed with the identity key.
    pub(super) fn is_signed(&self) -> bool {
        let (Some(identity), Some(prekey)) =
            (self.identity.public(), self.signed_prekey.key.public())
        else {
            return false;
        };
        identity.verify_signature(&prekey.serialize(), &self.signed_prekey.signature.0)
    }
}

/// A big-endian number of up to eight bytes.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
