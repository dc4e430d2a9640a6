//! Where calls that may hang run.
//!
//! A disk, a name server, a directory service, a web page: each may take as long as it wants to
//! answer. Each kind of call has threads of its own, a bounded number ([`Room`]), so that one kind
//! that hangs takes no thread from another. The threads of tokio's own pool are left to the WhatsApp
//! library's database.
//!
//! A call that has begun cannot be broken off. What belongs to one user and must be over before
//! anything else is done with that user's files is counted by [`UncancellableWork`].

mod room;
mod work;

pub use room::Room;
pub use work::UncancellableWork;

/// The rooms of a daemon, beside that of the state directory, which the store has. Clones are the same
/// rooms.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// Names of hosts.
    pub resolver: Room,
    /// Users and groups: the name service, which may be a directory far away.
    pub accounts: Room,
    /// WhatsApp's current version, from its web page.
    pub web: Room,
    /// The configuration.
    pub configuration: Room,
    /// The watchdog's own look at the disk: never behind anybody else's call.
    pub probe: Room,
}

impl Rooms {
    /// All of them, each with its number of threads. One thread is there from the start, the others come
    /// with the calls; they stay.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // A name server that never answers holds one for up to half a minute.
            resolver: Room::new("resolver", 8),
            accounts: Room::new("accounts", 4),
            // One fetch serves all sessions; a second one is for a proxy that differs.
            web: Room::new("web", 2),
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
