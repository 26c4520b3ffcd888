//! What came in and waits to be processed: messages, and events that the tenant's plugins have yet to see.
//!
//! A message is written before WhatsApp hears that we have it; unique per device, chat, sender and id, so that a
//! redelivery changes nothing. An event is written in the transaction of what it tells.

use super::device_locks::Lease;
use super::people::Scope;
use super::polls::{self, NewPoll, NewVote, Written};
use super::{NewRemoteMedia, Result, Store, StoreError, Topic, Tx, events, media, plugin_history, remote_media};
use crate::domain::aftermath::Aftermath;
use crate::domain::chat::Line;
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, EventId, MediaId, TenantId};
use rusqlite::{OptionalExtension, Row, params};
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
    /// The file it came with, whose id the envelope names as `mediaId`.
    pub media: Option<NewRemoteMedia>,
}

/// A row with what of it is kept secret, sealed.
struct Sealed {
    row: NewInboxRow,
    poll: Option<Vec<u8>>,
    media: Option<Vec<u8>>,
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
pub(super) const NOTHING_TO_TELL: u8 = 3;
/// It came, was lost before it was stored, and is asked for again.
pub(super) const MISSING: u8 = 4;

/// Times a message is asked for again, one for each time that WhatsApp delivers it; then it is acknowledged.
pub(super) const ASKS_MAX: u32 = 3;

/// Rows of the inbox are of these kinds. The numbers are on disk.
const MESSAGE: u8 = 0;
const EVENT: u8 = 1;

impl Store {
    /// Writes a batch, all or nothing; returns how many messages were new. Refused once another instance owns the device.
    /// A word of a file of history stays missing: it is here when the file is.
    /// `eager` is whether files are to be fetched without being asked for, where the tenant's own file does not say.
    pub async fn record_inbound(
        &self,
        tenant: &TenantId,
        lease: &Lease,
        rows: Vec<NewInboxRow>,
        eager: bool,
    ) -> Result<usize> {
        let (tenant, lease, now) = (tenant.clone(), lease.clone(), self.clock.now_ms());
        let sealed = |row: NewInboxRow| {
            let poll = row.poll.as_ref().map(|new| self.seal_poll(&lease.device, &row.wa_id, &new.secret));
            let media = row.media.as_ref().map(|media| self.sealed_remote(&media.id, &media.remote)).transpose()?;
            Ok(Sealed { row, poll, media })
        };
        let rows: Vec<Sealed> = rows.into_iter().map(sealed).collect::<Result<_>>()?;
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let mut new = 0;
                for Sealed { row, poll, media: file } in &rows {
                    let written: Option<i64> = tx
                        .prepare_cached(
                            "INSERT INTO messages_inbox \
                             (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at, processed) \
                             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 \
                             WHERE NOT EXISTS (SELECT 1 FROM messages_inbox \
                                WHERE device_id = ?2 AND wa_id = ?5 AND processed <> 4 \
                                AND (sender = ?10 OR iif(json_valid(envelope), envelope ->> 'senderAlternative' = ?4, 0))) \
                             ON CONFLICT (device_id, chat, sender, wa_id) DO UPDATE SET \
                                envelope = excluded.envelope, message = excluded.message, \
                                received_at = excluded.received_at, processed = excluded.processed \
                             WHERE iif(processed = 4, messages_inbox.envelope ->> 'history' IS NOT 1, 0) \
                             RETURNING seq",
                        )?
                        .query_row(
                            params![
                            tenant.as_str(),
                            lease.device.as_str(),
                            row.chat,
                            row.sender,
                            row.wa_id,
                            row.envelope.to_string(),
                            row.message.as_deref().unwrap_or_default(),
                            now,
                            if row.message.is_some() { NEW } else { NOTHING_TO_TELL },
                            row.envelope["senderAlternative"].as_str()
                        ],
 |row| row.get(0))
 .optional()?;
                    let Some(seq) = written else { continue };
                    note_poll(tx, &tenant, &lease.device, row, seq, poll.as_deref(), now)?;
                    Scope { tx, tenant: &tenant, device: &lease.device, now }.received(row)?;
                    if let (Some(new), Some(sealed)) = (&row.media, file) {
                        let eager = remote_media::eager(tx, &tenant)?.unwrap_or(eager);
                        remote_media::insert_remote(tx, &tenant, &lease.device, new, sealed, eager, now)?;
                    }
                    new += usize::from(row.message.is_some());
                }
                tx.wake(Topic::Inbox);
                Ok(new)
            })
            .await
    }

    /// Notes a message that was delivered, cannot be decrypted any more, and is not in the inbox; an event tells of it the
    /// first time. True when it is to be asked for again: it is not here, and was not asked for often enough yet. A word of a
    /// file of history is not: it is on the list of what each connection asks for.
    pub async fn miss_inbound(
        &self,
        tenant: &TenantId,
        lease: &Lease,
        chat: String,
        sender: String,
        wa_id: String,
    ) -> Result<bool> {
        let (tenant, lease, now) = (tenant.clone(), lease.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let device = &lease.device;
                let found: Option<(i64, u8, u32, bool)> = tx
                    .prepare_cached(
                        "SELECT seq, processed, iif(processed = 4, envelope ->> 'asked', 0), \
                         iif(processed = 4, coalesce(envelope ->> 'history', 0), 0) FROM messages_inbox \
                         WHERE device_id = ?1 AND chat = ?2 AND sender = ?3 AND wa_id = ?4",
                    )?
                    .query_row(params![device.as_str(), chat, sender, wa_id], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                    })
                    .optional()?;
                let asked = match found {
                    Some((_, state, asked, is_word)) if state != MISSING || asked >= ASKS_MAX || is_word => {
                        return Ok(false);
                    }
                    Some((seq, _, asked, _)) => {
                        tx.prepare_cached(
                            "UPDATE messages_inbox SET envelope = json_set(envelope, '$.asked', ?2) WHERE seq = ?1",
                        )?
                        .execute(params![seq, asked + 1])?;
                        return Ok(true);
                    }
                    None => json!({ "asked": 1 }).to_string(),
                };
                tx.prepare_cached(
                    "INSERT INTO messages_inbox \
                     (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at, processed) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, x'', ?7, ?8)",
                )?
                .execute(params![
                    tenant.as_str(),
                    device.as_str(),
                    chat,
                    sender,
                    wa_id,
                    asked,
                    now,
                    MISSING
                ])?;
                let data = json!({ "id": wa_id, "chat": chat, "from": sender, "timestamp": now / 1000 });
                let type_ = EventType::MessageUndecryptable;
                events::append(tx, &Event::new(tenant, Some(device.clone()), type_, now, data))?;
                Ok(true)
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
        let media = row.what.media();
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
                    if let Some(id) = &media {
                        came_with(tx, &tenant, id, &came_of_it, redacted, now)?;
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
    seq: i64,
    sealed: Option<&[u8]>,
    now: UnixMs,
) -> Result<()> {
    if let (Some(new), Some(sealed)) = (&row.poll, sealed) {
        let written = Written { wa_id: &row.wa_id, chat: &row.chat, authors: &new.authors, poll: &new.poll };
        polls::insert(tx, tenant, device, &written, sealed, now)?;
    }
    if let Some(vote) = &row.vote {
        let mut envelope = row.envelope.clone();
        envelope["vote"] = match polls::vote(tx, tenant, device, vote, seq, now) {
            // As on a poll that is not known: it costs the count, and no message.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%device, poll = %vote.poll, %error, "a vote is not counted");
                Value::Null
            }
            counted => counted?,
        };
        tx.prepare_cached("UPDATE messages_inbox SET envelope = ?2 WHERE seq = ?1")?
            .execute(params![seq, envelope.to_string()])?;
    }
    Ok(())
}

/// A message's file: gone with what a plugin took out of the message, and fetched now if it is to be and somebody is told.
fn came_with(
    tx: &Tx<'_>,
    tenant: &TenantId,
    id: &MediaId,
    came_of_it: &[Event],
    redacted: bool,
    now: UnixMs,
) -> Result<()> {
    if redacted && came_of_it.iter().all(|event| event.data["mediaId"] != id.as_str()) {
        return media::unlist(tx, tenant, id).map(|_| ());
    }
    if came_of_it.iter().any(|event| event.dropped.is_none()) {
        remote_media::want_eager(tx, tenant, id, now)?;
    }
    Ok(())
}

impl InboxRow {
    /// The id of the event that a message becomes. It follows from the row, so that a run that is repeated after a crash is
    /// the same run, and the row is found again from the event.
    pub fn event_id(&self, sender: &str, wa_id: &str) -> EventId {
        event_id(self.received_at, self.seq, self.device.as_str(), &self.chat, sender, wa_id)
    }
}

pub(super) fn event_id(received_at: UnixMs, seq: i64, device: &str, chat: &str, sender: &str, wa_id: &str) -> EventId {
    EventId::derived(received_at, &[device, chat, sender, wa_id, &seq.to_string()])
}

impl Incoming {
    /// The file that a message came with.
    fn media(&self) -> Option<MediaId> {
        match self {
            Self::Message { envelope, .. } => MediaId::parse(envelope.get("mediaId")?.as_str()?).ok(),
            Self::Event(_) => None,
        }
    }
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
