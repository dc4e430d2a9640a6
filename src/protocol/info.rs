//! About the daemon.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{MasterKey, Warning};

/// What the daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Info {
    /// The version of the program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    #[cfg_attr(test, schemars(with = "super::golden::Time"))]
    pub started_at: Timestamp,
    /// The number of this run, for what the caller may see: event numbers belong to it.
    pub epoch: u64,
    /// Where the sessions are kept.
    pub state_directory: String,
    /// The configuration files it read, separated by ", "; `None`: the defaults.
    pub config_file: Option<String>,
    /// Whether it was built to talk to a simulator: such a build reaches no WhatsApp.
    pub simulator: bool,
    /// One line: how many sessions are in which phase. Counted are the sessions that the client may
    /// see.
    pub summary: String,
    /// Sessions by phase; phases with none are left out.
    pub phases: Vec<Count>,
    /// Logouts since the daemon started, by cause. This and what follows is for admins; to others it
    /// is empty.
    pub logouts: Vec<Count>,
    /// Tries to purge since the daemon started that failed; each is tried again.
    pub purge_failures: u64,
    /// How long the purges since the daemon started took from the decision to the announcement, in
    /// milliseconds: the middle one of the last thousand.
    pub purge_median_ms: Option<u64>,
    /// How many purges finished since the daemon started.
    pub purges: u64,
    /// How long they took together, in milliseconds.
    pub purge_total_ms: u64,
    /// How long the longest of them took, in milliseconds.
    pub purge_longest_ms: Option<u64>,
    /// What concerns the daemon and all its sessions, and will become a failure if nobody does anything.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// The proxy of all sessions that have none of their own, as a URL without user and password; `None`: there
    /// is none.
    #[serde(default)]
    pub proxy: Option<String>,
    /// The master key, for admins; `None` to others.
    #[serde(default)]
    pub master_key: Option<MasterKey>,
}

/// How many of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Count {
    /// Of what.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// What a reload of the configuration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reloaded {
    /// Keys that changed and are in force now.
    pub changed: Vec<String>,
    /// Keys that changed in the file but need a restart of the daemon.
    pub needs_restart: Vec<String>,
}
