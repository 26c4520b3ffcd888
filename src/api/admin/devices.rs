//! Devices of a tenant, as the operator creates and removes them.

use super::tenants::{no_tenant, tenant_id};
use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, AnswerWithStatus, enveloped};
use crate::api::fields::Fields;
use crate::api::v1::{device_id, no_device};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::json;

const LABEL_CHARS_MAX: usize = 100;

pub(in crate::api) async fn create(
    State(api): State<Api>,
    admin: Admin,
    Path(tenant): Path<String>,
    mut fields: Fields,
) -> AnswerWithStatus {
    let tenant = tenant_id(&tenant)?;
    let label = fields.text("label", 1..=LABEL_CHARS_MAX, true);
    fields.finish()?;
    let device = api.store.create_device(&tenant, &label.unwrap_or_default()).await.map_err(no_tenant)?;
    api.store.audit(admin.audit("device.created", "device", device.id.as_str())).await?;
    api.metrics.devices_total.inc();
    let shown = json!({
        "id": device.id,
        "tenant_id": device.tenant,
        "label": device.label,
        "status": device.observed,
        "created_at": device.created_at / 1000,
    });
    Ok((StatusCode::CREATED, enveloped(json!({ "device": shown }))))
}

/// Stops it, unlinks it at WhatsApp when it is connected, destroys its session.
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    admin: Admin,
    Path((tenant, device)): Path<(String, String)>,
) -> Answer {
    let (tenant, device) = (tenant_id(&tenant)?, device_id(&device)?);
    api.directory.logout(&tenant, &device).await?;
    api.store.delete_device(&tenant, &device).await.map_err(no_device)?;
    api.store.audit(admin.audit("device.deleted", "device", device.as_str())).await?;
    api.metrics.devices_total.dec();
    Ok(enveloped(json!({ "message": "the device is deleted" })))
}
