//! Who is there, and who is typing. Told to who asked for it, at once or never.

use crate::account::Account;
use crate::connection::Session;
use crate::node::{attr, attr_jid, children};
use crate::world::World;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, Server};

/// Devices that watch one account; one more is not told.
const WATCHERS_MAX: usize = 10_000;

pub(super) fn handle(world: &World, session: &Session, node: &Node) {
    if node.tag == "chatstate" {
        let Some((to, _)) = attr_jid(node, "to").and_then(|to| world.resolve(&to)) else { return };
        let by_lid = attr_jid(node, "to").is_some_and(|to| to.server == Server::Lid);
        let from = if by_lid { session.account.lid_jid(0) } else { session.account.phone_jid(0) };
        let state = NodeBuilder::new("chatstate").attr("from", from).children(children(node).to_vec()).build();
        world.flash_to_all(&to, &state);
        return;
    }
    match attr(node, "type").as_str() {
        "subscribe" => {
            let Some((watched, _)) = attr_jid(node, "to").and_then(|to| world.resolve(&to)) else { return };
            let now = {
                let mut state = watched.state();
                if state.watchers.len() < WATCHERS_MAX {
                    state.watchers.insert((session.account.number.clone(), session.device));
                }
                state.presence
            };
            if let Some(companion) = session.account.state().companions.get_mut(&session.device) {
                companion.watching.insert(watched.number.clone());
            }
            world.flash(&session.account, session.device, &told(&watched, now));
        }
        "unsubscribe" => {
            if let Some((watched, _)) = attr_jid(node, "to").and_then(|to| world.resolve(&to)) {
                watched.state().watchers.remove(&(session.account.number.clone(), session.device));
            }
        }
        "unavailable" => change(world, &session.account, false),
        _ => change(world, &session.account, true),
    }
}

/// The account comes or goes: who watches it is told.
pub(crate) fn change(world: &World, account: &Account, available: bool) {
    let now = world.now();
    let (presence, watchers) = {
        let mut state = account.state();
        state.presence = Presence { available, last_seen: (!available).then_some(now) };
        (state.presence, state.watchers.clone())
    };
    let stanza = told(account, presence);
    for (number, device) in watchers {
        if let Some(watcher) = world.account(&number) {
            world.flash(&watcher, device, &stanza);
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Presence {
    pub(crate) available: bool,
    pub(crate) last_seen: Option<u64>,
}

fn told(account: &Account, presence: Presence) -> Node {
    let stanza = NodeBuilder::new("presence").attr("from", account.phone_jid(0));
    let stanza = if presence.available { stanza } else { stanza.attr("type", "unavailable") };
    match presence.last_seen {
        Some(last) => stanza.attr("last", last).build(),
        None => stanza.build(),
    }
}
