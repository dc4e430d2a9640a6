//! Signs of life of the account's phone: stanzas that come from it.

use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use whatsapp_rust::Client;
use whatsapp_rust::wacore_binary::{Jid, NodeRef};

/// The phone is reported at most this often.
const EVERY: Duration = Duration::from_mins(10);

/// Finds the phone among the senders of stanzas.
#[derive(Default)]
pub(super) struct Phone {
    /// Who knows the account, once the library is built.
    client: OnceLock<Weak<Client>>,
    /// The time of the last sign that was reported.
    reported: Mutex<Option<Timestamp>>,
}

impl Phone {
    pub(super) fn of(&self, client: Weak<Client>) {
        let _ = self.client.set(client);
    }

    /// How long ago the phone sent this stanza, if it did, and if that is to be reported again. The phone is
    /// device 0 of the account. What the server says of the account without naming a device proves nothing.
    pub(super) fn heard_in(&self, stanza: &NodeRef<'_>, now: Timestamp) -> Option<Duration> {
        if !matches!(stanza.tag.as_ref(), "message" | "receipt") {
            return None;
        }
        let mut attributes = stanza.attrs();
        // What waited at the server for this device has the time at which it was sent.
        let sent = attributes.optional_u64("t");
        let sent =
            sent.and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
        let sent = sent.map_or(now, |sent| sent.min(now));
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.is_some_and(|last| sent < last + EVERY) {
            return None;
        }
        let client = self.client.get().and_then(Weak::upgrade)?;
        let own = [client.pn(), client.lid()];
        let senders = ["participant", "from"].map(|name| attributes.optional_jid(name));
        let heard = senders
            .iter()
            .flatten()
            .any(|sender| own.iter().flatten().any(|own| is_phone_of(sender, own)));
        heard.then(|| {
            *reported = Some(sent);
            Duration::try_from(now.duration_since(sent)).unwrap_or_default()
        })
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
