//! What a simulated person's phone does: it encrypts, decrypts, displays, confirms, answers.

use crate::compose::{Draft, Unfit, Writer};
use crate::display::{Reader, Shown};
use crate::handlers::MEDIA_HOST;
use crate::media::BLOBS_MAX;
use crate::message::{envelope, pad, text, unpad};
use crate::node::{attr, body, message_id};
use crate::signal::Bundle;
use crate::wa;
use crate::world::{Account, World, now};
use anyhow::{Context, Result};
use prost::Message as _;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// One message from a linked device to this phone.
pub(crate) struct Inbound<'a> {
    pub(crate) from_account: &'a str,
    pub(crate) from_device: u16,
    pub(crate) to: &'a Jid,
    pub(crate) id: &'a str,
    pub(crate) direct: Option<&'a Node>,
    pub(crate) group: Option<&'a [u8]>,
}

/// The phone of `account` receives: decrypts, displays, confirms as its owner behaves.
pub(crate) async fn receive(world: &mut World, account: &str, inbound: Inbound<'_>) -> Result<()> {
    let peer = format!("{}:{}", inbound.from_account, inbound.from_device);
    let owner = world.accounts.get_mut(account).context("no such account")?;
    let group = (inbound.to.server == Server::Group).then(|| inbound.to.user.to_string());
    let mut received = None;
    if let Some(enc) = inbound.direct {
        let plain = owner.phone.decrypt(&peer, &attr(enc, "type"), &body(enc)).await?;
        let raw = unpad(&plain)?.to_vec();
        let carried = wa::Message::decode(&raw[..])?;
        if let (Some(group), Some(key)) = (&group, &carried.sender_key_distribution_message) {
            owner.phone.learn_sender_key(group, &peer, key.axolotl()).await?;
        }
        received = Some((carried, raw));
    }
    if let (Some(group), Some(sealed)) = (&group, inbound.group) {
        let plain = owner.phone.group_decrypt(group, &peer, sealed).await?;
        let raw = unpad(&plain)?.to_vec();
        received = Some((wa::Message::decode(&raw[..])?, raw));
    }
    let Some((message, raw)) = received else { return Ok(()) };
    if account == inbound.from_account {
        return from_own_device(world, account, &inbound, &message).await;
    }
    let chat = match &group {
        Some(_) => inbound.to.to_string(),
        None => format!("{}@s.whatsapp.net", inbound.from_account),
    };
    let arrived = Arrived { id: inbound.id, chat: &chat, from: inbound.from_account, message: &message, raw };
    let Some((new, shown)) = show(world, account, arrived) else { return Ok(()) };
    let behaviour = world.accounts.get(account).context("no such account")?.behaviour.clone();
    confirm(world, account, &inbound, &behaviour)?;
    if let (true, Some(reply), "text", None) = (new, &behaviour.reply, shown.kind, &group) {
        let answer = text(&reply.replace("{text}", shown.text.as_deref().unwrap_or_default()));
        send(world, account, inbound.from_account, &answer).await?;
    }
    Ok(())
}

/// A message that came to a phone, in whatever way.
struct Arrived<'a> {
    id: &'a str,
    chat: &'a str,
    from: &'a str,
    message: &'a wa::Message,
    raw: Vec<u8>,
}

/// Remembers and displays. Returns whether it is new, and what is seen of it.
fn show(world: &mut World, account: &str, arrived: Arrived<'_>) -> Option<(bool, Shown)> {
    let owner = world.accounts.get_mut(account)?;
    let blob = |path: &str| world.media.get(path).cloned();
    let shown = Reader { book: &owner.book, sender: arrived.from, blob: &blob }.shown(arrived.message)?;
    owner.book.remember(arrived.id, arrived.from, arrived.message);
    let new = owner.display(arrived.id, arrived.chat, arrived.from, shown.clone(), arrived.raw);
    Some((new, shown))
}

/// A copy of what a linked device sent, for the owner's own phone; or a device's request for the app-state keys.
async fn from_own_device(world: &mut World, account: &str, inbound: &Inbound<'_>, message: &wa::Message) -> Result<()> {
    if let Some(owner) = world.accounts.get_mut(account) {
        owner.book.remember(inbound.id, account, message);
    }
    let asks = message.protocol_message.as_ref().is_some_and(|p| p.app_state_sync_key_request.is_some());
    if asks {
        if let Some(companion) = world.companion(account, inbound.from_device) {
            companion.has_sync_keys = false;
        }
        share_sync_keys(world, account, inbound.from_device).await?;
    }
    Ok(())
}

/// Delivery and read receipts. A repeat is confirmed again, as phones do.
fn confirm(world: &mut World, account: &str, inbound: &Inbound<'_>, behaviour: &crate::world::Behaviour) -> Result<()> {
    let owner = world.accounts.get(account).context("no such account")?;
    let by_phone = inbound.to.server == Server::Pn;
    let reader = if by_phone { owner.phone_jid(0) } else { owner.lid_jid(0) };
    let kinds = [(behaviour.receipts, ""), (behaviour.receipts && behaviour.read, "read")];
    for (_, kind) in kinds.into_iter().filter(|(does, _)| *does) {
        let mut receipt = NodeBuilder::new("receipt").attr("id", inbound.id.to_owned()).attr("t", now());
        receipt = if inbound.to.server == Server::Group {
            receipt.attr("from", inbound.to.clone()).attr("participant", reader.clone())
        } else {
            receipt.attr("from", reader.clone())
        };
        if !kind.is_empty() {
            receipt = receipt.attr("type", kind);
        }
        world.deliver(inbound.from_account, inbound.from_device, receipt.build());
    }
    Ok(())
}

/// What a person writes, to a phone or a group; returns the message's id.
pub(crate) async fn write(world: &mut World, from: &str, draft: &Draft) -> Result<String, Unfit> {
    let to_group = world.groups.contains_key(&draft.to);
    let author = world.accounts.get(from).ok_or_else(|| Unfit::Wrong(format!("there is no account {from}")))?;
    let now_ms = i64::try_from(now()).unwrap_or(0) * 1_000;
    let writer = Writer { from, to_group, book: &author.book, now_ms, media_host: MEDIA_HOST };
    let written = draft.written(&writer)?;
    if let Some(file) = written.file {
        if world.media.len() >= BLOBS_MAX {
            return Err(Unfit::Wrong(format!("the media host keeps {BLOBS_MAX} files and no more")));
        }
        world.media.insert(file.path, file.blob.into());
    }
    let sent = if to_group {
        send_to_group(world, from, &draft.to, &written.message).await
    } else {
        send(world, from, &draft.to, &written.message).await
    };
    sent.map_err(Unfit::Failed)
}

/// A person writes to another account: every linked device of it receives.
async fn send(world: &mut World, from: &str, to: &str, message: &wa::Message) -> Result<String> {
    let id = message_id();
    let devices = live_devices(world, to).context("no such account in `to`")?;
    for device in devices {
        let enc = seal(world, from, to, device, message).await?;
        let sender = world.accounts.get(from).context("no such account")?;
        let stanza = NodeBuilder::new("message").attr("from", sender.lid_jid(0)).attr("sender_pn", sender.phone_jid(0));
        let stanza = enveloped(stanza, sender, &id, message, vec![enc]);
        world.deliver(to, device, stanza);
    }
    if let Some(author) = world.accounts.get_mut(from) {
        author.book.remember(&id, from, message);
    }
    // The other person's phone shows it too.
    let chat = format!("{from}@s.whatsapp.net");
    show(world, to, Arrived { id: &id, chat: &chat, from, message, raw: message.encode_to_vec() });
    Ok(id)
}

/// A member writes to a group, with a sender key that travels along.
async fn send_to_group(world: &mut World, from: &str, group: &str, message: &wa::Message) -> Result<String> {
    let id = message_id();
    let members: Vec<String> = world.groups.get(group).context("no such group")?.members.keys().cloned().collect();
    let jid = Jid::group(group);
    let author = &mut world.accounts.get_mut(from).context("no such account in `from`")?.phone;
    let distribution = author.own_skdm(group).await?;
    let sealed = author.group_encrypt(group, &pad(message)).await?;
    let carrier = wa::Message {
        sender_key_distribution_message: Some(wa::SenderKeyDistributionMessage {
            group_id: Some(jid.to_string()),
            axolotl: Some(distribution),
        }),
        ..Default::default()
    };
    for member in members.into_iter().filter(|member| member != from) {
        for device in live_devices(world, &member).unwrap_or_default() {
            let enc = seal(world, from, &member, device, &carrier).await?;
            let author = world.accounts.get(from).context("no such account")?;
            let stanza = NodeBuilder::new("message")
                .attr("from", jid.clone())
                .attr("participant", author.lid_jid(0))
                .attr("participant_pn", author.phone_jid(0))
                .attr("addressing_mode", "lid");
            let group_part = NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg");
            let group_part = marked(group_part, message).bytes(sealed.clone()).build();
            let stanza = enveloped(stanza, author, &id, message, vec![enc, group_part]);
            world.deliver(&member, device, stanza);
        }
        let chat = jid.to_string();
        show(world, &member, Arrived { id: &id, chat: &chat, from, message, raw: message.encode_to_vec() });
    }
    if let Some(author) = world.accounts.get_mut(from) {
        author.book.remember(&id, from, message);
    }
    Ok(id)
}

/// What every message of a phone says on its outside.
fn enveloped(stanza: NodeBuilder, author: &Account, id: &str, message: &wa::Message, parts: Vec<Node>) -> Node {
    let envelope = envelope(message);
    let mut stanza = stanza
        .attr("id", id.to_owned())
        .attr("t", now())
        .attr("notify", author.name.clone())
        .attr("type", envelope.kind);
    if let Some(edit) = envelope.edit {
        stanza = stanza.attr("edit", edit);
    }
    let meta = envelope.poll.map(|poll| NodeBuilder::new("meta").attr("polltype", poll).build());
    stanza.children(meta.into_iter().chain(parts).collect::<Vec<_>>()).build()
}

/// The encrypted part names the kind of a file it describes.
fn marked(enc: NodeBuilder, message: &wa::Message) -> NodeBuilder {
    match envelope(message).media {
        Some(media) => enc.attr("mediatype", media),
        None => enc,
    }
}

/// The phone gives a new device the account's app-state key, as the real one does right after linking.
pub(crate) async fn share_sync_keys(world: &mut World, account: &str, device: u16) -> Result<()> {
    let owner = world.accounts.get_mut(account).context("no such account")?;
    let companion = owner.companions.get_mut(&device).context("no such device")?;
    if std::mem::replace(&mut companion.has_sync_keys, true) {
        return Ok(());
    }
    let (key_id, key) = owner.sync_key.clone();
    let share = wa::AppStateSyncKeyShare {
        keys: vec![wa::AppStateSyncKey {
            key_id: Some(wa::AppStateSyncKeyId { key_id: Some(key_id) }),
            key_data: Some(wa::AppStateSyncKeyData {
                key_data: Some(key),
                fingerprint: Some(wa::AppStateSyncKeyFingerprint {
                    raw_id: Some(owner.raw_id),
                    current_index: Some(1),
                    device_indexes: vec![0, 1],
                }),
                timestamp: Some(i64::try_from(now())?),
            }),
        }],
    };
    let message = wa::Message {
        protocol_message: Some(Box::new(wa::ProtocolMessage {
            r#type: Some(wa::protocol_message::Type::AppStateSyncKeyShare as i32),
            app_state_sync_key_share: Some(share),
            ..Default::default()
        })),
        ..Default::default()
    };
    let enc = seal(world, account, account, device, &message).await?;
    let owner = world.accounts.get(account).context("no such account")?;
    let stanza = NodeBuilder::new("message")
        .attr("from", owner.phone_jid(0))
        .attr("id", message_id())
        .attr("t", now())
        .attr("type", "text")
        .attr("category", "peer")
        .attr("push_priority", "high")
        .children([enc])
        .build();
    world.deliver(account, device, stanza);
    Ok(())
}

fn live_devices(world: &World, account: &str) -> Option<Vec<u16>> {
    let companions = &world.accounts.get(account)?.companions;
    Some(companions.iter().filter(|(_, companion)| !companion.removed).map(|(device, _)| *device).collect())
}

/// Encrypts from one account's phone to one device, starting a session when there is none.
async fn seal(world: &mut World, from: &str, to: &str, device: u16, message: &wa::Message) -> Result<Node> {
    let peer = format!("{to}:{device}");
    let needs_session = !world.accounts.get(from).context("no such account in `from`")?.phone.has_session(&peer);
    let bundle: Option<Bundle> = if needs_session {
        let companion = world.companion(to, device).context("no such device")?;
        Some(companion.take_bundle().context("the device has published no keys yet")?)
    } else {
        None
    };
    let phone = &mut world.accounts.get_mut(from).context("no such account in `from`")?.phone;
    if let Some(bundle) = bundle {
        phone.start_session(&peer, &bundle).await?;
    }
    let (kind, sealed) = phone.encrypt(&peer, &pad(message)).await?;
    Ok(marked(NodeBuilder::new("enc").attr("v", "2").attr("type", kind), message).bytes(sealed).build())
}
