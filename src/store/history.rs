//! What the phone tells of the time before a device was linked: taken in in small transactions, so that nobody's message
//! waits behind ten thousand old ones. What is known already stays as it is.

use super::chat_lines::NewLine;
use super::device_locks::Lease;
use super::people::Scope;
use super::{Result, Store};
use crate::domain::clock::UnixMs;
use crate::domain::event::EventType;
use crate::domain::ids::TenantId;
use rusqlite::params;
use serde_json::json;

/// A part of what the phone told.
#[derive(Debug, Clone, Default)]
pub struct HistoryPart {
    pub chats: Vec<HistoryChat>,
    /// Pairs of addresses that are one person's.
    pub pairs: Vec<(String, String)>,
    /// How people call themselves.
    pub names: Vec<(String, String)>,
    /// With the last part of a file.
    pub end: Option<HistoryEnd>,
}

/// A chat, and some of its messages; one with many comes in several.
#[derive(Debug, Clone, Default)]
pub struct HistoryChat {
    pub address: String,
    /// A person's other address.
    pub other: Option<String>,
    pub name: Option<String>,
    pub unread_count: u32,
    pub marked_unread: bool,
    pub last_message_at: UnixMs,
    pub archived: bool,
    pub muted_until: UnixMs,
    pub pinned: bool,
    pub lines: Vec<NewLine>,
}

/// What a file of history came to.
#[derive(Debug, Clone)]
pub struct HistoryEnd {
    /// The id of the message that told of it.
    pub word: String,
    /// What makes it this file and no other: one that comes again is told once.
    pub file: String,
    /// When the newest of its messages was written.
    pub at: UnixMs,
    /// WhatsApp's name of the kind, in lower case.
    pub kind: &'static str,
    pub order: Option<u32>,
    /// In percent, as the phone says.
    pub progress: Option<u32>,
    pub chats: u64,
    pub messages: u64,
}

impl Store {
    /// All of a part or nothing. Refused once another instance owns the device.
    pub async fn record_history(&self, tenant: &TenantId, lease: &Lease, part: HistoryPart) -> Result<()> {
        let (tenant, lease, now) = (tenant.clone(), lease.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let scope = Scope { tx, tenant: &tenant, device: &lease.device, now };
                part.pairs.iter().try_for_each(|(one, other)| scope.learn(one, other))?;
                part.chats.iter().try_for_each(|chat| scope.old_chat(chat))?;
                part.names.iter().try_for_each(|(who, name)| scope.old_name(who, name))?;
                part.end.iter().try_for_each(|end| scope.history_ended(end))
            })
            .await
    }
}

impl Scope<'_> {
    fn old_chat(&self, old: &HistoryChat) -> Result<()> {
        if let Some(other) = &old.other {
            self.learn(&old.address, other)?;
        }
        let Some(chat) = self.open_chat(&old.address)? else { return Ok(()) };
        if chat.is_new {
            self.tx
                .prepare_cached(
                    "UPDATE chats SET unread_count = ?2, marked_unread = ?3, archived = ?4, muted_until = ?5, pinned = ?6 \
                     WHERE id = ?1",
                )?
                .execute(params![
                    chat.id,
                    old.unread_count,
                    old.marked_unread,
                    old.archived,
                    old.muted_until,
                    old.pinned
                ])?;
        }
        let mut newest = old.last_message_at;
        for line in &old.lines {
            self.add_line(chat.id, line)?;
            newest = newest.max(line.at);
        }
        self.tx
            .prepare_cached(
                "UPDATE chats SET name = coalesce(name, ?2), last_message_at = max(last_message_at, ?3), updated_at = ?4 \
                 WHERE id = ?1",
            )?
            .execute(params![chat.id, old.name, newest, self.now])?;
        Ok(())
    }

    /// A name that is known is newer than one of the history.
    fn old_name(&self, who: &str, name: &str) -> Result<()> {
        let jid = self.canonical(who)?;
        self.tx
            .prepare_cached(
                "INSERT INTO contacts (device_id, jid, tenant_id, lid, push_name, updated_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (device_id, jid) DO UPDATE SET \
                 push_name = coalesce(push_name, excluded.push_name)",
            )?
            .execute(params![self.device.as_str(), jid, self.tenant.as_str(), self.lid_of(&jid)?, name, self.now])?;
        Ok(())
    }

    fn history_ended(&self, end: &HistoryEnd) -> Result<()> {
        self.word_kept(&end.word)?;
        self.tx
            .prepare_cached(
                "INSERT INTO device_chat_sync (device_id, tenant_id, last_history_sync_at, last_history_sync_chats, \
                 last_chats_upsert_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?3, ?3) ON CONFLICT (device_id) DO UPDATE SET \
                 last_history_sync_at = ?3, last_history_sync_chats = ?4, last_chats_upsert_at = ?3, updated_at = ?3",
            )?
            .execute(params![self.device.as_str(), self.tenant.as_str(), self.now, end.chats])?;
        let data = json!({
            "syncType": end.kind,
            "chunkOrder": end.order,
            "progress": end.progress,
            "chats": end.chats,
            "messages": end.messages,
            "timestamp": self.now / 1000,
        });
        let order = end.order.unwrap_or_default().to_string();
        self.tell(EventType::HistorySynced, &[end.kind, &order, &end.file], end.at, data)
    }
}
