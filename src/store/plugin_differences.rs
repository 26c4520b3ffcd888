//! What shadows made of what passed, beside what serves.

use super::plugin_history::{self, HOOKS, Placed};
use super::{Result, Store, StoreError};
use crate::domain::aftermath::Aftermath;
use crate::domain::ids::TenantId;
use crate::domain::trial::{Comparison, Comparisons, Difference, Side};
use rusqlite::params;

const CORRUPT: StoreError = StoreError::Corrupt { what: "a plugin's difference" };

/// What calls of one plugin's shadow leave.
#[derive(Debug, Clone, Default)]
pub struct ShadowRecord {
    pub differences: Vec<Difference>,
    /// Traces, log lines, and what is told of the shadow itself. It has no values and no messages: nothing is done.
    pub aftermath: Aftermath,
}

impl Store {
    /// Writes what a plugin's shadow came to. A difference that is there already is replaced: its call was run again. Of a
    /// plugin that went meanwhile, and maybe its tenant with it, nothing is written.
    pub async fn record_shadow(&self, tenant: &TenantId, plugin: &str, record: ShadowRecord) -> Result<()> {
        let (tenant, plugin, now) = (tenant.clone(), plugin.to_owned(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let is_there = tx
                    .prepare_cached("SELECT 1 FROM plugins WHERE tenant_id = ?1 AND name = ?2")?
                    .exists(params![tenant.as_str(), plugin])?;
                if !is_there {
                    return Ok(());
                }
                let aftermath = Aftermath { kv: Vec::new(), sends: Vec::new(), ..record.aftermath };
                plugin_history::commit(tx, &tenant, &aftermath, now)?;
                for one in &record.differences {
                    let text = |side: &Side| serde_json::to_string(side).map_err(|_| CORRUPT);
                    tx.prepare_cached(
                        "INSERT INTO plugin_differences (tenant_id, plugin, sha256, hook, subject, part, comparison, \
                         serving, candidate, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
                         ON CONFLICT (tenant_id, plugin, sha256, hook, subject, part) DO UPDATE SET \
                         comparison = excluded.comparison, serving = excluded.serving, \
                         candidate = excluded.candidate, created_at = excluded.created_at",
                    )?
                    .execute(params![
                        tenant.as_str(),
                        one.plugin,
                        one.sha256,
                        one.hook,
                        one.subject,
                        one.part,
                        one.comparison.as_str(),
                        one.serving.as_ref().map(text).transpose()?,
                        text(&one.candidate)?,
                        one.at
                    ])?;
                }
                Ok(())
            })
            .await
    }

    /// Of one plugin, newest first, before `before` when given; of one outcome when asked.
    pub async fn plugin_differences(
        &self,
        tenant: &TenantId,
        plugin: &str,
        before: Option<i64>,
        comparison: Option<Comparison>,
        limit: u32,
    ) -> Result<Vec<Placed<Difference>>> {
        let (tenant, plugin) = (tenant.clone(), plugin.to_owned());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT seq, sha256, hook, subject, part, comparison, serving, candidate, created_at \
                     FROM plugin_differences WHERE tenant_id = ?1 AND plugin = ?2 AND seq < ?3 \
                     AND (?4 IS NULL OR comparison = ?4) ORDER BY seq DESC LIMIT ?5",
                )?;
                let (before, wanted) = (before.unwrap_or(i64::MAX), comparison.map(Comparison::as_str));
                let mut rows = statement.query(params![tenant.as_str(), plugin, before, wanted, limit])?;
                let mut differences = Vec::new();
                while let Some(row) = rows.next()? {
                    let (hook, comparison): (String, String) = (row.get(2)?, row.get(5)?);
                    let side = |text: String| serde_json::from_str::<Side>(&text).map_err(|_| CORRUPT);
                    differences.push(Placed {
                        seq: row.get(0)?,
                        row: Difference {
                            plugin: plugin.clone(),
                            sha256: row.get(1)?,
                            hook: HOOKS.into_iter().find(|known| *known == hook).ok_or(CORRUPT)?,
                            subject: row.get(3)?,
                            part: row.get(4)?,
                            comparison: Comparison::parse(&comparison).ok_or(CORRUPT)?,
                            serving: row.get::<_, Option<String>>(6)?.map(side).transpose()?,
                            candidate: side(row.get(7)?)?,
                            at: row.get(8)?,
                        },
                    });
                }
                Ok(differences)
            })
            .await
    }

    /// How many of the differences that are kept of this shadow came to what.
    pub async fn plugin_comparisons(&self, tenant: &TenantId, plugin: &str, sha256: &str) -> Result<Comparisons> {
        let (tenant, plugin, sha256) = (tenant.clone(), plugin.to_owned(), sha256.to_owned());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT comparison, count(*) FROM plugin_differences \
                     WHERE tenant_id = ?1 AND plugin = ?2 AND sha256 = ?3 GROUP BY comparison",
                )?;
                let mut rows = statement.query(params![tenant.as_str(), plugin, sha256])?;
                let mut counts = Comparisons::default();
                while let Some(row) = rows.next()? {
                    let count = row.get(1)?;
                    match Comparison::parse(&row.get::<_, String>(0)?).ok_or(CORRUPT)? {
                        Comparison::Agree => counts.agree = count,
                        Comparison::Differ => counts.differ = count,
                        Comparison::Failed => counts.failed = count,
                    }
                }
                Ok(counts)
            })
            .await
    }
}
