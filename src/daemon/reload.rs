//! Reading the configuration again: everything is read and checked first, then swapped. A file that
//! is wrong changes nothing.

use tracing::{error, info, warn};

use super::config::Config;
use super::in_force::InForce;
use super::state::Daemon;
use crate::message_id;
use crate::protocol::{Failure, FailureCode, Reloaded};
use crate::service::config::TakesEffect;

impl Daemon {
    /// Reads the configuration again; `who` asked for it.
    ///
    /// # Errors
    /// [`FailureCode::ConfigInvalid`] with everything that is wrong: then the old one stays.
    pub async fn reload(&self, who: &str) -> Result<Reloaded, Failure> {
        let _turn = self.shared.reloading.lock().await;
        let notifier = &self.shared.notifier;
        notifier.reloading();
        let loaded = self.shared.source.load(self.rooms()).await;
        let result = loaded.map(|(new, notes)| {
            notifier.set_notice(None);
            self.put_in_force(new, &notes, who)
        });
        let result = result.map_err(|why| {
            error!(
                message_id = message_id::NOT_RELOADED,
                "the configuration is not reloaded ({who}), the old one stays: {why}"
            );
            notifier.set_notice(Some(format!("Configuration not reloaded: {why}")));
            let message = format!("The configuration is not reloaded, the old one stays:\n{why}");
            Failure::new(FailureCode::ConfigInvalid, message)
        });
        // systemd waits for this, whether the reload succeeded or not.
        notifier.ready(&self.supervisor().status_line());
        result
    }

    fn put_in_force(&self, mut new: InForce, notes: &[String], who: &str) -> Reloaded {
        for note in notes {
            warn!("{note}");
        }
        let present = self.in_force();
        let differences = present.config.differences(&new.config);
        let (changed, needs_restart): (Vec<_>, Vec<_>) = differences
            .into_iter()
            .partition(|key| takes_effect(key) == TakesEffect::AtReload);
        // A key that needs a restart is reported again by the next reload.
        new.config.keep_until_restart(&present.config);
        self.supervisor().configure(new.config.settings());
        let gateway = self.supervisor().gateway();
        gateway.set_version(new.config.whatsapp.version);
        let filter = &new.config.log.filter;
        if !self.shared.filter.set(filter) && changed.iter().any(|key| key == "log.filter") {
            info!("`log.filter` changed, but the filter from the environment stays in force");
        }
        self.replace(new);
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

/// When a change of this key, named with its section, takes effect.
fn takes_effect(key: &str) -> TakesEffect {
    let (section, key) = key.split_once('.').unwrap_or_default();
    let section = Config::SECTIONS.iter().find(|s| s.name == section);
    let key = section.and_then(|section| section.key(key));
    key.map_or(TakesEffect::AtRestart, |key| key.takes_effect)
}
