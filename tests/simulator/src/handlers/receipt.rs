//! Receipts from a linked device: they confirm what it received, and travel on to the sender.

use crate::connection::confirms;
use crate::node::{attr, attr_jid, child, children};
use crate::world::{Line, World, now};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, Server};

pub(super) fn handle(world: &mut World, account: &str, device: u16, line: &Line, node: &Node) {
    let mut ack = NodeBuilder::new("ack").attr("class", "receipt").attr("id", attr(node, "id"));
    if let Some(to) = attr_jid(node, "to") {
        ack = ack.attr("from", to);
    }
    if !attr(node, "type").is_empty() {
        ack = ack.attr("type", attr(node, "type"));
    }
    line.send(ack.build());
    if confirms(node)
        && let Some(companion) = world.companion(account, device)
    {
        companion.acknowledged(&attr(node, "id"));
        for item in child(node, "list").map(children).unwrap_or_default() {
            companion.acknowledged(&attr(item, "id"));
        }
    }
    relay(world, account, device, node);
}

fn relay(world: &mut World, account: &str, device: u16, node: &Node) {
    let Some(to) = attr_jid(node, "to") else { return };
    let Some((target, only)) = world.resolve(&to) else { return };
    let Some(sender) = world.accounts.get(account) else { return };
    let from = if to.server == Server::Lid { sender.lid_jid(device) } else { sender.phone_jid(device) };
    let Some(receiver) = world.accounts.get(&target) else { return };
    let devices: Vec<u16> = receiver.companions.keys().copied().filter(|d| only == 0 || only == *d).collect();
    for target_device in devices {
        let mut relayed = node.clone();
        relayed.attrs.0.retain(|(key, _)| key != "to");
        relayed.attrs.insert("from", from.clone());
        relayed.attrs.insert("t", now());
        world.deliver(&target, target_device, relayed);
    }
}
