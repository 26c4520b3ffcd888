//! Which tick of a plugin's schedule was the last that is done.

use super::{Result, Store, Tx, plugin_history};
use crate::domain::aftermath::Aftermath;
use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use rusqlite::{OptionalExtension, params};

impl Store {
    /// The last tick that is done. A schedule that is seen for the first time begins now: what it would have missed before
    /// it was there is not made up.
    pub async fn last_tick(&self, tenant: &TenantId, plugin: &str, schedule: &str) -> Result<UnixMs> {
        let (tenant, plugin, schedule) = (tenant.clone(), plugin.to_owned(), schedule.to_owned());
        let now = self.clock.now_ms();
        let (t, p, s) = (tenant.clone(), plugin.clone(), schedule.clone());
        let known: Option<UnixMs> = self
            .db
            .read(move |conn| {
                Ok(conn
                    .prepare_cached(
                        "SELECT scheduled_for FROM plugin_ticks WHERE tenant_id = ?1 AND plugin = ?2 AND schedule = ?3",
                    )?
                    .query_row(params![t.as_str(), p, s], |row| row.get(0))
                    .optional()?)
            })
            .await?;
        if let Some(known) = known {
            return Ok(known);
        }
        self.db.write(move |tx| mark(tx, &tenant, &plugin, &schedule, now).map(|_| now)).await
    }

    /// Marks a tick as done and writes what came of it, in one step. False: it was done before, and nothing is written.
    pub async fn complete_tick(
        &self,
        tenant: &TenantId,
        plugin: &str,
        schedule: &str,
        scheduled_for: UnixMs,
        aftermath: Aftermath,
    ) -> Result<bool> {
        let (tenant, plugin, schedule) = (tenant.clone(), plugin.to_owned(), schedule.to_owned());
        let now = self.clock.now_ms();
        self.db
            .write(move |tx| {
                let first = mark(tx, &tenant, &plugin, &schedule, scheduled_for)?;
                if first {
                    plugin_history::commit(tx, &tenant, &aftermath, now)?;
                }
                Ok(first)
            })
            .await
    }
}

fn mark(tx: &Tx<'_>, tenant: &TenantId, plugin: &str, schedule: &str, at: UnixMs) -> Result<bool> {
    let changed = tx
        .prepare_cached(
            "INSERT INTO plugin_ticks (tenant_id, plugin, schedule, scheduled_for) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (tenant_id, plugin, schedule) DO UPDATE SET scheduled_for = excluded.scheduled_for \
             WHERE scheduled_for < excluded.scheduled_for",
        )?
        .execute(params![tenant.as_str(), plugin, schedule, at])?;
    Ok(changed > 0)
}
