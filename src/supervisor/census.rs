//! How many sessions are in which phase, and how many ended why.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::protocol::{Cause, Phase};

/// How many purge times are remembered.
const PURGES: usize = 1000;

/// How many sessions are in which phase, and how many ended why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Sessions by phase; phases with none are left out.
    pub phases: BTreeMap<Phase, u64>,
    /// Ended sessions since the start, by cause.
    pub logouts: BTreeMap<Cause, u64>,
    /// Purges that did not finish at first.
    pub purge_failures: u64,
    /// The middle one of the last purges, from the decision to the announcement.
    pub purge_median: Option<Duration>,
}

impl Census {
    /// One line: "31 online, 2 connecting, 1 parked".
    #[must_use]
    pub fn summary(&self) -> String {
        let mut counts: Vec<_> = self.phases.iter().collect();
        // Online first, then the most.
        counts.sort_by_key(|(phase, count)| (**phase != Phase::Online, std::cmp::Reverse(**count)));
        let parts: Vec<_> = counts
            .into_iter()
            .map(|(phase, count)| format!("{count} {}", phase.as_str().replace('_', " ")))
            .collect();
        if parts.is_empty() {
            "no sessions".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters {
    logouts: BTreeMap<Cause, u64>,
    purge_failures: u64,
    purges: VecDeque<Duration>,
}

impl Counters {
    pub(super) fn logged_out(&mut self, cause: Cause, took: Option<Duration>) {
        *self.logouts.entry(cause).or_default() += 1;
        if let Some(took) = took {
            if self.purges.len() == PURGES {
                self.purges.pop_front();
            }
            self.purges.push_back(took);
        }
    }

    pub(super) fn purge_failed(&mut self) {
        self.purge_failures += 1;
    }

    pub(super) fn census(&self, phases: impl Iterator<Item = Phase>) -> Census {
        let mut census = Census {
            logouts: self.logouts.clone(),
            purge_failures: self.purge_failures,
            ..Census::default()
        };
        for phase in phases {
            *census.phases.entry(phase).or_default() += 1;
        }
        let mut purges: Vec<_> = self.purges.iter().copied().collect();
        purges.sort();
        census.purge_median = purges.get(purges.len() / 2).copied();
        census
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_online_first_and_nothing_as_nothing() {
        assert_eq!(Census::default().summary(), "no sessions");
        let phases = [
            Phase::Parked,
            Phase::Connecting,
            Phase::Connecting,
            Phase::Online,
        ];
        let census = Counters::default().census(phases.into_iter());
        assert_eq!(census.summary(), "1 online, 2 connecting, 1 parked");
    }
}
