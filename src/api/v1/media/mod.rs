//! Files of a tenant: bringing them, and what came with messages.

pub(super) mod form;
mod range;
mod read;
mod remove;
mod upload;

pub(in crate::api::v1) use read::here;
pub(in crate::api) use read::{__path_read, read};
pub(in crate::api) use remove::{__path_remove, remove};
pub(in crate::api) use upload::{__path_upload, upload};

use crate::api::Api;
use crate::api::caller::{OwnDevice, Scope, name_in_path};
use crate::api::error::ApiError;
use crate::domain::ids::MediaId;
use crate::store::{MediaRow, StoreError};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// A file of the caller's, named by `{media}` in the path. What is no id names nothing, like an id of somebody else's.
pub(in crate::api) struct OwnMedia<S> {
    pub(super) device: OwnDevice<S>,
    pub(super) row: MediaRow,
}

impl<S: Scope> FromRequestParts<Api> for OwnMedia<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let device = OwnDevice::from_request_parts(parts, api).await?;
        let id = MediaId::parse(&name_in_path(parts, "media").await?).map_err(|_| ApiError::NotFound("media"))?;
        let row = api.store.media(&device.tenant.id, &id).await.map_err(no_media)?;
        Ok(Self { device, row })
    }
}

pub(in crate::api::v1) fn no_media(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("media"),
        other => other.into(),
    }
}
