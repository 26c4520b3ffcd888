//! Sending, and asking what became of it.

use super::{device_id, no_device};
use crate::api::Api;
use crate::api::caller::Tenant;
use crate::api::envelope::Answer;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::device::Observed;
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, MENTIONS_MAX, TEXT_CHARS_MAX};
use crate::outbound::accept::{Outgoing, accept};
use crate::store::StoreError;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::json;

const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
const MESSAGE_ID_CHARS_MAX: usize = 128;

pub(in crate::api) async fn send_text(
    State(api): State<Api>,
    tenant: Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Answer {
    tenant.may("send")?;
    let id = device_id(&id)?;
    let to = fields.parsed("to", true, ChatId::parse);
    let text = fields.text("text", 1..=TEXT_CHARS_MAX, true);
    let mentions = fields.list("mentions", 0..=MENTIONS_MAX, ChatId::parse).unwrap_or_default();
    let quoted_message_id = fields.text("quotedMessageId", 1..=MESSAGE_ID_CHARS_MAX, false);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(text)) = (to, text) else { return Err(ApiError::field("body", "is incomplete")) };
    can_send(&api, &tenant.id, &id).await?;
    let outgoing = Outgoing { chat, content: Content::Text { text, mentions, quoted_message_id }, idempotency_key };
    Ok(Json(accept(&api.store, &tenant.id, &id, outgoing).await?))
}

pub(in crate::api) async fn status(
    State(api): State<Api>,
    tenant: Tenant,
    Path((device, message)): Path<(String, String)>,
) -> Answer {
    tenant.may("read")?;
    let row = api.store.outgoing(&tenant.id, &device_id(&device)?, &message).await.map_err(|error| match error {
        StoreError::NotFound => ApiError::NotFound("message"),
        other => other.into(),
    })?;
    Ok(Json(json!({
        "id": row.id,
        "status": row.status,
        "waMessageId": row.wa_id,
        "attempts": row.attempts,
        "lastError": row.last_error,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
        "sentAt": row.sent_at,
        "deliveredAt": row.delivered_at,
        "readAt": row.read_at,
    })))
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

/// A device that is not linked refuses; one that is only offline queues, unless the operator wants otherwise.
async fn can_send(api: &Api, tenant: &TenantId, device: &DeviceId) -> Result<(), ApiError> {
    let row = api.store.device(tenant, device).await.map_err(no_device)?;
    if !row.linked {
        return Err(ApiError::DeviceNotConnected("the device is not linked; pair it first"));
    }
    if row.observed != Observed::Connected && !api.settings.queue_while_offline {
        return Err(ApiError::DeviceNotConnected("the device is offline and queueing is switched off"));
    }
    Ok(())
}
