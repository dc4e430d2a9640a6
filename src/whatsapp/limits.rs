//! What WhatsApp says of an account's limits, as a notification and as the answer to a question. Both are
//! JSON; numbers in it are numbers or strings.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_rust::Client;
use whatsapp_rust::wacore::iq::mex::{MexDoc, MexQuerySpec};
use whatsapp_rust::wacore::iq::mex_operations::{
    fetch_new_chat_message_capping_info as new_chats, fetch_reachout_timelock as timelock,
};

use super::handle::Within;
use crate::protocol::RestrictionKind;

/// How long WhatsApp may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// The name of the time-lock, in an answer and in a notification.
const TIMELOCK: [&str; 2] = [
    "xwa2_fetch_account_reachout_timelock",
    "xwa2_notify_account_reachout_timelock",
];
/// The name of the limit of new chats, in an answer and in a notification.
const NEW_CHATS: [&str; 2] = [
    "xwa2_message_capping_info",
    "xwa2_notify_new_chat_messages_capping_info_update",
];

/// A limit of the account, as WhatsApp says that it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Which one.
    pub kind: RestrictionKind,
    /// How it stands.
    pub state: LimitState,
}

/// How a limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitState {
    /// Far away.
    Free,
    /// WhatsApp warns that it is near.
    Near {
        /// When the count begins anew.
        until: Option<Timestamp>,
        /// WhatsApp's word, and numbers.
        detail: String,
    },
    /// Reached: the account is restricted.
    Reached {
        /// When that ends.
        until: Option<Timestamp>,
        /// WhatsApp's word, and numbers.
        detail: Option<String>,
    },
}

/// Asks WhatsApp for all limits of the account. What it does not answer is not known, and left out.
pub(super) async fn ask(client: &Client) -> Vec<Limit> {
    let timelock = question(timelock::NAME, timelock::DOC_ID, &json!({}));
    let input = json!({ "input": { "type": "INDIVIDUAL_NEW_CHAT_THREAD" } });
    let new_chats = question(new_chats::NAME, new_chats::DOC_ID, &input);
    let mut limits = Vec::new();
    for question in [timelock, new_chats].into_iter().flatten() {
        match client.execute(Within(question, ANSWERED_WITHIN)).await {
            Ok(answer) => limits.extend(answer.data.iter().flat_map(read)),
            Err(error) => tracing::debug!("a limit of the account is not known: {error}"),
        }
    }
    limits
}

fn question(name: &'static str, id: &'static str, variables: &Value) -> Option<MexQuerySpec> {
    MexQuerySpec::new(MexDoc { name, id }, variables).ok()
}

/// Reads the limits out of an answer or a notification.
pub(super) fn read(said: &Value) -> Vec<Limit> {
    let said = said.get("data").unwrap_or(said);
    let about = |names: [&str; 2]| {
        let mut found = names.iter().filter_map(|name| said.get(name));
        found.find(|value| value.is_object())
    };
    let timelock = about(TIMELOCK).and_then(read_timelock);
    let new_chats = about(NEW_CHATS).and_then(read_new_chats);
    timelock.into_iter().chain(new_chats).collect()
}

fn read_timelock(said: &Value) -> Option<Limit> {
    let state = if said.get("is_active")?.as_bool()? {
        LimitState::Reached {
            until: time(said.get("time_enforcement_ends")),
            detail: text(said.get("enforcement_type")),
        }
    } else {
        LimitState::Free
    };
    Some(Limit {
        kind: RestrictionKind::ReachoutTimelock,
        state,
    })
}

fn read_new_chats(said: &Value) -> Option<Limit> {
    let word = text(said.get("capping_status"))?;
    let number = |name| said.get(name).and_then(number);
    let detail = match (number("used_quota"), number("total_quota")) {
        (Some(used), Some(total)) if total >= 0 => format!("{word}, {used} of {total} used"),
        _ => word.clone(),
    };
    let until = time(said.get("cycle_end_timestamp"));
    let state = match word.as_str() {
        "CAPPED" => LimitState::Reached {
            until,
            detail: Some(detail),
        },
        "FIRST_WARNING" | "SECOND_WARNING" => LimitState::Near { until, detail },
        _ => LimitState::Free,
    };
    Some(Limit {
        kind: RestrictionKind::NewChatLimit,
        state,
    })
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn number(value: &Value) -> Option<i64> {
    let written = || value.as_str().and_then(|text| text.parse().ok());
    value.as_i64().or_else(written)
}

/// A time in seconds since 1970. Zero is none.
fn time(value: Option<&Value>) -> Option<Timestamp> {
    let seconds = value.and_then(number).filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Timestamp::from_second(seconds).ok()
    }

    #[test]
    fn a_timelock_is_read_from_answers_and_notifications() {
        let said = json!({
            "is_active": true, "time_enforcement_ends": "1796000000",
            "enforcement_type": "RESTRICT_ALL_COMPANIONS",
        });
        let limit = Limit {
            kind: RestrictionKind::ReachoutTimelock,
            state: LimitState::Reached {
                until: at(1_796_000_000),
                detail: Some("RESTRICT_ALL_COMPANIONS".to_owned()),
            },
        };
        let answer = json!({ "xwa2_fetch_account_reachout_timelock": said });
        let notification = json!({ "data": { "xwa2_notify_account_reachout_timelock": said } });
        for said in [answer, notification] {
            assert_eq!(read(&said), std::slice::from_ref(&limit));
        }
        for (said, state) in [
            (json!({ "is_active": false }), Some(LimitState::Free)),
            (
                json!({ "is_active": true, "time_enforcement_ends": "0" }),
                Some(LimitState::Reached {
                    until: None,
                    detail: None,
                }),
            ),
            (json!({ "is_active": null }), None),
            (json!({}), None),
            (json!(null), None),
        ] {
            let said = json!({ "data": { "xwa2_notify_account_reachout_timelock": said } });
            let states: Vec<_> = read(&said).into_iter().map(|limit| limit.state).collect();
            assert_eq!(states, state.into_iter().collect::<Vec<_>>(), "{said}");
        }
    }

    #[test]
    fn the_limit_of_new_chats_is_read_with_its_numbers() {
        let said = |word: &str, used: Value| {
            json!({ "xwa2_message_capping_info": {
                "capping_status": word, "used_quota": used, "total_quota": "50",
                "cycle_end_timestamp": 1_796_000_000,
            } })
        };
        let until = at(1_796_000_000);
        for (word, used, state) in [
            ("NONE", json!(3), LimitState::Free),
            (
                "SECOND_WARNING",
                json!("45"),
                LimitState::Near {
                    until,
                    detail: "SECOND_WARNING, 45 of 50 used".to_owned(),
                },
            ),
            (
                "CAPPED",
                json!(50),
                LimitState::Reached {
                    until,
                    detail: Some("CAPPED, 50 of 50 used".to_owned()),
                },
            ),
        ] {
            let limits = read(&said(word, used));
            let kind = RestrictionKind::NewChatLimit;
            assert_eq!(limits, [Limit { kind, state }]);
        }
    }

    #[test]
    fn other_notifications_say_nothing_of_limits() {
        for said in [
            json!({ "data": { "xwa2_notify_lid_change": { "old": "1@lid" } } }),
            json!({ "data": null }),
            json!([1]),
            json!("text"),
        ] {
            assert_eq!(read(&said), []);
        }
    }
}
