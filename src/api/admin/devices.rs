//! Devices of a tenant, as the operator creates and removes them.

use super::tenants::{no_tenant, tenant};
use crate::api::Api;
use crate::api::caller::{Admin, no_device, not_of_a_file};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::device::Observed;
use crate::domain::ids::{DeviceId, TenantId};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

const LABEL_CHARS_MAX: usize = 100;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewDevice {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    label: String,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CreatedDevice {
    device: CreatedDeviceRow,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CreatedDeviceRow {
    id: DeviceId,
    tenant_id: TenantId,
    label: String,
    /// Its name in the file that declares it: null of one that is made here.
    slug: Option<String>,
    /// `api`.
    managed_by: String,
    status: Observed,
    /// Unix seconds.
    created_at: i64,
}

/// Create a device for a tenant
#[utoipa::path(post, path = "/tenants/{tenant}/devices", operation_id = "createDevice", tag = "Admin",
    request_body = NewDevice, responses((status = 201, body = Envelope<CreatedDevice>),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    admin: Admin,
    Path(named): Path<String>,
    mut fields: Fields,
) -> Created<CreatedDevice> {
    let tenant = tenant(&api, &named).await?.id;
    let label = fields.name("label", LABEL_CHARS_MAX, true);
    fields.finish()?;
    let device = api.store.create_device(&tenant, &label.unwrap_or_default()).await.map_err(no_tenant)?;
    api.store.audit(admin.audit("device.created", "device", device.id.as_str()).of(&tenant)).await?;
    api.count().await?;
    let device = CreatedDeviceRow {
        id: device.id,
        tenant_id: device.tenant,
        label: device.label,
        slug: device.slug,
        managed_by: device.managed_by,
        status: device.observed,
        created_at: device.created_at / 1000,
    };
    Ok((StatusCode::CREATED, enveloped(CreatedDevice { device })))
}

/// Delete a device
///
/// Stops it, unlinks it at WhatsApp when it is connected, destroys its session. Its chats and messages follow in small steps, also
/// from the disk; what was told of it stays in the events for as long as those are kept.
#[utoipa::path(delete, path = "/tenants/{tenant}/devices/{device}", operation_id = "deleteDevice", tag = "Admin",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    admin: Admin,
    Path((named, device)): Path<(String, String)>,
) -> Answer<Done> {
    let device = DeviceId::parse(&device).map_err(|_| ApiError::NotFound("device"))?;
    let tenant = tenant(&api, &named).await?.id;
    let row = api.store.device(&tenant, &device).await.map_err(no_device)?;
    not_of_a_file("device", row.slug.as_deref(), &row.managed_by)?;
    api.directory.logout(&tenant, &device).await?;
    api.store.delete_device(&tenant, &device).await.map_err(no_device)?;
    api.store.audit(admin.audit("device.deleted", "device", device.as_str()).of(&tenant)).await?;
    api.count().await?;
    Ok(done("the device is deleted"))
}
