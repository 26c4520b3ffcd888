//! Forgetting what has had its time.

use super::figures::first_seq;
use crate::store::{Result, Store, Tx};
use rusqlite::params;
use std::time::Duration;

/// How long what is done is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub idempotency_keys: Duration,
    /// Deliveries that arrived, and the log of attempts.
    pub deliveries: Duration,
    /// Days that events are kept of tenants that do not say it themselves; none is for good.
    pub events_days: Option<u32>,
}

/// What was forgotten, in rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Swept {
    pub idempotency_keys: usize,
    pub deliveries: usize,
    pub attempts: usize,
    pub webhook_secrets: usize,
    pub events: usize,
}

/// Rows of one transaction: others write in between.
const ROWS_AT_ONCE: usize = 5_000;

impl Store {
    /// Everything that has had its time: what is remembered for a while, secrets that were rotated away, and what plugins keep
    /// too long.
    pub async fn sweep(&self, keep: Keep) -> Result<Swept> {
        let before =
            |keep: Duration| self.clock.now_ms().saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let swept = Swept {
            idempotency_keys: self.forget_idempotency_keys(before(keep.idempotency_keys)).await?,
            deliveries: self.forget_deliveries(before(keep.deliveries)).await?,
            attempts: self.forget_attempts(before(keep.deliveries)).await?,
            webhook_secrets: self.forget_webhook_secrets().await?,
            events: self.forget_old_events(keep.events_days).await?,
        };
        self.sweep_plugins().await?;
        Ok(swept)
    }

    /// Deliveries that arrived and were made before; those that wait or lie in the dead letter queue stay.
    async fn forget_deliveries(&self, before: i64) -> Result<usize> {
        self.in_steps(ROWS_AT_ONCE, move |tx| {
            let end = first_seq(tx, "webhook_deliveries", "created_at", before)?;
            Ok(tx.execute(
                "DELETE FROM webhook_deliveries WHERE seq IN (SELECT seq FROM webhook_deliveries \
                 WHERE seq < ?1 AND status = 'delivered' AND updated_at < ?2 LIMIT ?3)",
                params![end, before, ROWS_AT_ONCE],
            )?)
        })
        .await
    }

    async fn forget_attempts(&self, before: i64) -> Result<usize> {
        self.in_steps(ROWS_AT_ONCE, move |tx| {
            let end = first_seq(tx, "webhook_logs", "created_at", before)?;
            Ok(tx.execute(
                "DELETE FROM webhook_logs WHERE seq IN (SELECT seq FROM webhook_logs WHERE seq < ?1 ORDER BY seq LIMIT ?2)",
                params![end, ROWS_AT_ONCE],
            )?)
        })
        .await
    }

    async fn forget_webhook_secrets(&self) -> Result<usize> {
        let now = self.clock.now_ms();
        self.db
            .write(move |tx| {
                Ok(tx.execute(
                    "UPDATE webhooks SET previous_secret = NULL, previous_secret_until = NULL \
                     WHERE previous_secret_until IS NOT NULL AND previous_secret_until <= ?1",
                    [now],
                )?)
            })
            .await
    }

    /// Repeats a step, a transaction each, until one removes less than it may.
    pub(super) async fn in_steps(
        &self,
        rows_at_once: usize,
        step: impl Fn(&Tx<'_>) -> Result<usize> + Clone + Send + 'static,
    ) -> Result<usize> {
        let mut rows = 0;
        loop {
            let done = self.db.write(step.clone()).await?;
            rows += done;
            if done < rows_at_once {
                return Ok(rows);
            }
        }
    }
}
