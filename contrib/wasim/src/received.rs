//! The stanzas that a client has sent on a connection, in order.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wacore_binary::Node;

use crate::stanza::attr;

/// How many stanzas of a connection are remembered.
const KEPT: usize = 256;

/// The outline of a stanza that a client has sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedStanza {
    /// Its place among the stanzas of the connection, from 1.
    pub place: u64,
    /// Its name.
    pub tag: String,
    /// Its type, such as `get` or `available`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The namespace of a request.
    pub namespace: Option<String>,
    /// Its id.
    pub id: Option<String>,
    /// To whom it is.
    pub to: Option<String>,
    /// The names of its children.
    pub children: Vec<String>,
}

/// What a client has sent on one connection: the latest of it.
#[derive(Debug, Default)]
pub(crate) struct Received {
    count: u64,
    latest: VecDeque<ReceivedStanza>,
}

impl Received {
    /// Adds a stanza. Returns its place.
    pub(crate) fn add(&mut self, stanza: &Node) -> u64 {
        self.count += 1;
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        let children = stanza.children().unwrap_or_default();
        self.latest.push_back(ReceivedStanza {
            place: self.count,
            tag: stanza.tag.to_string(),
            kind: attr(stanza, "type"),
            namespace: attr(stanza, "xmlns"),
            id: attr(stanza, "id"),
            to: attr(stanza, "to"),
            children: children.iter().map(|child| child.tag.to_string()).collect(),
        });
        self.count
    }

    pub(crate) fn list(&self) -> Vec<ReceivedStanza> {
        self.latest.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::*;

    #[test]
    fn the_latest_are_kept_with_their_places() {
        let mut received = Received::default();
        let stanza = NodeBuilder::new("presence")
            .attr("type", "available")
            .build();
        for place in 1..=KEPT as u64 + 2 {
            assert_eq!(received.add(&stanza), place);
        }
        let list = received.list();
        assert_eq!((list.len(), list[0].place), (KEPT, 3));
        assert_eq!(list[0].kind.as_deref(), Some("available"));
    }
}
