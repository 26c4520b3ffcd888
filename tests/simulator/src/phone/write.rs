//! What a person writes on the phone: to another account, or to a group.

use super::seal::{addressed, enveloped, marked, seal};
use super::{Arrived, show};
use crate::account::Account;
use crate::compose::{Draft, Unfit, Writer, Written};
use crate::message::pad;
use crate::node::{STATUS, message_id};
use crate::wa;
use crate::world::{FILES_MAX, World};
use anyhow::{Context, Result};
use prost::Message as _;
use std::sync::Arc;
use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

/// Writes to a phone or a group; returns the message's id.
pub(crate) async fn write(world: &World, author: &Arc<Account>, draft: Draft) -> Result<String, Unfit> {
    let to = draft.to.clone();
    let group = world.group(&to);
    let to_group = group.is_some() || to == STATUS;
    if let Some(group) = group {
        if !group.members.contains_key(&author.number) {
            return Err(Unfit::Wrong(format!("{} is no member of the group", author.number)));
        }
        if group.announce && !group.is_admin(&author.number) {
            return Err(Unfit::Wrong("only admins write to this group".to_owned()));
        }
    }
    let now_ms = i64::try_from(world.clock.now_ms()).unwrap_or(0);
    let writer = Writer { account: author.clone(), to_group, now_ms };
    // A large file is sealed beside the tasks that move stanzas.
    let written = if draft.has_file() {
        let sealing = tokio::task::spawn_blocking(move || draft.written(&writer));
        sealing.await.map_err(|error| Unfit::Failed(error.into()))??
    } else {
        draft.written(&writer)?
    };
    let Written { message, file } = written;
    if let Some(file) = file
        && !world.keep_file(file.path, file.blob.into())
    {
        return Err(Unfit::Wrong(format!("the media host keeps {FILES_MAX} files and no more")));
    }
    let id = message_id();
    author.state().book.remember(&id, &author.number, &message);
    let sent = if to_group {
        to_members(world, author, &to, &id, &message).await
    } else {
        to_person(world, author, &to, &id, &message).await
    };
    sent.map_err(Unfit::Failed)?;
    Ok(id)
}

/// Every linked device of the other account receives, its phone shows it, and the author's own devices get a copy.
async fn to_person(world: &World, author: &Account, to: &str, id: &str, message: &wa::Message) -> Result<()> {
    let to = world.account(to).context("no such account in `to`")?;
    let devices = to.state().live_devices();
    // Whose device cannot read it asks the phone at once.
    to.state().book.remember(id, &author.number, message);
    {
        let mut phone = author.phone.lock().await;
        for device in devices {
            let enc = seal(world, &mut phone, &to, device, message).await?;
            let stanza = enveloped(world, addressed(author, None), author, id, message, vec![enc]);
            world.deliver(&to, device, stanza);
        }
        let copy = wa::Message {
            device_sent_message: Some(Box::new(wa::DeviceSentMessage {
                destination_jid: Some(to.phone_jid(0).to_string()),
                message: Some(Box::new(message.clone())),
            })),
            ..Default::default()
        };
        let own = author.state().live_devices();
        for device in own {
            // One that was linked this moment has no keys yet, and no chats to miss something in.
            let Ok(enc) = seal(world, &mut phone, author, device, &copy).await else { continue };
            let stanza =
                NodeBuilder::new("message").attr("from", author.phone_jid(0)).attr("recipient", to.phone_jid(0));
            world.deliver(author, device, enveloped(world, stanza, author, id, message, vec![enc]));
        }
    }
    let chat = format!("{}@s.whatsapp.net", author.number);
    show(world, &to, Arrived { id, chat: &chat, from: &author.number, message, raw: message.encode_to_vec() });
    Ok(())
}

/// With a sender key that travels along.
async fn to_members(world: &World, author: &Account, group: &str, id: &str, message: &wa::Message) -> Result<()> {
    // Everybody sees a status post; a simulated person knows everybody.
    let (readers, jid) = if group == STATUS {
        (world.accounts(), Jid::status_broadcast())
    } else {
        let members = world.group(group).context("no such group")?.members;
        (members.keys().filter_map(|member| world.account(member)).collect(), Jid::group(group))
    };
    // Whose device cannot read it asks the phone at once.
    readers.iter().for_each(|reader| reader.state().book.remember(id, &author.number, message));
    {
        let mut phone = author.phone.lock().await;
        let distribution = phone.own_skdm(group).await?;
        let sealed = phone.group_encrypt(group, &pad(message)).await?;
        let carrier = wa::Message {
            sender_key_distribution_message: Some(wa::SenderKeyDistributionMessage {
                group_id: Some(jid.to_string()),
                axolotl: Some(distribution),
            }),
            ..Default::default()
        };
        for member in &readers {
            let devices = member.state().live_devices();
            for device in devices {
                let enc = seal(world, &mut phone, member, device, &carrier).await?;
                let group_part = NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg");
                let group_part = marked(group_part, message).bytes(sealed.clone()).build();
                let stanza = addressed(author, Some(&jid));
                let stanza = enveloped(world, stanza, author, id, message, vec![enc, group_part]);
                world.deliver(member, device, stanza);
            }
        }
    }
    let chat = jid.to_string();
    for member in readers.into_iter().filter(|member| member.number != author.number) {
        let raw = message.encode_to_vec();
        show(world, &member, Arrived { id, chat: &chat, from: &author.number, message, raw });
    }
    Ok(())
}
