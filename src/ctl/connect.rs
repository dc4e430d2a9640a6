//! `wactl connect`

mod waiting;

use std::time::Duration;

use crate::client::{Client, ClientError, ConnectOptions};
use crate::protocol::PhoneNumber;

use super::arguments::Connect;
use super::error::{Error, Problem};
use super::exit::Exit;
use super::status;
use super::terminal::Terminal;

use waiting::Waiting;

/// A pair code for one number links no account of another.
pub(super) fn check(arguments: &Connect) -> Result<(), Problem> {
    match (&arguments.phone, &arguments.expect) {
        (Some(phone), Some(expected)) if phone != expected => Err(Problem::usage(format!(
            "a pair code for {phone} (--phone) cannot link {expected} (--expect): name one number"
        ))),
        _ => Ok(()),
    }
}

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    arguments: &Connect,
) -> Result<(), Error> {
    let user = &arguments.user;
    let number = |number: &Option<PhoneNumber>| number.as_ref().map(ToString::to_string);
    let options = ConnectOptions {
        phone: number(&arguments.phone),
        expect: number(&arguments.expect),
        proxy: arguments.proxy.clone(),
    };
    if arguments.detach {
        let connecting = client.connect_with(user.as_str(), &options).await?;
        return status::show(terminal, &connecting);
    }
    let interrupted = terminal.interrupted();
    let waiting = Waiting::new(client.clone(), terminal, user.as_str(), options);
    tokio::select! {
        result = waiting.until_online() => result.map_err(|error| lost(error, user.as_str())),
        () = interrupted => Err(Problem::new(
            Exit::Interrupted,
            "interrupted",
            format!(
                "the session of {user} goes on in the daemon. `wactl connect {user}` picks it up \
                 again, `wactl disconnect {user}` ends it"
            ),
        )
        .into()),
        () = elapsed(arguments.timeout) => Err(Problem::new(
            Exit::Refused,
            "timeout",
            format!(
                "{user} is not online in time. The session goes on in the daemon: \
                 `wactl status {user}` shows it"
            ),
        )
        .into()),
    }
}

async fn elapsed(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// The daemon went away, and no other one can be waited for.
fn lost(error: Error, user: &str) -> Error {
    let Error::Client(error @ ClientError::Closed(_)) = error else {
        return error;
    };
    let exit = Exit::from_client(&error);
    let message = format!(
        "{user} is not online so far: {}\n`wactl connect {user}` asks again when a daemon runs; a pairing \
         that was under way begins anew",
        super::render::plain(&error.to_string())
    );
    Problem::new(exit, "closed", message).into()
}

#[cfg(test)]
mod tests;
