//! Labels of a chat.

use super::Place;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::{Answer, Done, Envelope, done};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::v1::labels::known;
use crate::domain::chat::Change;
use axum::extract::State;

/// Label a chat
///
/// With one of the account's labels, by its id. The chat need not have a message yet.
#[utoipa::path(put, path = "/devices/{device}/chats/{chat}/labels/{label}", operation_id = "labelChat", tag = "Chats",
    responses((status = 200, body = Envelope<Done>), (status = 400, response = crate::api::openapi::Unfit),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn put(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat, label)): Path<(String, String, String)>,
) -> Answer<Done> {
    set(&api, &device, &chat, label, true).await?;
    Ok(done("the chat has the label"))
}

/// Take a label from a chat
#[utoipa::path(delete, path = "/devices/{device}/chats/{chat}/labels/{label}", operation_id = "unlabelChat", tag = "Chats",
    responses((status = 200, body = Envelope<Done>), (status = 400, response = crate::api::openapi::Unfit),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn take(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat, label)): Path<(String, String, String)>,
) -> Answer<Done> {
    set(&api, &device, &chat, label, false).await?;
    Ok(done("the chat has the label no more"))
}

async fn set(api: &Api, device: &OwnDevice<Sends>, chat: &str, label: String, on: bool) -> Result<(), ApiError> {
    let label = known(api, device, &label).await?.id;
    let place = Place::of(api, device, chat).await?;
    device.account(api)?.label_chat(&label, &place.address, on).await?;
    place.done(api, device, Change::Labeled { label, on }).await
}
