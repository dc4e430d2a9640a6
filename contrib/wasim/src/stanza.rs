//! A stanza as people write it, and how it becomes one on the wire.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, NodeValue, Server as JidServer};

use crate::Error;

/// A stanza in JSON: `{"tag": "ib", "attrs": {..}, "children": [..]}`, or with `text` or `base64`
/// instead of children. Attributes that read as a JID (`x@s.whatsapp.net`, `s.whatsapp.net`) are
/// sent as one, as the real server does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stanza {
    /// The name.
    pub tag: String,
    /// The attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, String>,
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Stanza>,
    /// Content as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Content as bytes, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl Stanza {
    /// An empty stanza.
    #[must_use]
    pub fn new(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            ..Self::default()
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attr(mut self, name: &str, value: &str) -> Self {
        self.attrs.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Sets the content to text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// What goes on the wire.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the tag is empty, the base64 is none, or there are two kinds of
    /// content.
    pub(crate) fn to_node(&self) -> Result<Node, Error> {
        if self.tag.is_empty() {
            return Err(Error::Invalid("a stanza needs a tag".to_owned()));
        }
        let contents = usize::from(!self.children.is_empty())
            + usize::from(self.text.is_some())
            + usize::from(self.base64.is_some());
        if contents > 1 {
            return Err(Error::Invalid(format!(
                "<{}> has more than one of children, text and base64",
                self.tag
            )));
        }
        let content = if !self.children.is_empty() {
            let children: Result<Vec<Node>, Error> =
                self.children.iter().map(Self::to_node).collect();
            Some(NodeContent::Nodes(children?))
        } else if let Some(text) = &self.text {
            Some(NodeContent::Bytes(text.clone().into_bytes()))
        } else if let Some(base64) = &self.base64 {
            let bytes = STANDARD
                .decode(base64)
                .map_err(|error| Error::Invalid(format!("<{}>: {error}", self.tag)))?;
            Some(NodeContent::Bytes(bytes))
        } else {
            None
        };
        let mut node = NodeBuilder::new_dynamic(self.tag.clone())
            .apply_content(content)
            .build();
        for (name, value) in &self.attrs {
            node.attrs.push_value(name.clone(), attribute(value));
        }
        Ok(node)
    }
}

fn attribute(text: &str) -> NodeValue {
    if let Some(server) = JidServer::parse_known(text) {
        return NodeValue::Jid(Jid::new("", server));
    }
    if text.contains('@')
        && let Ok(jid) = text.parse::<Jid>()
    {
        return NodeValue::Jid(jid);
    }
    NodeValue::from(text)
}

/// The JID of the server itself, `s.whatsapp.net`.
pub(crate) fn server_jid() -> Jid {
    Jid::new("", JidServer::Pn)
}

/// An attribute as text, if it is there.
pub(crate) fn attr(node: &Node, name: &str) -> Option<String> {
    node.attrs
        .get(name)
        .map(|value| value.as_str().into_owned())
}

/// The content of a node as bytes, if it has any that are not children.
pub(crate) fn content(node: &Node) -> Option<&[u8]> {
    match node.content.as_ref()? {
        NodeContent::Bytes(bytes) => Some(bytes),
        NodeContent::String(text) => Some(text.as_bytes()),
        NodeContent::Nodes(_) => None,
    }
}

/// The content of a child as bytes.
pub(crate) fn child_content<'a>(node: &'a Node, tag: &str) -> Option<&'a [u8]> {
    content(node.get_optional_child(tag)?)
}

/// The answer to a request: `<iq type="result">` with the request's id, from whom it was sent to.
pub(crate) fn result_of(request: &Node) -> NodeBuilder {
    reply(request, "result")
}

/// The refusal of a request: `<iq type="error"><error code text/></iq>`.
pub(crate) fn error_of(request: &Node, code: u16, text: &str) -> Node {
    let error = NodeBuilder::new("error")
        .attr("code", code)
        .attr("text", text)
        .build();
    reply(request, "error").children([error]).build()
}

fn reply(request: &Node, kind: &'static str) -> NodeBuilder {
    let from = request
        .attrs
        .get("to")
        .and_then(NodeValue::to_jid)
        .unwrap_or_else(server_jid);
    let mut builder = NodeBuilder::new("iq").attr("from", from);
    if let Some(id) = attr(request, "id") {
        builder = builder.attr("id", id);
    }
    builder.attr("type", kind)
}
