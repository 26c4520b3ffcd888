//! The event log: append-only, read by cursor. Appending also writes a delivery for every webhook that wants the event,
//! in the same transaction, so that no crash can separate the two.

use super::{Result, Store, StoreError, Topic, Tx, chats, inbox, plugins, webhooks};
use crate::domain::clock::UnixMs;
use crate::domain::delivery::Order;
use crate::domain::event::{Dropped, Event, EventType, wanted};
use crate::domain::ids::{DeliveryId, DeviceId, EventId, TenantId};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

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

/// A piece of the log for who follows it.
#[derive(Debug, Clone)]
pub struct EventPage {
    pub rows: Vec<EventRow>,
    /// Where to go on.
    pub cursor: i64,
    /// There may be more.
    pub is_full: bool,
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
        self.db.read(move |conn| select(conn, &tenant, query)).await
    }

    /// The rows behind `query.after`, and where to go on: behind them, and behind all that the query passes over.
    pub async fn follow_events(&self, tenant: &TenantId, query: EventQuery) -> Result<EventPage> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let (after, limit) = (query.after.unwrap_or(0), query.limit);
                // Looked up before the rows: what is told in between is among them or is left for the next page.
                let newest = newest(conn, &tenant)?;
                let rows = select(conn, &tenant, EventQuery { after: Some(after), ..query })?;
                let is_full = u32::try_from(rows.len()).unwrap_or(u32::MAX) >= limit;
                let last = rows.last().map_or(after, |row| row.seq);
                Ok(EventPage { cursor: if is_full { last } else { last.max(newest) }, rows, is_full })
            })
            .await
    }

    /// The cursor behind everything that was told of this tenant so far.
    pub async fn newest_event(&self, tenant: &TenantId) -> Result<i64> {
        let tenant = tenant.clone();
        self.db.read(move |conn| newest(conn, &tenant)).await
    }

    /// Forgets events of before this moment, oldest first, and says how many. One whose delivery is not done stays, and so
    /// does one that is parked in the dead letter queue of a webhook that is there.
    pub async fn forget_events(&self, tenant: &TenantId, before: UnixMs) -> Result<usize> {
        let (mut after, mut forgotten) = (0, 0);
        loop {
            let tenant = tenant.clone();
            let step = self.db.write(move |tx| forget_page(tx, &tenant, after, before)).await?;
            forgotten += step.forgotten;
            match step.go_on_behind {
                Some(seq) => after = seq,
                None => return Ok(forgotten),
            }
        }
    }
}

/// Events looked at in one transaction of forgetting, so that other writers get their turn.
const FORGET_ROWS_MAX: u32 = 1_000;

struct Forgotten {
    forgotten: usize,
    /// Absent when the rest is too young.
    go_on_behind: Option<i64>,
}

fn forget_page(tx: &Tx<'_>, tenant: &TenantId, after: i64, before: UnixMs) -> Result<Forgotten> {
    // The log is in the order of telling, near enough to that of time: the first page whose end is young ends it.
    let end: Option<(i64, UnixMs)> = tx
        .prepare_cached(
            "SELECT seq, created_at FROM (SELECT seq, created_at FROM event_logs WHERE tenant_id = ?1 AND seq > ?2 \
             ORDER BY seq LIMIT ?3) ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![tenant.as_str(), after, FORGET_ROWS_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((last, last_at)) = end else { return Ok(Forgotten { forgotten: 0, go_on_behind: None }) };
    let forgotten = tx
        .prepare_cached(
            "DELETE FROM event_logs WHERE tenant_id = ?1 AND seq > ?2 AND seq <= ?3 AND created_at < ?4 \
             AND NOT EXISTS (SELECT 1 FROM webhooks AS w JOIN webhook_deliveries AS d \
             ON d.webhook_id = w.id AND d.event_id = event_logs.id WHERE w.tenant_id = ?1 \
             AND (d.status IN ('due', 'sending') OR (d.status = 'parked' AND w.deleted_at IS NULL)))",
        )?
        .execute(params![tenant.as_str(), after, last, before])?;
    Ok(Forgotten { forgotten, go_on_behind: (last_at < before).then_some(last) })
}

const NEWEST: &str = "SELECT seq FROM event_logs WHERE tenant_id = ?1 ORDER BY seq DESC LIMIT 1";

fn newest(conn: &Connection, tenant: &TenantId) -> Result<i64> {
    let mut statement = conn.prepare_cached(NEWEST)?;
    Ok(statement.query_row([tenant.as_str()], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Without its values: the tenant, the device, the row to begin behind, two moments, the types, and the limit.
fn selection(query: &EventQuery) -> String {
    let types = vec!["?"; query.types.len()].join(", ");
    let type_filter = if query.types.is_empty() { String::new() } else { format!("AND type IN ({types})") };
    let order = if query.after.is_some() { "ASC" } else { "DESC" };
    let told = if query.dropped { "NOT" } else { "" };
    let device_filter = if query.device.is_some() { "device_id = ?" } else { "?  IS NULL" };
    format!(
        "SELECT {COLUMNS} FROM event_logs \
         WHERE tenant_id = ? AND {device_filter} AND seq > ? AND created_at >= ? AND created_at <= ? \
         AND dropped_by IS {told} NULL {type_filter} ORDER BY seq {order} LIMIT ?"
    )
}

/// The queries of the routes that pull events, for the test of their plans.
#[cfg(test)]
pub(super) fn queries() -> Vec<String> {
    let device = Some(DeviceId::generate());
    let types = vec!["message.received".to_owned()];
    let mut queries =
        vec![NEWEST.to_owned(), format!("SELECT {COLUMNS} FROM event_logs WHERE tenant_id = ?1 AND id = ?2")];
    for (device, after) in [(None, None), (None, Some(1)), (device.clone(), None), (device, Some(1))] {
        let query = EventQuery { device, after, ..EventQuery::default() };
        queries.push(selection(&query));
        queries.push(selection(&EventQuery { types: types.clone(), ..query }));
    }
    queries
}

fn select(conn: &Connection, tenant: &TenantId, query: EventQuery) -> Result<Vec<EventRow>> {
    let sql = selection(&query);
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
    tx.wake_log(&event.tenant);
    deliver(tx, event, seq)
}

/// One delivery for every webhook that wants this event.
fn deliver(tx: &Tx<'_>, event: &Event, seq: i64) -> Result<()> {
    let mut all = tx.prepare_cached(
        "SELECT id, events, device_ids, name, slug, ordering, filter FROM webhooks WHERE tenant_id = ?1 AND enabled = 1 AND deleted_at IS NULL",
    )?;
    let mut rows = all.query([event.tenant.as_str()])?;
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
             (id, tenant_id, webhook_id, event_id, event_seq, status, next_at, created_at, updated_at, lane) \
             VALUES (?1, ?2, ?3, ?4, ?5, 'due', ?6, ?6, ?6, ?7)",
        )?
        .execute(params![
            DeliveryId::generate().as_str(),
            event.tenant.as_str(),
            row.get::<_, String>(0)?,
            event.id.as_str(),
            seq,
            event.at,
            lane(row, event)?
        ])?;
        tx.wake(Topic::Deliveries);
    }
    Ok(())
}

/// The chat whose order the delivery keeps, when its webhook asks for that. Of what concerns no chat, nothing waits.
fn lane<'e>(webhook: &Row<'_>, event: &'e Event) -> Result<Option<&'e str>> {
    let ordered = webhook.get::<_, String>(5)? == Order::Chat.as_str();
    Ok(Some(inbox::chat_of(event)).filter(|chat| ordered && !chat.is_empty()))
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
    let filter = webhooks::filter(webhook.get(6)?)?;
    Ok(device_fits && named && !itself && wanted(&names, event.type_) && filter.passes(&event.data))
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
