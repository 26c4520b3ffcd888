//! Encryption from a phone for one linked device.

use crate::account::Account;
use crate::message::{envelope, pad};
use crate::signal::SignalDevice;
use crate::wa;
use anyhow::{Context, Result};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// Encrypts for one device, starting a session when there is none.
pub(super) async fn seal(phone: &mut SignalDevice, to: &Account, device: u16, message: &wa::Message) -> Result<Node> {
    let peer = format!("{}:{device}", to.number);
    if !phone.has_session(&peer) {
        let bundle = to.state().companions.get_mut(&device).context("no such device")?.take_bundle();
        phone.start_session(&peer, &bundle.context("the device has published no keys yet")?).await?;
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
