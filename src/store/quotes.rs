//! Finding the message that another one is about: what it quotes in its chat, and what it reacts to, takes back or passes
//! on, in whatever chat that stands.

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

/// A message that was named by its id alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub wa_id: String,
    pub chat: String,
    /// Whether the account wrote it, by this gateway or on another device.
    pub from_me: bool,
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
    /// The message that `id`, ours or WhatsApp's, names: one of ours first, and of several received the latest.
    pub async fn find_message(&self, tenant: &TenantId, device: &DeviceId, id: &str) -> Result<Option<Found>> {
        let (tenant, device, id) = (tenant.clone(), device.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                let sent: Option<(String, String, String)> = conn
                    .prepare_cached(
                        "SELECT wa_id, chat, content FROM messages_outbox \
                         WHERE tenant_id = ?1 AND device_id = ?2 AND (id = ?3 OR wa_id = ?3)",
                    )?
                    .query_row(params![tenant.as_str(), device.as_str(), id], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })
                    .optional()?;
                if let Some((wa_id, chat, content)) = sent {
                    let content = serde_json::from_str(&content)
                        .map_err(|_| StoreError::Corrupt { what: "an outgoing message" })?;
                    return Ok(Some(Found { wa_id, chat, from_me: true, said: Said::Sent(content) }));
                }
                let received = conn
                    .prepare_cached(
                        "SELECT wa_id, chat, envelope ->> 'fromMe', sender, message FROM messages_inbox \
                         WHERE tenant_id = ?1 AND device_id = ?2 AND wa_id = ?3 AND processed < 2 \
                         ORDER BY seq DESC LIMIT 1",
                    )?
                    .query_row(params![tenant.as_str(), device.as_str(), id], |row| {
                        let said = Said::Received { sender: row.get(3)?, message: row.get(4)? };
                        let from_me = row.get::<_, Option<bool>>(2)?.unwrap_or(false);
                        Ok(Found { wa_id: row.get(0)?, chat: row.get(1)?, from_me, said })
                    })
                    .optional()?;
                Ok(received)
            })
            .await
    }

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
                         WHERE tenant_id = ?1 AND device_id = ?2 AND chat IN (?3, ?4) AND wa_id = ?5 AND processed < 2",
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
