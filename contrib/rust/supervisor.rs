//! Keeps one user's session up: shows its QR code, reacts to its logout, survives restarts of the daemon.
//!
//! ```text
//! cargo run --example supervisor -- alice
//! ```

use std::process::ExitCode;

use wasessiond::client::{Client, ClientError, Follow, FollowItem, Options, socket_path};
use wasessiond::protocol::{EventKind, FailureCode, Phase, Status};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [user] = words.as_slice() else {
        say("usage: supervisor USER");
        return ExitCode::FAILURE;
    };
    match supervise(user).await {
        Ok(()) => say("nobody scanned the QR code: run this again when somebody is there"),
        Err(error) => say(&error.to_string()),
    }
    ExitCode::FAILURE
}

/// Returns when nobody scanned the QR code.
async fn supervise(user: &str) -> Result<(), ClientError> {
    let client = Client::connect(&socket_path(None), Options::default()).await?;
    let mut follow = client.follow([user], None).await?;
    loop {
        let item = follow.next().await?;
        if let Some(ended) = item.ended() {
            say(&format!("ended: {}", ended.cause));
        }
        match item {
            FollowItem::Lost(error) => say(&format!("waiting: {error}")),
            // At the start, and whenever the daemon was away: as it is now.
            FollowItem::State(state) | FollowItem::Lagged { state, .. } => {
                match state.sessions().next() {
                    Some(status) => show(status),
                    None => connect(&follow, user).await?,
                }
            }
            FollowItem::Event(event) => match (event.kind, &event.status) {
                // Nothing of the session is left: a fresh QR code, at once.
                (EventKind::LoggedOut(_), _) => connect(&follow, user).await?,
                (EventKind::PairingExpired(_), _) => return Ok(()),
                (_, Some(status)) => show(status),
                (_, None) => {}
            },
            _ => {}
        }
    }
}

/// Brings the session up. While the daemon is away there is nothing to do: the follower says when it is
/// back, and then the session is looked at anew.
async fn connect(follow: &Follow, user: &str) -> Result<(), ClientError> {
    match follow.client().connect_session(user, None).await {
        Ok(_) | Err(ClientError::Closed(_) | ClientError::Timeout(_)) => Ok(()),
        Err(ClientError::Failure(failure)) if failure.code == FailureCode::Stopping => Ok(()),
        Err(error) => Err(error),
    }
}

/// Tells what the session does, and what helps.
fn show(status: &Status) {
    let code = status.qr.as_ref().and_then(|qr| qr.code.as_ref());
    match (code, status.phase, &status.account) {
        // Any QR library draws it, and so does `wactl qr USER`.
        (Some(code), ..) => say(&format!("qr: {}", code.reveal())),
        (None, Phase::Online, Some(account)) => say(&format!("online: {}", account.phone)),
        (None, phase, _) => say(&format!("{phase}: {}", status.next_action)),
    }
}

#[allow(clippy::print_stdout, reason = "it is what this program is for")]
fn say(text: &str) {
    println!("{text}");
}
