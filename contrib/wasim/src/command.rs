//! Commands to the server. They are the same in-process and over the control socket.

use serde::{Deserialize, Serialize};

use crate::conversation::ChatMessage;
use crate::crypto::base64_bytes;
use crate::ending::{Failure, StreamError, UnlinkAnswer};
use crate::fault::FaultRule;
use crate::group::Group;
use crate::observation::Seen;
use crate::person::Addressing;
use crate::received::ReceivedStanza;
use crate::saying::{Receipt, Saying, Typing};
use crate::settings::{AppState, ChatLimit, Hosting, Timelock};
use crate::stanza::Stanza;

/// A command to the server. Most act as the phone, or as WhatsApp.
///
/// `device` is a device's JID (`15550001001:3@s.whatsapp.net`), the number of a phone that has
/// exactly one device, or `#7` for the connection of that number, logged in or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Command {
    /// The phone scans a QR code. Answered with [`Answer::Linked`] once the client proved its keys.
    Scan {
        /// The text of the code.
        qr: String,
        /// The phone's number.
        phone: String,
    },
    /// The person types on the phone the code that a client shows. Answered like a scan.
    Link {
        /// The phone's number.
        phone: String,
        /// The code, with or without the dash.
        code: String,
    },
    /// The linked devices, of one phone or of all.
    Devices {
        /// The phone's number.
        #[serde(default)]
        phone: Option<String>,
    },
    /// The person removes a device on the phone: 401 `device_removed`, or 401 at its next login.
    Unlink {
        /// Which.
        device: String,
    },
    /// Another client takes the device's place: `<conflict type="replaced"/>`.
    Replace {
        /// Which.
        device: String,
    },
    /// Sends a stream error, then closes unless it says otherwise. The device stays linked.
    StreamError {
        /// Which.
        device: String,
        /// What.
        error: StreamError,
    },
    /// Sends `<xmlstreamend/>`.
    EndStream {
        /// Which.
        device: String,
        /// Leave the socket open afterwards.
        #[serde(default)]
        keep_open: bool,
    },
    /// Sends a WebSocket close frame and closes.
    Close {
        /// Which.
        device: String,
    },
    /// Closes the TCP connection without a WebSocket close (FIN).
    Drop {
        /// Which.
        device: String,
    },
    /// Resets the TCP connection (RST).
    Reset {
        /// Which.
        device: String,
    },
    /// Stops reading and writing; the socket stays open.
    Freeze {
        /// Which.
        device: String,
    },
    /// Goes on reading and answers nothing, pings included.
    Hang {
        /// Which.
        device: String,
    },
    /// Undoes a freeze or a hang. Stanzas that came during a freeze are then read; those that came during a
    /// hang are lost.
    Resume {
        /// Which.
        device: String,
    },
    /// Sends any stanza.
    SendRaw {
        /// To whom.
        device: String,
        /// What.
        stanza: Stanza,
    },
    /// Refuses the device's next login.
    FailNext {
        /// Whose.
        device: String,
        /// How.
        failure: Failure,
    },
    /// Adds a fault.
    SetFault {
        /// Which.
        rule: FaultRule,
    },
    /// Removes every fault.
    ClearFaults,
    /// The faults in force.
    Faults,
    /// Sets the groups a phone is in.
    SetGroups {
        /// The phone's number.
        phone: String,
        /// All of its groups.
        groups: Vec<Group>,
    },
    /// The groups a phone is in.
    Groups {
        /// The phone's number.
        phone: String,
    },
    /// Sets the name that a phone shows to others.
    SetPushName {
        /// The phone's number.
        phone: String,
        /// The name.
        name: String,
    },
    /// Whether a new device of this phone has to prove the passkey of the account's owner.
    SetPasskey {
        /// The phone's number.
        phone: String,
        /// Whether it has to.
        needed: bool,
    },
    /// The owner's passkey signs what WhatsApp asks for, as a browser does on WhatsApp Web's page.
    SignPasskey {
        /// The phone's number.
        phone: String,
        /// What WhatsApp asks for: JSON, as the client was sent it.
        options: String,
    },
    /// Sets or lifts a time-lock: the account may not write to new people. Its connected devices are told.
    SetTimelock {
        /// The phone's number.
        phone: String,
        /// None lifts it.
        #[serde(default)]
        timelock: Option<Timelock>,
        /// Tell nobody: devices learn it when they ask.
        #[serde(default)]
        quiet: bool,
    },
    /// Sets or lifts the limit on chats with new people. The account's connected devices are told.
    SetChatLimit {
        /// The phone's number.
        phone: String,
        /// None lifts it.
        #[serde(default)]
        limit: Option<ChatLimit>,
        /// Tell nobody: devices learn it when they ask.
        #[serde(default)]
        quiet: bool,
    },
    /// Whether the account belongs to a business that also uses the Cloud API.
    SetHosting {
        /// The phone's number.
        phone: String,
        /// Whether, and how.
        hosting: Hosting,
    },
    /// What becomes of the app state that a new device needs.
    SetAppState {
        /// The phone's number.
        phone: String,
        /// Whether it is served.
        app_state: AppState,
    },
    /// When the phone signed the list of its devices: the time that clients are told when they ask for the list.
    SetPhoneSeen {
        /// The phone's number.
        phone: String,
        /// In seconds since 1970. None: each time just now.
        #[serde(default)]
        at: Option<u64>,
    },
    /// Somebody reads a message on the phone, which tells its devices: a receipt of the phone's, with its time. It waits
    /// for a device that is away, until the device acknowledges it.
    PhoneSpeaks {
        /// The phone's number.
        phone: String,
        /// In seconds since 1970. None: now.
        #[serde(default)]
        at: Option<u64>,
    },
    /// The oldest version of a client that may log in or register; older ones get `<failure reason="405"/>`.
    SetMinimumVersion {
        /// Such as `[2, 3000, 1030000000]`. None: any.
        #[serde(default)]
        version: Option<[u32; 3]>,
    },
    /// When WhatsApp stops to accept the clients of today (`<ib><client_expiration t=".."/></ib>`). Devices are told now,
    /// and each at its login.
    SetClientExpiration {
        /// In seconds since 1970. None: nobody is told any more.
        #[serde(default)]
        at: Option<u64>,
    },
    /// How requests to be unlinked are answered: those of one device (JID), of one phone (number) or on one connection
    /// (`#7`), or from now on all.
    OnUnlink {
        /// Whose. None: everyone's; without `times` what was set for single ones is forgotten.
        #[serde(default)]
        device: Option<String>,
        /// How.
        answer: UnlinkAnswer,
        /// Only the next ones, so many; then it is again as it was.
        #[serde(default)]
        times: Option<u32>,
    },
    /// Stops accepting TCP connections (they are refused), or starts again on the same port.
    SetListening {
        /// Whether to accept.
        listening: bool,
    },
    /// Gives a client that waits to be scanned a new set of references.
    RenewRefs {
        /// `#7`, the number of its connection.
        device: String,
    },
    /// Tells a client that shows a pair code to show another one.
    RefreshCode {
        /// `#7`, the number of its connection.
        device: String,
        /// Only when the person asks for it.
        #[serde(default)]
        force_manual: bool,
    },
    /// Retires the secret in the QR code that a client shows (`companion_reg_refresh`): the client has to show a new
    /// one with the same reference.
    RefreshRegistration {
        /// `#7`, the number of its connection.
        device: String,
    },
    /// The stanzas that a client has sent on its connection: the latest 256. `#7` also works for a connection that
    /// has ended a short time ago.
    Received {
        /// Whose.
        device: String,
    },
    /// What was observed, oldest first, as far as the log reaches.
    Observations {
        /// From this position on.
        #[serde(default)]
        after: u64,
        /// Only these observations, such as `login`. Empty: all.
        #[serde(default)]
        only: Vec<String>,
        /// Only those about this device (JID) or phone (number).
        #[serde(default)]
        device: Option<String>,
    },
    /// Somebody says something: a contact, or the account's owner on the phone. Answered with [`Answer::Said`].
    Say {
        /// What, where, and what goes wrong with it.
        saying: Saying,
    },
    /// The messages that were said and heard, oldest first, as far as they are remembered.
    Messages {
        /// From this position on.
        #[serde(default)]
        after: u64,
        /// Only those in the chat with this person (phone number) or in this group (JID).
        #[serde(default)]
        chat: Option<String>,
        /// Only those with this id.
        #[serde(default)]
        id: Option<String>,
    },
    /// The file of a message, fetched and opened as its reader does.
    Media {
        /// The id of the message.
        id: String,
    },
    /// The file of a message is gone from the servers: whoever fetches it gets this HTTP status.
    LoseMedia {
        /// The id of the message.
        id: String,
        /// Such as 403, 404 or 410.
        status: u16,
        /// The phone does not have it any more either.
        #[serde(default)]
        for_good: bool,
    },
    /// Uploads need another permission from now on; the one that clients have is refused with 401.
    RenewMediaAuth,
    /// Somebody tells the devices that wrote messages how far these have got.
    SendReceipt {
        /// Who: a phone number.
        from: String,
        /// The ids of the messages.
        ids: Vec<String>,
        /// How far.
        receipt: Receipt,
    },
    /// Somebody could not read a message of a device's, and asks for it again. Whoever asks has lost the session.
    AskAgain {
        /// Who: a phone number.
        from: String,
        /// The id of the message.
        id: String,
    },
    /// Somebody is seen to write something.
    Typing {
        /// Who: a phone number.
        from: String,
        /// To whom: a phone number or the JID of a group.
        to: String,
        /// What is seen.
        typing: Typing,
    },
    /// Somebody is there, or has gone. The connected devices of an account are told.
    PersonPresence {
        /// Who: a phone number.
        from: String,
        /// Whose devices are told: a phone number.
        to: String,
        /// Whether the person is there.
        available: bool,
    },
    /// What waits for a device.
    Mailbox {
        /// Which device.
        device: String,
    },
    /// How the people in an account's direct chats are named on the wire.
    SetAddressing {
        /// The phone's number.
        phone: String,
        /// How.
        addressing: Addressing,
    },
    /// The connections there are.
    Logins,
    /// Where the server is and what signs its certificate.
    Info,
}

/// The result of a [`Command`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// It was done.
    Done,
    /// A device was linked.
    Linked {
        /// Its JID.
        device: String,
    },
    /// The account needs its owner's passkey: the pairing goes on between the client and WhatsApp.
    PasskeyNeeded {
        /// The connection of the client.
        connection: u64,
    },
    /// What the passkey has signed.
    Assertion {
        /// JSON, as a browser gives it out.
        assertion: String,
    },
    /// Linked devices.
    Devices {
        /// Sorted by JID.
        devices: Vec<Device>,
    },
    /// A phone's groups.
    Groups {
        /// In the order they were set.
        groups: Vec<Group>,
    },
    /// Faults in force.
    Faults {
        /// Oldest first.
        rules: Vec<FaultRule>,
    },
    /// Stanzas of a client.
    Received {
        /// In the order in which they came.
        stanzas: Vec<ReceivedStanza>,
    },
    /// Observations.
    Observations {
        /// Where to go on from.
        next: u64,
        /// Oldest first.
        observations: Vec<Seen>,
    },
    /// Something was said.
    Said {
        /// The id of the message.
        id: String,
    },
    /// Messages.
    Messages {
        /// Where to go on from.
        next: u64,
        /// Oldest first.
        messages: Vec<ChatMessage>,
    },
    /// A file.
    Media {
        /// Its bytes, in base64.
        #[serde(with = "base64_bytes")]
        bytes: Vec<u8>,
    },
    /// What waits for a device.
    Mailbox {
        /// How many messages.
        messages: usize,
        /// How many receipts.
        receipts: usize,
        /// How many notifications.
        notifications: usize,
    },
    /// Connections.
    Logins {
        /// Oldest first.
        connections: Vec<Connection>,
    },
    /// About the server.
    Info {
        /// Its WebSocket URL.
        url: String,
        /// The public key of its certificate root, in hexadecimal.
        root_key: String,
    },
}

/// A linked device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its JID, such as `15550001001:3@s.whatsapp.net`.
    pub jid: String,
    /// Its JID in the account's hidden numbering, such as `100000000001001:3@lid`.
    pub lid: String,
    /// The phone's number.
    pub phone: String,
    /// What the client calls itself.
    pub name: String,
    /// When it was linked, in seconds since 1970.
    pub linked_at: u64,
    /// Whether it is logged in now.
    pub online: bool,
    /// The connection it is logged in on.
    pub connection: Option<u64>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its number, from 1.
    pub connection: u64,
    /// How far it is: `handshake`, `pairing`, `login` or `online`.
    pub stage: String,
    /// The device that logged in on it.
    pub jid: Option<String>,
}
