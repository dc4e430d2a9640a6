//! The groups of an account.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::login::Session;
use super::{Connection, Step};
use crate::account::{Account, lid_of};
use crate::command::Group;
use crate::observation::Observation;
use crate::stanza::{attr, error_of, result_of};

impl Connection {
    pub(super) async fn answer_groups(&mut self, stanza: &Node, session: &Session) -> Step {
        let Some((_, account)) = self.session() else {
            return Step::Continue(());
        };
        if stanza.get_optional_child("participating").is_some() {
            self.shared.see(Observation::GroupsRequested {
                connection: self.id,
                jid: session.jid.clone(),
            });
            let children = account.groups.iter().map(|group| describe(group, &account));
            let groups = NodeBuilder::new("groups").children(children).build();
            return self
                .send(&result_of(stanza).children([groups]).build())
                .await;
        }
        if stanza.get_optional_child("query").is_some() {
            let asked = attr(stanza, "to").unwrap_or_default();
            return match account.groups.iter().find(|group| group.jid == asked) {
                Some(group) => {
                    let answer = result_of(stanza)
                        .children([describe(group, &account)])
                        .build();
                    self.send(&answer).await
                }
                None => self.send(&error_of(stanza, 404, "item-not-found")).await,
            };
        }
        self.send(&error_of(stanza, 501, "feature-not-implemented"))
            .await
    }
}

/// A group, with its owner and as many made-up members as its size says, up to a limit for one answer.
fn describe(group: &Group, account: &Account) -> Node {
    let owner = account.jid(0);
    let made_up = (1..group.size.min(1024)).map(|number| {
        let phone = format!("1555{:07}", 9_000_000 + number);
        NodeBuilder::new("participant")
            .attr("lid", Jid::lid(lid_of(&phone)))
            .attr("jid", Jid::pn(phone))
            .build()
    });
    let first = NodeBuilder::new("participant")
        .attr("jid", owner.clone())
        .attr("lid", account.lid(0))
        .attr("type", "superadmin")
        .build();
    NodeBuilder::new("group")
        .attr("id", group.jid.split('@').next().unwrap_or_default())
        .attr("subject", group.subject.as_str())
        .attr("s_t", account.sync_key.created)
        .attr("s_o", owner.clone())
        .attr("creation", account.sync_key.created)
        .attr("creator", owner)
        .attr("size", group.size)
        .attr("addressing_mode", "pn")
        .children(std::iter::once(first).chain(made_up))
        .build()
}
