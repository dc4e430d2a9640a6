//! What was refused to whom, for the log: each refusal once, and not each one of a flood.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::message_id;

/// Refusals of the same thing to the same uid for the same reason are logged once in this time.
const AGAIN: Duration = Duration::from_mins(1);

/// How many different refusals are remembered. More than that in a minute is a flood of another kind:
/// what is new in it is refused, and not logged.
const REMEMBERED: usize = 1024;

/// Logs refusals.
#[derive(Debug, Default)]
pub struct Refusals {
    seen: Mutex<HashMap<Key, (Instant, u64)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: u32,
    what: String,
    why: String,
}

impl Refusals {
    /// Something was refused to this uid. `of` tells more, but does not make it another refusal: who
    /// tries many names must not fill the log.
    pub fn log(&self, uid: u32, pid: Option<i32>, what: &str, of: &str, why: &str) {
        let now = Instant::now();
        let key = Key {
            uid,
            what: what.to_owned(),
            why: why.to_owned(),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, unsaid)) = seen.get_mut(&key)
            && now.duration_since(*at) < AGAIN
        {
            *unsaid += 1;
            return;
        }
        let more = match seen.get(&key) {
            Some((_, unsaid @ 1..)) => format!(" ({unsaid} more like it since the last such line)"),
            _ => String::new(),
        };
        seen.retain(|_, (at, _)| now.duration_since(*at) < AGAIN);
        if seen.len() >= REMEMBERED {
            return;
        }
        seen.insert(key, (now, 0));
        drop(seen);
        let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        warn!(
            message_id = message_id::REFUSED,
            peer_uid = uid,
            peer_pid = pid,
            "{what}{of} by uid {uid}, pid {pid}, is refused: {why}{more}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_remembered_in_little_space() {
        let refusals = Refusals::default();
        for n in 0..1000 {
            refusals.log(
                1,
                Some(2),
                "`status`",
                &format!(" of user-{n}"),
                "not yours",
            );
        }
        let unsaid = |refusals: &Refusals| {
            let seen = refusals.seen.lock().expect("what was seen");
            seen.values().map(|(_, unsaid)| *unsaid).collect::<Vec<_>>()
        };
        assert_eq!(unsaid(&refusals), [999]);
        tokio::time::advance(AGAIN * 2).await;
        refusals.log(2, None, "`status`", "", "not yours");
        assert_eq!(unsaid(&refusals), [0], "what is old is forgotten");
        for uid in 0..u32::try_from(REMEMBERED).expect("it fits") * 2 {
            refusals.log(uid, None, "a connection", "", "too many");
        }
        assert_eq!(unsaid(&refusals).len(), REMEMBERED);
    }
}
