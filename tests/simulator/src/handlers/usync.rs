//! Who is on WhatsApp, with which devices.

use crate::account::Account;
use crate::connection::Session;
use crate::node::{attr, attr_jid, body, child, children, result};
use crate::pairing::key_index_list;
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

pub(super) fn handle(world: &World, session: &Session, node: &Node) -> Result<()> {
    let request = child(node, "usync").context("no usync")?;
    let asked: Vec<String> = child(request, "query")
        .map(|query| children(query).iter().map(|child| child.tag.to_string()).collect())
        .unwrap_or_default();
    let mut users = Vec::new();
    for user in child(request, "list").map(children).unwrap_or_default() {
        let phone = child(user, "contact").map(|contact| String::from_utf8_lossy(&body(contact)).into_owned());
        // Whoever is asked about by a number is named by the one that the server has.
        let by_number = |phone: &String| Jid::pn(world.canonical(phone.trim_start_matches('+')));
        let jid = attr_jid(user, "jid").or_else(|| phone.as_ref().map(by_number));
        let Some(jid) = jid else { continue };
        let known = world.resolve(&jid).map(|(account, _)| account);
        if let Some(known) = known.as_ref().filter(|_| asked.iter().any(|part| part == "devices")) {
            known.state().acquaintances.insert(session.account.number.clone());
        }
        let mut answer = NodeBuilder::new("user").attr("jid", jid.to_non_ad());
        if let (Server::Lid, Some(account)) = (jid.server, &known) {
            answer = answer.attr("pn_jid", account.phone_jid(0));
        }
        let parts = asked
            .iter()
            .filter_map(|part| answer_part(world, part, phone.as_deref(), known.as_deref()).transpose())
            .collect::<Result<Vec<_>>>()?;
        users.push(answer.children(parts).build());
    }
    let answer = NodeBuilder::new("usync")
        .attr("sid", attr(request, "sid"))
        .attr("mode", attr(request, "mode"))
        .attr("context", attr(request, "context"))
        .attr("index", "0")
        .attr("last", "true")
        .children([NodeBuilder::new("result").children([]).build(), NodeBuilder::new("list").children(users).build()])
        .build();
    session.line.send(result(node, vec![answer]));
    Ok(())
}

fn answer_part(world: &World, part: &str, phone: Option<&str>, known: Option<&Account>) -> Result<Option<Node>> {
    Ok(match (part, known) {
        ("contact", known) => {
            let there = if known.is_some() { "in" } else { "out" };
            let contact = NodeBuilder::new("contact").attr("type", there);
            // The question, as it was put.
            Some(phone.into_iter().fold(contact, |contact, phone| contact.bytes(phone.as_bytes().to_vec())).build())
        }
        ("devices", Some(account)) => Some(devices(world, account)?),
        ("lid", Some(account)) => Some(NodeBuilder::new("lid").attr("val", account.lid_jid(0)).build()),
        ("status", Some(account)) => {
            let about = account.state().about.clone();
            Some(NodeBuilder::new("status").attr("t", world.now()).bytes(about.into_bytes()).build())
        }
        ("disappearing_mode", Some(account)) => {
            let state = account.state();
            let (duration, at) = (state.default_timer_s, state.default_timer_set_at);
            Some(NodeBuilder::new("disappearing_mode").attr("duration", duration).attr("t", at).build())
        }
        _ => None,
    })
}

fn devices(world: &World, account: &Account) -> Result<Node> {
    let mut list = vec![NodeBuilder::new("device").attr("id", 0_u32).build()];
    for (id, companion) in account.state().companions.iter().filter(|(_, companion)| !companion.removed) {
        list.push(NodeBuilder::new("device").attr("id", *id).attr("key-index", companion.key_index).build());
    }
    let now = world.now();
    let index_list = NodeBuilder::new("key-index-list").attr("ts", now).bytes(key_index_list(account, now)?).build();
    Ok(NodeBuilder::new("devices")
        .children([NodeBuilder::new("device-list").children(list).build(), index_list])
        .build())
}
