//! Calls: what a client answers to one reaches who calls; no sound or picture passes.

use crate::account::Account;
use crate::connection::Session;
use crate::node::{attr, attr_jid, children, message_id};
use crate::world::World;
use std::sync::Arc;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// Calls that an account's phone remembers; the oldest goes.
const CALLS_MAX: usize = 1_000;

/// A call that a phone made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) to: String,
    /// `ringing`, or the last thing that was said about it: `preaccept`, `accept`, `reject`, `terminate`.
    pub(crate) state: String,
}

pub(super) fn handle(world: &World, session: &Session, node: &Node) {
    let mut ack = NodeBuilder::new("ack").attr("class", "call").attr("id", attr(node, "id"));
    if let Some(to) = attr_jid(node, "to") {
        ack = ack.attr("from", to);
    }
    let said = children(node).first();
    if let Some(said) = said {
        ack = ack.attr("type", said.tag.to_string());
    }
    session.line.send(ack.build());
    let (Some(said), Some((caller, _))) = (said, attr_jid(node, "to").and_then(|to| world.resolve(&to))) else {
        return;
    };
    let id = attr(said, "call-id");
    if let Some(call) = caller.state().calls.iter_mut().find(|call| call.id == id) {
        call.state = said.tag.to_string();
    }
    let passed = wrapped(world, &session.account, said.clone());
    world.deliver_to_all(&caller, None, &passed);
}

/// A phone calls; every linked device of the other account rings. Returns the call's id.
pub(crate) fn offer(world: &World, caller: &Arc<Account>, to: &Account, video: bool) -> String {
    let id = hex::encode_upper(rand::random::<[u8; 16]>());
    let audio = NodeBuilder::new("audio").attr("enc", "opus").attr("rate", 16_000_u32).build();
    let pictures = video.then(|| NodeBuilder::new("video").attr("enc", "vp8").build());
    let offer = about(caller, "offer", &id)
        .attr("caller_pn", caller.phone_jid(0))
        .children([audio].into_iter().chain(pictures).collect::<Vec<_>>())
        .build();
    {
        let mut state = caller.state();
        state.calls.push_back(Call { id: id.clone(), to: to.number.clone(), state: "ringing".to_owned() });
        if state.calls.len() > CALLS_MAX {
            state.calls.pop_front();
        }
    }
    world.deliver_to_all(to, None, &wrapped(world, caller, offer));
    id
}

/// The caller hangs up. Returns whether it made such a call.
pub(crate) fn end(world: &World, caller: &Account, id: &str) -> bool {
    let called = {
        let mut state = caller.state();
        let Some(call) = state.calls.iter_mut().find(|call| call.id == id) else { return false };
        call.state = "terminate".to_owned();
        call.to.clone()
    };
    if let Some(to) = world.account(&called) {
        let terminate = about(caller, "terminate", id).attr("reason", "timeout").build();
        world.deliver_to_all(&to, None, &wrapped(world, caller, terminate));
    }
    true
}

fn about(caller: &Account, tag: &'static str, id: &str) -> NodeBuilder {
    NodeBuilder::new(tag).attr("call-id", id.to_owned()).attr("call-creator", caller.lid_jid(0))
}

fn wrapped(world: &World, from: &Account, said: Node) -> Node {
    NodeBuilder::new("call")
        .attr("from", from.lid_jid(0))
        .attr("id", message_id())
        .attr("t", world.now())
        .attr("notify", from.name.clone())
        .attr("platform", "android")
        .attr("version", "2.24.1")
        .children([said])
        .build()
}
