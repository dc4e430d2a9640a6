//! Every question that a store answers about the small world of the operations.

use std::fmt::Debug;

use whatsapp_rust::store::{Backend, DeviceListRecord, LidPnMappingEntry, TcTokenEntry};
use whatsapp_rust::wacore::store::error::Result;

use super::operations::{
    ADDRESSES, COLLECTIONS, GROUPS, IDS, KEY_IDS, PHONES, PREKEYS, USERS, index_mac,
};

/// A question and its answer, or `None` where the store failed.
pub(super) type Answer = (String, Option<String>);

struct Answers(Vec<Answer>);

impl Answers {
    fn add<T: Debug>(&mut self, question: impl Into<String>, answer: Result<T>) {
        let answer = answer.ok().map(|answer| format!("{answer:?}"));
        self.0.push((question.into(), answer));
    }
}

fn sorted<T: Ord>(answer: Result<Vec<T>>) -> Result<Vec<T>> {
    answer.map(|mut all| {
        all.sort();
        all
    })
}

/// Asks a store everything.
pub(super) async fn ask(store: &dyn Backend) -> Vec<Answer> {
    let mut all = Answers(Vec::new());
    ask_signal(store, &mut all).await;
    ask_app_state(store, &mut all).await;
    ask_contacts(store, &mut all).await;
    ask_messages(store, &mut all).await;
    let device = store.load().await;
    let device = device.map(|it| it.map(|it| serde_json::to_string(&it).expect("JSON")));
    all.add("device", device);
    all.add("exists", store.exists().await);
    all.0
}

async fn ask_signal(store: &dyn Backend, all: &mut Answers) {
    for a in ADDRESSES {
        all.add(format!("identity {a}"), store.load_identity(a).await);
        all.add(format!("session {a}"), store.get_session(a).await);
        all.add(format!("has session {a}"), store.has_session(a).await);
        all.add(format!("sender key {a}"), store.get_sender_key(a).await);
        for id in IDS {
            for n in 0..6 {
                let same = store.has_same_base_key(a, id, &[n]).await;
                all.add(format!("base key {a} {id} {n}"), same);
            }
        }
    }
    for user in USERS {
        let has = store.has_signal_state_for_user(user).await;
        all.add(format!("signal state {user}"), has);
    }
    for id in PREKEYS {
        all.add(format!("prekey {id}"), store.load_prekey(id).await);
    }
    let ids = [64, 3, 1, 0x00ff_ffff];
    all.add("prekeys", sorted(store.load_prekeys_batch(&ids).await));
    all.add("max prekey", store.get_max_prekey_id().await);
    for id in 1..4 {
        all.add(format!("signed {id}"), store.load_signed_prekey(id).await);
    }
    all.add("all signed", sorted(store.load_all_signed_prekeys().await));
}

async fn ask_app_state(store: &dyn Backend, all: &mut Answers) {
    for id in KEY_IDS {
        all.add(format!("sync key {id:?}"), store.get_sync_key(id).await);
    }
    all.add("latest sync key", store.get_latest_sync_key_id().await);
    let macs: Vec<[u8; 32]> = (0..6).map(index_mac).collect();
    for name in COLLECTIONS {
        all.add(format!("version {name}"), store.get_version(name).await);
        for mac in &macs {
            let found = store.get_mutation_mac(name, mac).await;
            all.add(format!("mac {name} {}", mac[1]), found);
        }
        let found = store.get_mutation_macs(name, &macs).await;
        let found = found.map(|it| it.into_iter().collect::<Vec<_>>());
        all.add(format!("macs {name}"), sorted(found));
    }
}

fn list(it: &DeviceListRecord) -> String {
    format!("{it:?}")
}

fn mapping(it: &LidPnMappingEntry) -> String {
    format!("{it:?}")
}

fn token(it: &TcTokenEntry) -> String {
    format!("{it:?}")
}

async fn ask_contacts(store: &dyn Backend, all: &mut Answers) {
    for group in GROUPS {
        let devices = sorted(store.get_sender_key_devices(group).await);
        all.add(format!("sender key devices {group}"), devices);
        let metadata = store.get_group_metadata(group).await;
        all.add(format!("group {group}"), metadata);
    }
    for user in USERS {
        let devices = store.get_devices(user).await;
        all.add(
            format!("devices {user}"),
            devices.map(|it| it.as_ref().map(list)),
        );
        let found = store.get_lid_mapping(user).await;
        all.add(
            format!("lid {user}"),
            found.map(|it| it.as_ref().map(mapping)),
        );
        let found = store.get_tc_token(user).await;
        all.add(
            format!("token {user}"),
            found.map(|it| it.as_ref().map(token)),
        );
    }
    for phone in PHONES {
        let found = store.get_pn_mapping(phone).await;
        all.add(
            format!("phone {phone}"),
            found.map(|it| it.as_ref().map(mapping)),
        );
    }
    let mappings = store.get_all_lid_mappings().await;
    let mappings = mappings.map(|it| it.iter().map(mapping).collect());
    all.add("mappings", sorted::<String>(mappings));
    all.add("tokens", sorted(store.get_all_tc_token_jids().await));
}

async fn ask_messages(store: &dyn Backend, all: &mut Answers) {
    for chat in GROUPS {
        for sender in ADDRESSES {
            for id in IDS {
                let pending = store.get_pending_inbound(chat, sender, id).await;
                all.add(format!("pending {chat} {sender} {id}"), pending);
                let secret = store.get_msg_secret(chat, sender, id).await;
                all.add(format!("secret {chat} {sender} {id}"), secret);
                let secret = store.get_msg_secret_with_ts(chat, sender, id).await;
                all.add(format!("secret and time {chat} {sender} {id}"), secret);
            }
        }
    }
}

/// Takes every sent message: a question that can be asked once.
pub(super) async fn take_sent(store: &dyn Backend) -> Vec<Answer> {
    let mut all = Answers(Vec::new());
    for chat in GROUPS {
        for id in IDS {
            let sent = store.take_sent_message(chat, id).await;
            all.add(format!("sent {chat} {id}"), sent);
        }
    }
    all.0
}

/// Fails with the answers that are not as they should be, and only those.
#[track_caller]
pub(super) fn assert_same(answers: &[Answer], expected: &[Answer], when: &str) {
    assert_eq!(answers.len(), expected.len(), "{when}");
    let pairs = answers.iter().zip(expected);
    let other: Vec<_> = pairs.filter(|(answer, sound)| answer != sound).collect();
    assert!(
        other.is_empty(),
        "{when}, answer and what it should be: {other:#?}"
    );
}
