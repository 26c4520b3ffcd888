//! Privacy, block list, profile: what is set is there for the next one who asks.

use crate::connection::Session;
use crate::node::{attr, attr_jid, child, children, result};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

const PRIVACY_CATEGORIES: [&str; 8] =
    ["last", "online", "profile", "status", "groupadd", "readreceipts", "calladd", "messages"];

pub(super) fn handle(session: &Session, node: &Node, first: &str) {
    let line = &session.line;
    let mut owner = session.account.state();
    let sets = attr(node, "type") == "set";
    match (attr(node, "xmlns").as_str(), first) {
        ("privacy", "privacy") => {
            if sets {
                for category in child(node, "privacy").map(children).unwrap_or_default() {
                    owner.privacy.insert(attr(category, "name"), attr(category, "value"));
                }
            }
            let categories = PRIVACY_CATEGORIES.iter().map(|name| {
                let value = owner.privacy.get(*name).map_or("all", String::as_str);
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
        _ => line.send(result(node, vec![])),
    }
}
