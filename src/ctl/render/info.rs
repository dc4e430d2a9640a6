//! The daemon itself.

use std::path::Path;

use jiff::Timestamp;

use crate::protocol::{Count, Info, MasterKey, Reloaded, RotatedKey};

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
    fields.add_some("master key", info.master_key.as_ref().map(master_key));
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

/// `0123abcd, a credential; its rotation is not over`
fn master_key(key: &MasterKey) -> String {
    if let Some(error) = &key.error {
        return format!("none that can be used: {}", plain(error));
    }
    let id = key.id.as_deref().map(plain).unwrap_or_default();
    let source = key.source.map(|source| source.to_string());
    let source = source.as_deref().map_or("?".to_owned(), plain);
    let rotating = if key.rotating {
        "; a rotation is not over, and the key before it is kept"
    } else {
        ""
    };
    format!("{id} ({source}){rotating}")
}

/// What a rotation did that is over.
pub(crate) fn rotated(rotated: &RotatedKey) -> String {
    let what = if rotated.begun {
        "the master key is a new one"
    } else {
        "the rotation of before is over"
    };
    format!(
        "{what}: {}\n{}, and the key before it is needed no more",
        plain(&rotated.id),
        wrapped(rotated)
    )
}

/// What a rotation did that is not over, and what to do.
pub(crate) fn not_finished(rotated: &RotatedKey) -> String {
    let mut text = format!(
        "the rotation of the master key is not over: {}, and {} could not be:",
        wrapped(rotated),
        rotated.left_total
    );
    for left in &rotated.left {
        text = format!("{text}\n  {}: {}", left.user, plain(&left.why));
    }
    if rotated.left_total > rotated.left.len() as u64 {
        text = format!("{text}\n  and others: the daemon's log names more");
    }
    let anew = if rotated.begun {
        ""
    } else {
        " Until then there is no further key."
    };
    format!(
        "{text}\nThe old master key is kept beside the new one. Give these sessions their keys back from a backup, or \
         `wactl force-logout` them; then say `wactl daemon rotate-key` again.{anew}"
    )
}

fn wrapped(rotated: &RotatedKey) -> String {
    match rotated.wrapped {
        1 => "1 session key was wrapped anew".to_owned(),
        n => format!("{n} session keys were wrapped anew"),
    }
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
