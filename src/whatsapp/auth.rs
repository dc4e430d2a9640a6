//! A session's credentials for the library: opens them, looks into them, writes them.

use std::sync::Arc;

use whatsapp_rust::store::DeviceStore;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::wacore::store::Device;

use super::backend::{Fault, SpaceBackend, Trouble};
use super::former;
use crate::blocking::UncancellableWork;
use crate::protocol::Account;
use crate::store::{Credentials, CredentialsError, Space, Vault, VaultContents};

/// What credentials hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// There are none.
    Nothing,
    /// An identity that was never paired.
    Unpaired,
    /// The credentials of this account.
    Paired(Account),
}

/// Looks into credentials and closes them again. Those of a former layout are taken over first.
///
/// # Errors
/// [`CredentialsError`]; the files are left as they are.
pub async fn look_into(
    credentials: &Credentials,
    work: &UncancellableWork,
) -> Result<Stored, CredentialsError> {
    let (credentials, own) = (credentials.clone(), work.clone());
    let looking = Box::pin(async move { look_at(&credentials, &own).await });
    work.in_one_piece(looking).await
}

async fn look_at(
    credentials: &Credentials,
    work: &UncancellableWork,
) -> Result<Stored, CredentialsError> {
    let vault = match find(credentials, work).await? {
        Found::Missing => return Ok(Stored::Nothing),
        // A crash came between the making of the file and its first value. A caller that knows of an
        // account must not take this for "never paired".
        Found::Empty => return Ok(Stored::Unpaired),
        Found::Vault(vault) => vault,
    };
    let device = device(credentials, &vault).await;
    vault.close().await;
    let Some(device) = device? else {
        return Ok(Stored::Unpaired);
    };
    Ok(match &device.pn {
        Some(jid) => Stored::Paired(account(jid, &device.push_name)),
        None => Stored::Unpaired,
    })
}

/// The device in a vault.
pub(super) async fn device(
    credentials: &Credentials,
    vault: &Arc<Vault>,
) -> Result<Option<Device>, CredentialsError> {
    let backend = SpaceBackend::new(Arc::clone(vault) as Arc<dyn Space>);
    let device = backend.load().await;
    device.map_err(|e| failure(credentials, &backend.trouble(), &e))
}

/// What an error of the library means, in whose words the vault's own is lost.
pub(super) fn failure(
    credentials: &Credentials,
    trouble: &Trouble,
    error: &dyn std::error::Error,
) -> CredentialsError {
    match trouble.so_far() {
        Some(Fault::Unusable(why)) => credentials.unusable(why),
        Some(fault) => credentials.unavailable(fault.to_string()),
        None => credentials.unavailable(chain(error)),
    }
}

/// What there is of credentials.
enum Found {
    Missing,
    /// Nothing was ever written.
    Empty,
    Vault(Arc<Vault>),
}

/// Finds the credentials, and opens them.
async fn find(
    credentials: &Credentials,
    work: &UncancellableWork,
) -> Result<Found, CredentialsError> {
    let contents = credentials.look(work).await?;
    let vault = match contents {
        VaultContents::Values => Some(Arc::new(credentials.open(work).await?)),
        VaultContents::Missing | VaultContents::Empty => None,
    };
    let vault = former::take_over(credentials, vault, work).await?;
    Ok(match (vault, contents) {
        (Some(vault), _) => Found::Vault(vault),
        (None, VaultContents::Missing) => Found::Missing,
        (None, _) => Found::Empty,
    })
}

/// Opens the credentials of an account. Missing and empty ones, and those of no account, are an error, and are not
/// made anew: the library would make a new identity in their place.
pub(super) async fn open_existing(
    credentials: &Credentials,
    work: &UncancellableWork,
) -> Result<Arc<Vault>, CredentialsError> {
    match find(credentials, work).await? {
        Found::Vault(vault) => {
            let device = device(credentials, &vault).await?;
            if device.is_some_and(|device| device.pn.is_some()) {
                return Ok(vault);
            }
            let why = "they hold no account although this session was paired";
            Err(credentials.unusable(why))
        }
        Found::Empty => {
            Err(credentials.unusable("vault.db is empty although this session was paired"))
        }
        Found::Missing => {
            Err(credentials.unusable("vault.db is missing although this session was paired"))
        }
    }
}

/// Opens credentials, or makes them. The vault counts as work while its file is open.
pub(super) async fn open(
    credentials: &Credentials,
    work: &UncancellableWork,
) -> Result<Arc<Vault>, CredentialsError> {
    match find(credentials, work).await? {
        Found::Vault(vault) => Ok(vault),
        Found::Empty | Found::Missing => credentials.create(work).await.map(Arc::new),
    }
}

/// Writes the device as it is in memory, durably. The library's own flush does not: it marks the device as written
/// before it writes, so after a flush that was broken off, or beside one that is under way, it does nothing.
///
/// # Errors
/// In words.
pub(super) async fn write_device(memory: &PersistenceManager) -> Result<(), String> {
    let device = memory.get_device_snapshot().to_serializable();
    let written = memory.backend().save(&device).await;
    written.map_err(|e| chain(&e))
}

/// An error with its sources.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

/// An account from its JID and push name.
pub(super) fn account(jid: &whatsapp_rust::Jid, name: &str) -> Account {
    Account {
        jid: jid.to_string(),
        phone: format!("+{}", jid.user),
        name: (!name.is_empty()).then(|| name.to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests;
