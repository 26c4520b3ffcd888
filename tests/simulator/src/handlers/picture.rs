//! Profile pictures of accounts and groups: set, read, removed, and told to who should know.

use crate::connection::Session;
use crate::handlers::MEDIA_HOST;
use crate::node::{attr, attr_jid, body, child, iq_error, message_id, result};
use crate::world::World;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// A picture as it travels; a larger one is refused.
pub(crate) const PICTURE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) id: String,
    pub(crate) path: String,
}

pub(super) fn handle(world: &World, session: &Session, node: &Node) {
    let target = attr_jid(node, "target").unwrap_or_else(|| session.account.phone_jid(0)).to_non_ad();
    let answer = if attr(node, "type") == "set" {
        set(world, session, node, &target)
    } else {
        match found(world, &target) {
            Some(picture) => {
                let kind = child(node, "picture").map(|picture| attr(picture, "type")).unwrap_or_default();
                let url = format!("https://{MEDIA_HOST}{}", picture.path);
                let picture = NodeBuilder::new("picture")
                    .attr("id", picture.id)
                    .attr("type", kind)
                    .attr("url", url)
                    .attr("direct_path", picture.path);
                result(node, vec![picture.build()])
            }
            None => iq_error(node, 404, "item-not-found"),
        }
    };
    session.line.send(answer);
}

fn set(world: &World, session: &Session, node: &Node, target: &Jid) -> Node {
    if target.server == Server::Group
        && !world.group(&target.user).is_some_and(|group| group.may_change(&session.account.number))
    {
        return iq_error(node, 403, "forbidden");
    }
    let bytes = child(node, "picture").map(body);
    match bytes {
        Some(bytes) if bytes.is_empty() || bytes.len() > PICTURE_BYTES_MAX => iq_error(node, 406, "not-acceptable"),
        Some(bytes) => match change(world, target, Some(bytes)) {
            Some(id) => result(node, vec![NodeBuilder::new("picture").attr("id", id).build()]),
            None => iq_error(node, 507, "insufficient-storage"),
        },
        None => {
            change(world, target, None);
            result(node, vec![])
        }
    }
}

/// Sets or removes; returns the new picture's id.
pub(crate) fn change(world: &World, target: &Jid, bytes: Option<Vec<u8>>) -> Option<String> {
    let picture = match bytes {
        Some(bytes) => {
            let id = format!("{}", rand::random::<u32>());
            let path = format!("/v/picture/{id}");
            if !world.keep_file(path.clone(), bytes.into()) {
                return None;
            }
            Some(Picture { id, path })
        }
        None => None,
    };
    let id = picture.as_ref().map(|picture| picture.id.clone());
    let mut told = Vec::new();
    if target.server == Server::Group {
        let mut groups = world.groups();
        let group = groups.get_mut(target.user.as_str())?;
        group.picture = picture;
        told.extend(group.members.keys().cloned());
    } else {
        let (account, _) = world.resolve(target)?;
        let mut state = account.state();
        state.picture = picture;
        told.extend(state.watchers.iter().map(|(number, _)| number.clone()));
        told.push(account.number.clone());
    }
    told.dedup();
    let news = match &id {
        Some(id) => NodeBuilder::new("set").attr("jid", target.clone()).attr("id", id.clone()),
        None => NodeBuilder::new("delete").attr("jid", target.clone()),
    };
    let notification = NodeBuilder::new("notification")
        .attr("from", target.clone())
        .attr("type", "picture")
        .attr("id", message_id())
        .attr("t", world.now())
        .children([news.build()])
        .build();
    for account in told.iter().filter_map(|number| world.account(number)) {
        world.deliver_to_all(&account, None, &notification);
    }
    id
}

fn found(world: &World, target: &Jid) -> Option<Picture> {
    if target.server == Server::Group {
        return world.group(&target.user)?.picture;
    }
    let (account, _) = world.resolve(target)?;
    account.state().picture.clone()
}
