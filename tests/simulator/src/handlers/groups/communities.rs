//! Communities: groups that other groups are part of. Who belongs to one of them belongs to the community and to the group
//! in which its admins tell everybody something.

use super::{FORBIDDEN, NOT_FOUND, Outcome, description, notify};
use crate::connection::Session;
use crate::group::{Community, Group, Linked, Place};
use crate::handlers::mex::{self, Answered};
use crate::node::{attr, attr_jid, child, children};
use crate::world::World;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// The community that a request to create a group would make it part of.
fn wanted(request: &Node) -> Option<String> {
    Some(attr_jid(child(request, "linked_parent")?, "jid")?.user.to_string())
}

/// Why a group cannot be made in a community.
pub(super) fn refuses(world: &World, me: &str, request: &Node) -> Option<(u16, &'static str)> {
    let parent = world.group(&wanted(request)?);
    let Some((community, parent)) = parent.as_ref().and_then(|parent| Some((parent.community.as_ref()?, parent)))
    else {
        return Some((404, "item-not-found"));
    };
    let may = parent.is_admin(me) || (community.all_make_groups && parent.members.contains_key(me));
    (!may).then_some((403, "forbidden"))
}

/// What a request to create a group says of communities.
pub(super) fn at_creation(world: &World, me: &str, id: &str, request: &Node) {
    if let Some(parent) = wanted(request) {
        let mut groups = world.groups();
        link(&mut groups, &parent, id, Place::Other);
        return;
    }
    let Some(parent) = child(request, "parent") else { return };
    let subject = attr(request, "subject");
    let mut places = vec![Place::Announcements];
    if child(request, "create_general_chat").is_some() {
        places.push(Place::General);
    }
    let community = Community {
        closed: attr(parent, "default_membership_approval_mode") == "request_required",
        all_make_groups: child(request, "allow_non_admin_sub_group_creation").is_some(),
    };
    if let Some(group) = world.groups().get_mut(id) {
        group.community = Some(community);
    }
    for place in places {
        let subject = if place == Place::General { "General" } else { &subject };
        let made = super::create(world, me, subject, &[]);
        let mut groups = world.groups();
        if let Some(group) = groups.get_mut(&made) {
            group.announce = place == Place::Announcements;
        }
        link(&mut groups, id, &made, place);
    }
}

fn link(groups: &mut HashMap<String, Group>, parent: &str, id: &str, place: Place) {
    let Some(group) = groups.get_mut(id) else { return };
    group.linked = Some(Linked { to: parent.to_owned(), place });
    let members: Vec<String> = group.members.keys().cloned().collect();
    for member in members {
        came(groups, id, &member);
    }
}

/// Somebody belongs to a group now: to what it is part of too.
pub(super) fn came(groups: &mut HashMap<String, Group>, id: &str, number: &str) {
    let Some(parent) = groups.get(id).and_then(|group| group.linked.as_ref()).map(|linked| linked.to.clone()) else {
        return;
    };
    for group in groups.values_mut() {
        if group.id == parent || (group.is_linked_to(&parent) && group.is_place(Place::Announcements)) {
            group.members.entry(number.to_owned()).or_insert(false);
        }
    }
}

/// Somebody was sent away from a community and all of its groups.
pub(super) fn removed(world: &World, parent: &str, number: &str) {
    for group in world.groups().values_mut().filter(|group| group.is_linked_to(parent)) {
        group.members.remove(number);
    }
}

/// The groups of a community, by id.
pub(super) fn linked(world: &World, parent: &str) -> BTreeSet<String> {
    let groups = world.groups();
    groups.values().filter(|group| group.is_linked_to(parent)).map(|group| group.id.clone()).collect()
}

pub(super) fn handle(world: &World, session: &Session, parent: &Group, node: &Node, first: &str) -> Result<Outcome> {
    let me = session.account.number.as_str();
    let request = child(node, first).context("an empty request")?;
    if parent.community.is_none() {
        return Ok(Outcome::Refused(400, "bad-request"));
    }
    let needs_admin = matches!(first, "links" | "unlink" | "delete_parent");
    if !parent.members.contains_key(me) || (needs_admin && !parent.is_admin(me)) {
        return Ok(FORBIDDEN);
    }
    Ok(match first {
        "links" => add(world, session, parent, child(request, "link").context("no link")?),
        "unlink" => unlink(world, session, parent, request),
        "delete_parent" => delete(world, session, parent),
        "query_linked" | "join_linked_group" => {
            let id = attr_jid(request, "jid").map(|jid| jid.user.to_string()).unwrap_or_default();
            if !world.group(&id).is_some_and(|group| group.is_linked_to(&parent.id)) {
                return Ok(NOT_FOUND);
            }
            if first == "join_linked_group" {
                join(world, session, &id);
            }
            let group = description(world, &id)?;
            let linked = NodeBuilder::new("linked_group").attr("jid", Jid::group(id.as_str())).children([group]);
            Outcome::Answer(vec![linked.build()])
        }
        "linked_groups_participants" => everybody(world, &parent.id),
        _ => listed(world, &parent.id),
    })
}

fn add(world: &World, session: &Session, parent: &Group, request: &Node) -> Outcome {
    let me = session.account.number.as_str();
    let (mut answers, mut done) = (Vec::new(), Vec::new());
    for jid in children(request).iter().filter_map(|part| attr_jid(part, "jid")) {
        let named = || NodeBuilder::new("group").attr("jid", jid.clone());
        let error = match world.group(&jid.user) {
            None => Some("404"),
            Some(group) if group.community.is_some() => Some("400"),
            Some(group) if group.linked.is_some() => Some("409"),
            Some(group) if !group.is_admin(me) => Some("403"),
            Some(group) => {
                link(&mut world.groups(), &parent.id, &group.id, Place::Other);
                tell_of_parent(world, session, &group.id, "link", &parent.id);
                done.push(named().attr("subject", group.subject).build());
                None
            }
        };
        answers.push(match error {
            Some(code) => named().attr("error", code).build(),
            None => named().build(),
        });
    }
    let list = |groups| NodeBuilder::new("link").attr("link_type", "sub_group").children(groups).build();
    let answer = NodeBuilder::new("links").children([list(answers)]).build();
    if done.is_empty() { Outcome::Answer(vec![answer]) } else { Outcome::Change(vec![answer], list(done)) }
}

/// The members of a group hear what it is part of, or no longer.
fn tell_of_parent(world: &World, session: &Session, group: &str, tag: &'static str, parent: &str) {
    let parent = NodeBuilder::new("group").attr("jid", Jid::group(parent)).build();
    let news = NodeBuilder::new(tag);
    let news =
        if tag == "link" { news.attr("link_type", "parent_group") } else { news.attr("unlink_type", "parent_group") };
    notify(world, group, &session.account, &news.children([parent]).build());
}

fn unlink(world: &World, session: &Session, parent: &Group, request: &Node) -> Outcome {
    let (mut answers, mut done) = (Vec::new(), Vec::new());
    for part in children(request) {
        let Some(jid) = attr_jid(part, "jid") else { continue };
        let answer = NodeBuilder::new("group").attr("jid", jid.clone());
        let fits = world
            .group(&jid.user)
            .is_some_and(|group| group.is_linked_to(&parent.id) && !group.is_place(Place::Announcements));
        if !fits {
            answers.push(answer.attr("error", "404").build());
            continue;
        }
        part_with(world, parent, &jid.user, attr(part, "remove_orphaned_members") == "true");
        tell_of_parent(world, session, &jid.user, "unlink", &parent.id);
        let answer = answer.build();
        answers.push(answer.clone());
        done.push(answer);
    }
    let list = |groups| NodeBuilder::new("unlink").attr("unlink_type", "sub_group").children(groups);
    let answer = list(answers).build();
    let news = list(done.clone()).attr("unlink_reason", "unlink_group").build();
    if done.is_empty() { Outcome::Answer(vec![answer]) } else { Outcome::Change(vec![answer], news) }
}

/// A group is not part of the community any more; nor is, where that is wanted, who belonged to no other group of it.
fn part_with(world: &World, parent: &Group, id: &str, orphans_go: bool) {
    let mut groups = world.groups();
    let Some(group) = groups.get_mut(id) else { return };
    group.linked = None;
    let members: Vec<String> = group.members.keys().cloned().collect();
    for member in members.iter().filter(|member| orphans_go && **member != parent.creator) {
        let mut others = groups.values().filter(|other| other.is_linked_to(&parent.id));
        if others.any(|other| !other.is_place(Place::Announcements) && other.members.contains_key(member)) {
            continue;
        }
        for place in groups.values_mut() {
            if place.id == parent.id || (place.is_linked_to(&parent.id) && place.is_place(Place::Announcements)) {
                place.members.remove(member);
            }
        }
    }
}

/// The community ends, and its announcements with it; its other groups stay.
fn delete(world: &World, session: &Session, parent: &Group) -> Outcome {
    notify(world, &parent.id, &session.account, &NodeBuilder::new("delete").build());
    for id in linked(world, &parent.id) {
        if world.group(&id).is_some_and(|group| group.is_place(Place::Announcements)) {
            notify(world, &id, &session.account, &NodeBuilder::new("delete").build());
            world.groups().remove(&id);
        } else {
            part_with(world, parent, &id, false);
            tell_of_parent(world, session, &id, "unlink", &parent.id);
        }
    }
    world.groups().remove(&parent.id);
    Outcome::Answer(vec![])
}

fn join(world: &World, session: &Session, id: &str) {
    let account = &session.account;
    let is_new = {
        let mut groups = world.groups();
        groups.get_mut(id).is_some_and(|group| {
            let is_new = !group.members.contains_key(&account.number);
            group.members.entry(account.number.clone()).or_insert(false);
            is_new
        })
    };
    if is_new {
        let who = NodeBuilder::new("participant").attr("jid", account.lid_jid(0)).build();
        let news = NodeBuilder::new("add").attr("reason", "linked_group_join").children([who]).build();
        notify(world, id, account, &news);
    }
}

fn everybody(world: &World, parent: &str) -> Outcome {
    let mut numbers = BTreeSet::new();
    for group in world.groups().values().filter(|group| group.is_linked_to(parent)) {
        numbers.extend(group.members.keys().cloned());
    }
    let people = numbers.iter().filter_map(|number| world.account(number)).map(|account| {
        NodeBuilder::new("participant")
            .attr("jid", account.lid_jid(0))
            .attr("phone_number", account.phone_jid(0))
            .build()
    });
    let all = NodeBuilder::new("linked_groups_participants").children(people.collect::<Vec<_>>());
    Outcome::Answer(vec![all.build()])
}

/// The groups of a community, as Baileys asks for them.
fn listed(world: &World, parent: &str) -> Outcome {
    let groups = world.groups();
    let mut found: Vec<&Group> = groups.values().filter(|group| group.is_linked_to(parent)).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let nodes = found.into_iter().map(|group| {
        NodeBuilder::new("group")
            .attr("id", group.id.clone())
            .attr("subject", group.subject.clone())
            .attr("creation", group.created)
            .attr("creator", Jid::pn(group.creator.as_str()))
            .attr("size", group.members.len())
            .build()
    });
    Outcome::Answer(vec![NodeBuilder::new("sub_groups").children(nodes.collect::<Vec<_>>()).build()])
}

/// The groups of a community as the query gives them, with those who are in them.
pub(in crate::handlers) fn sub_groups(world: &World, session: &Session, community: &Value) -> Answered {
    let parent = readable(world, session, community)?;
    let groups = world.groups();
    let node = |group: &Group| {
        json!({
            "id": Jid::group(group.id.as_str()).to_string(),
            "subject": { "value": group.subject, "creation_time": group.created.to_string() },
            "total_participants_count": group.members.len(),
            "properties": { "general_chat": group.is_place(Place::General) },
        })
    };
    let mut found: Vec<&Group> = groups.values().filter(|group| group.is_linked_to(&parent)).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let announcements = found.iter().find(|group| group.is_place(Place::Announcements)).map(|group| node(group));
    let others = found.iter().filter(|group| !group.is_place(Place::Announcements));
    let edges: Vec<Value> = others.map(|group| json!({ "node": node(group) })).collect();
    let answer = json!({
        "id": Jid::group(parent.as_str()).to_string(),
        "default_sub_group": announcements,
        "sub_groups": { "edges": edges },
    });
    Ok(("xwa2_group_query_by_id", answer))
}

pub(in crate::handlers) fn sub_group_sizes(world: &World, session: &Session, community: &Value) -> Answered {
    let parent = readable(world, session, community)?;
    let groups = world.groups();
    let edges: Vec<Value> = groups
        .values()
        .filter(|group| group.is_linked_to(&parent))
        .map(|group| {
            let id = Jid::group(group.id.as_str()).to_string();
            json!({ "node": { "id": id, "total_participants_count": group.members.len() } })
        })
        .collect();
    let id = Jid::group(parent.as_str()).to_string();
    Ok(("xwa2_group_query_by_id", json!({ "id": id, "sub_groups": { "edges": edges } })))
}

/// A community that who asks belongs to.
fn readable(world: &World, session: &Session, community: &Value) -> Result<String, (u16, &'static str)> {
    let text = community.as_str().unwrap_or_default();
    let id = text.strip_suffix("@g.us").unwrap_or(text);
    let group = world.group(id).filter(|group| group.community.is_some()).ok_or(mex::NOT_FOUND)?;
    if group.members.contains_key(&session.account.number) { Ok(group.id) } else { Err(mex::FORBIDDEN) }
}
