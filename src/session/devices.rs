//! Which session uses which linked device.
//!
//! Two sessions with the same credentials throw each other out, and WhatsApp's word for that ends one of
//! them. Within one daemon they can only be a copy of a directory under a second name. So each device belongs
//! to one session here, and no other session connects with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::UserId;

/// The linked devices, each with the session that uses it. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Devices(Arc<Mutex<Owners>>);

#[derive(Debug, Default)]
struct Owners {
    by_device: HashMap<String, UserId>,
    by_user: HashMap<UserId, String>,
}

impl Devices {
    /// Gives the device of this JID to a user's session. Whoever came first keeps it: then this is the name of
    /// the other one, and nothing is changed.
    ///
    /// # Errors
    /// The user whose session uses the device.
    pub fn claim(&self, device: &str, user: &UserId) -> Result<(), UserId> {
        let mut owners = self.lock();
        match owners.by_device.get(device) {
            Some(other) if other != user => return Err(other.clone()),
            Some(_) => return Ok(()),
            None => {}
        }
        owners.give(device, user);
        Ok(())
    }

    /// Gives the device of this JID to a user's session that was linked as it just now. WhatsApp gives each
    /// device to one holder, so a session that had it before holds dead credentials.
    pub fn take(&self, device: &str, user: &UserId) {
        let mut owners = self.lock();
        if let Some(before) = owners.by_device.get(device).cloned() {
            owners.release(&before);
        }
        owners.give(device, user);
    }

    /// Whether another session than this user's uses the device.
    #[must_use]
    pub fn is_anothers(&self, device: &str, user: &UserId) -> bool {
        let owners = self.lock();
        let owner = owners.by_device.get(device);
        owner.is_some_and(|owner| owner != user)
    }

    /// Takes the device away from a session that has ended.
    pub fn release(&self, user: &UserId) {
        self.lock().release(user);
    }

    fn lock(&self) -> MutexGuard<'_, Owners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owners {
    /// Gives a device that nobody has to a user, in the place of the device that the user had.
    fn give(&mut self, device: &str, user: &UserId) {
        self.release(user);
        self.by_device.insert(device.to_owned(), user.clone());
        self.by_user.insert(user.clone(), device.to_owned());
    }

    fn release(&mut self, user: &UserId) {
        if let Some(device) = self.by_user.remove(user) {
            self.by_device.remove(&device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_keeps_a_device_until_its_session_ends() {
        let devices = Devices::default();
        let [alice, copy]: [UserId; 2] = ["alice", "copy"].map(|id| id.parse().expect("an id"));
        assert_eq!(devices.claim("1:2@s", &alice), Ok(()));
        assert_eq!(devices.claim("1:2@s", &alice), Ok(()));
        assert_eq!(devices.claim("1:2@s", &copy), Err(alice.clone()));
        assert!(devices.is_anothers("1:2@s", &copy));
        assert!(!devices.is_anothers("1:2@s", &alice));
        // Another device of the same account is another one.
        assert_eq!(devices.claim("1:3@s", &copy), Ok(()));
        devices.release(&alice);
        assert_eq!(devices.claim("1:2@s", &copy), Ok(()));
        assert!(!devices.is_anothers("1:3@s", &alice), "a session has one");
    }

    #[test]
    fn a_device_that_was_linked_just_now_is_taken_from_whoever_had_its_number() {
        let devices = Devices::default();
        let [old, new]: [UserId; 2] = ["old", "new"].map(|id| id.parse().expect("an id"));
        assert_eq!(devices.claim("1:2@s", &old), Ok(()));
        devices.take("1:2@s", &new);
        assert_eq!(devices.claim("1:2@s", &new), Ok(()), "it connects again");
        assert_eq!(devices.claim("1:2@s", &old), Err(new.clone()));
        // The end of the old session does not take the device from the new one.
        devices.release(&old);
        assert!(devices.is_anothers("1:2@s", &old));
    }
}
