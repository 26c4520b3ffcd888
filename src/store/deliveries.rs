//! Deliveries: one event to one webhook, claimed under a lease, settled with a row per attempt.

use super::{EventRow, Result, Store, StoreError, Topic, Tx, WebhookRow, events, webhooks};
use crate::domain::clock::UnixMs;
use crate::domain::delivery::Step;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use rusqlite::{OptionalExtension, params};
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
    pub id: String,
    pub event_id: String,
    pub status: String,
    pub attempts: u32,
    pub last_status: Option<u16>,
    pub last_error: Option<String>,
    pub next_at: UnixMs,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

impl Store {
    /// Deliveries of one webhook, newest first.
    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        webhook: &WebhookId,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<DeliveryRow>> {
        let (tenant, webhook) = (tenant.clone(), webhook.clone());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT id, event_id, status, attempts, last_status, last_error, next_at, created_at, updated_at \
                     FROM webhook_deliveries WHERE tenant_id = ?1 AND webhook_id = ?2 ORDER BY seq DESC LIMIT ?3 OFFSET ?4",
                )?;
                let rows = statement.query_map(params![tenant.as_str(), webhook.as_str(), limit, offset], |row| {
                    Ok(DeliveryRow {
                        id: row.get(0)?,
                        event_id: row.get(1)?,
                        status: row.get(2)?,
                        attempts: row.get(3)?,
                        last_status: row.get(4)?,
                        last_error: row.get(5)?,
                        next_at: row.get(6)?,
                        created_at: row.get(7)?,
                        updated_at: row.get(8)?,
                    })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// Records attempts: the log row, the delivery's new state, the dead letter, the webhook that is switched off.
    pub async fn settle_deliveries(&self, ends: Vec<AttemptEnd>) -> Result<()> {
        let now = self.clock.now_ms();
        self.db.write(move |tx| ends.iter().try_for_each(|end| settle(tx, end, now))).await
    }
}

fn settle(tx: &Tx<'_>, end: &AttemptEnd, now: UnixMs) -> Result<()> {
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
    let (status, next_at) = match end.step {
        Step::Done => ("delivered", now),
        Step::RetryAt(at) => ("due", at),
        Step::Park | Step::ParkAndDisable => ("parked", now),
    };
    tx.prepare_cached(
        "UPDATE webhook_deliveries SET status = ?2, attempts = ?3, next_at = ?4, leased_by = NULL, \
         leased_until = NULL, last_status = ?5, last_error = ?6, updated_at = ?7 WHERE id = ?1",
    )?
    .execute(params![end.delivery.as_str(), status, end.attempt, next_at, end.status, end.error, now])?;
    if status == "parked" {
        park(tx, end, now)?;
    }
    if end.step == Step::ParkAndDisable {
        disable(tx, end, now)?;
    }
    if status == "due" {
        tx.wake(Topic::Deliveries);
    }
    Ok(())
}

fn park(tx: &Tx<'_>, end: &AttemptEnd, now: UnixMs) -> Result<()> {
    let reason = match (&end.error, end.status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("the receiver answered {status}"),
        (None, None) => "no answer".to_owned(),
    };
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
                let mut statement = tx.prepare_cached(
                    "SELECT id FROM webhook_deliveries WHERE status IN ('due', 'sending') AND next_at <= ?1 \
                     AND (status = 'due' OR leased_until <= ?1) \
                     AND webhook_id NOT IN (SELECT value FROM json_each(?2)) ORDER BY next_at, seq LIMIT ?3",
                )?;
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
                    .prepare_cached(
                        "SELECT min(next_at) FROM webhook_deliveries \
                         WHERE status IN ('due', 'sending') AND status = 'due'",
                    )?
                    .query_row([], |row| row.get(0))?)
            })
            .await
    }
}

fn load(tx: &Tx<'_>, store: &Store, id: &str) -> Result<Option<DueDelivery>> {
    let parts: Option<(u32, i64, String, String)> = tx
        .prepare_cached("SELECT attempts, event_seq, webhook_id, tenant_id FROM webhook_deliveries WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((attempts, event_seq, webhook, tenant)) = parts else { return Ok(None) };
    let event = tx
        .prepare_cached(&format!("SELECT {} FROM event_logs WHERE seq = ?1", events::COLUMNS))?
        .query_row([event_seq], |row| Ok(events::read(row)))??;
    let webhook = tx
        .prepare_cached(&format!("SELECT {} FROM webhooks WHERE tenant_id = ?1 AND id = ?2", webhooks::COLUMNS))?
        .query_row(params![tenant, webhook], |row| Ok(store.read_webhook(row)))??;
    let id = DeliveryId::parse(id).map_err(|_| StoreError::Corrupt { what: "a delivery row" })?;
    Ok(Some(DueDelivery { id, attempt: attempts + 1, event, webhook }))
}
