//! Who is there and who writes: ours for others, and others' for us.

use super::{SUCCESS, Success};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::{Answer, Bare, Done, Envelope, done};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::jid::{ChatId, PersonId};
use crate::domain::presence::Presence;
use axum::Json;
use axum::extract::State;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct ShownPresence {
    /// The chat that sees it. `available` and `unavailable` are seen by everybody who may.
    #[schema(example = "6281234567890")]
    to: String,
    /// `available`, `unavailable`, `composing`, `recording` or `paused`. Its older name `presence` is taken too.
    #[schema(example = "composing", pattern = "^(available|unavailable|composing|recording|paused)$")]
    r#type: String,
}

/// Show presence
///
/// WhatsApp does not answer it: success is that it was sent. A phone shows `composing` for some seconds; send it again
/// while it lasts, and `paused` at its end.
#[utoipa::path(post, path = "/devices/{device}/presence", operation_id = "showPresence", tag = "Account",
    request_body = ShownPresence,
    responses((status = 200, body = Success), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn show(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Bare<Success> {
    let to = fields.parsed("to", true, ChatId::parse_written);
    let name = if fields.has("presence") && !fields.has("type") { "presence" } else { "type" };
    let presence = fields.parsed(name, true, Presence::parse);
    fields.finish()?;
    let (Some(to), Some(presence)) = (to, presence) else { return Err(ApiError::field("body", "is incomplete")) };
    device.account(&api)?.show(&to, presence).await?;
    Ok(Json(SUCCESS))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Watched {
    /// A phone number or a JID of a person.
    #[schema(example = "6281234567890")]
    to: String,
}

/// Watch somebody's presence
///
/// From now on it comes as `presence.updated`: who is there, who writes or records. Only of people who are watched, 1,000
/// at most, until the device is stopped or the gateway restarted. Their settings decide what is seen, and WhatsApp tells
/// it to accounts that are `available` themselves.
#[utoipa::path(post, path = "/devices/{device}/presence/subscribe", operation_id = "subscribePresence",
    tag = "Account", request_body = Watched,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn subscribe(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Answer<Done> {
    let to = watched(&mut fields);
    fields.finish()?;
    let to = to.ok_or_else(|| ApiError::field("to", "is required"))?;
    device.account(&api)?.watch(&to).await?;
    Ok(done("their presence is watched"))
}

/// Watch somebody's presence no more
#[utoipa::path(post, path = "/devices/{device}/presence/unsubscribe", operation_id = "unsubscribePresence",
    tag = "Account", request_body = Watched,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn unsubscribe(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Answer<Done> {
    let to = watched(&mut fields);
    fields.finish()?;
    let to = to.ok_or_else(|| ApiError::field("to", "is required"))?;
    device.account(&api)?.unwatch(&to).await?;
    Ok(done("their presence is watched no more"))
}

fn watched(fields: &mut Fields) -> Option<PersonId> {
    fields.parsed("to", true, PersonId::parse_written)
}
