//! API keys with names, as the operator and a tenant's own `manage` key see them: the same operations on the same rows.

use super::Api;
use super::error::ApiError;
use super::fields::Fields;
use super::v1::{Page, UpTo100};
use crate::domain::ids::{KeyId, TenantId};
use crate::domain::secret::Secret;
use crate::store::{KEY_DAYS_DEFAULT, KeyRow, NewKey, StoreError, Succession};
use crate::vault::api_key;
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;

const NAME_CHARS_MAX: usize = 100;
const DAYS_MAX: u32 = 3_650;
/// Addresses and networks of one key.
const NETWORKS_MAX: usize = 50;
/// Seconds that a rotated key may go on working: a week.
const GRACE_S_MAX: u32 = 7 * 86_400;
pub(super) const DAY_MS: i64 = 86_400_000;
pub(super) const SCOPES: [&str; 3] = ["read", "send", "manage"];
const WARNING: &str = "keep this key now: it is shown once";

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
#[schema(as = NewApiKey)]
pub(super) struct NewKeyAsked {
    #[schema(min_length = 1, max_length = 100, example = "CRM")]
    name: String,
    /// What it may do: `manage` includes `send`, and `send` includes `read`.
    #[schema(min_items = 1, max_items = 3, example = json!(["send"]))]
    scopes: Vec<String>,
    #[schema(required = false, minimum = 1, maximum = 3650, default = 365)]
    expires_in_days: u32,
    /// Addresses and networks it is taken from; left out or empty, everywhere.
    #[schema(required = false, max_items = 50, example = json!(["203.0.113.7", "10.0.0.0/8"]))]
    allowed_ips: Vec<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(super) struct KeyRotation {
    /// Seconds the earlier key goes on working; 0 stops it at once.
    #[schema(required = false, minimum = 0, maximum = 604800, default = 0)]
    grace_seconds: u32,
    #[schema(required = false, minimum = 1, maximum = 3650, default = 365)]
    expires_in_days: u32,
}

/// A key; what opens is never shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct Shown {
    id: KeyId,
    name: String,
    scopes: Vec<String>,
    /// Empty is everywhere.
    #[schema(value_type = Vec<String>)]
    allowed_ips: Vec<IpNet>,
    /// `active`, `expired` or `revoked`.
    status: &'static str,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    expires_at: i64,
    /// Unix seconds.
    revoked_at: Option<i64>,
    /// Unix seconds, to the minute.
    last_used_at: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Keys {
    keys: Vec<Shown>,
    /// On this page.
    count: usize,
    /// In all.
    total: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MadeKey {
    key: Shown,
    /// Shown once.
    api_key: String,
    warning: &'static str,
}

pub(super) async fn list(api: &Api, tenant: &TenantId, page: &Page<UpTo100>) -> Result<Keys, ApiError> {
    let (limit, offset) = page.checked()?;
    let (rows, total) = api.store.keys(tenant, limit, offset).await?;
    let now = api.store.clock().now_ms();
    let keys: Vec<Shown> = rows.into_iter().map(|row| shown(row, now)).collect();
    Ok(Keys { count: keys.len(), keys, total })
}

pub(super) async fn create(api: &Api, tenant: &TenantId, mut fields: Fields) -> Result<(KeyId, MadeKey), ApiError> {
    let name = fields.name("name", NAME_CHARS_MAX, true);
    let scopes = fields.list("scopes", 1..=SCOPES.len(), |scope| match SCOPES.contains(&scope) {
        true => Ok(scope.to_owned()),
        false => Err("must be read, send or manage"),
    });
    let days = fields.whole("expires_in_days", 1..=DAYS_MAX);
    let allowed_ips = fields.list("allowed_ips", 0..=NETWORKS_MAX, network).unwrap_or_default();
    fields.finish()?;
    let (secret, hash, expires_at) = minted(api, tenant, days);
    let key =
        NewKey { name: name.unwrap_or_default(), hash, scopes: scopes.unwrap_or_default(), allowed_ips, expires_at };
    let row = api.store.create_key(tenant, key).await.map_err(no_key)?;
    Ok(made(api, row, &secret))
}

pub(super) async fn rotate(
    api: &Api,
    tenant: &TenantId,
    key: &KeyId,
    mut fields: Fields,
) -> Result<(KeyId, MadeKey), ApiError> {
    let grace = fields.whole("grace_seconds", 0..=GRACE_S_MAX).unwrap_or(0);
    let days = fields.whole("expires_in_days", 1..=DAYS_MAX);
    fields.finish()?;
    let (secret, hash, expires_at) = minted(api, tenant, days);
    let earlier = match grace {
        0 => Succession::Now,
        seconds => Succession::Until(api.store.clock().now_ms() + i64::from(seconds) * 1_000),
    };
    let row = api.store.rotate_key(tenant, key, hash, expires_at, earlier).await.map_err(no_key)?;
    Ok(made(api, row, &secret))
}

/// A key that the path names; it has to be this tenant's.
pub(super) async fn named(api: &Api, tenant: &TenantId, text: &str) -> Result<KeyRow, ApiError> {
    let id = KeyId::parse(text).map_err(|_| ApiError::NotFound("key"))?;
    api.store.key(tenant, &id).await.map_err(no_key)
}

pub(super) fn no_key(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("key"),
        other => other.into(),
    }
}

/// The key, its hash, and its end in unix milliseconds.
fn minted(api: &Api, tenant: &TenantId, days: Option<u32>) -> (Secret, String, i64) {
    let now = api.store.clock().now_ms();
    let expires_at = now + days.map_or(KEY_DAYS_DEFAULT, i64::from) * DAY_MS;
    let secret = api_key::mint(tenant, now, expires_at, &api.settings.master_key);
    let hash = api_key::sha256_hex(secret.expose());
    (secret, hash, expires_at)
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    one.or_else(|_| text.parse()).map_err(|_| "must be an address or a network such as 10.0.0.0/8")
}

fn made(api: &Api, row: KeyRow, secret: &Secret) -> (KeyId, MadeKey) {
    let id = row.id.clone();
    let key = shown(row, api.store.clock().now_ms());
    (id, MadeKey { key, api_key: secret.expose().to_owned(), warning: WARNING })
}

fn shown(row: KeyRow, now: i64) -> Shown {
    let status = match row.revoked_at {
        Some(_) => "revoked",
        None if row.expires_at <= now => "expired",
        None => "active",
    };
    Shown {
        id: row.id,
        name: row.name,
        scopes: row.scopes,
        allowed_ips: row.allowed_ips,
        status,
        created_at: row.created_at / 1000,
        expires_at: row.expires_at / 1000,
        revoked_at: row.revoked_at.map(|at| at / 1000),
        last_used_at: row.last_used_at.map(|at| at / 1000),
    }
}
