//! Tokens of trusted contacts: the one a contact gave us, and when we gave ours. In boxes by JID.

use serde::{Deserialize, Serialize};
use whatsapp_rust::store::TcTokenEntry;
use whatsapp_rust::wacore::store::error::Result;

use super::boxes::{Boxes, spread};
use super::{SpaceBackend, kinds};
use crate::store::Durability;

const WHAT: &str = "a contact's token";

/// A contact's token in its box.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    /// Theirs; empty where the contact gave none yet.
    theirs: Vec<u8>,
    received_at: i64,
    /// When ours was given last.
    given_at: Option<i64>,
}

impl Token {
    /// What is kept of an entry.
    pub(super) fn from_entry(entry: TcTokenEntry) -> Self {
        let TcTokenEntry {
            token: theirs,
            token_timestamp: received_at,
            sender_timestamp: given_at,
        } = entry;
        Self {
            theirs,
            received_at,
            given_at,
        }
    }

    fn entry(self) -> TcTokenEntry {
        TcTokenEntry {
            token: self.theirs,
            token_timestamp: self.received_at,
            sender_timestamp: self.given_at,
        }
    }
}

impl SpaceBackend {
    async fn token_box(&self, jid: &str) -> Result<Boxes<String, Token>> {
        self.open_boxes(kinds::TC_TOKENS, b"", vec![spread(jid)], WHAT)
            .await
    }

    async fn all_tokens(&self) -> Result<Boxes<String, Token>> {
        self.all_boxes(kinds::TC_TOKENS, b"", WHAT).await
    }

    async fn write_tokens(&self, boxes: Boxes<String, Token>) -> Result<()> {
        self.commit(boxes.changes()?, Durability::Eventual).await
    }

    /// Replaces what there is about a contact by what `change` makes of it, if it makes anything.
    async fn change_token(
        &self,
        jid: &str,
        change: impl FnOnce(Option<Token>) -> Option<Token> + Send,
    ) -> Result<()> {
        let _turn = self.turns.tokens.lock().await;
        let mut boxes = self.token_box(jid).await?;
        let old = boxes.get(&spread(jid), &jid.to_owned()).cloned();
        if let Some(token) = change(old) {
            boxes.insert(spread(jid), jid.to_owned(), token);
        }
        self.write_tokens(boxes).await
    }

    pub(super) async fn token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let boxes = self.token_box(jid).await?;
        let token = boxes.get(&spread(jid), &jid.to_owned());
        Ok(token.map(|token| token.clone().entry()))
    }

    pub(super) async fn put_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        let token = Token::from_entry(entry.clone());
        self.change_token(jid, |_| Some(token)).await
    }

    pub(super) async fn delete_token(&self, jid: &str) -> Result<()> {
        let _turn = self.turns.tokens.lock().await;
        let mut boxes = self.token_box(jid).await?;
        boxes.remove(&spread(jid), &jid.to_owned());
        self.write_tokens(boxes).await
    }

    pub(super) async fn token_jids(&self) -> Result<Vec<String>> {
        let tokens = self.all_tokens().await?.into_entries();
        Ok(tokens.map(|(jid, _)| jid).collect())
    }

    /// A contact stays while either its token or ours is young enough.
    pub(super) async fn delete_old_tokens(
        &self,
        received_before: i64,
        given_before: i64,
    ) -> Result<u32> {
        let _turn = self.turns.tokens.lock().await;
        let mut boxes = self.all_tokens().await?;
        let deleted = boxes.retain(|_, token| {
            let has_theirs = !token.theirs.is_empty() && token.received_at >= received_before;
            let has_ours = token.given_at.is_some_and(|at| at >= given_before);
            has_theirs || has_ours
        });
        self.write_tokens(boxes).await?;
        Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
    }

    /// Their token, unless a newer one of theirs is there. When ours was given stays.
    pub(super) async fn receive_token(
        &self,
        jid: &str,
        token: &[u8],
        received_at: i64,
    ) -> Result<()> {
        self.change_token(jid, |old| match old {
            Some(old) if !old.theirs.is_empty() && received_at < old.received_at => None,
            old => Some(Token {
                theirs: token.to_owned(),
                received_at,
                given_at: old.and_then(|old| old.given_at),
            }),
        })
        .await
    }

    /// Ours was given then, unless it was given later. Their token stays.
    pub(super) async fn give_token(&self, jid: &str, given_at: i64) -> Result<()> {
        self.change_token(jid, |old| {
            Some(match old {
                Some(old) => Token {
                    given_at: Some(old.given_at.map_or(given_at, |at| at.max(given_at))),
                    ..old
                },
                None => Token {
                    theirs: Vec::new(),
                    received_at: given_at,
                    given_at: Some(given_at),
                },
            })
        })
        .await
    }
}
