//! Who belongs to a group, and who is an admin of it.

use super::{FORBIDDEN, Outcome, communities, notify};
use crate::account::Account;
use crate::connection::Session;
use crate::group::{Group, invite_code};
use crate::node::{attr, attr_jid, child, children};
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// How long somebody who must be asked can follow the invitation.
const INVITATION_SECONDS: u64 = 3 * 24 * 3_600;

/// The people that a request names, with their numbers when they have an account.
pub(super) fn named(world: &World, request: &Node) -> Vec<(Jid, Option<String>)> {
    let parts = children(request).iter().filter(|part| part.tag == "participant");
    let named = parts.filter_map(|part| attr_jid(part, "jid"));
    named.map(|jid| (jid.clone(), world.resolve(&jid).map(|(member, _)| member.number.clone()))).collect()
}

pub(super) fn change(world: &World, session: &Session, group: &Group, node: &Node, action: &str) -> Result<Outcome> {
    let request = child(node, action).context("no members")?;
    let me = session.account.number.as_str();
    let may = group.is_admin(me) || (action == "add" && group.all_add && group.members.contains_key(me));
    if !may {
        return Ok(FORBIDDEN);
    }
    let tag: &'static str = match action {
        "add" => "add",
        "remove" => "remove",
        "promote" => "promote",
        _ => "demote",
    };
    let mut answers = Vec::new();
    let mut done = Vec::new();
    let mut removed = Vec::new();
    for (jid, member) in named(world, request) {
        let answer = NodeBuilder::new("participant").attr("jid", jid);
        if action == "add" && member.as_deref().is_some_and(|member| !may_be_added(world, member)) {
            let until = world.now() + INVITATION_SECONDS;
            let code = NodeBuilder::new("add_request").attr("code", invite_code()).attr("expiration", until).build();
            answers.push(answer.attr("error", "403").children([code]).build());
            continue;
        }
        match member.map(|member| apply(world, &group.id, action, member)) {
            Some(Ok(gone)) => {
                if let (Some(gone), true) = (&gone, attr(request, "linked_groups") == "true") {
                    communities::removed(world, &group.id, gone);
                }
                removed.extend(gone.and_then(|gone| world.account(&gone)));
                let answer = answer.build();
                answers.push(answer.clone());
                done.push(answer);
            }
            Some(Err(code)) => answers.push(answer.attr("error", code).build()),
            None => answers.push(answer.attr("error", "404").build()),
        }
    }
    let news = NodeBuilder::new(tag).children(done).build();
    // Who was removed hears of it too.
    for member in removed {
        super::tell(world, &group.id, &session.account, &member, None, &news);
    }
    Ok(Outcome::Change(vec![NodeBuilder::new(tag).children(answers).build()], news))
}

/// Whether somebody's privacy settings let others add them.
pub(super) fn may_be_added(world: &World, member: &str) -> bool {
    world.account(member).is_some_and(|account| account.state().joins_when_added())
}

/// Returns who is no member any more, or the code of the refusal.
fn apply(world: &World, group: &str, action: &str, member: String) -> Result<Option<String>, &'static str> {
    let mut groups = world.groups();
    let members = &mut groups.get_mut(group).ok_or("404")?.members;
    match (action, members.contains_key(&member)) {
        ("add", true) => Err("409"),
        ("add", false) => {
            members.insert(member.clone(), false);
            communities::came(&mut groups, group, &member);
            Ok(None)
        }
        (_, false) => Err("404"),
        ("remove", true) => {
            members.remove(&member);
            Ok(Some(member))
        }
        (action, true) => {
            members.insert(member, action == "promote");
            Ok(None)
        }
    }
}

/// Returns whether it was a member.
pub(crate) fn leave(world: &World, group: &str, account: &Account) -> bool {
    let was = {
        let mut groups = world.groups();
        groups.get_mut(group).is_some_and(|group| group.members.remove(&account.number).is_some())
    };
    if was {
        let who = NodeBuilder::new("participant").attr("jid", account.lid_jid(0)).build();
        let news = NodeBuilder::new("remove").children([who]).build();
        notify(world, group, account, &news);
        super::tell(world, group, account, account, None, &news);
    }
    was
}
