//! What a process holds.

use std::fmt;
use std::fs;

/// Open descriptors, threads, resident memory.
pub(crate) struct Held {
    fds: usize,
    threads: usize,
    rss_kib: u64,
}

impl Held {
    /// What this process holds now.
    pub(crate) fn by(pid: i32) -> Self {
        let count =
            |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let rss = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self {
            fds: count("fd"),
            threads: count("task"),
            rss_kib: rss.unwrap_or(0),
        }
    }

    /// Its resident memory, in KiB.
    #[allow(dead_code, reason = "only one of the benchmarks waits for it")]
    pub(crate) fn rss_kib(&self) -> u64 {
        self.rss_kib
    }

    /// How much more this is than before, for each of so many sessions.
    #[allow(dead_code, reason = "only one of the benchmarks divides")]
    pub(crate) fn each(&self, before: &Self, sessions: u32) -> String {
        let more = f64::from(
            u32::try_from(self.rss_kib.saturating_sub(before.rss_kib)).unwrap_or(u32::MAX),
        );
        let fds = f64::from(u32::try_from(self.fds.saturating_sub(before.fds)).unwrap_or(u32::MAX));
        let sessions = f64::from(sessions.max(1));
        format!(
            "{:.0} KiB, {:.1} descriptors",
            more / sessions,
            fds / sessions
        )
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6} fds {:>4} threads {:>8} KiB RSS",
            self.fds, self.threads, self.rss_kib
        )
    }
}
