//! What is wrong with a session's credentials, for whoever must end the link.
//!
//! The library treats most failures of its store as something to write into the log: a message that could not
//! be read from it is not acknowledged, and the session goes on. For the session that is the wrong end: what
//! cannot be stored must not go on being received. So the backend remembers the gravest failure, and the link
//! waits for it here.

use tokio::sync::watch;

use super::codec::Damage;
use crate::store::SpaceError;

/// Why the credentials could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not now: no room, no permission, no descriptors, busy. Nothing is lost, and trying again may help.
    #[error("the credentials cannot be used now: {0}")]
    Unavailable(String),
    /// Their bytes are wrong, or the key to them is. Trying again does not help.
    #[error("the credentials cannot be used: {0}")]
    Unusable(String),
    /// Another daemon owns the session now. Everything is kept, and nothing is written any more.
    #[error("another daemon owns the session now")]
    ClaimLost,
}

impl Fault {
    pub(super) fn damaged(what: &'static str, damage: &Damage) -> Self {
        Self::Unusable(format!("{what} in it: {damage}"))
    }
}

impl From<SpaceError> for Fault {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::Unavailable { why } => Self::Unavailable(why),
            SpaceError::Unusable { why } => Self::Unusable(why),
            SpaceError::ClaimLost => Self::ClaimLost,
        }
    }
}

/// The gravest fault of one link's credentials so far. Clones share it.
#[derive(Debug, Clone)]
pub struct Trouble(watch::Sender<Option<Fault>>);

impl Default for Trouble {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Trouble {
    /// The gravest fault so far.
    #[must_use]
    pub fn so_far(&self) -> Option<Fault> {
        self.0.borrow().clone()
    }

    /// Waits until there is one.
    pub async fn arises(&self) -> Fault {
        let mut faults = self.0.subscribe();
        loop {
            if let Some(fault) = faults.borrow_and_update().clone() {
                return fault;
            }
            if faults.changed().await.is_err() {
                // Not reached: this holds the sender.
                return std::future::pending().await;
            }
        }
    }

    /// Remembers a fault. The first of its gravity stays.
    pub(super) fn note(&self, fault: &Fault) {
        self.0.send_if_modified(|known| {
            let is_graver = known
                .as_ref()
                .is_none_or(|known| gravity(fault) > gravity(known));
            if is_graver {
                *known = Some(fault.clone());
            }
            is_graver
        });
    }
}

const fn gravity(fault: &Fault) -> u8 {
    match fault {
        Fault::Unavailable(_) => 0,
        Fault::Unusable(_) => 1,
        Fault::ClaimLost => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_gravest_and_first_fault_is_remembered() {
        let trouble = Trouble::default();
        assert_eq!(trouble.so_far(), None);
        let waiting = tokio::spawn({
            let trouble = trouble.clone();
            async move { trouble.arises().await }
        });
        let [full, busy] = ["no room", "busy"].map(|why| Fault::Unavailable(why.to_owned()));
        trouble.note(&full);
        trouble.note(&busy);
        assert_eq!(waiting.await.expect("no panic"), full);
        let wrong = Fault::Unusable("bits".to_owned());
        trouble.note(&wrong);
        trouble.note(&full);
        assert_eq!(trouble.so_far(), Some(wrong));
        trouble.note(&Fault::ClaimLost);
        assert_eq!(trouble.arises().await, Fault::ClaimLost);
    }
}
