//! Login, pings, the offline queue, media hosts, unlinking.

use crate::connection::Session;
use crate::handlers::devices_changed;
use crate::line::Line;
use crate::node::{attr, child, result, server_jid};
use crate::phone;
use crate::world::World;
use anyhow::{Context, Result};
use std::sync::Arc;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// The host that media addresses name; clients map it to the simulator.
pub(crate) const MEDIA_HOST: &str = "media.simulator.invalid";

pub(super) async fn handle(world: &World, session: &Session, node: &Node, first: &str) -> Result<()> {
    let line = &session.line;
    match (attr(node, "xmlns").as_str(), first) {
        ("w:p" | "urn:xmpp:ping", _) => {
            let pong = NodeBuilder::new("iq")
                .attr("from", server_jid())
                .attr("id", attr(node, "id"))
                .attr("type", "result")
                .attr("t", world.now());
            line.send(pong.build());
        }
        ("passive", "active") => {
            line.send(result(node, vec![]));
            let waiting = {
                let mut state = session.account.state();
                let companion = state.companions.get_mut(&session.device).context("no such device")?;
                companion.active = true;
                companion.offline.len()
            };
            if waiting == 0 {
                flush_offline(world, session);
            } else {
                preview(line, waiting);
            }
            phone::share_sync_keys(world, &session.account, session.device).await?;
            phone::give_history(world, &session.account, session.device).await?;
        }
        ("md", "remove-companion-device") => {
            line.send(result(node, vec![]));
            session.account.state().companions.get_mut(&session.device).context("no such device")?.removed = true;
            devices_changed(world, &session.account, session.device, false)?;
        }
        ("abt", _) => {
            let props = NodeBuilder::new("props")
                .attr("protocol", "1")
                .attr("ab_key", "sim")
                .attr("hash", "sim")
                .attr("refresh", 86_400_u32)
                .attr("refresh_id", "1")
                .children([]);
            line.send(result(node, vec![props.build()]));
        }
        ("w:m", _) => {
            let host = NodeBuilder::new("host").attr("hostname", MEDIA_HOST).attr("type", "primary").build();
            let media = NodeBuilder::new("media_conn")
                .attr("auth", "simulator")
                .attr("ttl", 3_600_u32)
                .attr("auth_ttl", 3_600_u32)
                .attr("max_buckets", 12_u32)
                .attr("id", "1")
                .children([host]);
            line.send(result(node, vec![media.build()]));
        }
        _ => line.send(result(node, vec![])),
    }
    Ok(())
}

/// `<ib>` from a client: it asks for a batch of what waited for it.
pub(super) fn info(world: &World, session: &Session, node: &Node) {
    if child(node, "offline_batch").is_some() {
        flush_offline(world, session);
    }
}

fn preview(line: &Line, waiting: usize) {
    let preview = NodeBuilder::new("offline_preview")
        .attr("count", waiting)
        .attr("message", waiting)
        .attr("notification", 0_u32)
        .attr("receipt", 0_u32)
        .attr("appdata", 0_u32)
        .build();
    line.send(NodeBuilder::new("ib").attr("from", server_jid()).children([preview]).build());
}

fn flush_offline(world: &World, session: &Session) {
    let stalled = world.faults().stalls_offline(&session.account.number);
    let mut state = session.account.state();
    let Some(companion) = state.companions.get_mut(&session.device) else { return };
    let waiting = std::mem::take(&mut companion.offline);
    let count = waiting.len();
    for node in waiting {
        let mut node = (*node).clone();
        node.attrs.insert("offline", "0");
        let node = Arc::new(node);
        session.line.send(node.clone());
        companion.unacknowledged.add(node);
    }
    if !stalled {
        let done = NodeBuilder::new("offline").attr("count", count).build();
        session.line.send(NodeBuilder::new("ib").attr("from", server_jid()).children([done]).build());
    }
}
