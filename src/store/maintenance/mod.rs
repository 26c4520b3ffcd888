//! The operations that look across tenants: what the gateway's own loops need. No request of a tenant ends up here.

mod emptied;
mod figures;
mod sweep;

pub(super) use emptied::note_words;
pub use figures::{Backlog, Holdings, MessageFigures, Span};
pub use sweep::{Keep, Swept};

use super::{
    DueDownload, KvUse, PLUGIN_HISTORY_ROWS_MAX, PluginRow, Result, Store, StoreError, TenantRow, media, outbox_lane,
    plugin_kv, plugins, remote_media, tenants,
};
use crate::domain::allowance::{Allowance, Allowed};
use crate::domain::device::{Desired, Observed};
use crate::domain::ids::{DeviceId, MediaId, TenantId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

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
    /// Whether it is that of the candidate, and not of what serves.
    pub is_candidate: bool,
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
                    "SELECT p.tenant_id, p.name, p.file, 0 FROM plugins AS p \
                     JOIN tenants AS t ON t.id = p.tenant_id WHERE p.file IS NOT NULL AND t.status <> 'deleted' \
                     UNION ALL SELECT p.tenant_id, p.name, p.candidate_file, 1 FROM plugins AS p \
                     JOIN tenants AS t ON t.id = p.tenant_id \
                     WHERE p.candidate_file IS NOT NULL AND t.status <> 'deleted'",
                )?;
                let mut rows = statement.query([])?;
                let mut files = Vec::new();
                while let Some(row) = rows.next()? {
                    files.push(PluginFile {
                        tenant: TenantId::parse(&row.get::<_, String>(0)?)
                            .map_err(|_| StoreError::Corrupt { what: "a plugin row" })?,
                        name: row.get(1)?,
                        path: row.get(2)?,
                        is_candidate: row.get(3)?,
                    });
                }
                Ok(files)
            })
            .await
    }

    /// Whose a device is; `NotFound` when it is nobody's, or deleted.
    pub async fn owner_of(&self, device: &DeviceId) -> Result<TenantId> {
        let device = device.clone();
        self.db
            .read(move |conn| {
                let found = conn
                    .prepare_cached("SELECT tenant_id FROM devices WHERE id = ?1 AND deleted_at IS NULL")?
                    .query_row([device.as_str()], |row| row.get::<_, String>(0))
                    .optional()?;
                let tenant = TenantId::parse(&found.ok_or(StoreError::NotFound)?);
                tenant.map_err(|_| StoreError::Corrupt { what: "a device row" })
            })
            .await
    }

    /// Forgets events that are older than their tenant keeps them: its own days, or else these; none is for good.
    pub async fn forget_old_events(&self, keep_days: Option<u32>) -> Result<usize> {
        const DAY_MS: i64 = 86_400_000;
        let now = self.clock.now_ms();
        let mut forgotten = 0;
        for (tenant, limits) in self.limits_of_tenants().await? {
            let days = match limits.events_keep_days {
                Some(Allowed::Off) => None,
                Some(Allowed::Max(days)) => Some(days),
                None => keep_days,
            };
            if let Some(days) = days {
                forgotten += self.forget_events(&tenant, now.saturating_sub(i64::from(days) * DAY_MS)).await?;
            }
        }
        Ok(forgotten)
    }

    /// Of all tenants, also those that are deleted.
    async fn limits_of_tenants(&self) -> Result<Vec<(TenantId, Allowance)>> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "a tenant row" };
        self.db
            .read(|conn| {
                let mut statement = conn.prepare_cached("SELECT id, limits FROM tenants")?;
                let mut rows = statement.query([])?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    let tenant = TenantId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?;
                    all.push((tenant, tenants::limits(row.get(1)?)?));
                }
                Ok(all)
            })
            .await
    }

    /// Forgets what of plugins has had its time: expired values, old keys of sends, log lines, traces and differences beyond
    /// the newest of each plugin, components that no plugin names.
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
                for table in ["plugin_logs", "plugin_traces", "plugin_differences"] {
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
                     WHERE previous_sha256 IS NOT NULL UNION SELECT candidate_sha256 FROM plugins \
                     WHERE candidate_sha256 IS NOT NULL)",
                    [now - DAY_MS],
                )?;
                Ok(())
            })
            .await
    }

    /// Files that nobody sees: what a kill left behind, and what is about to go.
    pub async fn unlisted_media(&self) -> Result<Vec<(TenantId, MediaId)>> {
        self.db.read(|conn| media_names(conn, "SELECT tenant_id, id FROM media WHERE state = 'unlisted'", [])).await
    }

    /// Hides up to `limit` files that have had their time or whose device is deleted, unless a message that waits or a template
    /// holds them, and those of deleted tenants. `keep_ms` is how long a file is
    /// kept after it was last used, where the tenant's own file says nothing; `None` keeps for good.
    pub async fn unlist_old_media(&self, keep_ms: Option<i64>, limit: u32) -> Result<Vec<(TenantId, MediaId, u64)>> {
        const DAY_MS: i64 = 86_400_000;
        let now = self.clock.now_ms();
        let keep_ms = keep_ms.unwrap_or(i64::MAX / 2);
        self.db
            .write(move |tx| {
                let sql = format!(
                    "SELECT m.tenant_id, m.id FROM tenants AS t JOIN media AS m ON m.tenant_id = t.id \
                     AND (t.status = 'deleted' OR (((m.origin = 'received' AND EXISTS (SELECT 1 FROM devices AS d \
                     WHERE d.id = m.device_id AND d.deleted_at IS NOT NULL)) \
                     OR m.used_at <= ?1 - coalesce((t.media ->> '$.keep_days') * {DAY_MS}, ?2)) AND NOT {HELD})) \
                     WHERE m.state <> 'unlisted' LIMIT ?3",
                    HELD = media::HELD
                );
                let old = media_names(tx, &sql, params![now, keep_ms, limit])?;
                let mut gone = Vec::with_capacity(old.len());
                for (tenant, id) in old {
                    let size = media::unlist(tx, &tenant, &id)?.unwrap_or(0);
                    gone.push((tenant, id, size));
                }
                Ok(gone)
            })
            .await
    }

    /// Files that are wanted now and whose devices are connected: those that somebody waits for first.
    pub async fn due_downloads(&self, limit: u32) -> Result<Vec<DueDownload>> {
        /// Of one tenant, so that others are seen behind a flood.
        const OF_TENANT_MAX: u32 = 8;
        let (store, now) = (self.clone(), self.clock.now_ms());
        self.db
            .read(move |conn| {
                let columns = remote_media::due_columns();
                let mut statement = conn.prepare_cached(&format!(
                    "SELECT {columns} FROM (SELECT *, row_number() OVER \
                     (PARTITION BY tenant_id ORDER BY eager, next_at) AS place FROM media \
                     WHERE state = 'wanted' AND next_at <= ?1 AND remote IS NOT NULL \
                     AND device_id IN (SELECT id FROM devices WHERE observed = 'connected')) \
                     WHERE place <= {OF_TENANT_MAX} ORDER BY eager, place, next_at LIMIT ?2"
                ))?;
                let mut rows = statement.query(params![now, limit])?;
                let mut due = Vec::new();
                while let Some(row) = rows.next()? {
                    match store.read_due_download(row) {
                        Ok(one) => due.push(one),
                        Err(error) => tracing::error!(%error, "a media row does not read and is not fetched"),
                    }
                }
                Ok(due)
            })
            .await
    }

    /// When the next file that is wanted becomes due.
    pub async fn next_download_at(&self) -> Result<Option<i64>> {
        self.db
            .read(|conn| {
                Ok(conn.query_row("SELECT min(next_at) FROM media WHERE state = 'wanted'", [], |row| row.get(0))?)
            })
            .await
    }

    /// Bytes of all stored files of all tenants.
    pub async fn media_bytes(&self) -> Result<u64> {
        self.db
            .read(|conn| Ok(conn.query_row("SELECT coalesce(sum(bytes), 0) FROM media_use", [], |row| row.get(0))?))
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

    /// Messages of these devices that wait for room in a window ask for it now: the windows were emptied.
    pub async fn ask_again(&self, devices: Vec<DeviceId>) -> Result<()> {
        let now = self.clock.now_ms();
        self.db.write(move |tx| devices.iter().try_for_each(|device| outbox_lane::ask_again(tx, device, now))).await
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

fn media_names(conn: &Connection, sql: &str, given: impl Params) -> Result<Vec<(TenantId, MediaId)>> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a media row" };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(given)?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let tenant = TenantId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?;
        names.push((tenant, MediaId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?));
    }
    Ok(names)
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
