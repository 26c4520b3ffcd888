//! Taking a message: the WhatsApp id is chosen, the row is written, and only then is the request answered.

use crate::domain::ids::{DeviceId, MessageId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::Content;
use crate::store::{Accepted, Idempotency, NewMessage, Store, StoreError};
use serde_json::{Value, json};
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
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the message and returns the answer for the client; the same key and request return the first answer.
pub async fn accept(
    store: &Store,
    tenant: &TenantId,
    device: &DeviceId,
    outgoing: Outgoing,
) -> Result<Value, AcceptError> {
    let id = MessageId::generate();
    let wa_id = whatsapp_id();
    let mut answer = json!({
        "id": id,
        "messageId": wa_id,
        "status": "queued",
        "timestamp": store.clock().now_ms(),
    });
    if let Some(key) = &outgoing.idempotency_key {
        answer["idempotencyKey"] = json!(key);
    }
    let asked = json!({ "chat": outgoing.chat, "content": outgoing.content });
    let idempotency = outgoing.idempotency_key.map(|key| Idempotency {
        key,
        request_hash: Sha256::digest(asked.to_string()).into(),
        answer: answer.clone(),
    });
    let message = NewMessage { id, chat: outgoing.chat, wa_id, content: outgoing.content, idempotency };
    match store.accept_message(tenant, device, message).await? {
        Accepted::New => Ok(answer),
        Accepted::Replayed(first) => Ok(first),
        Accepted::Mismatch => Err(AcceptError::IdempotencyMismatch),
    }
}

/// An id of the form that WhatsApp's own web client makes: 3EB0 and 18 hex digits.
fn whatsapp_id() -> String {
    format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}
