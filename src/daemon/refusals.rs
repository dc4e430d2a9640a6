//! The log of refusals: each refusal once, and not each one of a flood.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::message_id;

/// Refusals of the same thing to the same uid for the same reason are logged once in this time.
const AGAIN: Duration = Duration::from_mins(1);

/// How many different refusals are remembered. More than that in a minute is a flood of another kind: new
/// refusals of such a flood are not logged.
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
    /// Logs a refusal. `of` adds to the line, but does not make it another refusal: a client that tries
    /// many names must not fill the log.
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
        let more = match seen.remove(&key) {
            Some((_, unsaid @ 1..)) => format!(" ({unsaid} more like it since the last such line)"),
            _ => String::new(),
        };
        let old = seen.extract_if(|_, (at, _)| now.duration_since(*at) >= AGAIN);
        let old: Vec<_> = old.filter(|(_, (_, unsaid))| *unsaid > 0).collect();
        let is_told = seen.len() < REMEMBERED;
        if is_told {
            seen.insert(key, (now, 0));
        }
        drop(seen);
        for (Key { uid, what, why }, (_, unsaid)) in old {
            warn!(
                message_id = message_id::REFUSED,
                peer_uid = uid,
                "{what} by uid {uid} was refused {unsaid} more times: {why}"
            );
        }
        if !is_told {
            return;
        }
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
    use crate::service::logging::tests::Paper;

    #[tokio::test(start_paused = true)]
    async fn each_is_told_and_what_was_left_out_is_counted() {
        let (paper, refusals) = (Paper::default(), Refusals::default());
        let _until_the_end = paper.lines();
        let refuse = |uid| refusals.log(uid, Some(9), "`status`", " of alice", "not yours");
        for uid in [1, 1, 1, 2, 2] {
            refuse(uid);
        }
        tokio::time::advance(AGAIN).await;
        refuse(1);
        let told = paper.text();
        for line in [
            "`status` of alice by uid 1, pid 9, is refused: not yours",
            "`status` of alice by uid 2, pid 9, is refused: not yours",
            "`status` of alice by uid 1, pid 9, is refused: not yours (2 more like it since the last such line)",
            "`status` by uid 2 was refused 1 more times: not yours",
        ] {
            assert!(told.contains(line), "{line}:\n{told}");
        }
        assert_eq!(told.lines().count(), 4, "{told}");
    }

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
        // What was not said of the first is said now.
        refusals.log(2, None, "`status`", "", "not yours");
        assert_eq!(unsaid(&refusals), [0], "what is old is forgotten");
        for uid in 0..u32::try_from(REMEMBERED).expect("it fits") * 2 {
            refusals.log(uid, None, "a connection", "", "too many");
        }
        assert_eq!(unsaid(&refusals).len(), REMEMBERED);
    }
}
