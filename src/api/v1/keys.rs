//! A tenant's keys, with a key that may manage.

use crate::api::Api;
use crate::api::caller::{Manages, OwnKey, Tenant};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::fields::Fields;
use crate::api::keys::{self, KeyRotation, Keys, MadeKey, NewKeyAsked, no_key};
use crate::api::v1::{Page, UpTo100};
use axum::extract::State;
use axum::http::StatusCode;

/// List the tenant's API keys, newest first
///
/// Those that were revoked or have expired too.
#[utoipa::path(get, path = "/keys", operation_id = "listKeys", tag = "Keys", params(Page<UpTo100>),
    responses((status = 200, body = Envelope<Keys>)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    Query(page): Query<Page<UpTo100>>,
) -> Answer<Keys> {
    Ok(enveloped(keys::list(&api, &tenant.id, &page).await?))
}

/// Create an API key
#[utoipa::path(post, path = "/keys", operation_id = "createKey", tag = "Keys", request_body = NewKeyAsked,
    responses((status = 201, body = Envelope<MadeKey>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    fields: Fields,
) -> Created<MadeKey> {
    let (id, made) = keys::create(&api, &tenant.id, fields).await?;
    api.store.audit(tenant.audit("key.created", "key", id.as_str())).await?;
    Ok((StatusCode::CREATED, enveloped(made)))
}

/// Rotate an API key
///
/// A new key with the name, the scopes and the addresses of this one, which stops at once or after a time of grace.
#[utoipa::path(post, path = "/keys/{key}/rotate", operation_id = "rotateKey", tag = "Keys", request_body = KeyRotation,
    responses((status = 200, body = Envelope<MadeKey>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn rotate(State(api): State<Api>, key: OwnKey<Manages>, fields: Fields) -> Answer<MadeKey> {
    let (_, made) = keys::rotate(&api, &key.tenant.id, &key.row.id, fields).await?;
    api.store.audit(key.tenant.audit("key.rotated", "key", key.row.id.as_str())).await?;
    Ok(enveloped(made))
}

/// Revoke an API key
///
/// It stops at once. The key that asks cannot revoke itself: rotate it, or use another.
#[utoipa::path(delete, path = "/keys/{key}", operation_id = "revokeKey", tag = "Keys",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn revoke(State(api): State<Api>, key: OwnKey<Manages>) -> Answer<Done> {
    if key.tenant.key == key.row.id {
        return Err(ApiError::Conflict("this is the key that asks; rotate it, or revoke it with another".into()));
    }
    api.store.revoke_key(&key.tenant.id, &key.row.id).await.map_err(no_key)?;
    api.store.audit(key.tenant.audit("key.revoked", "key", key.row.id.as_str())).await?;
    Ok(done("the key is revoked"))
}
