//! Taking a status post back.

use super::among_posts;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::v1::messages::delete::{Deleted, of_known};
use crate::api::v1::messages::{accept_as, earlier, idempotency_key_of};
use crate::domain::allowance::SendKind;
use crate::domain::jid::ChatId;
use crate::outbound::accept::Outgoing;
use crate::store::Named;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;

/// Delete a status post
///
/// One that was posted here, by our id or WhatsApp's: it is taken back from everybody it was for. On disk when it is
/// answered; `message.deleted` tells when WhatsApp's server has it.
#[utoipa::path(delete, path = "/devices/{device}/status/{message}", operation_id = "deleteStatus", tag = "Status",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    responses((status = 200, body = Deleted), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, message)): Path<(String, String)>,
    headers: HeaderMap,
) -> Bare<Deleted> {
    let idempotency_key = idempotency_key_of(&headers)?;
    let asked = json!({ "deleteStatus": message });
    if earlier(&api, &device, idempotency_key.as_deref(), &asked).await?.is_some() {
        return Ok(Json(Deleted { success: true }));
    }
    let found = api.store.find_message(&device.tenant.id, device.id(), &message, among_posts(None)).await?;
    let (chat, content) = match found {
        Named::One(found) if found.chat == ChatId::status().as_str() => of_known(found)?,
        Named::One(_) | Named::Unknown | Named::Elsewhere => return Err(ApiError::NotFound("status post")),
        Named::Several => {
            return Err(ApiError::Conflict("several status posts have this id, and none was posted here".to_owned()));
        }
    };
    let outgoing = Outgoing { chat, content, idempotency_key };
    let Json(_on_its_way) = accept_as(&api, &device, SendKind::Text, &asked, outgoing).await?;
    let mut line = device.tenant.audit("message.deleted", "message", &message);
    line.meta = Some(json!({ "deviceId": device.id() }));
    api.store.audit(line).await?;
    Ok(Json(Deleted { success: true }))
}
