//! Places.

use super::{accept, idempotency_key, quoted_message_id, recipient};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::outgoing::Content;
use crate::outbound::accept::{Outgoing, Receipt};
use axum::extract::State;
use axum::http::HeaderMap;
use utoipa::ToSchema;

/// Characters of a place's name or address.
const PLACE_CHARS_MAX: usize = 1_000;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendLocation {
    /// A phone number in international form, or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    #[schema(minimum = -90, maximum = 90)]
    latitude: f64,
    #[schema(minimum = -180, maximum = 180)]
    longitude: f64,
    #[schema(required = false, max_length = 1000)]
    name: String,
    #[schema(required = false, max_length = 1000)]
    address: String,
    /// A message of this chat, by our id or WhatsApp's. One that is not known is left out.
    #[schema(required = false, min_length = 1, max_length = 128)]
    quoted_message_id: String,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Send a location
#[utoipa::path(post, path = "/devices/{device}/messages/location", operation_id = "sendLocation", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendLocation,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient(&mut fields);
    let latitude = fields.number("latitude", -90.0..=90.0, true);
    let longitude = fields.number("longitude", -180.0..=180.0, true);
    let name = fields.text("name", 0..=PLACE_CHARS_MAX, false);
    let address = fields.text("address", 0..=PLACE_CHARS_MAX, false);
    let quoted_message_id = quoted_message_id(&mut fields);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(latitude), Some(longitude)) = (to, latitude, longitude) else {
        return Err(ApiError::field("body", "is incomplete"));
    };
    let content = Content::Location { latitude, longitude, name, address, quoted_message_id };
    accept(&api, &device, SendKind::Location, Outgoing { chat, content, idempotency_key }).await
}
