//! Receipts of the account's phone: its owner has read a message there, and the devices are told.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::login::Session;
use super::{Connection, Mode, Phase, Step};
use crate::account::{Account, Receipt};
use crate::stanza::{attr, server_jid};

/// Who wrote the message that was read on the phone.
const WRITER: &str = "15559990000";

impl Connection {
    /// Tells the device at once, if it has asked for delivery. A device that has not is told when it does.
    pub(super) async fn phone_spoke(&mut self, receipt: &Receipt) -> Step {
        let active = matches!(&self.phase, Phase::LoggedIn(session) if session.active);
        let Some((_, account)) = self.session().filter(|_| active) else {
            return Step::Continue(());
        };
        if self.mode == Mode::Frozen {
            return Step::Continue(());
        }
        self.send(&stanza(&account, receipt, None)).await
    }

    /// Delivers the receipts that the device has not acknowledged. Returns how many there were.
    pub(super) async fn deliver_receipts(&mut self, session: &Session) -> Step<usize> {
        let Some((_, account)) = self.session() else {
            return Step::Continue(0);
        };
        let device = account.devices.get(&session.device);
        let waiting = device.map(|device| device.receipts.clone());
        let waiting = waiting.unwrap_or_default();
        if !waiting.is_empty() {
            self.send(&preview(waiting.len())).await?;
        }
        for (place, receipt) in waiting.iter().enumerate() {
            self.send(&stanza(&account, receipt, Some(place))).await?;
        }
        Step::Continue(waiting.len())
    }

    /// The device has acknowledged a receipt: it is not delivered again.
    pub(super) async fn receipt_delivered(&self, ack: &Node, session: &Session) {
        let Some(id) = attr(ack, "id") else {
            return;
        };
        let acknowledged = {
            let mut world = self.shared.world();
            let device = world.device_mut(&session.phone, session.device);
            device.is_some_and(|device| {
                let before = device.receipts.len();
                device.receipts.retain(|receipt| receipt.id != id);
                device.receipts.len() < before
            })
        };
        if acknowledged {
            self.shared.persist().await;
        }
    }
}

/// What the server says before it delivers what has waited.
fn preview(receipts: usize) -> Node {
    let preview = NodeBuilder::new("offline_preview")
        .attr("count", receipts)
        .attr("receipt", receipts);
    let preview = ["message", "notification", "appdata"]
        .into_iter()
        .fold(preview, |preview, kind| preview.attr(kind, "0"));
    NodeBuilder::new("ib")
        .attr("from", server_jid())
        .children([preview.build()])
        .build()
}

/// The stanza; `place`: where it stands among those that waited for the device.
fn stanza(account: &Account, receipt: &Receipt, place: Option<usize>) -> Node {
    let stanza = NodeBuilder::new("receipt")
        .attr("from", account.jid(0))
        .attr("recipient", Jid::pn(WRITER.to_owned()))
        .attr("type", "read-self")
        .attr("id", receipt.id.as_str())
        .attr("t", receipt.at);
    match place {
        Some(place) => stanza.attr("offline", place),
        None => stanza,
    }
    .build()
}
