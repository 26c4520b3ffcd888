//! A message again, for somebody else.

use super::{MESSAGE_ID_CHARS_MAX, accept_as, earlier, idempotency_key, named, recipient};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::jid::ChatId;
use crate::domain::outgoing::Content;
use crate::outbound::accept::{Outgoing, Receipt};
use crate::store::{Found, Named, Said};
use crate::whatsapp::outgoing::{is_forwardable, readable};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct ForwardMessage {
    /// A phone number in international form, or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    /// A message that the device sent or received, of any chat, by our id or WhatsApp's.
    #[schema(min_length = 1, max_length = 128)]
    message_id: String,
    /// The chat that message stands in, a phone number or a JID; needed when several have its id.
    #[schema(required = false)]
    from: String,
    /// Who wrote that message in a group; needed when several of that group have its id.
    #[schema(required = false)]
    participant: String,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Forward a message
///
/// It goes out marked as forwarded, with WhatsApp's count of how often it was. Reactions, polls, edits and what is to be
/// seen once cannot be forwarded; that is 409. A plugin that gives it another text makes it a message of its own.
#[utoipa::path(post, path = "/devices/{device}/messages/forward", operation_id = "forwardMessage", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = ForwardMessage,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient(&mut fields);
    let message_id = fields.text("messageId", 1..=MESSAGE_ID_CHARS_MAX, true);
    let from = fields.parsed("from", false, ChatId::parse_written_anywhere);
    let participant = fields.parsed("participant", false, ChatId::parse_written);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(message_id)) = (to, message_id) else {
        return Err(ApiError::field("body", "is incomplete"));
    };
    let asked = json!({ "forward": [chat, message_id, from, participant] });
    if let Some(receipt) = earlier(&api, &device, idempotency_key.as_deref(), &asked).await? {
        return Ok(Json(receipt));
    }
    let found = match named(&api, &device, &message_id, from.as_ref(), participant.as_ref()).await? {
        Named::One(found) => found,
        Named::Unknown | Named::Elsewhere => return Err(ApiError::NotFound("message")),
        Named::Several => {
            let which = "several messages have this id: name its chat with `from`, and in a group its author with `participant`";
            return Err(ApiError::Conflict(which.to_owned()));
        }
    };
    let content = passed_on(found).ok_or_else(|| {
        ApiError::Conflict("a message of this kind, or whose content is not kept, cannot be forwarded".to_owned())
    })?;
    let outgoing = Outgoing { chat, content, idempotency_key };
    accept_as(&api, &device, SendKind::Forward, &asked, outgoing).await
}

/// `None` for what is not forwarded. What was forwarded already is taken from where it came from.
fn passed_on(found: Found) -> Option<Content> {
    let (sender, shown) = match found.said {
        Said::Sent(content @ Content::Forward { .. }) => return Some(content),
        Said::Sent(content) if is_about_itself(&content) => (None, Some(content)),
        Said::Sent(_) => return None,
        Said::Received { sender, message } if is_forwardable(&message) => (Some(sender), readable(&message)),
        Said::Received { .. } => return None,
    };
    Some(Content::Forward { message_id: found.wa_id, from: found.chat, sender, shown: shown.map(Box::new) })
}

fn is_about_itself(content: &Content) -> bool {
    let other = matches!(content, Content::Reaction { .. } | Content::ReadReceipt { .. })
        || matches!(content, Content::Poll(_) | Content::Interactive(_) | Content::Status(_));
    let once = matches!(content, Content::Media(media) if media.view_once);
    !other && !once && !content.is_about_another()
}
