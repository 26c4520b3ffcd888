//! Deliveries that ran out of attempts: kept until somebody sends them again or gives them up.

use super::{Result, Store, StoreError, deliveries};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

/// Dead letters of one replay or deletion; the answer says how many are left.
pub const DEAD_LETTERS_AT_ONCE_MAX: u32 = 10_000;

#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub tenant: TenantId,
    pub delivery: DeliveryId,
    pub webhook: WebhookId,
    pub event_id: String,
    pub event_type: String,
    pub reason: String,
    pub attempts: u32,
    pub last_status: Option<u16>,
    pub parked_at: UnixMs,
}

/// Which of them; what is left out leaves out nothing.
#[derive(Debug, Clone, Default)]
pub struct LetterChoice {
    /// None is across tenants, for the operator.
    pub tenant: Option<TenantId>,
    pub deliveries: Option<Vec<DeliveryId>>,
    pub webhook: Option<WebhookId>,
    pub event_type: Option<String>,
    /// Parked from, and up to.
    pub since: Option<UnixMs>,
    pub until: Option<UnixMs>,
    /// Only those behind this one, in the order of a list.
    pub before: Option<(UnixMs, String)>,
}

impl LetterChoice {
    fn sql(self) -> Result<(String, Vec<Value>)> {
        let mut sql = String::from("FROM dlq AS l JOIN webhook_deliveries AS d ON d.id = l.delivery_id WHERE 1 = 1");
        let mut values = Vec::new();
        let listed = self.deliveries.map(|ids| serde_json::to_string(&ids));
        let listed = listed.transpose().map_err(|_| StoreError::Corrupt { what: "a list of deliveries" })?;
        let filters: [(&str, Option<Value>); 6] = [
            ("l.tenant_id = ?", self.tenant.map(|id| id.as_str().to_owned().into())),
            ("l.delivery_id IN (SELECT value FROM json_each(?))", listed.map(Into::into)),
            ("l.webhook_id = ?", self.webhook.map(|id| id.as_str().to_owned().into())),
            ("l.event_type = ?", self.event_type.map(Into::into)),
            ("l.parked_at >= ?", self.since.map(Into::into)),
            ("l.parked_at <= ?", self.until.map(Into::into)),
        ];
        for (condition, value) in filters {
            if let Some(value) = value {
                sql.push_str(&format!(" AND {condition}"));
                values.push(value);
            }
        }
        if let Some((at, id)) = self.before {
            sql.push_str(" AND (l.parked_at, l.delivery_id) < (?, ?)");
            values.extend([Value::from(at), Value::from(id)]);
        }
        Ok((sql, values))
    }
}

impl Store {
    /// Newest first.
    pub async fn dead_letters(&self, choice: LetterChoice, limit: u32) -> Result<Vec<DeadLetter>> {
        self.db
            .read(move |conn| {
                let (from, mut values) = choice.sql()?;
                let sql = format!(
                    "SELECT l.tenant_id, l.delivery_id, l.webhook_id, l.event_id, l.event_type, l.reason, d.attempts, \
                     d.last_status, l.parked_at {from} ORDER BY l.parked_at DESC, l.delivery_id DESC LIMIT ?"
                );
                values.push(i64::from(limit).into());
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), |row| Ok(read(row)))?;
                rows.map(|row| row?).collect()
            })
            .await
    }

    pub async fn count_dead_letters(&self, choice: LetterChoice) -> Result<u64> {
        self.db
            .read(move |conn| {
                let (from, values) = choice.sql()?;
                let sql = format!("SELECT count(*) {from}");
                Ok(conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?)
            })
            .await
    }

    /// Makes them due again, oldest first; returns how many. Those of webhooks that are disabled or deleted stay.
    pub async fn replay_dead_letters(&self, choice: LetterChoice) -> Result<u64> {
        let now = self.clock.now_ms();
        self.db
            .write(move |tx| {
                let (from, mut values) = choice.sql()?;
                let sql = format!(
                    "SELECT l.tenant_id, l.delivery_id, l.webhook_id, l.event_id, l.event_type, l.reason, d.attempts, \
                     d.last_status, l.parked_at {from} AND EXISTS (SELECT 1 FROM webhooks AS w WHERE w.id = l.webhook_id \
                     AND w.enabled = 1 AND w.deleted_at IS NULL) ORDER BY l.parked_at, l.delivery_id LIMIT ?"
                );
                values.push(i64::from(DEAD_LETTERS_AT_ONCE_MAX).into());
                let mut statement = tx.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), |row| Ok(read(row)))?;
                let letters = rows.map(|row| row?).collect::<Result<Vec<_>>>()?;
                let mut replayed = 0;
                for letter in letters {
                    replayed += u64::from(deliveries::again(tx, &letter.tenant, letter.delivery.as_str(), now)?);
                }
                Ok(replayed)
            })
            .await
    }

    /// Gives them up, with their deliveries; returns how many.
    pub async fn delete_dead_letters(&self, choice: LetterChoice) -> Result<u64> {
        self.db
            .write(move |tx| {
                let (from, mut values) = choice.sql()?;
                let sql = format!("SELECT l.delivery_id {from} ORDER BY l.parked_at, l.delivery_id LIMIT ?");
                values.push(i64::from(DEAD_LETTERS_AT_ONCE_MAX).into());
                let mut statement = tx.prepare_cached(&sql)?;
                let ids = statement
                    .query_map(params_from_iter(values), |row| row.get::<_, String>(0))?
                    .collect::<rusqlite::Result<Vec<_>>>()?;
                for id in &ids {
                    tx.prepare_cached("DELETE FROM dlq WHERE delivery_id = ?1")?.execute([id])?;
                    tx.prepare_cached("DELETE FROM webhook_deliveries WHERE id = ?1 AND status = 'parked'")?
                        .execute([id])?;
                }
                Ok(ids.len() as u64)
            })
            .await
    }
}

fn read(row: &Row<'_>) -> Result<DeadLetter> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a dead letter" };
    Ok(DeadLetter {
        tenant: TenantId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
        delivery: DeliveryId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
        webhook: WebhookId::parse(&row.get::<_, String>(2)?).map_err(|_| CORRUPT)?,
        event_id: row.get(3)?,
        event_type: row.get(4)?,
        reason: row.get(5)?,
        attempts: row.get(6)?,
        last_status: row.get(7)?,
        parked_at: row.get(8)?,
    })
}
