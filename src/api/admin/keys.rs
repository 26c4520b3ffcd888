//! The keys of a tenant, as the operator makes and ends them.

use super::tenants::tenant;
use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::api::keys::{self, KeyRotation, Keys, MadeKey, NewKeyAsked, no_key};
use crate::api::v1::{Page, UpTo100};
use axum::extract::State;
use axum::http::StatusCode;

/// List the API keys of a tenant, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/keys", operation_id = "listKeysOfTenant", tag = "Admin",
    params(Page<UpTo100>), responses((status = 200, body = Envelope<Keys>)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    _: Admin,
    Path(named): Path<String>,
    Query(page): Query<Page<UpTo100>>,
) -> Answer<Keys> {
    let tenant = tenant(&api, &named).await?.id;
    Ok(enveloped(keys::list(&api, &tenant, &page).await?))
}

/// Create an API key for a tenant
#[utoipa::path(post, path = "/tenants/{tenant}/keys", operation_id = "createKeyOfTenant", tag = "Admin",
    request_body = NewKeyAsked,
    responses((status = 201, body = Envelope<MadeKey>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    admin: Admin,
    Path(named): Path<String>,
    fields: Fields,
) -> Created<MadeKey> {
    let tenant = tenant(&api, &named).await?.id;
    let (id, made) = keys::create(&api, &tenant, fields).await?;
    api.store.audit(admin.audit("key.created", "key", id.as_str()).of(&tenant)).await?;
    Ok((StatusCode::CREATED, enveloped(made)))
}

/// Rotate an API key of a tenant
///
/// A new key with the name, the scopes and the addresses of this one, which stops at once or after a time of grace.
#[utoipa::path(post, path = "/tenants/{tenant}/keys/{key}/rotate", operation_id = "rotateKeyOfTenant", tag = "Admin",
    request_body = KeyRotation,
    responses((status = 200, body = Envelope<MadeKey>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn rotate(
    State(api): State<Api>,
    admin: Admin,
    Path((named, key)): Path<(String, String)>,
    fields: Fields,
) -> Answer<MadeKey> {
    let tenant = tenant(&api, &named).await?.id;
    let key = keys::named(&api, &tenant, &key).await?.id;
    let (_, made) = keys::rotate(&api, &tenant, &key, fields).await?;
    api.store.audit(admin.audit("key.rotated", "key", key.as_str()).of(&tenant)).await?;
    Ok(enveloped(made))
}

/// Revoke an API key of a tenant
#[utoipa::path(delete, path = "/tenants/{tenant}/keys/{key}", operation_id = "revokeKeyOfTenant", tag = "Admin",
    responses((status = 200, body = Envelope<Done>)))]
pub(in crate::api) async fn revoke(
    State(api): State<Api>,
    admin: Admin,
    Path((named, key)): Path<(String, String)>,
) -> Answer<Done> {
    let tenant = tenant(&api, &named).await?.id;
    let key = keys::named(&api, &tenant, &key).await?.id;
    api.store.revoke_key(&tenant, &key).await.map_err(no_key)?;
    api.store.audit(admin.audit("key.revoked", "key", key.as_str()).of(&tenant)).await?;
    Ok(done("the key is revoked"))
}
