//! A client that is not linked yet.

use crate::connection::Who;
use crate::handlers::devices_changed;
use crate::line::Line;
use crate::node::{attr, attr_jid, child, child_body, result};
use crate::pairing::{code_reference, fresh_ref};
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

pub(super) fn handle(world: &World, who: &Who, line: &Line, node: &Node) -> Result<()> {
    let Who::Pairing(connection) = who else { return Ok(()) };
    if node.tag != "iq" {
        return Ok(());
    }
    if matches!(attr(node, "type").as_str(), "result" | "error") {
        return signed(world, *connection, line, node);
    }
    let Some(registration) = child(node, "link_code_companion_reg") else {
        line.send(result(node, vec![]));
        return Ok(());
    };
    match attr(registration, "stage").as_str() {
        "companion_hello" => {
            let reference = fresh_ref().into_bytes();
            let phone = attr_jid(registration, "jid").map(|jid| jid.user.to_string()).unwrap_or_default();
            let wrapped = child_body(registration, "link_code_pairing_wrapped_companion_ephemeral_pub");
            let code = (phone, reference.clone(), wrapped.context("no wrapped key")?);
            world.pending().get_mut(connection).context("no such client")?.code = Some(code);
            line.send(code_reference(node, reference));
        }
        "companion_finish" => {
            let finish = (
                child_body(registration, "link_code_pairing_wrapped_key_bundle").context("no key bundle")?,
                child_body(registration, "companion_identity_public").context("no identity")?,
            );
            world.pending().get_mut(connection).context("no such client")?.finish = Some(finish);
            line.send(result(node, vec![]));
        }
        stage => world.note_unanswered(format!("link_code_companion_reg stage {stage}")),
    }
    world.pairing.send_modify(|count| *count += 1);
    Ok(())
}

/// The client signed its identity: keep the blob, and restart the stream so that it logs in.
fn signed(world: &World, connection: u64, line: &Line, node: &Node) -> Result<()> {
    let Some(sign) = child(node, "pair-device-sign") else { return Ok(()) };
    let blob = child_body(sign, "device-identity").context("no device identity")?;
    let mut linked = None;
    let done = world.pending().get(&connection).and_then(|pending| pending.done.clone());
    if let Some((number, device)) = done
        && let Some(account) = world.account(&number)
        && let Some(companion) = account.state().companions.get_mut(&device)
    {
        companion.signed_identity = blob;
        linked = Some((account.clone(), device));
    }
    if let Some((account, device)) = linked {
        devices_changed(world, &account, device, true)?;
    }
    line.send(NodeBuilder::new("stream:error").attr("code", "515").build());
    line.close();
    Ok(())
}
