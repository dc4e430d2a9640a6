//! Prekeys: a device's own, and those of others.

use sha1::{Digest as _, Sha1};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::login::Session;
use super::registration::number;
use super::{Connection, Step};
use crate::account::{Account, Device, PublicPreKey};
use crate::crypto::{Bytes, Key};
use crate::hearing::jid_attr;
use crate::observation::Observation;
use crate::person::phone_behind;
use crate::stanza::{attr, child_content, error_of, result_of};
use crate::world::World;

/// The kind of keys there are: Curve25519.
const KEY_TYPE: u8 = 5;

impl Connection {
    pub(super) async fn answer_keys(&mut self, stanza: &Node, session: &Session) -> Step {
        if attr(stanza, "type").as_deref() == Some("set") {
            return self.take_keys(stanza, session).await;
        }
        let Some((_, account)) = self.session() else {
            return Step::Continue(());
        };
        let Some(device) = account.devices.get(&session.device) else {
            return self.send(&error_of(stanza, 404, "item-not-found")).await;
        };
        let answer = if stanza.get_optional_child("count").is_some() {
            NodeBuilder::new("count")
                .attr("value", device.prekeys.len())
                .build()
        } else if stanza.get_optional_child("digest").is_some() {
            digest(device)
        } else if let Some(wanted) = stanza.get_optional_child("key") {
            self.bundles(wanted)
        } else {
            return self.send(&error_of(stanza, 400, "bad-request")).await;
        };
        self.send(&result_of(stanza).children([answer]).build())
            .await
    }

    /// The device uploads prekeys, or a new signed one.
    async fn take_keys(&mut self, stanza: &Node, session: &Session) -> Step {
        let rotated = stanza
            .get_optional_child("rotate")
            .and_then(|rotate| rotate.get_optional_child("skey"));
        let signed = stanza
            .get_optional_child("skey")
            .or(rotated)
            .and_then(prekey);
        let list = stanza.get_optional_child("list").and_then(Node::children);
        let prekeys: Vec<PublicPreKey> =
            list.unwrap_or_default().iter().filter_map(prekey).collect();
        let count = prekeys.len();
        let registration = child_content(stanza, "registration").map(number);
        {
            let mut world = self.shared.world();
            if let Some(device) = world.device_mut(&session.phone, session.device) {
                if let Some(signed) = signed {
                    device.signed_prekey = signed;
                }
                if let Some(registration) = registration.and_then(|id| u32::try_from(id).ok()) {
                    device.registration_id = registration;
                }
                device
                    .prekeys
                    .retain(|old| prekeys.iter().all(|new| new.id != old.id));
                device.prekeys.extend(prekeys);
            }
        }
        self.shared.persist().await;
        self.send(&result_of(stanza).build()).await?;
        if count > 0 {
            self.shared.see(Observation::PreKeysUploaded {
                connection: self.id,
                jid: session.jid.clone(),
                count,
            });
        }
        self.share_keys(session).await
    }

    /// The keys to start a session with each of the devices asked for.
    fn bundles(&self, wanted: &Node) -> Node {
        let mut world = self.shared.world();
        let users = wanted.get_children_by_tag("user").map(|user| {
            let jid = jid_attr(user, "jid").unwrap_or_default();
            let keys = phone_behind(&jid).and_then(|phone| match jid.device {
                0 => of_phone(&mut world, &phone),
                id => bundle(world.state.accounts.get_mut(&phone)?, id),
            });
            NodeBuilder::new("user")
                .attr("jid", jid)
                .children(keys.unwrap_or_else(no_keys))
                .build()
        });
        let list = NodeBuilder::new("list")
            .children(users.collect::<Vec<Node>>())
            .build();
        drop(world);
        self.shared.persist_soon();
        list
    }
}

/// The answer in the place of the keys of a device that does not exist.
fn no_keys() -> Vec<Node> {
    let error = NodeBuilder::new("error")
        .attr("code", "406")
        .attr("text", "not-acceptable");
    vec![error.build()]
}

/// The keys of a phone, whether it is simulated or not.
fn of_phone(world: &mut World, phone: &str) -> Option<Vec<Node>> {
    let keys = world.party(phone).offer().ok()?;
    Some(key_nodes(
        keys.registration_id,
        &keys.identity,
        &keys.signed_prekey,
        Some(&keys.prekey),
        None,
    ))
}

/// The keys of a linked device, one of whose prekeys is used up.
fn bundle(account: &mut Account, id: u16) -> Option<Vec<Node>> {
    let identity = Connection::signed_identity(account, id);
    let device = account.devices.get_mut(&id)?;
    let one_time = (!device.prekeys.is_empty()).then(|| device.prekeys.remove(0));
    Some(key_nodes(
        device.registration_id,
        &device.identity,
        &device.signed_prekey,
        one_time.as_ref(),
        Some(identity),
    ))
}

fn key_nodes(
    registration_id: u32,
    identity: &Key,
    signed: &PublicPreKey,
    one_time: Option<&PublicPreKey>,
    signed_identity: Option<Bytes>,
) -> Vec<Node> {
    let mut nodes = vec![
        NodeBuilder::new("registration")
            .bytes(registration_id.to_be_bytes())
            .build(),
        NodeBuilder::new("type").bytes([KEY_TYPE]).build(),
        NodeBuilder::new("identity").bytes(identity.0).build(),
    ];
    nodes.extend(one_time.map(|prekey| prekey_node("key", prekey)));
    nodes.push(prekey_node("skey", signed));
    nodes.extend(signed_identity.map(|identity| {
        NodeBuilder::new("device-identity")
            .bytes(identity.0)
            .build()
    }));
    nodes
}

pub(crate) fn prekey_node(tag: &'static str, prekey: &PublicPreKey) -> Node {
    let mut children = vec![
        NodeBuilder::new("id").bytes(short(prekey.id)).build(),
        NodeBuilder::new("value").bytes(prekey.key.0).build(),
    ];
    if !prekey.signature.0.is_empty() {
        children.push(
            NodeBuilder::new("signature")
                .bytes(prekey.signature.0.clone())
                .build(),
        );
    }
    NodeBuilder::new(tag).children(children).build()
}

/// Prekeys are numbered in three bytes.
fn short(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

/// Reads `<key>` or `<skey>`.
pub(crate) fn prekey(node: &Node) -> Option<PublicPreKey> {
    Some(PublicPreKey {
        id: u32::try_from(number(child_content(node, "id")?)).ok()?,
        key: Key::from_slice(child_content(node, "value")?)?,
        signature: Bytes(
            child_content(node, "signature")
                .unwrap_or_default()
                .to_vec(),
        ),
    })
}

/// A device's keys at the server, for the device to compare.
fn digest(device: &Device) -> Node {
    let mut hash = Sha1::new();
    hash.update(device.identity.0);
    hash.update(device.signed_prekey.key.0);
    hash.update(&device.signed_prekey.signature.0);
    for prekey in &device.prekeys {
        hash.update(prekey.key.0);
    }
    let ids = device
        .prekeys
        .iter()
        .map(|prekey| NodeBuilder::new("id").bytes(short(prekey.id)).build());
    let mut children = key_nodes(
        device.registration_id,
        &device.identity,
        &device.signed_prekey,
        None,
        None,
    );
    children.push(NodeBuilder::new("list").children(ids).build());
    children.push(
        NodeBuilder::new("hash")
            .bytes(hash.finalize().to_vec())
            .build(),
    );
    NodeBuilder::new("digest").children(children).build()
}
