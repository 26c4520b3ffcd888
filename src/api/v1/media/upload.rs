//! Bringing a file, to be sent later or several times.

use super::form::Form;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::domain::ids::MediaId;
use crate::store::MediaRow;
use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Form` reads it")]
pub(in crate::api) struct MediaUpload {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A file that was brought.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Uploaded {
    media_id: MediaId,
    file_name: Option<String>,
    /// Bytes.
    size: u64,
    /// As the file's beginning shows it; where that shows nothing, as the part says.
    mime_type: String,
}

/// Upload a file
///
/// For messages to come: `mediaId` is what they name, by any device of the tenant. On disk when it is answered. The type is
/// told by the file's beginning; a part that says another one is 415. 409 when the tenant would store more than it may.
#[utoipa::path(post, path = "/devices/{device}/media/upload", operation_id = "uploadMedia", tag = "Media",
    request_body(content = MediaUpload, content_type = "multipart/form-data"),
    responses((status = 200, body = Uploaded), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn upload(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    request: Request,
) -> Bare<Uploaded> {
    let form = Form::read(&api, &device, request).await?;
    form.fields.finish()?;
    let (draft, claim) = form.file.ok_or_else(|| ApiError::field("file", "is required"))?;
    Ok(Json(draft.keep(claim).await?.into()))
}

impl From<MediaRow> for Uploaded {
    fn from(row: MediaRow) -> Self {
        Self { media_id: row.id, file_name: row.file_name, size: row.size, mime_type: row.mime }
    }
}
