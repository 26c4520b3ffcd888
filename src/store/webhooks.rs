//! Webhooks of a tenant. Secrets, the shared token and custom headers are sealed by the vault.

use super::{Result, Store, StoreError, Tx};
use crate::domain::clock::UnixMs;
use crate::domain::delivery::{Order, Schedule};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::Filter;
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct WebhookRow {
    pub id: WebhookId,
    pub tenant: TenantId,
    /// Its name in the file that declares it.
    pub slug: Option<String>,
    pub managed_by: String,
    pub name: Option<String>,
    pub url: String,
    pub events: Vec<String>,
    pub enabled: bool,
    pub disabled_reason: Option<String>,
    pub secret: Secret,
    /// The secret before a rotation, and until when it signs beside the new one.
    pub previous_secret: Option<(Secret, UnixMs)>,
    /// Sent along in the URL.
    pub shared_token: Option<Secret>,
    pub headers: BTreeMap<String, Secret>,
    pub retry_count: u32,
    pub timeout_ms: u32,
    pub device_ids: Option<Vec<String>>,
    /// The plugin that shapes the bodies; none is our own form.
    pub format: Option<String>,
    pub schedule: Schedule,
    pub order: Order,
    pub filter: Filter,
    /// Whether deliveries carry the message in the protocol's own form too.
    pub raw: bool,
    /// Since when its attempts fail.
    pub failing_since: Option<UnixMs>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a tenant chooses of a webhook.
#[derive(Debug, Clone)]
pub struct WebhookSpec {
    pub name: Option<String>,
    pub url: String,
    pub events: Vec<String>,
    pub enabled: bool,
    pub secret: Secret,
    /// Sent along in the URL.
    pub shared_token: Option<Secret>,
    pub headers: BTreeMap<String, Secret>,
    pub retry_count: u32,
    pub timeout_ms: u32,
    pub device_ids: Option<Vec<String>>,
    /// The plugin that shapes the bodies.
    pub format: Option<String>,
    pub schedule: Schedule,
    pub order: Order,
    pub filter: Filter,
    /// Whether deliveries carry the message in the protocol's own form too.
    pub raw: bool,
}

const CORRUPT: StoreError = StoreError::Corrupt { what: "a webhook row" };
pub(super) const COLUMNS: &str = "id, tenant_id, managed_by, name, url, events, enabled, disabled_reason, secret, \
                                  headers, retry_count, timeout_ms, device_ids, created_at, updated_at, format, slug, \
                                  shared_token, previous_secret, previous_secret_until, schedule, ordering, \
                                  failing_since, filter, raw";

pub(super) struct Sealed {
    secret: Vec<u8>,
    shared_token: Option<Vec<u8>>,
    headers: Vec<u8>,
    events: String,
    device_ids: Option<String>,
    filter: Option<String>,
}

impl Store {
    /// Refused beyond `count_max` webhooks of a tenant.
    pub async fn create_webhook(&self, tenant: &TenantId, spec: WebhookSpec, count_max: u32) -> Result<WebhookRow> {
        let id = WebhookId::generate();
        let sealed = self.seal_webhook(&id, &spec)?;
        let (tenant_id, now, row_id) = (tenant.clone(), self.clock.now_ms(), id.clone());
        self.db
            .write(move |tx| {
                let count: u32 = tx
                    .prepare_cached("SELECT count(*) FROM webhooks WHERE tenant_id = ?1 AND deleted_at IS NULL")?
                    .query_row([tenant_id.as_str()], |row| row.get(0))?;
                if count >= count_max {
                    return Err(StoreError::Conflict("the tenant has as many webhooks as are allowed; delete one"));
                }
                insert(tx, &tenant_id, &row_id, now)?;
                write_spec(tx, &tenant_id, &row_id, &spec, &sealed, now)
            })
            .await?;
        self.webhook(tenant, &id).await
    }

    /// Replaces what the tenant chose. Switching it on again forgets why it was off.
    pub async fn update_webhook(&self, tenant: &TenantId, id: &WebhookId, spec: WebhookSpec) -> Result<WebhookRow> {
        let sealed = self.seal_webhook(id, &spec)?;
        let (tenant_id, row_id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db.write(move |tx| write_spec(tx, &tenant_id, &row_id, &spec, &sealed, now)).await?;
        self.webhook(tenant, id).await
    }

    /// A new secret; the one before signs beside it until `until`.
    pub async fn rotate_webhook_secret(
        &self,
        tenant: &TenantId,
        id: &WebhookId,
        secret: Secret,
        until: UnixMs,
    ) -> Result<WebhookRow> {
        let before = self.webhook(tenant, id).await?.secret;
        let keys = self.vault.purpose(PURPOSE);
        let new = keys.seal(format!("{id} secret").as_bytes(), secret.expose().as_bytes());
        let before = keys.seal(format!("{id} previous secret").as_bytes(), before.expose().as_bytes());
        let (tenant_id, row_id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let changed = tx.execute(
                    "UPDATE webhooks SET secret = ?3, previous_secret = ?4, previous_secret_until = ?5, updated_at = ?6 \
                     WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
                    params![tenant_id.as_str(), row_id.as_str(), new, before, until, now],
                )?;
                if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
            })
            .await?;
        self.webhook(tenant, id).await
    }

    pub async fn webhook(&self, tenant: &TenantId, id: &WebhookId) -> Result<WebhookRow> {
        let (tenant, id, store) = (tenant.clone(), id.clone(), self.clone());
        self.db
            .read(move |conn| {
                let sql =
                    format!("SELECT {COLUMNS} FROM webhooks WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL");
                conn.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), id.as_str()], |row| Ok(store.read_webhook(row)))
                    .optional()?
                    .ok_or(StoreError::NotFound)?
            })
            .await
    }

    /// Every webhook of a tenant, disabled ones too, oldest first.
    pub async fn webhooks(&self, tenant: &TenantId) -> Result<Vec<WebhookRow>> {
        let (tenant, store) = (tenant.clone(), self.clone());
        self.db
            .read(move |conn| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM webhooks WHERE tenant_id = ?1 AND deleted_at IS NULL ORDER BY created_at, id"
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map([tenant.as_str()], |row| Ok(store.read_webhook(row)))?;
                rows.map(|row| row?).collect()
            })
            .await
    }

    /// Removes a webhook; what was waiting for it is given up.
    pub async fn delete_webhook(&self, tenant: &TenantId, id: &WebhookId) -> Result<()> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db.write(move |tx| delete(tx, &tenant, &id, now)).await
    }

    pub(super) fn seal_webhook(&self, id: &WebhookId, spec: &WebhookSpec) -> Result<Sealed> {
        let keys = self.vault.purpose(PURPOSE);
        let headers: BTreeMap<&str, &str> = spec.headers.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
        let headers = serde_json::to_vec(&headers).map_err(|_| CORRUPT)?;
        Ok(Sealed {
            secret: keys.seal(format!("{id} secret").as_bytes(), spec.secret.expose().as_bytes()),
            shared_token: spec
                .shared_token
                .as_ref()
                .map(|token| keys.seal(format!("{id} shared token").as_bytes(), token.expose().as_bytes())),
            headers: keys.seal(format!("{id} headers").as_bytes(), &headers),
            filter: match spec.filter.is_empty() {
                true => None,
                false => Some(serde_json::to_string(&spec.filter).map_err(|_| CORRUPT)?),
            },
            events: serde_json::to_string(&spec.events).map_err(|_| CORRUPT)?,
            device_ids: spec.device_ids.as_ref().map(serde_json::to_string).transpose().map_err(|_| CORRUPT)?,
        })
    }

    pub(super) fn read_webhook(&self, row: &Row<'_>) -> Result<WebhookRow> {
        let id = WebhookId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?;
        let keys = self.vault.purpose(PURPOSE);
        let open = |what: &str, sealed: Vec<u8>| {
            let plain = keys.open(format!("{id} {what}").as_bytes(), &sealed).map_err(|_| CORRUPT)?;
            String::from_utf8(plain).map_err(|_| CORRUPT)
        };
        let headers: BTreeMap<String, String> = match row.get::<_, Option<Vec<u8>>>(9)? {
            Some(sealed) => serde_json::from_str(&open("headers", sealed)?).map_err(|_| CORRUPT)?,
            None => BTreeMap::new(),
        };
        let shared_token: Option<Vec<u8>> = row.get(17)?;
        let (previous, until): (Option<Vec<u8>>, Option<UnixMs>) = (row.get(18)?, row.get(19)?);
        let previous_secret = match (previous, until) {
            (Some(sealed), Some(until)) => Some((Secret::new(open("previous secret", sealed)?), until)),
            _ => None,
        };
        let device_ids: Option<String> = row.get(12)?;
        Ok(WebhookRow {
            tenant: TenantId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
            managed_by: row.get(2)?,
            name: row.get(3)?,
            url: row.get(4)?,
            events: serde_json::from_str(&row.get::<_, String>(5)?).map_err(|_| CORRUPT)?,
            enabled: row.get(6)?,
            disabled_reason: row.get(7)?,
            secret: Secret::new(open("secret", row.get(8)?)?),
            headers: headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            retry_count: row.get(10)?,
            timeout_ms: row.get(11)?,
            device_ids: device_ids.map(|ids| serde_json::from_str(&ids)).transpose().map_err(|_| CORRUPT)?,
            created_at: row.get(13)?,
            updated_at: row.get(14)?,
            format: row.get(15)?,
            slug: row.get(16)?,
            shared_token: shared_token.map(|sealed| open("shared token", sealed)).transpose()?.map(Secret::new),
            previous_secret,
            schedule: Schedule::parse(&row.get::<_, String>(20)?).map_err(|_| CORRUPT)?,
            order: Order::parse(&row.get::<_, String>(21)?).map_err(|_| CORRUPT)?,
            failing_since: row.get(22)?,
            filter: filter(row.get(23)?)?,
            raw: row.get(24)?,
            id,
        })
    }
}

/// NULL wants all.
pub(super) fn filter(text: Option<String>) -> Result<Filter> {
    text.map_or(Ok(Filter::default()), |text| serde_json::from_str(&text).map_err(|_| CORRUPT))
}

/// An empty row, to be filled by [`write_spec`].
pub(super) fn insert(tx: &Tx<'_>, tenant: &TenantId, id: &WebhookId, now: UnixMs) -> Result<()> {
    tx.execute(
        "INSERT INTO webhooks (id, tenant_id, created_at, url, events, secret, retry_count, timeout_ms, \
         updated_at) VALUES (?1, ?2, ?3, '', '', x'', 0, 0, ?3)",
        params![id.as_str(), tenant.as_str(), now],
    )?;
    Ok(())
}

pub(super) fn delete(tx: &Tx<'_>, tenant: &TenantId, id: &WebhookId, now: UnixMs) -> Result<()> {
    let changed = tx.execute(
        "UPDATE webhooks SET deleted_at = ?3, updated_at = ?3, enabled = 0, slug = NULL \
         WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
        params![tenant.as_str(), id.as_str(), now],
    )?;
    tx.execute(
        "DELETE FROM webhook_deliveries WHERE tenant_id = ?1 AND webhook_id = ?2 AND status IN ('due', 'sending')",
        params![tenant.as_str(), id.as_str()],
    )?;
    if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

pub(super) fn write_spec(
    tx: &Tx<'_>,
    tenant: &TenantId,
    id: &WebhookId,
    spec: &WebhookSpec,
    sealed: &Sealed,
    now: UnixMs,
) -> Result<()> {
    let changed = tx.execute(
        "UPDATE webhooks SET name = ?3, url = ?4, events = ?5, enabled = ?6, secret = ?7, headers = ?8, \
         retry_count = ?9, timeout_ms = ?10, device_ids = ?11, updated_at = ?12, format = ?13, \
         shared_token = ?14, schedule = ?15, ordering = ?16, filter = ?17, raw = ?18, \
         disabled_reason = CASE WHEN ?6 THEN NULL ELSE disabled_reason END \
         WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
        params![
            tenant.as_str(),
            id.as_str(),
            spec.name,
            spec.url,
            sealed.events,
            spec.enabled,
            sealed.secret,
            sealed.headers,
            spec.retry_count,
            spec.timeout_ms,
            sealed.device_ids,
            now,
            spec.format,
            sealed.shared_token,
            spec.schedule.as_str(),
            spec.order.as_str(),
            sealed.filter,
            spec.raw
        ],
    )?;
    if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

/// What the vault calls these keys; changing it would make every stored secret unreadable.
const PURPOSE: &str = "webhook";
