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
    /// Tries to purge that failed; each is tried again.
    pub purge_failures: u64,
    /// The middle one of the last purges, from the decision to the announcement.
    pub purge_median: Option<Duration>,
    /// Purges that finished since the start.
    pub purges: u64,
    /// How long they took together.
    pub purge_total: Duration,
    /// How long the longest of them took.
    pub purge_longest: Option<Duration>,
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

/// Counts of what happened since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    logouts: BTreeMap<Cause, u64>,
    purge_failures: u64,
    purges: u64,
    purge_total: Duration,
    purge_longest: Option<Duration>,
    /// The last ones.
    purge_times: VecDeque<Duration>,
}

impl Counters {
    pub(super) fn logged_out(&mut self, cause: Cause, took: Option<Duration>) {
        *self.logouts.entry(cause).or_default() += 1;
        if let Some(took) = took {
            self.purges += 1;
            self.purge_total = self.purge_total.saturating_add(took);
            self.purge_longest = self.purge_longest.max(Some(took));
            if self.purge_times.len() == PURGES {
                self.purge_times.pop_front();
            }
            self.purge_times.push_back(took);
        }
    }

    pub(super) fn purge_failed(&mut self) {
        self.purge_failures += 1;
    }

    pub(super) fn census(&self, phases: BTreeMap<Phase, u64>) -> Census {
        let mut census = Census {
            phases,
            logouts: self.logouts.clone(),
            purge_failures: self.purge_failures,
            purges: self.purges,
            purge_total: self.purge_total,
            purge_longest: self.purge_longest,
            purge_median: None,
        };
        let mut times: Vec<_> = self.purge_times.iter().copied().collect();
        times.sort();
        census.purge_median = times.get(times.len() / 2).copied();
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
            (Phase::Parked, 1),
            (Phase::Connecting, 2),
            (Phase::Online, 1),
        ];
        let census = Counters::default().census(phases.into());
        assert_eq!(census.summary(), "1 online, 2 connecting, 1 parked");
    }

    #[test]
    fn logouts_purges_and_their_times_are_counted() {
        let mut counters = Counters::default();
        let none = counters.census(BTreeMap::new());
        assert_eq!(none, Census::default());
        for n in 1..=2000_u64 {
            counters.logged_out(Cause::Unlinked, Some(Duration::from_millis(n)));
        }
        counters.logged_out(Cause::TaskFailed, None);
        counters.purge_failed();
        let census = counters.census(BTreeMap::new());
        let by_cause = [(Cause::Unlinked, 2000), (Cause::TaskFailed, 1)];
        assert_eq!(census.logouts, by_cause.into());
        assert_eq!((census.purges, census.purge_failures), (2000, 1));
        assert_eq!(census.purge_total, Duration::from_secs(2001));
        assert_eq!(census.purge_longest, Some(Duration::from_secs(2)));
        assert_eq!(
            census.purge_median,
            Some(Duration::from_millis(1501)),
            "of the last thousand"
        );
    }
}
