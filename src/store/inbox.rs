//! What came in and waits to be processed: messages, and events that the tenant's plugins have yet to see.
//!
//! A message is written before WhatsApp hears that we have it; unique per device, chat, sender and id, so that a
//! redelivery changes nothing. An event is written in the transaction of what it tells.

use super::device_locks::Lease;
use super::people::Scope;
use super::polls::{self, NewPoll, NewVote, Written};
use super::{Result, Store, Topic, Tx, events, plugin_history};
use crate::domain::aftermath::Aftermath;
use crate::domain::chat::Line;
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, EventId, TenantId};
use rusqlite::{Row, params};
use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub struct NewInboxRow {
    pub chat: String,
    pub sender: String,
    pub wa_id: String,
    /// What the stanza said about the message.
    pub envelope: serde_json::Value,
    /// The decrypted protobuf without its key material; `None` for what is between devices and no message of anybody, of
    /// which only is kept that it came.
    pub message: Option<Vec<u8>>,
    /// What it does to the lines of its chat.
    pub line: Option<Line>,
    /// When it asks something.
    pub poll: Option<NewPoll>,
    /// When it answers a poll that is known.
    pub vote: Option<NewVote>,
}

/// What waits.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    pub rows: Vec<InboxRow>,
    /// The `seq` of rows that do not read back as what was written.
    pub unreadable: Vec<i64>,
}

#[derive(Debug, Clone)]
pub struct InboxRow {
    pub seq: i64,
    pub tenant: TenantId,
    pub device: DeviceId,
    /// Rows of one chat are processed one after another; empty for what concerns no chat.
    pub chat: String,
    pub what: Incoming,
    pub received_at: UnixMs,
}

#[derive(Debug, Clone)]
pub enum Incoming {
    Message {
        sender: String,
        wa_id: String,
        envelope: Value,
        /// The decrypted protobuf without its key material.
        message: Vec<u8>,
    },
    Event(Event),
}

/// Where a row stands; the migration names the others. The numbers are on disk.
const NEW: u8 = 0;
const NOTHING_TO_TELL: u8 = 3;

/// Rows of the inbox are of these kinds. The numbers are on disk.
const MESSAGE: u8 = 0;
const EVENT: u8 = 1;

impl Store {
    /// Writes a batch, all or nothing; returns how many messages were new. Refused once another instance owns the device.
    pub async fn record_inbound(&self, tenant: &TenantId, lease: &Lease, rows: Vec<NewInboxRow>) -> Result<usize> {
        let (tenant, lease, now) = (tenant.clone(), lease.clone(), self.clock.now_ms());
        let seal =
            |row: &NewInboxRow| row.poll.as_ref().map(|new| self.seal_poll(&lease.device, &row.wa_id, &new.secret));
        let rows: Vec<(Option<Vec<u8>>, NewInboxRow)> = rows.into_iter().map(|row| (seal(&row), row)).collect();
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let mut new = 0;
                for (sealed, row) in &rows {
                    let written = tx
                        .prepare_cached(
                            "INSERT INTO messages_inbox \
                             (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at, processed) \
                             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                             ON CONFLICT (device_id, chat, sender, wa_id) DO NOTHING",
                        )?
                        .execute(params![
                            tenant.as_str(),
                            lease.device.as_str(),
                            row.chat,
                            row.sender,
                            row.wa_id,
                            row.envelope.to_string(),
                            row.message.as_deref().unwrap_or_default(),
                            now,
                            if row.message.is_some() { NEW } else { NOTHING_TO_TELL }
                        ])?;
                    if written > 0 {
                        note_poll(tx, &tenant, &lease.device, row, sealed.as_deref(), now)?;
                        Scope { tx, tenant: &tenant, device: &lease.device, now }.received(row)?;
                    }
                    new += if row.message.is_some() { written } else { 0 };
                }
                tx.wake(Topic::Inbox);
                Ok(new)
            })
            .await
    }

    /// Whether a message has reached the inbox, whatever became of it there.
    pub async fn has_received(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        chat: String,
        sender: String,
        wa_id: String,
    ) -> Result<bool> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db
            .read(move |conn| {
                let mut found = conn.prepare_cached(
                    "SELECT 1 FROM messages_inbox \
                     WHERE tenant_id = ?1 AND device_id = ?2 AND chat = ?3 AND sender = ?4 AND wa_id = ?5",
                )?;
                Ok(found.exists(params![tenant.as_str(), device.as_str(), chat, sender, wa_id])?)
            })
            .await
    }

    /// What waits of one tenant, in the order of arrival, but not of these chats of its devices.
    pub async fn waiting(&self, tenant: &TenantId, except: Vec<(DeviceId, String)>, limit: u32) -> Result<Waiting> {
        let tenant = tenant.clone();
        let except: Vec<String> = except.into_iter().map(|(device, chat)| format!("{device} {chat}")).collect();
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT seq, device_id, chat, sender, wa_id, envelope, message, received_at, kind \
                     FROM messages_inbox INDEXED BY messages_inbox_new_of_tenant \
                     WHERE processed = 0 AND tenant_id = ?1 \
                     AND (?2 = '[]' OR device_id || ' ' || chat NOT IN (SELECT value FROM json_each(?2))) \
                     ORDER BY seq LIMIT ?3",
                )?;
                let mut rows = statement.query(params![tenant.as_str(), json!(except).to_string(), limit])?;
                let mut waiting = Waiting::default();
                while let Some(row) = rows.next()? {
                    let seq = row.get(0)?;
                    match read(seq, row, &tenant) {
                        Some(row) => waiting.rows.push(row),
                        None => waiting.unreadable.push(seq),
                    }
                }
                Ok(waiting)
            })
            .await
    }

    /// Marks a row processed and writes what came of it, with what hooks left behind, in one step. A row that was
    /// processed meanwhile is left alone, and all that came of it with it. `Moved`: a plugin has to run again.
    /// `redacted`: a plugin replaced what was said, so the stored message goes too.
    pub async fn complete_inbound(
        &self,
        row: &InboxRow,
        came_of_it: Vec<Event>,
        aftermath: Aftermath,
        redacted: bool,
    ) -> Result<()> {
        let (seq, tenant, now) = (row.seq, row.tenant.clone(), self.clock.now_ms());
        let replaced = if redacted { replaced(row, &came_of_it) } else { None };
        self.db
            .write(move |tx| {
                let first = tx
                    .prepare_cached(
                        "UPDATE messages_inbox SET processed = 1, message = CASE WHEN ?2 THEN x'' ELSE message END \
                         WHERE seq = ?1 AND processed = 0",
                    )?
                    .execute(params![seq, redacted])?;
                if first > 0 {
                    if let Some((device, chat, wa_id, text)) = &replaced {
                        Scope { tx, tenant: &tenant, device, now }.redacted(chat, wa_id, text.as_deref())?;
                    }
                    for event in &came_of_it {
                        events::append_decided(tx, event)?;
                    }
                    plugin_history::commit(tx, &tenant, &aftermath, now)?;
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
                    let data = json!({ "id": id, "chat": chat, "timestamp": now / 1000 });
                    let type_ = EventType::MessageUndecryptable;
                    events::append(tx, &Event::new(tenant, Some(device), type_, now, data))?;
                }
                Ok(())
            })
            .await
    }
}

/// Whose turn an event waits for; empty when it concerns no chat.
pub(super) fn chat_of(event: &Event) -> &str {
    event.data.get("chat").and_then(Value::as_str).unwrap_or_default()
}

/// The message whose line says something else now, and what.
fn replaced(row: &InboxRow, came_of_it: &[Event]) -> Option<(DeviceId, String, String, Option<String>)> {
    let Incoming::Message { wa_id, .. } = &row.what else { return None };
    let said = came_of_it.first().map(|event| &event.data);
    let text = said.and_then(|data| data["text"].as_str().or_else(|| data["caption"].as_str()));
    Some((row.device.clone(), row.chat.clone(), wa_id.clone(), text.map(str::to_owned)))
}

/// Keeps a poll, or counts a vote, with the row that was just written for it.
fn note_poll(
    tx: &Tx<'_>,
    tenant: &TenantId,
    device: &DeviceId,
    row: &NewInboxRow,
    sealed: Option<&[u8]>,
    now: UnixMs,
) -> Result<()> {
    let seq = tx.last_insert_rowid();
    if let (Some(new), Some(sealed)) = (&row.poll, sealed) {
        let written = Written { wa_id: &row.wa_id, chat: &row.chat, authors: &new.authors, poll: &new.poll };
        polls::insert(tx, tenant, device, &written, sealed, now)?;
    }
    if let Some(vote) = &row.vote {
        let mut envelope = row.envelope.clone();
        envelope["vote"] = polls::vote(tx, tenant, device, vote, seq, now)?;
        tx.prepare_cached("UPDATE messages_inbox SET envelope = ?2 WHERE seq = ?1")?
            .execute(params![seq, envelope.to_string()])?;
    }
    Ok(())
}

/// Keeps an event until the tenant's plugins have seen it.
pub(super) fn wait_for_plugins(tx: &Tx<'_>, event: &Event) -> Result<()> {
    let Some(device) = &event.device else { return events::append_decided(tx, event) };
    let chat = chat_of(event);
    let envelope = json!({ "type": event.type_.as_str(), "data": event.data, "at": event.at });
    tx.prepare_cached(
        "INSERT INTO messages_inbox (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at, kind) \
         VALUES (?1, ?2, ?3, '', ?4, ?5, x'', ?6, ?7)",
    )?
    .execute(params![
        event.tenant.as_str(),
        device.as_str(),
        chat,
        event.id.as_str(),
        envelope.to_string(),
        event.at,
        EVENT
    ])?;
    tx.wake(Topic::Inbox);
    Ok(())
}

/// `None` for a row that does not read back as what was written.
fn read(seq: i64, row: &Row<'_>, tenant: &TenantId) -> Option<InboxRow> {
    let text = |at: usize| row.get::<_, String>(at).ok();
    let device = DeviceId::parse(&text(1)?).ok()?;
    let envelope: Value = serde_json::from_str(&text(5)?).ok()?;
    let what = match row.get(8).ok()? {
        MESSAGE => Incoming::Message { sender: text(3)?, wa_id: text(4)?, envelope, message: row.get(6).ok()? },
        EVENT => Incoming::Event(event(tenant, &device, &text(4)?, envelope)?),
        _ => return None,
    };
    Some(InboxRow { seq, tenant: tenant.clone(), device, chat: text(2)?, what, received_at: row.get(7).ok()? })
}

fn event(tenant: &TenantId, device: &DeviceId, id: &str, mut envelope: Value) -> Option<Event> {
    Some(Event {
        id: EventId::parse(id).ok()?,
        tenant: tenant.clone(),
        device: Some(device.clone()),
        type_: EventType::parse(envelope["type"].as_str()?)?,
        at: envelope["at"].as_i64()?,
        data: envelope["data"].take(),
        dropped: None,
        route: None,
    })
}
