//! One sentence that tells a person what to do now.

use crate::protocol::{Cause, PasskeyStep, Phase, UserId};

/// What a person should do in this phase.
pub(super) fn next_action(
    user: &UserId,
    phase: Phase,
    reason: Option<Cause>,
    paired: bool,
    passkey: Option<PasskeyStep>,
) -> String {
    if let Some(step) = passkey {
        return with_passkey(user, step);
    }
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
            "Put what the error names back from a backup and `wactl connect {user}`. Where nothing helps, `wactl force-logout {user}` removes the session."
        ),
    }
}

/// How often WhatsApp may remove a user's device right after it was linked, in a day, before a person is
/// warned.
const REMOVED_OFTEN: u32 = 3;

/// The warning before a device is linked that WhatsApp is likely to remove again.
pub(super) fn removed_often(user: &UserId, times: u32) -> Option<String> {
    (times >= REMOVED_OFTEN).then(|| {
        format!(
            "WhatsApp removed the device of {user} {times} times in the last day right after it was linked, and is likely to do it again. Wait some hours, and use WhatsApp on the phone meanwhile, before it is linked once more."
        )
    })
}

/// What a person should do while a session connects once more after a conflict that was forgiven.
pub(super) fn after_conflict(user: &UserId) -> String {
    format!(
        "Wait: it connects once more, because the other connection may have been a login of its own. If another program uses the credentials of {user}, stop it: the next conflict counts."
    )
}

/// What a person should do where WhatsApp wants a passkey. The code to compare is not in it: everybody who
/// may see the session reads this.
fn with_passkey(user: &UserId, step: PasskeyStep) -> String {
    match step {
        PasskeyStep::Announced => format!(
            "WhatsApp wants a passkey of this account before it links the device, and has not sent its challenge yet: wait, or begin anew with `wactl disconnect {user}` and `wactl connect {user}`."
        ),
        PasskeyStep::Challenge => format!(
            "WhatsApp wants a passkey of this account before it links the device: `wactl passkey {user}` prints its challenge, a browser or another program that holds the passkey answers it, and `wactl passkey {user} --assertion FILE` hands the answer in. A pair code instead of the QR code does not help."
        ),
        PasskeyStep::Checking => format!(
            "Wait, and keep WhatsApp open on the phone: WhatsApp and the phone check the answer of the passkey, and then a code is shown here to compare. If none comes within a minute, begin anew with `wactl disconnect {user}` and `wactl connect {user}`."
        ),
        PasskeyStep::Confirmation => format!(
            "Compare the code that is shown here with the one on the phone; where they are the same, `wactl passkey {user} --confirm`."
        ),
        PasskeyStep::Linking => format!(
            "Wait: WhatsApp links the device. If that does not end within a minute, begin anew with `wactl disconnect {user}` and `wactl connect {user}`."
        ),
        // Only a newer daemon has such a step, and advice of its own for it.
        PasskeyStep::Unknown(_) => String::new(),
    }
}

fn parked(user: &UserId, reason: Option<Cause>) -> String {
    match reason {
        Some(Cause::Replaced) => format!(
            "Another program uses the same credentials: stop it, then `wactl connect {user}` takes over; or `wactl force-logout {user}`."
        ),
        Some(Cause::CopiedCredentials) => format!(
            "Two sessions here have the same credentials, and this one is not connected: `wactl force-logout {user}` removes only this copy. To use it instead, remove the other one, then `wactl connect {user}`."
        ),
        _ => format!(
            "WhatsApp refused the login; look at the phone, then `wactl connect {user}` tries again, or `wactl force-logout {user}` starts anew."
        ),
    }
}
