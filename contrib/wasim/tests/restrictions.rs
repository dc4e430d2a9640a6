//! Restrictions of an account: asked for, and announced.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use support::{LONG, TestClient};
use wasim::{ChatLimit, Observation, Options, Server, Timelock};
use whatsapp_rust::wacore::iq::mex_operations::fetch_new_chat_message_capping_info as chat_limit;
use whatsapp_rust::wacore::types::events::Event;
use whatsapp_rust::{MexError, MexRequest};

const PHONE: &str = "15550001012";

/// Later than any test runs.
const FAR: u64 = 4_000_000_000;

async fn announced(client: &TestClient, operation: &str) -> serde_json::Value {
    client
        .event(|event| match event {
            Event::MexNotification(news) if news.op_name == operation => {
                Some(news.payload["data"].clone())
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timelock_is_told_and_announced_until_it_is_over() {
    const OPERATION: &str = "NotificationUserReachoutTimelockUpdate";
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    client.pair(&server, PHONE).await;
    let free = client.client.mex().fetch_reachout_timelock().await.unwrap();
    assert_eq!(free.is_active, Some(false));

    let lock = Timelock {
        kind: "WEB_COMPANION_ONLY".to_owned(),
        until: Some(FAR),
    };
    server.set_timelock(PHONE, Some(lock)).await.unwrap();
    let news = announced(&client, OPERATION).await;
    let news = &news["xwa2_notify_account_reachout_timelock"];
    assert_eq!(news["is_active"], true);
    assert_eq!(news["time_enforcement_ends"], FAR.to_string());
    let locked = client.client.mex().fetch_reachout_timelock().await.unwrap();
    assert_eq!(locked.is_active, Some(true));
    assert_eq!(
        locked.enforcement_type.as_deref(),
        Some("WEB_COMPANION_ONLY")
    );
    assert_eq!(locked.time_enforcement_ends, Some(FAR.to_string()));
    let asked = |seen: &Observation| matches!(seen, Observation::MexQuery { query, .. } if query == "23983697327930364");
    server.wait_for(asked, LONG).await.unwrap();

    server.set_timelock(PHONE, None).await.unwrap();
    let news = announced(&client, OPERATION).await;
    assert_eq!(
        news["xwa2_notify_account_reachout_timelock"]["is_active"],
        false
    );
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_new_chats_is_told_and_announced_and_other_queries_are_errors() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = TestClient::start(&server).await;
    client.pair(&server, PHONE).await;
    let limit = ChatLimit {
        status: "FIRST_WARNING".to_owned(),
        total: 50,
        used: 40,
        begins: 1_800_000_000,
        ends: FAR,
    };
    server.set_chat_limit(PHONE, Some(limit)).await.unwrap();
    let news = announced(&client, "MessageCappingInfoNotification").await;
    let news = &news["xwa2_notify_new_chat_messages_capping_info_update"];
    assert_eq!(news["capping_status"], "FIRST_WARNING");
    assert_eq!(
        (&news["used_quota"], &news["total_quota"]),
        (&40.into(), &50.into())
    );

    let query = |id| MexRequest::new(chat_limit::NAME, id, serde_json::json!({}));
    let answer = client
        .client
        .mex()
        .query(query(chat_limit::DOC_ID))
        .await
        .unwrap();
    let told = &answer.data.unwrap()["xwa2_message_capping_info"];
    assert_eq!(told["cycle_end_timestamp"], FAR.to_string());
    let unknown = client.client.mex().query(query("1")).await;
    assert!(
        matches!(
            unknown,
            Err(MexError::Request(_) | MexError::ExtensionError { .. })
        ),
        "{unknown:?}"
    );
    client.stop().await;
    server.shutdown().await;
}
