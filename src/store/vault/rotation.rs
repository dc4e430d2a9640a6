//! The rotation of the master key: all sessions' keys are wrapped by another one.
//!
//! ```text
//! key.next is written | each session's key and state.key are wrapped by it | key becomes key.old
//! | key.next becomes key | key.old is overwritten
//! ```
//!
//! A crash at any instant leaves both master keys in the state directory, or the new one where nothing needs
//! the old one any more. The next start accepts both, and goes on. As long as the key of any session cannot be
//! wrapped anew, the old master key stays: the session may be given back from a backup. Where the master key is a credential, the
//! administrator gives the new one as the credential; the old one is the file `key`, or the credential
//! `wasessiond.key.old`.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::keys::KeyFile;
use super::master::{FILE, IN_USE, MasterKey, MasterKeys, NEXT, OLD};
use crate::blocking::{Room, UncancellableWork};
use crate::protocol::UserId;
use crate::store::space::SpaceError;
use crate::store::step::Step;
use crate::store::{SESSIONS, StoreError, durable, shred};

/// How many keys are wrapped at a time: half of what the room for the disk takes, so that sessions wait behind
/// none of them for long.
const AT_A_TIME: usize = 4;

/// How long one key may take. A user whose disk hangs holds up the rotation no longer.
const KEY_WITHIN: Duration = Duration::from_secs(20);

/// What a rotation has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Whether `next` is the master key now.
    pub begun: bool,
    /// How many keys were wrapped anew.
    pub wrapped: usize,
    /// The sessions whose keys cannot be used, or not now, and why, by user. As long as there are any, the old
    /// master key is kept.
    pub unusable: Vec<(UserId, String)>,
    /// Whether one of them may be usable later.
    pub is_worth_another_try: bool,
}

impl Rotated {
    /// Whether every key is wrapped by the master key, and the one before it is gone.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.unusable.is_empty()
    }
}

/// Finishes a rotation that was broken off, then makes `next` the master key. Both keys are accepted
/// meanwhile. Each session's key is wrapped anew in a call of its user's own work, `work_of`, so that nothing
/// else is done with the user's directory at that time. What `work_of` returns is kept until that call is over.
///
/// Where the rotation before cannot be finished, `next` is not taken: there are two master keys already that
/// sessions need, and room for no third.
///
/// # Errors
/// [`SpaceError`]. Then the rotation is not over, and this can be called again, without `next`.
pub async fn rotate<W: Borrow<UncancellableWork> + Send + 'static>(
    state: &Path,
    masters: &MasterKeys,
    next: Option<MasterKey>,
    room: &Room,
    work_of: impl Fn(&UserId) -> W,
) -> Result<Rotated, SpaceError> {
    let mut rotated = Rotated::default();
    if masters.is_rotating() {
        rotated = finish(state, masters, room, &work_of).await?;
    }
    if let Some(next) = next
        && rotated.is_over()
    {
        if masters.is_credential() {
            return Err(SpaceError::Unusable {
                why: format!(
                    "the master key is the credential {}: give the new one as that, the old one as {}, and \
                     start the daemon again",
                    super::master::CREDENTIAL,
                    super::master::OLD_CREDENTIAL
                ),
            });
        }
        let (path, ring) = (state.join(NEXT), masters.clone());
        let begin = move || next.write(&path).map(|()| ring.begin(next));
        room.run(begin).await?;
        let more = finish(state, masters, room, &work_of).await?;
        rotated.begun = true;
        rotated.wrapped += more.wrapped;
        rotated.unusable = more.unusable;
        rotated.is_worth_another_try = more.is_worth_another_try;
    }
    Ok(rotated)
}

async fn finish<W: Borrow<UncancellableWork> + Send + 'static>(
    state: &Path,
    masters: &MasterKeys,
    room: &Room,
    work_of: &impl Fn(&UserId) -> W,
) -> Result<Rotated, SpaceError> {
    let sessions = state.join(SESSIONS);
    let listed = sessions.clone();
    let users = room.run(move || users(&listed)).await?;
    let mut rotated = Rotated::default();
    let wrapping = users.into_iter().map(|user| {
        let file = KeyFile::new(&sessions.join(user.as_str()));
        let (work, ring) = (work_of(&user), masters.clone());
        async move { (user, rewrap(file, ring, work).await) }
    });
    let mut wrapping = stream::iter(wrapping).buffer_unordered(AT_A_TIME);
    while let Some((user, wrapped)) = wrapping.next().await {
        match wrapped {
            Ok(true) => rotated.wrapped += 1,
            Ok(false) => {}
            // One user's trouble holds up no other.
            Err(SpaceError::Unusable { why }) => rotated.unusable.push((user, why)),
            Err(SpaceError::Unavailable { why }) => {
                rotated.unusable.push((user, why));
                rotated.is_worth_another_try = true;
            }
            Err(other) => return Err(other),
        }
    }
    rotated.unusable.sort();
    if !rotated.is_over() {
        return Ok(rotated);
    }
    let (state, ring) = (state.to_owned(), masters.clone());
    let retire = move || {
        KeyFile::of_state(&state).rewrap(&ring)?;
        // Before the old one goes: a start must find the one that is noted.
        ring.current().note(&state.join(IN_USE))?;
        if ring.is_credential() {
            for name in [NEXT, FILE] {
                shred::file(&state.join(name))?;
            }
            durable::sync_dir(&state, Step::MasterSyncDir)?;
        } else {
            install(&state)?;
        }
        ring.end();
        Ok::<_, SpaceError>(())
    };
    room.run(retire).await?;
    Ok(rotated)
}

/// Wraps one session's key anew, as a call of its user's work. Returns whether that had to be done.
async fn rewrap<W: Borrow<UncancellableWork> + Send + 'static>(
    file: KeyFile,
    masters: MasterKeys,
    work: W,
) -> Result<bool, SpaceError> {
    let path = file.path().to_owned();
    let own = Borrow::<UncancellableWork>::borrow(&work).clone();
    let call = own.on_disk(move || {
        let wrapped = file.rewrap(&masters);
        drop(work);
        match wrapped {
            // The session has ended meanwhile.
            Err(_) if !file.path().parent().is_some_and(Path::exists) => Ok(false),
            wrapped => wrapped,
        }
    });
    let done = timeout(KEY_WITHIN, call).await;
    done.unwrap_or_else(|_| {
        Err(SpaceError::Unavailable {
            why: format!(
                "the session's key in {} could not be looked at within {} s: the disk, or another call to the \
                 session's files, hangs",
                path.display(),
                KEY_WITHIN.as_secs()
            ),
        })
    })
}

/// Makes the next key the one in the state directory, and destroys the one before it, which nothing may need any
/// more.
fn install(state: &Path) -> Result<(), SpaceError> {
    finish_install(state)?;
    let [key, next, old] = names(state);
    if is_there(&next)? && is_there(&key)? {
        rename(&key, &old)?;
        return finish_install(state);
    }
    Ok(())
}

/// Goes on with the end of a rotation where a crash came into it: there is an old key then, and perhaps no
/// key. Where somebody has removed the key, the next one takes its place, or the old one: the file `key` is
/// never missing while there is another one.
pub(super) fn finish_install(state: &Path) -> Result<(), SpaceError> {
    let [key, next, old] = names(state);
    if !is_there(&key)? {
        let successor = if is_there(&next)? { &next } else { &old };
        if !is_there(successor)? {
            return Ok(());
        }
        rename(successor, &key)?;
        durable::sync_dir(state, Step::MasterSyncDir)?;
    }
    if !is_there(&old)? {
        return Ok(());
    }
    shred::file(&old)?;
    durable::sync_dir(state, Step::MasterSyncDir).map_err(Into::into)
}

fn names(state: &Path) -> [PathBuf; 3] {
    [FILE, NEXT, OLD].map(|name| state.join(name))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    let renamed = Step::MasterInstall.take(|| std::fs::rename(from, to));
    renamed.map_err(|e| StoreError::unavailable("rename", from, e))
}

fn is_there(path: &Path) -> Result<bool, StoreError> {
    let looked = path.try_exists();
    looked.map_err(|e| StoreError::unavailable("look at", path, e))
}

/// The users that have directories.
fn users(sessions: &Path) -> Result<Vec<UserId>, SpaceError> {
    let unreadable = |e| StoreError::unavailable("read", sessions, e);
    let mut users = Vec::new();
    for entry in std::fs::read_dir(sessions).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        users.extend(name.to_str().and_then(|name| name.parse().ok()));
    }
    Ok(users)
}
