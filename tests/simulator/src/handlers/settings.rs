//! Privacy, block list, profile: what is set is there for the next one who asks.

use super::exceptions;
use crate::connection::Session;
use crate::node::{attr, attr_jid, child, child_body, children, message_id, result};
use crate::world::World;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// Each with its value until somebody sets another.
pub(crate) const PRIVACY_CATEGORIES: [(&str, &str); 9] = [
    ("last", "all"),
    ("online", "all"),
    ("profile", "all"),
    ("status", "all"),
    ("groupadd", "all"),
    ("readreceipts", "all"),
    ("calladd", "all"),
    ("messages", "all"),
    ("defense", "off"),
];

pub(super) fn handle(world: &World, session: &Session, node: &Node, first: &str) {
    let line = &session.line;
    if attr(node, "xmlns") == "status" {
        return about(world, session, node);
    }
    let mut owner = session.account.state();
    let sets = attr(node, "type") == "set";
    match (attr(node, "xmlns").as_str(), first) {
        ("privacy", "privacy") => {
            if sets {
                let mut set = Vec::new();
                for category in child(node, "privacy").map(children).unwrap_or_default() {
                    let list = owner.exceptions.entry(attr(category, "name")).or_default();
                    // One that names nobody leaves the list as it is.
                    let has_list = !children(category).is_empty();
                    let outcome = if has_list { exceptions::change(list, category) } else { Ok(()) };
                    set.push(exceptions::answer(category, list, outcome));
                    if outcome.is_ok() {
                        owner.privacy.insert(attr(category, "name"), attr(category, "value"));
                    }
                }
                return line.send(result(node, vec![NodeBuilder::new("privacy").children(set).build()]));
            }
            let categories = PRIVACY_CATEGORIES.iter().map(|(name, default)| {
                let value = owner.privacy.get(*name).map_or(*default, String::as_str);
                NodeBuilder::new("category").attr("name", *name).attr("value", value.to_owned()).build()
            });
            let privacy = NodeBuilder::new("privacy").children(categories.collect::<Vec<_>>()).build();
            line.send(result(node, vec![privacy]));
        }
        ("blocklist", _) => {
            if let Some(item) = child(node, "item").filter(|_| sets)
                && let Some(jid) = attr_jid(item, "jid")
            {
                let jid = jid.to_non_ad().to_string();
                owner.blocked.retain(|blocked| *blocked != jid);
                if attr(item, "action") == "block" {
                    owner.blocked.push(jid);
                }
            }
            let items: Vec<Node> =
                owner.blocked.iter().map(|jid| NodeBuilder::new("item").attr("jid", jid.clone()).build()).collect();
            line.send(result(node, vec![NodeBuilder::new("list").children(items).build()]));
        }
        ("disappearing_mode", "disappearing_mode") => {
            let wanted = child(node, "disappearing_mode").and_then(|mode| attr(mode, "duration").parse().ok());
            owner.default_timer_s = wanted.unwrap_or(owner.default_timer_s);
            owner.default_timer_set_at = world.now();
            line.send(result(node, vec![]));
        }
        _ => line.send(result(node, vec![])),
    }
}

/// What the account says about itself; who watches it is told.
fn about(world: &World, session: &Session, node: &Node) {
    let account = &session.account;
    let text = child_body(node, "status").unwrap_or_default();
    let watchers = {
        let mut state = account.state();
        state.about = String::from_utf8_lossy(&text).into_owned();
        state.watchers.clone()
    };
    session.line.send(result(node, vec![]));
    let notification = NodeBuilder::new("notification")
        .attr("from", account.phone_jid(0))
        .attr("type", "status")
        .attr("id", message_id())
        .attr("t", world.now())
        .children([NodeBuilder::new("set").bytes(text).build()])
        .build();
    for (number, device) in watchers {
        if let Some(watcher) = world.account(&number) {
            world.deliver(&watcher, device, notification.clone());
        }
    }
}
