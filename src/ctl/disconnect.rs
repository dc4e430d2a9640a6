//! `wactl disconnect`

use crate::client::{Client, Disconnected};
use crate::protocol::UserId;

use super::error::Error;
use super::terminal::Terminal;
use super::{force_logout, status};

pub(super) async fn run(
    client: &Client,
    terminal: &mut Terminal,
    user: &UserId,
) -> Result<(), Error> {
    match client.disconnect(user.as_str()).await? {
        Disconnected::Kept(kept) => status::show(terminal, &kept),
        Disconnected::Removed(report) => {
            terminal.say(&format!(
                "{user} was still pairing: there was nothing to keep."
            ));
            force_logout::show(terminal, &report)
        }
    }
}
