//! Another text in the place of one that was sent.

use super::status::no_message;
use super::{accept_as, earlier, idempotency_key, named};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::outgoing::{Content, TEXT_CHARS_MAX, editable};
use crate::outbound::accept::{Outgoing, Receipt};
use crate::store::{Named, StoreError};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct EditMessage {
    #[schema(min_length = 1, max_length = 65536)]
    text: String,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Edit a text that was sent
///
/// A text of this gateway's, by our id or WhatsApp's, within 15 minutes of WhatsApp's server having taken it, a post in a
/// newsletter within 30 days; anything else is 409. The answer names the edit, whose status can be asked for as a message's. `message.updated` tells when WhatsApp's
/// server has it, or why not.
#[utoipa::path(patch, path = "/devices/{device}/messages/{message}", operation_id = "editMessage", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = EditMessage,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, message)): Path<(String, String)>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let text = fields.text("text", 1..=TEXT_CHARS_MAX, true);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let Some(text) = text else { return Err(ApiError::field("body", "is incomplete")) };
    let asked = json!({ "edit": [message, text] });
    if let Some(receipt) = earlier(&api, &device, idempotency_key.as_deref(), &asked).await? {
        return Ok(Json(receipt));
    }
    let row = match api.store.outgoing(&device.tenant.id, device.id(), &message).await {
        Err(StoreError::NotFound) => {
            return Err(match named(&api, &device, &message, None, None).await? {
                Named::Unknown => ApiError::NotFound("message"),
                _ => ApiError::Conflict("only what this gateway sent can be edited".to_owned()),
            });
        }
        row => row.map_err(no_message)?,
    };
    let now = api.store.clock().now_ms();
    let until = editable(&row.chat, &row.content, row.status, row.sent_at, row.deleted_at, now)
        .map_err(|why| ApiError::Conflict(why.to_string()))?;
    let content = Content::Edit { message_id: row.wa_id, text, until };
    let outgoing = Outgoing { chat: row.chat, content, idempotency_key };
    accept_as(&api, &device, SendKind::Text, &asked, outgoing).await
}
