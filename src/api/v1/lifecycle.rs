//! Starting, stopping and unlinking a device. All of it idempotent.

use super::{device_id, no_device};
use crate::api::Api;
use crate::api::caller::Tenant;
use crate::api::envelope::{Answer, enveloped};
use axum::extract::{Path, State};
use serde_json::json;

pub(in crate::api) async fn start(State(api): State<Api>, tenant: Tenant, Path(id): Path<String>) -> Answer {
    tenant.may("manage")?;
    let id = device_id(&id)?;
    api.directory.start(&tenant.id, &id).await?;
    api.store.audit(tenant.audit("device.started", "device", id.as_str())).await?;
    let status = api.store.device(&tenant.id, &id).await.map_err(no_device)?.observed;
    // A device that runs already keeps its status; one that was started now is on its way.
    let status = match status.as_str() {
        "connected" | "pairing" => status.as_str(),
        _ => "connecting",
    };
    Ok(enveloped(json!({ "message": "the device is starting", "status": status })))
}

pub(in crate::api) async fn stop(State(api): State<Api>, tenant: Tenant, Path(id): Path<String>) -> Answer {
    tenant.may("manage")?;
    let id = device_id(&id)?;
    api.directory.stop(&tenant.id, &id).await?;
    api.store.audit(tenant.audit("device.stopped", "device", id.as_str())).await?;
    Ok(enveloped(json!({ "message": "the device is stopped" })))
}

pub(in crate::api) async fn logout(State(api): State<Api>, tenant: Tenant, Path(id): Path<String>) -> Answer {
    tenant.may("manage")?;
    let id = device_id(&id)?;
    api.directory.logout(&tenant.id, &id).await?;
    api.store.audit(tenant.audit("device.logout", "device", id.as_str())).await?;
    Ok(enveloped(json!({ "message": "the device is unlinked and its session destroyed" })))
}
