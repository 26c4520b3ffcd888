//! Taking a message back, for everyone.

use super::{accept_as, earlier, idempotency_key_of, named};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::domain::allowance::SendKind;
use crate::domain::ids::MessageId;
use crate::domain::jid::ChatId;
use crate::domain::outgoing::Content;
use crate::outbound::accept::Outgoing;
use crate::store::{Found, Named, Said};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Where {
    /// The chat the message stands in; may be left out for a message that passed this gateway, unless several have its id.
    to: Option<String>,
    /// Who wrote the message, when it is somebody else's message in a group of which the account is an admin. May be left
    /// out as `to`.
    participant: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Deleted)]
pub(in crate::api) struct Deleted {
    /// Always true: the deletion is on its way.
    pub(in crate::api::v1) success: bool,
}

/// Delete a message for everyone
///
/// By our id or WhatsApp's. The account's own messages, status posts and newsletters' posts, and in a group of which it is an admin
/// those of others. On disk
/// when it is answered; `message.deleted` tells when WhatsApp's server has it, and a `message.updated` with the status
/// `failed` why not.
#[utoipa::path(delete, path = "/devices/{device}/messages/{message}", operation_id = "deleteMessage", tag = "Messages",
    params(Where, ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    responses((status = 200, body = Deleted), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, message)): Path<(String, String)>,
    Query(place): Query<Where>,
    headers: HeaderMap,
) -> Bare<Deleted> {
    let idempotency_key = idempotency_key_of(&headers)?;
    let address = |name: &str, given: Option<&str>| {
        let parsed = given.map(ChatId::parse_written_anywhere).transpose();
        parsed.map_err(|why| ApiError::field(name, why.to_string()))
    };
    let (to, participant) =
        ApiError::both(address("to", place.to.as_deref()), address("participant", place.participant.as_deref()))?;
    let asked = json!({ "delete": [message, to, participant] });
    if earlier(&api, &device, idempotency_key.as_deref(), &asked).await?.is_some() {
        return Ok(Json(Deleted { success: true }));
    }
    let (chat, content) = match named(&api, &device, &message, to.as_ref(), participant.as_ref()).await? {
        Named::One(found) => of_known(found)?,
        Named::Elsewhere if message.starts_with(MessageId::PREFIX) => return Err(ApiError::NotFound("message")),
        Named::Unknown | Named::Elsewhere => of_unknown(message.clone(), to, participant)?,
        Named::Several => {
            let which =
                "several messages have this id: name its chat with `to`, and in a group its author with `participant`";
            return Err(ApiError::Conflict(which.to_owned()));
        }
    };
    let outgoing = Outgoing { chat, content, idempotency_key };
    let Json(_on_its_way) = accept_as(&api, &device, SendKind::Text, &asked, outgoing).await?;
    let mut line = device.tenant.audit("message.deleted", "message", &message);
    line.meta = Some(json!({ "deviceId": device.id() }));
    api.store.audit(line).await?;
    Ok(Json(Deleted { success: true }))
}

/// What takes it back, in the chat that it stands in.
pub(in crate::api::v1) fn of_known(found: Found) -> Result<(ChatId, Content), ApiError> {
    let chat = ChatId::stored(&found.chat)
        .map_err(|_| ApiError::Conflict("a message of this kind of chat cannot be deleted".to_owned()))?;
    if chat.is_status() && !matches!(found.said, Said::Sent(Content::Status(_))) {
        let message = "only a status post that was sent here can be deleted here";
        return Err(ApiError::Conflict(message.to_owned()));
    }
    let participant = match found.said {
        // A post has no author but the newsletter; WhatsApp decides who takes it back.
        Said::Received { .. } if chat.is_newsletter() => {
            return Ok((chat, Content::Delete { message_id: found.wa_id, from_me: true, participant: None }));
        }
        Said::Received { sender, .. } if !found.from_me => {
            if !chat.is_group() {
                let message = "only who wrote a message can delete it for everyone";
                return Err(ApiError::Conflict(message.to_owned()));
            }
            Some(sender)
        }
        _ => None,
    };
    Ok((chat, Content::Delete { message_id: found.wa_id, from_me: found.from_me, participant }))
}

fn of_unknown(
    message_id: String,
    to: Option<ChatId>,
    participant: Option<ChatId>,
) -> Result<(ChatId, Content), ApiError> {
    let chat = to.ok_or(ApiError::NotFound("message"))?;
    if participant.is_some() && !chat.is_group() {
        return Err(ApiError::field("participant", "is of a group; a person's chat has none"));
    }
    let participant = participant.map(|jid| jid.to_string());
    Ok((chat, Content::Delete { message_id, from_me: participant.is_none(), participant }))
}
