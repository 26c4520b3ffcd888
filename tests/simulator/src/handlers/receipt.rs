//! Receipts from a linked device: they confirm what it received, and travel on to the sender.

use crate::connection::{Session, confirms};
use crate::node::{STATUS, attr, attr_jid, child, children};
use crate::phone;
use crate::world::World;
use anyhow::Result;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, Server};

pub(super) async fn handle(world: &World, session: &Session, node: &Node) -> Result<()> {
    let mut ack = NodeBuilder::new("ack").attr("class", "receipt").attr("id", attr(node, "id"));
    if let Some(to) = attr_jid(node, "to") {
        ack = ack.attr("from", to);
    }
    if !attr(node, "type").is_empty() {
        ack = ack.attr("type", attr(node, "type"));
    }
    session.line.send(ack.build());
    if confirms(node)
        && let Some(companion) = session.account.state().companions.get_mut(&session.device)
    {
        companion.unacknowledged.confirm(&attr(node, "id"));
        for item in child(node, "list").map(children).unwrap_or_default() {
            companion.unacknowledged.confirm(&attr(item, "id"));
        }
    }
    if attr(node, "type") == "retry" {
        // In a group the author is the participant.
        let author = attr_jid(node, "participant").or_else(|| attr_jid(node, "to"));
        if let Some((author, 0)) = author.and_then(|author| world.resolve(&author)) {
            return phone::send_again(world, &author, &session.account, session.device, node).await;
        }
    }
    if attr(node, "type") == "server-error" {
        return phone::upload_again(world, session, node);
    }
    let to_status = attr_jid(node, "to").is_some_and(|to| to.to_string() == STATUS);
    if to_status && attr(node, "type") == "read" {
        viewed(world, session, node);
    } else {
        relay(world, session, node);
    }
    Ok(())
}

/// A status post was seen: its author is told, on the phone and on linked devices.
fn viewed(world: &World, session: &Session, node: &Node) {
    let Some((author, _)) = attr_jid(node, "participant").and_then(|author| world.resolve(&author)) else { return };
    let ids = [attr(node, "id")].into_iter();
    let more = child(node, "list").map(children).unwrap_or_default().iter().map(|item| attr(item, "id"));
    let viewer = session.account.number.clone();
    author.state().views.extend(ids.chain(more).map(|id| (id, viewer.clone())));
    let devices = author.state().live_devices();
    for device in devices {
        let mut relayed = node.clone();
        relayed.attrs.0.retain(|(key, _)| key != "to" && key != "participant");
        relayed.attrs.insert("from", wacore_binary::Jid::status_broadcast());
        relayed.attrs.insert("participant", session.account.lid_jid(0));
        relayed.attrs.insert("t", world.now());
        world.deliver(&author, device, relayed);
    }
}

fn relay(world: &World, session: &Session, node: &Node) {
    let Some(to) = attr_jid(node, "to") else { return };
    let Some((target, only)) = world.resolve(&to) else { return };
    let by_lid = to.server == Server::Lid;
    let from = if by_lid { session.account.lid_jid(session.device) } else { session.account.phone_jid(session.device) };
    let devices = target.state().live_devices();
    for device in devices.into_iter().filter(|device| only == 0 || only == *device) {
        let mut relayed = node.clone();
        relayed.attrs.0.retain(|(key, _)| key != "to");
        relayed.attrs.insert("from", from.clone());
        relayed.attrs.insert("t", world.now());
        world.deliver(&target, device, relayed);
    }
}
