//! A file of the history that a phone gives when a device is linked, or when it is asked: read as a stream, and taken in by the
//! store in small parts, so that memory holds one chat and a few of those. What is here already stays.

use super::incoming::line;
use crate::domain::chat::{Line, MUTED_FOR_GOOD, is_chat, is_lid};
use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use crate::domain::outgoing::Status;
use crate::store::{HistoryChat, HistoryEnd, HistoryPart, Lease, NewLine, Store};
use buffa::Message as _;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::mpsc;
use wacore::types::events::{Event, LazyHistorySync};
use waproto::whatsapp as wa;

/// Messages of one part, which is one request to the store.
const PART_MESSAGES_MAX: usize = 100;
/// Chats, names or pairs of one part.
const PART_ROWS_MAX: usize = 100;
/// Messages that are taken of one chat in one file: the newest.
const CHAT_MESSAGES_MAX: usize = 50_000;
/// Parts that wait for the store; the reader waits when there are more.
const PARTS_QUEUED_MAX: usize = 2;
/// A word that there is a file, without the file itself, has some bytes.
const WORD_BYTES_MAX: usize = 4_096;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Done,
    /// The connection ended, or the store took no more.
    CutOff,
    /// It could not be fetched, or does not read.
    Failed,
}

/// Whether a message between the account's devices tells of a file of history.
pub(super) fn tells_of_a_file(message: &[u8]) -> bool {
    if message.len() > WORD_BYTES_MAX {
        return false;
    }
    let Ok(message) = wa::Message::decode_from_slice(message) else { return false };
    let kind = message.protocol_message.as_option().and_then(|protocol| protocol.r#type);
    kind == Some(wa::message::protocol_message::Type::HISTORY_SYNC_NOTIFICATION)
}

/// Takes in the file that `word` told of.
pub(super) async fn take_in(store: &Store, tenant: &TenantId, lease: &Lease, word: &str, file: Arc<Event>) -> Reading {
    let (parts, mut read) = mpsc::channel(PARTS_QUEUED_MAX);
    let word = word.to_owned();
    let reader = tokio::task::spawn_blocking(move || match &*file {
        Event::HistorySync(sync) => {
            Reader { parts, part: HistoryPart::default(), messages: 0, newest: 0 }.file(sync, word)
        }
        _ => Ok(()),
    });
    let mut reading = Reading::Done;
    while let Some(part) = read.recv().await {
        if let Err(error) = store.record_history(tenant, lease, part).await {
            tracing::error!(device = %lease.device, %error, "history could not be written");
            reading = Reading::CutOff;
            break;
        }
    }
    drop(read);
    match reader.await {
        Ok(Ok(()) | Err(HistoryError::Abandoned)) => reading,
        Ok(Err(error)) => {
            tracing::error!(device = %lease.device, %error, "a file of history does not read");
            Reading::Failed
        }
        Err(error) => {
            tracing::error!(device = %lease.device, %error, "reading a file of history ended badly");
            Reading::Failed
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum HistoryError {
    #[error(transparent)]
    Stream(#[from] wacore::history_sync::HistorySyncError),
    /// The store took no more; that is logged where it happened.
    #[error("nobody takes it in")]
    Abandoned,
}

/// Cuts a file into parts.
struct Reader {
    parts: mpsc::Sender<HistoryPart>,
    part: HistoryPart,
    /// In `part`.
    messages: usize,
    /// When the newest message of the file was written.
    newest: UnixMs,
}

impl Reader {
    fn file(mut self, sync: &LazyHistorySync, word: String) -> Result<(), HistoryError> {
        let (mut chats, mut messages) = (0, 0);
        let mut stream = sync.stream();
        while let Some(conversation) = stream.next_conversation()? {
            if is_chat(&conversation.id) {
                chats += 1;
                messages += self.chat(&conversation)?;
            }
        }
        let rest = stream.remainder()?;
        for mapping in &rest.phone_number_to_lid_mappings {
            if let (Some(phone), Some(lid)) = (&mapping.pn_jid, &mapping.lid_jid) {
                self.part.pairs.push((lid.clone(), phone.clone()));
                self.send_when(self.part.pairs.len() >= PART_ROWS_MAX)?;
            }
        }
        for name in &rest.pushnames {
            if let (Some(who), Some(name)) = (&name.id, &name.pushname) {
                self.part.names.push((who.clone(), name.clone()));
                self.send_when(self.part.names.len() >= PART_ROWS_MAX)?;
            }
        }
        let (order, progress) = (sync.chunk_order(), sync.progress());
        let file = hex::encode(Sha256::digest(sync.compressed_bytes()));
        let file = format!("{file} {}", sync.peer_data_request_session_id().unwrap_or_default());
        let (at, kind) = (self.newest, kind(sync.sync_type()));
        self.part.end = Some(HistoryEnd { word, file, at, kind, order, progress, chats, messages });
        self.send_when(true)
    }

    /// How many messages it has.
    fn chat(&mut self, conversation: &wa::Conversation) -> Result<u64, HistoryError> {
        let mut lines: Vec<(NewLine, u64)> = conversation
            .messages
            .iter()
            .filter_map(|one| Some((old_line(one.message.as_option()?)?, one.msg_order_id.unwrap_or(0))))
            .collect();
        // Times are whole seconds: the phone's own order tells within one.
        lines.sort_by_key(|(line, order)| std::cmp::Reverse((line.at, *order)));
        lines.truncate(CHAT_MESSAGES_MAX);
        let mut lines: Vec<NewLine> = lines.into_iter().map(|(line, _)| line).collect();
        self.newest = self.newest.max(lines.first().map_or(0, |line| line.at));
        let unread = conversation.unread_count.unwrap_or(0);
        let theirs = lines.iter_mut().filter(|line| !line.from_me);
        theirs.take(usize::try_from(unread).unwrap_or(0)).for_each(|line| line.unread = true);
        let taken = lines.len() as u64;
        // The order of arrival is the order within a second.
        lines.reverse();
        let chat = HistoryChat {
            address: conversation.id.clone(),
            other: other_address(conversation),
            name: conversation.name.clone().or_else(|| conversation.display_name.clone()),
            unread_count: unread,
            marked_unread: conversation.marked_as_unread.unwrap_or(false),
            last_message_at: ms(conversation.conversation_timestamp.or(conversation.last_msg_timestamp)),
            archived: conversation.archived.unwrap_or(false),
            muted_until: muted_until(conversation.mute_end_time),
            pinned: conversation.pinned.is_some_and(|at| at > 0),
            lines: Vec::new(),
        };
        let mut lines = lines.into_iter().peekable();
        loop {
            let some: Vec<NewLine> = lines.by_ref().take(PART_MESSAGES_MAX - self.messages).collect();
            self.messages += some.len();
            self.part.chats.push(HistoryChat { lines: some, ..chat.clone() });
            let full = self.messages >= PART_MESSAGES_MAX || self.part.chats.len() >= PART_ROWS_MAX;
            self.send_when(full)?;
            if lines.peek().is_none() {
                return Ok(taken);
            }
        }
    }

    fn send_when(&mut self, full: bool) -> Result<(), HistoryError> {
        if !full {
            return Ok(());
        }
        self.messages = 0;
        self.parts.blocking_send(std::mem::take(&mut self.part)).map_err(|_| HistoryError::Abandoned)
    }
}

fn other_address(conversation: &wa::Conversation) -> Option<String> {
    if is_lid(&conversation.id) { conversation.pn_jid.clone() } else { conversation.lid_jid.clone() }
}

fn old_line(message: &wa::WebMessageInfo) -> Option<NewLine> {
    let key = message.key.as_option()?;
    let Some(Line::New { kind, text, is_caption }) = line(message.message.as_option()?) else { return None };
    let from_me = key.from_me.unwrap_or(false);
    let author = key.participant.clone().or_else(|| message.participant.clone()).or_else(|| key.remote_jid.clone());
    Some(NewLine {
        wa_id: key.id.clone()?,
        from_me,
        sender: author.filter(|_| !from_me).unwrap_or_default(),
        outbox_id: None,
        media_id: None,
        kind: kind.to_owned(),
        text,
        is_caption,
        at: ms(message.message_timestamp),
        status: from_me.then(|| status(message.status)),
        unread: false,
        starred: message.starred.unwrap_or(false),
    })
}

fn status(told: Option<wa::web_message_info::Status>) -> Status {
    use wa::web_message_info::Status as Told;
    match told {
        Some(Told::ERROR) => Status::Failed,
        Some(Told::DELIVERY_ACK) => Status::Delivered,
        Some(Told::READ) => Status::Read,
        Some(Told::PLAYED) => Status::Played,
        Some(Told::PENDING | Told::SERVER_ACK) | None => Status::Sent,
    }
}

fn ms(seconds: Option<u64>) -> i64 {
    seconds.and_then(|seconds| i64::try_from(seconds).ok()).map_or(0, |seconds| seconds.saturating_mul(1_000))
}

/// Phones write seconds or milliseconds, and the largest number for good.
fn muted_until(end: Option<u64>) -> i64 {
    const MILLISECONDS_FROM: i64 = 100_000_000_000;
    match end.map(i64::try_from) {
        None | Some(Ok(0)) => 0,
        Some(Ok(end)) if end < MILLISECONDS_FROM => end * 1_000,
        Some(Ok(end)) if end < MILLISECONDS_FROM * 1_000 => end,
        Some(_) => MUTED_FOR_GOOD,
    }
}

fn kind(sync_type: i32) -> &'static str {
    match sync_type {
        0 => "initial_bootstrap",
        1 => "initial_status",
        2 => "full",
        3 => "recent",
        4 => "push_name",
        5 => "non_blocking_data",
        6 => "on_demand",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_mute_is_read_in_seconds_and_in_milliseconds() {
        assert_eq!(muted_until(None), 0);
        assert_eq!(muted_until(Some(0)), 0);
        assert_eq!(muted_until(Some(1_700_000_000)), 1_700_000_000_000);
        assert_eq!(muted_until(Some(1_700_000_000_000)), 1_700_000_000_000);
        assert_eq!(muted_until(Some(u64::MAX)), MUTED_FOR_GOOD);
    }

    #[test]
    fn a_chat_with_more_messages_than_a_part_holds_comes_in_several_and_keeps_its_newest() {
        let message = |number: u64| wa::HistorySyncMsg {
            message: buffa::MessageField::some(wa::WebMessageInfo {
                key: buffa::MessageField::some(wa::MessageKey {
                    remote_jid: Some("6281@s.whatsapp.net".into()),
                    from_me: Some(false),
                    id: Some(format!("ID{number}")),
                    participant: None,
                }),
                message: buffa::MessageField::some(wa::Message {
                    conversation: Some(format!("number {number}")),
                    ..Default::default()
                }),
                message_timestamp: Some(number),
                ..Default::default()
            }),
            ..Default::default()
        };
        let conversation = wa::Conversation {
            id: "6281@s.whatsapp.net".into(),
            messages: (1..=250).map(message).collect(),
            unread_count: Some(2),
            ..Default::default()
        };
        let (parts, mut read) = mpsc::channel(8);
        let mut reader = Reader { parts, part: HistoryPart::default(), messages: 0, newest: 0 };

        let taken = std::thread::spawn(move || {
            let taken = reader.chat(&conversation).expect("it is taken");
            reader.send_when(true).expect("it is taken");
            taken
        })
        .join()
        .expect("it ends");

        let mut lines = Vec::new();
        while let Ok(part) = read.try_recv() {
            assert!(part.chats.iter().map(|chat| chat.lines.len()).sum::<usize>() <= PART_MESSAGES_MAX);
            lines.extend(part.chats.into_iter().flat_map(|chat| chat.lines));
        }
        assert_eq!((taken, lines.len()), (250, 250));
        let unread: Vec<&str> = lines.iter().filter(|line| line.unread).map(|line| line.wa_id.as_str()).collect();
        assert_eq!(unread, ["ID249", "ID250"], "the oldest comes first");
    }
}
