//! What arrives from WhatsApp, stanza by stanza, while the operator lets it be kept.

use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::extract::Query;
use crate::api::parameters::Parameters;
use crate::domain::ids::DeviceId;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// A stanza that arrived.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Stanza {
    /// Unix seconds.
    received_at: i64,
    device_id: DeviceId,
    /// Always `in`: the client library reports no stanza that it sends.
    direction: &'static str,
    node_tag: String,
    /// At most 2,048 bytes: names, attributes, and how long each content is; contents and secrets are left out.
    node_preview: String,
    /// Bytes.
    raw_size: usize,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Protocol {
    device_id: DeviceId,
    /// Whether the operator has it switched on.
    enabled: bool,
    /// The newest first, since the device was started; 200 are kept.
    items: Vec<Stanza>,
}

/// The latest stanzas of a device
///
/// Only while the operator has `debug.protocol_tap` on; otherwise `enabled` is false and there are none.
#[utoipa::path(get, path = "/devices/{device}/debug/protocol", operation_id = "readProtocol", tag = "Devices",
    params(Wanted), responses((status = 200, body = Envelope<Protocol>)))]
pub(in crate::api) async fn protocol(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    Query(wanted): Query<Wanted>,
) -> Answer<Protocol> {
    let mut parameters = Parameters::default();
    let limit = parameters.limit(wanted.limit.as_deref(), LIMIT_MAX);
    parameters.finish()?;
    let id = device.row.id;
    let tapped = api.directory.tapped(&id, limit as usize);
    let stanza = |one: crate::whatsapp::Tapped| Stanza {
        received_at: one.at / 1000,
        device_id: id.clone(),
        direction: "in",
        node_tag: one.tag,
        node_preview: one.preview,
        raw_size: one.raw_size,
    };
    let items = tapped.into_iter().map(stanza).collect();
    Ok(enveloped(Protocol { enabled: api.directory.taps(), items, device_id: id.clone() }))
}
