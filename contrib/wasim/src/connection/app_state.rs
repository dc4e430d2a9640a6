//! App state: collections of encrypted records that a phone and its devices keep in step through
//! the server.

use buffa::Message as _;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::ExternalBlobReference;

use super::login::Session;
use super::{Connection, Step};
use crate::account::Account;
use crate::app_state::{CRITICAL_BLOCK, garbled};
use crate::crypto::random;
use crate::observation::Observation;
use crate::order::{Order, Then, Work};
use crate::settings::AppState;
use crate::shared::{Shared, now};
use crate::stanza::{attr, child_content, error_of, result_of};

impl Connection {
    pub(super) async fn answer_app_state(&mut self, stanza: &Node, session: &Session) -> Step {
        let asked = stanza
            .get_optional_child("sync")
            .and_then(Node::children)
            .unwrap_or_default();
        let mut answers = Vec::new();
        let mut changed = Vec::new();
        let state = self
            .session()
            .map_or(AppState::Served, |(_, account)| account.settings.app_state);
        if asked.iter().any(is_critical) {
            match state {
                AppState::Unanswered => {
                    self.shared.see(Observation::RequestIgnored {
                        connection: self.id,
                        jid: session.jid.clone(),
                        namespace: "w:sync:app:state".to_owned(),
                    });
                    return Step::Continue(());
                }
                AppState::Failed => {
                    let error = error_of(stanza, 500, "internal-server-error");
                    return self.send(&error).await;
                }
                _ => {}
            }
        }
        {
            let mut world = self.shared.world();
            let Some(account) = world.state.accounts.get_mut(&session.phone) else {
                return Step::Continue(());
            };
            for collection in asked.iter().filter(|node| node.tag == "collection") {
                let withheld = is_critical(collection).then_some(state);
                let (answer, version) = match withheld {
                    Some(AppState::Refused) => {
                        (refusal(collection, 500, "internal-server-error"), None)
                    }
                    Some(AppState::Denied) => (refusal(collection, 404, "item-not-found"), None),
                    Some(AppState::Omitted) => continue,
                    Some(AppState::NoSnapshot) => (absent_snapshot(account, collection), None),
                    Some(AppState::Garbled) => answer(account, collection, garbled),
                    _ => answer(account, collection, <[u8]>::to_vec),
                };
                answers.push(answer);
                changed.extend(
                    version.map(|version| (attr(collection, "name").unwrap_or_default(), version)),
                );
            }
        }
        let sync = NodeBuilder::new("sync").children(answers).build();
        self.send(&result_of(stanza).children([sync]).build())
            .await?;
        if !changed.is_empty() {
            self.shared.persist().await;
        }
        for (name, version) in changed {
            self.shared
                .announce(&session.phone, &name, version, Some(self.id));
        }
        Step::Continue(())
    }
}

/// The collections without which a device is not ready.
const CRITICAL: [&str; 2] = [CRITICAL_BLOCK, "critical_unblock_low"];

fn is_critical(collection: &Node) -> bool {
    attr(collection, "name").is_some_and(|name| CRITICAL.contains(&name.as_str()))
}

/// What a device gets in the place of a collection that is withheld.
fn refusal(collection: &Node, code: u16, text: &'static str) -> Node {
    let error = NodeBuilder::new("error")
        .attr("code", code)
        .attr("text", text)
        .build();
    NodeBuilder::new("collection")
        .attr("name", attr(collection, "name").unwrap_or_default())
        .attr("type", "error")
        .children([error])
        .build()
}

/// A collection whose content stands in a file that nobody has.
fn absent_snapshot(account: &Account, collection: &Node) -> Node {
    let name = attr(collection, "name").unwrap_or_default();
    let version = account.collections.get(&name).map_or(0, Vec::len);
    let hash = || Some(random::<32>().to_vec());
    let file = ExternalBlobReference {
        media_key: hash(),
        direct_path: Some(format!("/v/absent/{name}.enc")),
        handle: Some(name.clone()),
        file_size_bytes: Some(4096),
        file_sha256: hash(),
        file_enc_sha256: hash(),
    };
    let snapshot = NodeBuilder::new("snapshot")
        .bytes(file.encode_to_vec())
        .build();
    NodeBuilder::new("collection")
        .attr("name", name)
        .attr("version", version)
        .attr("has_more_patches", "false")
        .children([snapshot])
        .build()
}

/// What a device gets that asks for a collection, or sends a change; and the new version, if it is
/// a change. What is written of each patch is what `written` makes of it.
fn answer(
    account: &mut Account,
    collection: &Node,
    written: impl Fn(&[u8]) -> Vec<u8>,
) -> (Node, Option<usize>) {
    let name = attr(collection, "name").unwrap_or_default();
    let known = attr(collection, "version")
        .and_then(|version| version.parse().ok())
        .unwrap_or(0usize);
    let sent = child_content(collection, "patch");
    let appended = sent.and_then(|patch| account.append_patch(&name, known, patch));
    let patches = account
        .collections
        .get(&name)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut answer = NodeBuilder::new("collection")
        .attr("name", name)
        .attr("version", patches.len());
    if appended.is_some() {
        return (answer.attr("type", "result").build(), appended);
    }
    let news = patches.get(known..).unwrap_or_default();
    let mut children = Vec::new();
    if sent.is_some() {
        answer = answer.attr("type", "error");
        children.push(
            NodeBuilder::new("error")
                .attr("code", "409")
                .attr("text", "conflict")
                .build(),
        );
    }
    if !news.is_empty() {
        let news = news
            .iter()
            .map(|patch| NodeBuilder::new("patch").bytes(written(&patch.0)).build());
        children.push(NodeBuilder::new("patches").children(news).build());
    }
    (
        answer
            .attr("has_more_patches", "false")
            .children(children)
            .build(),
        None,
    )
}

impl Shared {
    /// Tells an account's connected devices, but not the one that did it, that a collection has
    /// changed.
    pub(crate) fn announce(&self, phone: &str, collection: &str, version: usize, by: Option<u64>) {
        let world = self.world();
        let Some(account) = world.state.accounts.get(phone) else {
            return;
        };
        for id in account.devices.keys() {
            let connection = world.logins.get(&account.jid(*id).to_string());
            let Some(connection) = connection.filter(|connection| by != Some(**connection)) else {
                continue;
            };
            let change = NodeBuilder::new("collection")
                .attr("name", collection)
                .attr("version", version)
                .build();
            let notification = NodeBuilder::new("notification")
                .attr("from", account.jid(0))
                .attr("type", "server_sync")
                .attr("id", format!("{connection}-{collection}-{version}"))
                .attr("t", now())
                .children([change])
                .build();
            let work = Work::Send {
                nodes: vec![notification],
                then: Then::GoOn,
            };
            if let Some(link) = world.links.get(connection) {
                // A device that does not keep up asks for everything when it comes back.
                let _ = link.orders.try_send(Order {
                    work,
                    done: tokio::sync::oneshot::channel().0,
                });
            }
        }
    }
}
