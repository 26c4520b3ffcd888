//! One-time keys and key bundles.

use crate::companion::Companion;
use crate::connection::Session;
use crate::handlers::devices::take_bundle;
use crate::node::{attr_jid, child, child_body, children, id3, key32, leaf, result, uint};
use crate::signal::Bundle;
use crate::world::World;
use anyhow::{Context, Result};
use sha1::{Digest, Sha1};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// The key type of Curve25519.
const DJB_TYPE: u8 = 5;

pub(super) async fn handle(world: &World, session: &Session, node: &Node, first: &str) -> Result<()> {
    let line = &session.line;
    if first == "key" {
        let wanted = children(child(node, "key").context("no key")?);
        let mut users = Vec::new();
        for jid in wanted.iter().filter_map(|user| attr_jid(user, "jid")) {
            users.push(bundle(world, &jid).await);
        }
        line.send(result(node, vec![NodeBuilder::new("list").children(users).build()]));
        return Ok(());
    }
    let mut state = session.account.state();
    let companion = state.companions.get_mut(&session.device).context("no such device")?;
    match first {
        "count" => {
            let count = NodeBuilder::new("count").attr("value", companion.prekeys.len()).build();
            line.send(result(node, vec![count]));
        }
        "digest" => line.send(result(node, vec![digest(companion)?])),
        "rotate" => {
            let key = child(node, "rotate").and_then(|rotate| child(rotate, "skey")).context("no signed key")?;
            companion.signed_prekey = Some(signed_key(key)?);
            line.send(result(node, vec![]));
        }
        _ => {
            if let Some(key) = child(node, "skey") {
                companion.signed_prekey = Some(signed_key(key)?);
            }
            if let Some(registration) = child_body(node, "registration") {
                companion.registration = uint(&registration);
            }
            companion.asked_for_prekeys = false;
            for key in child(node, "list").map(children).unwrap_or_default() {
                let id = uint(&child_body(key, "id").unwrap_or_default());
                companion.prekeys.push_back((id, key32(child_body(key, "value").unwrap_or_default())?));
            }
            line.send(result(node, vec![]));
        }
    }
    Ok(())
}

fn digest(companion: &Companion) -> Result<Node> {
    let signed = companion.signed_prekey.clone().context("no signed key")?;
    let mut hash = Sha1::new();
    hash.update(companion.identity);
    hash.update(signed.1);
    hash.update(&signed.2);
    for (_, key) in &companion.prekeys {
        hash.update(key);
    }
    let ids: Vec<Node> = companion.prekeys.iter().map(|(id, _)| leaf("id", id3(*id))).collect();
    Ok(NodeBuilder::new("digest")
        .children([
            leaf("registration", companion.registration.to_be_bytes().to_vec()),
            leaf("type", vec![DJB_TYPE]),
            leaf("identity", companion.identity.to_vec()),
            signed_key_node(&signed),
            NodeBuilder::new("list").children(ids).build(),
            leaf("hash", hash.finalize().to_vec()),
        ])
        .build())
}

/// The key bundle of one device, each with a one-time key that is used up by this.
async fn bundle(world: &World, jid: &Jid) -> Node {
    let user = NodeBuilder::new("user").attr("jid", jid.clone());
    let found = match world.resolve(jid) {
        Some((account, 0)) => Some((account.phone.lock().await.bundle(), None)),
        Some((account, device)) => {
            take_bundle(world, &account, device).map(|(bundle, identity)| (bundle, Some(identity)))
        }
        None => None,
    };
    let Some((bundle, identity)) = found else {
        let error = NodeBuilder::new("error").attr("code", 404_u32).attr("text", "item-not-found").build();
        return user.children([error]).build();
    };
    let mut parts = vec![leaf("registration", bundle.reg_id.to_be_bytes().to_vec())];
    parts.extend(bundle_parts(&bundle));
    parts.extend(identity.map(|identity| leaf("device-identity", identity)));
    user.children(parts).build()
}

/// A bundle's keys as they stand in answers and in retry receipts.
pub(crate) fn bundle_parts(bundle: &Bundle) -> Vec<Node> {
    let mut parts = vec![leaf("type", vec![DJB_TYPE]), leaf("identity", bundle.identity.to_vec())];
    if let Some((id, key)) = bundle.prekey {
        parts.push(NodeBuilder::new("key").children([leaf("id", id3(id)), leaf("value", key.to_vec())]).build());
    }
    parts.push(signed_key_node(&bundle.skey));
    parts
}

fn signed_key_node(key: &(u32, [u8; 32], Vec<u8>)) -> Node {
    NodeBuilder::new("skey")
        .children([leaf("id", id3(key.0)), leaf("value", key.1.to_vec()), leaf("signature", key.2.clone())])
        .build()
}

fn signed_key(node: &Node) -> Result<(u32, [u8; 32], Vec<u8>)> {
    Ok((
        uint(&child_body(node, "id").context("no id")?),
        key32(child_body(node, "value").context("no value")?)?,
        child_body(node, "signature").context("no signature")?,
    ))
}
