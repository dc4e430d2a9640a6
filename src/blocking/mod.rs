//! Threads for calls that may hang.
//!
//! A disk, a name server, a directory service, a web page: each may take any time to answer. Each kind
//! of call has a bounded number of threads of its own, a [`Room`]. So a kind of call that hangs takes no
//! thread from another kind. The threads of tokio's own pool are left to the WhatsApp library's own store,
//! from which credentials of a former layout are taken over.
//!
//! A call that has begun cannot be cancelled. [`UncancellableWork`] counts the calls that belong to one
//! user, so that nothing else is done with the user's files before they have ended.

mod pool;
mod room;
mod turns;
mod work;

pub(crate) use pool::{KEEP, keep_a_thread};
pub use room::Room;
pub use work::UncancellableWork;

/// The rooms of a daemon. The store has those of the state directory itself. Clones share the rooms.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// Names of hosts.
    pub resolver: Room,
    /// Users and groups: the name service, which may be a directory far away.
    pub accounts: Room,
    /// WhatsApp's current version, from its web page.
    pub web: Room,
    /// The WhatsApp library's blocking calls: keys, and media while they are
    /// encrypted and sent.
    pub library: Room,
    /// What the WhatsApp library asks web servers.
    pub media: Room,
    /// The configuration.
    pub configuration: Room,
    /// The watchdog's own look at the disk: never behind anybody else's call.
    pub probe: Room,
}

impl Rooms {
    /// All rooms, each with its number of threads. A room begins with one thread; the others are started
    /// when calls need them, and end when there is nothing more to do.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // A name server that never answers holds a thread for up to half a minute.
            resolver: Room::new("resolver", 8),
            accounts: Room::new("accounts", 4),
            // One fetch serves all sessions; a second one is for a proxy that differs.
            web: Room::new("web", 2),
            // Most calls compute for a moment. One that waits for a web server gives its place to a spare.
            library: Room::with_spares("library", 8, 120),
            // Each waits for a server, for a minute and a half at the longest.
            media: Room::new("media", 64),
            configuration: Room::new("configuration", 1),
            probe: Room::new("probe", 1),
        }
    }
}

#[cfg(test)]
impl Rooms {
    /// For tests with a paused clock: see [`Room::of_the_caller`].
    pub(crate) fn of_the_caller() -> Self {
        Self {
            resolver: Room::of_the_caller("resolver"),
            accounts: Room::of_the_caller("accounts"),
            web: Room::of_the_caller("web"),
            library: Room::of_the_caller("library"),
            media: Room::of_the_caller("media"),
            configuration: Room::of_the_caller("configuration"),
            probe: Room::of_the_caller("probe"),
        }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self::new()
    }
}
