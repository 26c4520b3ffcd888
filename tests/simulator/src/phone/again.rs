//! Messages that could not be read: a phone asks its sender again, and sends again to who asks it.

use super::Inbound;
use super::seal::{addressed, enveloped, seal};
use super::sync::told;
use crate::account::Account;
use crate::handlers::bundle_parts;
use crate::node::{attr, child, child_body, key32, leaf, sender_key_chat, uint};
use crate::signal::Bundle;
use crate::wa;
use crate::world::World;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// How often one message is asked for, and sent again, as the official clients have it.
const RETRIES_MAX: u32 = 5;

/// Messages whose requests are counted; at the limit the counts start anew.
const ASKED_MAX: usize = 10_000;

/// The phone could not read it: its sender is to send it again, with keys to start anew.
pub(crate) async fn ask_again(world: &World, account: &Account, inbound: &Inbound<'_>) {
    let count = {
        let mut state = account.state();
        if state.asked_again.len() >= ASKED_MAX {
            state.asked_again.clear();
        }
        let asked = state.asked_again.entry(inbound.id.to_owned()).or_default();
        *asked += 1;
        *asked
    };
    if count > RETRIES_MAX {
        return;
    }
    let bundle = account.phone.lock().await.bundle();
    let reader = if inbound.to.server == Server::Pn { account.phone_jid(0) } else { account.lid_jid(0) };
    let receipt =
        NodeBuilder::new("receipt").attr("id", inbound.id.to_owned()).attr("type", "retry").attr("t", world.now());
    let receipt = if sender_key_chat(inbound.to).is_some() {
        receipt.attr("from", inbound.to.clone()).attr("participant", reader)
    } else if account.number == inbound.from.number {
        // Of a copy of what was sent to somebody else.
        receipt.attr("from", reader).attr("recipient", inbound.to.clone())
    } else {
        receipt.attr("from", reader)
    };
    let retry = NodeBuilder::new("retry")
        .attr("v", "1")
        .attr("count", count)
        .attr("id", inbound.id.to_owned())
        .attr("t", world.now())
        .build();
    let registration = leaf("registration", bundle.reg_id.to_be_bytes().to_vec());
    let keys = NodeBuilder::new("keys").children(bundle_parts(&bundle)).build();
    world.deliver(inbound.from, inbound.from_device, receipt.children([retry, registration, keys]).build());
}

/// A device could not read what this phone wrote: it gets it again, in a session of its own.
pub(crate) async fn send_again(
    world: &World,
    author: &Arc<Account>,
    to: &Account,
    device: u16,
    receipt: &Node,
) -> Result<()> {
    let retry = child(receipt, "retry").context("a retry receipt without retry")?;
    let id = attr(retry, "id");
    let count: u32 = attr(retry, "count").parse().unwrap_or(1);
    ensure!(count <= RETRIES_MAX, "{id} was sent again {RETRIES_MAX} times");
    let known = author.state().book.get(&id).filter(|known| known.author == author.number);
    let known = known.with_context(|| format!("this phone wrote no {id}"))?;
    let group = attr(receipt, "to").parse::<Jid>().ok().filter(|to| sender_key_chat(to).is_some());
    let mut message = known.message.clone();
    let mut phone = author.phone.lock().await;
    if let Some(group) = &group {
        message.sender_key_distribution_message = Some(wa::SenderKeyDistributionMessage {
            group_id: Some(group.to_string()),
            axolotl: Some(phone.own_skdm(&sender_key_chat(group).unwrap_or_default()).await?),
        });
    }
    let peer = format!("{}:{device}", to.number);
    phone.forget_session(&peer);
    if let Some(bundle) = keys_of(receipt)? {
        phone.start_session(&peer, &bundle).await?;
    }
    let enc = seal(world, &mut phone, to, device, &message).await?;
    let stanza = if known.between_devices {
        told(world, author, &id, enc)
    } else {
        enveloped(world, addressed(author, group.as_ref()), author, &id, &known.message, vec![enc])
    };
    world.deliver(to, device, stanza);
    Ok(())
}

/// The keys that a retry receipt carries from its second time on.
fn keys_of(receipt: &Node) -> Result<Option<Bundle>> {
    let (Some(keys), Some(registration)) = (child(receipt, "keys"), child_body(receipt, "registration")) else {
        return Ok(None);
    };
    let signed = child(keys, "skey").context("no signed key")?;
    let prekey = match child(keys, "key") {
        Some(key) => Some((
            uint(&child_body(key, "id").context("no id")?),
            key32(child_body(key, "value").context("no value")?)?,
        )),
        None => None,
    };
    Ok(Some(Bundle {
        reg_id: uint(&registration),
        identity: key32(child_body(keys, "identity").context("no identity")?)?,
        skey: (
            uint(&child_body(signed, "id").context("no id")?),
            key32(child_body(signed, "value").context("no value")?)?,
            child_body(signed, "signature").context("no signature")?,
        ),
        prekey,
    }))
}
