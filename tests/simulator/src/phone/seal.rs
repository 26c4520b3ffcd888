//! Encryption from a phone for one linked device, and the stanza around it.

use crate::account::Account;
use crate::handlers::take_bundle;
use crate::message::{envelope, pad};
use crate::signal::SignalDevice;
use crate::wa;
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// Encrypts for one device, starting a session when there is none.
pub(super) async fn seal(
    world: &World,
    phone: &mut SignalDevice,
    to: &Account,
    device: u16,
    message: &wa::Message,
) -> Result<Node> {
    let peer = format!("{}:{device}", to.number);
    if !phone.has_session(&peer) {
        let (bundle, _) = take_bundle(world, to, device).context("the device has published no keys yet")?;
        phone.start_session(&peer, &bundle).await?;
    }
    let (kind, sealed) = phone.encrypt(&peer, &pad(message)).await?;
    Ok(marked(NodeBuilder::new("enc").attr("v", "2").attr("type", kind), message).bytes(sealed).build())
}

/// The encrypted part names the kind of a file it describes.
pub(super) fn marked(enc: NodeBuilder, message: &wa::Message) -> NodeBuilder {
    match envelope(message).media {
        Some(media) => enc.attr("mediatype", media),
        None => enc,
    }
}

/// From whom a message of this phone comes, in a group or directly.
pub(super) fn addressed(author: &Account, group: Option<&Jid>) -> NodeBuilder {
    let stanza = NodeBuilder::new("message");
    match group {
        Some(group) => stanza
            .attr("from", group.clone())
            .attr("participant", author.lid_jid(0))
            .attr("participant_pn", author.phone_jid(0))
            .attr("addressing_mode", "lid"),
        None if author.state().behaviour.hide_number => stanza.attr("from", author.lid_jid(0)),
        None => stanza.attr("from", author.lid_jid(0)).attr("sender_pn", author.phone_jid(0)),
    }
}

/// What every message of a phone says on its outside.
pub(super) fn enveloped(
    world: &World,
    stanza: NodeBuilder,
    author: &Account,
    id: &str,
    message: &wa::Message,
    parts: Vec<Node>,
) -> Node {
    let envelope = envelope(message);
    let mut stanza = stanza
        .attr("id", id.to_owned())
        .attr("t", world.now())
        .attr("notify", author.name.clone())
        .attr("type", envelope.kind);
    if let Some(edit) = envelope.edit {
        stanza = stanza.attr("edit", edit);
    }
    let meta = envelope.poll.map(|poll| NodeBuilder::new("meta").attr("polltype", poll).build());
    stanza.children(meta.into_iter().chain(parts).collect::<Vec<_>>()).build()
}
