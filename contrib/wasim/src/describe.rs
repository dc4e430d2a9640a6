//! Observations as lines of the log.

use crate::observation::Observation;

/// One line for the log. References, codes and what people write stay out of it.
pub(crate) fn describe(observation: &Observation) -> String {
    let connection = observation
        .connection()
        .map(|id| format!("#{id} "))
        .unwrap_or_default();
    let jid = observation
        .jid()
        .map(|jid| format!("{jid} "))
        .unwrap_or_default();
    let what = match observation {
        Observation::ClientConnected { .. } => "connected".to_owned(),
        Observation::UpgradeRefused { status: 0 } => "turned away without an answer".to_owned(),
        Observation::UpgradeRefused { status } => format!("turned away with HTTP {status}"),
        Observation::HandshakeXx { .. } => "shook hands (XX)".to_owned(),
        Observation::HandshakeIk { .. } => "shook hands (IK)".to_owned(),
        Observation::HandshakeFallback { .. } => "shook hands (IK refused, then XX)".to_owned(),
        Observation::HandshakeFailed { error, .. } => {
            format!("did not get through the handshake: {error}")
        }
        Observation::Pairing { refs, .. } => {
            format!("wants to be paired: {} references given out", refs.len())
        }
        Observation::PairingAcknowledged { .. } => "shows a QR code".to_owned(),
        Observation::PairCodeRequested {
            phone,
            refused: None,
            ..
        } => format!("shows a pair code for {phone}"),
        Observation::PairCodeRequested {
            phone,
            refused: Some(code),
            ..
        } => {
            format!("was refused a pair code for {phone}: {code}")
        }
        Observation::Paired { .. } => "is linked".to_owned(),
        Observation::PairingFailed { phone, error, .. } => {
            format!("was not linked to {phone}: {error}")
        }
        Observation::Login { passive, .. } => {
            format!("logged in{}", if *passive { " (passive)" } else { "" })
        }
        Observation::LoginRefused {
            reason: Some(reason),
            ..
        } => format!("was refused at login: {reason}"),
        Observation::LoginRefused { reason: None, .. } => {
            "was refused at login without a reason".to_owned()
        }
        Observation::LoginIgnored { .. } => "waits for an answer to its login".to_owned(),
        Observation::GhostConcluded { .. } => "is logged in, long after it has gone".to_owned(),
        Observation::PreKeysUploaded { count, .. } => format!("uploaded {count} prekeys"),
        Observation::KeysShared { .. } => "was sent the app-state keys".to_owned(),
        Observation::Online { .. } => "is online".to_owned(),
        Observation::PairingIgnored { phone, .. } => {
            format!("is told nothing about the phone {phone}")
        }
        Observation::PasskeyRequested { phone, .. } => {
            format!("is asked for the passkey of {phone}")
        }
        Observation::PasskeyRefused { phone, error, .. } => {
            format!("has not proved the passkey of {phone}: {error}")
        }
        Observation::PasskeyProved { phone, .. } => format!("has proved the passkey of {phone}"),
        Observation::PasskeyCode { phone, .. } => format!("has a code to compare with {phone}"),
        Observation::MexQuery { query, .. } => format!("made query {query}"),
        Observation::Presence { kind, .. } => format!("says that its owner is {kind}"),
        Observation::GroupsRequested { .. } => "asked for its groups".to_owned(),
        Observation::Ping { .. } => "pinged".to_owned(),
        Observation::RequestIgnored { namespace, .. } => {
            format!("is given no answer to {namespace}")
        }
        Observation::UnlinkRequested { .. } => "asks to be unlinked".to_owned(),
        Observation::Unlinked { .. } => "is not linked any more".to_owned(),
        Observation::Disconnected { .. } => "is gone".to_owned(),
        in_chat => describe_chat(in_chat),
    };
    format!("{connection}{jid}{what}")
}

/// What was observed in conversations.
fn describe_chat(observation: &Observation) -> String {
    match observation {
        Observation::OfflineAnnounced { count, .. } => format!("is told that {count} stanzas wait"),
        Observation::MessageSent {
            class, id, attempt, ..
        } => format!("was sent {class} {id} (attempt {attempt})"),
        Observation::MessageAcknowledged { ids, receipt, .. } => {
            format!("has got {} ({receipt})", ids.join(", "))
        }
        Observation::MessageReceived {
            to,
            id,
            kind,
            readers,
            copies,
            ..
        } => {
            format!("has sent {to} a {kind} {id}: {readers} could read it, it came {copies} times")
        }
        Observation::MessageRefused { to, id, code, .. } => {
            format!("may not send {to} {id}: {code}")
        }
        Observation::MessageIgnored { to, id, .. } => {
            format!("is told nothing of {id}, which it sent {to}")
        }
        Observation::MessageUnreadable { person, id, .. } => {
            format!("is asked for {id} again by {person}")
        }
        Observation::RetryRequested {
            id,
            count,
            answered,
            ..
        } => {
            let outcome = if *answered { "gets it" } else { "gets nothing" };
            format!("could not read {id}, asks again (time {count}) and {outcome}")
        }
        Observation::ReceiptReceived {
            to, ids, receipt, ..
        } => format!("says {receipt} to {to} of {}", ids.join(", ")),
        Observation::Typing { to, state, .. } => format!("is {state} to {to}"),
        Observation::MediaStored { status, size } => {
            format!("a file of {size} bytes was uploaded: {status}")
        }
        Observation::MediaFetched { status, size } => {
            format!("a file of {size} bytes was fetched: {status}")
        }
        Observation::MediaRetried { id, answered, .. } => {
            let outcome = if *answered { "does" } else { "does not" };
            format!("asks its phone to upload the file of {id} again, which it {outcome}")
        }
        other => other.name(),
    }
}
