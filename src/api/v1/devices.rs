//! Reading devices.

use super::{Page, device_id, no_device};
use crate::api::Api;
use crate::api::caller::Tenant;
use crate::api::envelope::{Answer, enveloped};
use crate::domain::device::Observed;
use crate::store::DeviceRow;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

pub(in crate::api) async fn list(State(api): State<Api>, tenant: Tenant, Query(page): Query<Page>) -> Answer {
    tenant.may("read")?;
    let (limit, offset) = page.checked(100)?;
    let (devices, total) = api.store.devices(&tenant.id, limit, offset).await?;
    let shown: Vec<Value> = devices.iter().map(shown).collect();
    Ok(enveloped(json!({ "count": shown.len(), "devices": shown, "total": total })))
}

pub(in crate::api) async fn read(State(api): State<Api>, tenant: Tenant, Path(id): Path<String>) -> Answer {
    tenant.may("read")?;
    let device = api.store.device(&tenant.id, &device_id(&id)?).await.map_err(no_device)?;
    let mut data = shown(&device);
    data["wa_jid"] = json!(device.wa_jid);
    data["connection"] = json!({
        "is_connected": device.observed == Observed::Connected,
        "last_connect_at": device.last_connect_at,
        "last_disconnect_at": device.last_disconnect_at,
        "uptime": uptime(&api, &device),
    });
    Ok(enveloped(json!({ "device": data })))
}

/// The status with its proof: when the server last answered, when something last arrived.
pub(in crate::api) async fn health(State(api): State<Api>, tenant: Tenant, Path(id): Path<String>) -> Answer {
    tenant.may("read")?;
    let device = api.store.device(&tenant.id, &device_id(&id)?).await.map_err(no_device)?;
    let vitals = api.directory.vitals(&device.id).unwrap_or_default();
    Ok(enveloped(json!({
        "is_connected": device.observed == Observed::Connected,
        "status": device.observed,
        "degraded": device.degraded,
        "wa_jid": device.wa_jid,
        "phone_number": device.phone_number,
        "last_connect_at": device.last_connect_at,
        "last_disconnect_at": device.last_disconnect_at,
        "last_error": device.last_error,
        "uptime": uptime(&api, &device),
        "reconnect_attempts": device.reconnect_attempts,
        "last_server_ping_at": vitals.last_server_ping_at,
        "last_decrypted_event_at": vitals.last_decrypted_event_at,
    })))
}

pub(in crate::api) async fn session(State(api): State<Api>, tenant: Tenant, Path(id): Path<String>) -> Answer {
    tenant.may("read")?;
    let device = api.store.device(&tenant.id, &device_id(&id)?).await.map_err(no_device)?;
    let session = device.linked.then(|| {
        json!({
            "device_id": device.id,
            "tenant_id": device.tenant,
            "session_kind": "store",
            "session_dir": format!("store/{}", device.id),
            "wa_jid": device.wa_jid,
            "wa_name": device.wa_name,
            "updated_at": device.updated_at / 1000,
        })
    });
    Ok(enveloped(json!({ "has_session": device.linked, "session": session })))
}

fn uptime(api: &Api, device: &DeviceRow) -> Option<i64> {
    let since = device.last_connect_at.filter(|_| device.observed == Observed::Connected)?;
    Some(api.store.clock().now_ms() - since)
}

fn shown(device: &DeviceRow) -> Value {
    json!({
        "id": device.id,
        "label": device.label,
        "slug": device.slug,
        "managed_by": device.managed_by,
        "status": device.observed,
        "degraded": device.degraded,
        "desired": device.desired,
        "phone_number": device.phone_number,
        "created_at": device.created_at / 1000,
        "last_seen": device.last_seen.map(|at| at / 1000),
    })
}
