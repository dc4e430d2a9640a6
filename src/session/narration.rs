//! The log of what happens to a session.

use crate::message_id;
use crate::protocol::{EventKind, Restriction, Status, Warning};

/// Logs a change in one line, within the session's span, which names the user. Later QR codes and stages
/// of connecting are only for watchers, and are not logged.
pub(super) fn log(kind: &EventKind, status: &Status) {
    let error = status.error.as_deref().unwrap_or_default();
    let account = status.account.as_ref().map_or("", |a| a.jid.as_str());
    let wasession_cause = status.reason.map(tracing::field::display);
    match kind {
        EventKind::Qr if status.qr.as_ref().is_some_and(|qr| qr.number == 1) => {
            tracing::info!("a QR code waits to be scanned");
        }
        EventKind::PairCode => tracing::info!("a pair code waits to be entered on the phone"),
        EventKind::Passkey => {
            let step = status.passkey.as_ref().map(|passkey| passkey.step);
            let step = step.map(|step| step.to_string()).unwrap_or_default();
            tracing::info!(
                wasession_cause,
                "WhatsApp wants a passkey for the pairing: {step} {error}"
            );
        }
        EventKind::Paired => {
            tracing::info!(message_id = message_id::PAIRED, "paired as {account}");
        }
        EventKind::Online => {
            tracing::info!(message_id = message_id::ONLINE, "online as {account}");
        }
        EventKind::Disconnected => {
            let why = match status.reason {
                None => "on request",
                Some(_) => "by itself",
            };
            tracing::info!(
                message_id = message_id::DISCONNECTED,
                wasession_cause,
                "disconnected {why}; the credentials are kept"
            );
        }
        EventKind::BackingOff => {
            tracing::info!(
                message_id = message_id::BACKING_OFF,
                wasession_cause,
                "tries again later: {error}"
            );
        }
        EventKind::Held => {
            tracing::warn!(
                message_id = message_id::HELD,
                wasession_cause,
                "held: {error}"
            );
        }
        EventKind::Parked => {
            tracing::warn!(
                message_id = message_id::PARKED,
                wasession_cause,
                "parked: {error}"
            );
        }
        EventKind::LoggingOut => tracing::info!(wasession_cause, "logging out"),
        EventKind::PurgeFailed => {
            tracing::error!(
                message_id = message_id::PURGE_FAILED,
                wasession_cause,
                "the removal did not finish: {error}"
            );
        }
        EventKind::StoreCorrupt => {
            tracing::error!(
                message_id = message_id::STORE_CORRUPT,
                "store corrupt: {error}"
            );
        }
        EventKind::AccountChanged => {
            tracing::warn!(
                message_id = message_id::ACCOUNT_CHANGED,
                "another account than the user's last one was paired: {account}. Target groups of the one before do not count any more"
            );
        }
        EventKind::Restrictions => restrictions(&status.restrictions),
        EventKind::Warnings => warnings(&status.warnings),
        _ => {}
    }
}

fn restrictions(restrictions: &[Restriction]) {
    if restrictions.is_empty() {
        tracing::info!(
            message_id = message_id::RESTRICTED,
            "WhatsApp does not restrict the account any more"
        );
    }
    for restriction in restrictions {
        let until = restriction.until.map_or_else(
            || "WhatsApp did not say until when".to_owned(),
            |until| format!("until {until:.0}"),
        );
        let detail = restriction.detail.as_deref().unwrap_or_default();
        tracing::warn!(
            message_id = message_id::RESTRICTED,
            "WhatsApp restricts the account: {}, {until} ({detail}); the session stays online",
            restriction.kind
        );
    }
}

fn warnings(warnings: &[Warning]) {
    if warnings.is_empty() {
        tracing::info!(
            message_id = message_id::WARNED,
            "no warning stands any more"
        );
    }
    for Warning { kind, text, .. } in warnings {
        tracing::warn!(message_id = message_id::WARNED, "{kind}: {text}");
    }
}
