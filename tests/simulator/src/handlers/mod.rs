//! What the server answers, one file per stanza family. Every stanza gets its answer; one without a handler is listed.

mod app_state;
mod groups;
pub(crate) use groups::create as create_group;
mod keys;
pub(crate) mod message;
mod pairing;
mod receipt;
mod session;
pub(crate) use session::MEDIA_HOST;
mod settings;
mod usync;

use crate::connection::Who;
use crate::node::{attr, children, summary};
use crate::simulator::Shared;
use crate::world::{Line, World};
use anyhow::Result;
use std::sync::Arc;
use wacore_binary::Node;

pub(crate) async fn handle(shared: &Arc<Shared>, world: &mut World, who: &Who, line: &Line, node: &Node) -> Result<()> {
    let Who::Device(account, device) = who else {
        return pairing::handle(world, who, line, node);
    };
    match node.tag.as_ref() {
        "iq" => iq(world, account, *device, line, node).await,
        "message" => message::handle(world, account, *device, line, node).await,
        "receipt" => {
            receipt::handle(world, account, *device, line, node);
            Ok(())
        }
        "ack" => {
            if let Some(companion) = world.companion(account, *device) {
                companion.acknowledged(&attr(node, "id"));
            }
            Ok(())
        }
        "ib" => {
            session::info(world, account, *device, line, node);
            Ok(())
        }
        // Shown to nobody yet; the server has nothing to answer.
        "presence" | "chatstate" => Ok(()),
        _ => {
            world.note_unanswered(summary(node));
            shared.changed.send_modify(|count| *count += 1);
            Ok(())
        }
    }
}

async fn iq(world: &mut World, account: &str, device: u16, line: &Line, node: &Node) -> Result<()> {
    if matches!(attr(node, "type").as_str(), "result" | "error") {
        return Ok(());
    }
    let first = children(node).first().map(|child| child.tag.to_string()).unwrap_or_default();
    match attr(node, "xmlns").as_str() {
        "encrypt" => keys::handle(world, account, device, line, node, &first),
        "usync" => usync::handle(world, line, node),
        "w:sync:app:state" => app_state::handle(world, account, device, line, node),
        "w:g2" => groups::handle(world, account, line, node, &first),
        "passive" | "w:p" | "urn:xmpp:ping" | "md" | "abt" | "w:m" | "urn:xmpp:whatsapp:dirty" | "w:stats" => {
            session::handle(world, account, device, line, node, &first).await
        }
        "privacy" | "blocklist" | "status" | "disappearing_mode" | "w:profile:picture" => {
            settings::handle(world, account, line, node, &first)
        }
        _ => {
            world.note_unanswered(summary(node));
            line.send(crate::node::iq_error(node, 501, "feature-not-implemented"));
            Ok(())
        }
    }
}
