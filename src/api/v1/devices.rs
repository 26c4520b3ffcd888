//! Reading devices.

use super::{Page, UpTo100, UpTo200};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Tenant};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::extract::Query;
use crate::domain::device::{Desired, Observed};
use crate::domain::ids::{DeviceId, TenantId};
use crate::store::DeviceRow;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// A device: one linked WhatsApp account.
#[derive(Serialize, ToSchema)]
#[schema(as = Device)]
pub(in crate::api) struct Shown {
    id: DeviceId,
    label: String,
    /// Its name in configuration files.
    slug: Option<String>,
    /// `api`, or the name of the file that declares it.
    managed_by: String,
    status: Observed,
    /// Connected, but proof of life is missing.
    degraded: bool,
    /// What its owner wants.
    desired: Desired,
    /// Digits in international form.
    phone_number: Option<String>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    last_seen: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Devices {
    devices: Vec<Shown>,
    /// On this page.
    count: usize,
    /// In all.
    total: u64,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct OneDevice {
    device: Detail,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeviceDetail)]
pub(in crate::api) struct Detail {
    #[serde(flatten)]
    device: Shown,
    wa_jid: Option<String>,
    connection: Connection,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Connection {
    is_connected: bool,
    /// Unix milliseconds.
    last_connect_at: Option<i64>,
    /// Unix milliseconds.
    last_disconnect_at: Option<i64>,
    /// Milliseconds since it connected; null while it is not.
    uptime: Option<i64>,
}

/// The status of a device with its proof.
#[derive(Serialize, ToSchema)]
#[schema(as = DeviceHealth)]
pub(in crate::api) struct Health {
    is_connected: bool,
    status: Observed,
    degraded: bool,
    wa_jid: Option<String>,
    phone_number: Option<String>,
    /// Unix milliseconds.
    last_connect_at: Option<i64>,
    /// Unix milliseconds.
    last_disconnect_at: Option<i64>,
    last_error: Option<String>,
    /// Milliseconds since it connected; null while it is not.
    uptime: Option<i64>,
    /// Failed attempts in a row.
    reconnect_attempts: u32,
    /// When WhatsApp's server last answered a ping, unix milliseconds.
    last_server_ping_at: Option<i64>,
    /// When something last arrived and could be decrypted, unix milliseconds.
    last_decrypted_event_at: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeviceSession)]
pub(in crate::api) struct Session {
    device_id: DeviceId,
    tenant_id: TenantId,
    /// Always `store`.
    session_kind: &'static str,
    /// A logical name, not a folder.
    session_dir: String,
    wa_jid: Option<String>,
    wa_name: Option<String>,
    /// Unix seconds.
    updated_at: i64,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MaybeSession {
    has_session: bool,
    session: Option<Session>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Sessions {
    sessions: Vec<Session>,
    /// On this page.
    count: usize,
}

/// List devices, newest first
#[utoipa::path(get, path = "/devices", operation_id = "listDevices", tag = "Devices", params(Page<UpTo100>),
    responses((status = 200, body = Envelope<Devices>)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    tenant: Tenant<Reads>,
    Query(page): Query<Page<UpTo100>>,
) -> Answer<Devices> {
    let (limit, offset) = page.checked()?;
    let (devices, total) = api.store.devices(&tenant.id, limit, offset).await?;
    let devices: Vec<Shown> = devices.into_iter().map(Shown::from).collect();
    Ok(enveloped(Devices { count: devices.len(), devices, total }))
}

/// List the sessions of linked devices
#[utoipa::path(get, path = "/devices/sessions", operation_id = "listSessions", tag = "Devices", params(Page<UpTo200>),
    responses((status = 200, body = Envelope<Sessions>)))]
pub(in crate::api) async fn sessions(
    State(api): State<Api>,
    tenant: Tenant<Reads>,
    Query(page): Query<Page<UpTo200>>,
) -> Answer<Sessions> {
    let (limit, offset) = page.checked()?;
    let devices = api.store.linked_devices(&tenant.id, limit, offset).await?;
    let sessions: Vec<Session> = devices.into_iter().map(Session::from).collect();
    Ok(enveloped(Sessions { count: sessions.len(), sessions }))
}

/// One device
#[utoipa::path(get, path = "/devices/{device}", operation_id = "readDevice", tag = "Devices",
    responses((status = 200, body = Envelope<OneDevice>)))]
pub(in crate::api) async fn read(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<OneDevice> {
    let row = device.row;
    let connection = Connection {
        is_connected: row.observed == Observed::Connected,
        last_connect_at: row.last_connect_at,
        last_disconnect_at: row.last_disconnect_at,
        uptime: uptime(&api, &row),
    };
    Ok(enveloped(OneDevice { device: Detail { wa_jid: row.wa_jid.clone(), connection, device: row.into() } }))
}

/// The status of a device with its proof: when the server last answered, when something last arrived
#[utoipa::path(get, path = "/devices/{device}/health", operation_id = "readDeviceHealth", tag = "Devices",
    responses((status = 200, body = Envelope<Health>)))]
pub(in crate::api) async fn health(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<Health> {
    let row = device.row;
    let vitals = api.directory.vitals(&row.id).unwrap_or_default();
    Ok(enveloped(Health {
        is_connected: row.observed == Observed::Connected,
        status: row.observed,
        degraded: row.degraded,
        last_connect_at: row.last_connect_at,
        last_disconnect_at: row.last_disconnect_at,
        uptime: uptime(&api, &row),
        reconnect_attempts: row.reconnect_attempts,
        last_server_ping_at: vitals.last_server_ping_at,
        last_decrypted_event_at: vitals.last_decrypted_event_at,
        wa_jid: row.wa_jid,
        phone_number: row.phone_number,
        last_error: row.last_error,
    }))
}

/// The session of a device
#[utoipa::path(get, path = "/devices/{device}/session", operation_id = "readSession", tag = "Devices",
    responses((status = 200, body = Envelope<MaybeSession>)))]
pub(in crate::api) async fn session(device: OwnDevice<Reads>) -> Answer<MaybeSession> {
    let has_session = device.row.linked;
    Ok(enveloped(MaybeSession { has_session, session: has_session.then(|| device.row.into()) }))
}

fn uptime(api: &Api, device: &DeviceRow) -> Option<i64> {
    let since = device.last_connect_at.filter(|_| device.observed == Observed::Connected)?;
    Some(api.store.clock().now_ms() - since)
}

impl From<DeviceRow> for Shown {
    fn from(device: DeviceRow) -> Self {
        Self {
            id: device.id,
            label: device.label,
            slug: device.slug,
            managed_by: device.managed_by,
            status: device.observed,
            degraded: device.degraded,
            desired: device.desired,
            phone_number: device.phone_number,
            created_at: device.created_at / 1000,
            last_seen: device.last_seen.map(|at| at / 1000),
        }
    }
}

impl From<DeviceRow> for Session {
    fn from(device: DeviceRow) -> Self {
        Self {
            session_kind: "store",
            session_dir: format!("store/{}", device.id),
            device_id: device.id,
            tenant_id: device.tenant,
            wa_jid: device.wa_jid,
            wa_name: device.wa_name,
            updated_at: device.updated_at / 1000,
        }
    }
}
