//! Messages from a linked device: acknowledged, then handed to every device they are addressed to.

use crate::account::Account;
use crate::connection::Session;
use crate::node::{attr, attr_jid, body, child, children, sender_key_chat};
use crate::phone::{self, Inbound};
use crate::world::World;
use anyhow::{Context, Result};
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// The server's word on a message: taken, or refused with a code.
pub(crate) fn ack(world: &World, message: &Node, error: Option<&str>) -> Node {
    let mut ack =
        NodeBuilder::new("ack").attr("class", "message").attr("id", attr(message, "id")).attr("t", world.now());
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
    account: Arc<Account>,
    device: u16,
    direct: Option<Node>,
}

impl Target {
    fn is(&self, account: &Account, device: u16) -> bool {
        self.account.number == account.number && self.device == device
    }
}

pub(super) async fn handle(world: &World, session: &Session, node: &Node) -> Result<()> {
    let to = attr_jid(node, "to").context("a message without `to`")?;
    let id = attr(node, "id");
    world.count_message();
    world.deliver_ack(&session.line, &session.account, ack(world, node, None));
    let group_part = children(node).iter().find(|part| part.tag == "enc" && attr(part, "type") == "skmsg").map(body);
    for target in targets(world, session, &to, node, group_part.is_some()) {
        if target.device == 0 {
            let inbound = Inbound {
                from: &session.account,
                from_device: session.device,
                to: &to,
                id: &id,
                direct: target.direct.as_ref(),
                group: group_part.as_deref(),
            };
            if let Err(error) = phone::receive(world, &target.account, &inbound).await {
                // One phone that cannot read it must not keep the others from it.
                tracing::warn!(%error, phone = target.account.number, "a phone could not read a message");
                phone::ask_again(world, &target.account, &inbound).await;
            }
        } else {
            let stanza = forwarded(world, session, &to, node, &target, group_part.as_deref());
            world.deliver(&target.account, target.device, stanza);
        }
    }
    Ok(())
}

fn targets(world: &World, session: &Session, to: &Jid, node: &Node, has_group_part: bool) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    let mut holders: Vec<Arc<Account>> = Vec::new();
    for participant in child(node, "participants").map(children).unwrap_or_default() {
        let Some((account, device)) = attr_jid(participant, "jid").and_then(|jid| world.resolve(&jid)) else {
            continue;
        };
        let direct = child(participant, "enc").cloned();
        if direct.is_none() {
            // Its devices hold the sender key already.
            holders.push(account);
            continue;
        }
        let target = Target { account, device, direct };
        if !target.is(&session.account, session.device) {
            targets.push(target);
        }
    }
    if let (Some(enc), false, Some((account, device))) = (child(node, "enc"), has_group_part, world.resolve(to)) {
        targets.push(Target { account, device, direct: Some(enc.clone()) });
    }
    if to.server == Server::Group {
        // Devices that hold the sender key already get the group part only.
        let members = world.group(to.user.as_str()).map(|group| group.members).unwrap_or_default();
        holders.extend(members.keys().filter_map(|member| world.account(member)));
    }
    if has_group_part {
        for holder in holders {
            let devices = holder.state().live_devices();
            for device in std::iter::once(0).chain(devices) {
                let target = Target { account: holder.clone(), device, direct: None };
                let own = target.is(&session.account, session.device);
                if !own && !targets.iter().any(|other| other.is(&holder, device)) {
                    targets.push(target);
                }
            }
        }
    }
    targets
}

/// The stanza as another linked device receives it.
fn forwarded(
    world: &World,
    session: &Session,
    to: &Jid,
    node: &Node,
    target: &Target,
    group_part: Option<&[u8]>,
) -> Node {
    let author = &session.account;
    let (by_phone, by_lid) = (author.phone_jid(session.device), author.lid_jid(session.device));
    let lid_side = to.server != Server::Pn;
    let sender = if lid_side { by_lid.clone() } else { by_phone.clone() };
    let mut message = NodeBuilder::new("message")
        .attr("id", attr(node, "id"))
        .attr("t", world.now())
        .attr("notify", author.name.clone())
        .attr("type", attr(node, "type"));
    message = if sender_key_chat(to).is_some() {
        message
            .attr("from", to.clone())
            .attr("participant", sender)
            .attr("addressing_mode", "lid")
            .attr("participant_pn", by_phone.to_non_ad())
    } else if target.account.number == author.number {
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
    if let (Some(_), Some(sealed)) = (sender_key_chat(to), group_part) {
        parts.push(NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg").bytes(sealed.to_vec()).build());
    }
    parts.extend(child(node, "device-identity").cloned());
    message.children(parts).build()
}
