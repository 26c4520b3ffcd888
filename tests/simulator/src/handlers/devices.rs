//! Which devices an account has, told to its other devices and to who asked before when it changes; that its phone was
//! installed anew or has another number; and that a device's one-time keys run out.

use crate::account::Account;
use crate::node::{message_id, server_jid};
use crate::pairing::key_index_list;
use crate::signal::Bundle;
use crate::world::World;
use anyhow::Result;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// One-time keys left when a device is asked for more.
const PREKEYS_LOW: usize = 10;

/// A device was linked or removed.
pub(crate) fn changed(world: &World, account: &Account, device: u16, added: bool) -> Result<()> {
    let now = world.now();
    let key_index = account.state().companions.get(&device).map_or(0, |companion| companion.key_index);
    let named = NodeBuilder::new("device").attr("jid", account.phone_jid(device)).attr("key-index", key_index);
    let list = NodeBuilder::new("key-index-list").attr("ts", now);
    let list = if added { list.bytes(key_index_list(account, now)?) } else { list };
    let change = NodeBuilder::new(if added { "add" } else { "remove" }).children([named.build(), list.build()]);
    let notification = NodeBuilder::new("notification")
        .attr("from", account.phone_jid(0))
        .attr("lid", account.lid_jid(0))
        .attr("type", "devices")
        .attr("id", message_id())
        .attr("t", now)
        .children([change.build()])
        .build();
    world.deliver_to_all(account, Some(device), &notification);
    tell_acquaintances(world, account, &notification);
    Ok(())
}

/// The account's phone was installed anew: its identity is another one.
pub(crate) fn renewed(world: &World, account: &Account) {
    let notification = NodeBuilder::new("notification")
        .attr("from", account.phone_jid(0))
        .attr("lid", account.lid_jid(0))
        .attr("type", "encrypt")
        .attr("id", message_id())
        .attr("t", world.now())
        .children([NodeBuilder::new("identity").build()])
        .build();
    tell_acquaintances(world, account, &notification);
}

/// Somebody has another phone number now.
pub(crate) fn moved(world: &World, old: &Account, new: &Account) {
    let change = NodeBuilder::new("modify")
        .attr("old", old.phone_jid(0))
        .attr("new", new.phone_jid(0))
        .attr("old_lid", old.lid_jid(0))
        .attr("new_lid", new.lid_jid(0))
        .build();
    let notification = NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("type", "contacts")
        .attr("id", message_id())
        .attr("t", world.now())
        .children([change])
        .build();
    tell_acquaintances(world, old, &notification);
}

fn tell_acquaintances(world: &World, account: &Account, notification: &Node) {
    let numbers = account.state().acquaintances.clone();
    for other in numbers.iter().filter(|number| **number != account.number).filter_map(|number| world.account(number)) {
        world.deliver_to_all(&other, None, notification);
    }
}

/// The device's keys with one of its one-time keys, and the identity it signed; asks it for more when few are left.
pub(crate) fn take_bundle(world: &World, account: &Account, device: u16) -> Option<(Bundle, Vec<u8>)> {
    let (taken, left) = {
        let mut state = account.state();
        let companion = state.companions.get_mut(&device).filter(|companion| !companion.removed)?;
        let taken = (companion.take_bundle()?, companion.signed_identity.clone());
        let left = companion.prekeys.len();
        let ask = left < PREKEYS_LOW && !std::mem::replace(&mut companion.asked_for_prekeys, left < PREKEYS_LOW);
        (taken, ask.then_some(left))
    };
    if let Some(left) = left {
        let notification = NodeBuilder::new("notification")
            .attr("from", server_jid())
            .attr("type", "encrypt")
            .attr("id", message_id())
            .attr("t", world.now())
            .children([NodeBuilder::new("count").attr("value", left).build()])
            .build();
        world.deliver(account, device, notification);
    }
    Some(taken)
}
