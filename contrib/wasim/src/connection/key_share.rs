//! The one message that the phone sends a device: the keys of the account's app state.

use buffa::{Message as _, MessageField};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId,
    AppStateSyncKeyShare, ProtocolMessage,
};

use super::login::Session;
use super::{Connection, Phase, Step};
use crate::account::Account;
use crate::crypto::message_id;
use crate::fault::Fault;
use crate::observation::Observation;
use crate::party::{Address, bundle};
use crate::settings::AppState;
use crate::shared::now;
use crate::stanza::attr;

/// How often the phone sends its keys on one connection, to a device that cannot read them or asks
/// again.
const MAX_SHARES: u32 = 4;

/// The keys that were sent on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    count: u32,
    /// The id of the last message.
    last: Option<String>,
}

impl Connection {
    /// Sends a device the keys as soon as it has prekeys and has asked for delivery. A device that has not
    /// acknowledged them gets them again when it comes back.
    pub(super) async fn share_keys(&mut self, session: &Session) -> Step {
        let ready = match &self.phase {
            Phase::LoggedIn(session) => session.active && session.shares.last.is_none(),
            _ => false,
        };
        let wanting = {
            let world = self.shared.world();
            let device = world.device(&session.phone, session.device);
            device.is_some_and(|device| !device.keys_shared && !device.prekeys.is_empty())
        };
        if !ready || !wanting {
            return Step::Continue(());
        }
        self.send_keys(session).await
    }

    /// Sends the keys once more, because the device could not read them, or asks for something that only the
    /// phone can give.
    pub(super) async fn share_keys_again(&mut self, session: &Session) -> Step {
        let Phase::LoggedIn(current) = &self.phase else {
            return Step::Continue(());
        };
        if current.shares.count >= MAX_SHARES {
            return Step::Continue(());
        }
        self.send_keys(session).await
    }

    /// The device has got a message.
    pub(super) async fn delivered(&mut self, receipt: &Node, session: &Session) {
        let Phase::LoggedIn(current) = &self.phase else {
            return;
        };
        let id = attr(receipt, "id");
        if id.is_none() || id != current.shares.last {
            return;
        }
        if let Some(device) = self
            .shared
            .world()
            .device_mut(&session.phone, session.device)
        {
            device.keys_shared = true;
        }
        self.shared.persist().await;
    }

    async fn send_keys(&mut self, session: &Session) -> Step {
        let id = message_id();
        if let Phase::LoggedIn(current) = &mut self.phase {
            current.shares.count += 1;
            current.shares.last = Some(id.clone());
        }
        let withheld = self
            .session()
            .is_some_and(|(_, account)| account.settings.app_state == AppState::NoKeys);
        if withheld || self.has_fault(&Fault::NoKeyShare) {
            return Step::Continue(());
        }
        let prekey = {
            let mut world = self.shared.world();
            let device = world.device_mut(&session.phone, session.device);
            device
                .filter(|device| !device.prekeys.is_empty())
                .map(|device| device.prekeys.remove(0))
        };
        self.shared.persist().await;
        let Some((_, account)) = self.session() else {
            return Step::Continue(());
        };
        let Some(device) = account.devices.get(&session.device) else {
            return Step::Continue(());
        };
        let text = key_share(&account).encode_to_vec();
        let sealed = {
            let address = Address::new(&session.phone, session.device);
            let mut world = self.shared.world();
            let phone = world.party(&session.phone);
            // Always in a new session: the device may have lost the one there was.
            bundle(device, prekey.as_ref())
                .and_then(|bundle| phone.meet(&address, &bundle))
                .and_then(|()| phone.encrypt(&address, &text))
        };
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!("{} cannot be sent the app-state keys: {error}", session.jid);
                return Step::Continue(());
            }
        };
        let sealed = NodeBuilder::new("enc")
            .attr("v", "2")
            .attr("type", sealed.kind)
            .bytes(sealed.bytes)
            .build();
        let message = NodeBuilder::new("message")
            .attr("from", account.jid(0))
            .attr("type", "text")
            .attr("category", "peer")
            .attr("id", id)
            .attr("t", now())
            .attr("notify", account.push_name.as_str())
            .children([sealed])
            .build();
        self.send(&message).await?;
        self.shared.see(Observation::KeysShared {
            connection: self.id,
            jid: session.jid.clone(),
        });
        Step::Continue(())
    }
}

fn key_share(account: &Account) -> Message {
    let key = AppStateSyncKey {
        key_id: MessageField::some(AppStateSyncKeyId {
            key_id: Some(account.sync_key.id.0.clone()),
        }),
        key_data: MessageField::some(AppStateSyncKeyData {
            key_data: Some(account.sync_key.key.0.to_vec()),
            fingerprint: MessageField::some(AppStateSyncKeyFingerprint {
                raw_id: Some(account.raw_id),
                current_index: Some(0),
                device_indexes: vec![0],
            }),
            timestamp: i64::try_from(account.sync_key.created).ok(),
        }),
    };
    let message = ProtocolMessage {
        r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
        app_state_sync_key_share: MessageField::some(AppStateSyncKeyShare { keys: vec![key] }),
        ..ProtocolMessage::default()
    };
    Message {
        protocol_message: MessageField::some(message),
        ..Message::default()
    }
}
