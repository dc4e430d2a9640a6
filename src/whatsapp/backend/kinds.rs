//! The kinds of values of a session, and where each value lies.
//!
//! | kind | group | name | value | survives |
//! |---|---|---|---|---|
//! | `DEVICE` | - | - | the device: identity, account, counters | power loss |
//! | `IDENTITY` | the user of the address | the rest of it | a peer's public key | power loss |
//! | `SESSION` | the user of the address | the rest of it | a record of Signal, as the library encodes it | power loss |
//! | `PREKEYS` | - | number of the box: the ids' 64s | a box of one-time keys | power loss |
//! | `SIGNED_PREKEY` | - | the id | a record | power loss |
//! | `SENDER_KEY` | - | the address | a record | power loss |
//! | `SYNC_KEY` | - | the key's id | a key of the app state | power loss |
//! | `SYNC_VERSION` | - | the collection | how far it is synchronised, and its hash | the process |
//! | `SYNC_MACS` | the collection | number of the box | a box of MACs | the process |
//! | `SENDER_KEY_DEVICES` | - | the group chat | the devices that have our sender key, or must get it | see below |
//! | `LID_MAPPINGS` | - | number of the box | a box of mappings by LID | the process |
//! | `PHONE_LIDS` | - | number of the box | a box of LIDs by phone number | the process |
//! | `BASE_KEY` | the address | the message's id | a base key | power loss |
//! | `DEVICE_LISTS` | - | number of the box | a box of device lists by user | the process |
//! | `GROUP_METADATA` | - | the group chat | what the library wrote | the process |
//! | `TC_TOKENS` | - | number of the box | a box of tokens by JID | the process |
//! | `SENT_MESSAGE` | the chat | the message's id | when, and the message | the process |
//! | `PENDING_INBOUND` | the chat | sender and id | when, and the message | power loss |
//! | `MESSAGE_SECRET` | a number from the name | chat, sender and id | the secret, and until when | the process |
//!
//! Every value begins with a byte for its format (see `codec`). Numbers in names are big endian.
//!
//! # What survives what
//!
//! *Power loss*: the change is on the disk when the call returns ([`Durability::Synced`]). That is what Signal
//! needs. A message key must never be used twice: the library writes how far a chain of keys may be used
//! *before* it sends what was encrypted with it. And an
//! identity or a prekey that WhatsApp's server has must not be forgotten here.
//!
//! *The process*: the change survives the end of the daemon, and a minute later or with the next synced change
//! a loss of power ([`Durability::Eventual`]). What is lost with it costs a question to the server, and nothing
//! else: a space commits in order, so what is left is an earlier state that was whole.
//!
//! - Device lists, group metadata, mappings: asked for again.
//! - The app state: a collection is synchronised from the older version again. Its MACs and its version are
//!   written one after the other and come back in that order.
//! - Tokens: the contact's next message, or the server's refusal, brings one.
//! - Sent messages and secrets: a retry of a message of the last minute is not answered; a vote on it is not read.
//! - The end of a pending message: it is given to the consumer a second time, under the same id.
//!
//! `SENDER_KEY_DEVICES` has both. That a device *has* our sender key may be forgotten: the key is sent again.
//! That it must *get* it may not: the device could not read the group until it complained.
//!
//! [`Durability::Synced`]: crate::store::Durability::Synced
//! [`Durability::Eventual`]: crate::store::Durability::Eventual

use crate::store::Kind;

pub(super) const DEVICE: Kind = Kind(1);
pub(super) const IDENTITY: Kind = Kind(2);
pub(super) const SESSION: Kind = Kind(3);
pub(super) const PREKEYS: Kind = Kind(4);
pub(super) const SIGNED_PREKEY: Kind = Kind(5);
pub(super) const SENDER_KEY: Kind = Kind(6);
pub(super) const SYNC_KEY: Kind = Kind(7);
pub(super) const SYNC_VERSION: Kind = Kind(8);
pub(super) const SYNC_MACS: Kind = Kind(9);
pub(super) const SENDER_KEY_DEVICES: Kind = Kind(10);
pub(super) const LID_MAPPINGS: Kind = Kind(11);
pub(super) const PHONE_LIDS: Kind = Kind(12);
pub(super) const BASE_KEY: Kind = Kind(13);
pub(super) const DEVICE_LISTS: Kind = Kind(14);
pub(super) const GROUP_METADATA: Kind = Kind(15);
pub(super) const TC_TOKENS: Kind = Kind(16);
pub(super) const SENT_MESSAGE: Kind = Kind(17);
pub(super) const PENDING_INBOUND: Kind = Kind(18);
pub(super) const MESSAGE_SECRET: Kind = Kind(19);

/// All of them.
pub(super) const ALL: [Kind; 19] = [
    DEVICE,
    IDENTITY,
    SESSION,
    PREKEYS,
    SIGNED_PREKEY,
    SENDER_KEY,
    SYNC_KEY,
    SYNC_VERSION,
    SYNC_MACS,
    SENDER_KEY_DEVICES,
    LID_MAPPINGS,
    PHONE_LIDS,
    BASE_KEY,
    DEVICE_LISTS,
    GROUP_METADATA,
    TC_TOKENS,
    SENT_MESSAGE,
    PENDING_INBOUND,
    MESSAGE_SECRET,
];

/// Whether a session cannot go on without values of this kind. Without the others the library asks the server.
pub(super) fn is_needed(kind: Kind) -> bool {
    matches!(
        kind,
        DEVICE
            | IDENTITY
            | SESSION
            | PREKEYS
            | SIGNED_PREKEY
            | SENDER_KEY
            | SYNC_KEY
            | SENDER_KEY_DEVICES
            | BASE_KEY
            | PENDING_INBOUND
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_kinds_are_their_places_in_the_list() {
        // They are on disks: a new kind is added at the end.
        let numbers: Vec<u8> = ALL.iter().map(|kind| kind.0).collect();
        assert_eq!(numbers, (1..=19).collect::<Vec<u8>>());
    }
}
