//! Signs of life of the account's phone: stanzas that come from it.

use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use whatsapp_rust::Client;
use whatsapp_rust::wacore_binary::{Jid, NodeRef};

/// The phone is reported at most this often.
const EVERY: Duration = Duration::from_mins(10);

/// Finds the phone among the senders of stanzas.
#[derive(Default)]
pub(super) struct Phone {
    /// Who knows the account, once the library is built.
    client: OnceLock<Weak<Client>>,
    reported: Mutex<Option<Instant>>,
}

impl Phone {
    pub(super) fn of(&self, client: Weak<Client>) {
        let _ = self.client.set(client);
    }

    /// Whether this stanza comes from the phone, and that is to be reported again. The phone is device 0 of
    /// the account. What the server says of the account without naming a device proves nothing.
    pub(super) fn is_heard_in(&self, stanza: &NodeRef<'_>) -> bool {
        if !matches!(stanza.tag.as_ref(), "message" | "receipt") {
            return false;
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.is_some_and(|at| at.elapsed() < EVERY) {
            return false;
        }
        let Some(client) = self.client.get().and_then(Weak::upgrade) else {
            return false;
        };
        let own = [client.pn(), client.lid()];
        let mut attributes = stanza.attrs();
        let senders = ["participant", "from"].map(|name| attributes.optional_jid(name));
        let heard = senders
            .iter()
            .flatten()
            .any(|sender| own.iter().flatten().any(|own| is_phone_of(sender, own)));
        if heard {
            *reported = Some(Instant::now());
        }
        heard
    }
}

fn is_phone_of(sender: &Jid, own: &Jid) -> bool {
    sender.device == 0 && sender.user == own.user && sender.server == own.server
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phone_is_device_0_of_the_account() {
        let jid = |text: &str| text.parse::<Jid>().expect("a JID");
        let own = jid("15550100999:4@s.whatsapp.net");
        assert!(is_phone_of(&jid("15550100999@s.whatsapp.net"), &own));
        for other in [
            "15550100999:4@s.whatsapp.net",
            "15550100999:7@s.whatsapp.net",
            "15550100111@s.whatsapp.net",
            "15550100999@lid",
            "120363012345678901@g.us",
        ] {
            assert!(!is_phone_of(&jid(other), &own), "{other}");
        }
    }
}
