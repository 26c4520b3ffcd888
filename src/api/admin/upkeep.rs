//! What the operator sets right by hand: rate windows, what has had its time, dead letters of any tenant.

use super::tenants::no_tenant;
use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::fields::Fields;
use crate::api::limits::Charged;
use crate::api::parameters::Parameters;
use crate::api::v1::webhooks::dead_letters::{self, DeadLetters, Replay, Replayed, Wanted};
use crate::domain::ids::{DeviceId, TenantId};
use crate::store::{LetterChoice, StoreError};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Windows that are shown; those with the most in them.
const WINDOWS_SHOWN_MAX: usize = 1_000;
/// More devices than any tenant has.
const DEVICES_MAX: u32 = 100_000;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RateLimits {
    /// Windows with something in them.
    total_keys: usize,
    /// The thousand with the most in them.
    entries: Vec<Window>,
}

/// How a window stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RateWindow)]
pub(in crate::api) struct Window {
    /// What is counted and of whom, such as `tenant:tenant_...` or `text_per_minute:device_...`.
    key: String,
    count: usize,
    /// Seconds until nothing is left in it.
    reset_in: u64,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Reset {
    /// Of this tenant and its devices.
    #[schema(required = false)]
    tenant_id: String,
    /// Of this device. Without both, everything, also what counts addresses.
    #[schema(required = false)]
    device_id: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct ReplayOfAll {
    /// Only those of this tenant.
    #[schema(required = false)]
    tenant_id: String,
    #[serde(flatten)]
    which: Replay,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Cleaned {
    /// Rows that were forgotten.
    idempotency_keys: usize,
    deliveries: usize,
    delivery_attempts: usize,
    webhook_secrets: usize,
    /// What deleted devices and tenants had left.
    left_behind: usize,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct OfTenant {
    /// Only those of this tenant.
    tenant_id: Option<String>,
}

/// How the rate windows stand
#[utoipa::path(get, path = "/rate-limit/stats", operation_id = "readRateLimits", tag = "Admin",
    responses((status = 200, body = Envelope<RateLimits>)))]
pub(in crate::api) async fn rate_limits(State(api): State<Api>, _: Admin) -> Answer<RateLimits> {
    let windows = api.limits.standings();
    let total_keys = windows.len();
    let entries = windows.into_iter().take(WINDOWS_SHOWN_MAX).map(Window::from).collect();
    Ok(enveloped(RateLimits { total_keys, entries }))
}

/// Empty rate windows
#[utoipa::path(post, path = "/rate-limit/reset", operation_id = "resetRateLimits", tag = "Admin", request_body = Reset,
    responses((status = 200, body = Envelope<Done>), (status = 404, response = crate::api::openapi::Missing)))]
pub(in crate::api) async fn reset_rate_limits(
    State(api): State<Api>,
    admin: Admin,
    mut fields: Fields,
) -> Answer<Done> {
    let tenant = fields.parsed("tenantId", false, TenantId::parse);
    let device = fields.parsed("deviceId", false, DeviceId::parse);
    fields.finish()?;
    let mut devices: Vec<DeviceId> = device.iter().cloned().collect();
    if let Some(tenant) = &tenant {
        api.store.tenant(tenant).await.map_err(no_tenant)?;
        devices.extend(api.store.devices(tenant, DEVICES_MAX, 0).await?.0.into_iter().map(|row| row.id));
    }
    match (&tenant, &device) {
        (None, None) => api.limits.reset_all(),
        _ => api.limits.reset(tenant.as_ref(), &devices),
    }
    let of = tenant.as_ref().map(TenantId::as_str).or(device.as_ref().map(DeviceId::as_str)).unwrap_or("all");
    let mut line = admin.audit("rate_limit.reset", "rate_limit", of);
    line.tenant = tenant;
    api.store.audit(line).await?;
    Ok(done("the rate windows are empty"))
}

/// Forget what has had its time
///
/// What the gateway does every hour by itself: old idempotency keys, deliveries that arrived and their log, secrets that were
/// rotated away, what plugins keep too long, and what deleted devices and tenants have left.
#[utoipa::path(post, path = "/cleanup", operation_id = "cleanUp", tag = "Admin",
    responses((status = 200, body = Envelope<Cleaned>)))]
pub(in crate::api) async fn clean_up(State(api): State<Api>, admin: Admin) -> Answer<Cleaned> {
    let swept = api.store.sweep(api.settings.keep).await?;
    let left_behind = api.store.empty_deleted().await?;
    api.store.note_emptied().await?;
    api.store.audit(admin.audit("store.cleaned", "store", "all")).await?;
    Ok(enveloped(Cleaned {
        idempotency_keys: swept.idempotency_keys,
        deliveries: swept.deliveries,
        delivery_attempts: swept.attempts,
        webhook_secrets: swept.webhook_secrets,
        left_behind,
    }))
}

/// The dead letters of all tenants, newest first
#[utoipa::path(get, path = "/dlq", operation_id = "listAllDeadLetters", tag = "Admin", params(OfTenant, Wanted),
    responses((status = 200, body = Envelope<DeadLetters>)))]
pub(in crate::api) async fn dead_letters(
    State(api): State<Api>,
    _: Admin,
    Query(of): Query<OfTenant>,
    Query(wanted): Query<Wanted>,
) -> Answer<DeadLetters> {
    let mut parameters = Parameters::default();
    let tenant = parameters.read("tenantId", of.tenant_id.as_deref(), TenantId::parse);
    Ok(enveloped(dead_letters::page(&api, tenant, &wanted, parameters).await?))
}

/// Replay dead letters of all tenants
///
/// As a tenant does it for its own, or of one tenant: those that are named, those of a webhook, an event or a time, or all.
/// 10,000 at once, oldest first.
#[utoipa::path(post, path = "/dlq", operation_id = "replayAllDeadLetters", tag = "Admin", request_body = ReplayOfAll,
    responses((status = 200, body = Envelope<Replayed>)))]
pub(in crate::api) async fn replay_dead_letters(
    State(api): State<Api>,
    admin: Admin,
    mut fields: Fields,
) -> Answer<Replayed> {
    let tenant = fields.parsed("tenantId", false, TenantId::parse);
    let choice = LetterChoice { tenant: tenant.clone(), ..dead_letters::chosen(&mut fields) };
    fields.finish()?;
    if let Some(tenant) = &tenant {
        api.store.tenant(tenant).await.map_err(|error| match error {
            StoreError::NotFound => ApiError::field("tenantId", "names no tenant"),
            other => other.into(),
        })?;
    }
    let replayed = dead_letters::replayed(&api, choice).await?;
    let mut line =
        admin.audit("webhook.dead_letters_replayed", "tenant", tenant.as_ref().map_or("all", TenantId::as_str));
    line.meta = Some(serde_json::json!({ "count": replayed.replayed }));
    line.tenant = tenant;
    api.store.audit(line).await?;
    Ok(enveloped(replayed))
}

impl From<Charged> for Window {
    fn from(charged: Charged) -> Self {
        Self { key: charged.key, count: charged.count, reset_in: charged.reset_s }
    }
}
