//! A message on its way out: what it carries and the states it passes.

use crate::domain::allowance::SendKind;
use crate::domain::clock::UnixMs;
use crate::domain::ids::MediaId;
use crate::domain::interactive::Interactive;
use crate::domain::jid::ChatId;
use crate::domain::media::MediaKind;
use crate::domain::poll::Poll;
use crate::domain::status_post::StatusPost;
use serde::{Deserialize, Serialize};

/// Characters of a text message.
pub const TEXT_CHARS_MAX: usize = 65_536;
/// Attempts to hand one message to WhatsApp before it is failed.
pub const SEND_ATTEMPTS_MAX: u32 = 5;
/// People mentioned in one message.
pub const MENTIONS_MAX: usize = 256;
/// Contacts shared in one message.
pub const CONTACTS_MAX: usize = 50;
/// The longest emoji are sequences of about a dozen characters.
pub const EMOJI_CHARS_MAX: usize = 32;
/// How long after it was sent WhatsApp lets a message be edited.
pub const EDIT_WINDOW_MS: i64 = 15 * 60 * 1_000;
/// The same of a post in a newsletter.
pub const POST_EDIT_WINDOW_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// What a message carries. Stored with the outbox row, so a field once written stays readable: additions are optional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    Text {
        text: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<ChatId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quoted_message_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link_preview: Option<LinkPreview>,
    },
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quoted_message_id: Option<String>,
    },
    Contacts {
        contacts: Vec<ContactCard>,
    },
    Media(MediaContent),
    Reaction {
        /// WhatsApp's id of the message that is reacted to.
        message_id: String,
        /// Empty takes the reaction back.
        emoji: String,
        /// Whether that message is ours.
        from_me: bool,
        /// Who wrote it, in a group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant: Option<String>,
    },
    Poll(Poll),
    Interactive(Interactive),
    /// For the account's status, in no chat.
    Status(StatusPost),
    /// A message that was received or sent, again for somebody else.
    Forward {
        /// WhatsApp's id of that message, and the chat it stands in.
        message_id: String,
        from: String,
        /// Who wrote it; absent for what this gateway sent. Others may give their messages the same id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<String>,
        /// What it says, for plugins, as far as the gateway has a word for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<Box<Content>>,
    },
    /// Another text in the place of one of ours.
    Edit {
        /// WhatsApp's id of that message.
        message_id: String,
        text: String,
        /// When WhatsApp's window closes.
        until: UnixMs,
    },
    /// Takes a message back, for everyone.
    Delete {
        /// WhatsApp's id of that message.
        message_id: String,
        /// Whether that message is ours.
        from_me: bool,
        /// Who wrote it, in a group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant: Option<String>,
    },
    /// Not shown to anybody: tells the sender that messages were read, as far as the account's privacy allows.
    ReadReceipt {
        message_ids: Vec<String>,
        /// Who wrote them, in a group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant: Option<String>,
    },
}

/// What is shown of a link. Given by the client: the gateway fetches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPreview {
    /// A part of the text.
    pub url: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A file of the tenant's, and how it is shown. The file's type and size are those of its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaContent {
    pub media_id: MediaId,
    pub kind: MediaKind,
    /// In place of the file's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Sound that is shown as a voice note.
    #[serde(default)]
    pub ptt: bool,
    #[serde(default)]
    pub view_once: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted_message_id: Option<String>,
}

/// One contact that is shared, as a vCard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCard {
    pub display_name: String,
    pub vcard: String,
}

impl ContactCard {
    /// A vCard 3.0 with one number, as phones write it: `waid` makes WhatsApp offer to message it.
    pub fn of_phone(display_name: &str, digits: &str) -> Self {
        let name: String = display_name
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| if matches!(c, ',' | ';' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        let vcard =
            format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;type=VOICE;waid={digits}:+{digits}\nEND:VCARD");
        Self { display_name: display_name.to_owned(), vcard }
    }
}

impl Content {
    /// The public name of the kind: rate windows and metrics are per kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Location { .. } => "location",
            Self::Contacts { .. } => "contact",
            Self::Media(media) => media.kind.as_str(),
            Self::Reaction { .. } => "reaction",
            Self::Poll(_) => "poll",
            Self::Interactive(_) => "interactive",
            Self::Status(post) => post.shown.kind(),
            Self::Forward { .. } => "forward",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::ReadReceipt { .. } => "read_receipt",
        }
    }

    /// The window of the device that it is charged to, whoever sends it; nothing for what is never charged.
    pub fn send_kind(&self) -> Option<SendKind> {
        match self {
            Self::Text { .. } | Self::Interactive(_) | Self::Edit { .. } | Self::Delete { .. } => Some(SendKind::Text),
            Self::Media(_) => Some(SendKind::Media),
            Self::Location { .. } => Some(SendKind::Location),
            Self::Contacts { .. } => Some(SendKind::Contact),
            Self::Reaction { .. } => Some(SendKind::Reaction),
            Self::Poll(_) => Some(SendKind::Poll),
            Self::Forward { .. } => Some(SendKind::Forward),
            Self::Status(_) => Some(SendKind::Status),
            Self::ReadReceipt { .. } => None,
        }
    }

    /// Whether a person sees it: what nobody sees makes no events.
    pub fn is_message(&self) -> bool {
        !matches!(self, Self::ReadReceipt { .. })
    }

    /// Whether it changes another message in place of being one: its receipts are nobody's news.
    pub fn is_about_another(&self) -> bool {
        matches!(self, Self::Edit { .. } | Self::Delete { .. })
    }

    /// The file it shows.
    pub fn media(&self) -> Option<&MediaId> {
        match self {
            Self::Media(media) => Some(&media.media_id),
            Self::Status(post) => post.shown.media(),
            _ => None,
        }
    }

    /// The id, ours or WhatsApp's, of the message it quotes.
    pub fn quotes(&self) -> Option<&str> {
        match self {
            Self::Text { quoted_message_id, .. } | Self::Location { quoted_message_id, .. } => {
                quoted_message_id.as_deref()
            }
            Self::Media(media) => media.quoted_message_id.as_deref(),
            _ => None,
        }
    }
}

/// Where an outgoing message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, waiting for something before it may be queued (a time, a hook).
    Pending,
    /// Accepted and waiting for its turn.
    Queued,
    /// Handed to WhatsApp; its server has not acknowledged it yet.
    Sending,
    /// WhatsApp's server acknowledged it.
    Sent,
    Delivered,
    Read,
    Played,
    /// WhatsApp refused it, or the attempts ran out.
    Failed,
    /// Its time passed before it could be sent.
    Expired,
}

impl Status {
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Played,
        Self::Failed,
        Self::Expired,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether news of `to` moves a message that stands at `self`. Receipts come late, twice and out of order: a
    /// message only moves forward, and proof that a phone has it outweighs an earlier failure or a missing ack.
    pub fn moves_to(self, to: Self) -> bool {
        match to {
            Self::Delivered | Self::Read | Self::Played => matches!(self, Self::Failed | Self::Expired) || self < to,
            Self::Sent => matches!(self, Self::Pending | Self::Queued | Self::Sending),
            Self::Failed | Self::Expired => self < Self::Sent,
            Self::Sending => matches!(self, Self::Pending | Self::Queued),
            Self::Queued => matches!(self, Self::Pending | Self::Sending),
            Self::Pending => false,
        }
    }
}

/// Why a message cannot be edited any more, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEditable {
    #[error("only a text can be edited")]
    NotText,
    #[error("the message has not been sent yet")]
    NotSent,
    #[error("the message was deleted")]
    Deleted,
    #[error("whatsapp lets a message be edited for 15 minutes, a post for 30 days")]
    TooLate,
}

/// Until when a message of ours may be edited.
pub fn editable(
    chat: &ChatId,
    content: &Content,
    status: Status,
    sent_at: Option<UnixMs>,
    deleted_at: Option<UnixMs>,
    now: UnixMs,
) -> Result<UnixMs, NotEditable> {
    if !matches!(content, Content::Text { .. }) {
        return Err(NotEditable::NotText);
    }
    if deleted_at.is_some() {
        return Err(NotEditable::Deleted);
    }
    let was_sent = matches!(status, Status::Sent | Status::Delivered | Status::Read | Status::Played);
    let sent_at = sent_at.filter(|_| was_sent).ok_or(NotEditable::NotSent)?;
    let window = if chat.is_newsletter() { POST_EDIT_WINDOW_MS } else { EDIT_WINDOW_MS };
    let until = sent_at.saturating_add(window);
    if now > until { Err(NotEditable::TooLate) } else { Ok(until) }
}

/// What a try at sending came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// WhatsApp's server acknowledged it.
    Acked,
    /// WhatsApp's server refused it with this code; trying again does not help.
    Nacked { code: String },
    /// No acknowledgement in time, or the connection went: the same row is tried again with the same WhatsApp id.
    Unknown { detail: String },
    /// It cannot be sent at all (no such recipient, nothing to encrypt to).
    Impossible { detail: String },
}

/// What to do with a message after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Sent,
    Fail {
        reason: String,
    },
    /// Back to the queue; the wait follows the backoff for this number of failures.
    Retry {
        failures: u32,
        reason: String,
    },
}

/// `attempts` counts this try too.
pub fn next_step(outcome: &Outcome, attempts: u32, attempts_max: u32) -> Step {
    match outcome {
        Outcome::Acked => Step::Sent,
        Outcome::Nacked { code } => Step::Fail { reason: format!("whatsapp refused the message with code {code}") },
        Outcome::Impossible { detail } => Step::Fail { reason: detail.clone() },
        Outcome::Unknown { detail } if attempts >= attempts_max => {
            Step::Fail { reason: format!("not acknowledged after {attempts} attempts: {detail}") }
        }
        Outcome::Unknown { detail } => Step::Retry { failures: attempts, reason: detail.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_only_moves_forward() {
        use Status::*;
        for (from, to, moves) in [
            (Queued, Sending, true),
            (Sending, Sent, true),
            (Queued, Sent, true),
            (Sent, Delivered, true),
            (Sending, Read, true),
            (Read, Delivered, false),
            (Read, Sent, false),
            (Delivered, Failed, false),
            (Failed, Delivered, true),
            (Failed, Sent, false),
            (Sending, Queued, true),
            (Sent, Queued, false),
            (Sending, Failed, true),
            (Read, Played, true),
        ] {
            assert_eq!(from.moves_to(to), moves, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_text_is_edited_for_fifteen_minutes_after_it_was_sent() {
        use NotEditable::*;
        let text =
            Content::Text { text: "ten".into(), mentions: Vec::new(), quoted_message_id: None, link_preview: None };
        let contacts = Content::Contacts { contacts: Vec::new() };
        let (sent, end) = (1_000, 1_000 + EDIT_WINDOW_MS);
        for (content, status, sent_at, deleted_at, now, expected) in [
            (&text, Status::Sent, Some(sent), None, sent, Ok(end)),
            (&text, Status::Read, Some(sent), None, end, Ok(end)),
            (&text, Status::Read, Some(sent), None, end + 1, Err(TooLate)),
            (&text, Status::Queued, None, None, sent, Err(NotSent)),
            (&text, Status::Failed, None, None, sent, Err(NotSent)),
            (&text, Status::Sent, Some(sent), Some(sent), sent, Err(Deleted)),
            (&contacts, Status::Sent, Some(sent), None, sent, Err(NotText)),
        ] {
            let chat = ChatId::parse("6281234567890").expect("a number");
            assert_eq!(editable(&chat, content, status, sent_at, deleted_at, now), expected, "{status:?} {now}");
        }
        let newsletter = ChatId::parse("120363400000000001@newsletter").expect("a newsletter");
        let until = editable(&newsletter, &text, Status::Sent, Some(sent), None, end + 1);
        assert_eq!(until, Ok(sent + POST_EDIT_WINDOW_MS));
    }

    #[test]
    fn a_name_cannot_add_lines_to_its_card() {
        let card = ContactCard::of_phone("Ana;\nTEL:+1", "6281100000002");
        assert!(card.vcard.contains("FN:Ana\\;TEL:+1\n"), "{}", card.vcard);
        assert_eq!(card.vcard.matches("\nTEL").count(), 1);
    }

    #[test]
    fn an_unknown_outcome_is_tried_again_until_the_attempts_run_out() {
        let unknown = Outcome::Unknown { detail: "no ack in 20 s".into() };
        assert!(matches!(next_step(&unknown, 1, 5), Step::Retry { failures: 1, .. }));
        assert!(matches!(next_step(&unknown, 5, 5), Step::Fail { .. }));
    }

    #[test]
    fn a_refusal_is_final_and_names_its_code() {
        let step = next_step(&Outcome::Nacked { code: "463".into() }, 1, 5);
        assert!(matches!(step, Step::Fail { reason } if reason.contains("463")));
    }
}
