//! Groups: create, read, members, subject, leaving.

use crate::connection::Session;
use crate::group::Group;
use crate::line::Line;
use crate::node::{attr, attr_jid, child, child_body, children, iq_error, message_id, result};
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

pub(super) fn handle(world: &World, session: &Session, node: &Node, first: &str) -> Result<()> {
    let (account, line) = (session.account.number.as_str(), &session.line);
    let group = attr_jid(node, "to").map(|jid| jid.user.to_string()).unwrap_or_default();
    match first {
        "create" => {
            let request = child(node, "create").context("no create")?;
            let members: Vec<String> = children(request)
                .iter()
                .filter(|part| part.tag == "participant")
                .filter_map(|part| attr_jid(part, "jid").and_then(|jid| world.resolve(&jid)))
                .map(|(member, _)| member.number.clone())
                .collect();
            let id = create(world, account, &attr(request, "subject"), &members);
            line.send(result(node, vec![description(world, &id)?]));
        }
        "query" if world.groups().contains_key(&group) => line.send(result(node, vec![description(world, &group)?])),
        "participating" => {
            let mine: Vec<String> =
                world.groups().values().filter(|g| g.members.contains_key(account)).map(|g| g.id.clone()).collect();
            let nodes = mine.iter().map(|id| description(world, id)).collect::<Result<Vec<_>>>()?;
            line.send(result(node, vec![NodeBuilder::new("groups").children(nodes).build()]));
        }
        "add" | "remove" | "promote" | "demote" if world.groups().contains_key(&group) => {
            members(world, account, line, node, first, &group)?;
        }
        "subject" if world.groups().contains_key(&group) => {
            let subject = String::from_utf8_lossy(&child_body(node, "subject").unwrap_or_default()).into_owned();
            world.groups().get_mut(&group).context("no such group")?.subject = subject.clone();
            line.send(result(node, vec![]));
            let news = NodeBuilder::new("subject").attr("subject", subject).attr("s_t", world.now()).build();
            notify(world, &group, account, &news);
        }
        "description" if world.groups().contains_key(&group) => {
            let request = child(node, "description").context("no description")?;
            let text = child_body(request, "body").map(|text| String::from_utf8_lossy(&text).into_owned());
            world.groups().get_mut(&group).context("no such group")?.description = text;
            line.send(result(node, vec![]));
        }
        "leave" => leave(world, account, line, node)?,
        "query" | "add" | "remove" | "promote" | "demote" | "subject" | "description" => {
            line.send(iq_error(node, 404, "item-not-found"));
        }
        _ => {
            world.note_unanswered(crate::node::summary(node));
            line.send(iq_error(node, 501, "feature-not-implemented"));
        }
    }
    Ok(())
}

/// Creates a group with its creator as its admin; returns its id.
pub(crate) fn create(world: &World, creator: &str, subject: &str, members: &[String]) -> String {
    let id = format!("1203630{:011}", rand::random::<u32>());
    let mut group = Group::new(&id, subject, creator, world.now());
    for member in members.iter().filter(|member| *member != creator) {
        group.members.insert(member.clone(), false);
    }
    world.groups().insert(id.clone(), group);
    id
}

fn members(world: &World, account: &str, line: &Line, node: &Node, action: &str, group: &str) -> Result<()> {
    let request = child(node, action).context("no members")?;
    let named: Vec<(Jid, Option<String>)> = children(request)
        .iter()
        .filter_map(|part| attr_jid(part, "jid"))
        .map(|jid| (jid.clone(), world.resolve(&jid).map(|(member, _)| member.number.clone())))
        .collect();
    let mut answers = Vec::new();
    let mut done = Vec::new();
    {
        let mut groups = world.groups();
        let all = &mut groups.get_mut(group).context("no such group")?.members;
        for (jid, member) in named {
            let answer = NodeBuilder::new("participant").attr("jid", jid);
            let Some(member) = member else {
                answers.push(answer.attr("error", "404").build());
                continue;
            };
            match action {
                "remove" => {
                    all.remove(&member);
                }
                "promote" => {
                    all.insert(member, true);
                }
                _ => {
                    all.insert(member, false);
                }
            }
            let answer = answer.build();
            answers.push(answer.clone());
            done.push(answer);
        }
    }
    let tag: &'static str = match action {
        "add" => "add",
        "remove" => "remove",
        "promote" => "promote",
        _ => "demote",
    };
    line.send(result(node, vec![NodeBuilder::new(tag).children(answers).build()]));
    notify(world, group, account, &NodeBuilder::new(tag).children(done).build());
    Ok(())
}

fn leave(world: &World, account: &str, line: &Line, node: &Node) -> Result<()> {
    let request = child(node, "leave").context("no leave")?;
    let left: Vec<Jid> = children(request).iter().filter_map(|part| attr_jid(part, "id")).collect();
    for jid in &left {
        if let Some(group) = world.groups().get_mut(jid.user.as_str()) {
            group.members.remove(account);
        }
    }
    let nodes: Vec<Node> = left.into_iter().map(|jid| NodeBuilder::new("group").attr("id", jid).build()).collect();
    line.send(result(node, vec![NodeBuilder::new("leave").children(nodes).build()]));
    Ok(())
}

fn notify(world: &World, group: &str, author: &str, news: &Node) {
    let (Some(found), Some(author)) = (world.group(group), world.account(author)) else { return };
    for member in found.members.keys().filter_map(|member| world.account(member)) {
        let notification = NodeBuilder::new("notification")
            .attr("from", Jid::group(group))
            .attr("type", "w:gp2")
            .attr("id", message_id())
            .attr("participant", author.lid_jid(0))
            .attr("t", world.now())
            .children([news.clone()])
            .build();
        world.deliver_to_all(&member, None, &notification);
    }
}

fn description(world: &World, id: &str) -> Result<Node> {
    let group = world.group(id).context("no such group")?;
    let creator = world.account(&group.creator).context("no such creator")?;
    let mut parts = Vec::new();
    for (member, admin) in &group.members {
        let Some(account) = world.account(member) else { continue };
        let mut part =
            NodeBuilder::new("participant").attr("jid", account.lid_jid(0)).attr("phone_number", account.phone_jid(0));
        if *member == group.creator {
            part = part.attr("type", "superadmin");
        } else if *admin {
            part = part.attr("type", "admin");
        }
        parts.push(part.build());
    }
    if let Some(text) = &group.description {
        let body = NodeBuilder::new("body").bytes(text.as_bytes().to_vec()).build();
        parts.push(NodeBuilder::new("description").attr("id", "1").children([body]).build());
    }
    Ok(NodeBuilder::new("group")
        .attr("id", group.id.clone())
        .attr("addressing_mode", "lid")
        .attr("creation", group.created)
        .attr("creator", creator.lid_jid(0))
        .attr("creator_pn", creator.phone_jid(0))
        .attr("s_o", creator.lid_jid(0))
        .attr("s_t", group.created)
        .attr("subject", group.subject.clone())
        .attr("size", group.members.len())
        .children(parts)
        .build())
}
