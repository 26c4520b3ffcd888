//! API keys with names: what a tenant's integrations authenticate with, each with its scopes, its end and its addresses.

use super::tenants::{find as find_tenant, insert_key};
use super::{NewKey, Result, Store, StoreError};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{KeyId, TenantId};
use ipnet::IpNet;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Keys of a tenant that work; one more is refused.
pub const KEYS_PER_TENANT_MAX: u32 = 100;
/// How old the note of a key's last use may be: writing it with every request would cost each a commit.
pub const USE_NOTED_EVERY_MS: i64 = 60_000;

#[derive(Debug, Clone)]
pub struct KeyRow {
    pub id: KeyId,
    pub name: String,
    pub scopes: Vec<String>,
    /// Empty is everywhere.
    pub allowed_ips: Vec<IpNet>,
    pub created_at: UnixMs,
    pub expires_at: UnixMs,
    pub revoked_at: Option<UnixMs>,
    pub last_used_at: Option<UnixMs>,
}

/// What becomes of a key that another one takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// It stops at once.
    Now,
    /// It goes on working until then, or until its own end.
    Until(UnixMs),
}

const COLUMNS: &str = "id, name, scopes, allowed_ips, created_at, expires_at, revoked_at, last_used_at";
const CORRUPT: StoreError = StoreError::Corrupt { what: "an api key row" };

impl Store {
    /// Every key of a tenant, newest first, also those that were revoked or have expired.
    pub async fn keys(&self, tenant: &TenantId, limit: u32, offset: u32) -> Result<(Vec<KeyRow>, u64)> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let total = conn
                    .prepare_cached("SELECT count(*) FROM api_keys WHERE tenant_id = ?1")?
                    .query_row([tenant.as_str()], |row| row.get(0))?;
                let sql = format!(
                    "SELECT {COLUMNS} FROM api_keys WHERE tenant_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), limit, offset], |row| Ok(read(row)))?;
                Ok((rows.map(|row| row?).collect::<Result<_>>()?, total))
            })
            .await
    }

    pub async fn key(&self, tenant: &TenantId, key: &KeyId) -> Result<KeyRow> {
        let (tenant, key) = (tenant.clone(), key.clone());
        self.db.read(move |conn| find(conn, &tenant, &key)).await
    }

    /// Refused beyond [`KEYS_PER_TENANT_MAX`] keys that work.
    pub async fn create_key(&self, tenant: &TenantId, key: NewKey) -> Result<KeyRow> {
        let (tenant, now) = (tenant.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                find_tenant(tx, &tenant)?.ok_or(StoreError::NotFound)?;
                let working: u32 = tx
                    .prepare_cached(
                        "SELECT count(*) FROM api_keys WHERE tenant_id = ?1 AND revoked_at IS NULL AND expires_at > ?2",
                    )?
                    .query_row(params![tenant.as_str(), now], |row| row.get(0))?;
                if working >= KEYS_PER_TENANT_MAX {
                    return Err(StoreError::Conflict("the tenant has as many keys as are allowed; revoke one"));
                }
                let id = insert_key(tx, &tenant, &key, now)?;
                find(tx, &tenant, &id)
            })
            .await
    }

    /// Puts a new key in the place of a working one, with its name, scopes and addresses. `Conflict`: it does not work.
    pub async fn rotate_key(
        &self,
        tenant: &TenantId,
        key: &KeyId,
        hash: String,
        expires_at: UnixMs,
        earlier: Succession,
    ) -> Result<KeyRow> {
        let (tenant, key, now) = (tenant.clone(), key.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let before = find(tx, &tenant, &key)?;
                if before.revoked_at.is_some() || before.expires_at <= now {
                    return Err(StoreError::Conflict("the key was revoked or has expired; create another one"));
                }
                match earlier {
                    Succession::Now => {
                        tx.execute("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1", params![key.as_str(), now])?
                    }
                    Succession::Until(until) => tx.execute(
                        "UPDATE api_keys SET expires_at = min(expires_at, ?2) WHERE id = ?1",
                        params![key.as_str(), until],
                    )?,
                };
                tx.wake_log(&tenant);
                let new = NewKey {
                    name: before.name,
                    hash,
                    scopes: before.scopes,
                    allowed_ips: before.allowed_ips,
                    expires_at,
                };
                let id = insert_key(tx, &tenant, &new, now)?;
                find(tx, &tenant, &id)
            })
            .await
    }

    /// From now on it opens nothing. Idempotent.
    pub async fn revoke_key(&self, tenant: &TenantId, key: &KeyId) -> Result<()> {
        let (tenant, key, now) = (tenant.clone(), key.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                find(tx, &tenant, &key)?;
                tx.execute(
                    "UPDATE api_keys SET revoked_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL",
                    params![tenant.as_str(), key.as_str(), now],
                )?;
                // Whoever follows events with it is sent away.
                tx.wake_log(&tenant);
                Ok(())
            })
            .await
    }

    /// Notes that a key was used now.
    pub async fn note_key_use(&self, tenant: &TenantId, key: &KeyId) -> Result<()> {
        let (tenant, key, now) = (tenant.clone(), key.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE api_keys SET last_used_at = ?3 WHERE tenant_id = ?1 AND id = ?2 \
                     AND (last_used_at IS NULL OR last_used_at <= ?3 - ?4)",
                )?
                .execute(params![tenant.as_str(), key.as_str(), now, USE_NOTED_EVERY_MS])?;
                Ok(())
            })
            .await
    }
}

fn find(conn: &Connection, tenant: &TenantId, key: &KeyId) -> Result<KeyRow> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE tenant_id = ?1 AND id = ?2");
    let row = conn.prepare_cached(&sql)?.query_row(params![tenant.as_str(), key.as_str()], |row| Ok(read(row)));
    row.optional()?.ok_or(StoreError::NotFound)?
}

/// The addresses of a row; NULL is everywhere.
pub(super) fn networks(text: Option<String>) -> Result<Vec<IpNet>> {
    text.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text).map_err(|_| CORRUPT))
}

fn read(row: &Row<'_>) -> Result<KeyRow> {
    Ok(KeyRow {
        id: KeyId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
        name: row.get(1)?,
        scopes: serde_json::from_str(&row.get::<_, String>(2)?).map_err(|_| CORRUPT)?,
        allowed_ips: networks(row.get(3)?)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        revoked_at: row.get(6)?,
        last_used_at: row.get(7)?,
    })
}
