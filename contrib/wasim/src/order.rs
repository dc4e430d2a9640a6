//! Orders to a connection's task.

use tokio::sync::oneshot;
use wacore_binary::Node;

use crate::Error;
use crate::crypto::{Key, Pair};
use crate::wire::Goodbye;

/// Some work, with a channel that says when it is done.
pub(crate) struct Order {
    pub work: Work,
    pub done: oneshot::Sender<()>,
}

pub(crate) enum Work {
    /// Send these, then go on as `then` says.
    Send {
        nodes: Vec<Node>,
        then: Then,
    },
    Freeze,
    Hang,
    Resume,
    /// Give out new references.
    RenewRefs,
    /// Ask for another pair code; `true`: only when the person asks for one.
    RefreshCode(bool),
    /// Retire the secret that the client shows.
    RefreshRegistration,
    /// The phone has scanned the code.
    Scanned(Scanned),
    /// The person has typed a code on the phone.
    Typed(Box<Typed>),
}

/// What a connection does after sending something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    GoOn,
    /// Answer nothing any more.
    Hang,
    End(Goodbye),
}

/// Where the outcome of a pairing goes: the new device's JID.
pub(crate) type Outcome = oneshot::Sender<Result<String, Error>>;

pub(crate) struct Scanned {
    pub phone: String,
    pub adv_secret: Vec<u8>,
    pub outcome: Outcome,
}

pub(crate) struct Typed {
    pub phone: String,
    /// The phone's key for this pairing.
    pub ours: Pair,
    /// Its public half, encrypted with the typed code.
    pub wrapped: Vec<u8>,
    /// The client's key for this pairing, decrypted with the typed code.
    pub client: Key,
    pub outcome: Outcome,
}
