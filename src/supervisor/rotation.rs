//! The rotation of the master key, over all sessions and beside them.
//!
//! The keys of the sessions are wrapped anew in the users' own works, some at a time, and nobody else waits.
//! There is one rotation at a time: another order is refused. A rotation that a crash broke off, or that a
//! new credential of systemd begins, is carried out by itself after the start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

use super::routes::stopping;
use super::{Supervisor, narration};
use crate::deadline::Deadline;
use crate::protocol::{Failure, FailureCode, KeySource, LeftKey, MasterKey, RotatedKey, UserId};
use crate::store::{MasterKeys, Rotated, SpaceError, Store};

/// How long the start waits for the master key. Where the disk hangs, it is read later.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// How long whoever asked waits for a rotation, which goes on after that. Clients wait for a minute.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);

/// The time between two tries to finish a rotation after the start.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How many sessions an answer, and the log, name at most of those whose keys are left.
const NAMED: usize = 100;

/// The only rotation there is now.
type Turn = OwnedMutexGuard<()>;

/// Reads the master key at the start, or makes the first one. Where that fails, the sessions that need it say
/// so, and it is read again when it is needed.
pub(super) async fn read_key(store: &Store) {
    let read = Deadline::within(READ_WITHIN).limit(store.master_keys());
    if let Some(Err(error)) = read.await {
        narration::master_key_unusable(&error);
    }
}

impl Supervisor {
    /// About the master key, from memory. For admins.
    #[must_use]
    pub fn master_key(&self) -> MasterKey {
        match self.shared.store.known_master_keys() {
            Ok(keys) => MasterKey {
                source: Some(source(&keys)),
                id: Some(keys.id()),
                rotating: keys.is_rotating(),
                error: None,
            },
            Err(error) => MasterKey {
                source: None,
                id: None,
                rotating: false,
                error: Some(error),
            },
        }
    }

    /// Makes another key the master key, and wraps the keys of all sessions with it; `who` asked for it. A
    /// rotation that is not over is finished before; where the master key is a credential, nothing else is
    /// done. What was begun goes on when the caller no longer waits, or when it takes too long.
    ///
    /// # Errors
    /// A [`Failure`] for the client. The sessions go on in any case.
    pub async fn rotate_key(&self, who: &str) -> Result<RotatedKey, Failure> {
        if self.shared.stop.is_cancelled() {
            return Err(stopping());
        }
        let Ok(turn) = Arc::clone(&self.shared.rotating).try_lock_owned() else {
            return Err(under_way());
        };
        let keys = match Deadline::within(ANSWER_WITHIN)
            .limit(self.shared.store.master_keys())
            .await
        {
            Some(keys) => keys.map_err(|error| not_over(&error))?,
            None => return Err(takes_long()),
        };
        if keys.is_credential() && !keys.is_rotating() {
            return Err(is_credential());
        }
        let (this, who) = (self.clone(), who.to_owned());
        let rotation = tokio::spawn(async move { this.carry_out(true, &who, turn).await });
        match timeout(ANSWER_WITHIN, rotation).await {
            Ok(Ok(done)) => done.map(|(answer, _)| answer),
            Ok(Err(error)) => Err(Failure::new(
                FailureCode::Internal,
                format!(
                    "The rotation of the master key failed inside the daemon: {error}. The keys are as good as before; the next start goes on with it"
                ),
            )),
            Err(_) => Err(takes_long()),
        }
    }

    /// Finishes a rotation that is not over, because a crash broke it off or because there is another
    /// credential than before. It is tried again until nothing is in its way but sessions whose keys cannot
    /// be used.
    pub async fn finish_rotation(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.shared.store.master_keys().await {
                Ok(keys) if !keys.is_rotating() => return,
                Ok(_) => {
                    // Somebody's order finishes it, too.
                    let Ok(turn) = Arc::clone(&self.shared.rotating).try_lock_owned() else {
                        return;
                    };
                    match self
                        .carry_out(false, "by itself, after the start", turn)
                        .await
                    {
                        Ok((_, true)) => {}
                        Err(failure) if failure.code == FailureCode::StoreFailed => {}
                        _ => return,
                    }
                }
                // The start has said so. It may answer later.
                Err(SpaceError::Unavailable { .. }) => {}
                Err(_) => return,
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    /// Returns the answer, and whether another try may do more.
    async fn carry_out(
        &self,
        anew: bool,
        who: &str,
        _turn: Turn,
    ) -> Result<(RotatedKey, bool), Failure> {
        let shared = &self.shared;
        let work_of = |user: &UserId| shared.works.lend(user);
        let done = tokio::select! {
            done = shared.store.rotate_master_key(anew, work_of) => done,
            // What was wrapped stays wrapped, and both keys are kept.
            () = shared.stop.cancelled() => return Err(broken_off()),
        };
        let keys = shared.store.known_master_keys();
        match (done, keys) {
            (Ok(rotated), Ok(keys)) => {
                narration::rotated(&rotated, &keys, who);
                let again = rotated.is_worth_another_try;
                Ok((answer(rotated, &keys), again))
            }
            (Err(error), _) => {
                narration::not_rotated(&error, who);
                Err(not_over(&error))
            }
            (Ok(_), Err(why)) => Err(Failure::new(FailureCode::Internal, why)),
        }
    }
}

fn source(keys: &MasterKeys) -> KeySource {
    if keys.is_credential() {
        KeySource::Credential
    } else {
        KeySource::File
    }
}

fn answer(rotated: Rotated, keys: &MasterKeys) -> RotatedKey {
    let left = rotated.unusable.len();
    let named = rotated.unusable.into_iter().take(NAMED);
    RotatedKey {
        id: keys.id(),
        begun: rotated.begun,
        wrapped: rotated.wrapped as u64,
        left: named.map(|(user, why)| LeftKey::new(user, why)).collect(),
        left_total: left as u64,
        finished: left == 0,
    }
}

fn under_way() -> Failure {
    Failure::new(
        FailureCode::NotNow,
        "A rotation of the master key is under way, and there is one at a time. `wactl daemon info` says when it \
         is over, and the daemon's log what it did",
    )
}

fn is_credential() -> Failure {
    Failure::new(
        FailureCode::NotNow,
        "The master key is a credential of systemd, which the daemon cannot change. Give the service the new key \
         as the credential wasessiond.key and the present one as wasessiond.key.old, and restart it: the rest \
         happens by itself",
    )
}

fn takes_long() -> Failure {
    Failure::new(
        FailureCode::DeadlineExceeded,
        "The rotation of the master key takes long, and goes on. `wactl daemon info` says when it is over, and the \
         daemon's log what it did",
    )
}

fn broken_off() -> Failure {
    Failure::new(
        FailureCode::DeadlineExceeded,
        "The daemon stops, and the rotation of the master key is not over: both keys are kept, and the next start \
         goes on with it",
    )
}

fn not_over(error: &SpaceError) -> Failure {
    let code = match error {
        SpaceError::Unusable { .. } => FailureCode::StoreCorrupt,
        _ => FailureCode::StoreFailed,
    };
    Failure::new(
        code,
        format!(
            "The master key was not changed, or not for all sessions: it {error}. No key is lost. When that is put right, ask again"
        ),
    )
}
