//! Every operation that changes a store, over a small world in which they meet.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use whatsapp_rust::store::{
    AppStateSyncKey, Backend, DeviceInfo, DeviceListRecord, LidPnMappingEntry, MsgSecretEntry,
    PendingInboundKey, PendingInboundRow, TcTokenEntry,
};
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::libsignal::protocol::{KeyPair, PrivateKey};
use whatsapp_rust::wacore::libsignal::store::record_helpers::new_pre_key_record;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::waproto::codec as proto;

pub(super) const ADDRESSES: [&str; 5] = [
    "100000000000001@lid",
    "100000000000001:7@lid",
    "10000000000000@lid",
    "5599@s.whatsapp.net",
    "5599:3@s.whatsapp.net",
];
pub(super) const USERS: [&str; 5] = ["100000000000001", "10000000000000", "5599", "559", "77"];
pub(super) const GROUPS: [&str; 3] = ["1@g.us", "2@g.us", "3@g.us"];
pub(super) const PHONES: [&str; 3] = ["5599", "5598", "5597"];
pub(super) const IDS: [&str; 3] = ["3EB0AA", "3EB0AB", ""];
pub(super) const COLLECTIONS: [&str; 2] = ["regular", "regular_low"];
/// Prekeys of two boxes and of the ends of a box.
pub(super) const PREKEYS: [u32; 5] = [1, 2, 63, 64, 0x00ff_ffff];
pub(super) const KEY_IDS: [&[u8]; 3] = [&[0, 1], &[0, 1, 2], &[9]];

/// An index MAC; some share a box.
pub(super) fn index_mac(n: u8) -> [u8; 32] {
    let mut mac = [n; 32];
    mac[0] = n * 32;
    mac
}

/// The record of a prekey in the library's form, or, for odd numbers, in another.
pub(super) fn prekey(id: u32, n: u8) -> Vec<u8> {
    if n % 2 == 1 {
        return vec![n; 9];
    }
    let private = PrivateKey::deserialize(&[n | 8; 32]).expect("a key");
    let pair = KeyPair::try_from(private).expect("a pair");
    proto::pre_key_record_to_vec(&new_pre_key_record(id, &pair))
}

type MessageKey = (usize, usize, usize);

/// An operation. Numbers of names are places in the lists above.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    PutIdentity(usize, u8),
    PutIdentities(Vec<(usize, u8)>),
    DeleteIdentity(usize),
    PutSession(usize, u8),
    PutSessions(Vec<(usize, u8)>),
    DeleteSession(usize),
    StorePrekey(usize, u8, bool),
    StorePrekeys(Vec<(usize, u8)>, bool),
    MarkUploaded(Vec<usize>),
    RemovePrekey(usize),
    StoreSigned(u32, u8),
    RemoveSigned(u32),
    PutSenderKey(usize, u8),
    PutSenderKeys(Vec<(usize, u8)>),
    DeleteSenderKey(usize),
    SetSyncKey(usize, u8),
    SetVersion(usize, u64),
    PutMacs(usize, u64, Vec<(u8, u8)>),
    DeleteMacs(usize, Vec<u8>),
    ClearMacs(usize),
    SetStatus(usize, Vec<(usize, bool)>),
    ClearGroup(usize),
    DeleteRows(Vec<usize>),
    ClearAllGroups,
    PutMappings(Vec<(usize, usize, i64)>),
    SaveBase(usize, usize, u8),
    DeleteBase(usize, usize),
    UpdateList(usize, u8),
    UpdateLists(Vec<(usize, u8)>),
    DeleteList(usize),
    PutMetadata(usize, u8),
    DeleteMetadata(usize),
    PutToken(usize, u8, i64, Option<i64>),
    DeleteToken(usize),
    ExpireTokens(i64, i64),
    ReceiveToken(usize, u8, i64),
    GiveToken(usize, i64),
    Sent(usize, usize, u8),
    TakeSent(usize, usize),
    ExpireSent(bool),
    Pending(MessageKey, u8),
    PendingBatch(Vec<(MessageKey, u8)>),
    EndPending(MessageKey),
    EndPendingBatch(Vec<MessageKey>),
    ExpirePending(bool),
    PutSecret(MessageKey, u8),
    PutSecrets(Vec<(MessageKey, u8, i64, i64)>),
    ExpireSecrets(i64),
    Save(u8),
}

/// Any operation.
pub(super) fn any_operation() -> BoxedStrategy<Operation> {
    use Operation as O;
    let byte = || 0..6_u8;
    let address = || 0..ADDRESSES.len();
    let addresses = || vec((address(), byte()), 0..4);
    let id = || 0..PREKEYS.len();
    let group = || 0..GROUPS.len();
    let collection = || 0..COLLECTIONS.len();
    let user = || 0..USERS.len();
    let moment = || 0..8_i64;
    let message = || (group(), address(), 0..IDS.len());
    let signal = prop_oneof![
        (address(), byte()).prop_map(|(a, n)| O::PutIdentity(a, n)),
        addresses().prop_map(O::PutIdentities),
        address().prop_map(O::DeleteIdentity),
        (address(), byte()).prop_map(|(a, n)| O::PutSession(a, n)),
        addresses().prop_map(O::PutSessions),
        address().prop_map(O::DeleteSession),
        (id(), byte(), any::<bool>()).prop_map(|(i, n, up)| O::StorePrekey(i, n, up)),
        (vec((id(), byte()), 0..5), any::<bool>()).prop_map(|(k, up)| O::StorePrekeys(k, up)),
        vec(id(), 0..4).prop_map(O::MarkUploaded),
        id().prop_map(O::RemovePrekey),
        (1..4_u32, byte()).prop_map(|(i, n)| O::StoreSigned(i, n)),
        (1..4_u32).prop_map(O::RemoveSigned),
        (address(), byte()).prop_map(|(a, n)| O::PutSenderKey(a, n)),
        addresses().prop_map(O::PutSenderKeys),
        address().prop_map(O::DeleteSenderKey),
        byte().prop_map(O::Save),
    ];
    let app_state = prop_oneof![
        (0..KEY_IDS.len(), byte()).prop_map(|(k, n)| O::SetSyncKey(k, n)),
        (collection(), 0..300_u64).prop_map(|(c, v)| O::SetVersion(c, v)),
        (collection(), 0..300_u64, vec((byte(), byte()), 0..5))
            .prop_map(|(c, v, macs)| O::PutMacs(c, v, macs)),
        (collection(), vec(byte(), 0..4)).prop_map(|(c, macs)| O::DeleteMacs(c, macs)),
        collection().prop_map(O::ClearMacs),
    ];
    let contacts = prop_oneof![
        (group(), vec((address(), any::<bool>()), 0..4)).prop_map(|(g, d)| O::SetStatus(g, d)),
        group().prop_map(O::ClearGroup),
        vec(address(), 0..3).prop_map(O::DeleteRows),
        Just(O::ClearAllGroups),
        vec((user(), 0..PHONES.len(), 0..1_000_000_i64), 0..4).prop_map(O::PutMappings),
        (address(), 0..IDS.len(), byte()).prop_map(|(a, i, n)| O::SaveBase(a, i, n)),
        (address(), 0..IDS.len()).prop_map(|(a, i)| O::DeleteBase(a, i)),
        (user(), byte()).prop_map(|(u, n)| O::UpdateList(u, n)),
        vec((user(), byte()), 0..4).prop_map(O::UpdateLists),
        user().prop_map(O::DeleteList),
        (group(), byte()).prop_map(|(g, n)| O::PutMetadata(g, n)),
        group().prop_map(O::DeleteMetadata),
        (user(), byte(), moment(), option::of(moment()))
            .prop_map(|(u, n, at, given)| O::PutToken(u, n, at, given)),
        user().prop_map(O::DeleteToken),
        (moment(), moment()).prop_map(|(t, s)| O::ExpireTokens(t, s)),
        (user(), byte(), moment()).prop_map(|(u, n, at)| O::ReceiveToken(u, n, at)),
        (user(), moment()).prop_map(|(u, at)| O::GiveToken(u, at)),
    ];
    let messages = prop_oneof![
        (group(), 0..IDS.len(), byte()).prop_map(|(g, i, n)| O::Sent(g, i, n)),
        (group(), 0..IDS.len()).prop_map(|(g, i)| O::TakeSent(g, i)),
        any::<bool>().prop_map(O::ExpireSent),
        (message(), byte()).prop_map(|(m, n)| O::Pending(m, n)),
        vec((message(), byte()), 0..4).prop_map(O::PendingBatch),
        message().prop_map(O::EndPending),
        vec(message(), 0..4).prop_map(O::EndPendingBatch),
        any::<bool>().prop_map(O::ExpirePending),
        (message(), byte()).prop_map(|(m, n)| O::PutSecret(m, n)),
        vec((message(), byte(), moment(), moment()), 0..5).prop_map(O::PutSecrets),
        moment().prop_map(O::ExpireSecrets),
    ];
    prop_oneof![signal, app_state, contacts, messages].boxed()
}

fn named(entries: &[(usize, u8)]) -> Vec<(Arc<str>, Bytes)> {
    let each = entries
        .iter()
        .map(|&(a, n)| (Arc::from(ADDRESSES[a]), Bytes::from(vec![n; 5])));
    each.collect()
}

fn list(user: usize, n: u8) -> DeviceListRecord {
    let n32 = u32::from(n);
    DeviceListRecord {
        user: USERS[user].to_owned(),
        devices: (0..n32)
            .map(|id| DeviceInfo::new(id, (id > 1).then_some(id)).with_hosting(id == 2))
            .collect(),
        timestamp: 1_700_000_000 + i64::from(n),
        phash: n.is_multiple_of(2).then(|| format!("2:{n}")),
        raw_id: (n > 2).then_some(u32::MAX - n32),
    }
}

fn cutoff(all: bool) -> i64 {
    if all { super::super::now() + 1000 } else { 1 }
}

fn key(&(chat, sender, id): &MessageKey) -> PendingInboundKey<'static> {
    PendingInboundKey {
        chat: GROUPS[chat],
        sender: ADDRESSES[sender],
        id: IDS[id],
    }
}

/// Does it, and says what the store answered. `device` is the one that is saved.
#[expect(clippy::too_many_lines, reason = "one line for each operation")]
pub(super) async fn apply(it: &Operation, store: &dyn Backend, device: &Device) -> Result<String> {
    use Operation as O;
    let answer = match it {
        O::PutIdentity(a, n) => done(store.put_identity(ADDRESSES[*a], [*n; 32]).await?),
        O::PutIdentities(entries) => {
            let keys = entries
                .iter()
                .map(|&(a, n)| (Arc::from(ADDRESSES[a]), [n; 32]));
            let keys: Vec<(Arc<str>, [u8; 32])> = keys.collect();
            done(store.put_identities_batch(&keys).await?)
        }
        O::DeleteIdentity(a) => done(store.delete_identity(ADDRESSES[*a]).await?),
        O::PutSession(a, n) => done(store.put_session(ADDRESSES[*a], &[*n; 7]).await?),
        O::PutSessions(entries) => done(store.put_sessions_batch(&named(entries)).await?),
        O::DeleteSession(a) => done(store.delete_session(ADDRESSES[*a]).await?),
        O::StorePrekey(i, n, uploaded) => {
            let id = PREKEYS[*i];
            done(store.store_prekey(id, &prekey(id, *n), *uploaded).await?)
        }
        O::StorePrekeys(keys, uploaded) => {
            let keys = keys
                .iter()
                .map(|&(i, n)| (PREKEYS[i], Bytes::from(prekey(PREKEYS[i], n))));
            let keys: Vec<(u32, Bytes)> = keys.collect();
            done(store.store_prekeys_batch(&keys, *uploaded).await?)
        }
        O::MarkUploaded(ids) => {
            let ids: Vec<u32> = ids.iter().map(|&i| PREKEYS[i]).collect();
            done(store.mark_prekeys_uploaded(&ids).await?)
        }
        O::RemovePrekey(i) => done(store.remove_prekey(PREKEYS[*i]).await?),
        O::StoreSigned(id, n) => done(store.store_signed_prekey(*id, &[*n; 6]).await?),
        O::RemoveSigned(id) => done(store.remove_signed_prekey(*id).await?),
        O::PutSenderKey(a, n) => done(store.put_sender_key(ADDRESSES[*a], &[*n; 4]).await?),
        O::PutSenderKeys(entries) => done(store.put_sender_keys_batch(&named(entries)).await?),
        O::DeleteSenderKey(a) => done(store.delete_sender_key(ADDRESSES[*a]).await?),
        O::SetSyncKey(k, n) => {
            let key = AppStateSyncKey {
                key_data: vec![*n; 32],
                fingerprint: vec![*n; usize::from(*n)],
                timestamp: i64::from(*n) - 2,
            };
            done(store.set_sync_key(KEY_IDS[*k], key).await?)
        }
        O::SetVersion(c, version) => {
            let mut state = HashState {
                version: *version,
                mac_mismatch_fatal: version % 2 == 1,
                ..HashState::default()
            };
            state.hash[127] = u8::try_from(version % 256).expect("a byte");
            state
                .index_value_map
                .insert(format!("{version}"), vec![3, 2]);
            done(store.set_version(COLLECTIONS[*c], state).await?)
        }
        O::PutMacs(c, version, macs) => {
            let macs = macs.iter().map(|&(index, value)| AppStateMutationMAC {
                index_mac: index_mac(index).to_vec(),
                value_mac: vec![value; 32],
            });
            let macs: Vec<AppStateMutationMAC> = macs.collect();
            let put = store.put_mutation_macs(COLLECTIONS[*c], *version, &macs);
            done(put.await?)
        }
        O::DeleteMacs(c, macs) => {
            let macs: Vec<Vec<u8>> = macs.iter().map(|&n| index_mac(n).to_vec()).collect();
            done(store.delete_mutation_macs(COLLECTIONS[*c], &macs).await?)
        }
        O::ClearMacs(c) => done(store.clear_mutation_macs(COLLECTIONS[*c]).await?),
        O::SetStatus(g, entries) => {
            let entries: Vec<(&str, bool)> = entries
                .iter()
                .map(|&(a, has)| (ADDRESSES[a], has))
                .collect();
            done(store.set_sender_key_status(GROUPS[*g], &entries).await?)
        }
        O::ClearGroup(g) => done(store.clear_sender_key_devices(GROUPS[*g]).await?),
        O::DeleteRows(devices) => {
            let devices: Vec<&str> = devices.iter().map(|&a| ADDRESSES[a]).collect();
            done(store.delete_sender_key_device_rows(&devices).await?)
        }
        O::ClearAllGroups => done(store.clear_all_sender_key_devices().await?),
        O::PutMappings(entries) => {
            let entries = entries.iter().map(|&(lid, phone, at)| LidPnMappingEntry {
                lid: USERS[lid].to_owned(),
                phone_number: PHONES[phone].to_owned(),
                created_at: at + 1,
                updated_at: at,
                learning_source: format!("source {at}"),
            });
            let entries: Vec<LidPnMappingEntry> = entries.collect();
            match &entries[..] {
                [one] => done(store.put_lid_mapping(one).await?),
                many => done(store.put_lid_mappings(many).await?),
            }
        }
        O::SaveBase(a, i, n) => done(store.save_base_key(ADDRESSES[*a], IDS[*i], &[*n]).await?),
        O::DeleteBase(a, i) => done(store.delete_base_key(ADDRESSES[*a], IDS[*i]).await?),
        O::UpdateList(u, n) => done(store.update_device_list(list(*u, *n)).await?),
        O::UpdateLists(entries) => {
            let lists = entries.iter().map(|&(u, n)| list(u, n)).collect();
            done(store.update_device_lists(lists).await?)
        }
        O::DeleteList(u) => done(store.delete_devices(USERS[*u]).await?),
        O::PutMetadata(g, n) => done(store.put_group_metadata(GROUPS[*g], &[*n; 3]).await?),
        O::DeleteMetadata(g) => done(store.delete_group_metadata(GROUPS[*g]).await?),
        O::PutToken(u, n, at, given) => {
            let entry = TcTokenEntry {
                token: vec![*n; usize::from(*n)],
                token_timestamp: *at,
                sender_timestamp: *given,
            };
            done(store.put_tc_token(USERS[*u], &entry).await?)
        }
        O::DeleteToken(u) => done(store.delete_tc_token(USERS[*u]).await?),
        O::ExpireTokens(theirs, ours) => {
            format!("{}", store.delete_expired_tc_tokens(*theirs, *ours).await?)
        }
        O::ReceiveToken(u, n, at) => {
            let token = vec![*n; usize::from(*n)];
            done(
                store
                    .store_received_tc_token(USERS[*u], &token, *at)
                    .await?,
            )
        }
        O::GiveToken(u, at) => done(
            store
                .touch_tc_token_sender_timestamp(USERS[*u], *at)
                .await?,
        ),
        O::Sent(g, i, n) => done(
            store
                .store_sent_message(GROUPS[*g], IDS[*i], &[*n; 3])
                .await?,
        ),
        O::TakeSent(g, i) => format!("{:?}", store.take_sent_message(GROUPS[*g], IDS[*i]).await?),
        O::ExpireSent(all) => {
            format!(
                "{}",
                store.delete_expired_sent_messages(cutoff(*all)).await?
            )
        }
        O::Pending(message, n) => {
            let PendingInboundKey { chat, sender, id } = key(message);
            done(
                store
                    .store_pending_inbound(chat, sender, id, &[*n; 8])
                    .await?,
            )
        }
        O::PendingBatch(entries) => {
            let messages: Vec<[u8; 2]> = entries.iter().map(|&(_, n)| [n; 2]).collect();
            let rows = entries.iter().zip(&messages).map(|((message, _), bytes)| {
                let PendingInboundKey { chat, sender, id } = key(message);
                PendingInboundRow {
                    chat,
                    sender,
                    id,
                    message: bytes,
                }
            });
            let rows: Vec<PendingInboundRow<'_>> = rows.collect();
            done(store.store_pending_inbound_batch(&rows).await?)
        }
        O::EndPending(message) => {
            let PendingInboundKey { chat, sender, id } = key(message);
            done(store.delete_pending_inbound(chat, sender, id).await?)
        }
        O::EndPendingBatch(messages) => {
            let keys: Vec<PendingInboundKey<'_>> = messages.iter().map(key).collect();
            done(store.delete_pending_inbound_batch(&keys).await?)
        }
        O::ExpirePending(all) => {
            let deleted = store.delete_expired_pending_inbound(cutoff(*all)).await?;
            format!("{deleted}")
        }
        O::PutSecret(message, n) => {
            let PendingInboundKey { chat, sender, id } = key(message);
            done(store.put_msg_secret(chat, sender, id, &[*n; 32]).await?)
        }
        O::PutSecrets(entries) => {
            let entries = entries.iter().map(|(message, n, expires_at, message_ts)| {
                let PendingInboundKey { chat, sender, id } = key(message);
                MsgSecretEntry {
                    chat: Arc::from(chat),
                    sender: Arc::from(sender),
                    msg_id: Arc::from(id),
                    secret: [*n; 32],
                    expires_at: *expires_at,
                    message_ts: *message_ts,
                }
            });
            format!("{}", store.put_msg_secrets(entries.collect()).await?)
        }
        O::ExpireSecrets(at) => format!("{}", store.delete_expired_msg_secrets(*at).await?),
        O::Save(n) => {
            let mut device = device.clone();
            device.push_name = format!("name {n}");
            device.next_pre_key_id = u32::from(*n) + 813;
            device.props_hash = (*n > 2).then(|| "hash".to_owned());
            device.nct_salt = (*n > 3).then(|| vec![*n; 3]);
            done(store.save(&device).await?)
        }
    };
    Ok(answer)
}

fn done((): ()) -> String {
    "done".to_owned()
}
