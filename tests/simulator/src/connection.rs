//! One client's connection: handshake, login or pairing, then stanza by stanza until the end.

use crate::account::Account;
use crate::faults::{self, Action, Fault};
use crate::handlers;
use crate::line::{Line, Out};
use crate::node::{attr, iq_error, leaf, server_jid};
use crate::noise::{self, FrameReader};
use crate::pairing::{PendingPair, fresh_ref};
use crate::simulator::Shared;
use crate::wa;
use crate::world::World;
use anyhow::{Context, Result};
use axum::extract::ws::WebSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// Codes a pairing client is given; each stands for one QR picture.
const PAIRING_REFS: usize = 6;

/// A delay that names no length.
const DELAY_MS_DEFAULT: u64 = 1_000;

/// Who a connection belongs to.
#[derive(Clone)]
pub(crate) enum Who {
    Pairing(u64),
    Device(Session),
}

/// A linked device that is logged in.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) account: Arc<Account>,
    pub(crate) device: u16,
    pub(crate) line: Line,
}

pub(crate) async fn serve(shared: Arc<Shared>, socket: WebSocket) -> Result<()> {
    let refuse_ik = shared.world.faults().refuses_ik();
    let accepted = noise::accept(socket, &shared.identity, refuse_ik).await?;
    let id = shared.next_connection.fetch_add(1, Ordering::Relaxed);
    let (line, mut outgoing) = Line::new(id);
    let mut writer = accepted.writer;
    let swallowed = line.swallowed.clone();
    let sending = tokio::spawn(async move {
        while let Some(out) = outgoing.recv().await {
            match out {
                Out::Node(_) if swallowed.load(Ordering::Relaxed) => {}
                Out::Node(node) => {
                    if writer.node(&node).await.is_err() {
                        break;
                    }
                }
                Out::Close => {
                    writer.close().await;
                    break;
                }
            }
        }
    });
    let who = admit(&shared.world, &line, &accepted.payload, accepted.client_key)?;
    if let Some(who) = who {
        let mut reader = accepted.reader;
        tokio::select! {
            () = receive(&shared, &who, &line, &mut reader) => {}
            () = line.hang_up.notified() => {}
            () = shared.stop.cancelled() => {}
        }
        leave(&shared.world, &who, id);
    }
    line.close();
    drop(line);
    // Ends when the last stanza is out; a peer that reads nothing is cut off.
    if tokio::time::timeout(Duration::from_secs(2), sending).await.is_err() {
        tracing::debug!(id, "a client did not read its last stanzas");
    }
    Ok(())
}

async fn receive(shared: &Arc<Shared>, who: &Who, line: &Line, reader: &mut FrameReader) {
    loop {
        let node = match reader.node().await {
            Ok(Some(node)) => node,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a connection ended");
                return;
            }
        };
        if line.swallowed.load(Ordering::Relaxed) {
            continue;
        }
        let fault = match who {
            Who::Device(session) => shared.world.faults().incoming(&session.account.number, &node),
            Who::Pairing(_) => None,
        };
        let node = match fault {
            Some(fault) if fault.action == Action::Corrupt => faults::corrupted(&node),
            Some(fault) if act(shared, who, line, &node, &fault) => continue,
            _ => node,
        };
        if let Err(error) = handlers::handle(&shared.world, who, line, &node).await {
            tracing::warn!(%error, stanza = %crate::node::summary(&node), "a stanza could not be handled");
        }
    }
}

/// Does what a fault says. Returns whether the stanza ends here.
fn act(shared: &Arc<Shared>, who: &Who, line: &Line, node: &Node, fault: &Fault) -> bool {
    match fault.action {
        Action::Drop => true,
        Action::Delay => {
            let (shared, who, line, node) = (shared.clone(), who.clone(), line.clone(), node.clone());
            let until = shared.world.clock.now_ms().saturating_add(fault.delay_ms.unwrap_or(DELAY_MS_DEFAULT));
            tokio::spawn(async move {
                shared.world.clock.sleep_until(until).await;
                if let Err(error) = handlers::handle(&shared.world, &who, &line, &node).await {
                    tracing::warn!(%error, "a delayed stanza could not be handled");
                }
            });
            true
        }
        Action::Nack if node.tag == "message" => {
            let code = fault.code.as_deref().unwrap_or("463").to_owned();
            line.send(handlers::message::ack(&shared.world, node, Some(&code)));
            true
        }
        Action::Nack if node.tag == "iq" => {
            let code = fault.code.as_deref().and_then(|code| code.parse().ok()).unwrap_or(406);
            line.send(iq_error(node, code, "set by a fault"));
            true
        }
        Action::StreamError => {
            kick(&shared.world, who, line, fault.code.as_deref().unwrap_or("515"));
            true
        }
        Action::Close => {
            line.hang_up.notify_one();
            true
        }
        Action::Swallow => {
            line.swallowed.store(true, Ordering::Relaxed);
            true
        }
        _ => false,
    }
}

/// Ends a device's stream as the server would. `reason` is 401, device_removed, 515, conflict, or empty to just close.
pub(crate) fn kick(world: &World, who: &Who, line: &Line, reason: &str) {
    let error = |error: NodeBuilder| NodeBuilder::new("stream:error").children([error.build()]).build();
    let coded = |code: &str| NodeBuilder::new("stream:error").attr("code", code.to_owned());
    let goodbye = match reason {
        "" => None,
        "conflict" => Some(error(NodeBuilder::new("conflict").attr("type", "replaced"))),
        "device_removed" => {
            Some(coded("401").children([NodeBuilder::new("conflict").attr("type", "device_removed").build()]).build())
        }
        code => Some(coded(code).build()),
    };
    if let ("401" | "device_removed", Who::Device(session)) = (reason, who) {
        if let Some(companion) = session.account.state().companions.get_mut(&session.device) {
            companion.removed = true;
        }
        if let Err(error) = handlers::devices_changed(world, &session.account, session.device, false) {
            tracing::warn!(%error, "the other devices do not know of a removal");
        }
    }
    if let Some(goodbye) = goodbye {
        line.send(goodbye);
    }
    line.close();
}

/// The first stanza after the handshake: codes to pair with, `<success/>` or `<failure/>`.
fn admit(world: &World, line: &Line, payload: &wa::ClientPayload, client_key: [u8; 32]) -> Result<Option<Who>> {
    if let Some(registration) = &payload.device_pairing_data {
        let refs: Vec<String> = (0..PAIRING_REFS).map(|_| fresh_ref()).collect();
        let nodes: Vec<Node> = refs.iter().map(|reference| leaf("ref", reference.as_bytes().to_vec())).collect();
        line.send(
            NodeBuilder::new("iq")
                .attr("from", server_jid())
                .attr("type", "set")
                .attr("id", line.id)
                .attr("xmlns", "md")
                .children([NodeBuilder::new("pair-device").children(nodes).build()])
                .build(),
        );
        let pending = PendingPair {
            line: line.clone(),
            noise_key: client_key,
            registration: registration.clone(),
            refs,
            code: None,
            finish: None,
            done: None,
        };
        world.pending().insert(line.id, pending);
        return Ok(Some(Who::Pairing(line.id)));
    }
    let number = payload.username.context("the login names no account")?.to_string();
    let device = u16::try_from(payload.device.unwrap_or(0))?;
    let refused = NodeBuilder::new("failure").attr("reason", "401").attr("location", "sim");
    let Some(account) = world.account(&number) else {
        line.send(refused.build());
        return Ok(None);
    };
    {
        let mut state = account.state();
        let known = state.companions.get_mut(&device);
        let Some(companion) = known.filter(|known| !known.removed && known.noise_key == client_key) else {
            line.send(refused.build());
            return Ok(None);
        };
        if let Some(earlier) = companion.line.replace(line.clone()) {
            let conflict = NodeBuilder::new("conflict").attr("type", "replaced").build();
            earlier.send(NodeBuilder::new("stream:error").children([conflict]).build());
            earlier.close();
        }
        companion.went_offline();
    }
    line.send(
        NodeBuilder::new("success")
            .attr("t", world.now())
            .attr("props", 27_u32)
            .attr("lid", account.lid_jid(device))
            .attr("location", "sim")
            .attr("creation", 1_600_000_000_u64)
            .build(),
    );
    Ok(Some(Who::Device(Session { account, device, line: line.clone() })))
}

fn leave(world: &World, who: &Who, connection: u64) {
    match who {
        Who::Pairing(id) => {
            world.pending().remove(id);
            world.pairing.send_modify(|count| *count += 1);
        }
        Who::Device(session) => {
            let watched = {
                let mut state = session.account.state();
                let companion = state.companions.get_mut(&session.device);
                companion.filter(|companion| companion.line.as_ref().is_some_and(|line| line.id == connection)).map(
                    |companion| {
                        companion.line = None;
                        companion.went_offline();
                        std::mem::take(&mut companion.watching)
                    },
                )
            };
            // Subscriptions end with the connection.
            for number in watched.into_iter().flatten() {
                if let Some(account) = world.account(&number) {
                    account.state().watchers.remove(&(session.account.number.clone(), session.device));
                }
            }
        }
    }
}

/// Whether a stanza confirms something by its id.
pub(crate) fn confirms(node: &Node) -> bool {
    node.tag == "ack" || (node.tag == "receipt" && attr(node, "type") != "retry")
}
