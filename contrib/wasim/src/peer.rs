//! What a phone tells its devices in private when they ask for a message that the server does not have for them.

use buffa::{Message as _, MessageField};
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use waproto::whatsapp::message::peer_data_operation_request_response_message::peer_data_operation_result::PlaceholderMessageResendResponse;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{PeerDataOperationRequestResponseMessage, ProtocolMessage};
use waproto::whatsapp::{Message, MessageKey, WebMessageInfo};

use crate::content::unwrapped;
use crate::crypto::message_id;
use crate::mailbox::{Class, Letter};
use crate::party::Address;
use crate::person::Chat;
use crate::shared::now;
use crate::world::World;

impl World {
    /// The phone answers a device that asks for messages: those that the server does not have for linked devices.
    pub(crate) fn answer_peer(&mut self, device: &Address, request_id: &str, asked: &Message) {
        let protocol = unwrapped(asked).protocol_message.as_option();
        let Some(request) =
            protocol.and_then(|protocol| protocol.peer_data_operation_request_message.as_option())
        else {
            return;
        };
        let wanted = request.placeholder_message_resend_request.iter();
        let keys: Vec<MessageKey> = wanted
            .filter_map(|wanted| wanted.message_key.as_option().cloned())
            .collect();
        let results: Vec<PeerDataOperationResult> = keys
            .into_iter()
            .filter_map(|key| self.placeholder(key))
            .collect();
        if results.is_empty() {
            return;
        }
        let response = PeerDataOperationRequestResponseMessage {
            peer_data_operation_request_type: request.peer_data_operation_request_type,
            stanza_id: Some(request_id.to_owned()),
            peer_data_operation_result: results,
        };
        let message = Message {
            protocol_message: MessageField::some(ProtocolMessage {
                r#type: Some(Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE),
                peer_data_operation_request_response_message: MessageField::some(response),
                ..ProtocolMessage::default()
            }),
            ..Message::default()
        };
        self.tell_device(device, &message);
    }

    /// The message of this key, if only the phone has it.
    fn placeholder(&mut self, key: MessageKey) -> Option<PeerDataOperationResult> {
        let entry = self
            .conversations
            .find(key.id.as_deref()?, |_| true)
            .filter(|entry| entry.unavailable)?;
        let message = Message::decode_from_slice(&entry.plain).ok()?;
        let (at, from) = (entry.message.at, entry.message.from.clone());
        let info = WebMessageInfo {
            participant: key.participant.clone(),
            key: MessageField::some(key),
            message: MessageField::some(message),
            message_timestamp: Some(at / 1000),
            push_name: Some(self.name_of(&from)),
            ..WebMessageInfo::default()
        };
        Some(PeerDataOperationResult {
            placeholder_message_resend_response: MessageField::some(
                PlaceholderMessageResendResponse {
                    web_message_info_bytes: Some(info.encode_to_vec()),
                },
            ),
            ..PeerDataOperationResult::default()
        })
    }

    /// The phone tells a device something in private.
    fn tell_device(&mut self, device: &Address, message: &Message) {
        let phone = device.phone.clone();
        let sealed = match self.seal_for(&phone, device, &message.encode_to_vec()) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!("{phone} cannot tell {device} anything: {error}");
                return;
            }
        };
        let id = message_id();
        let enc = NodeBuilder::new("enc")
            .attr("v", "2")
            .attr("type", sealed.kind)
            .bytes(sealed.bytes)
            .build();
        let jid = self
            .addressing(&phone, &Chat::Person(phone.clone()))
            .jid(&phone, 0);
        let stanza = NodeBuilder::new("message")
            .attr("from", jid)
            .attr("type", "text")
            .attr("category", "peer")
            .attr("id", id.as_str())
            .attr("t", now())
            .attr("notify", self.name_of(&phone))
            .children([enc])
            .build();
        let letter = Letter {
            stanza,
            class: Class::Message,
            id,
            from: phone,
            participant: None,
            plain: None,
        };
        self.post(device, letter);
    }
}
