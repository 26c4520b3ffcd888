//! Deliveries: one event to one webhook, claimed under a lease, settled with a row per attempt.

use super::{EventRow, Result, Store, StoreError, Topic, Tx, WebhookRow, events, plugin_history, webhooks};
use crate::domain::aftermath::Aftermath;
use crate::domain::clock::UnixMs;
use crate::domain::delivery::FAILING_AFTER;
use crate::domain::delivery::{Form, Shape, Step};
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::json;
use std::time::Duration;

/// A claimed delivery with all that an attempt needs.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    pub id: DeliveryId,
    /// This attempt's number, from 1.
    pub attempt: u32,
    pub event: EventRow,
    pub webhook: WebhookRow,
    /// What the webhook's plugin chose, once it has.
    pub form: Option<Form>,
}

/// One attempt and what follows from it.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    pub delivery: DeliveryId,
    pub webhook: WebhookId,
    pub tenant: TenantId,
    pub attempt: u32,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub took: Duration,
    pub step: Step,
}

/// A delivery as its tenant sees it.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// The cursor of a list.
    pub seq: i64,
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub event_id: String,
    pub event_type: String,
    pub device: Option<String>,
    pub status: String,
    pub attempts: u32,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
    pub next_at: UnixMs,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// Which deliveries of a webhook a reader wants.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    pub status: Option<String>,
    pub event_type: Option<String>,
    pub since: Option<UnixMs>,
    pub until: Option<UnixMs>,
    /// Only rows before this cursor.
    pub before: Option<i64>,
    pub limit: u32,
    pub offset: u32,
}

/// One HTTP request of a delivery.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    pub attempt: u32,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub took_ms: i64,
    pub at: UnixMs,
}

/// Attempts of one delivery that are shown; the newest.
const ATTEMPTS_SHOWN_MAX: u32 = 100;
const OF_DELIVERIES: &str = "SELECT d.seq, d.id, d.webhook_id, d.event_id, e.type, e.device_id, d.status, d.attempts, \
                             d.last_status, d.last_error, d.next_at, d.created_at, d.updated_at \
                             FROM webhook_deliveries AS d JOIN event_logs AS e ON e.seq = d.event_seq";

impl Store {
    /// Deliveries of one webhook, newest first.
    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        webhook: &WebhookId,
        query: DeliveryQuery,
    ) -> Result<Vec<DeliveryRow>> {
        let (tenant, webhook) = (tenant.clone(), webhook.clone());
        self.db
            .read(move |conn| {
                let mut sql = format!("{OF_DELIVERIES} WHERE d.tenant_id = ? AND d.webhook_id = ?");
                let mut values: Vec<rusqlite::types::Value> =
                    vec![tenant.as_str().to_owned().into(), webhook.as_str().to_owned().into()];
                let filters: [(&str, Option<rusqlite::types::Value>); 5] = [
                    ("d.status =", query.status.map(Into::into)),
                    ("e.type =", query.event_type.map(Into::into)),
                    ("d.created_at >=", query.since.map(Into::into)),
                    ("d.created_at <=", query.until.map(Into::into)),
                    ("d.seq <", query.before.map(Into::into)),
                ];
                for (condition, value) in filters {
                    if let Some(value) = value {
                        sql.push_str(&format!(" AND {condition} ?"));
                        values.push(value);
                    }
                }
                sql.push_str(" ORDER BY d.seq DESC LIMIT ? OFFSET ?");
                values.extend([i64::from(query.limit).into(), i64::from(query.offset).into()]);
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), |row| Ok(read(row)))?;
                rows.map(|row| row?).collect()
            })
            .await
    }

    pub async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<DeliveryRow> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.db.read(move |conn| find(conn, &tenant, &id)).await
    }

    /// The newest attempts of a delivery, oldest of them first.
    pub async fn attempts(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Vec<AttemptRow>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT attempt, status, error, duration_ms, created_at FROM webhook_logs \
                     WHERE tenant_id = ?1 AND delivery_id = ?2 ORDER BY seq DESC LIMIT ?3",
                )?;
                let rows = statement.query_map(params![tenant.as_str(), id.as_str(), ATTEMPTS_SHOWN_MAX], |row| {
                    Ok(AttemptRow {
                        attempt: row.get(0)?,
                        status: row.get(1)?,
                        error: row.get(2)?,
                        took_ms: row.get(3)?,
                        at: row.get(4)?,
                    })
                })?;
                let mut attempts = rows.collect::<rusqlite::Result<Vec<_>>>()?;
                attempts.reverse();
                Ok(attempts)
            })
            .await
    }

    /// Makes a delivery due now, with all its attempts before it. `Conflict`: it is under way, or its webhook is off.
    pub async fn retry_delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<DeliveryRow> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let row = find(tx, &tenant, &id)?;
                if row.status == "sending" {
                    return Err(StoreError::Conflict("an attempt of this delivery is under way"));
                }
                if !again(tx, &tenant, id.as_str(), now)? {
                    return Err(StoreError::Conflict("the webhook is disabled or deleted; enable it first"));
                }
                find(tx, &tenant, &id)
            })
            .await
    }

    /// Keeps what the webhook's plugin chose, with what it left behind.
    pub async fn keep_form(&self, delivery: &DueDelivery, form: Form, aftermath: Aftermath) -> Result<()> {
        let (id, tenant, now) = (delivery.id.clone(), delivery.webhook.tenant.clone(), self.clock.now_ms());
        let (shape, body) = match form {
            Form::Default => (None, None),
            Form::Shaped { shape, body } => (Some(shape), Some(body)),
        };
        let shape =
            serde_json::to_string(&shape).map_err(|_| StoreError::Corrupt { what: "the shape of a delivery" })?;
        self.db
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE webhook_deliveries SET shape = ?3, body = ?4 WHERE tenant_id = ?1 AND id = ?2 AND shape IS NULL",
                )?
                .execute(params![tenant.as_str(), id.as_str(), shape, body])?;
                plugin_history::commit(tx, &tenant, &aftermath, now)
            })
            .await
    }

    /// The webhook's plugin wants no delivery of this event: the row goes, the plugin's trace stays.
    pub async fn skip_delivery(&self, delivery: &DueDelivery, aftermath: Aftermath) -> Result<()> {
        let (id, tenant, now) = (delivery.id.clone(), delivery.webhook.tenant.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                tx.execute(
                    "DELETE FROM webhook_deliveries WHERE tenant_id = ?1 AND id = ?2",
                    params![tenant.as_str(), id.as_str()],
                )?;
                plugin_history::commit(tx, &tenant, &aftermath, now)
            })
            .await
    }

    /// Lets a delivery wait without an attempt.
    pub async fn postpone_delivery(&self, delivery: &DueDelivery, until: UnixMs) -> Result<()> {
        let (id, tenant) = (delivery.id.clone(), delivery.webhook.tenant.clone());
        self.db
            .write(move |tx| {
                tx.execute(
                    "UPDATE webhook_deliveries SET status = 'due', next_at = ?3, leased_by = NULL, leased_until = NULL \
                     WHERE tenant_id = ?1 AND id = ?2 AND status = 'sending'",
                    params![tenant.as_str(), id.as_str(), until],
                )?;
                tx.wake(Topic::Deliveries);
                Ok(())
            })
            .await
    }

    /// Records attempts: the log row, the delivery's new state, the dead letter, the webhook that is switched off.
    pub async fn settle_deliveries(&self, ends: Vec<AttemptEnd>) -> Result<()> {
        let now = self.clock.now_ms();
        self.db.write(move |tx| ends.iter().try_for_each(|end| settle(tx, end, now))).await
    }
}

/// Makes a delivery due, out of the dead letters if it was there; `false` when its webhook takes none.
pub(super) fn again(tx: &Tx<'_>, tenant: &TenantId, id: &str, now: UnixMs) -> Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE webhook_deliveries SET status = 'due', attempts = 0, next_at = ?3, updated_at = ?3 \
             WHERE tenant_id = ?1 AND id = ?2 AND status <> 'sending' AND EXISTS (SELECT 1 FROM webhooks AS w \
             WHERE w.id = webhook_deliveries.webhook_id AND w.enabled = 1 AND w.deleted_at IS NULL)",
        )?
        .execute(params![tenant.as_str(), id, now])?;
    if changed == 0 {
        return Ok(false);
    }
    tx.prepare_cached("DELETE FROM dlq WHERE delivery_id = ?1 AND tenant_id = ?2")?
        .execute(params![id, tenant.as_str()])?;
    tx.wake(Topic::Deliveries);
    Ok(true)
}

fn find(conn: &Connection, tenant: &TenantId, id: &DeliveryId) -> Result<DeliveryRow> {
    let sql = format!("{OF_DELIVERIES} WHERE d.tenant_id = ?1 AND d.id = ?2");
    let row = conn.prepare_cached(&sql)?.query_row(params![tenant.as_str(), id.as_str()], |row| Ok(read(row)));
    row.optional()?.ok_or(StoreError::NotFound)?
}

fn read(row: &Row<'_>) -> Result<DeliveryRow> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a delivery row" };
    Ok(DeliveryRow {
        seq: row.get(0)?,
        id: DeliveryId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
        webhook: WebhookId::parse(&row.get::<_, String>(2)?).map_err(|_| CORRUPT)?,
        event_id: row.get(3)?,
        event_type: row.get(4)?,
        device: row.get(5)?,
        status: row.get(6)?,
        attempts: row.get(7)?,
        last_status: row.get(8)?,
        last_error: row.get(9)?,
        next_at: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
    })
}

fn settle(tx: &Tx<'_>, end: &AttemptEnd, now: UnixMs) -> Result<()> {
    let (status, next_at) = match end.step {
        Step::Done => ("delivered", now),
        Step::RetryAt(at) => ("due", at),
        Step::Park | Step::ParkAndDisable => ("parked", now),
    };
    let changed = tx
        .prepare_cached(
            "UPDATE webhook_deliveries SET status = ?2, attempts = ?3, next_at = ?4, leased_by = NULL, \
             leased_until = NULL, last_status = ?5, last_error = ?6, updated_at = ?7 WHERE id = ?1",
        )?
        .execute(params![end.delivery.as_str(), status, end.attempt, next_at, end.status, end.error, now])?;
    if changed == 0 {
        // It went with its webhook or its tenant while it was under way: there is nobody to tell.
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT INTO webhook_logs (tenant_id, webhook_id, delivery_id, attempt, status, error, duration_ms, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        end.tenant.as_str(),
        end.webhook.as_str(),
        end.delivery.as_str(),
        end.attempt,
        end.status,
        end.error,
        i64::try_from(end.took.as_millis()).unwrap_or(i64::MAX),
        now
    ])?;
    if status == "parked" {
        park(tx, end, now)?;
    }
    if end.step == Step::ParkAndDisable {
        disable(tx, end, now)?;
    }
    note_health(tx, end, now)?;
    if status == "due" {
        tx.wake(Topic::Deliveries);
    }
    Ok(())
}

fn reason(end: &AttemptEnd) -> String {
    match (&end.error, end.status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("the receiver answered {status}"),
        (None, None) => "no answer".to_owned(),
    }
}

/// Counts failures in a row, and tells once when a webhook begins to fail and once when it works again.
fn note_health(tx: &Tx<'_>, end: &AttemptEnd, now: UnixMs) -> Result<()> {
    type Health = (u32, Option<UnixMs>, Option<String>, bool);
    let health: Option<Health> = tx
        .prepare_cached(
            "SELECT failures, failing_since, name, enabled FROM webhooks \
             WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
        )?
        .query_row(params![end.tenant.as_str(), end.webhook.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((failures, failing_since, name, enabled)) = health else { return Ok(()) };
    let tell = |type_: EventType, data: serde_json::Value| {
        events::append(tx, &Event::new(end.tenant.clone(), None, type_, now, data))
    };
    let write = |failures: u32, since: Option<UnixMs>| -> Result<()> {
        tx.prepare_cached("UPDATE webhooks SET failures = ?3, failing_since = ?4 WHERE tenant_id = ?1 AND id = ?2")?
            .execute(params![end.tenant.as_str(), end.webhook.as_str(), failures, since])?;
        Ok(())
    };
    if end.step == Step::Done {
        if failures > 0 || failing_since.is_some() {
            write(0, None)?;
        }
        return match failing_since {
            Some(since) => {
                let data = json!({ "webhookId": end.webhook, "name": name, "failingSince": since / 1000 });
                tell(EventType::WebhookRecovered, data)
            }
            None => Ok(()),
        };
    }
    let failures = failures.saturating_add(1);
    let is_failing = failures >= FAILING_AFTER || matches!(end.step, Step::Park | Step::ParkAndDisable);
    let since = failing_since.or(is_failing.then_some(now));
    write(failures, since)?;
    // What is switched off has been told as that.
    if failing_since.is_none() && since.is_some() && enabled {
        let data = json!({ "webhookId": end.webhook, "name": name, "reason": reason(end), "failures": failures });
        tell(EventType::WebhookFailing, data)?;
    }
    Ok(())
}

fn park(tx: &Tx<'_>, end: &AttemptEnd, now: UnixMs) -> Result<()> {
    let reason = reason(end);
    tx.execute(
        "INSERT INTO dlq (delivery_id, tenant_id, webhook_id, event_id, event_type, reason, parked_at) \
         SELECT d.id, d.tenant_id, d.webhook_id, d.event_id, e.type, ?2, ?3 FROM webhook_deliveries AS d \
         JOIN event_logs AS e ON e.seq = d.event_seq WHERE d.id = ?1 ON CONFLICT (delivery_id) DO NOTHING",
        params![end.delivery.as_str(), reason, now],
    )?;
    Ok(())
}

fn disable(tx: &Tx<'_>, end: &AttemptEnd, now: UnixMs) -> Result<()> {
    const REASON: &str = "the receiver answered 410 Gone";
    let changed = tx.execute(
        "UPDATE webhooks SET enabled = 0, disabled_reason = ?3, updated_at = ?4 \
         WHERE tenant_id = ?1 AND id = ?2 AND enabled = 1",
        params![end.tenant.as_str(), end.webhook.as_str(), REASON, now],
    )?;
    if changed > 0 {
        let data = json!({ "webhookId": end.webhook, "reason": REASON });
        events::append(tx, &Event::new(end.tenant.clone(), None, EventType::WebhookDisabled, now, data))?;
    }
    Ok(())
}

/// No earlier delivery of the same chat to the same webhook is on its way.
const HEADS_ITS_LANE: &str = "NOT EXISTS (SELECT 1 FROM webhook_deliveries AS e WHERE e.webhook_id = d.webhook_id \
                              AND e.lane = d.lane AND e.status IN ('due', 'sending') AND e.seq < d.seq)";

/// Across tenants, for the deliverer's loop.
impl Store {
    /// Takes due deliveries in hand, oldest first, leaving out webhooks that have enough in hand already.
    pub async fn claim_deliveries(
        &self,
        limit: u32,
        lease: Duration,
        but_not: Vec<WebhookId>,
    ) -> Result<Vec<DueDelivery>> {
        let (now, instance, store) = (self.clock.now_ms(), self.instance.clone(), self.clone());
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let busy = serde_json::to_string(&but_not).map_err(|_| StoreError::Corrupt { what: "a list of webhooks" })?;
        self.db
            .write(move |tx| {
                let mut statement = tx.prepare_cached(&format!(
                    "SELECT d.id FROM webhook_deliveries AS d WHERE d.status IN ('due', 'sending') \
                         AND d.next_at <= ?1 AND (d.status = 'due' OR d.leased_until <= ?1) \
                         AND d.webhook_id NOT IN (SELECT value FROM json_each(?2)) AND {HEADS_ITS_LANE} \
                         ORDER BY d.next_at, d.seq LIMIT ?3"
                ))?;
                let ids: Vec<String> = statement
                    .query_map(params![now, busy, limit], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let mut due = Vec::with_capacity(ids.len());
                for id in ids {
                    tx.prepare_cached(
                        "UPDATE webhook_deliveries SET status = 'sending', leased_by = ?2, leased_until = ?3 \
                         WHERE id = ?1",
                    )?
                    .execute(params![id, &*instance, until])?;
                    due.extend(load(tx, &store, &id)?);
                }
                Ok(due)
            })
            .await
    }

    /// A restarted instance takes back at once what its earlier life had in hand.
    pub async fn release_own_deliveries(&self) -> Result<()> {
        let instance = self.instance.clone();
        self.db
            .write(move |tx| {
                tx.execute(
                    "UPDATE webhook_deliveries SET status = 'due', leased_by = NULL, leased_until = NULL \
                     WHERE status IN ('due', 'sending') AND status = 'sending' AND leased_by = ?1",
                    [&*instance],
                )?;
                tx.wake(Topic::Deliveries);
                Ok(())
            })
            .await
    }

    /// When the next waiting delivery becomes due.
    pub async fn next_delivery_at(&self) -> Result<Option<UnixMs>> {
        self.db
            .read(|conn| {
                Ok(conn
                    .prepare_cached(&format!(
                        "SELECT d.next_at FROM webhook_deliveries AS d WHERE d.status IN ('due', 'sending') \
                         AND d.status = 'due' AND {HEADS_ITS_LANE} ORDER BY d.next_at LIMIT 1"
                    ))?
                    .query_row([], |row| row.get(0))
                    .optional()?)
            })
            .await
    }
}

fn load(tx: &Tx<'_>, store: &Store, id: &str) -> Result<Option<DueDelivery>> {
    type Parts = (u32, i64, String, String, Option<String>, Option<Vec<u8>>);
    let parts: Option<Parts> = tx
        .prepare_cached(
            "SELECT attempts, event_seq, webhook_id, tenant_id, shape, body FROM webhook_deliveries WHERE id = ?1",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
        .optional()?;
    let Some((attempts, event_seq, webhook, tenant, shape, body)) = parts else { return Ok(None) };
    let event = tx
        .prepare_cached(&format!("SELECT {} FROM event_logs WHERE seq = ?1", events::COLUMNS))?
        .query_row([event_seq], |row| Ok(events::read(row)))??;
    let webhook = tx
        .prepare_cached(&format!("SELECT {} FROM webhooks WHERE tenant_id = ?1 AND id = ?2", webhooks::COLUMNS))?
        .query_row(params![tenant, webhook], |row| Ok(store.read_webhook(row)))??;
    let id = DeliveryId::parse(id).map_err(|_| StoreError::Corrupt { what: "a delivery row" })?;
    let form = shape.map(|shape| form(&shape, body)).transpose()?;
    Ok(Some(DueDelivery { id, attempt: attempts + 1, event, webhook, form }))
}

/// JSON null stands for the gateway's own form.
fn form(shape: &str, body: Option<Vec<u8>>) -> Result<Form> {
    let shape: Option<Shape> =
        serde_json::from_str(shape).map_err(|_| StoreError::Corrupt { what: "the shape of a delivery" })?;
    Ok(shape.map_or(Form::Default, |shape| Form::Shaped { shape, body: body.unwrap_or_default() }))
}
