//! A form with a file: the file goes to disk as it comes, the other parts are read as fields of a JSON body are.

use crate::api::Api;
use crate::api::caller::OwnDevice;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::media::{Claim, Draft};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Map, Value};
use std::time::Duration;

/// The part that is the file.
pub(in crate::api::v1) const FILE: &str = "file";
/// Parts beside the file; one more is refused.
const FIELDS_MAX: usize = 32;
/// Bytes of one of them; more is 413.
const FIELD_BYTES_MAX: usize = 1 << 20;
/// Without a byte of the form.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(30);

pub(in crate::api::v1) struct Form {
    pub(in crate::api::v1) fields: Fields,
    pub(in crate::api::v1) file: Option<(Draft, Claim)>,
}

impl Form {
    /// Reads all of it. A file whose form does not hold goes with its draft.
    pub(in crate::api::v1) async fn read<S>(
        api: &Api,
        device: &OwnDevice<S>,
        request: Request,
    ) -> Result<Self, ApiError> {
        let no_form = |_| ApiError::UnsupportedMediaType("send multipart/form-data with a part \"file\"");
        let mut form = Multipart::from_request(request, api).await.map_err(no_form)?;
        let (mut fields, mut file) = (Map::new(), None);
        while let Some(part) = in_time(form.next_field()).await? {
            let name = part.name().unwrap_or_default().to_owned();
            if name == FILE {
                if file.is_some() {
                    return Err(ApiError::field(FILE, "is there twice"));
                }
                file = Some(saved(api, device, part).await?);
                continue;
            }
            if fields.len() >= FIELDS_MAX {
                return Err(ApiError::field("body", format!("has more than {FIELDS_MAX} parts")));
            }
            let value = read(part).await?;
            if fields.insert(name.clone(), value).is_some() {
                return Err(ApiError::field(&name, "is there twice"));
            }
        }
        Ok(Self { fields: Fields::of(fields), file })
    }
}

async fn saved<S>(api: &Api, device: &OwnDevice<S>, mut part: Field<'_>) -> Result<(Draft, Claim), ApiError> {
    let claim = Claim {
        mime: part.content_type().map(str::to_owned),
        file_name: part.file_name().map(str::to_owned),
        ..Claim::default()
    };
    let mut draft = api.media.draft(&device.tenant.id, device.id()).await?;
    while let Some(piece) = in_time(part.chunk()).await? {
        draft.write(piece).await?;
    }
    Ok((draft, claim))
}

/// A form knows texts alone: `true` and `false` are what they are called.
async fn read(mut part: Field<'_>) -> Result<Value, ApiError> {
    let mut all = Vec::new();
    while let Some(piece) = in_time(part.chunk()).await? {
        if all.len() + piece.len() > FIELD_BYTES_MAX {
            return Err(ApiError::PayloadTooLarge);
        }
        all.extend_from_slice(&piece);
    }
    let name = part.name().unwrap_or_default().to_owned();
    let text = String::from_utf8(all).map_err(|_| ApiError::field(&name, "must be UTF-8"))?;
    Ok(match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::String(text),
    })
}

/// A client that stops in the middle does not keep its place.
async fn in_time<T>(reading: impl Future<Output = Result<T, MultipartError>>) -> Result<T, ApiError> {
    let read = tokio::time::timeout(SILENCE_TIME_MAX, reading).await;
    let read = read.map_err(|_| ApiError::UpstreamTimeout("the rest of the form did not come in time"))?;
    read.map_err(|error| broken(&error))
}

fn broken(error: &MultipartError) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::PayloadTooLarge,
        _ => ApiError::field("body", "is not a form that can be read"),
    }
}
