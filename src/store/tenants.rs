//! Tenants and their API keys. Of a key only its SHA-256 is kept.

use super::{Result, Store, StoreError, Topic, Tx, devices, keys};
use crate::domain::allowance::Allowance;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, KeyId, TenantId};
use crate::domain::media::TenantMedia;
use ipnet::IpNet;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What `managed_by` says of what no file declares.
pub const MANAGED_BY_API: &str = "api";
/// Days a key is valid when nobody says otherwise.
pub const KEY_DAYS_DEFAULT: i64 = 365;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    Active,
    Suspended,
    Deleted,
}

impl TenantStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleted].into_iter().find(|s| s.as_str() == text)
    }
}

#[derive(Debug, Clone)]
pub struct TenantRow {
    pub id: TenantId,
    pub slug: Option<String>,
    pub managed_by: String,
    pub name: String,
    pub status: TenantStatus,
    /// As its file says.
    pub limits: Allowance,
    pub media: TenantMedia,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// A key to be stored with its tenant.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: String,
    /// SHA-256 of the key, hex.
    pub hash: String,
    pub scopes: Vec<String>,
    /// Where it is taken from; empty is everywhere.
    pub allowed_ips: Vec<IpNet>,
    pub expires_at: UnixMs,
}

/// Who a presented key belongs to.
#[derive(Debug, Clone)]
pub struct KeyOwner {
    pub key: KeyId,
    pub tenant: TenantId,
    pub tenant_status: TenantStatus,
    pub limits: Allowance,
    pub scopes: Vec<String>,
    /// Where it is taken from; empty is everywhere.
    pub allowed_ips: Vec<IpNet>,
    pub expires_at: UnixMs,
    pub revoked: bool,
    pub last_used_at: Option<UnixMs>,
}

pub(super) const COLUMNS: &str = "id, slug, managed_by, name, status, created_at, updated_at, limits, media";
const CORRUPT: StoreError = StoreError::Corrupt { what: "a tenant row" };

impl Store {
    /// Creates a tenant under `id` with its first key.
    pub async fn create_tenant(&self, id: TenantId, name: &str, key: NewKey) -> Result<TenantRow> {
        let (name, now) = (name.to_owned(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO tenants (id, name, status, created_at, updated_at) VALUES (?1, ?2, 'active', ?3, ?3)",
                    params![id.as_str(), name, now],
                )?;
                insert_key(tx, &id, &key, now)?;
                find(tx, &id)?.ok_or(StoreError::NotFound)
            })
            .await
    }

    pub async fn tenant(&self, id: &TenantId) -> Result<TenantRow> {
        let id = id.clone();
        self.db.read(move |conn| find(conn, &id)?.ok_or(StoreError::NotFound)).await
    }

    /// A tenant by its name in a file.
    pub async fn tenant_by_slug(&self, slug: &str) -> Result<TenantRow> {
        let slug = slug.to_owned();
        self.db
            .read(move |conn| {
                let sql = format!("SELECT {COLUMNS} FROM tenants WHERE slug = ?1 AND status <> 'deleted'");
                conn.prepare_cached(&sql)?
                    .query_row([slug], |row| Ok(read(row)))
                    .optional()?
                    .ok_or(StoreError::NotFound)?
            })
            .await
    }

    /// A page of tenants, newest first, and how many there are. Deleted ones are hidden.
    pub async fn tenants(&self, limit: u32, offset: u32) -> Result<(Vec<TenantRow>, u64)> {
        self.db
            .read(move |conn| {
                let total = conn
                    .prepare_cached("SELECT count(*) FROM tenants WHERE status <> 'deleted'")?
                    .query_row([], |row| row.get(0))?;
                let sql = format!(
                    "SELECT {COLUMNS} FROM tenants WHERE status <> 'deleted' \
                     ORDER BY created_at DESC, id DESC LIMIT ?1 OFFSET ?2"
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![limit, offset], |row| Ok(read(row)))?;
                Ok((rows.map(|row| row?).collect::<Result<Vec<_>>>()?, total))
            })
            .await
    }

    /// Suspends or activates. A deleted tenant is not found.
    pub async fn set_tenant_status(&self, id: &TenantId, status: TenantStatus) -> Result<TenantRow> {
        let (id, now) = (id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                tx.execute(
                    "UPDATE tenants SET status = ?2, updated_at = ?3 WHERE id = ?1 AND status <> 'deleted'",
                    params![id.as_str(), status.as_str(), now],
                )?;
                tx.wake(Topic::Devices);
                tx.wake_log(&id);
                find(tx, &id)?.ok_or(StoreError::NotFound)
            })
            .await
    }

    /// Deletes a tenant: the row stays, its keys are revoked, its devices and their sessions go, its webhooks too.
    pub async fn delete_tenant(&self, id: &TenantId) -> Result<()> {
        let (id, now) = (id.clone(), self.clock.now_ms());
        self.db.write(move |tx| delete(tx, &id, now)).await
    }

    /// Adds a key, revoking every other one first when `revoke_others`.
    pub async fn add_key(&self, tenant: &TenantId, key: NewKey, revoke_others: bool) -> Result<KeyId> {
        let (tenant, now) = (tenant.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                find(tx, &tenant)?.ok_or(StoreError::NotFound)?;
                if revoke_others {
                    tx.execute(
                        "UPDATE api_keys SET revoked_at = ?2 WHERE tenant_id = ?1 AND revoked_at IS NULL",
                        params![tenant.as_str(), now],
                    )?;
                    tx.wake_log(&tenant);
                }
                insert_key(tx, &tenant, &key, now)
            })
            .await
    }

    /// Looks a presented key up by its SHA-256, hex. This look-up is what decides.
    pub async fn key_owner(&self, hash: &str) -> Result<Option<KeyOwner>> {
        let hash = hash.to_owned();
        self.db
            .read(move |conn| {
                conn.prepare_cached(
                    "SELECT k.id, k.tenant_id, t.status, k.scopes, k.expires_at, k.revoked_at IS NOT NULL, t.limits, \
                     k.allowed_ips, k.last_used_at \
                     FROM api_keys AS k JOIN tenants AS t ON t.id = k.tenant_id WHERE k.hash = ?1",
                )?
                .query_row([hash], |row| {
                    let parts: (String, String, String, String, i64, bool) =
                        (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
                    Ok((parts, limits(row.get(6)?), keys::networks(row.get(7)?), row.get(8)?))
                })
                .optional()?
                .map(|((key, tenant, status, scopes, expires_at, revoked), limits, allowed_ips, last_used_at)| {
                    const KEY: StoreError = StoreError::Corrupt { what: "an api key row" };
                    Ok(KeyOwner {
                        key: KeyId::parse(&key).map_err(|_| KEY)?,
                        tenant: TenantId::parse(&tenant).map_err(|_| KEY)?,
                        tenant_status: TenantStatus::parse(&status).ok_or(KEY)?,
                        limits: limits?,
                        scopes: serde_json::from_str(&scopes).map_err(|_| KEY)?,
                        allowed_ips: allowed_ips?,
                        expires_at,
                        revoked,
                        last_used_at,
                    })
                })
                .transpose()
            })
            .await
    }
}

pub(super) fn insert_key(conn: &Connection, tenant: &TenantId, key: &NewKey, now: UnixMs) -> Result<KeyId> {
    let id = KeyId::generate();
    let scopes = serde_json::to_string(&key.scopes).map_err(|_| StoreError::Corrupt { what: "key scopes" })?;
    let listed = serde_json::to_string(&key.allowed_ips).map_err(|_| StoreError::Corrupt { what: "key addresses" })?;
    let allowed_ips = Some(listed).filter(|_| !key.allowed_ips.is_empty());
    conn.execute(
        "INSERT INTO api_keys (id, tenant_id, name, hash, scopes, created_at, expires_at, allowed_ips) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![id.as_str(), tenant.as_str(), key.name, key.hash, scopes, now, key.expires_at, allowed_ips],
    )?;
    Ok(id)
}

pub(super) fn delete(tx: &Tx<'_>, id: &TenantId, now: UnixMs) -> Result<()> {
    find(tx, id)?.ok_or(StoreError::NotFound)?;
    for device in device_ids(tx, id)? {
        devices::delete(tx, id, &device, now)?;
    }
    tx.execute(
        "UPDATE api_keys SET revoked_at = ?2 WHERE tenant_id = ?1 AND revoked_at IS NULL",
        params![id.as_str(), now],
    )?;
    tx.execute(
        "UPDATE webhooks SET enabled = 0, deleted_at = ?2, updated_at = ?2, slug = NULL \
         WHERE tenant_id = ?1 AND deleted_at IS NULL",
        params![id.as_str(), now],
    )?;
    // Nothing of theirs runs any more, and their secrets go; what they kept goes with the rest (`maintenance::emptied`).
    tx.execute("DELETE FROM plugins WHERE tenant_id = ?1", [id.as_str()])?;
    tx.execute(
        "UPDATE tenants SET status = 'deleted', slug = NULL, updated_at = ?2 WHERE id = ?1",
        params![id.as_str(), now],
    )?;
    tx.wake(Topic::Deleted);
    tx.wake_log(id);
    Ok(())
}

pub(super) fn device_ids(conn: &Connection, tenant: &TenantId) -> Result<Vec<DeviceId>> {
    let mut statement = conn.prepare_cached("SELECT id FROM devices WHERE tenant_id = ?1 AND deleted_at IS NULL")?;
    let ids = statement.query_map([tenant.as_str()], |row| row.get::<_, String>(0))?;
    ids.map(|id| DeviceId::parse(&id?).map_err(|_| StoreError::Corrupt { what: "a device row" })).collect()
}

pub(super) fn find(conn: &Connection, id: &TenantId) -> Result<Option<TenantRow>> {
    let sql = format!("SELECT {COLUMNS} FROM tenants WHERE id = ?1 AND status <> 'deleted'");
    conn.prepare_cached(&sql)?.query_row([id.as_str()], |row| Ok(read(row))).optional()?.transpose()
}

pub(super) fn limits(text: Option<String>) -> Result<Allowance> {
    text.map_or(Ok(Allowance::default()), |text| serde_json::from_str(&text).map_err(|_| CORRUPT))
}

pub(super) fn read(row: &Row<'_>) -> Result<TenantRow> {
    Ok(TenantRow {
        id: TenantId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
        slug: row.get(1)?,
        managed_by: row.get(2)?,
        name: row.get(3)?,
        status: TenantStatus::parse(&row.get::<_, String>(4)?).ok_or(CORRUPT)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        limits: limits(row.get(7)?)?,
        media: match row.get::<_, Option<String>>(8)? {
            Some(text) => serde_json::from_str(&text).map_err(|_| CORRUPT)?,
            None => TenantMedia::default(),
        },
    })
}
