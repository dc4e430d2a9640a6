//! What the daemon's process uses.

use std::fs;
use std::time::Duration;

use crate::stage::Stage;

/// The processor time that the daemon has used.
pub(crate) fn processor(stage: &Stage) -> Duration {
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let ticks: u64 = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum();
    // USER_HZ is 100 on every Linux that there is.
    Duration::from_millis(ticks * 10)
}

/// The memory that the daemon holds, in KiB.
pub(crate) fn memory(stage: &Stage) -> u64 {
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.expect("a number")
}
