//! `wactl passkey`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::client::Client;
use crate::protocol::{MAX_PASSKEY, Redacted};

use super::arguments::Passkey;
use super::error::{Error, Problem};
use super::exit::Exit;
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
    let challenge = client.passkey_challenge(user.as_str()).await?;
    let options = challenge.options.reveal();
    let parsed: serde_json::Value = serde_json::from_str(options).map_err(|error| {
        let message = format!("WhatsApp's challenge is not JSON: {error}");
        Problem::new(Exit::Protocol, "protocol", message)
    })?;
    if terminal.look().json {
        terminal.object(json::Challenge {
            user,
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
