//! What the account's devices tell each other of its chats and contacts, through WhatsApp's app state.

use crate::domain::chat::{Change, ChatChange, MUTED_FOR_GOOD};
use crate::domain::clock::UnixMs;
use crate::domain::label::{ID_CHARS_MAX, LabelChange, LabelEdit, NAME_CHARS_MAX};
use wacore::types::events::Event;
use wacore_binary::Jid;

/// What comes with all of a collection was done at any time, and is news when that was less than this ago.
const NEWS_FOR_MS: i64 = 60_000;

/// `None` for what is not of a chat or a contact. What was done since `missing_since` is news, however it comes.
pub(super) fn change(told: &Event, missing_since: Option<UnixMs>) -> Option<ChatChange> {
    let of = |jid: &Jid, at_ms: i64, full_sync: bool, change: Change| {
        let news_from = wacore::time::now_millis().min(missing_since.unwrap_or(i64::MAX)) - NEWS_FOR_MS;
        let is_news = !full_sync || at_ms > news_from;
        Some(ChatChange { address: jid.to_non_ad().to_string(), change, at: at_ms, is_news })
    };
    match told {
        Event::ArchiveUpdate(update) => {
            let archived = update.action.archived.unwrap_or(false);
            of(&update.jid, update.timestamp.timestamp_millis(), update.from_full_sync, Change::Archived(archived))
        }
        Event::PinUpdate(update) => {
            let pinned = update.action.pinned.unwrap_or(false);
            of(&update.jid, update.timestamp.timestamp_millis(), update.from_full_sync, Change::Pinned(pinned))
        }
        Event::MuteUpdate(update) => {
            let until = muted_until(update.action.muted, update.action.mute_end_timestamp);
            of(&update.jid, update.timestamp.timestamp_millis(), update.from_full_sync, Change::MutedUntil(until))
        }
        Event::MarkChatAsReadUpdate(update) => {
            let read = update.action.read.unwrap_or(false);
            of(&update.jid, update.timestamp.timestamp_millis(), update.from_full_sync, Change::Read(read))
        }
        Event::DeleteChatUpdate(update) => {
            of(&update.jid, update.timestamp.timestamp_millis(), update.from_full_sync, Change::Deleted)
        }
        Event::ClearChatUpdate(update) => {
            let change = Change::Cleared { keep_starred: !update.delete_starred };
            of(&update.jid, update.timestamp.timestamp_millis(), update.from_full_sync, change)
        }
        Event::StarUpdate(update) => {
            let starred = update.action.starred.unwrap_or(false);
            let change = Change::Starred { wa_id: update.message_id.clone(), starred };
            of(&update.chat_jid, update.timestamp.timestamp_millis(), update.from_full_sync, change)
        }
        Event::DeleteMessageForMeUpdate(update) => {
            let change = Change::MessageDeleted { wa_id: update.message_id.clone() };
            of(&update.chat_jid, update.timestamp.timestamp_millis(), update.from_full_sync, change)
        }
        Event::ContactUpdate(update) => {
            let (name, first_name) = (update.action.full_name.clone(), update.action.first_name.clone());
            let change = Change::Named { name, first_name };
            of(&update.jid, update.timestamp.timestamp_millis(), update.from_full_sync, change)
        }
        Event::LabelAssociationUpdate(update) => {
            if !is_label_id(&update.label_id) {
                return None;
            }
            let on = update.action.labeled.unwrap_or(false);
            let change = Change::Labeled { label: update.label_id.clone(), on };
            of(&update.chat_jid, update.timestamp.timestamp_millis(), update.from_full_sync, change)
        }
        Event::UserStatusMuteUpdate(update) => {
            let at = update.timestamp.timestamp_millis();
            of(&update.jid, at, update.from_full_sync, Change::StatusMuted(update.muted))
        }
        _ => None,
    }
}

/// Other devices of the account may write anything.
fn is_label_id(text: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&text.chars().count())
}

/// What became of a label, its name cut to what is kept; `None` for everything else.
pub(super) fn label(told: &Event) -> Option<LabelChange> {
    let Event::LabelEditUpdate(update) = told else { return None };
    if !is_label_id(&update.label_id) {
        return None;
    }
    let action = &update.action;
    let edit = match (action.deleted, &action.name) {
        (Some(true), _) => LabelEdit::Deleted,
        (_, Some(name)) => {
            let name = name.chars().take(NAME_CHARS_MAX).collect();
            LabelEdit::Named { name, color: action.color, at: update.timestamp.timestamp_millis() }
        }
        (_, None) => return None,
    };
    Some(LabelChange { id: update.label_id.clone(), edit })
}

/// WhatsApp writes the end in milliseconds, and -1 or nothing for good.
fn muted_until(muted: Option<bool>, end_ms: Option<i64>) -> i64 {
    match (muted, end_ms) {
        (Some(true), Some(end)) if end > 0 => end,
        (Some(true), _) => MUTED_FOR_GOOD,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_milliseconds_is_kept_and_none_is_for_good() {
        assert_eq!(muted_until(Some(true), Some(1_700_000_000_000)), 1_700_000_000_000);
        assert_eq!(muted_until(Some(true), Some(-1)), MUTED_FOR_GOOD);
        assert_eq!(muted_until(Some(true), None), MUTED_FOR_GOOD);
        assert_eq!(muted_until(Some(false), Some(0)), 0);
        assert_eq!(muted_until(None, None), 0);
    }
}
