//! One encrypted message from the phone to a device: the start of a Signal session, with X3DH.

use async_trait::async_trait;
use wacore_libsignal::protocol::{
    CiphertextMessage, Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore,
    PreKeyBundle, ProtocolAddress, SessionRecord, SessionStore, SignalProtocolError, UsePQRatchet,
    message_encrypt, process_prekey_bundle,
};

use crate::account::{Account, Device, PublicPreKey};

type Result<T> = std::result::Result<T, SignalProtocolError>;

/// Encrypts `text` for a device, as the first message of a new session. Uses up `prekey`, if there
/// is one.
pub(crate) async fn first_message(
    account: &Account,
    device: &Device,
    prekey: Option<&PublicPreKey>,
    text: &[u8],
) -> Result<Vec<u8>> {
    let address = ProtocolAddress::new(&account.phone, u32::from(device.id).into());
    let bundle = bundle(device, prekey)?;
    let mut identity = Phone::new(account);
    let mut session = Session(None);
    process_prekey_bundle(
        &address,
        &mut session,
        &mut identity,
        &bundle,
        &mut rand::make_rng::<rand::rngs::StdRng>(),
        UsePQRatchet::No,
    )
    .await?;
    match message_encrypt(&padded(text), &address, &mut session, &mut identity).await? {
        CiphertextMessage::PreKeySignalMessage(message) => Ok(message.serialized().to_vec()),
        _ => Err(SignalProtocolError::InvalidState(
            "first_message",
            "the session is not new".to_owned(),
        )),
    }
}

fn bundle(device: &Device, prekey: Option<&PublicPreKey>) -> Result<PreKeyBundle> {
    let none = || SignalProtocolError::InvalidArgument("a device's key is none".to_owned());
    let one_time = match prekey {
        Some(prekey) => Some((prekey.id.into(), prekey.key.public().ok_or_else(none)?)),
        None => None,
    };
    PreKeyBundle::new(
        device.registration_id,
        u32::from(device.id).into(),
        one_time,
        device.signed_prekey.id.into(),
        device.signed_prekey.key.public().ok_or_else(none)?,
        device.signed_prekey.signature.0.clone(),
        IdentityKey::new(device.identity.public().ok_or_else(none)?),
    )
}

/// Plain texts are padded with 1 to 16 bytes that say how many they are.
fn padded(text: &[u8]) -> Vec<u8> {
    let [random] = crate::crypto::random::<1>();
    let count = random % 16 + 1;
    let mut padded = text.to_vec();
    padded.resize(text.len() + usize::from(count), count);
    padded
}

/// The phone's identity. It trusts whoever the server says the device is.
struct Phone {
    identity: IdentityKeyPair,
    registration_id: u32,
}

impl Phone {
    fn new(account: &Account) -> Self {
        Self {
            identity: IdentityKeyPair::new(
                IdentityKey::new(*account.identity.public_key()),
                account.identity.private_key().clone(),
            ),
            registration_id: account.registration_id,
        }
    }
}

#[async_trait]
impl IdentityKeyStore for Phone {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.identity.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &mut self,
        _: &ProtocolAddress,
        _: &IdentityKey,
    ) -> Result<IdentityChange> {
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(
        &self,
        _: &ProtocolAddress,
        _: &IdentityKey,
        _: Direction,
    ) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(None)
    }
}

/// The one session, for as long as it takes to send one message.
struct Session(Option<SessionRecord>);

#[async_trait]
impl SessionStore for Session {
    async fn load_session(&self, _: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.clone())
    }

    async fn has_session(&self, _: &ProtocolAddress) -> Result<bool> {
        Ok(self.0.is_some())
    }

    async fn store_session(&mut self, _: &ProtocolAddress, record: SessionRecord) -> Result<()> {
        self.0 = Some(record);
        Ok(())
    }
}
