//! Reading the configuration again: everything is read and checked first, then swapped. A file that
//! is wrong changes nothing.

use tracing::{error, info, warn};

use super::config::Config;
use super::state::{Daemon, Live};
use crate::message_id;
use crate::protocol::{Failure, FailureCode, Reloaded};

/// Sections whose keys take effect at once. What the others say is built into the socket, the lock
/// and the links that are there.
const LIVE: [&str; 4] = ["access.", "sessions.", "logout.", "log."];

impl Daemon {
    /// Reads the configuration again; `who` asked for it.
    ///
    /// # Errors
    /// [`FailureCode::ConfigInvalid`] with everything that is wrong: then the old one stays.
    pub async fn reload(&self, who: &str) -> Result<Reloaded, Failure> {
        let _turn = self.shared.reloading.lock().await;
        let notifier = &self.shared.notifier;
        notifier.reloading();
        let source = self.shared.source.clone();
        let loaded = tokio::task::spawn_blocking(move || source.load()).await;
        let result = match loaded {
            Ok(Ok((live, notes))) => {
                notifier.set_notice(None);
                Ok(self.put_in_force(live, &notes, who))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(format!("reading it failed inside the daemon: {error}")),
        };
        let result = result.map_err(|why| {
            error!(
                message_id = message_id::NOT_RELOADED,
                "the configuration is not reloaded ({who}), the old one stays: {why}"
            );
            notifier.set_notice(Some(format!("Configuration not reloaded: {why}")));
            let message = format!("The configuration is not reloaded, the old one stays:\n{why}");
            Failure::new(FailureCode::ConfigInvalid, message)
        });
        // systemd waits for it, whatever came of the reload.
        notifier.ready(&self.supervisor().census().summary());
        result
    }

    fn put_in_force(&self, new: Live, notes: &[String], who: &str) -> Reloaded {
        for note in notes {
            warn!("{note}");
        }
        let present = self.live();
        let differences = present.config.differences(&new.config);
        let (changed, needs_restart): (Vec<_>, Vec<_>) = differences
            .into_iter()
            .partition(|key| LIVE.iter().any(|section| key.starts_with(section)));
        let config = Config {
            // These stay as they were at the start, so that the next reload tells of them again.
            socket: present.config.socket.clone(),
            state_directory: present.config.state_directory.clone(),
            whatsapp: present.config.whatsapp.clone(),
            ..new.config
        };
        self.supervisor().configure(config.settings());
        if !self.shared.filter.set(&config.log_filter) && changed.iter().any(|k| k == "log.filter")
        {
            info!("`log.filter` changed, but the filter from the environment stays in force");
        }
        self.replace(Live { config, ..new });
        let list = |keys: &[String]| match keys {
            [] => "nothing".to_owned(),
            keys => keys.join(", "),
        };
        info!(
            message_id = message_id::RELOADED,
            "the configuration is reloaded ({who}): changed {}; a restart is needed for {}",
            list(&changed),
            list(&needs_restart)
        );
        Reloaded {
            changed,
            needs_restart,
        }
    }
}
