//! Finding messages by their words.

use super::known;
use super::messages::{Shown, own_address};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::v1::limit;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 100;
const QUERY_CHARS_MAX: usize = 256;
const WORDS_MAX: usize = 16;

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// Words that all stand in the message, in any order; the last may be the beginning of one, from three letters on. 16 at most.
    #[param(value_type = String)]
    q: Option<String>,
    /// Only of this chat.
    chat: Option<String>,
    /// What `nextCursor` gave.
    cursor: Option<String>,
    /// 1 to 100; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct FoundMessages {
    /// What came here last first.
    messages: Vec<Shown>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A word that has no letter and no digit is in no message.
fn words(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    let text = text.ok_or_else(|| ApiError::field("q", "is required"))?;
    if text.chars().count() > QUERY_CHARS_MAX {
        return Err(ApiError::field("q", format!("must have at most {QUERY_CHARS_MAX} characters")));
    }
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c == '\0')
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(str::to_owned)
        .collect();
    match words.len() {
        1..=WORDS_MAX => Ok(words),
        _ => Err(ApiError::field("q", format!("must have 1 to {WORDS_MAX} words"))),
    }
}

/// Search messages
#[utoipa::path(get, path = "/devices/{device}/messages/search", operation_id = "searchMessages", tag = "Chats",
    params(Wanted), responses((status = 200, body = Envelope<FoundMessages>)))]
pub(in crate::api) async fn search(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(wanted): Query<Wanted>,
) -> Answer<FoundMessages> {
    let cursor = wanted.cursor.as_deref().map(str::parse::<i64>).transpose();
    let cursor = cursor.map_err(|_| ApiError::field("cursor", "must be what nextCursor gave"));
    let page = ApiError::both(limit(wanted.limit.as_deref(), LIMIT_MAX), cursor);
    let (words, (limit, cursor)) = ApiError::both(words(wanted.q.as_deref()), page)?;
    let chat = match wanted.chat.as_deref() {
        None => None,
        Some(chat) => Some(known(&api, &device, chat).await?.id),
    };
    let (tenant, id) = (&device.tenant.id, device.id());
    let mut lines = api.store.search_lines(tenant, id, &words, chat, cursor, limit + 1).await?;
    let more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let next_cursor = lines.last().filter(|_| more).map(|line| line.seq.to_string());
    let own = own_address(&device);
    let messages = lines.into_iter().map(|line| Shown::of(line, &own, device.id())).collect();
    Ok(enveloped(FoundMessages { messages, next_cursor }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_as_they_stand_and_signs_alone_are_none() {
        assert_eq!(
            words(Some(" kopi  \"susu\" OR - ")).ok(),
            Some(vec!["kopi".into(), "\"susu\"".into(), "OR".into()])
        );
        assert!(words(None).is_err() && words(Some(" - ")).is_err());
        assert!(words(Some(&"a ".repeat(17))).is_err() && words(Some(&"a".repeat(257))).is_err());
    }
}
