//! What linked devices send to this phone.

use super::{Arrived, ask, share_sync_keys, show, write};
use crate::account::{Account, Behaviour};
use crate::compose::Draft;
use crate::message::unpad;
use crate::node::{attr, body, sender_key_chat};
use crate::wa;
use crate::world::World;
use anyhow::Result;
use prost::Message as _;
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// One message from a linked device to this phone.
pub(crate) struct Inbound<'a> {
    pub(crate) from: &'a Account,
    pub(crate) from_device: u16,
    pub(crate) to: &'a Jid,
    pub(crate) id: &'a str,
    pub(crate) direct: Option<&'a Node>,
    pub(crate) group: Option<&'a [u8]>,
}

/// The phone of `account` receives: decrypts, displays, confirms as its owner behaves.
pub(crate) async fn receive(world: &World, account: &Arc<Account>, inbound: &Inbound<'_>) -> Result<()> {
    let group = sender_key_chat(inbound.to);
    let Some(raw) = opened(account, inbound, group.as_deref()).await? else { return Ok(()) };
    let message = wa::Message::decode(&raw[..])?;
    if account.number == inbound.from.number {
        return from_own_device(world, account, inbound, &message).await;
    }
    let chat = match &group {
        Some(_) => inbound.to.to_string(),
        None => format!("{}@s.whatsapp.net", inbound.from.number),
    };
    let arrived = Arrived { id: inbound.id, chat: &chat, from: &inbound.from.number, message: &message, raw };
    let Some((new, shown)) = show(world, account, arrived) else { return Ok(()) };
    let behaviour = account.state().behaviour.clone();
    let plays = message.audio_message.is_some() || message.video_message.is_some();
    confirm(world, account, inbound, &behaviour, plays);
    if let (true, Some(reply), "text", None) = (new, &behaviour.reply, shown.kind, &group) {
        let answer = reply.replace("{text}", shown.text.as_deref().unwrap_or_default());
        let draft = Draft::text(&inbound.from.number, &answer);
        if let Err(unfit) = Box::pin(write(world, account, draft)).await {
            tracing::warn!(?unfit, "a phone could not answer");
        }
    }
    Ok(())
}

/// The decrypted protobuf.
async fn opened(account: &Account, inbound: &Inbound<'_>, group: Option<&str>) -> Result<Option<Vec<u8>>> {
    let peer = format!("{}:{}", inbound.from.number, inbound.from_device);
    let mut phone = account.phone.lock().await;
    let mut raw = None;
    if let Some(enc) = inbound.direct {
        let plain = phone.decrypt(&peer, &attr(enc, "type"), &body(enc)).await?;
        let carried = unpad(&plain)?;
        if let Some(group) = group
            && let Some(key) = wa::Message::decode(carried)?.sender_key_distribution_message
        {
            phone.learn_sender_key(group, &peer, key.axolotl()).await?;
        }
        raw = Some(carried.to_vec());
    }
    if let (Some(group), Some(sealed)) = (group, inbound.group) {
        let plain = phone.group_decrypt(group, &peer, sealed).await?;
        raw = Some(unpad(&plain)?.to_vec());
    }
    Ok(raw)
}

/// A copy of what a linked device sent, for the owner's own phone; or what a device asks of it.
async fn from_own_device(world: &World, account: &Account, inbound: &Inbound<'_>, message: &wa::Message) -> Result<()> {
    if let Some(asked) =
        message.protocol_message.as_ref().and_then(|protocol| protocol.peer_data_operation_request_message.as_ref())
    {
        return ask::answer(world, account, inbound.from_device, inbound.id, asked).await;
    }
    account.state().book.remember(inbound.id, &account.number, message);
    let asks = message.protocol_message.as_ref().is_some_and(|p| p.app_state_sync_key_request.is_some());
    if asks {
        if let Some(companion) = account.state().companions.get_mut(&inbound.from_device) {
            companion.has_sync_keys = false;
        }
        share_sync_keys(world, account, inbound.from_device).await?;
    }
    Ok(())
}

/// Delivery, read and played receipts. A repeat is confirmed again, as phones do.
fn confirm(world: &World, account: &Account, inbound: &Inbound<'_>, behaviour: &Behaviour, plays: bool) {
    let by_phone = inbound.to.server == Server::Pn;
    let reader = if by_phone { account.phone_jid(0) } else { account.lid_jid(0) };
    let read = behaviour.receipts && behaviour.read;
    let kinds = [(behaviour.receipts, ""), (read, "read"), (read && behaviour.play && plays, "played")];
    for (_, kind) in kinds.into_iter().filter(|(does, _)| *does) {
        let mut receipt = NodeBuilder::new("receipt").attr("id", inbound.id.to_owned()).attr("t", world.now());
        receipt = if sender_key_chat(inbound.to).is_some() {
            receipt.attr("from", inbound.to.clone()).attr("participant", reader.clone())
        } else {
            receipt.attr("from", reader.clone())
        };
        if !kind.is_empty() {
            receipt = receipt.attr("type", kind);
        }
        world.deliver(inbound.from, inbound.from_device, receipt.build());
    }
}
