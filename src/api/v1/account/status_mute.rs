//! Whose status posts are not shown among the others.

use super::named;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::{Answer, Done, Envelope, done};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::chat::{Change, ChatChange};
use axum::extract::State;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct MuteStatus {
    mute: bool,
}

/// Mute somebody's status posts, or end it
///
/// On all of the account's devices. They still come as `message.received`.
#[utoipa::path(post, path = "/devices/{device}/contacts/{contact}/status-mute", operation_id = "muteStatus",
    tag = "Status", request_body = MuteStatus,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn set(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, contact)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    if !fields.has("mute") {
        fields.wrong("mute", "is required");
    }
    let on = fields.flag("mute");
    fields.finish()?;
    let on = on.ok_or_else(|| ApiError::field("mute", "is required"))?;
    let contact = named(&contact)?;
    device.account(&api)?.mute_status(&contact, on).await?;
    let at = api.store.clock().now_ms();
    let change =
        ChatChange { address: contact.as_str().to_owned(), change: Change::StatusMuted(on), at, is_news: true };
    api.store.change_chats(&device.tenant.id, device.id(), vec![change]).await?;
    Ok(done(if on { "the contact's status posts are muted" } else { "the contact's status posts are muted no more" }))
}
