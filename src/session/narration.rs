//! What of a session's life is told in the log.

use crate::protocol::{EventKind, Status};

/// Tells a change in one line. QR codes rotate and stages pass: those are for watchers.
pub(super) fn tell(kind: &EventKind, status: &Status) {
    let user = &status.user;
    let error = status.error.as_deref().unwrap_or_default();
    let account = status.account.as_ref().map_or("", |a| a.jid.as_str());
    match (kind, status.reason) {
        (EventKind::Paired, _) => tracing::info!(%user, "paired as {account}"),
        (EventKind::Online, _) => tracing::info!(%user, "online as {account}"),
        (EventKind::Disconnected, None) => tracing::info!(%user, "disconnected on request"),
        (EventKind::Disconnected, Some(cause)) => {
            tracing::info!(%user, %cause, "disconnected; the credentials are kept");
        }
        (EventKind::BackingOff, Some(cause)) => {
            tracing::info!(%user, %cause, "tries again later: {error}");
        }
        (EventKind::Held, Some(cause)) => tracing::warn!(%user, %cause, "held: {error}"),
        (EventKind::Parked, Some(cause)) => tracing::warn!(%user, %cause, "parked: {error}"),
        (EventKind::LoggingOut, Some(cause)) => tracing::info!(%user, %cause, "logging out"),
        (EventKind::PurgeFailed, Some(cause)) => {
            tracing::error!(%user, %cause, "the removal did not finish: {error}");
        }
        (EventKind::StoreCorrupt, _) => tracing::error!(%user, "store corrupt: {error}"),
        (EventKind::AccountChanged, _) => {
            tracing::warn!(%user, "another account was paired; the target groups were cleared");
        }
        _ => {}
    }
}
