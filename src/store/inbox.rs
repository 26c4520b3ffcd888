//! Messages that came in. Written before WhatsApp hears that we have them; unique per device, chat, sender and id, so
//! that a redelivery changes nothing.

use super::device_locks::Lease;
use super::{Result, Store, Topic, events};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
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

/// A message that waits to be processed.
#[derive(Debug, Clone)]
pub enum Waiting {
    Message(InboxRow),
    /// The row with this `seq` does not read back as what was written.
    Unreadable(i64),
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

    /// Puts a row that does not read aside, for good: it stays in the table, and an event says that a message came whose
    /// content is lost. Nothing behind it waits any longer.
    pub async fn set_aside_inbound(&self, seq: i64) -> Result<()> {
        let now = self.clock.now_ms();
        self.db
            .write(move |tx| {
                let first = tx
                    .prepare_cached("UPDATE messages_inbox SET processed = 2 WHERE seq = ?1 AND processed = 0")?
                    .execute([seq])?;
                if first == 0 {
                    return Ok(());
                }
                // As bytes: a text that is not UTF-8 is one of the ways in which a row does not read.
                let columns =
                    "CAST(tenant_id AS BLOB), CAST(device_id AS BLOB), CAST(chat AS BLOB), CAST(wa_id AS BLOB)";
                let [tenant, device, chat, id] =
                    tx.query_row(&format!("SELECT {columns} FROM messages_inbox WHERE seq = ?1"), [seq], |row| {
                        let text =
                            |at| row.get::<_, Vec<u8>>(at).map(|text| String::from_utf8_lossy(&text).into_owned());
                        Ok([text(0)?, text(1)?, text(2)?, text(3)?])
                    })?;
                // Without its tenant there is nobody to tell; the log has the row.
                if let (Ok(tenant), Ok(device)) = (TenantId::parse(&tenant), DeviceId::parse(&device)) {
                    let data = serde_json::json!({ "id": id, "chat": chat, "timestamp": now / 1000 });
                    let type_ = EventType::MessageUndecryptable;
                    events::append(tx, &Event::new(tenant, Some(device), type_, now, data))?;
                }
                Ok(())
            })
            .await
    }
}
