//! Commands to the server. They are the same in-process and over the control socket.

use serde::{Deserialize, Serialize};

use crate::ending::{Failure, StreamError, UnlinkAnswer};
use crate::fault::FaultRule;
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
    /// How requests to be unlinked are answered, by one device's JID, one phone's number, or from
    /// now on by all.
    OnUnlink {
        /// Whose. None: everyone's, and forget what was set for single ones.
        #[serde(default)]
        device: Option<String>,
        /// How.
        answer: UnlinkAnswer,
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
    /// The connections there are.
    Logins,
    /// Where the server is and what signs its certificate.
    Info,
}

/// The result of a [`Command`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A group a phone is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its JID, ending in `@g.us`.
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// How many people are in it, the phone's owner included.
    pub size: u32,
}

impl Group {
    /// A group of three.
    #[must_use]
    pub fn new(jid: &str, subject: &str) -> Self {
        Self {
            jid: jid.to_owned(),
            subject: subject.to_owned(),
            size: 3,
        }
    }
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
