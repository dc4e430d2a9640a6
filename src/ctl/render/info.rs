//! The daemon itself.

use std::path::Path;

use jiff::Timestamp;

use crate::protocol::{Count, Info, Reloaded};

use super::fields::Fields;
use super::time::both;
use super::{notes, plain};

/// Everything the daemon says of itself.
pub(crate) fn info(info: &Info, socket: &Path, now: Timestamp) -> String {
    let mut fields = Fields::default();
    fields.add("sessions", plain(&info.summary));
    for warning in &info.warnings {
        fields.add("warning", notes::warning(warning, now));
    }
    fields.add("socket", socket.display().to_string());
    fields.add("state", plain(&info.state_directory));
    let configuration = info.config_file.as_deref().map(plain);
    fields.add(
        "configuration",
        configuration.unwrap_or("the defaults".into()),
    );
    let proxy = info.proxy.as_deref().map(plain);
    fields.add("proxy", proxy.unwrap_or("none".into()));
    fields.add("pid", info.pid.to_string());
    fields.add("started", both(info.started_at, now));
    fields.add("run", info.epoch.to_string());
    fields.add("logouts", counts(&info.logouts));
    fields.add("purges", purges(info));
    fields.add("failed purges", info.purge_failures.to_string());
    if info.simulator {
        fields.add("simulator", "yes: this daemon reaches no WhatsApp");
    }
    format!("wasessiond {}\n{fields}", plain(&info.version))
}

/// The keys that a reload changed.
pub(crate) fn reloaded(reloaded: &Reloaded) -> String {
    let keys = |keys: &[String]| match keys {
        [] => "nothing".to_owned(),
        keys => plain(&keys.join(", ")),
    };
    let mut text = format!("changed: {}", keys(&reloaded.changed));
    if !reloaded.needs_restart.is_empty() {
        text = format!(
            "{text}\nneeds a restart of the daemon: {}",
            keys(&reloaded.needs_restart)
        );
    }
    text
}

/// `3, half of them within 12 ms, the longest 40 ms, 60 ms in all`
fn purges(info: &Info) -> String {
    let (Some(median), Some(longest)) = (info.purge_median_ms, info.purge_longest_ms) else {
        return info.purges.to_string();
    };
    format!(
        "{}, half of them within {median} ms, the longest {longest} ms, {} ms in all",
        info.purges, info.purge_total_ms
    )
}

fn counts(counts: &[Count]) -> String {
    let each = |c: &Count| format!("{} {}", c.count, plain(&c.name));
    match counts {
        [] => "none".to_owned(),
        counts => counts.iter().map(each).collect::<Vec<_>>().join(", "),
    }
}
