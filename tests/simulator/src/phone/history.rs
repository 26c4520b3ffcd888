//! History that a phone gives to a new device: prepared beforehand, made up, in files on the media host.

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

/// Chats that may be prepared, and messages in all of them together.
pub(crate) const CHATS_MAX: u32 = 10_000;
pub(crate) const MESSAGES_MAX: u32 = 1_000_000;
/// Messages of one file.
const FILE_MESSAGES: usize = 10_000;
/// The first made-up contact; the others follow.
const FIRST_CONTACT: u64 = 6_289_900_000_000;

/// How much history the phone has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Prepared {
    pub(crate) chats: u32,
    /// In each chat.
    pub(crate) messages: u32,
}

/// Gives it to the device, once; nothing when nothing was prepared.
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
    let per_file = (FILE_MESSAGES / usize::try_from(prepared.messages.max(1))?).max(1);
    let contacts: Vec<u64> = (0..u64::from(prepared.chats)).map(|number| FIRST_CONTACT + number).collect();
    let files: Vec<&[u64]> = contacts.chunks(per_file).collect();
    for (order, chats) in files.iter().enumerate() {
        let kind = if order == 0 { Type::InitialBootstrap } else { Type::Recent };
        let done = u32::try_from((order + 1) * 100 / files.len())?;
        let sync = wa::HistorySync {
            sync_type: Some(kind as i32),
            conversations: chats.iter().map(|contact| conversation(world, *contact, prepared.messages)).collect(),
            chunk_order: Some(u32::try_from(order)?),
            progress: Some(done),
            pushnames: chats.iter().map(|contact| push_name(*contact)).collect(),
        };
        send(world, account, device, &sync).await?;
    }
    Ok(())
}

type Type = wa::history_sync::Type;

async fn send(world: &World, account: &Account, device: u16, sync: &wa::HistorySync) -> Result<()> {
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
    };
    ensure!(world.keep_file(sealed.path, sealed.blob.into()), "the media host is full");
    let protocol = wa::ProtocolMessage {
        r#type: Some(wa::protocol_message::Type::HistorySyncNotification as i32),
        history_sync_notification: Some(notification),
        ..Default::default()
    };
    to_own_device(world, account, device, protocol).await
}

fn conversation(world: &World, contact: u64, messages: u32) -> wa::Conversation {
    let jid = format!("{contact}@s.whatsapp.net");
    let now = world.now();
    let entries = (0..messages).map(|number| {
        let key = wa::MessageKey {
            remote_jid: Some(jid.clone()),
            from_me: Some(number % 2 == 1),
            id: Some(format!("3EB0{contact:X}{number:08X}")),
            participant: None,
        };
        let time = now.saturating_sub(u64::from(messages - number) * 60);
        wa::HistorySyncMsg {
            message: Some(wa::WebMessageInfo {
                key,
                message: Some(message::text(&format!("number {number}"))),
                message_timestamp: Some(time),
            }),
            msg_order_id: Some(u64::from(number)),
        }
    });
    wa::Conversation {
        id: jid.clone(),
        messages: entries.collect(),
        last_msg_timestamp: Some(now),
        unread_count: Some(0),
        conversation_timestamp: Some(now),
        name: Some(format!("Contact {contact}")),
        pn_jid: Some(jid),
        lid_jid: Some(format!("{}@lid", lid_of(&contact.to_string()))),
    }
}

fn push_name(contact: u64) -> wa::Pushname {
    wa::Pushname { id: Some(format!("{contact}@s.whatsapp.net")), pushname: Some(format!("Contact {contact}")) }
}
