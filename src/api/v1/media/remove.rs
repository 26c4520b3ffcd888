//! Deleting a file.

use super::OwnMedia;
use crate::api::Api;
use crate::api::caller::Sends;
use crate::api::error::ApiError;
use axum::extract::State;
use axum::http::StatusCode;

/// Delete a file
///
/// At once, here; what was sent stays with who received it. 409 while a message waits to be sent with it.
#[utoipa::path(delete, path = "/devices/{device}/media/{media}", operation_id = "deleteMedia", tag = "Media",
    responses((status = 204, description = "It is gone"), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn remove(State(api): State<Api>, media: OwnMedia<Sends>) -> Result<StatusCode, ApiError> {
    api.media.delete(&media.device.tenant.id, &media.row.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
