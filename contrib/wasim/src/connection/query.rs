//! The requests of a logged-in device, and the shortest answers that a client accepts.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::delay::DeferredWork;
use super::login::Session;
use super::pairing::stream_error;
use super::{Connection, Mode, Phase, Step};
use crate::ending::{StreamError, UnlinkAnswer};
use crate::fault::{Fault, Stage};
use crate::observation::Observation;
use crate::shared::now;
use crate::stanza::{attr, error_of, result_of};
use crate::wire::Goodbye;

/// The setting that makes clients name people in direct chats by their hidden numbers.
const ADDRESSED_BY_LID: u32 = 9435;

impl Connection {
    pub(super) async fn answer_device(&mut self, stanza: &Node) -> Step {
        let Phase::LoggedIn(session) = &self.phase else {
            return Step::Continue(());
        };
        let session = session.clone();
        match stanza.tag.as_ref() {
            "iq" => self.answer_query(stanza, &session).await,
            "message" => self.take_message(stanza, &session).await,
            "receipt" => self.take_receipt(stanza, &session).await,
            "ack" => self.take_ack(stanza, &session).await,
            "ib" => self.take_notice(stanza).await,
            "chatstate" => {
                self.note_typing(stanza, &session);
                Step::Continue(())
            }
            // Presence has been noted.
            _ => Step::Continue(()),
        }
    }

    async fn answer_query(&mut self, stanza: &Node, session: &Session) -> Step {
        let kind = attr(stanza, "type").unwrap_or_default();
        if kind == "result" || kind == "error" {
            return Step::Continue(());
        }
        let namespace = attr(stanza, "xmlns").unwrap_or_default();
        tracing::debug!("#{} asks {kind} {namespace}", self.id);
        let unanswered = self.fault(|fault| {
            let ours = matches!(fault, Fault::NoAnswerTo(to) if *to == namespace);
            ours.then_some(())
        });
        if unanswered.is_some() {
            self.shared.see(Observation::RequestIgnored {
                connection: self.id,
                jid: session.jid.clone(),
                namespace,
            });
            return Step::Continue(());
        }
        if let Some(due) = self.due(Stage::Query) {
            self.defer(due, DeferredWork::Query(stanza.clone(), session.clone()));
            return Step::Continue(());
        }
        self.answer_request(stanza, session).await
    }

    pub(super) async fn answer_request(&mut self, stanza: &Node, session: &Session) -> Step {
        let kind = attr(stanza, "type").unwrap_or_default();
        let namespace = attr(stanza, "xmlns").unwrap_or_default();
        match namespace.as_str() {
            "w:p" | "urn:xmpp:ping" => {
                let (connection, jid) = (self.id, session.jid.clone());
                self.shared.see(Observation::Ping { connection, jid });
                self.send(&result_of(stanza).build()).await
            }
            "passive" => self.set_delivery(stanza, session).await,
            "encrypt" => self.answer_keys(stanza, session).await,
            "w:sync:app:state" => self.answer_app_state(stanza, session).await,
            "w:g2" => self.answer_groups(stanza, session).await,
            "usync" => self.answer_users(stanza).await,
            "md" => self.answer_unlink(stanza, session).await,
            "w:mex" => self.answer_mex(stanza, session).await,
            "abt" => {
                let props = self.props(session);
                self.send(&result_of(stanza).children([props]).build())
                    .await
            }
            "blocklist" if kind == "get" => {
                let list = NodeBuilder::new("list").build();
                self.send(&result_of(stanza).children([list]).build()).await
            }
            "privacy" if kind == "get" => {
                self.send(&result_of(stanza).children([privacy()]).build())
                    .await
            }
            "w:m" => {
                let media = self.media_hosts();
                self.send(&result_of(stanza).children([media]).build())
                    .await
            }
            _ => self.send(&result_of(stanza).build()).await,
        }
    }

    /// The device asks to be unlinked.
    async fn answer_unlink(&mut self, stanza: &Node, session: &Session) -> Step {
        let Some(request) = stanza.get_optional_child("remove-companion-device") else {
            return self.send(&result_of(stanza).build()).await;
        };
        self.shared.see(Observation::UnlinkRequested {
            connection: self.id,
            jid: session.jid.clone(),
        });
        if attr(request, "jid").as_ref() != Some(&session.jid) {
            return self.send(&error_of(stanza, 400, "bad-request")).await;
        }
        let answer = self
            .shared
            .world()
            .unlink_answer(self.id, &session.phone, &session.jid);
        let removed = || stream_error(&StreamError::device_removed());
        match answer {
            UnlinkAnswer::Refuse(code) => self.send(&error_of(stanza, code, "refused")).await,
            UnlinkAnswer::Ignore => Step::Continue(()),
            UnlinkAnswer::CloseSocket => Step::Break(Goodbye::Fin),
            UnlinkAnswer::ResetSocket => Step::Break(Goodbye::Reset),
            UnlinkAnswer::Freeze => {
                self.mode = Mode::Frozen;
                Step::Continue(())
            }
            UnlinkAnswer::LoseResult => {
                self.unlink(session).await;
                Step::Break(Goodbye::Reset)
            }
            UnlinkAnswer::Result => {
                self.unlink(session).await;
                self.send(&result_of(stanza).build()).await?;
                self.mode = Mode::Hanging;
                Step::Continue(())
            }
            UnlinkAnswer::ConflictOnly => {
                self.unlink(session).await;
                self.send(&removed()).await?;
                Step::Break(Goodbye::Close)
            }
            UnlinkAnswer::ResultThenConflict => {
                self.unlink(session).await;
                self.send(&result_of(stanza).build()).await?;
                self.send(&removed()).await?;
                Step::Break(Goodbye::Close)
            }
        }
    }

    /// Settings of the server's that clients follow.
    fn props(&self, session: &Session) -> Node {
        let world = self.shared.world();
        let account = world.state.accounts.get(&session.phone);
        let by_lid = account
            .is_some_and(|account| account.settings.addressing == crate::person::Addressing::Lid);
        let by_lid = by_lid.then(|| {
            NodeBuilder::new("prop")
                .attr("config_code", ADDRESSED_BY_LID)
                .attr("config_value", "true")
                .build()
        });
        NodeBuilder::new("props")
            .attr("protocol", "1")
            .attr("ab_key", "wasim")
            .attr("hash", if by_lid.is_some() { "lid" } else { "wasim" })
            .attr("refresh", "86400")
            .attr("refresh_id", "1")
            .children(by_lid)
            .build()
    }

    /// Where files are uploaded and fetched: at this server's own address.
    fn media_hosts(&self) -> Node {
        let auth = self.shared.world().media.auth().to_owned();
        let host = NodeBuilder::new("host")
            .attr("hostname", self.shared.address.to_string())
            .attr("type", "primary")
            .build();
        NodeBuilder::new("media_conn")
            .attr("auth", auth)
            .attr("auth_ttl", "21600")
            .attr("ttl", "300")
            .attr("max_buckets", "12")
            .children([host])
            .build()
    }

    async fn unlink(&self, session: &Session) {
        let removed = self.shared.world().remove(&session.phone, session.device);
        if let Some(jid) = removed {
            self.shared.persist().await;
            self.shared.see(Observation::Unlinked { jid });
        }
    }
}

/// The acknowledgement of a message or receipt.
pub(super) fn ack(stanza: &Node, class: &'static str) -> Node {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", class)
        .attr("t", now());
    for (theirs, ours) in [
        ("id", "id"),
        ("to", "from"),
        ("type", "type"),
        ("participant", "participant"),
    ] {
        if let Some(value) = stanza.attrs.get(theirs) {
            ack = ack.attr(ours, value.clone());
        }
    }
    ack.build()
}

fn privacy() -> Node {
    let categories = [
        ("last", "all"),
        ("online", "all"),
        ("profile", "all"),
        ("status", "contacts"),
        ("readreceipts", "all"),
        ("groupadd", "all"),
        ("calladd", "all"),
        ("messages", "all"),
        ("defense", "off"),
    ];
    let children = categories.map(|(name, value)| {
        NodeBuilder::new("category")
            .attr("name", name)
            .attr("value", value)
            .build()
    });
    NodeBuilder::new("privacy").children(children).build()
}
