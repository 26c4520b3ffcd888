//! Sending, and asking what became of it.

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::api::limits::Key;
use crate::domain::ids::MessageId;
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, MENTIONS_MAX, Status, TEXT_CHARS_MAX};
use crate::outbound::accept::{Acceptance, Outgoing, Receipt};
use crate::store::{OutboxRow, StoreError};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
const MESSAGE_ID_CHARS_MAX: usize = 128;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendText {
    /// A phone number in international form, with or without `+`, spaces and dashes; or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    #[schema(min_length = 1, max_length = 65536)]
    text: String,
    /// Phone numbers or JIDs of people who are mentioned.
    #[schema(required = false, max_items = 256)]
    mentions: Vec<String>,
    /// A message of this chat, by our id or WhatsApp's. One that is not known is left out: the text goes without a quote.
    #[schema(required = false, max_length = 128)]
    quoted_message_id: String,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Send a text
///
/// On disk when it is answered. The same idempotency key and body answer the first answer again; with another body it
/// is refused. Messages of one chat go out in the order they were accepted.
#[utoipa::path(post, path = "/devices/{device}/messages/text", operation_id = "sendText", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendText,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send_text(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = fields.parsed("to", true, ChatId::parse_written);
    let text = fields.text("text", 1..=TEXT_CHARS_MAX, true);
    let mentions = fields.list("mentions", 0..=MENTIONS_MAX, ChatId::parse_written).unwrap_or_default();
    let quoted_message_id = fields.text("quotedMessageId", 1..=MESSAGE_ID_CHARS_MAX, false);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(text)) = (to, text) else { return Err(ApiError::field("body", "is incomplete")) };
    let content = Content::Text { text, mentions, quoted_message_id };
    send(&api, &device, Outgoing { chat, content, idempotency_key }).await
}

/// Charges the window of the kind, and gives the charge back when nothing new was accepted.
async fn send(api: &Api, device: &OwnDevice<Sends>, outgoing: Outgoing) -> Bare<Receipt> {
    let window = Key::Text(device.id().clone());
    api.limits.charge_own(window.clone(), &device.tenant.allowance)?;
    let acceptance = Acceptance {
        store: &api.store,
        plugins: &api.plugins,
        tenant: &device.tenant.id,
        device: device.id(),
        key: device.tenant.key.to_string(),
        queue_while_offline: api.settings.queue_while_offline,
    };
    let accepted = acceptance.accept(outgoing).await;
    if !accepted.as_ref().is_ok_and(|accepted| accepted.is_new) {
        api.limits.give_back(&window);
    }
    Ok(Json(accepted?.receipt))
}

/// What became of a message. Times are unix seconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageStatus)]
pub(in crate::api) struct Shown {
    id: MessageId,
    status: Status,
    /// WhatsApp's id of the message.
    wa_message_id: String,
    attempts: u32,
    last_error: Option<String>,
    created_at: i64,
    updated_at: i64,
    /// When WhatsApp's server acknowledged it.
    sent_at: Option<i64>,
    delivered_at: Option<i64>,
    read_at: Option<i64>,
}

/// What became of a message
#[utoipa::path(get, path = "/devices/{device}/messages/{message}/status", operation_id = "readMessageStatus",
    tag = "Messages", responses((status = 200, body = Shown)))]
pub(in crate::api) async fn status(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, message)): Path<(String, String)>,
) -> Bare<Shown> {
    let row = api.store.outgoing(&device.tenant.id, device.id(), &message).await.map_err(|error| match error {
        StoreError::NotFound => ApiError::NotFound("message"),
        other => other.into(),
    })?;
    Ok(Json(row.into()))
}

/// The header wins over the body.
fn idempotency_key(headers: &HeaderMap, fields: &mut Fields) -> Option<String> {
    let in_body = fields.text("idempotencyKey", 1..=IDEMPOTENCY_KEY_CHARS_MAX, false);
    let Some(header) = headers.get("idempotency-key") else { return in_body };
    match header.to_str() {
        Ok(key) if (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()) => Some(key.to_owned()),
        _ => {
            fields.wrong("Idempotency-Key", format!("must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} plain characters"));
            None
        }
    }
}

impl From<OutboxRow> for Shown {
    fn from(row: OutboxRow) -> Self {
        Self {
            id: row.id,
            status: row.status,
            wa_message_id: row.wa_id,
            attempts: row.attempts,
            last_error: row.last_error,
            created_at: row.created_at / 1000,
            updated_at: row.updated_at / 1000,
            sent_at: row.sent_at.map(|at| at / 1000),
            delivered_at: row.delivered_at.map(|at| at / 1000),
            read_at: row.read_at.map(|at| at / 1000),
        }
    }
}
