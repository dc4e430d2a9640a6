//! Credentials of a former layout: the library's own SQLite file, which is taken over into the vault.
//!
//! A crash at any instant leaves one or the other: as long as the vault has no device, the old file counts, and
//! the takeover begins again; once the vault has one, the old file is destroyed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use whatsapp_rust::store::{SqliteStore, SqliteStoreConfig};
use whatsapp_rust::wacore::store::error::StoreError;

use super::auth::{self, chain};
use super::backend::{IsPaired, Taken, TakeoverError, take_over as copy};
use crate::blocking::UncancellableWork;
use crate::store::{Credentials, CredentialsError, Former, FormerContents, Vault, set_up};

/// How long to wait for a lock on the file.
const BUSY: Duration = Duration::from_secs(5);

/// Takes over what a former version left, if it left anything, into the vault, which is made if need be.
/// Returns the vault, if there is one then.
///
/// # Errors
/// [`CredentialsError`]; the old file is left as it is then, and still counts.
pub(super) async fn take_over(
    credentials: &Credentials,
    vault: Option<Arc<Vault>>,
    work: &UncancellableWork,
) -> Result<Option<Arc<Vault>>, CredentialsError> {
    if !credentials.are_of_a_former_layout(work).await {
        return Ok(vault);
    }
    let former = credentials.former();
    let present = match &vault {
        Some(vault) => auth::device(credentials, vault).await?,
        None => None,
    };
    let present = present.map(|device| IsPaired(device.pn.is_some()));
    if present == Some(IsPaired(true)) {
        destroy(former, work).await;
        return Ok(vault);
    }
    let file = former.clone();
    let looked = move || {
        if let Err(e) = file.finish() {
            tracing::warn!("{e}");
        }
        match file.contents()? {
            FormerContents::Database => {
                file.keep_log();
                file.check(BUSY).map(|()| true)
            }
            FormerContents::Missing | FormerContents::Empty => Ok(false),
        }
    };
    if !work.on_disk(looked).await? {
        return Ok(vault);
    }
    let vault = match vault {
        Some(vault) => vault,
        None => Arc::new(credentials.create(work).await?),
    };
    // Boxed: it is large, and rarely needed.
    match Box::pin(take(credentials, &former, &vault, present, work)).await? {
        Taken::Now => {
            tracing::info!("the credentials of an earlier version were taken over into the vault");
            destroy(former, work).await;
        }
        Taken::Before => destroy(former, work).await,
        // Half-made by an earlier version. It holds nothing, and goes with the session.
        Taken::Nothing => {}
    }
    Ok(Some(vault))
}

/// Copies everything, and closes the old file.
async fn take(
    credentials: &Credentials,
    former: &Former,
    vault: &Vault,
    present: Option<IsPaired>,
    work: &UncancellableWork,
) -> Result<Taken, CredentialsError> {
    let path = former.path().to_str();
    let url = path.ok_or_else(|| former.unavailable("the path is not UTF-8"))?;
    let open = TaskTracker::new();
    let (connections, user) = (open.clone(), work.clone());
    let config = SqliteStoreConfig {
        busy_timeout: BUSY,
        ..SqliteStoreConfig::default()
    }
    .with_connection_init(move |connection| {
        set_up(connection, BUSY)?;
        note_the_close(connection, (connections.token(), user.hold()))?;
        Ok(())
    });
    let copied = match SqliteStore::with_config(url, config).await {
        Ok(store) => {
            let file = former.clone();
            work.on_disk(move || file.keep_log()).await;
            let copied = copy(&store, vault, present).await;
            work.on_disk(move || drop(store)).await;
            copied
        }
        Err(e) => Err(TakeoverError::Source(e)),
    };
    // A connection that is closed later would write its log over what was destroyed.
    open.close();
    open.wait().await;
    match copied {
        Ok(taken) => Ok(taken),
        Err(TakeoverError::Space(e)) => Err(credentials.failure(e)),
        Err(TakeoverError::Damaged(why)) => Err(former.unusable(why)),
        Err(TakeoverError::Source(e)) if is_of_wrong_bytes(&e) => Err(former.unusable(chain(&e))),
        Err(TakeoverError::Source(e)) => {
            let (file, why) = (former.clone(), chain(&e));
            Err(work.on_disk(move || file.diagnose(why)).await)
        }
    }
}

/// Whether an error of the library's store says that a row cannot be what was written.
fn is_of_wrong_bytes(error: &StoreError) -> bool {
    match error {
        StoreError::Database(e) => {
            let error = e.downcast_ref::<diesel::result::Error>();
            matches!(error, Some(diesel::result::Error::DeserializationError(_)))
        }
        StoreError::Serialization(_) | StoreError::Validation(_) => true,
        _ => false,
    }
}

/// Destroys the old file, which does not count any more. If that fails, the session goes on without it, and the
/// next look tries again.
async fn destroy(former: Former, work: &UncancellableWork) {
    let destroyed = work.on_disk(move || former.destroy()).await;
    if let Err(e) = destroyed {
        tracing::warn!("the credentials are in the vault now, but the old file is left: {e}");
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// Does nothing, and is never called: see [`note_the_close`].
    fn wasessiond_connection() -> diesel::sql_types::Integer;
}

/// Counts a connection for as long as it is open. The pool closes its connections some time after it is
/// dropped, and reports that to nobody. But SQLite drops a connection's functions when it has closed the
/// connection's files. So a function that owns the counts ends them at the moment at which no file is open any
/// more.
fn note_the_close(
    connection: &mut SqliteConnection,
    open: (TaskTrackerToken, TaskTrackerToken),
) -> QueryResult<()> {
    let open = AssertUnwindSafe(open);
    wasessiond_connection_utils::register_nondeterministic_impl(connection, move || {
        let _ = &open;
        0
    })
}

#[cfg(test)]
mod tests;
