//! Sending, one file per kind, and asking what became of it.
//!
//! A handler reads and checks the body of its kind and ends in [`accept`]: one window charged, one row written, one answer,
//! whatever the kind.

pub(in crate::api) mod media;
pub(in crate::api) mod status;
pub(in crate::api) mod text;

use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::api::limits::Key;
use crate::domain::allowance::SendKind;
use crate::domain::jid::ChatId;
use crate::outbound::accept::{Acceptance, Outgoing, Receipt, Taken};
use axum::Json;
use axum::http::HeaderMap;

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
    let acceptance = acceptance(api, device);
    charged(api, device, kind, async { Ok(acceptance.accept(outgoing).await?) }).await
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

/// Charges the window of the kind, and gives the charge back when nothing new was accepted: a repeat, a refusal, a
/// message that a plugin rejects.
async fn charged(
    api: &Api,
    device: &OwnDevice<Sends>,
    kind: SendKind,
    taking: impl Future<Output = Result<Taken, ApiError>>,
) -> Bare<Receipt> {
    let window = Key::Sent(kind, device.id().clone());
    api.limits.charge_own(window.clone(), &device.tenant.allowance)?;
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

/// `quotedMessageId`, ours or WhatsApp's.
pub(in crate::api) fn quoted_message_id(fields: &mut Fields) -> Option<String> {
    fields.text("quotedMessageId", 1..=MESSAGE_ID_CHARS_MAX, false)
}

/// `idempotencyKey`; the header `Idempotency-Key` wins over it.
pub(in crate::api) fn idempotency_key(headers: &HeaderMap, fields: &mut Fields) -> Option<String> {
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
