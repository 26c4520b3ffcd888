//! How a webhook does: what waits, what is parked, and its latest attempts.

use super::{Result, Store};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{TenantId, WebhookId};
use rusqlite::params;

/// The newest attempts that figures are made of; older ones are left out.
const ATTEMPTS_COUNTED_MAX: u32 = 10_000;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookFigures {
    /// Deliveries on their way.
    pub waiting: u64,
    /// In the dead letter queue.
    pub dead_letters: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub last_success_at: Option<UnixMs>,
    pub last_failure_at: Option<UnixMs>,
    /// Milliseconds that an attempt took; none without attempts.
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub longest_ms: Option<i64>,
}

impl Store {
    /// Of the attempts since `since`.
    pub async fn webhook_figures(
        &self,
        tenant: &TenantId,
        webhook: &WebhookId,
        since: UnixMs,
    ) -> Result<WebhookFigures> {
        let (tenant, webhook) = (tenant.clone(), webhook.clone());
        self.db
            .read(move |conn| {
                let count = |sql: &str| -> Result<u64> {
                    let mut statement = conn.prepare_cached(sql)?;
                    Ok(statement.query_row(params![tenant.as_str(), webhook.as_str()], |row| row.get(0))?)
                };
                let waiting = count(
                    "SELECT count(*) FROM webhook_deliveries \
                     WHERE tenant_id = ?1 AND webhook_id = ?2 AND status IN ('due', 'sending')",
                )?;
                let dead_letters = count("SELECT count(*) FROM dlq WHERE tenant_id = ?1 AND webhook_id = ?2")?;
                let mut statement = conn.prepare_cached(
                    "SELECT status, duration_ms, created_at FROM webhook_logs \
                     WHERE tenant_id = ?1 AND webhook_id = ?2 AND created_at >= ?3 ORDER BY seq DESC LIMIT ?4",
                )?;
                let bound = params![tenant.as_str(), webhook.as_str(), since, ATTEMPTS_COUNTED_MAX];
                let attempts = statement
                    .query_map(bound, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                    .collect::<rusqlite::Result<Vec<Attempt>>>()?;
                Ok(WebhookFigures { waiting, dead_letters, ..of_attempts(&attempts) })
            })
            .await
    }
}

/// Its HTTP status, how long it took in milliseconds, when it ended.
type Attempt = (Option<u16>, i64, UnixMs);

/// `attempts` are newest first.
fn of_attempts(attempts: &[Attempt]) -> WebhookFigures {
    let succeeded = |attempt: &&Attempt| attempt.0.is_some_and(|status| (200..300).contains(&status));
    let mut took: Vec<i64> = attempts.iter().map(|attempt| attempt.1).collect();
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let good = attempts.iter().filter(succeeded).count();
    WebhookFigures {
        succeeded: good as u64,
        failed: (attempts.len() - good) as u64,
        last_success_at: attempts.iter().find(succeeded).map(|attempt| attempt.2),
        last_failure_at: attempts.iter().find(|attempt| !succeeded(attempt)).map(|attempt| attempt.2),
        p50_ms: at(50),
        p95_ms: at(95),
        longest_ms: took.last().copied(),
        ..WebhookFigures::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_made_of_attempts_and_none_make_none() {
        assert_eq!(of_attempts(&[]), WebhookFigures::default());
        let mut attempts: Vec<Attempt> = (1..=20).rev().map(|n| (Some(200), n, n)).collect();
        attempts.insert(0, (None, 100, 21));

        let figures = of_attempts(&attempts);

        assert_eq!((figures.succeeded, figures.failed), (20, 1));
        assert_eq!((figures.last_success_at, figures.last_failure_at), (Some(20), Some(21)));
        assert_eq!((figures.p50_ms, figures.p95_ms, figures.longest_ms), (Some(11), Some(20), Some(100)));
    }
}
