//! Queries of WhatsApp's GraphQL interface (MEX): what the account is restricted to.

use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::login::Session;
use super::{Connection, Step};
use crate::account::Account;
use crate::observation::Observation;
use crate::order::{Order, Then, Work};
use crate::settings::{describe_chat_limit, describe_timelock};
use crate::shared::{Shared, now};
use crate::stanza::{attr, error_of, result_of, server_jid};

/// The number under which clients ask for the time-lock.
const TIMELOCK: &str = "23983697327930364";

/// The number under which clients ask for the limit on new chats.
const CHAT_LIMIT: &str = "24503548349331633";

/// A restriction that can be announced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Restriction {
    Timelock,
    ChatLimit,
}

impl Connection {
    pub(super) async fn answer_mex(&mut self, stanza: &Node, session: &Session) -> Step {
        let query = stanza
            .get_optional_child("query")
            .and_then(|query| attr(query, "query_id"));
        let (Some(query), Some((_, account))) = (query, self.session()) else {
            return self.send(&error_of(stanza, 400, "bad-request")).await;
        };
        self.shared.see(Observation::MexQuery {
            connection: self.id,
            jid: session.jid.clone(),
            query: query.clone(),
        });
        let answer = answer(&query, &account, now());
        let result = NodeBuilder::new("result")
            .bytes(answer.to_string().into_bytes())
            .build();
        self.send(&result_of(stanza).children([result]).build())
            .await
    }
}

fn answer(query: &str, account: &Account, now: u64) -> Value {
    let settings = &account.settings;
    let data = match query {
        TIMELOCK => json!({
            "xwa2_fetch_account_reachout_timelock": describe_timelock(settings.timelock.as_ref(), now),
        }),
        CHAT_LIMIT => json!({
            "xwa2_message_capping_info": describe_chat_limit(settings.chat_limit.as_ref(), now),
        }),
        _ => {
            let error = json!({
                "message": "unknown query",
                "extensions": { "error_code": 404, "is_summary": true, "is_retryable": false },
            });
            return json!({ "data": null, "errors": [error] });
        }
    };
    json!({ "data": data })
}

impl Shared {
    /// Tells an account's connected devices of a restriction as it is now.
    pub(crate) fn announce_restriction(&self, phone: &str, restriction: Restriction) {
        let world = self.world();
        let Some(account) = world.state.accounts.get(phone) else {
            return;
        };
        let settings = &account.settings;
        let (operation, data) = match restriction {
            Restriction::Timelock => (
                "NotificationUserReachoutTimelockUpdate",
                json!({ "xwa2_notify_account_reachout_timelock": describe_timelock(settings.timelock.as_ref(), now()) }),
            ),
            Restriction::ChatLimit => (
                "MessageCappingInfoNotification",
                json!({ "xwa2_notify_new_chat_messages_capping_info_update": describe_chat_limit(settings.chat_limit.as_ref(), now()) }),
            ),
        };
        let text = json!({ "data": data }).to_string();
        for id in account.devices.keys() {
            let connection = world.logins.get(&account.jid(*id).to_string());
            let Some(link) = connection.and_then(|connection| world.links.get(connection)) else {
                continue;
            };
            let update = NodeBuilder::new("update")
                .attr("op_name", operation)
                .bytes(text.clone().into_bytes())
                .build();
            let notification = NodeBuilder::new("notification")
                .attr("from", server_jid())
                .attr("type", "mex")
                .attr(
                    "id",
                    format!("mex-{}", crate::crypto::hex(&crate::crypto::random::<8>())),
                )
                .attr("t", now())
                .children([update])
                .build();
            // A device that does not keep up asks when it comes back.
            let _ = link.orders.try_send(Order {
                work: Work::Send {
                    nodes: vec![notification],
                    then: Then::GoOn,
                },
                done: tokio::sync::oneshot::channel().0,
            });
        }
    }
}
