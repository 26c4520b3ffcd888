//! Groups (`w:g2`): create, read, and change. A change is answered first, then every device of every member is told.
//!
//! - `members`: who belongs to a group; `invites`: links and who waits to be let in.
//! - `communities`: groups that are part of another one.
//! - `settings`: subject, description and what members may do; `describe`: a group as clients read it.

mod communities;
mod describe;
mod invites;
mod members;
mod settings;

pub(super) use communities::{sub_group_sizes, sub_groups};
pub(crate) use invites::{Joined, join};
pub(crate) use members::leave;

use crate::account::Account;
use crate::connection::Session;
use crate::group::Group;
use crate::node::{attr, attr_jid, child, child_body, children, iq_error, message_id, result, summary};
use crate::world::World;
use anyhow::{Context, Result};
use describe::description;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// What became of a request.
enum Outcome {
    Answer(Vec<Node>),
    /// The answer, and what the members are told.
    Change(Vec<Node>, Node),
    Refused(u16, &'static str),
    Unknown,
}

const NOT_FOUND: Outcome = Outcome::Refused(404, "item-not-found");
const FORBIDDEN: Outcome = Outcome::Refused(403, "forbidden");

pub(super) fn handle(world: &World, session: &Session, node: &Node, first: &str) -> Result<()> {
    let id = attr_jid(node, "to").map(|jid| jid.user.to_string()).unwrap_or_default();
    let outcome = match world.group(&id) {
        None => without_group(world, session, node, first)?,
        Some(group) => with_group(world, session, &group, node, first)?,
    };
    let line = &session.line;
    match outcome {
        Outcome::Answer(content) => line.send(result(node, content)),
        Outcome::Change(content, news) => {
            line.send(result(node, content));
            notify(world, &id, &session.account, &news);
        }
        Outcome::Refused(code, reason) => line.send(iq_error(node, code, reason)),
        Outcome::Unknown => {
            world.note_unanswered(summary(node));
            line.send(iq_error(node, 501, "feature-not-implemented"));
        }
    }
    Ok(())
}

/// Requests that are addressed to no group, or to one that is not there.
fn without_group(world: &World, session: &Session, node: &Node, first: &str) -> Result<Outcome> {
    let me = session.account.number.as_str();
    Ok(match first {
        "create" => {
            let request = child(node, "create").context("no create")?;
            let mut invited: Vec<String> =
                members::named(world, request).into_iter().filter_map(|(_, member)| member).collect();
            invited.retain(|member| members::may_be_added(world, member));
            if let Some((code, reason)) = communities::refuses(world, me, request) {
                return Ok(Outcome::Refused(code, reason));
            }
            let id = create(world, me, &attr(request, "subject"), &invited);
            if let Some(group) = world.groups().get_mut(&id) {
                settings::at_creation(group, request);
            }
            communities::at_creation(world, me, &id, request);
            let created = description(world, &id)?;
            let news = NodeBuilder::new("create").children([created.clone()]).build();
            notify_others(world, &id, session, &news);
            Outcome::Answer(vec![created])
        }
        "participating" => {
            let mine: Vec<String> =
                world.groups().values().filter(|g| g.members.contains_key(me)).map(|g| g.id.clone()).collect();
            let nodes = mine.iter().map(|id| description(world, id)).collect::<Result<Vec<_>>>()?;
            Outcome::Answer(vec![NodeBuilder::new("groups").children(nodes).build()])
        }
        "leave" => {
            let request = child(node, "leave").context("no leave")?;
            let left: Vec<Jid> = children(request).iter().filter_map(|part| attr_jid(part, "id")).collect();
            for jid in &left {
                leave(world, &jid.user, &session.account);
                // Who leaves a community leaves its groups.
                for group in communities::linked(world, &jid.user) {
                    leave(world, &group, &session.account);
                }
            }
            let nodes: Vec<Node> =
                left.into_iter().map(|jid| NodeBuilder::new("group").attr("id", jid).build()).collect();
            Outcome::Answer(vec![NodeBuilder::new("leave").children(nodes).build()])
        }
        "invite" => invites::by_code(world, session, node)?,
        "query"
        | "add"
        | "remove"
        | "promote"
        | "demote"
        | "subject"
        | "description"
        | "locked"
        | "unlocked"
        | "announcement"
        | "not_announcement"
        | "membership_approval_requests"
        | "links"
        | "unlink"
        | "delete_parent"
        | "query_linked"
        | "join_linked_group"
        | "linked_groups_participants"
        | "sub_groups" => NOT_FOUND,
        _ => Outcome::Unknown,
    })
}

fn with_group(world: &World, session: &Session, group: &Group, node: &Node, first: &str) -> Result<Outcome> {
    let me = session.account.number.as_str();
    Ok(match first {
        "query" => Outcome::Answer(vec![description(world, &group.id)?]),
        "add" | "remove" | "promote" | "demote" => members::change(world, session, group, node, first)?,
        "invite" if attr(node, "type") == "set" => invites::revoke(world, group, me),
        "invite" if group.is_admin(me) => Outcome::Answer(vec![invites::link(&group.invite)]),
        "invite" => FORBIDDEN,
        "membership_approval_requests" => invites::waiting(world, group, me),
        "membership_requests_action" => invites::decide(world, session, group, node)?,
        "links"
        | "unlink"
        | "delete_parent"
        | "query_linked"
        | "join_linked_group"
        | "linked_groups_participants"
        | "sub_groups" => communities::handle(world, session, group, node, first)?,
        "subject" => {
            let subject = String::from_utf8_lossy(&child_body(node, "subject").unwrap_or_default()).into_owned();
            settings::subject(world, &session.account, group, subject)
        }
        _ => settings::change(world, group, me, node, first)?,
    })
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

/// Its creator ends it: every member is told, and it is no more.
pub(crate) fn end(world: &World, group: &str) -> bool {
    let Some(found) = world.group(group) else { return false };
    if let Some(creator) = world.account(&found.creator) {
        notify(world, group, &creator, &NodeBuilder::new("delete").build());
    }
    world.groups().remove(group).is_some()
}

/// Tells every device of every member.
fn notify(world: &World, group: &str, author: &Account, news: &Node) {
    let Some(found) = world.group(group) else { return };
    for member in found.members.keys().filter_map(|member| world.account(member)) {
        tell(world, group, author, &member, None, news);
    }
}

/// As `notify`, but not the device that made the change.
fn notify_others(world: &World, group: &str, session: &Session, news: &Node) {
    let Some(found) = world.group(group) else { return };
    for member in found.members.keys().filter_map(|member| world.account(member)) {
        let but = (member.number == session.account.number).then_some(session.device);
        tell(world, group, &session.account, &member, but, news);
    }
}

fn tell(world: &World, group: &str, author: &Account, member: &Account, but: Option<u16>, news: &Node) {
    let notification = NodeBuilder::new("notification")
        .attr("from", Jid::group(group))
        .attr("type", "w:gp2")
        .attr("id", message_id())
        .attr("participant", author.lid_jid(0))
        .attr("participant_pn", author.phone_jid(0))
        .attr("t", world.now())
        .children([news.clone()])
        .build();
    world.deliver_to_all(member, but, &notification);
}
