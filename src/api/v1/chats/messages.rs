//! The messages of a chat, both ways: received, sent here, sent on other devices of the account, and told by the phone.

use super::known;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::v1::limit;
use crate::domain::ids::DeviceId;
use crate::store::{Before, LineRow, StoreError};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 200;
const ID_CHARS_MAX: usize = 128;

/// A message in its chat.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatMessage)]
pub(in crate::api) struct Shown {
    /// Ours, of what this gateway sent; WhatsApp's otherwise.
    id: String,
    wa_message_id: String,
    /// Who wrote it, as WhatsApp named them; the account itself by its own address.
    from: String,
    /// The chat, or the account itself.
    to: String,
    /// The chat's one name.
    chat: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<String>,
    /// Its file, while it is known here: the path to read it at.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_url: Option<String>,
    /// Unix seconds.
    timestamp: i64,
    from_me: bool,
    /// Of the account's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    starred: bool,
    edited: bool,
    /// Taken back; its words are gone.
    deleted: bool,
}

impl Shown {
    /// `own` is the account's address, and `device` the one that has the line.
    pub(super) fn of(line: LineRow, own: &str, device: &DeviceId) -> Self {
        let is_group = line.chat.ends_with("@g.us");
        let (from, to) = match line.from_me {
            true => (own.to_owned(), line.chat.clone()),
            false => (line.sender, if is_group { line.chat.clone() } else { own.to_owned() }),
        };
        let (text, caption) = if line.is_caption { (None, line.text) } else { (line.text, None) };
        Self {
            id: line.outbox_id.unwrap_or_else(|| line.wa_id.clone()),
            wa_message_id: line.wa_id,
            from,
            to,
            chat: line.chat,
            r#type: line.kind,
            text,
            caption,
            media_url: line.media_id.map(|id| format!("/v1/devices/{device}/media/{id}")),
            timestamp: line.at / 1_000,
            from_me: line.from_me,
            status: line.status,
            starred: line.starred,
            edited: line.edited,
            deleted: line.deleted,
        }
    }
}

pub(super) fn own_address<S>(device: &OwnDevice<S>) -> String {
    device.row.wa_jid.clone().unwrap_or_default()
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ChatMessages {
    /// Newest first.
    messages: Vec<Shown>,
    /// Give it as `before` for the page behind this one; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// Messages before this one (our id or WhatsApp's), before this moment (unix seconds or milliseconds), or what
    /// `nextCursor` gave.
    before: Option<String>,
}

/// Digits are a time, two numbers with a dot a place, and everything else an id.
fn before(text: Option<&str>) -> Result<Before, ApiError> {
    const DIGITS_OF_A_TIME_MAX: usize = 13;
    const MILLISECONDS_FROM: i64 = 100_000_000_000;
    let Some(text) = text else { return Ok(Before::Newest) };
    let wrong = || ApiError::field("before", "must be the id of a message, unix seconds, or what nextCursor gave");
    if text.is_empty() || text.chars().count() > ID_CHARS_MAX {
        return Err(wrong());
    }
    if text.len() <= DIGITS_OF_A_TIME_MAX && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let at: i64 = text.parse().map_err(|_| wrong())?;
        return Ok(Before::At(if at < MILLISECONDS_FROM { at * 1_000 } else { at }));
    }
    match text.split_once('.') {
        Some((at, seq)) => match (at.parse(), seq.parse()) {
            (Ok(at), Ok(seq)) => Ok(Before::Place(at, seq)),
            _ => Err(wrong()),
        },
        None => Ok(Before::Message(text.to_owned())),
    }
}

/// The messages of a chat
///
/// Both ways, newest first. Reactions, votes, edits and deletions are no messages of their own here.
#[utoipa::path(get, path = "/devices/{device}/chats/{chat}/messages", operation_id = "listChatMessages", tag = "Chats",
    params(Wanted), responses((status = 200, body = ChatMessages)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, chat)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Bare<ChatMessages> {
    let (limit, before) = ApiError::both(limit(wanted.limit.as_deref(), LIMIT_MAX), before(wanted.before.as_deref()))?;
    let row = known(&api, &device, &chat).await?;
    // One more than asked for tells whether there is another page.
    let lines = api.store.chat_lines(&device.tenant.id, row.id, before, limit + 1).await;
    let mut lines = lines.map_err(|error| match error {
        StoreError::NotFound => ApiError::field("before", "is no message of this chat"),
        other => other.into(),
    })?;
    let more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let next_cursor = lines.last().filter(|_| more).map(|line| format!("{}.{}", line.at, line.seq));
    let own = own_address(&device);
    let messages = lines.into_iter().map(|line| Shown::of(line, &own, device.id())).collect();
    Ok(Json(ChatMessages { messages, next_cursor }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_is_a_time_a_place_or_a_message() {
        assert_eq!(before(None).ok(), Some(Before::Newest));
        assert_eq!(before(Some("1700000000")).ok(), Some(Before::At(1_700_000_000_000)));
        assert_eq!(before(Some("1700000000000")).ok(), Some(Before::At(1_700_000_000_000)));
        assert_eq!(before(Some("1700000000000.7")).ok(), Some(Before::Place(1_700_000_000_000, 7)));
        assert_eq!(before(Some("3EB0A1")).ok(), Some(Before::Message("3EB0A1".into())));
        assert!(before(Some("")).is_err() && before(Some("1.x")).is_err());
    }
}
