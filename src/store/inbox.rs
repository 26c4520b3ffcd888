//! Messages that came in. Written before WhatsApp hears that we have them; unique per device, chat, sender and id, so
//! that a redelivery changes nothing.

use super::device_locks::Lease;
use super::{Result, Store, Topic, events};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::ids::{DeviceId, TenantId};
use rusqlite::params;

#[derive(Debug, Clone)]
pub struct NewInboxRow {
    pub chat: String,
    pub sender: String,
    pub wa_id: String,
    /// What the stanza said about the message.
    pub envelope: serde_json::Value,
    /// The decrypted protobuf without its key material.
    pub message: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct InboxRow {
    pub seq: i64,
    pub tenant: TenantId,
    pub device: DeviceId,
    pub envelope: serde_json::Value,
    pub message: Vec<u8>,
    pub received_at: UnixMs,
}

impl Store {
    /// Writes a batch, all or nothing; returns how many were new. Refused once another instance owns the device.
    pub async fn record_inbound(&self, tenant: &TenantId, lease: &Lease, rows: Vec<NewInboxRow>) -> Result<usize> {
        let (tenant, lease, now) = (tenant.clone(), lease.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let mut new = 0;
                for row in &rows {
                    new += tx
                        .prepare_cached(
                            "INSERT INTO messages_inbox \
                             (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at) \
                             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                             ON CONFLICT (device_id, chat, sender, wa_id) DO NOTHING",
                        )?
                        .execute(params![
                            tenant.as_str(),
                            lease.device.as_str(),
                            row.chat,
                            row.sender,
                            row.wa_id,
                            row.envelope.to_string(),
                            row.message,
                            now
                        ])?;
                }
                tx.wake(Topic::Inbox);
                Ok(new)
            })
            .await
    }

    /// Marks a message processed and writes what came of it, in one step. A row that was processed meanwhile is left
    /// alone, and its events with it.
    pub async fn complete_inbound(&self, seq: i64, came_of_it: Vec<Event>) -> Result<()> {
        self.db
            .write(move |tx| {
                let first = tx
                    .prepare_cached("UPDATE messages_inbox SET processed = 1 WHERE seq = ?1 AND processed = 0")?
                    .execute([seq])?;
                if first > 0 {
                    for event in &came_of_it {
                        events::append(tx, event)?;
                    }
                }
                Ok(())
            })
            .await
    }
}
