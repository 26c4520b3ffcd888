//! Messages from a linked device: acknowledged, then handed to every device they are addressed to.

use crate::node::{attr, attr_jid, body, child, children};
use crate::phone::{self, Inbound};
use crate::world::{Line, World, now};
use anyhow::{Context, Result};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// The server's word on a message: taken, or refused with a code.
pub(crate) fn ack(message: &Node, error: Option<&str>) -> Node {
    let mut ack = NodeBuilder::new("ack").attr("class", "message").attr("id", attr(message, "id")).attr("t", now());
    if let Some(to) = attr_jid(message, "to") {
        ack = ack.attr("from", to);
    }
    if let Some(error) = error {
        ack = ack.attr("error", error.to_owned());
    }
    ack.build()
}

/// One device that a message is for, with the part encrypted for it.
struct Target {
    account: String,
    device: u16,
    direct: Option<Node>,
}

pub(super) async fn handle(world: &mut World, account: &str, device: u16, line: &Line, node: &Node) -> Result<()> {
    let to = attr_jid(node, "to").context("a message without `to`")?;
    let id = attr(node, "id");
    world.messages += 1;
    world.deliver_ack(line, account, ack(node, None));
    let group_part = children(node).iter().find(|part| part.tag == "enc" && attr(part, "type") == "skmsg").map(body);
    for target in targets(world, account, device, &to, node, group_part.is_some()) {
        if target.device == 0 {
            let inbound = Inbound {
                from_account: account,
                from_device: device,
                to: &to,
                id: &id,
                direct: target.direct.as_ref(),
                group: group_part.as_deref(),
            };
            if let Err(error) = phone::receive(world, &target.account, inbound).await {
                // One phone that cannot read it must not keep the others from it.
                tracing::warn!(%error, phone = target.account, "a phone could not read a message");
            }
        } else if let Some(stanza) = forwarded(world, account, device, &to, node, &target, group_part.as_deref()) {
            world.deliver(&target.account, target.device, stanza);
        }
    }
    Ok(())
}

fn targets(world: &World, account: &str, device: u16, to: &Jid, node: &Node, has_group_part: bool) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for participant in child(node, "participants").map(children).unwrap_or_default() {
        let Some((to_account, to_device)) = attr_jid(participant, "jid").and_then(|jid| world.resolve(&jid)) else {
            continue;
        };
        if to_account != account || to_device != device {
            targets.push(Target { account: to_account, device: to_device, direct: child(participant, "enc").cloned() });
        }
    }
    if let (Some(enc), false, Some((to_account, to_device))) = (child(node, "enc"), has_group_part, world.resolve(to)) {
        targets.push(Target { account: to_account, device: to_device, direct: Some(enc.clone()) });
    }
    if to.server == Server::Group {
        // Devices that hold the sender key already get the group part only.
        let members: Option<Vec<String>> =
            world.groups.get(to.user.as_str()).map(|group| group.members.keys().cloned().collect());
        for member in members.unwrap_or_default() {
            let companions: Option<Vec<u16>> =
                world.accounts.get(&member).map(|m| m.companions.keys().copied().collect());
            for other in std::iter::once(0).chain(companions.unwrap_or_default()) {
                let own = member == account && other == device;
                if !own && !targets.iter().any(|t| t.account == member && t.device == other) {
                    targets.push(Target { account: member.clone(), device: other, direct: None });
                }
            }
        }
    }
    targets
}

/// The stanza as another linked device receives it.
fn forwarded(
    world: &World,
    account: &str,
    device: u16,
    to: &Jid,
    node: &Node,
    target: &Target,
    group_part: Option<&[u8]>,
) -> Option<Node> {
    let author = world.accounts.get(account)?;
    let (by_phone, by_lid) = (author.phone_jid(device), author.lid_jid(device));
    let lid_side = to.server != Server::Pn;
    let sender = if lid_side { by_lid.clone() } else { by_phone.clone() };
    let mut message = NodeBuilder::new("message")
        .attr("id", attr(node, "id"))
        .attr("t", now())
        .attr("notify", author.name.clone())
        .attr("type", attr(node, "type"));
    message = if to.server == Server::Group {
        message
            .attr("from", to.clone())
            .attr("participant", sender)
            .attr("addressing_mode", "lid")
            .attr("participant_pn", by_phone.to_non_ad())
    } else if target.account == account {
        message.attr("from", sender).attr("recipient", to.clone())
    } else if lid_side {
        message.attr("from", sender).attr("sender_pn", by_phone.to_non_ad())
    } else {
        message.attr("from", sender).attr("sender_lid", by_lid.to_non_ad())
    };
    if !attr(node, "edit").is_empty() {
        message = message.attr("edit", attr(node, "edit"));
    }
    let mut parts: Vec<Node> = target.direct.clone().into_iter().collect();
    if let (Server::Group, Some(sealed)) = (to.server, group_part) {
        parts.push(NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(sealed.to_vec()).build());
    }
    parts.extend(child(node, "device-identity").cloned());
    Some(message.children(parts).build())
}
