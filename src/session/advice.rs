//! One sentence that tells a person what to do now.

use crate::protocol::{Cause, Phase, UserId};

/// What a person should do in this phase.
pub(super) fn next_action(
    user: &UserId,
    phase: Phase,
    reason: Option<Cause>,
    paired: bool,
) -> String {
    match phase {
        Phase::Connecting => "Wait: it connects by itself.".to_owned(),
        Phase::AwaitingScan => {
            "Scan the QR code with WhatsApp on the phone: Settings, Linked devices, Link a device.".to_owned()
        }
        Phase::AwaitingCode => "Enter the code in WhatsApp on the phone: Settings, Linked devices, Link a device, Link with phone number instead.".to_owned(),
        Phase::Online => "Nothing: it is online.".to_owned(),
        Phase::BackingOff if reason == Some(Cause::ClientOutdated) => format!(
            "Wait: WhatsApp does not accept this daemon's version, which concerns every session here. It goes on by itself when that changes; `wactl daemon info` says more, `wactl connect {user}` tries at once."
        ),
        Phase::BackingOff if paired => format!(
            "Wait: it tries again by itself; `wactl connect {user}` tries at once. The credentials are kept."
        ),
        Phase::BackingOff => format!("Wait: it tries again by itself; `wactl connect {user}` tries at once."),
        Phase::Held if reason == Some(Cause::AccountLocked) => format!(
            "WhatsApp locked the account: open WhatsApp on the phone and follow what it says there. The credentials are kept, and it tries again by itself, rarely, because trying often makes a lock last longer; `wactl connect {user}` tries once, `wactl force-logout {user}` gives it up."
        ),
        Phase::Held => "Wait: WhatsApp accepts nothing before then. The credentials are kept.".to_owned(),
        Phase::Parked => parked(user, reason),
        Phase::Disconnected => format!("`wactl connect {user}` brings it back without a QR code."),
        Phase::LoggingOut => "Wait: it is being removed.".to_owned(),
        Phase::PurgeFailed => format!(
            "Remove the obstacle named in the error; it is tried again by itself, and at once by `wactl force-logout {user}`."
        ),
        // Only a newer daemon has such a phase, and advice of its own for it.
        Phase::Unknown(_) => String::new(),
        Phase::StoreCorrupt => format!(
            "Put the file back from a backup and `wactl connect {user}`, or remove the session with `wactl force-logout {user}`."
        ),
    }
}

fn parked(user: &UserId, reason: Option<Cause>) -> String {
    match reason {
        Some(Cause::Replaced) => format!(
            "Another program uses the same credentials: stop it, then `wactl connect {user}` takes over; or `wactl force-logout {user}`."
        ),
        _ => format!(
            "WhatsApp refused the login; look at the phone, then `wactl connect {user}` tries again, or `wactl force-logout {user}` starts anew."
        ),
    }
}
