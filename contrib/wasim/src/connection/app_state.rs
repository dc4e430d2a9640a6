//! App state: collections of encrypted records that a phone and its devices keep in step through
//! the server.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::login::Session;
use super::{Connection, Step};
use crate::account::Account;
use crate::app_state::CRITICAL_BLOCK;
use crate::observation::Observation;
use crate::order::{Order, Then, Work};
use crate::settings::AppState;
use crate::shared::{Shared, now};
use crate::stanza::{attr, child_content, result_of};

impl Connection {
    pub(super) async fn answer_app_state(&mut self, stanza: &Node, session: &Session) -> Step {
        let asked = stanza
            .get_optional_child("sync")
            .and_then(Node::children)
            .unwrap_or_default();
        let mut answers = Vec::new();
        let mut changed = Vec::new();
        let is_critical = |collection: &Node| {
            attr(collection, "name").is_some_and(|name| CRITICAL.contains(&name.as_str()))
        };
        let state = self
            .session()
            .map_or(AppState::Served, |(_, account)| account.settings.app_state);
        if state == AppState::Unanswered && asked.iter().any(is_critical) {
            self.shared.see(Observation::RequestIgnored {
                connection: self.id,
                jid: session.jid.clone(),
                namespace: "w:sync:app:state".to_owned(),
            });
            return Step::Continue(());
        }
        {
            let mut world = self.shared.world();
            let Some(account) = world.state.accounts.get_mut(&session.phone) else {
                return Step::Continue(());
            };
            for collection in asked.iter().filter(|node| node.tag == "collection") {
                if state == AppState::Refused && is_critical(collection) {
                    answers.push(refusal(collection));
                    continue;
                }
                let (answer, version) = answer(account, collection);
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

/// What a device gets in the place of a collection that is withheld.
fn refusal(collection: &Node) -> Node {
    let error = NodeBuilder::new("error")
        .attr("code", "500")
        .attr("text", "internal-server-error")
        .build();
    NodeBuilder::new("collection")
        .attr("name", attr(collection, "name").unwrap_or_default())
        .attr("type", "error")
        .children([error])
        .build()
}

/// What a device gets that asks for a collection, or sends a change; and the new version, if it is
/// a change.
fn answer(account: &mut Account, collection: &Node) -> (Node, Option<usize>) {
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
            .map(|patch| NodeBuilder::new("patch").bytes(patch.0.clone()).build());
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
