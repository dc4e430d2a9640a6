//! The configuration as a list of keys with their values: to print it, and to compare two.

use std::fmt::Write as _;

use super::{Config, Origins, duration};
use crate::supervisor::OnConflict;

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section.
    pub section: &'static str,
    /// The key.
    pub key: &'static str,
    /// The value as TOML; `None`: it is not set.
    pub value: Option<String>,
}

impl Entry {
    /// The key with its section: `logout.deadline`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

impl Config {
    /// Every key in the order of the documentation.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |section, key, value: Option<String>| Entry {
            section,
            key,
            value,
        };
        let text = |text: &str| Some(quoted(text));
        let number = |n: usize| Some(n.to_string());
        let length = |length| text(&duration::render(length));
        let admins = self.access.admins.iter().map(|a| quoted(&a.to_string()));
        let admins = admins.collect::<Vec<_>>().join(", ");
        let path = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map(|p| quoted(&p.display().to_string()))
        };
        let version = self.whatsapp.version;
        let on_conflict = match self.sessions.on_conflict {
            OnConflict::Logout => "logout",
            OnConflict::Park => "park",
        };
        vec![
            entry("socket", "path", path(&self.socket.path)),
            entry("socket", "mode", text(&format!("{:04o}", self.socket.mode))),
            entry("socket", "group", self.socket.group.as_deref().map(quoted)),
            entry("state", "directory", path(&self.state_directory)),
            entry("access", "admins", Some(format!("[{admins}]"))),
            entry(
                "access",
                "max_sessions_per_uid",
                number(self.access.max_sessions_per_uid),
            ),
            entry(
                "access",
                "max_connections_per_uid",
                number(self.access.max_connections_per_uid),
            ),
            entry(
                "whatsapp",
                "endpoint",
                self.whatsapp.endpoint.as_deref().map(quoted),
            ),
            entry(
                "whatsapp",
                "version",
                version.map(|(a, b, c)| quoted(&format!("{a}.{b}.{c}"))),
            ),
            entry("whatsapp", "device_name", text(&self.whatsapp.device_name)),
            entry(
                "whatsapp",
                "proxy",
                self.whatsapp.proxy.as_deref().map(quoted),
            ),
            entry("sessions", "on_conflict", text(on_conflict)),
            entry(
                "sessions",
                "restore_concurrency",
                number(self.sessions.restore_concurrency),
            ),
            entry(
                "sessions",
                "idle_after",
                self.sessions
                    .idle_after
                    .map_or_else(|| text("never"), length),
            ),
            entry("sessions", "max", number(self.sessions.max)),
            entry(
                "logout",
                "unlink_timeout",
                length(self.logout.unlink_timeout),
            ),
            entry("logout", "deadline", length(self.logout.deadline)),
            entry("logout", "history_limit", number(self.logout.history_limit)),
            entry("log", "filter", text(&self.log_filter)),
        ]
    }

    /// The names of the keys whose values differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.entries().into_iter().zip(other.entries());
        pairs
            .filter(|(ours, theirs)| ours != theirs)
            .map(|(ours, _)| ours.name())
            .collect()
    }

    /// The whole configuration as a file that would say the same. What is not at its default has its
    /// origin beside it.
    #[must_use]
    pub fn to_toml(&self, origins: &Origins) -> String {
        let mut toml = String::new();
        let mut section = "";
        for entry in self.entries() {
            if entry.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = entry.section;
                // Writing to a String does not fail.
                let _ = writeln!(toml, "{gap}[{section}]");
            }
            let origin = match origins.of(section, entry.key) {
                Some((file, line)) => format!("  # {}:{line}", file.display()),
                None => String::new(),
            };
            let _ = match (entry.key, entry.value) {
                (key, Some(value)) => writeln!(toml, "{key} = {value}{origin}"),
                (key, None) => writeln!(toml, "# {key} is not set"),
            };
        }
        toml
    }
}

/// A TOML basic string. Control characters were refused when the file was read.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
