//! What concerns the whole daemon, not one session, and wants a person: shown by `info` and in the status of
//! the service.

use super::state::Daemon;
use crate::protocol::Alarm;
use crate::whatsapp::ClientOutdated;

/// WhatsApp does not accept the version of WhatsApp Web that the daemon names.
const CLIENT_OUTDATED: &str = "client_outdated";

impl Daemon {
    /// The alarms of this moment; none when all is well.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        let outdated = self.supervisor().gateway().outdated();
        let outdated = outdated.borrow().as_ref().map(client_outdated);
        outdated.into_iter().collect()
    }

    /// One line for the service manager: how many sessions are in which phase, and the alarms.
    #[must_use]
    pub fn status_line(&self) -> String {
        let mut line = self.supervisor().census().summary();
        for alarm in self.alarms() {
            line = format!("{line}. {}: {}", alarm.name, alarm.message);
        }
        line
    }
}

fn client_outdated(outdated: &ClientOutdated) -> Alarm {
    Alarm {
        name: CLIENT_OUTDATED.to_owned(),
        since: outdated.since,
        message: format!(
            "WhatsApp does not accept version {} of WhatsApp Web, which this daemon names, so no session can log in. The credentials are kept, and all go on by themselves when that changes; if it lasts, update wasessiond, or set `whatsapp.version`",
            outdated.version
        ),
    }
}
