//! Credentials of a former layout: the library's own SQLite file, which is taken over into the vault.
//!
//! A crash at any instant leaves one or the other: as long as the vault has no device, the old file counts, and
//! the takeover begins again; once the vault has one, the old file is destroyed, unread.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use whatsapp_rust::store::{DeviceStore, SqliteStore, SqliteStoreConfig};

use super::auth::chain;
use super::backend::{SpaceBackend, TakeoverError, take_over as copy};
use crate::blocking::UncancellableWork;
use crate::store::{Credentials, CredentialsError, Former, FormerContents, Space, Vault, set_up};

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
    let former = credentials.former();
    let file = former.clone();
    let is_there = move || file.path().symlink_metadata().is_ok();
    if !work.on_disk(is_there).await {
        return Ok(vault);
    }
    if let Some(vault) = &vault {
        let backend = SpaceBackend::new(Arc::clone(vault) as Arc<dyn Space>);
        let is_taken = backend.exists().await;
        if is_taken.map_err(|e| credentials.unavailable(chain(&e)))? {
            destroy(credentials, former, work).await?;
            return Ok(Some(vault.clone()));
        }
    }
    let file = former.clone();
    let looked = move || match file.contents()? {
        FormerContents::Database => file.check(BUSY).map(|()| true),
        FormerContents::Missing | FormerContents::Empty => Ok(false),
    };
    if !work.on_disk(looked).await? {
        return Ok(vault);
    }
    let vault = match vault {
        Some(vault) => vault,
        None => Arc::new(credentials.create(work).await?),
    };
    tracing::info!("the credentials of an earlier version are taken over into the vault");
    take(credentials, &former, &vault, work).await?;
    destroy(credentials, former, work).await?;
    Ok(Some(vault))
}

/// Copies everything, and closes the old file.
async fn take(
    credentials: &Credentials,
    former: &Former,
    vault: &Vault,
    work: &UncancellableWork,
) -> Result<(), CredentialsError> {
    let path = former.path().to_str();
    let url = path.ok_or_else(|| former.unavailable("the path is not UTF-8"))?;
    let open = TaskTracker::new();
    let connections = open.clone();
    let config = SqliteStoreConfig {
        busy_timeout: BUSY,
        ..SqliteStoreConfig::default()
    }
    .with_connection_init(move |connection| {
        set_up(connection, BUSY)?;
        note_the_close(connection, connections.token())?;
        Ok(())
    });
    let store = SqliteStore::with_config(url, config).await;
    let store = match store {
        Ok(store) => store,
        Err(e) => return Err(diagnose(former, work, chain(&e)).await),
    };
    let copied = copy(&store, vault).await;
    work.on_disk(move || drop(store)).await;
    // A connection that is closed later would write its log over what was destroyed.
    open.close();
    open.wait().await;
    match copied {
        Ok(_) => Ok(()),
        Err(TakeoverError::Space(e)) => Err(credentials.failure(e)),
        Err(TakeoverError::Source(e)) => Err(diagnose(former, work, chain(&e)).await),
    }
}

/// Says what a failure of the library's store means.
async fn diagnose(former: &Former, work: &UncancellableWork, why: String) -> CredentialsError {
    let file = former.clone();
    work.on_disk(move || file.diagnose(why)).await
}

async fn destroy(
    credentials: &Credentials,
    former: Former,
    work: &UncancellableWork,
) -> Result<(), CredentialsError> {
    let destroyed = work.on_disk(move || former.destroy()).await;
    destroyed.map_err(|e| credentials.unavailable(e.to_string()))
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// Does nothing, and is never called: see [`note_the_close`].
    fn wasessiond_connection() -> diesel::sql_types::Integer;
}

/// Counts a connection for as long as it is open. The pool closes its connections some time after it is
/// dropped, and reports that to nobody. But SQLite drops a connection's functions when it has closed the
/// connection's files. So a function that owns the count ends it at the moment at which no file is open any
/// more.
fn note_the_close(connection: &mut SqliteConnection, open: TaskTrackerToken) -> QueryResult<()> {
    let open = AssertUnwindSafe(open);
    wasessiond_connection_utils::register_nondeterministic_impl(connection, move || {
        let _ = &open;
        0
    })
}
