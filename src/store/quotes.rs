//! Finding what a message quotes: something received in the same chat, or sent to it.

use super::{Result, Store, StoreError};
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::outgoing::Content;
use rusqlite::{OptionalExtension, params};

/// A message as a quote needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quotable {
    pub wa_id: String,
    pub said: Said,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// By this device.
    Sent(Content),
    /// By `sender`, which is the account itself for what its owner wrote on another device. The message is the protobuf
    /// as it was stored.
    Received { sender: String, message: Vec<u8> },
}

impl Store {
    /// The message that `id`, ours or WhatsApp's, names in a chat. `chats` are the addresses of that one chat: a person
    /// has one by phone number and may have another, and rows keep the one they came with.
    pub async fn quotable(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        chats: [String; 2],
        id: &str,
    ) -> Result<Option<Quotable>> {
        let (tenant, device, id) = (tenant.clone(), device.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                let [first, second] = &chats;
                let received = conn
                    .prepare_cached(
                        "SELECT wa_id, sender, message FROM messages_inbox \
                         WHERE tenant_id = ?1 AND device_id = ?2 AND chat IN (?3, ?4) AND wa_id = ?5 AND processed <> 3",
                    )?
                    .query_row(params![tenant.as_str(), device.as_str(), first, second, id], |row| {
                        let said = Said::Received { sender: row.get(1)?, message: row.get(2)? };
                        Ok(Quotable { wa_id: row.get(0)?, said })
                    })
                    .optional()?;
                if received.is_some() {
                    return Ok(received);
                }
                let sent: Option<(String, String)> = conn
                    .prepare_cached(
                        "SELECT wa_id, content FROM messages_outbox \
                         WHERE tenant_id = ?1 AND device_id = ?2 AND chat IN (?3, ?4) AND (id = ?5 OR wa_id = ?5)",
                    )?
                    .query_row(params![tenant.as_str(), device.as_str(), first, second, id], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?;
                let Some((wa_id, content)) = sent else { return Ok(None) };
                let content =
                    serde_json::from_str(&content).map_err(|_| StoreError::Corrupt { what: "an outgoing message" })?;
                Ok(Some(Quotable { wa_id, said: Said::Sent(content) }))
            })
            .await
    }
}
