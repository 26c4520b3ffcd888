//! The values that plugins keep: per tenant and plugin, with a quota and a time to live.

use super::{Result, Store, StoreError, Tx};
use crate::domain::aftermath::{KvChanges, KvEntry, KvValue, KvWrite};
use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use rusqlite::{Connection, OptionalExtension, params};

/// What a plugin's keys and values take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KvUse {
    pub keys: u64,
    pub bytes: u64,
}

/// A key with the beginning of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvRow {
    pub key: String,
    pub is_text: bool,
    pub beginning: Vec<u8>,
    /// Of the whole value.
    pub bytes: u64,
    pub version: u64,
    pub expires_at: Option<UnixMs>,
}

impl Store {
    pub async fn kv_entry(&self, tenant: &TenantId, plugin: &str, key: &str) -> Result<Option<KvEntry>> {
        let (tenant, plugin, key, now) = (tenant.clone(), plugin.to_owned(), key.to_owned(), self.clock.now_ms());
        self.db.read(move |conn| Ok(find(conn, &tenant, &plugin, &key, now)?.map(|row| row.entry))).await
    }

    /// Keys with this prefix behind `after`, in order.
    pub async fn kv_keys(
        &self,
        tenant: &TenantId,
        plugin: &str,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>> {
        let (tenant, plugin, prefix, now) = (tenant.clone(), plugin.to_owned(), prefix.to_owned(), self.clock.now_ms());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT key FROM plugin_kv WHERE tenant_id = ?1 AND plugin = ?2 AND key >= ?3 \
                     AND (?4 IS NULL OR key > ?4) AND substr(CAST(key AS BLOB), 1, length(CAST(?3 AS BLOB))) = CAST(?3 AS BLOB) \
                     AND (expires_at IS NULL OR expires_at > ?5) ORDER BY key LIMIT ?6",
                )?;
                let keys = statement
                    .query_map(params![tenant.as_str(), plugin, prefix, after, now, limit], |row| row.get(0))?;
                Ok(keys.collect::<std::result::Result<_, _>>()?)
            })
            .await
    }

    pub async fn kv_use(&self, tenant: &TenantId, plugin: &str) -> Result<KvUse> {
        let (tenant, plugin) = (tenant.clone(), plugin.to_owned());
        self.db.read(move |conn| used(conn, &tenant, &plugin)).await
    }

    /// Keys with this prefix behind `after`, in order, with the first `bytes_max` bytes of their values.
    pub async fn kv_page(
        &self,
        tenant: &TenantId,
        plugin: &str,
        prefix: &str,
        after: Option<String>,
        limit: u32,
        bytes_max: u32,
    ) -> Result<Vec<KvRow>> {
        let (tenant, plugin, prefix, now) = (tenant.clone(), plugin.to_owned(), prefix.to_owned(), self.clock.now_ms());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT key, is_text, substr(value, 1, ?7), length(value), version, expires_at FROM plugin_kv \
                     WHERE tenant_id = ?1 AND plugin = ?2 AND key >= ?3 \
                     AND (?4 IS NULL OR key > ?4) AND substr(CAST(key AS BLOB), 1, length(CAST(?3 AS BLOB))) = CAST(?3 AS BLOB) \
                     AND (expires_at IS NULL OR expires_at > ?5) ORDER BY key LIMIT ?6",
                )?;
                let values = params![tenant.as_str(), plugin, prefix, after, now, limit, bytes_max];
                let rows = statement.query_map(values, |row| {
                    Ok(KvRow {
                        key: row.get(0)?,
                        is_text: row.get(1)?,
                        beginning: row.get(2)?,
                        bytes: row.get(3)?,
                        version: row.get(4)?,
                        expires_at: row.get(5)?,
                    })
                })?;
                Ok(rows.collect::<std::result::Result<_, _>>()?)
            })
            .await
    }

    /// Deletes one key of a plugin; returns whether it was there.
    pub async fn delete_kv_key(&self, tenant: &TenantId, plugin: &str, key: &str) -> Result<bool> {
        let (tenant, plugin, key) = (tenant.clone(), plugin.to_owned(), key.to_owned());
        self.db
            .write(move |tx| {
                let gone = tx.execute(
                    "DELETE FROM plugin_kv WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3",
                    params![tenant.as_str(), plugin, key],
                )?;
                recount(tx, tenant.as_str(), &plugin)?;
                Ok(gone > 0)
            })
            .await
    }

    /// Deletes a plugin's keys with this prefix; returns how many.
    pub async fn delete_kv(&self, tenant: &TenantId, plugin: &str, prefix: &str) -> Result<usize> {
        let (tenant, plugin, prefix) = (tenant.clone(), plugin.to_owned(), prefix.to_owned());
        self.db
            .write(move |tx| {
                let gone = tx.execute(
                    "DELETE FROM plugin_kv WHERE tenant_id = ?1 AND plugin = ?2 AND substr(CAST(key AS BLOB), 1, length(CAST(?3 AS BLOB))) = CAST(?3 AS BLOB)",
                    params![tenant.as_str(), plugin, prefix],
                )?;
                recount(tx, tenant.as_str(), &plugin)?;
                Ok(gone)
            })
            .await
    }
}

struct Found {
    entry: KvEntry,
    expires_at: Option<UnixMs>,
}

fn find(conn: &Connection, tenant: &TenantId, plugin: &str, key: &str, now: UnixMs) -> Result<Option<Found>> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a plugin's value" };
    let row: Option<(bool, Vec<u8>, u64, Option<i64>)> = conn
        .prepare_cached(
            "SELECT is_text, value, version, expires_at FROM plugin_kv WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 \
             AND (expires_at IS NULL OR expires_at > ?4)",
        )?
        .query_row(params![tenant.as_str(), plugin, key, now], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((is_text, bytes, version, expires_at)) = row else { return Ok(None) };
    let value =
        if is_text { KvValue::Text(String::from_utf8(bytes).map_err(|_| CORRUPT)?) } else { KvValue::Bytes(bytes) };
    Ok(Some(Found { entry: KvEntry { value, version }, expires_at }))
}

fn used(conn: &Connection, tenant: &TenantId, plugin: &str) -> Result<KvUse> {
    let row = conn
        .prepare_cached("SELECT keys, bytes FROM plugin_kv_use WHERE tenant_id = ?1 AND plugin = ?2")?
        .query_row(params![tenant.as_str(), plugin], |row| Ok(KvUse { keys: row.get(0)?, bytes: row.get(1)? }))
        .optional()?;
    Ok(row.unwrap_or_default())
}

/// Writes what a plugin's call wrote, all of it or nothing. `Moved` when a value it relied on is another one by now, or
/// when the quota is full by now: run again, it sees that.
pub(super) fn apply(tx: &Tx<'_>, tenant: &TenantId, changes: &KvChanges, now: UnixMs) -> Result<()> {
    if changes.writes.is_empty() {
        return Ok(());
    }
    let (mut keys, mut bytes) = (0_i64, 0_i64);
    for write in &changes.writes {
        let before = find(tx, tenant, &changes.plugin, write.key(), now)?;
        // An expired row that nobody swept yet still counts in the use.
        let stale = match before {
            Some(_) => None,
            None => size_of_row(tx, tenant, &changes.plugin, write.key())?,
        };
        let size = |entry: &KvEntry| i64::try_from(write.key().len() + entry.value.bytes().len()).unwrap_or(i64::MAX);
        if let Some(old) = before.as_ref().map(|found| size(&found.entry)).or(stale) {
            (keys, bytes) = (keys - 1, bytes - old);
        }
        let kept = before.as_ref().and_then(|found| found.expires_at);
        let after = write.apply(before.as_ref().map(|found| found.entry.clone())).map_err(|_| StoreError::Moved)?;
        match after {
            Some(entry) => {
                (keys, bytes) = (keys + 1, bytes + size(&entry));
                let expires_at = expiry(write, before.is_some(), kept, now);
                put(tx, tenant, &changes.plugin, write.key(), &entry, expires_at)?;
            }
            None => {
                tx.prepare_cached("DELETE FROM plugin_kv WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3")?
                    .execute(params![tenant.as_str(), changes.plugin, write.key()])?;
            }
        }
    }
    tx.prepare_cached(
        "INSERT INTO plugin_kv_use (tenant_id, plugin, keys, bytes) VALUES (?1, ?2, max(?3, 0), max(?4, 0)) \
         ON CONFLICT (tenant_id, plugin) DO UPDATE SET keys = max(keys + ?3, 0), bytes = max(bytes + ?4, 0)",
    )?
    .execute(params![tenant.as_str(), changes.plugin, keys, bytes])?;
    let after = used(tx, tenant, &changes.plugin)?;
    let full = (keys > 0 && after.keys > changes.keys_max) || (bytes > 0 && after.bytes > changes.bytes_max);
    if full { Err(StoreError::Moved) } else { Ok(()) }
}

/// A time to live counts from this commit. Of `increment` it is set when the key is made and not prolonged.
fn expiry(write: &KvWrite, existed: bool, kept: Option<UnixMs>, now: UnixMs) -> Option<UnixMs> {
    let until = |ttl_ms: Option<u64>| ttl_ms.map(|ttl| now.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)));
    match write {
        KvWrite::Add { .. } if existed => kept,
        KvWrite::Add { ttl_ms, .. } | KvWrite::Set { ttl_ms, .. } | KvWrite::Cas { ttl_ms, .. } => until(*ttl_ms),
        KvWrite::Delete { .. } => None,
    }
}

fn put(
    tx: &Tx<'_>,
    tenant: &TenantId,
    plugin: &str,
    key: &str,
    entry: &KvEntry,
    expires_at: Option<UnixMs>,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO plugin_kv (tenant_id, plugin, key, is_text, value, version, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant_id, plugin, key) DO UPDATE SET \
         is_text = excluded.is_text, value = excluded.value, version = excluded.version, \
         expires_at = excluded.expires_at",
    )?
    .execute(params![
        tenant.as_str(),
        plugin,
        key,
        matches!(entry.value, KvValue::Text(_)),
        entry.value.bytes(),
        entry.version,
        expires_at
    ])?;
    Ok(())
}

fn size_of_row(tx: &Tx<'_>, tenant: &TenantId, plugin: &str, key: &str) -> Result<Option<i64>> {
    Ok(tx
        .prepare_cached(
            "SELECT length(CAST(key AS BLOB)) + length(value) FROM plugin_kv \
             WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3",
        )?
        .query_row(params![tenant.as_str(), plugin, key], |row| row.get(0))
        .optional()?)
}

/// Counts anew what a plugin's values take.
pub(super) fn recount(tx: &Tx<'_>, tenant: &str, plugin: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO plugin_kv_use (tenant_id, plugin, keys, bytes) \
         SELECT ?1, ?2, count(*), coalesce(sum(length(CAST(key AS BLOB)) + length(value)), 0) FROM plugin_kv \
         WHERE tenant_id = ?1 AND plugin = ?2 \
         ON CONFLICT (tenant_id, plugin) DO UPDATE SET keys = excluded.keys, bytes = excluded.bytes",
        params![tenant, plugin],
    )?;
    Ok(())
}
