//! The phone uploads the file of a message again, when a device cannot fetch it any more.

use buffa::Message as _;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeValue};
use waproto::whatsapp::media_retry_notification::ResultType;
use waproto::whatsapp::{MediaRetryNotification, Message, ServerErrorReceipt};

use super::login::Session;
use super::{Connection, Step};
use crate::content::{file_of, set_direct_path};
use crate::crypto::{aes_gcm_open, aes_gcm_seal, hkdf_sha256, random};
use crate::fault::Fault;
use crate::mailbox::{Class, Letter};
use crate::observation::Observation;
use crate::party::Address;
use crate::shared::now;
use crate::stanza::{attr, child_content};
use crate::world::World;

/// What the key between a device and its phone is derived for.
const PURPOSE: &[u8] = b"WhatsApp Media Retry Notification";

/// How a device is told that there is no such file.
const NOT_FOUND: u16 = 2;

impl Connection {
    /// Takes a receipt of type `server-error`.
    pub(super) fn take_media_retry(
        &mut self,
        stanza: &Node,
        session: &Session,
        device: &Address,
    ) -> Step {
        let id = attr(stanza, "id").unwrap_or_default();
        let answered = !self.has_fault(&Fault::NoMediaRetry)
            && self.shared.world().upload_again(device, &id, stanza);
        self.shared.see(Observation::MediaRetried {
            connection: self.id,
            jid: session.jid.clone(),
            id,
            answered,
        });
        Step::Continue(())
    }
}

impl World {
    /// Uploads the file of a message again, and tells the device where it is. False: nothing was uploaded.
    fn upload_again(&mut self, device: &Address, id: &str, receipt: &Node) -> bool {
        let found = self.conversations.find(id, |_| true).and_then(|entry| {
            let message = Message::decode_from_slice(&entry.plain).ok()?;
            Some((entry.message.position, file_of(&message)?.1, message))
        });
        let Some((position, file, mut message)) = found else {
            self.post(device, answer(device, self, id, receipt, vec![not_found()]));
            return false;
        };
        let mut key = [0; 32];
        hkdf_sha256(&file.key, None, PURPOSE, &mut key);
        if !is_asked_for(&key, id, receipt) {
            tracing::warn!("{device} asks for the file of {id} without knowing its key");
            return false;
        }
        let path = self.media.upload_again(&file.direct_path);
        let result = MediaRetryNotification {
            stanza_id: Some(id.to_owned()),
            direct_path: path.clone(),
            result: Some(match path {
                Some(_) => ResultType::SUCCESS,
                None => ResultType::NOT_FOUND,
            }),
            ..MediaRetryNotification::default()
        };
        let nonce = random::<12>();
        let sealed = aes_gcm_seal(&key, &nonce, id.as_bytes(), &result.encode_to_vec());
        let encrypt = NodeBuilder::new("encrypt")
            .children([
                NodeBuilder::new("enc_p").bytes(sealed).build(),
                NodeBuilder::new("enc_iv").bytes(nonce).build(),
            ])
            .build();
        let letter = answer(device, self, id, receipt, vec![encrypt]);
        self.post(device, letter);
        let Some(path) = path else { return false };
        set_direct_path(&mut message, &path);
        if let Some(entry) = self.conversations.get_mut(position) {
            entry.plain = message.encode_to_vec();
        }
        true
    }
}

/// Whether a receipt was made by somebody who has the key of the file.
fn is_asked_for(key: &[u8; 32], id: &str, receipt: &Node) -> bool {
    let opened = || {
        let encrypt = receipt.get_optional_child("encrypt")?;
        let nonce: [u8; 12] = child_content(encrypt, "enc_iv")?.try_into().ok()?;
        let sealed = child_content(encrypt, "enc_p")?;
        let plain = aes_gcm_open(key, &nonce, id.as_bytes(), sealed)?;
        ServerErrorReceipt::decode_from_slice(&plain).ok()
    };
    opened().is_some_and(|asked| asked.stanza_id.as_deref() == Some(id))
}

fn not_found() -> Node {
    NodeBuilder::new("error").attr("code", NOT_FOUND).build()
}

fn answer(
    device: &Address,
    world: &World,
    id: &str,
    receipt: &Node,
    mut children: Vec<Node>,
) -> Letter {
    children.extend(receipt.get_optional_child("rmr").cloned());
    let phone = world.state.accounts.get(&device.phone);
    let from = phone.map_or_else(
        || NodeValue::from(device.phone.as_str()),
        |account| NodeValue::Jid(account.jid(0)),
    );
    Letter {
        stanza: NodeBuilder::new("notification")
            .attr("from", from)
            .attr("type", "mediaretry")
            .attr("id", id)
            .attr("t", now())
            .children(children)
            .build(),
        class: Class::Notification,
        id: id.to_owned(),
        from: device.phone.clone(),
        participant: None,
        plain: None,
    }
}
