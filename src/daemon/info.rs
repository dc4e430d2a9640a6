//! The answer to `info`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::Daemon;
use crate::protocol::{Count, Info};
use crate::supervisor::Caller;

impl Daemon {
    /// The answer to `info`. It counts only sessions that this caller may see.
    #[must_use]
    pub fn info(&self, caller: Caller) -> Info {
        let census = self.supervisor().census_for(caller);
        let about = &self.shared.about;
        let in_force = self.in_force();
        Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: about.started_at,
            epoch: self.supervisor().epoch(caller),
            state_directory: about.state_directory.display().to_string(),
            config_file: (!in_force.origins.files.is_empty()).then(|| in_force.origins.to_string()),
            simulator: cfg!(feature = "simulator"),
            summary: census.summary(),
            phases: counts(&census.phases),
            logouts: counts(&census.logouts),
            purge_failures: census.purge_failures,
            purge_median_ms: census.purge_median.map(milliseconds),
            purges: census.purges,
            purge_total_ms: milliseconds(census.purge_total),
            purge_longest_ms: census.purge_longest.map(milliseconds),
            warnings: self.supervisor().warnings().standing(),
            proxy: self.supervisor().gateway().proxy_of(None).url,
            master_key: caller.sees_all.then(|| self.supervisor().master_key()),
        }
    }
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn counts<N: ToString>(of: &BTreeMap<N, u64>) -> Vec<Count> {
    let counts = of.iter().map(|(name, count)| Count {
        name: name.to_string(),
        count: *count,
    });
    counts.collect()
}
