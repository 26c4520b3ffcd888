//! Taking a message: the WhatsApp id is chosen, the row is written, and only then is the request answered.

use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, MessageId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, Status};
use crate::store::{Accepted, Idempotency, NewMessage, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What a client asks to be sent, already checked.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub chat: ChatId,
    pub content: Content,
    pub idempotency_key: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The key came with another request before.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    #[error("the device is not linked")]
    NotLinked,
    /// Only when the operator does not want messages to wait for a device.
    #[error("the device is offline")]
    Offline,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a client gets for a message that was taken; the same for a repeat of its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub id: MessageId,
    /// WhatsApp's id of the message, chosen before the first try.
    pub message_id: String,
    pub status: Status,
    /// When it was taken, unix milliseconds.
    #[schema(value_type = i64)]
    pub timestamp: UnixMs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub receipt: Receipt,
    /// False for a repeat, which wrote nothing.
    pub is_new: bool,
}

/// Writes the message and returns the receipt for the client; the same key and request return the first one.
pub async fn accept(
    store: &Store,
    tenant: &TenantId,
    device: &DeviceId,
    outgoing: Outgoing,
    queue_while_offline: bool,
) -> Result<Taken, AcceptError> {
    let receipt = Receipt {
        id: MessageId::generate(),
        message_id: whatsapp_id(),
        status: Status::Queued,
        timestamp: store.clock().now_ms(),
        idempotency_key: outgoing.idempotency_key.clone(),
    };
    let asked = json!({ "chat": outgoing.chat, "content": outgoing.content });
    let idempotency = outgoing.idempotency_key.map(|key| Idempotency {
        key,
        request_hash: Sha256::digest(asked.to_string()).into(),
        answer: json!(receipt),
    });
    let message = NewMessage {
        id: receipt.id.clone(),
        chat: outgoing.chat,
        wa_id: receipt.message_id.clone(),
        content: outgoing.content,
        idempotency,
    };
    match store.accept_message(tenant, device, message, queue_while_offline).await? {
        Accepted::New => Ok(Taken { receipt, is_new: true }),
        Accepted::Replayed(first) => {
            let receipt = serde_json::from_value(first).map_err(|_| REMEMBERED)?;
            Ok(Taken { receipt, is_new: false })
        }
        Accepted::Mismatch => Err(AcceptError::IdempotencyMismatch),
        Accepted::NotLinked => Err(AcceptError::NotLinked),
        Accepted::Offline => Err(AcceptError::Offline),
    }
}

const REMEMBERED: StoreError = StoreError::Corrupt { what: "a remembered answer" };

/// An id of the form that WhatsApp's own web client makes: 3EB0 and 18 hex digits.
fn whatsapp_id() -> String {
    format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}
