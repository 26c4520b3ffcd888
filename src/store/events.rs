//! The event log: append-only, read by cursor. Appending also writes a delivery for every webhook that wants the event,
//! in the same transaction, so that no crash can separate the two.

use super::{Result, Store, StoreError, Topic, Tx, chats, inbox, plugins};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Dropped, Event, EventType, wanted};
use crate::domain::ids::{DeliveryId, DeviceId, EventId, TenantId};
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

/// A row of the log. `seq` is the cursor; it follows commit order.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub seq: i64,
    pub id: EventId,
    pub tenant: TenantId,
    pub device: Option<DeviceId>,
    /// The public name; kept as text so that an event of a newer version still reads.
    pub type_: String,
    pub data: serde_json::Value,
    pub at: UnixMs,
    /// Set when a plugin dropped it.
    pub dropped: Option<Dropped>,
}

/// Which part of the log a reader wants.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    pub device: Option<DeviceId>,
    /// Rows behind this cursor, oldest first. Without it: newest first.
    pub after: Option<i64>,
    pub since: Option<UnixMs>,
    pub until: Option<UnixMs>,
    /// Public names; empty means all.
    pub types: Vec<String>,
    /// Events that plugins dropped, in place of those that were told.
    pub dropped: bool,
    pub limit: u32,
}

impl Store {
    pub async fn append_event(&self, event: Event) -> Result<()> {
        self.db.write(move |tx| append(tx, &event)).await
    }

    /// Appends what is not there yet: an event whose id is known was told before, or waits for the tenant's plugins.
    pub async fn append_events_once(&self, events: Vec<Event>) -> Result<()> {
        self.db
            .write(move |tx| {
                for event in &events {
                    chats::note_subject(tx, event)?;
                    append_once(tx, event)?;
                }
                Ok(())
            })
            .await
    }

    pub async fn events(&self, tenant: &TenantId, query: EventQuery) -> Result<Vec<EventRow>> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let types = vec!["?"; query.types.len()].join(", ");
                let type_filter = if query.types.is_empty() { String::new() } else { format!("AND type IN ({types})") };
                let order = if query.after.is_some() { "ASC" } else { "DESC" };
                let told = if query.dropped { "NOT" } else { "" };
                let device_filter = if query.device.is_some() { "device_id = ?" } else { "?  IS NULL" };
                let sql = format!(
                    "SELECT {COLUMNS} FROM event_logs \
                     WHERE tenant_id = ? AND {device_filter} AND seq > ? AND created_at >= ? AND created_at <= ? \
                     AND dropped_by IS {told} NULL {type_filter} ORDER BY seq {order} LIMIT ?"
                );
                let mut values: Vec<rusqlite::types::Value> = vec![
                    tenant.as_str().to_owned().into(),
                    query.device.as_ref().map(|d| d.as_str().to_owned()).into(),
                    query.after.unwrap_or(0).into(),
                    query.since.unwrap_or(0).into(),
                    query.until.unwrap_or(i64::MAX).into(),
                ];
                values.extend(query.types.into_iter().map(Into::into));
                values.push(i64::from(query.limit).into());
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), |row| Ok(read(row)))?;
                rows.map(|row| row?).collect()
            })
            .await
    }
}

impl Store {
    /// Tells an event that a plugin dropped, now: it takes the place of the newest in the log, where readers that follow it
    /// come by, and gets its deliveries. `NotFound`: there is no such event. `Conflict`: it was told already.
    pub async fn tell_dropped(&self, tenant: &TenantId, id: &EventId) -> Result<EventRow> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.db
            .write(move |tx| {
                let sql = format!("SELECT {COLUMNS} FROM event_logs WHERE tenant_id = ?1 AND id = ?2");
                let find = |tx: &Tx<'_>| {
                    let mut statement = tx.prepare_cached(&sql)?;
                    statement
                        .query_row(params![tenant.as_str(), id.as_str()], |row| Ok(read(row)))
                        .optional()?
                        .ok_or(StoreError::NotFound)?
                };
                let row = find(tx)?;
                if row.dropped.is_none() {
                    return Err(StoreError::Conflict("the event was told already"));
                }
                let type_ = EventType::parse(&row.type_).ok_or(StoreError::Corrupt { what: "an event's type" })?;
                tx.execute("DELETE FROM event_logs WHERE seq = ?1", [row.seq])?;
                let event = Event {
                    id: row.id,
                    tenant: row.tenant,
                    device: row.device,
                    type_,
                    at: row.at,
                    data: row.data,
                    dropped: None,
                    route: None,
                };
                append_decided(tx, &event)?;
                find(tx)
            })
            .await
    }
}

pub(super) const COLUMNS: &str = "seq, id, tenant_id, device_id, type, data, created_at, dropped_by, dropped_why";

fn is_known(tx: &Tx<'_>, event: &Event) -> Result<bool> {
    let mut known = tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM event_logs WHERE id = ?1) OR EXISTS \
         (SELECT 1 FROM messages_inbox WHERE device_id = ?2 AND chat = ?3 AND sender = '' AND wa_id = ?1)",
    )?;
    let chat = inbox::chat_of(event);
    Ok(known
        .query_row(params![event.id.as_str(), event.device.as_ref().map(DeviceId::as_str), chat], |row| row.get(0))?)
}

/// Writes an event unless it is known.
pub(super) fn append_once(tx: &Tx<'_>, event: &Event) -> Result<()> {
    if is_known(tx, event)? { Ok(()) } else { append(tx, event) }
}

/// Writes an event. Of a tenant whose plugins see events it waits in the inbox until they have.
pub(super) fn append(tx: &Tx<'_>, event: &Event) -> Result<()> {
    if event.passes_plugins() && plugins::has_inbound(tx, &event.tenant)? {
        return inbox::wait_for_plugins(tx, event);
    }
    append_decided(tx, event)
}

/// Writes an event that plugins have seen, and the deliveries it calls for.
pub(super) fn append_decided(tx: &Tx<'_>, event: &Event) -> Result<()> {
    let data = serde_json::to_string(&event.data).map_err(|_| StoreError::Corrupt { what: "an event's data" })?;
    tx.prepare_cached(
        "INSERT INTO event_logs (id, tenant_id, device_id, type, data, created_at, dropped_by, dropped_why) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        event.id.as_str(),
        event.tenant.as_str(),
        event.device.as_ref().map(DeviceId::as_str),
        event.type_.as_str(),
        data,
        event.at,
        event.dropped.as_ref().map(|dropped| &dropped.by),
        event.dropped.as_ref().map(|dropped| &dropped.why)
    ])?;
    let seq = tx.last_insert_rowid();
    if event.dropped.is_some() {
        return Ok(());
    }
    tx.wake(Topic::Events);
    deliver(tx, event, seq)
}

/// One delivery for every webhook that wants this event.
fn deliver(tx: &Tx<'_>, event: &Event, seq: i64) -> Result<()> {
    let mut webhooks = tx.prepare_cached(
        "SELECT id, events, device_ids, name, slug FROM webhooks WHERE tenant_id = ?1 AND enabled = 1 AND deleted_at IS NULL",
    )?;
    let mut rows = webhooks.query([event.tenant.as_str()])?;
    while let Some(row) = rows.next()? {
        // One that does not read must not keep what happened from being written, for good and for every other webhook.
        match wants(row, event) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                let webhook: String = row.get(0)?;
                tracing::error!(webhook, %error, "a webhook hears nothing until it is written anew");
                continue;
            }
        }
        tx.prepare_cached(
            "INSERT INTO webhook_deliveries \
             (id, tenant_id, webhook_id, event_id, event_seq, status, next_at, created_at, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, 'due', ?6, ?6, ?6)",
        )?
        .execute(params![
            DeliveryId::generate().as_str(),
            event.tenant.as_str(),
            row.get::<_, String>(0)?,
            event.id.as_str(),
            seq,
            event.at
        ])?;
        tx.wake(Topic::Deliveries);
    }
    Ok(())
}

fn wants(webhook: &Row<'_>, event: &Event) -> Result<bool> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a webhook row" };
    let names: Vec<String> = serde_json::from_str(&webhook.get::<_, String>(1)?).map_err(|_| CORRUPT)?;
    let devices: Option<Vec<String>> = webhook
        .get::<_, Option<String>>(2)?
        .map(|text| serde_json::from_str(&text).map_err(|_| CORRUPT))
        .transpose()?;
    let device_fits = match (&devices, &event.device) {
        (Some(only), Some(device)) => only.iter().any(|id| id == device.as_str()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    // A webhook that hears of its own failing would feed itself.
    let about_webhooks =
        matches!(event.type_, EventType::WebhookFailing | EventType::WebhookDisabled | EventType::WebhookRecovered);
    let itself =
        about_webhooks && event.data.get("webhookId").and_then(|v| v.as_str()) == Some(&webhook.get::<_, String>(0)?);
    let named = match &event.route {
        Some(route) => {
            let names: [Option<String>; 2] = [row_text(webhook, 3)?, row_text(webhook, 4)?];
            names.iter().flatten().any(|name| route.contains(name))
        }
        None => true,
    };
    Ok(device_fits && named && !itself && wanted(&names, event.type_))
}

fn row_text(row: &Row<'_>, index: usize) -> Result<Option<String>> {
    Ok(row.get(index)?)
}

pub(super) fn read(row: &Row<'_>) -> Result<EventRow> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "an event row" };
    let device: Option<String> = row.get(3)?;
    Ok(EventRow {
        seq: row.get(0)?,
        id: EventId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
        tenant: TenantId::parse(&row.get::<_, String>(2)?).map_err(|_| CORRUPT)?,
        device: device.map(|id| DeviceId::parse(&id)).transpose().map_err(|_| CORRUPT)?,
        type_: row.get(4)?,
        data: serde_json::from_str(&row.get::<_, String>(5)?).map_err(|_| CORRUPT)?,
        at: row.get(6)?,
        dropped: match (row.get(7)?, row.get::<_, Option<String>>(8)?) {
            (Some(by), why) => Some(Dropped { by, why: why.unwrap_or_default() }),
            (None, _) => None,
        },
    })
}
