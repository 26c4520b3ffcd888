//! Starting, stopping and unlinking a device. All of it idempotent.

use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice, no_device};
use crate::api::envelope::{Answer, Done, Envelope, done, enveloped};
use crate::domain::device::Observed;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Started {
    message: &'static str,
    /// `connecting`, or what it is already: `connected`, `pairing`.
    status: Observed,
}

/// Start a device
///
/// Idempotent and safe in parallel. From now on a restart of the gateway starts it too.
#[utoipa::path(post, path = "/devices/{device}/start", operation_id = "startDevice", tag = "Devices",
    responses((status = 200, body = Envelope<Started>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn start(State(api): State<Api>, device: OwnDevice<Manages>) -> Answer<Started> {
    api.directory.start(&device.tenant.id, device.id()).await?;
    api.store.audit(device.audit("device.started")).await?;
    let status = match api.store.device(&device.tenant.id, device.id()).await.map_err(no_device)?.observed {
        status @ (Observed::Connected | Observed::Pairing) => status,
        _ => Observed::Connecting,
    };
    Ok(enveloped(Started { message: "the device is starting", status }))
}

/// Stop a device
///
/// Idempotent, also while it connects or waits. It stays linked, and stays stopped until it is started.
#[utoipa::path(post, path = "/devices/{device}/stop", operation_id = "stopDevice", tag = "Devices",
    responses((status = 200, body = Envelope<Done>)))]
pub(in crate::api) async fn stop(State(api): State<Api>, device: OwnDevice<Manages>) -> Answer<Done> {
    api.directory.stop(&device.tenant.id, device.id()).await?;
    api.store.audit(device.audit("device.stopped")).await?;
    Ok(done("the device is stopped"))
}

/// Unlink a device
///
/// Unlinks it at WhatsApp when it is connected, and destroys its session.
#[utoipa::path(post, path = "/devices/{device}/logout", operation_id = "logoutDevice", tag = "Devices",
    responses((status = 200, body = Envelope<Done>)))]
pub(in crate::api) async fn logout(State(api): State<Api>, device: OwnDevice<Manages>) -> Answer<Done> {
    api.directory.logout(&device.tenant.id, device.id()).await?;
    api.store.audit(device.audit("device.logout")).await?;
    Ok(done("the device is unlinked and its session destroyed"))
}
