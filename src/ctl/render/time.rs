//! Times for people: in UTC, and how long ago.

use jiff::{SignedDuration, Timestamp};

/// `2026-11-24 09:12:03Z`
pub(crate) fn absolute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `3m ago`, `in 14s`, `now`
pub(crate) fn relative(time: Timestamp, now: Timestamp) -> String {
    let ahead = time.duration_since(now);
    match ahead.as_secs() {
        0 => "now".to_owned(),
        1.. => format!("in {}", span(ahead)),
        _ => format!("{} ago", span(ahead)),
    }
}

/// `2026-11-24 09:12:03Z (3m ago)`
pub(crate) fn both(time: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", absolute(time), relative(time, now))
}

/// How much is left until then: `1m 5s`; nothing is `0s`.
pub(crate) fn left(time: Timestamp, now: Timestamp) -> String {
    span(time.duration_since(now).max(SignedDuration::ZERO))
}

/// The two largest units of a duration, whatever its sign.
fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |large: u64, l: char, small: u64, s: char| match small {
        0 => format!("{large}{l}"),
        small => format!("{large}{l} {small}{s}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => two(minutes, 'm', seconds % 60, 's'),
        3600..86400 => two(hours, 'h', minutes % 60, 'm'),
        _ => two(days, 'd', hours % 24, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::scripted::{after, morning};

    #[test]
    fn times_read_well() {
        assert_eq!(absolute(morning()), "2026-11-24 09:12:03Z");
        for (seconds, text) in [
            (0, "now"),
            (14, "in 14s"),
            (-1, "1s ago"),
            (-180, "3m ago"),
            (-185, "3m 5s ago"),
            (3600, "in 1h"),
            (-7500, "2h 5m ago"),
            (-90_000, "1d 1h ago"),
            (-864_000, "10d ago"),
        ] {
            assert_eq!(relative(after(seconds), morning()), text);
        }
        assert_eq!(left(after(65), morning()), "1m 5s");
        assert_eq!(left(after(-65), morning()), "0s");
    }
}
