//! The groups of an account.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::login::Session;
use super::{Connection, Step};
use crate::account::Account;
use crate::group::Group;
use crate::observation::Observation;
use crate::person::Addressing;
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

/// A group, with its owner and the other people in it.
fn describe(group: &Group, account: &Account) -> Node {
    let owner = group.addressing.jid(&account.phone, 0);
    let people = group.people(&account.phone);
    let participants = people.iter().map(|phone| {
        let person = NodeBuilder::new("participant").attr("jid", group.addressing.jid(phone, 0));
        let other = group.addressing.other().jid(phone, 0);
        let person = match group.addressing {
            Addressing::Pn => person.attr("lid", other),
            Addressing::Lid => person.attr("phone_number", other),
        };
        if *phone == account.phone {
            return person.attr("type", "superadmin").build();
        }
        person.build()
    });
    NodeBuilder::new("group")
        .attr("id", group.jid.split('@').next().unwrap_or_default())
        .attr("subject", group.subject.as_str())
        .attr("s_t", account.sync_key.created)
        .attr("s_o", owner.clone())
        .attr("creation", account.sync_key.created)
        .attr("creator", owner)
        .attr("size", group.size)
        .attr("addressing_mode", group.addressing.word())
        .children(participants.collect::<Vec<Node>>())
        .build()
}
