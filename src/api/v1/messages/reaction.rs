//! Reactions to a message, ours or somebody else's.

use super::{MESSAGE_ID_CHARS_MAX, accept_as, earlier, idempotency_key, named, recipient};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::ids::MessageId;
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, EMOJI_CHARS_MAX};
use crate::outbound::accept::{Outgoing, Receipt};
use crate::store::{Found, Named, Said};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendReaction {
    /// A phone number in international form, or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    /// The message that is reacted to, by our id or WhatsApp's.
    #[schema(min_length = 1, max_length = 128)]
    message_id: String,
    /// Empty takes the reaction back.
    #[schema(max_length = 32, example = "👍")]
    emoji: String,
    /// Whether that message is the account's own. Known, and not looked at, for a message that passed this gateway.
    #[schema(required = false)]
    from_me: bool,
    /// Who wrote that message in a group. As `fromMe`, unless several have its id.
    #[schema(required = false)]
    participant: String,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// React to a message
#[utoipa::path(post, path = "/devices/{device}/messages/reaction", operation_id = "sendReaction", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendReaction,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient(&mut fields);
    let message_id = fields.text("messageId", 1..=MESSAGE_ID_CHARS_MAX, true);
    let emoji = fields.text("emoji", 0..=EMOJI_CHARS_MAX, true);
    let from_me = fields.flag("fromMe");
    let participant = fields.parsed("participant", false, ChatId::parse_written);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(message_id), Some(emoji)) = (to, message_id, emoji) else {
        return Err(ApiError::field("body", "is incomplete"));
    };
    let asked = json!({ "reaction": [chat, message_id, emoji, from_me, participant] });
    if let Some(receipt) = earlier(&api, &device, idempotency_key.as_deref(), &asked).await? {
        return Ok(Json(receipt));
    }
    // Of what is not known here the body says who wrote it; where it does not, an id of another chat is a mistake.
    let says_who = !message_id.starts_with(MessageId::PREFIX) && (from_me.is_some() || participant.is_some());
    let content = match named(&api, &device, &message_id, Some(&chat), participant.as_ref()).await? {
        Named::One(found) => to_known(&chat, found, emoji),
        Named::Elsewhere if !says_who => return Err(ApiError::field("messageId", "is a message of another chat")),
        Named::Unknown | Named::Elsewhere => {
            to_unknown(&chat, message_id, emoji, from_me.unwrap_or(false), participant)?
        }
        Named::Several => {
            let which = "several messages of this chat have this id: name the author of the one with `participant`";
            return Err(ApiError::Conflict(which.to_owned()));
        }
    };
    let outgoing = Outgoing { chat, content, idempotency_key };
    accept_as(&api, &device, SendKind::Reaction, &asked, outgoing).await
}

fn to_known(chat: &ChatId, found: Found, emoji: String) -> Content {
    let participant = match found.said {
        Said::Received { sender, .. } if chat.is_group() && !found.from_me => Some(sender),
        _ => None,
    };
    Content::Reaction { message_id: found.wa_id, emoji, from_me: found.from_me, participant }
}

fn to_unknown(
    chat: &ChatId,
    message_id: String,
    emoji: String,
    from_me: bool,
    participant: Option<ChatId>,
) -> Result<Content, ApiError> {
    if chat.is_group() && !from_me && participant.is_none() {
        let message = "is required: the message is not known here, and in a group its author is part of its name";
        return Err(ApiError::field("participant", message));
    }
    let participant = participant.filter(|_| chat.is_group() && !from_me).map(|jid| jid.to_string());
    Ok(Content::Reaction { message_id, emoji, from_me, participant })
}
