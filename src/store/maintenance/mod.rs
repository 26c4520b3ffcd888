//! The operations that look across tenants: what the gateway's own loops need. No request of a tenant ends up here.

mod figures;
mod sweep;

pub use figures::{Backlog, Holdings, MessageFigures, Span};
pub use sweep::{Keep, Swept};

use super::{
    KvUse, PLUGIN_HISTORY_ROWS_MAX, PluginRow, Result, Store, StoreError, TenantRow, plugin_kv, plugins, tenants,
};
use crate::domain::device::{Desired, Observed};
use crate::domain::ids::{DeviceId, TenantId};
use rusqlite::{Row, params};

/// A device as a starting gateway finds it.
#[derive(Debug, Clone)]
pub struct ResumableDevice {
    pub tenant: TenantId,
    pub device: DeviceId,
    pub desired: Desired,
    pub observed: Observed,
    pub linked: bool,
}

/// A plugin and the file it is reloaded from.
#[derive(Debug, Clone)]
pub struct PluginFile {
    pub tenant: TenantId,
    pub name: String,
    pub path: String,
    /// Of the component that serves.
    pub sha256: String,
}

/// Counts for the gauges, read once at start and kept by increments afterwards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub tenants_active: u64,
    pub devices: u64,
    pub webhooks: u64,
}

impl Store {
    /// Tenants of whom something waits in the inbox. A loose scan: its cost grows with the tenants, not with the rows.
    pub async fn tenants_waiting(&self) -> Result<Vec<TenantId>> {
        self.db
            .read(|conn| {
                let mut statement = conn.prepare_cached(
                    "WITH RECURSIVE waiting (id) AS ( \
                     SELECT min(tenant_id) FROM messages_inbox WHERE processed = 0 UNION ALL \
                     SELECT (SELECT min(tenant_id) FROM messages_inbox WHERE processed = 0 AND tenant_id > waiting.id) \
                     FROM waiting WHERE waiting.id IS NOT NULL) SELECT id FROM waiting WHERE id IS NOT NULL",
                )?;
                let ids = statement.query_map([], |row| row.get::<_, String>(0))?;
                ids.map(|id| TenantId::parse(&id?).map_err(|_| StoreError::Corrupt { what: "an inbound message" }))
                    .collect()
            })
            .await
    }

    /// Tenants that have plugins.
    pub async fn tenants_with_plugins(&self) -> Result<Vec<TenantId>> {
        self.db
            .read(|conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT DISTINCT p.tenant_id FROM plugins AS p JOIN tenants AS t ON t.id = p.tenant_id \
                     WHERE t.status <> 'deleted'",
                )?;
                let ids = statement.query_map([], |row| row.get::<_, String>(0))?;
                ids.map(|id| TenantId::parse(&id?).map_err(|_| StoreError::Corrupt { what: "a plugin row" })).collect()
            })
            .await
    }

    /// Plugins of all tenants that are not deleted, by tenant and place, and how many there are.
    pub async fn all_plugins(&self, limit: u32, offset: u32) -> Result<(Vec<PluginRow>, u64)> {
        const OF_TENANTS: &str = "FROM plugins WHERE tenant_id IN (SELECT id FROM tenants WHERE status <> 'deleted')";
        let store = self.clone();
        self.db
            .read(move |conn| {
                let columns = plugins::COLUMNS;
                let total = conn.query_row(&format!("SELECT count(*) {OF_TENANTS}"), [], |row| row.get(0))?;
                let mut statement = conn.prepare_cached(&format!(
                    "SELECT {columns} {OF_TENANTS} ORDER BY tenant_id, position, name LIMIT ?1 OFFSET ?2"
                ))?;
                let rows = statement.query_map(params![limit, offset], |row| Ok(store.read_plugin(row)))?;
                Ok((rows.map(|row| row?).collect::<Result<_>>()?, total))
            })
            .await
    }

    /// What every plugin's values take: the counts that are kept beside the values, a row per plugin.
    pub async fn kv_uses(&self) -> Result<Vec<(TenantId, String, KvUse)>> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "the use of a plugin's values" };
        self.db
            .read(|conn| {
                let mut statement = conn.prepare_cached("SELECT tenant_id, plugin, keys, bytes FROM plugin_kv_use")?;
                let mut rows = statement.query([])?;
                let mut uses = Vec::new();
                while let Some(row) = rows.next()? {
                    let tenant = TenantId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?;
                    uses.push((tenant, row.get(1)?, KvUse { keys: row.get(2)?, bytes: row.get(3)? }));
                }
                Ok(uses)
            })
            .await
    }

    /// Plugins that come from files.
    pub async fn plugin_files(&self) -> Result<Vec<PluginFile>> {
        self.db
            .read(|conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT p.tenant_id, p.name, p.file, p.sha256 FROM plugins AS p \
                     JOIN tenants AS t ON t.id = p.tenant_id WHERE p.file IS NOT NULL AND t.status <> 'deleted'",
                )?;
                let mut rows = statement.query([])?;
                let mut files = Vec::new();
                while let Some(row) = rows.next()? {
                    files.push(PluginFile {
                        tenant: TenantId::parse(&row.get::<_, String>(0)?)
                            .map_err(|_| StoreError::Corrupt { what: "a plugin row" })?,
                        name: row.get(1)?,
                        path: row.get(2)?,
                        sha256: row.get(3)?,
                    });
                }
                Ok(files)
            })
            .await
    }

    /// Forgets what of plugins has had its time: expired values, old keys of sends, log lines and traces beyond the
    /// newest of each plugin, components that no plugin names.
    pub async fn sweep_plugins(&self) -> Result<()> {
        const DAY_MS: i64 = 86_400_000;
        let now = self.clock.now_ms();
        self.db
            .write(move |tx| {
                let expired: Vec<(String, String)> = tx
                    .prepare_cached(
                        "SELECT DISTINCT tenant_id, plugin FROM plugin_kv WHERE expires_at IS NOT NULL AND expires_at <= ?1",
                    )?
                    .query_map([now], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<std::result::Result<_, _>>()?;
                tx.execute("DELETE FROM plugin_kv WHERE expires_at IS NOT NULL AND expires_at <= ?1", [now])?;
                for (tenant, plugin) in &expired {
                    plugin_kv::recount(tx, tenant, plugin)?;
                }
                tx.execute("DELETE FROM plugin_dedupe WHERE created_at <= ?1", [now - DAY_MS])?;
                for table in ["plugin_logs", "plugin_traces"] {
                    tx.execute(
                        &format!(
                            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM (SELECT seq, row_number() OVER \
                             (PARTITION BY tenant_id, plugin ORDER BY seq DESC) AS place FROM {table}) WHERE place > ?1)"
                        ),
                        [PLUGIN_HISTORY_ROWS_MAX],
                    )?;
                }
                tx.execute(
                    "DELETE FROM plugin_components WHERE created_at <= ?1 AND sha256 NOT IN ( \
                     SELECT sha256 FROM plugins UNION SELECT previous_sha256 FROM plugins \
                     WHERE previous_sha256 IS NOT NULL)",
                    [now - DAY_MS],
                )?;
                Ok(())
            })
            .await
    }

    /// Tenants that files declare.
    pub async fn tenants_of_files(&self) -> Result<Vec<TenantRow>> {
        self.db
            .read(|conn| {
                let sql = format!(
                    "SELECT {} FROM tenants WHERE managed_by <> 'api' AND status <> 'deleted' ORDER BY slug",
                    tenants::COLUMNS
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map([], |row| Ok(tenants::read(row)))?;
                rows.map(|row| row?).collect()
            })
            .await
    }

    /// Slugs of tenants that files declare and that no API key opens.
    pub async fn tenants_without_key(&self) -> Result<Vec<String>> {
        let now = self.clock.now_ms();
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT slug FROM tenants WHERE managed_by <> 'api' AND status <> 'deleted' AND slug IS NOT NULL \
                     AND NOT EXISTS (SELECT 1 FROM api_keys WHERE tenant_id = tenants.id AND revoked_at IS NULL \
                     AND expires_at > ?1) ORDER BY slug",
                )?;
                let rows = statement.query_map([now], |row| row.get(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// Every device of an active tenant. One whose row does not read is left out and logged: the others run all the same.
    pub async fn all_devices(&self) -> Result<Vec<ResumableDevice>> {
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT d.tenant_id, d.id, d.desired, d.observed, d.linked FROM devices AS d \
                     JOIN tenants AS t ON t.id = d.tenant_id \
                     WHERE d.deleted_at IS NULL AND t.status = 'active' ORDER BY d.created_at",
                )?;
                let mut rows = statement.query([])?;
                let mut devices = Vec::new();
                while let Some(row) = rows.next()? {
                    match resumable(row) {
                        Some(device) => devices.push(device),
                        None => tracing::error!("a device row does not read; that device is not resumed"),
                    }
                }
                Ok(devices)
            })
            .await
    }

    pub async fn totals(&self) -> Result<Totals> {
        self.db
            .read(|conn| {
                Ok(conn.query_row(
                    "SELECT (SELECT count(*) FROM tenants WHERE status = 'active'), \
                     (SELECT count(*) FROM devices WHERE deleted_at IS NULL), \
                     (SELECT count(*) FROM webhooks WHERE deleted_at IS NULL)",
                    [],
                    |row| Ok(Totals { tenants_active: row.get(0)?, devices: row.get(1)?, webhooks: row.get(2)? }),
                )?)
            })
            .await
    }

    /// Forgets idempotency keys written before `before_ms`; returns how many.
    pub async fn forget_idempotency_keys(&self, before_ms: i64) -> Result<usize> {
        self.db
            .write(move |tx| Ok(tx.execute("DELETE FROM idempotency_keys WHERE created_at < ?1", params![before_ms])?))
            .await
    }
}

fn resumable(row: &Row<'_>) -> Option<ResumableDevice> {
    let text = |at: usize| row.get::<_, String>(at).ok();
    Some(ResumableDevice {
        tenant: TenantId::parse(&text(0)?).ok()?,
        device: DeviceId::parse(&text(1)?).ok()?,
        desired: Desired::parse(&text(2)?)?,
        observed: Observed::parse(&text(3)?)?,
        linked: row.get(4).ok()?,
    })
}
