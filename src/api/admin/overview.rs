//! How the gateway as a whole does, and what its tenants use.

use super::tenants::tenant;
use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::parameters::Parameters;
use crate::domain::device::{Desired, Observed};
use crate::domain::ids::{DeviceId, TenantId};
use crate::store::{DeviceRow, MessageFigures, Span};
use crate::telemetry::metrics::Family;
use crate::whatsapp::ENGINE_VERSION;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

const DAY_MS: i64 = 86_400_000;
/// What a tenant's usage looks back on when nobody says otherwise.
const USAGE_DAYS: i64 = 30;
const LIMIT_MAX: u32 = 200;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DevicesWanted {
    /// Only those of this tenant.
    tenant_id: Option<String>,
    /// Only those in this status.
    status: Option<String>,
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// Rows to pass over.
    #[param(value_type = Option<u32>, maximum = 2147483647)]
    offset: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct MessagesWanted {
    /// Only those of this tenant.
    tenant_id: Option<String>,
    /// From this moment: unix seconds, or an ISO 8601 date or time; the last day when left out.
    since: Option<String>,
    /// Up to and with this second or this day.
    until: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct UsageWanted {
    /// Messages from this moment: unix seconds, or an ISO 8601 date or time; the last 30 days when left out.
    since: Option<String>,
    /// Up to and with this second or this day.
    until: Option<String>,
}

/// A device of some tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = DeviceOfTenant)]
pub(in crate::api) struct ShownDevice {
    id: DeviceId,
    tenant_id: TenantId,
    label: String,
    /// Its name in the file that declares it.
    slug: Option<String>,
    /// `api`, or the name of the file that declares it.
    #[serde(rename = "managed_by")]
    managed_by: String,
    status: Observed,
    /// Connected, but proof of life is missing.
    degraded: bool,
    /// What its owner wants.
    desired: Desired,
    phone_number: Option<String>,
    last_error: Option<String>,
    /// Failed attempts in a row.
    reconnect_attempts: u32,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    last_seen: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DevicesOfTenants)]
pub(in crate::api) struct Devices {
    devices: Vec<ShownDevice>,
    /// On this page.
    count: usize,
    /// In all.
    total: u64,
}

/// How the gateway does.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayHealth)]
pub(in crate::api) struct Health {
    /// `ok`, or `degraded` when the store or a loop does not answer, or the process is going down.
    status: &'static str,
    version: &'static str,
    whatsapp_engine_version: &'static str,
    /// The name under which this process holds devices.
    instance_id: String,
    /// Seconds since the process started.
    uptime: u64,
    db: bool,
    worker: bool,
    tenants_active: u64,
    webhooks: u64,
    /// How many are in each status.
    devices: BTreeMap<String, u64>,
    waiting: Waiting,
    dead_letters: u64,
    database_bytes: u64,
    /// Null where the system does not tell.
    memory_bytes: Option<i64>,
}

/// What is under way.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Waiting {
    /// Messages on their way out.
    outbox: u64,
    /// Messages and events that wait to be processed.
    inbox: u64,
    /// Webhook deliveries.
    deliveries: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MetricFigures)]
pub(in crate::api) struct Figures {
    metrics: Vec<Family>,
}

/// Messages of a span of time.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MessageStats {
    /// Unix seconds.
    since: i64,
    /// Unix seconds; null is until now.
    until: Option<i64>,
    /// Accepted for sending, edits and deletions among them.
    accepted: u64,
    received: u64,
    /// Those accepted, by what became of them until now.
    by_status: BTreeMap<String, u64>,
    by_kind: BTreeMap<String, u64>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Usage {
    tenant_id: TenantId,
    devices: u64,
    linked_devices: u64,
    webhooks: u64,
    /// Keys that work.
    keys: u64,
    plugins: u64,
    templates: u64,
    waiting: TenantWaiting,
    dead_letters: u64,
    /// Bytes of what its plugins keep.
    plugin_bytes: u64,
    messages: MessageStats,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct TenantWaiting {
    /// Messages on their way out.
    outbox: u64,
    /// Webhook deliveries.
    deliveries: u64,
}

/// The devices of all tenants, newest first
#[utoipa::path(get, path = "/devices", operation_id = "listAllDevices", tag = "Admin", params(DevicesWanted),
    responses((status = 200, body = Envelope<Devices>)))]
pub(in crate::api) async fn devices(
    State(api): State<Api>,
    _: Admin,
    Query(wanted): Query<DevicesWanted>,
) -> Answer<Devices> {
    let mut parameters = Parameters::default();
    let tenant = parameters.read("tenantId", wanted.tenant_id.as_deref(), TenantId::parse);
    let status = parameters.read("status", wanted.status.as_deref(), |text| {
        Observed::parse(text).map(|status| status.as_str().to_owned()).ok_or("is not a status of a device")
    });
    let limit = parameters.limit(wanted.limit.as_deref(), LIMIT_MAX);
    let offset = parameters.offset(wanted.offset.as_deref());
    parameters.finish()?;
    let (rows, total) = api.store.devices_of_all(tenant, status, limit, offset).await?;
    let devices: Vec<ShownDevice> = rows.into_iter().map(ShownDevice::from).collect();
    Ok(enveloped(Devices { count: devices.len(), devices, total }))
}

/// How the gateway does
///
/// Always 200; `status` says whether something is wrong.
#[utoipa::path(get, path = "/health", operation_id = "gatewayHealth", tag = "Admin",
    responses((status = 200, body = Envelope<Health>)))]
pub(in crate::api) async fn health(State(api): State<Api>, _: Admin) -> Answer<Health> {
    let (db, worker) = (api.store.is_alive().await, api.is_working());
    let (backlog, totals) = (api.store.backlog().await?, api.store.totals().await?);
    Ok(enveloped(Health {
        status: if db && worker { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        whatsapp_engine_version: ENGINE_VERSION,
        instance_id: api.store.instance().to_owned(),
        uptime: api.metrics.uptime().as_secs(),
        db,
        worker,
        tenants_active: totals.tenants_active,
        webhooks: totals.webhooks,
        devices: backlog.devices,
        waiting: Waiting { outbox: backlog.outbox, inbox: backlog.inbox, deliveries: backlog.deliveries },
        dead_letters: backlog.dead_letters,
        database_bytes: backlog.database_bytes,
        memory_bytes: crate::telemetry::metrics::resident_bytes(),
    }))
}

/// The figures of GET /metrics, as JSON
#[utoipa::path(get, path = "/metrics", operation_id = "metricsAsJson", tag = "Admin",
    responses((status = 200, body = Envelope<Figures>)))]
pub(in crate::api) async fn metrics(State(api): State<Api>, _: Admin) -> Answer<Figures> {
    Ok(enveloped(Figures { metrics: api.metrics.families() }))
}

/// How many messages went out and came in
#[utoipa::path(get, path = "/messages/stats", operation_id = "messageStats", tag = "Admin", params(MessagesWanted),
    responses((status = 200, body = Envelope<MessageStats>)))]
pub(in crate::api) async fn messages(
    State(api): State<Api>,
    _: Admin,
    Query(wanted): Query<MessagesWanted>,
) -> Answer<MessageStats> {
    let mut parameters = Parameters::default();
    let tenant = parameters.read("tenantId", wanted.tenant_id.as_deref(), TenantId::parse);
    let span = span(&api, parameters, wanted.since.as_deref(), wanted.until.as_deref(), 1)?;
    Ok(enveloped(stats(span, api.store.message_figures(tenant, span).await?)))
}

/// What a tenant uses
#[utoipa::path(get, path = "/tenants/{tenant}/usage", operation_id = "readUsage", tag = "Admin", params(UsageWanted),
    responses((status = 200, body = Envelope<Usage>)))]
pub(in crate::api) async fn usage(
    State(api): State<Api>,
    _: Admin,
    Path(named): Path<String>,
    Query(wanted): Query<UsageWanted>,
) -> Answer<Usage> {
    let tenant = tenant(&api, &named).await?.id;
    let span = span(&api, Parameters::default(), wanted.since.as_deref(), wanted.until.as_deref(), USAGE_DAYS)?;
    let held = api.store.holdings(&tenant).await?;
    let messages = stats(span, api.store.message_figures(Some(tenant.clone()), span).await?);
    Ok(enveloped(Usage {
        tenant_id: tenant,
        devices: held.devices,
        linked_devices: held.linked_devices,
        webhooks: held.webhooks,
        keys: held.keys,
        plugins: held.plugins,
        templates: held.templates,
        waiting: TenantWaiting { outbox: held.outbox, deliveries: held.deliveries },
        dead_letters: held.dead_letters,
        plugin_bytes: held.plugin_bytes,
        messages,
    }))
}

fn span(
    api: &Api,
    mut parameters: Parameters,
    since: Option<&str>,
    until: Option<&str>,
    days: i64,
) -> Result<Span, ApiError> {
    let (since, until) = parameters.span(since, until);
    parameters.finish()?;
    let since = since.unwrap_or_else(|| api.store.clock().now_ms().saturating_sub(days * DAY_MS));
    Ok(Span { since, until })
}

fn stats(span: Span, figures: MessageFigures) -> MessageStats {
    MessageStats {
        since: span.since / 1000,
        until: span.until.map(|at| at / 1000),
        accepted: figures.by_kind.values().sum(),
        received: figures.received,
        by_status: figures.by_status,
        by_kind: figures.by_kind,
    }
}

impl From<DeviceRow> for ShownDevice {
    fn from(row: DeviceRow) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant,
            label: row.label,
            slug: row.slug,
            managed_by: row.managed_by,
            status: row.observed,
            degraded: row.degraded,
            desired: row.desired,
            phone_number: row.phone_number,
            last_error: row.last_error,
            reconnect_attempts: row.reconnect_attempts,
            created_at: row.created_at / 1000,
            last_seen: row.last_seen.map(|at| at / 1000),
        }
    }
}
