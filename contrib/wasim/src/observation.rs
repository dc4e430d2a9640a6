//! Observations of clients. The server keeps them, so that a test can wait for one.

use serde::{Deserialize, Serialize};

/// An observation with its place and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its number; the first observation of a server has 0.
    pub position: u64,
    /// When it was made, in milliseconds since 1970.
    pub at: u64,
    /// What was observed.
    #[serde(flatten)]
    pub observation: Observation,
}

/// One thing a client did. `connection` numbers the connections of one run of the server, from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "observation", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields repeat what the variant says: a connection, a JID, a count"
)]
pub enum Observation {
    /// A WebSocket was opened.
    ClientConnected { connection: u64 },
    /// A connection was turned away before it was a WebSocket: an HTTP status, or 0 for silence or
    /// a close.
    UpgradeRefused { status: u16 },
    /// A Noise XX handshake was completed.
    HandshakeXx { connection: u64 },
    /// A Noise IK handshake was completed.
    HandshakeIk { connection: u64 },
    /// IK was refused and the client completed XX instead.
    HandshakeFallback { connection: u64 },
    /// The handshake failed.
    HandshakeFailed { connection: u64, error: String },
    /// A client registered and was given references to show as QR codes.
    Pairing { connection: u64, refs: Vec<String> },
    /// The client acknowledged the references.
    PairingAcknowledged { connection: u64 },
    /// A client asked for a pair code for a phone number; `refused` with a code, if a fault says
    /// so.
    PairCodeRequested {
        connection: u64,
        phone: String,
        refused: Option<u16>,
    },
    /// A client that was scanned, or whose code was typed, is told nothing, as a fault says.
    PairingIgnored { connection: u64, phone: String },
    /// A client was asked for the passkey of the account's owner.
    PasskeyRequested { connection: u64, phone: String },
    /// A client sent something in the passkey ceremony that was refused.
    PasskeyRefused {
        connection: u64,
        phone: String,
        error: String,
    },
    /// A client sent the right assertion; `continuity` when it also proved to be the one that was scanned.
    PasskeyProved {
        connection: u64,
        phone: String,
        continuity: bool,
    },
    /// The phone shows this code, which has to be the one that the client shows; `skipped` when nobody has to compare
    /// them.
    PasskeyCode {
        connection: u64,
        phone: String,
        code: String,
        skipped: bool,
    },
    /// A client proved its keys: the device is linked.
    Paired { connection: u64, jid: String },
    /// A pairing failed.
    PairingFailed {
        connection: u64,
        phone: String,
        error: String,
    },
    /// A device logged in and got `<success>`.
    Login {
        connection: u64,
        jid: String,
        passive: bool,
    },
    /// A login was refused with `<failure>`.
    LoginRefused {
        connection: u64,
        jid: String,
        reason: Option<u16>,
    },
    /// A login was left without an answer, as a fault says.
    LoginIgnored { connection: u64, jid: String },
    /// A login was concluded long after its client had given it up; `replaced` is the connection that it threw out.
    GhostConcluded {
        connection: u64,
        jid: String,
        replaced: Option<u64>,
    },
    /// A device uploaded prekeys.
    PreKeysUploaded {
        connection: u64,
        jid: String,
        count: usize,
    },
    /// A device was sent the app-state keys.
    KeysShared { connection: u64, jid: String },
    /// A device asked for active delivery and was told that nothing more is waiting: it is up.
    Online { connection: u64, jid: String },
    /// A device said whether its owner is there: `available` or `unavailable`, or another type. `place` numbers the
    /// stanzas of its connection, from 1, so that it can be compared with [`Command::Received`](crate::Command).
    Presence {
        connection: u64,
        jid: String,
        kind: String,
        name: Option<String>,
        place: u64,
    },
    /// A device made a query of WhatsApp's GraphQL interface.
    MexQuery {
        connection: u64,
        jid: String,
        query: String,
    },
    /// A device asked for its groups.
    GroupsRequested { connection: u64, jid: String },
    /// A device pinged.
    Ping { connection: u64, jid: String },
    /// A device's request of this namespace was left without an answer, as a fault says.
    RequestIgnored {
        connection: u64,
        jid: String,
        namespace: String,
    },
    /// A device was told that so many stanzas wait for it.
    OfflineAnnounced {
        connection: u64,
        jid: String,
        count: usize,
    },
    /// Something was sent to a device from its mailbox. `class`: `message`, `receipt` or `notification`; `attempt`: how
    /// often it was sent so far; `offline`: it had waited.
    MessageSent {
        connection: u64,
        jid: String,
        class: String,
        id: String,
        from: String,
        attempt: u32,
        offline: bool,
    },
    /// A device has acknowledged messages, which wait no longer. `receipt`: how, `ack` or the type of the receipt.
    MessageAcknowledged {
        connection: u64,
        jid: String,
        ids: Vec<String>,
        receipt: String,
    },
    /// A device has sent a message. `readers`: how many phones could read it; `copies`: how often it came.
    MessageReceived {
        connection: u64,
        jid: String,
        to: String,
        id: String,
        kind: String,
        readers: usize,
        copies: u32,
        resent: bool,
    },
    /// A message of a device's was refused with this error code.
    MessageRefused {
        connection: u64,
        jid: String,
        to: String,
        id: String,
        code: u16,
    },
    /// A message of a device's was lost, or its acknowledgement was, as a fault says.
    MessageIgnored {
        connection: u64,
        jid: String,
        to: String,
        id: String,
    },
    /// A person could not read a message of a device's, and has asked for it again.
    MessageUnreadable {
        connection: u64,
        jid: String,
        person: String,
        id: String,
    },
    /// A device could not read a message, and asks for it again; `answered` when it got it.
    RetryRequested {
        connection: u64,
        jid: String,
        to: String,
        id: String,
        count: u32,
        answered: bool,
    },
    /// A device has said how far messages have got: `delivery`, `inactive`, `sender`, `read`, `played`.
    ReceiptReceived {
        connection: u64,
        jid: String,
        to: String,
        ids: Vec<String>,
        receipt: String,
    },
    /// A device is seen to write something: `composing`, `recording` or `paused`.
    Typing {
        connection: u64,
        jid: String,
        to: String,
        state: String,
    },
    /// Somebody uploaded a file, with this HTTP status.
    MediaStored { status: u16, size: usize },
    /// Somebody fetched a file, with this HTTP status.
    MediaFetched { status: u16, size: usize },
    /// A device has asked the phone to upload the file of a message again; `answered` when the phone did.
    MediaRetried {
        connection: u64,
        jid: String,
        id: String,
        answered: bool,
    },
    /// A device asked to be unlinked.
    UnlinkRequested { connection: u64, jid: String },
    /// A device is not linked any more.
    Unlinked { jid: String },
    /// A connection is gone; `jid` when it had logged in.
    Disconnected {
        connection: u64,
        jid: Option<String>,
    },
}

impl Observation {
    /// The connection it happened on, if on one.
    #[must_use]
    pub fn connection(&self) -> Option<u64> {
        match self {
            Self::UpgradeRefused { .. }
            | Self::Unlinked { .. }
            | Self::MediaStored { .. }
            | Self::MediaFetched { .. } => None,
            Self::ClientConnected { connection }
            | Self::HandshakeXx { connection }
            | Self::HandshakeIk { connection }
            | Self::HandshakeFallback { connection }
            | Self::HandshakeFailed { connection, .. }
            | Self::Pairing { connection, .. }
            | Self::PairingAcknowledged { connection }
            | Self::PairCodeRequested { connection, .. }
            | Self::Paired { connection, .. }
            | Self::PairingFailed { connection, .. }
            | Self::Login { connection, .. }
            | Self::LoginRefused { connection, .. }
            | Self::LoginIgnored { connection, .. }
            | Self::PreKeysUploaded { connection, .. }
            | Self::KeysShared { connection, .. }
            | Self::OfflineAnnounced { connection, .. }
            | Self::MessageSent { connection, .. }
            | Self::MessageAcknowledged { connection, .. }
            | Self::MessageReceived { connection, .. }
            | Self::MessageRefused { connection, .. }
            | Self::MessageIgnored { connection, .. }
            | Self::MessageUnreadable { connection, .. }
            | Self::RetryRequested { connection, .. }
            | Self::ReceiptReceived { connection, .. }
            | Self::Typing { connection, .. }
            | Self::MediaRetried { connection, .. }
            | Self::Online { connection, .. }
            | Self::Presence { connection, .. }
            | Self::GhostConcluded { connection, .. }
            | Self::MexQuery { connection, .. }
            | Self::PairingIgnored { connection, .. }
            | Self::PasskeyRequested { connection, .. }
            | Self::PasskeyRefused { connection, .. }
            | Self::PasskeyProved { connection, .. }
            | Self::PasskeyCode { connection, .. }
            | Self::GroupsRequested { connection, .. }
            | Self::Ping { connection, .. }
            | Self::RequestIgnored { connection, .. }
            | Self::UnlinkRequested { connection, .. }
            | Self::Disconnected { connection, .. } => Some(*connection),
        }
    }

    /// Its name, as it is written in JSON: `client_connected`, `login`.
    #[must_use]
    pub fn name(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        json["observation"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it is about this device (JID) or a device of this phone (number).
    #[must_use]
    pub fn is_about(&self, who: &str) -> bool {
        let of_phone = |jid: &str| jid == who || jid.split([':', '@']).next() == Some(who);
        self.phone() == Some(who) || self.jid().is_some_and(of_phone)
    }

    /// The phone it is about, if it is about no device yet.
    #[must_use]
    pub fn phone(&self) -> Option<&str> {
        match self {
            Self::PairCodeRequested { phone, .. }
            | Self::PairingFailed { phone, .. }
            | Self::PairingIgnored { phone, .. }
            | Self::PasskeyRequested { phone, .. }
            | Self::PasskeyRefused { phone, .. }
            | Self::PasskeyProved { phone, .. }
            | Self::PasskeyCode { phone, .. } => Some(phone),
            _ => None,
        }
    }

    /// The device it is about, if the server knew.
    #[must_use]
    pub fn jid(&self) -> Option<&str> {
        match self {
            Self::Paired { jid, .. }
            | Self::Login { jid, .. }
            | Self::LoginRefused { jid, .. }
            | Self::LoginIgnored { jid, .. }
            | Self::PreKeysUploaded { jid, .. }
            | Self::KeysShared { jid, .. }
            | Self::OfflineAnnounced { jid, .. }
            | Self::MessageSent { jid, .. }
            | Self::MessageAcknowledged { jid, .. }
            | Self::MessageReceived { jid, .. }
            | Self::MessageRefused { jid, .. }
            | Self::MessageIgnored { jid, .. }
            | Self::MessageUnreadable { jid, .. }
            | Self::RetryRequested { jid, .. }
            | Self::ReceiptReceived { jid, .. }
            | Self::Typing { jid, .. }
            | Self::MediaRetried { jid, .. }
            | Self::Online { jid, .. }
            | Self::Presence { jid, .. }
            | Self::GhostConcluded { jid, .. }
            | Self::MexQuery { jid, .. }
            | Self::GroupsRequested { jid, .. }
            | Self::Ping { jid, .. }
            | Self::RequestIgnored { jid, .. }
            | Self::UnlinkRequested { jid, .. }
            | Self::Unlinked { jid } => Some(jid),
            Self::Disconnected { jid, .. } => jid.as_deref(),
            _ => None,
        }
    }
}
