//! Tenants: created with their first key, suspended, activated, deleted.

use crate::api::Api;
use crate::api::caller::{Admin, not_of_a_file};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::api::v1::{Page, UpTo100};
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::store::{KEY_DAYS_DEFAULT, NewKey, StoreError, TenantRow, TenantStatus};
use crate::vault::api_key;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

const NAME_CHARS_MAX: usize = 100;
const DAY_MS: i64 = 86_400_000;
const KEY_WARNING: &str = "this key is shown once; keep it now";

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(in crate::api) struct Shown {
    id: TenantId,
    name: String,
    status: TenantStatus,
    /// Its name in configuration files.
    slug: Option<String>,
    /// `api`, or the name of the file that declares it.
    managed_by: String,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewTenant {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CreatedTenant {
    tenant: Shown,
    /// Shown once.
    api_key: String,
    warning: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Tenants {
    tenants: Vec<Shown>,
    /// On this page.
    count: usize,
    /// In all.
    total: u64,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct OneTenant {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    tenant: Shown,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct NewKeyShown {
    /// Shown once.
    api_key: String,
    warning: &'static str,
}

/// Create a tenant with its first API key
#[utoipa::path(post, path = "/tenants", operation_id = "createTenant", tag = "Admin", request_body = NewTenant,
    responses((status = 201, body = Envelope<CreatedTenant>)))]
pub(in crate::api) async fn create(State(api): State<Api>, admin: Admin, mut fields: Fields) -> Created<CreatedTenant> {
    let name = fields.name("name", NAME_CHARS_MAX, true);
    fields.finish()?;
    let id = TenantId::generate();
    let (secret, key) = new_key(&api, &id);
    let tenant = api.store.create_tenant(id, &name.unwrap_or_default(), key).await?;
    api.store.audit(admin.audit("tenant.created", "tenant", tenant.id.as_str()).of(&tenant.id)).await?;
    api.count().await?;
    let created = CreatedTenant { tenant: tenant.into(), api_key: secret.expose().to_owned(), warning: KEY_WARNING };
    Ok((StatusCode::CREATED, enveloped(created)))
}

/// List tenants, newest first
#[utoipa::path(get, path = "/tenants", operation_id = "listTenants", tag = "Admin", params(Page<UpTo100>),
    responses((status = 200, body = Envelope<Tenants>)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    _: Admin,
    Query(page): Query<Page<UpTo100>>,
) -> Answer<Tenants> {
    let (limit, offset) = page.checked()?;
    let (tenants, total) = api.store.tenants(limit, offset).await?;
    let tenants: Vec<Shown> = tenants.into_iter().map(Shown::from).collect();
    Ok(enveloped(Tenants { count: tenants.len(), tenants, total }))
}

/// One tenant
#[utoipa::path(get, path = "/tenants/{tenant}", operation_id = "readTenant", tag = "Admin",
    responses((status = 200, body = Envelope<OneTenant>)))]
pub(in crate::api) async fn read(State(api): State<Api>, _: Admin, Path(id): Path<String>) -> Answer<OneTenant> {
    let tenant = tenant(&api, &id).await?;
    Ok(enveloped(OneTenant { message: None, tenant: tenant.into() }))
}

/// Suspend a tenant
///
/// Stops its devices and its keys at once.
#[utoipa::path(patch, path = "/tenants/{tenant}/suspend", operation_id = "suspendTenant", tag = "Admin",
    responses((status = 200, body = Envelope<OneTenant>),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn suspend(State(api): State<Api>, admin: Admin, Path(id): Path<String>) -> Answer<OneTenant> {
    let id = tenant_of_api(&api, &id).await?;
    let tenant = api.store.set_tenant_status(&id, TenantStatus::Suspended).await.map_err(no_tenant)?;
    api.directory.halt_tenant(&id).await;
    api.store.audit(admin.audit("tenant.suspended", "tenant", id.as_str()).of(&id)).await?;
    api.count().await?;
    Ok(enveloped(OneTenant { message: Some("the tenant is suspended"), tenant: tenant.into() }))
}

/// Activate a suspended tenant
///
/// Resumes what its owner wanted running.
#[utoipa::path(patch, path = "/tenants/{tenant}/activate", operation_id = "activateTenant", tag = "Admin",
    responses((status = 200, body = Envelope<OneTenant>),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn activate(
    State(api): State<Api>,
    admin: Admin,
    Path(id): Path<String>,
) -> Answer<OneTenant> {
    let id = tenant_of_api(&api, &id).await?;
    let tenant = api.store.set_tenant_status(&id, TenantStatus::Active).await.map_err(no_tenant)?;
    api.directory.resume_tenant(&id).await?;
    api.store.audit(admin.audit("tenant.activated", "tenant", id.as_str()).of(&id)).await?;
    api.count().await?;
    Ok(enveloped(OneTenant { message: Some("the tenant is active"), tenant: tenant.into() }))
}

/// Delete a tenant
///
/// Its devices are stopped, its sessions and keys destroyed, its webhooks removed. Its messages, chats, events and files follow
/// in small steps, also from the disk; its name and the audit log stay.
#[utoipa::path(delete, path = "/tenants/{tenant}", operation_id = "deleteTenant", tag = "Admin",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn delete(State(api): State<Api>, admin: Admin, Path(id): Path<String>) -> Answer<Done> {
    let id = tenant_of_api(&api, &id).await?;
    // Keys stop working first, so that nothing is started behind the halt.
    api.store.set_tenant_status(&id, TenantStatus::Suspended).await.map_err(no_tenant)?;
    api.directory.halt_tenant(&id).await;
    api.store.delete_tenant(&id).await.map_err(no_tenant)?;
    api.plugins.forget(&id).await;
    api.store.audit(admin.audit("tenant.deleted", "tenant", id.as_str()).of(&id)).await?;
    api.count().await?;
    Ok(done("the tenant is deleted"))
}

/// Make a new API key
///
/// Every earlier key of the tenant stops working.
#[utoipa::path(post, path = "/tenants/{tenant}/regenerate-key", operation_id = "regenerateKey", tag = "Admin",
    responses((status = 200, body = Envelope<NewKeyShown>)))]
pub(in crate::api) async fn regenerate_key(
    State(api): State<Api>,
    admin: Admin,
    Path(id): Path<String>,
) -> Answer<NewKeyShown> {
    let id = tenant(&api, &id).await?.id;
    let (secret, key) = new_key(&api, &id);
    api.store.add_key(&id, key, true).await.map_err(no_tenant)?;
    api.store.audit(admin.audit("key.rotated", "tenant", id.as_str()).of(&id)).await?;
    Ok(enveloped(NewKeyShown { api_key: secret.expose().to_owned(), warning: KEY_WARNING }))
}

fn new_key(api: &Api, tenant: &TenantId) -> (Secret, NewKey) {
    let now = api.store.clock().now_ms();
    let expires_at = now + KEY_DAYS_DEFAULT * DAY_MS;
    let secret = api_key::mint(tenant, now, expires_at, &api.settings.master_key);
    let key = NewKey {
        name: "default".to_owned(),
        hash: api_key::sha256_hex(secret.expose()),
        scopes: vec!["manage".to_owned()],
        allowed_ips: Vec::new(),
        expires_at,
    };
    (secret, key)
}

/// The tenant that a path names, by its id or its slug.
pub(super) async fn tenant(api: &Api, text: &str) -> Result<TenantRow, ApiError> {
    let found = match TenantId::parse(text) {
        Ok(id) => api.store.tenant(&id).await,
        Err(_) => api.store.tenant_by_slug(text).await,
    };
    found.map_err(no_tenant)
}

/// As [`tenant`], when no file declares it.
async fn tenant_of_api(api: &Api, text: &str) -> Result<TenantId, ApiError> {
    let tenant = tenant(api, text).await?;
    not_of_a_file("tenant", tenant.slug.as_deref(), &tenant.managed_by)?;
    Ok(tenant.id)
}

pub(super) fn no_tenant(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("tenant"),
        other => other.into(),
    }
}

impl From<TenantRow> for Shown {
    fn from(tenant: TenantRow) -> Self {
        Self {
            id: tenant.id,
            name: tenant.name,
            status: tenant.status,
            slug: tenant.slug,
            managed_by: tenant.managed_by,
            created_at: tenant.created_at / 1000,
            updated_at: tenant.updated_at / 1000,
        }
    }
}
