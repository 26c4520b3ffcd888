//! Asking the phone for what was before.

use super::{CHANGED, ChatChanged, find, newest};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::jid::ChatId;
use axum::Json;
use axum::extract::State;
use utoipa::ToSchema;

const COUNT_DEFAULT: u32 = 50;
const COUNT_MAX: u32 = 500;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct AskHistory {
    /// A phone number or a JID.
    #[schema(example = "6281234567890")]
    chat: String,
    /// 1 to 500; 50 when left out.
    #[schema(required = false, minimum = 1, maximum = 500)]
    count: u32,
}

/// Ask for older messages
///
/// The account's phone is asked for messages of a chat before the oldest that is known here. Success is that it was asked;
/// what it gives comes when it is there, is read as every other message of the chat, and `history.synced` says so.
#[utoipa::path(post, path = "/devices/{device}/history/sync", operation_id = "askHistory", tag = "Chats",
    request_body = AskHistory,
    responses((status = 200, body = ChatChanged), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn ask(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Bare<ChatChanged> {
    let chat = fields.parsed("chat", true, ChatId::parse_written);
    let count = fields.whole("count", 1..=COUNT_MAX).unwrap_or(COUNT_DEFAULT);
    fields.finish()?;
    let chat = chat.ok_or_else(|| ApiError::field("chat", "is required"))?;
    let row = find(&api, &device, &chat).await?.ok_or(ApiError::NotFound("chat"))?;
    let oldest = api.store.oldest_line(&device.tenant.id, row.id).await?;
    let oldest = oldest.map(|line| newest(&row, line));
    let oldest = oldest.ok_or_else(|| ApiError::Conflict("no message of the chat is known to ask from".to_owned()))?;
    device.account(&api)?.ask_history(&row.address, &oldest, count).await?;
    Ok(Json(CHANGED))
}
