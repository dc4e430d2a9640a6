//! Requests about people: whether they use WhatsApp, their hidden number, their devices.

use buffa::Message as _;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeValue, Server};
use waproto::whatsapp::{ADVKeyIndexList, ADVSignedKeyIndexList};

use super::{Connection, Step};
use crate::account::{Account, lid_of};
use crate::person::phone_behind;
use crate::shared::now;
use crate::stanza::{content, result_of};

/// The prefix of what the account signs: the list of its valid devices.
const DEVICE_LIST_SIGNATURE: &[u8] = &[6, 2];

impl Connection {
    pub(super) async fn answer_users(&mut self, stanza: &Node) -> Step {
        let Some(request) = stanza.get_optional_child("usync") else {
            return self.send(&result_of(stanza).build()).await;
        };
        let protocols: Vec<String> = request
            .get_optional_child("query")
            .and_then(Node::children)
            .unwrap_or_default()
            .iter()
            .map(|protocol| protocol.tag.to_string())
            .collect();
        let asked = request
            .get_optional_child("list")
            .and_then(Node::children)
            .unwrap_or_default();
        let users: Vec<Node> = asked
            .iter()
            .filter_map(|user| self.describe_user(user, &protocols))
            .collect();
        let outcomes = protocols
            .iter()
            .map(|protocol| NodeBuilder::new_dynamic(protocol.clone()).build());
        let mut answer = NodeBuilder::new("usync");
        for name in ["sid", "index", "last", "mode", "context"] {
            if let Some(value) = request.attrs.get(name) {
                answer = answer.attr(name, value.clone());
            }
        }
        let answer = answer
            .children([
                NodeBuilder::new("result").children(outcomes).build(),
                NodeBuilder::new("list").children(users).build(),
            ])
            .build();
        self.send(&result_of(stanza).children([answer]).build())
            .await
    }

    /// Answers that everybody exists. A person whose phone the server does not simulate has one device.
    fn describe_user(&self, user: &Node, protocols: &[String]) -> Option<Node> {
        let contact = user.get_optional_child("contact").and_then(content);
        let by_number = || {
            let number = std::str::from_utf8(contact?).ok()?.trim_start_matches('+');
            Some(Jid::pn(number.to_owned()))
        };
        let jid = user
            .attrs
            .get("jid")
            .and_then(NodeValue::to_jid)
            .or_else(by_number)?;
        let world = self.shared.world();
        let account = world
            .state
            .accounts
            .values()
            .find(|account| match jid.server {
                Server::Lid => account.lid == jid.user.as_str(),
                _ => account.phone == jid.user.as_str(),
            });
        let answers = protocols
            .iter()
            .filter_map(|protocol| match protocol.as_str() {
                "contact" => Some(NodeBuilder::new("contact").attr("type", "in").build()),
                "devices" => Some(devices(account)),
                // Whoever asks by the hidden number has it already.
                "lid" => match (account, jid.server) {
                    (_, Server::Lid) => None,
                    (Some(account), _) => Some(account.lid(0)),
                    (None, _) => Some(Jid::lid(lid_of(jid.user.as_str()))),
                }
                .map(|lid| NodeBuilder::new("lid").attr("val", lid).build()),
                "status" => Some(NodeBuilder::new("status").build()),
                _ => None,
            });
        let by_lid = jid.server == Server::Lid;
        let phone = by_lid.then(|| phone_behind(&jid)).flatten();
        let described = NodeBuilder::new("user").attr("jid", jid.clone());
        let described = match phone {
            Some(phone) => described.attr("pn_jid", Jid::pn(phone)),
            None => described,
        };
        Some(described.children(answers.collect::<Vec<Node>>()).build())
    }
}

/// The numbers of an account's devices, and the account's signature on which are valid.
fn devices(account: Option<&Account>) -> Node {
    let phone = NodeBuilder::new("device").attr("id", "0").build();
    let linked = account
        .map(|account| &account.devices)
        .into_iter()
        .flatten()
        .map(|(id, device)| {
            NodeBuilder::new("device")
                .attr("id", *id)
                .attr("key-index", device.key_index)
                .build()
        });
    let list = NodeBuilder::new("device-list")
        .children(std::iter::once(phone).chain(linked))
        .build();
    let signed = account.map(key_indexes);
    NodeBuilder::new("devices")
        .children(std::iter::once(list).chain(signed))
        .build()
}

fn key_indexes(account: &Account) -> Node {
    let indexes = account.devices.values().map(|device| device.key_index);
    let seen = account.settings.phone_seen.unwrap_or_else(now);
    let details = ADVKeyIndexList {
        raw_id: Some(account.raw_id),
        timestamp: Some(seen),
        current_index: indexes.clone().max().or(Some(0)),
        valid_indexes: std::iter::once(0).chain(indexes).collect(),
        ..ADVKeyIndexList::default()
    }
    .encode_to_vec();
    let signature = account
        .identity
        .sign(&[DEVICE_LIST_SIGNATURE, &details].concat());
    let signed = ADVSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature.to_vec()),
        account_signature_key: Some(account.identity.public().to_vec()),
    };
    NodeBuilder::new("key-index-list")
        .attr("ts", seen)
        .bytes(signed.encode_to_vec())
        .build()
}
