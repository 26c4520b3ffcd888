//! Chats: what stands in one, and what can be done to one.

use super::clock::UnixMs;

/// A chat that stays muted until somebody says otherwise.
pub const MUTED_FOR_GOOD: UnixMs = -1;
/// The longest time a chat is muted for; longer is for good.
pub const MUTE_MS_MAX: i64 = 10 * 365 * 24 * 3_600_000;

/// What a message does to the lines of its chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    New {
        /// The public name of the kind.
        kind: &'static str,
        text: Option<String>,
        /// The text stands below something else: a file, a place.
        is_caption: bool,
    },
    /// Another text in the place of the one of this WhatsApp id, by who wrote it.
    Edited { target: String, text: Option<String> },
    /// Taken back.
    Deleted { target: String },
}

/// What became of a chat, or is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Archived(bool),
    /// 0 is not muted, [`MUTED_FOR_GOOD`] for good.
    MutedUntil(UnixMs),
    Pinned(bool),
    /// All of it was read, or it was marked as unread by hand.
    Read(bool),
    /// These messages, and what came before them, were read.
    ReadUpTo(Vec<String>),
    /// The chat is gone, with what was in it.
    Deleted,
    /// What was in it is gone.
    Cleared {
        keep_starred: bool,
    },
    Starred {
        wa_id: String,
        starred: bool,
    },
    /// A message is gone from this account's devices.
    MessageDeleted {
        wa_id: String,
    },
    /// One of the account's labels was put on it, or taken from it.
    Labeled {
        label: String,
        on: bool,
    },
    /// Somebody's status posts are not shown among the others, or are again.
    StatusMuted(bool),
    /// Somebody's name in the account's address book.
    Named {
        name: Option<String>,
        first_name: Option<String>,
    },
    /// How somebody calls themselves.
    PushName(String),
}

/// Something that became of a chat, when, and whether anybody is told: what a device learns when it was linked is no news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatChange {
    /// By either of its addresses.
    pub address: String,
    pub change: Change,
    pub at: UnixMs,
    pub is_news: bool,
}

/// Whether an address is of something that is shown as a chat: a person, a group or a newsletter, no list of status posts.
pub fn is_chat(address: &str) -> bool {
    is_person(address) || is_group(address) || is_newsletter(address)
}

pub fn is_person(address: &str) -> bool {
    is_lid(address) || is_phone(address)
}

pub fn is_group(address: &str) -> bool {
    address.ends_with("@g.us")
}

pub fn is_newsletter(address: &str) -> bool {
    address.ends_with("@newsletter")
}

pub fn is_lid(address: &str) -> bool {
    address.ends_with("@lid")
}

pub fn is_phone(address: &str) -> bool {
    address.ends_with("@s.whatsapp.net")
}

/// Until when a chat is muted that is muted now for this long.
pub fn muted_until(now: UnixMs, duration_ms: Option<i64>) -> UnixMs {
    duration_ms.filter(|duration| *duration <= MUTE_MS_MAX).map_or(MUTED_FOR_GOOD, |duration| now + duration)
}

pub fn is_muted(muted_until: UnixMs, now: UnixMs) -> bool {
    muted_until == MUTED_FOR_GOOD || muted_until > now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_muted_for_as_long_as_was_asked_and_for_good_without_a_time() {
        assert_eq!(muted_until(1_000, Some(8_000)), 9_000);
        assert_eq!(muted_until(1_000, None), MUTED_FOR_GOOD);
        assert_eq!(muted_until(1_000, Some(MUTE_MS_MAX + 1)), MUTED_FOR_GOOD);
        assert!(is_muted(9_000, 8_999) && !is_muted(9_000, 9_000));
        assert!(is_muted(MUTED_FOR_GOOD, 9_000) && !is_muted(0, 9_000));
    }

    #[test]
    fn people_groups_and_newsletters_have_chats_and_status_posts_have_none() {
        assert!(
            is_chat("6281@s.whatsapp.net") && is_chat("1@lid") && is_chat("120363@g.us") && is_chat("1@newsletter")
        );
        assert!(!is_chat("status@broadcast"));
        assert!(is_person("1@lid") && !is_person("120363@g.us") && !is_person("1@newsletter"));
    }
}
