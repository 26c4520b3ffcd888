//! Tenants: created with their first key, suspended, activated, deleted.

use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, AnswerWithStatus, enveloped};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::api::v1::Page;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::store::{KEY_DAYS_DEFAULT, NewKey, StoreError, TenantRow, TenantStatus};
use crate::vault::api_key;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

const NAME_CHARS_MAX: usize = 100;
const DAY_MS: i64 = 86_400_000;

pub(in crate::api) async fn create(State(api): State<Api>, admin: Admin, mut fields: Fields) -> AnswerWithStatus {
    let name = fields.text("name", 1..=NAME_CHARS_MAX, true);
    fields.finish()?;
    let id = TenantId::generate();
    let (secret, key) = new_key(&api, &id);
    let tenant = api.store.create_tenant(id, &name.unwrap_or_default(), key).await?;
    api.store.audit(admin.audit("tenant.created", "tenant", tenant.id.as_str())).await?;
    api.metrics.tenants_active.inc();
    let data = json!({
        "tenant": shown(&tenant),
        "api_key": secret.expose(),
        "warning": "this key is shown once; keep it now",
    });
    Ok((StatusCode::CREATED, enveloped(data)))
}

pub(in crate::api) async fn list(State(api): State<Api>, _: Admin, Query(page): Query<Page>) -> Answer {
    let (limit, offset) = page.checked(100)?;
    let (tenants, total) = api.store.tenants(limit, offset).await?;
    let shown: Vec<Value> = tenants.iter().map(shown).collect();
    Ok(enveloped(json!({ "count": shown.len(), "tenants": shown, "total": total })))
}

pub(in crate::api) async fn read(State(api): State<Api>, _: Admin, Path(id): Path<String>) -> Answer {
    let tenant = api.store.tenant(&tenant_id(&id)?).await.map_err(no_tenant)?;
    Ok(enveloped(json!({ "tenant": shown(&tenant) })))
}

/// Stops its devices and its keys at once.
pub(in crate::api) async fn suspend(State(api): State<Api>, admin: Admin, Path(id): Path<String>) -> Answer {
    let id = tenant_id(&id)?;
    let tenant = api.store.set_tenant_status(&id, TenantStatus::Suspended).await.map_err(no_tenant)?;
    api.directory.halt_tenant(&id).await;
    api.store.audit(admin.audit("tenant.suspended", "tenant", id.as_str())).await?;
    Ok(enveloped(json!({ "message": "the tenant is suspended", "tenant": shown(&tenant) })))
}

/// Resumes what its owner wanted running.
pub(in crate::api) async fn activate(State(api): State<Api>, admin: Admin, Path(id): Path<String>) -> Answer {
    let id = tenant_id(&id)?;
    let tenant = api.store.set_tenant_status(&id, TenantStatus::Active).await.map_err(no_tenant)?;
    api.directory.resume_tenant(&id).await?;
    api.store.audit(admin.audit("tenant.activated", "tenant", id.as_str())).await?;
    Ok(enveloped(json!({ "message": "the tenant is active", "tenant": shown(&tenant) })))
}

pub(in crate::api) async fn delete(State(api): State<Api>, admin: Admin, Path(id): Path<String>) -> Answer {
    let id = tenant_id(&id)?;
    // Keys stop working first, so that nothing is started behind the halt.
    api.store.set_tenant_status(&id, TenantStatus::Suspended).await.map_err(no_tenant)?;
    api.directory.halt_tenant(&id).await;
    api.store.delete_tenant(&id).await.map_err(no_tenant)?;
    api.store.audit(admin.audit("tenant.deleted", "tenant", id.as_str())).await?;
    api.metrics.tenants_active.dec();
    Ok(enveloped(json!({ "message": "the tenant is deleted" })))
}

/// A new key; every earlier one stops working.
pub(in crate::api) async fn regenerate_key(State(api): State<Api>, admin: Admin, Path(id): Path<String>) -> Answer {
    let id = tenant_id(&id)?;
    let (secret, key) = new_key(&api, &id);
    api.store.add_key(&id, key, true).await.map_err(no_tenant)?;
    api.store.audit(admin.audit("key.rotated", "tenant", id.as_str())).await?;
    Ok(enveloped(json!({ "api_key": secret.expose(), "warning": "this key is shown once; keep it now" })))
}

fn new_key(api: &Api, tenant: &TenantId) -> (Secret, NewKey) {
    let now = api.store.clock().now_ms();
    let expires_at = now + KEY_DAYS_DEFAULT * DAY_MS;
    let secret = api_key::mint(tenant, now, expires_at, &api.settings.master_key);
    let key = NewKey {
        name: "default".to_owned(),
        hash: api_key::sha256_hex(secret.expose()),
        scopes: vec!["manage".to_owned()],
        expires_at,
    };
    (secret, key)
}

pub(in crate::api) fn tenant_id(text: &str) -> Result<TenantId, ApiError> {
    TenantId::parse(text).map_err(|_| ApiError::NotFound("tenant"))
}

pub(in crate::api) fn no_tenant(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("tenant"),
        other => other.into(),
    }
}

fn shown(tenant: &TenantRow) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "status": tenant.status,
        "slug": tenant.slug,
        "managed_by": tenant.managed_by,
        "created_at": tenant.created_at / 1000,
        "updated_at": tenant.updated_at / 1000,
    })
}
