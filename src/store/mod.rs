//! Everything durable. Callers see domain operations, never SQL; every operation that belongs to a tenant names it.
//!
//! Promises: an operation that returned `Ok` is on disk (`synchronous = FULL`); operations of one call are one
//! transaction; whoever waits on a [`Topic`] is woken after the commit that concerns it, and sweeps now and then in
//! case a wake was missed. What sessions and webhooks keep secret passes the vault before it reaches a row.
//!
//! Not here: decisions (they are in `domain`) and another engine's dialect (a second engine stands behind the same
//! operations).

mod audit;
mod chat_changes;
mod chat_lines;
mod chats;
mod database;
mod dead_letters;
mod deliveries;
mod device_locks;
mod devices;
mod events;
mod history;
mod history_words;
mod inbox;
mod keys;
mod labels;
mod maintenance;
mod media;
mod migrations;
mod open;
mod outbox;
mod outbox_lane;
mod people;
#[cfg(test)]
mod plans;
mod plugin_differences;
mod plugin_history;
mod plugin_kv;
mod plugin_ticks;
mod plugins;
mod polls;
mod quotes;
mod raw;
mod remote_media;
mod sessions;
mod templates;
mod tenant_files;
mod tenants;
mod wake;
mod webhook_figures;
mod webhooks;
#[cfg(test)]
mod world;

pub use audit::{AuditEntry, AuditQuery, AuditRow};
pub use chat_lines::{Before, LineRow, NewLine, READ_AT_ONCE_MAX};
pub use chats::{ChatRow, ChatSync};
pub use database::Tx;
pub use dead_letters::{DEAD_LETTERS_AT_ONCE_MAX, DeadLetter, LetterChoice};
pub use deliveries::{AttemptEnd, AttemptRow, DeliveryQuery, DeliveryRow, DueDelivery};
pub use device_locks::{LEASE_TTL, Lease};
pub use devices::{DeviceRow, Link, Observation};
pub use events::{EventPage, EventQuery, EventRow};
pub use history::{HistoryChat, HistoryEnd, HistoryPart};
pub use history_words::Word;
pub use inbox::{InboxRow, Incoming, NewInboxRow, Waiting};
pub use keys::{KEYS_PER_TENANT_MAX, KeyRow, Succession, USE_NOTED_EVERY_MS};
pub use labels::LabelRow;
pub use maintenance::{Backlog, Holdings, Keep, MessageFigures, PluginFile, ResumableDevice, Span, Swept, Totals};
pub use media::{MediaFacts, MediaKept, MediaRow, MediaState, MediaUse};
pub use open::{OpenError, StoreSettings};
pub use outbox::{Accepted, Idempotency, NewMessage, OutboxRow, ReceiptNews};
pub use outbox_lane::{Ended, Turn};
pub use people::ContactRow;
pub use plugin_differences::ShadowRecord;
pub use plugin_history::{PLUGIN_HISTORY_ROWS_MAX, Placed};
pub use plugin_kv::{KvRow, KvUse};
pub use plugins::{PluginRow, PluginSpec, PluginWrites};
pub use polls::{NewPoll, NewVote, OpenPoll, PollRow};
pub use quotes::{Found, Hints, Named, Quotable, Said};
pub use raw::{Behind, RAW_BYTES_MAX, RawMessage, RawPage};
pub use remote_media::{DueDownload, NewRemoteMedia, NotFetched};
pub use sessions::{Record, SessionKind, SessionVault, SessionWrite};
pub use templates::{NewTemplate, TemplateMedia, TemplateRow};
pub use tenant_files::{DeviceWrite, FileChange, TenantWrite, WebhookWrite};
pub use tenants::{KEY_DAYS_DEFAULT, KeyOwner, MANAGED_BY_API, NewKey, TenantRow, TenantStatus};
pub use wake::{Topic, Watch};
pub use webhook_figures::WebhookFigures;
pub use webhooks::{WebhookRow, WebhookSpec};

use crate::domain::clock::Clock;
use crate::domain::ids::{DeviceId, TenantId};
use crate::vault::Vault;
use std::sync::Arc;

/// What can go wrong, named for what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such row for this tenant.
    #[error("not found")]
    NotFound,
    /// A uniqueness that is meant was violated, or the row changed under the caller.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// What is to be made is there under this name.
    #[error("exists already: {0}")]
    Exists(&'static str),
    /// A value that a plugin relied on is another one by now: run its call again.
    #[error("a value that a plugin relied on has changed")]
    Moved,
    /// Another owner holds the device, or held it since: nothing was written.
    #[error("the device is owned by another instance")]
    Fenced,
    /// A row does not read back as what was written; the name says which.
    #[error("{what} in the store is corrupt")]
    Corrupt { what: &'static str },
    #[error("the store is closed")]
    Closed,
    /// An operation panicked; nothing of it was written.
    #[error("a store operation failed unexpectedly")]
    Panicked,
    #[error("database error")]
    Database(#[from] rusqlite::Error),
    #[error("database commit failed: {0}")]
    Commit(Arc<rusqlite::Error>),
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: database::Database,
    vault: Arc<Vault>,
    clock: Clock,
    instance: Arc<str>,
    /// Held as long as any handle lives.
    _lock: Arc<std::fs::File>,
}

impl Store {
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The name under which this process holds leases. Persisted, so that a restart is the same instance.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Resolves after the next commit that touched `topic`, or at once if one happened since `watch` last resolved.
    pub fn watch(&self, topic: Topic) -> Watch {
        self.db.wakes().watch(topic)
    }

    /// As [`Store::watch`], for the messages of one device that are on their way out.
    pub fn watch_outbox(&self, device: &DeviceId) -> Watch {
        self.db.wakes().watch_outbox(device)
    }

    /// As [`Store::watch`], for one tenant's log: an event was told, or who may hear them has changed.
    pub fn watch_log(&self, tenant: &TenantId) -> Watch {
        self.db.wakes().watch_log(tenant)
    }

    /// Waits until everything submitted so far is on disk, then stops the threads.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Whether the writer and a reader answer.
    pub async fn is_alive(&self) -> bool {
        self.db.read(|conn| Ok(conn.query_row("SELECT 1", [], |_| Ok(()))?)).await.is_ok()
            && self.db.write(|_| Ok(())).await.is_ok()
    }
}
