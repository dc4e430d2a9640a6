//! `wactl passkey`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::client::{Client, ClientError};
use crate::protocol::{Failure, FailureCode, MAX_PASSKEY, PasskeyStep, Redacted, UserId};

use super::arguments::Passkey;
use super::error::{Error, Problem};
use super::exit::Exit;
use super::render::plain;
use super::terminal::Terminal;
use super::{json, status};

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: &Passkey,
) -> Result<(), Error> {
    let user = &arguments.user;
    if let Some(path) = &arguments.assertion {
        let assertion = read(path)?;
        let taken = client.passkey_assert(user.as_str(), assertion).await?;
        return status::show(terminal, &taken);
    }
    if arguments.confirm {
        let taken = client.passkey_confirm(user.as_str()).await?;
        return status::show(terminal, &taken);
    }
    let challenge = match client.passkey_challenge(user.as_str()).await {
        Err(ClientError::Failure(no)) if no.code == FailureCode::NotAwaited => {
            return Err(another_step(client, user, no).await);
        }
        asked => asked?,
    };
    let options = challenge.options.reveal();
    let parsed: serde_json::Value = serde_json::from_str(options).map_err(|error| {
        let message = format!("WhatsApp's challenge is not JSON: {error}");
        Problem::new(Exit::Protocol, "protocol", message)
    })?;
    if terminal.look().json {
        terminal.object(json::Challenge {
            user,
            step: PasskeyStep::Challenge,
            options: parsed,
            expires_at: challenge.expires_at,
        })?;
        return Ok(());
    }
    // As it came: some programs want WhatsApp's own bytes.
    terminal.print(options)?;
    terminal.say(&format!(
        "Have a passkey of the account answer this, for instance with navigator.credentials.get() in a \
         browser, then `wactl passkey {user} --assertion FILE`. Nobody else needs to see it."
    ));
    Ok(())
}

/// The challenge is not due. The step that is comes with the error, for programs too.
async fn another_step(client: &Client, user: &UserId, no: Failure) -> Error {
    let status = client.status(user.as_str()).await.ok().map(Box::new);
    let mut message = plain(&no.message);
    let code = status
        .as_ref()
        .and_then(|s| s.passkey.as_ref()?.code.as_ref());
    if let Some(code) = code {
        message = format!("{message}\nThe code is {}", plain(code.reveal()));
    }
    let problem = Problem {
        status,
        ..Problem::new(Exit::from_failure(no.code), no.code.to_string(), message)
    };
    problem.into()
}

/// Reads the answer of a passkey, from a file or from the standard input.
fn read(path: &Path) -> Result<Redacted, Problem> {
    let failed = |error: &io::Error| {
        let message = format!(
            "the answer of the passkey cannot be read from {}: {error}",
            path.display()
        );
        Problem::new(Exit::Refused, "input", message)
    };
    let mut text = String::new();
    let most = MAX_PASSKEY as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    read.map_err(|error| failed(&error))?;
    Ok(text.trim().into())
}
