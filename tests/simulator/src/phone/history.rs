//! History that a phone gives to a new device: prepared beforehand, made up, in files on the media host. What it has beyond
//! that it gives when it is asked for it, chat by chat.

use super::sync::to_own_device;
use crate::account::{Account, lid_of};
use crate::attachment::{self, Kind};
use crate::message;
use crate::wa;
use crate::world::World;
use anyhow::{Result, ensure};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use prost::Message as _;
use std::io::Write as _;
use std::ops::Range;

/// Chats that may be prepared, and messages in all of them together.
pub(crate) const CHATS_MAX: u32 = 10_000;
pub(crate) const MESSAGES_MAX: u32 = 1_000_000;
/// Messages of one file, when nothing else is asked for.
pub(crate) const FILE_MESSAGES: u32 = 10_000;
/// The first made-up contact; the others follow.
const FIRST_CONTACT: u64 = 6_289_900_000_000;
/// Between two messages of a chat.
const MESSAGE_SECONDS: i64 = 60;

/// How much history the phone has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Prepared {
    pub(crate) chats: u32,
    /// In each chat, given to a new device.
    pub(crate) messages: u32,
    /// In each chat before those, given when asked for.
    pub(crate) older: u32,
    /// Messages of one file.
    pub(crate) per_file: u32,
    /// When it was prepared, unix seconds: the time of the newest message.
    pub(crate) at: i64,
}

type Type = wa::history_sync::Type;

/// What stands on a file.
struct Label {
    kind: Type,
    order: u32,
    /// Percent.
    progress: u32,
    /// The request that it answers.
    request: Option<String>,
}

/// Gives it to the device, once; nothing when nothing was prepared. The newest chats come first (INITIAL_BOOTSTRAP), the
/// next ones as RECENT, and the rest as FULL.
pub(crate) async fn give(world: &World, account: &Account, device: u16) -> Result<()> {
    let prepared = account.state().history;
    let due = {
        let mut state = account.state();
        let companion = state.companions.get_mut(&device);
        companion.is_some_and(|companion| !std::mem::replace(&mut companion.has_history, true))
    };
    if !due || prepared.chats == 0 {
        return Ok(());
    }
    let per_file = usize::try_from(prepared.per_file / prepared.messages.max(1))?.max(1);
    let contacts: Vec<u64> = (0..u64::from(prepared.chats)).map(|number| FIRST_CONTACT + number).collect();
    let files: Vec<&[u64]> = contacts.chunks(per_file).collect();
    for (order, chats) in files.iter().enumerate() {
        let kind = match order {
            0 => Type::InitialBootstrap,
            recent if recent <= files.len() / 2 => Type::Recent,
            _ => Type::Full,
        };
        let progress = u32::try_from((order + 1) * 100 / files.len())?;
        let label = Label { kind, order: u32::try_from(order)?, progress, request: None };
        let given = 0..i64::from(prepared.messages);
        let chats = chats.iter().map(|contact| conversation(&prepared, *contact, given.clone())).collect();
        send(world, account, device, label, chats).await?;
    }
    Ok(())
}

/// Answers a device that asks for what was in a chat before a message; with nothing when the phone has nothing.
pub(super) async fn give_older(
    world: &World,
    account: &Account,
    device: u16,
    request: &str,
    wanted: &wa::HistorySyncOnDemandRequest,
) -> Result<()> {
    let prepared = account.state().history;
    let contact = (0..u64::from(prepared.chats))
        .map(|number| FIRST_CONTACT + number)
        .find(|contact| [phone_jid(*contact), lid_jid(*contact)].iter().any(|jid| jid == wanted.chat_jid()));
    let oldest = contact.and_then(|contact| {
        let known = -i64::from(prepared.older)..i64::from(prepared.messages);
        known.into_iter().find(|number| message_id(contact, *number) == wanted.oldest_msg_id())
    });
    let chats = match (contact, oldest) {
        (Some(contact), Some(oldest)) => {
            let first = oldest.saturating_sub(i64::from(wanted.on_demand_msg_count())).max(-i64::from(prepared.older));
            vec![conversation(&prepared, contact, first..oldest)]
        }
        _ => Vec::new(),
    };
    let label = Label { kind: Type::OnDemand, order: 0, progress: 100, request: Some(request.to_owned()) };
    send(world, account, device, label, chats).await
}

async fn send(
    world: &World,
    account: &Account,
    device: u16,
    label: Label,
    conversations: Vec<wa::Conversation>,
) -> Result<()> {
    let pushnames =
        conversations.iter().map(|chat| wa::Pushname { id: Some(chat.id.clone()), pushname: chat.name.clone() });
    let sync = wa::HistorySync {
        sync_type: Some(label.kind as i32),
        chunk_order: Some(label.order),
        progress: Some(label.progress),
        pushnames: pushnames.collect(),
        conversations,
    };
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&sync.encode_to_vec())?;
    let sealed = attachment::seal(Kind::History, &packed.finish()?)?;
    let notification = wa::HistorySyncNotification {
        file_sha256: Some(sealed.sha256.to_vec()),
        file_length: Some(sealed.length),
        media_key: Some(sealed.key.to_vec()),
        file_enc_sha256: Some(sealed.sealed_sha256.to_vec()),
        direct_path: Some(sealed.path.clone()),
        sync_type: sync.sync_type,
        chunk_order: sync.chunk_order,
        progress: sync.progress,
        peer_data_request_session_id: label.request,
    };
    ensure!(world.keep_file(sealed.path, sealed.blob.into()), "the media host is full");
    let protocol = wa::ProtocolMessage {
        r#type: Some(wa::protocol_message::Type::HistorySyncNotification as i32),
        history_sync_notification: Some(notification),
        ..Default::default()
    };
    to_own_device(world, account, device, protocol).await
}

fn phone_jid(contact: u64) -> String {
    format!("{contact}@s.whatsapp.net")
}

fn lid_jid(contact: u64) -> String {
    format!("{}@lid", lid_of(&contact.to_string()))
}

/// Messages are numbered from the first that a new device is given; those before it count down from -1.
fn message_id(contact: u64, number: i64) -> String {
    match u32::try_from(number) {
        Ok(number) => format!("3EB0{contact:X}{number:08X}"),
        Err(_) => format!("3EB0{contact:X}F{:07X}", -number),
    }
}

/// Some messages of a chat, in the order in which they were written.
fn conversation(prepared: &Prepared, contact: u64, numbers: Range<i64>) -> wa::Conversation {
    let jid = phone_jid(contact);
    let newest = prepared.at - (i64::from(prepared.messages) - numbers.end) * MESSAGE_SECONDS;
    let entries = numbers.map(|number| {
        let key = wa::MessageKey {
            remote_jid: Some(jid.clone()),
            from_me: Some(number.rem_euclid(2) == 1),
            id: Some(message_id(contact, number)),
            participant: None,
        };
        let time = prepared.at - (i64::from(prepared.messages) - number) * MESSAGE_SECONDS;
        let text = if number < 0 { format!("older {}", -number) } else { format!("number {number}") };
        wa::HistorySyncMsg {
            message: Some(wa::WebMessageInfo {
                key,
                message: Some(message::text(&text)),
                message_timestamp: u64::try_from(time).ok(),
                push_name: None,
            }),
            msg_order_id: u64::try_from(number + i64::from(prepared.older)).ok(),
        }
    });
    wa::Conversation {
        id: jid.clone(),
        messages: entries.collect(),
        last_msg_timestamp: u64::try_from(newest).ok(),
        unread_count: Some(0),
        conversation_timestamp: u64::try_from(newest).ok(),
        name: Some(format!("Contact {contact}")),
        pn_jid: Some(jid),
        lid_jid: Some(lid_jid(contact)),
    }
}
