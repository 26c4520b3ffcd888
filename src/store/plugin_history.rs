//! What hooks leave behind is written here, with the decision it belongs to; and what plugins logged and decided is read.

use super::{Result, Store, StoreError, Tx, devices, events, outbox, plugin_kv};
use crate::domain::aftermath::{Aftermath, PluginLine, PluginSend, Trace};
use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use rusqlite::params;

/// Log lines and traces kept of one plugin; older ones go.
pub const PLUGIN_HISTORY_ROWS_MAX: u32 = 10_000;

/// A line or trace with its place, which is the cursor.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    pub seq: i64,
    pub row: T,
}

impl Store {
    /// What hooks left behind whose decision wrote nothing itself, such as a rejection.
    pub async fn commit_aftermath(&self, tenant: &TenantId, aftermath: Aftermath) -> Result<()> {
        let (tenant, now) = (tenant.clone(), self.clock.now_ms());
        self.db.write(move |tx| commit(tx, &tenant, &aftermath, now)).await
    }

    /// What a plugin logged, newest first, before `before` when given.
    pub async fn plugin_lines(
        &self,
        tenant: &TenantId,
        plugin: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Placed<PluginLine>>> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "a plugin's log line" };
        let (tenant, plugin) = (tenant.clone(), plugin.to_owned());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT seq, sha256, subject, level, message, fields, created_at FROM plugin_logs \
                     WHERE tenant_id = ?1 AND plugin = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4",
                )?;
                let mut rows = statement.query(params![tenant.as_str(), plugin, before.unwrap_or(i64::MAX), limit])?;
                let mut lines = Vec::new();
                while let Some(row) = rows.next()? {
                    let level: String = row.get(3)?;
                    let level = LEVELS.into_iter().find(|known| *known == level).ok_or(CORRUPT)?;
                    lines.push(Placed {
                        seq: row.get(0)?,
                        row: PluginLine {
                            plugin: plugin.clone(),
                            sha256: row.get(1)?,
                            subject: row.get(2)?,
                            level,
                            message: row.get(4)?,
                            fields: serde_json::from_str(&row.get::<_, String>(5)?).map_err(|_| CORRUPT)?,
                            at: row.get(6)?,
                        },
                    });
                }
                Ok(lines)
            })
            .await
    }

    /// What a plugin decided, newest first, before `before` when given; only of shadows when asked.
    pub async fn plugin_traces(
        &self,
        tenant: &TenantId,
        plugin: &str,
        before: Option<i64>,
        shadow: Option<bool>,
        limit: u32,
    ) -> Result<Vec<Placed<Trace>>> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "a plugin's trace" };
        let (tenant, plugin) = (tenant.clone(), plugin.to_owned());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT seq, sha256, hook, subject, decision, shadow, detail, took_us, created_at \
                     FROM plugin_traces WHERE tenant_id = ?1 AND plugin = ?2 AND seq < ?3 \
                     AND (?4 IS NULL OR shadow = ?4) ORDER BY seq DESC LIMIT ?5",
                )?;
                let before = before.unwrap_or(i64::MAX);
                let mut rows = statement.query(params![tenant.as_str(), plugin, before, shadow, limit])?;
                let mut traces = Vec::new();
                while let Some(row) = rows.next()? {
                    let (hook, decision): (String, String) = (row.get(2)?, row.get(4)?);
                    traces.push(Placed {
                        seq: row.get(0)?,
                        row: Trace {
                            plugin: plugin.clone(),
                            sha256: row.get(1)?,
                            hook: HOOKS.into_iter().find(|known| *known == hook).ok_or(CORRUPT)?,
                            subject: row.get(3)?,
                            decision: DECISIONS.into_iter().find(|known| *known == decision).ok_or(CORRUPT)?,
                            shadow: row.get(5)?,
                            detail: serde_json::from_str(&row.get::<_, String>(6)?).map_err(|_| CORRUPT)?,
                            took_us: row.get(7)?,
                            at: row.get(8)?,
                        },
                    });
                }
                Ok(traces)
            })
            .await
    }
}

/// The words of a row; a row with another one was not written by us.
pub const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
pub const HOOKS: [&str; 4] = ["inbound", "outbound", "webhook", "scheduled"];
pub const DECISIONS: [&str; 10] =
    ["pass", "patch", "drop", "reject", "default", "skip", "request", "tick", "error", "duplicate"];

/// All of it, in the transaction of the decision.
pub(super) fn commit(tx: &Tx<'_>, tenant: &TenantId, aftermath: &Aftermath, now: UnixMs) -> Result<()> {
    for changes in &aftermath.kv {
        plugin_kv::apply(tx, tenant, changes, now)?;
    }
    for line in &aftermath.lines {
        tx.prepare_cached(
            "INSERT INTO plugin_logs (tenant_id, plugin, sha256, subject, level, message, fields, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            tenant.as_str(),
            line.plugin,
            line.sha256,
            line.subject,
            line.level,
            line.message,
            line.fields.to_string(),
            line.at
        ])?;
    }
    for one in &aftermath.traces {
        trace(tx, tenant, one)?;
    }
    aftermath.events.iter().try_for_each(|event| events::append(tx, event))?;
    for send in &aftermath.sends {
        if is_repeat(tx, tenant, send, now)? {
            trace(tx, tenant, &duplicate(send, now))?;
            continue;
        }
        // A device that was deleted or unlinked since: the message has nobody to send it.
        match devices::find(tx, tenant, &send.device)? {
            Some(device) if device.linked => outbox::insert_from_plugin(tx, tenant, send, now)?,
            _ => trace(tx, tenant, &unsendable(send, now))?,
        }
    }
    Ok(())
}

fn trace(tx: &Tx<'_>, tenant: &TenantId, trace: &Trace) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO plugin_traces (tenant_id, plugin, sha256, hook, subject, decision, shadow, detail, took_us, \
         created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        tenant.as_str(),
        trace.plugin,
        trace.sha256,
        trace.hook,
        trace.subject,
        trace.decision,
        trace.shadow,
        trace.detail.to_string(),
        trace.took_us,
        trace.at
    ])?;
    Ok(())
}

/// Whether a message with this plugin's key was sent within the last day; remembers the key.
fn is_repeat(tx: &Tx<'_>, tenant: &TenantId, send: &PluginSend, now: UnixMs) -> Result<bool> {
    const DAY_MS: UnixMs = 86_400_000;
    let Some(key) = &send.dedupe_key else { return Ok(false) };
    let new = tx
        .prepare_cached(
            "INSERT INTO plugin_dedupe (tenant_id, plugin, key, created_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (tenant_id, plugin, key) DO UPDATE SET created_at = excluded.created_at \
             WHERE created_at <= ?5",
        )?
        .execute(params![tenant.as_str(), send.plugin, key, now, now - DAY_MS])?;
    Ok(new == 0)
}

fn duplicate(send: &PluginSend, now: UnixMs) -> Trace {
    about(send, "duplicate", serde_json::json!({ "dedupeKey": send.dedupe_key }), now)
}

fn unsendable(send: &PluginSend, now: UnixMs) -> Trace {
    about(send, "error", serde_json::json!({ "error": "the device is not linked any more", "to": send.chat }), now)
}

fn about(send: &PluginSend, decision: &'static str, detail: serde_json::Value, at: UnixMs) -> Trace {
    Trace {
        plugin: send.plugin.clone(),
        sha256: String::new(),
        hook: "outbound",
        subject: send.id.to_string(),
        decision,
        shadow: false,
        detail,
        took_us: 0,
        at,
    }
}
