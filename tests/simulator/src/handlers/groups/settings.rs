//! Subject, description, and what members may do.

use super::{FORBIDDEN, NOT_FOUND, Outcome};
use crate::account::Account;
use crate::group::Group;
use crate::node::{attr, body, child, child_body};
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

pub(super) fn subject(world: &World, author: &Account, group: &Group, subject: String) -> Outcome {
    if !group.may_change(&author.number) {
        return FORBIDDEN;
    }
    match world.groups().get_mut(&group.id) {
        Some(group) => group.subject.clone_from(&subject),
        None => return NOT_FOUND,
    }
    let news = NodeBuilder::new("subject")
        .attr("subject", subject)
        .attr("s_o", author.lid_jid(0))
        .attr("s_t", world.now())
        .build();
    Outcome::Change(vec![], news)
}

pub(super) fn change(world: &World, group: &Group, me: &str, node: &Node, first: &str) -> Result<Outcome> {
    let request = child(node, first).context("an empty request")?;
    let may = if first == "description" { group.may_change(me) } else { group.is_admin(me) };
    if !may {
        return Ok(FORBIDDEN);
    }
    let mut groups = world.groups();
    let Some(group) = groups.get_mut(&group.id) else { return Ok(NOT_FOUND) };
    let mut news = request.clone();
    match first {
        "description" => {
            let text = child_body(request, "body").map(|text| String::from_utf8_lossy(&text).into_owned());
            if text.is_none() {
                let gone = NodeBuilder::new("description").attr("id", attr(request, "id"));
                news = gone.children([NodeBuilder::new("delete").build()]).build();
            }
            group.description = text.map(|text| (attr(request, "id"), text));
        }
        "locked" | "unlocked" => group.locked = first == "locked",
        "announcement" | "not_announcement" => group.announce = first == "announcement",
        "ephemeral" => group.ephemeral = attr(request, "expiration").parse().ok().filter(|seconds| *seconds > 0),
        "not_ephemeral" => group.ephemeral = None,
        "membership_approval_mode" => {
            group.approval = child(request, "group_join").is_some_and(|join| attr(join, "state") == "on");
        }
        "member_add_mode" => group.all_add = body(request) == b"all_member_add",
        _ => return Ok(Outcome::Unknown),
    }
    Ok(Outcome::Change(vec![], news))
}

/// What a request to create a group says about the same things.
pub(super) fn at_creation(group: &mut Group, request: &Node) {
    group.announce = child(request, "announcement").is_some();
    group.locked = child(request, "locked").is_some();
    if let Some(mode) = child_body(request, "member_add_mode") {
        group.all_add = mode == b"all_member_add";
    }
    let approval = child(request, "membership_approval_mode").and_then(|mode| child(mode, "group_join"));
    group.approval = approval.is_some_and(|join| attr(join, "state") == "on");
    let seconds = child(request, "ephemeral").and_then(|ephemeral| attr(ephemeral, "expiration").parse().ok());
    group.ephemeral = seconds.filter(|seconds| *seconds > 0);
    if let Some(description) = child(request, "description")
        && let Some(text) = child_body(description, "body")
    {
        group.description = Some((attr(description, "id"), String::from_utf8_lossy(&text).into_owned()));
    }
}
