//! Invite links, and who waits to be let in.

use super::{FORBIDDEN, NOT_FOUND, Outcome, communities, description, members, notify};
use crate::account::Account;
use crate::connection::Session;
use crate::group::{Group, invite_code};
use crate::node::{attr, child};
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

pub(super) fn link(code: &str) -> Node {
    NodeBuilder::new("invite").attr("code", code.to_owned()).build()
}

pub(super) fn revoke(world: &World, group: &Group, me: &str) -> Outcome {
    if !group.is_admin(me) {
        return FORBIDDEN;
    }
    let code = invite_code();
    match world.groups().get_mut(&group.id) {
        Some(group) => group.invite.clone_from(&code),
        None => return NOT_FOUND,
    }
    Outcome::Change(vec![link(&code)], link(&code))
}

/// `get`: which group a link leads to; `set`: goes in.
pub(super) fn by_code(world: &World, session: &Session, node: &Node) -> Result<Outcome> {
    let code = attr(child(node, "invite").context("no invite")?, "code");
    if attr(node, "type") == "get" {
        let found = world.groups().values().find(|group| group.invite == code).map(|group| group.id.clone());
        return Ok(match found {
            Some(id) => Outcome::Answer(vec![description(world, &id)?]),
            None => NOT_FOUND,
        });
    }
    Ok(match join(world, &session.account, &code) {
        Joined::Member(id) => {
            Outcome::Answer(vec![NodeBuilder::new("group").attr("jid", Jid::group(id.as_str())).build()])
        }
        Joined::Waits(id) => {
            let waits = NodeBuilder::new("membership_approval_request").attr("jid", Jid::group(id.as_str()));
            Outcome::Answer(vec![waits.build()])
        }
        Joined::Already => Outcome::Refused(304, "not-modified"),
        Joined::NoSuchLink => NOT_FOUND,
    })
}

/// What became of somebody who followed a link; with the group's id.
pub(crate) enum Joined {
    Member(String),
    Waits(String),
    Already,
    NoSuchLink,
}

pub(crate) fn join(world: &World, account: &Account, code: &str) -> Joined {
    let (id, waits) = {
        let now = world.now();
        let mut groups = world.groups();
        let Some(group) = groups.values_mut().find(|group| group.invite == code) else { return Joined::NoSuchLink };
        if group.members.contains_key(&account.number) {
            return Joined::Already;
        }
        let (id, waits) = (group.id.clone(), group.approval);
        if waits {
            group.requests.insert(account.number.clone(), now);
        } else {
            group.members.insert(account.number.clone(), false);
            communities::came(&mut groups, &id, &account.number);
        }
        (id, waits)
    };
    let who = NodeBuilder::new("participant").attr("jid", account.lid_jid(0)).build();
    if waits {
        let user = NodeBuilder::new("requested_user")
            .attr("jid", account.lid_jid(0))
            .attr("phone_number", account.phone_jid(0))
            .build();
        let news =
            NodeBuilder::new("created_membership_requests").attr("request_method", "invite_link").children([user]);
        notify(world, &id, account, &news.build());
        Joined::Waits(id)
    } else {
        let news = NodeBuilder::new("add").attr("reason", "invite").children([who]).build();
        notify(world, &id, account, &news);
        Joined::Member(id)
    }
}

pub(super) fn waiting(world: &World, group: &Group, me: &str) -> Outcome {
    if !group.is_admin(me) {
        return FORBIDDEN;
    }
    let requests = group.requests.iter().filter_map(|(number, since)| {
        let account = world.account(number)?;
        let request = NodeBuilder::new("membership_approval_request")
            .attr("jid", account.lid_jid(0))
            .attr("phone_number", account.phone_jid(0));
        Some(request.attr("request_time", *since).build())
    });
    let all = NodeBuilder::new("membership_approval_requests").children(requests.collect::<Vec<_>>());
    Outcome::Answer(vec![all.build()])
}

/// An admin lets in, or does not.
pub(super) fn decide(world: &World, session: &Session, group: &Group, node: &Node) -> Result<Outcome> {
    if !group.is_admin(&session.account.number) {
        return Ok(FORBIDDEN);
    }
    let request = child(node, "membership_requests_action").context("no action")?;
    let (tag, list, lets_in) = match (child(request, "approve"), child(request, "reject")) {
        (Some(list), _) => ("approve", list, true),
        (None, Some(list)) => ("reject", list, false),
        (None, None) => return Ok(Outcome::Unknown),
    };
    let mut answers = Vec::new();
    let mut added = Vec::new();
    for (jid, number) in members::named(world, list) {
        let waited = number.is_some_and(|number| {
            let mut groups = world.groups();
            let Some(group) = groups.get_mut(&group.id) else { return false };
            let waited = group.requests.remove(&number).is_some();
            if waited && lets_in {
                group.members.insert(number.clone(), false);
                let id = group.id.clone();
                communities::came(&mut groups, &id, &number);
            }
            waited
        });
        let answer = NodeBuilder::new("participant").attr("jid", jid);
        if waited {
            let answer = answer.build();
            answers.push(answer.clone());
            added.push(answer);
        } else {
            answers.push(answer.attr("error", "404").build());
        }
    }
    let decided = NodeBuilder::new(tag).children(answers).build();
    let answer = vec![NodeBuilder::new("membership_requests_action").children([decided]).build()];
    let news = if lets_in { "add" } else { "revoked_membership_requests" };
    Ok(Outcome::Change(answer, NodeBuilder::new(news).children(added).build()))
}
