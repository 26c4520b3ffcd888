//! Sending, one file per kind, and asking what became of it.
//!
//! A handler reads and checks the body of its kind and ends in [`accept`]: one window charged, one row written, one answer,
//! whatever the kind.

pub(in crate::api) mod contact;
pub(in crate::api) mod delete;
pub(in crate::api) mod edit;
pub(in crate::api) mod forward;
pub(in crate::api) mod interactive;
pub(in crate::api) mod location;
pub(in crate::api) mod media;
pub(in crate::api) mod poll;
pub(in crate::api) mod reaction;
pub(in crate::api) mod status;
pub(in crate::api) mod template;
pub(in crate::api) mod text;

use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::ids::MessageId;
use crate::domain::jid::ChatId;
use crate::limits::Key;
use crate::outbound::accept::{Acceptance, Outgoing, Receipt, Taken};
use crate::store::{Hints, Named};
use axum::Json;
use axum::http::HeaderMap;
use serde_json::{Value, json};

const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Characters of a message's id, ours or WhatsApp's.
const MESSAGE_ID_CHARS_MAX: usize = 128;

/// Takes one message: see [`charged`].
pub(in crate::api) async fn accept(
    api: &Api,
    device: &OwnDevice<Sends>,
    kind: SendKind,
    outgoing: Outgoing,
) -> Bare<Receipt> {
    let asked = json!({ "chat": outgoing.chat, "content": outgoing.content });
    accept_as(api, device, kind, &asked, outgoing).await
}

/// The same, for content that follows from what was `asked` and from what it names: a repeat is known by the former.
pub(in crate::api::v1) async fn accept_as(
    api: &Api,
    device: &OwnDevice<Sends>,
    kind: SendKind,
    asked: &Value,
    outgoing: Outgoing,
) -> Bare<Receipt> {
    let acceptance = acceptance(api, device);
    charged(api, device, kind, async { Ok(acceptance.accept_as(asked, outgoing).await?) }).await
}

/// The answer of an earlier request with this key, before what the request names is looked at: that may have changed.
pub(in crate::api::v1) async fn earlier(
    api: &Api,
    device: &OwnDevice<Sends>,
    key: Option<&str>,
    asked: &Value,
) -> Result<Option<Receipt>, ApiError> {
    Ok(acceptance(api, device).earlier(key, asked).await?.map(|taken| taken.receipt))
}

fn acceptance<'a>(api: &'a Api, device: &'a OwnDevice<Sends>) -> Acceptance<'a> {
    Acceptance {
        store: &api.store,
        plugins: &api.plugins,
        tenant: &device.tenant.id,
        device: device.id(),
        key: device.tenant.key.to_string(),
        queue_while_offline: api.settings.queue_while_offline,
    }
}

/// What the body or the path names by our id or WhatsApp's, with the chat and the author where they are given. One of our
/// ids that is not known is an error; one of WhatsApp's may be of a message from before the device was linked.
async fn named(
    api: &Api,
    device: &OwnDevice<Sends>,
    id: &str,
    chat: Option<&ChatId>,
    author: Option<&ChatId>,
) -> Result<Named, ApiError> {
    let chat = match chat {
        Some(chat) => Some(match api.directory.connected_device(device.id()) {
            Some(connected) => connected.addresses(chat).await,
            None => [chat.to_string(), chat.to_string()],
        }),
        None => None,
    };
    let hints = Hints { chat, author: author.map(ToString::to_string) };
    match api.store.find_message(&device.tenant.id, device.id(), id, hints).await? {
        Named::Unknown if id.starts_with(MessageId::PREFIX) => Err(ApiError::NotFound("message")),
        found => Ok(found),
    }
}

/// Charges the window of the kind, and gives the charge back when nothing new was accepted: a repeat, a refusal, a
/// message that a plugin rejects.
async fn charged(
    api: &Api,
    device: &OwnDevice<Sends>,
    kind: SendKind,
    taking: impl Future<Output = Result<Taken, ApiError>>,
) -> Bare<Receipt> {
    let window = Key::Sent(kind, device.id().clone());
    api.limits.charge_own(&window, &device.tenant.allowance)?;
    let taken = taking.await;
    if !taken.as_ref().is_ok_and(|taken| taken.is_new) {
        api.limits.give_back(&window);
    }
    Ok(Json(taken?.receipt))
}

/// `to`: whom a message is for.
pub(in crate::api) fn recipient(fields: &mut Fields) -> Option<ChatId> {
    fields.parsed("to", true, ChatId::parse_written)
}

/// `to` of a kind that a newsletter takes too.
pub(in crate::api) fn recipient_anywhere(fields: &mut Fields) -> Option<ChatId> {
    fields.parsed("to", true, ChatId::parse_written_anywhere)
}

/// `quotedMessageId`, ours or WhatsApp's.
pub(in crate::api) fn quoted_message_id(fields: &mut Fields) -> Option<String> {
    fields.text("quotedMessageId", 1..=MESSAGE_ID_CHARS_MAX, false)
}

/// `idempotencyKey`; the header `Idempotency-Key` wins over it.
pub(in crate::api) fn idempotency_key(headers: &HeaderMap, fields: &mut Fields) -> Option<String> {
    let in_body = fields.text("idempotencyKey", 1..=IDEMPOTENCY_KEY_CHARS_MAX, false);
    match in_header(headers) {
        Ok(in_header) => in_header.or(in_body),
        Err(why) => {
            fields.wrong("Idempotency-Key", why);
            None
        }
    }
}

/// The header alone, of a request without a body.
pub(in crate::api::v1) fn idempotency_key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    in_header(headers).map_err(|why| ApiError::field("Idempotency-Key", why))
}

fn in_header(headers: &HeaderMap) -> Result<Option<String>, String> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(None) };
    match header.to_str() {
        Ok(key) if (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(format!("must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} plain characters")),
    }
}
