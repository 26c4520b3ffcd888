//! Reading and building stanzas.

use anyhow::{Result, anyhow};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server};

pub(crate) fn server_jid() -> Jid {
    Jid::new("", Server::Pn)
}

/// Where status posts go.
pub(crate) const STATUS: &str = "status@broadcast";

/// The name under which sender keys for this address are kept: a group's, or that of status posts.
pub(crate) fn sender_key_chat(to: &Jid) -> Option<String> {
    match to.server {
        Server::Group => Some(to.user.to_string()),
        Server::Broadcast => Some(to.to_string()),
        _ => None,
    }
}

/// The attribute's text; empty when it is not there.
pub(crate) fn attr(node: &Node, key: &str) -> String {
    node.attrs.get(key).map(|value| value.as_str().to_string()).unwrap_or_default()
}

pub(crate) fn attr_jid(node: &Node, key: &str) -> Option<Jid> {
    node.attrs.get(key).and_then(|value| value.to_jid())
}

pub(crate) fn children(node: &Node) -> &[Node] {
    node.children().unwrap_or_default()
}

pub(crate) fn child<'a>(node: &'a Node, tag: &str) -> Option<&'a Node> {
    children(node).iter().find(|child| child.tag == tag)
}

pub(crate) fn body(node: &Node) -> Vec<u8> {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => bytes.to_vec(),
        Some(NodeContent::String(text)) => text.as_bytes().to_vec(),
        _ => Vec::new(),
    }
}

pub(crate) fn child_body(node: &Node, tag: &str) -> Option<Vec<u8>> {
    child(node, tag).map(body)
}

pub(crate) fn key32(bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| anyhow!("a key is not 32 bytes"))
}

pub(crate) fn uint(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// Key ids travel as three bytes.
pub(crate) fn id3(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

pub(crate) fn leaf(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

pub(crate) fn result(request: &Node, content: Vec<Node>) -> Node {
    let answer =
        NodeBuilder::new("iq").attr("from", server_jid()).attr("id", attr(request, "id")).attr("type", "result");
    if content.is_empty() { answer.build() } else { answer.children(content).build() }
}

pub(crate) fn iq_error(request: &Node, code: u16, text: &str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code).attr("text", text).build();
    NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("id", attr(request, "id"))
        .attr("type", "error")
        .children([error])
        .build()
}

/// A fresh id of the form phones use.
pub(crate) fn message_id() -> String {
    format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}

/// For lists and logs: what a stanza is, without its content.
pub(crate) fn summary(node: &Node) -> String {
    let first = children(node).first().map(|child| child.tag.to_string()).unwrap_or_default();
    format!("<{}> xmlns={} type={} child={first}", node.tag, attr(node, "xmlns"), attr(node, "type"))
}
