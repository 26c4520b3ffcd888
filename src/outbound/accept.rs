//! Taking a message: the WhatsApp id is chosen, the plugins have their say, the row is written, and only then is the
//! request answered.

use crate::domain::aftermath::Aftermath;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, MessageId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, Status};
use crate::plugins::Plugins;
use crate::plugins::manifest::Hook;
use crate::plugins::pipeline::{self, Origin, Verdict};
use crate::store::{Accepted, Idempotency, NewMessage, Store, StoreError};
use serde::{Deserialize, Serialize};
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
    #[error("the device is not linked")]
    NotLinked,
    /// Only when the operator does not want messages to wait for a device.
    #[error("the device is offline")]
    Offline,
    /// It went after the request had named it.
    #[error("the media is not here any more")]
    MediaGone,
    /// A plugin of the tenant refused it; `code` is for programs.
    #[error("the plugin {plugin:?} rejects the message: {message}")]
    Rejected { plugin: String, code: String, message: String },
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

/// Times the plugins see a message again because a value they relied on had changed.
const RERUNS_MAX: u32 = 20;

/// Takes messages for one device.
pub struct Acceptance<'a> {
    pub store: &'a Store,
    pub plugins: &'a Plugins,
    pub tenant: &'a TenantId,
    pub device: &'a DeviceId,
    /// Who asks, as plugins see it.
    pub key: String,
    pub queue_while_offline: bool,
}

impl Acceptance<'_> {
    /// Takes the message through the tenant's plugins, writes it, and returns the receipt for the client; the same key and
    /// request return the first one, and no plugin sees it again.
    pub async fn accept(&self, outgoing: Outgoing) -> Result<Taken, AcceptError> {
        let asked = json!({ "chat": outgoing.chat, "content": outgoing.content });
        self.accept_as(&asked, outgoing).await
    }

    /// What an earlier request with this key came to; for who must look before what the request names has changed.
    pub async fn earlier(&self, key: Option<&str>, asked: &Value) -> Result<Option<Taken>, AcceptError> {
        let Some(key) = key else { return Ok(None) };
        let idempotency = idempotency(key.to_owned(), asked, Value::Null);
        match self.store.earlier_acceptance(self.device, &idempotency).await? {
            Some(Accepted::Replayed(first)) => {
                let receipt = serde_json::from_value(first).map_err(|_| REMEMBERED)?;
                Ok(Some(Taken { receipt, is_new: false }))
            }
            Some(Accepted::Mismatch) => Err(AcceptError::IdempotencyMismatch),
            _ => Ok(None),
        }
    }

    /// The same, for content that follows from what was `asked` and from what it names: a repeat is known by the former.
    pub async fn accept_as(&self, asked: &Value, outgoing: Outgoing) -> Result<Taken, AcceptError> {
        let receipt = Receipt {
            id: MessageId::generate(),
            message_id: whatsapp_id(),
            status: Status::Queued,
            timestamp: self.store.clock().now_ms(),
            idempotency_key: outgoing.idempotency_key.clone(),
        };
        let idempotency = outgoing.idempotency_key.clone().map(|key| idempotency(key, asked, json!(receipt)));
        let pipeline = self.plugins.pipeline(self.tenant).filter(|pipeline| pipeline.has(Hook::Outbound));
        let Some(pipeline) = pipeline else {
            let message = message(&receipt, outgoing.chat, outgoing.content, idempotency, Aftermath::default());
            return self.write(receipt, message).await;
        };
        if let Some(idempotency) = &idempotency
            && let Some(earlier) = self.store.earlier_acceptance(self.device, idempotency).await?
        {
            return taken(receipt, earlier);
        }
        for _ in 0..RERUNS_MAX {
            let passing = pipeline::Outgoing {
                id: receipt.id.clone(),
                device: self.device.clone(),
                chat: outgoing.chat.clone(),
                at: receipt.timestamp,
                origin: Origin::Api(self.key.clone()),
            };
            let written = match pipeline.on_send(&passing, outgoing.content.clone()).await {
                (Verdict::Accepted(content), aftermath) => {
                    let chat = outgoing.chat.clone();
                    let message = message(&receipt, chat, content, idempotency.clone(), aftermath);
                    self.write(receipt.clone(), message).await
                }
                (Verdict::Rejected { plugin, code, message }, aftermath) => {
                    let kept = self.store.commit_aftermath(self.tenant, aftermath).await;
                    kept.map_err(AcceptError::from).and(Err(AcceptError::Rejected { plugin, code, message }))
                }
            };
            match written {
                Err(AcceptError::Store(StoreError::Moved)) => {}
                other => return other,
            }
        }
        Err(AcceptError::Store(StoreError::Conflict("the plugins' values change too often; try again")))
    }

    async fn write(&self, receipt: Receipt, message: NewMessage) -> Result<Taken, AcceptError> {
        let offline = self.queue_while_offline;
        taken(receipt, self.store.accept_message(self.tenant, self.device, message, offline).await?)
    }
}

fn idempotency(key: String, asked: &Value, answer: Value) -> Idempotency {
    Idempotency { key, request_hash: Sha256::digest(asked.to_string()).into(), answer }
}

fn message(
    receipt: &Receipt,
    chat: ChatId,
    content: Content,
    idempotency: Option<Idempotency>,
    aftermath: Aftermath,
) -> NewMessage {
    NewMessage { id: receipt.id.clone(), chat, wa_id: receipt.message_id.clone(), content, idempotency, aftermath }
}

fn taken(receipt: Receipt, accepted: Accepted) -> Result<Taken, AcceptError> {
    match accepted {
        Accepted::New => Ok(Taken { receipt, is_new: true }),
        Accepted::Replayed(first) => {
            let receipt = serde_json::from_value(first).map_err(|_| REMEMBERED)?;
            Ok(Taken { receipt, is_new: false })
        }
        Accepted::Mismatch => Err(AcceptError::IdempotencyMismatch),
        Accepted::NotLinked => Err(AcceptError::NotLinked),
        Accepted::Offline => Err(AcceptError::Offline),
        Accepted::MediaGone => Err(AcceptError::MediaGone),
    }
}

const REMEMBERED: StoreError = StoreError::Corrupt { what: "a remembered answer" };

/// An id of the form that WhatsApp's own web client makes: 3EB0 and 18 hex digits.
fn whatsapp_id() -> String {
    format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}
