//! What a tenant does, with its key.

pub(super) mod devices;
pub(super) mod events;
pub(super) mod lifecycle;
pub(super) mod messages;
pub(super) mod pairing;
pub(super) mod webhooks;

use super::error::ApiError;
use crate::domain::ids::DeviceId;
use crate::store::StoreError;
use serde::Deserialize;

const LIMIT_DEFAULT: u32 = 50;

/// `limit` and `offset` of a list. Read as texts, so that a bad one is named.
#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    offset: Option<String>,
}

impl Page {
    pub(super) fn checked(&self, limit_max: u32) -> Result<(u32, u32), ApiError> {
        let number = |text: &Option<String>| text.as_deref().map(str::parse::<u32>).transpose();
        let limit =
            number(&self.limit).ok().map(|n| n.unwrap_or(LIMIT_DEFAULT)).filter(|n| (1..=limit_max).contains(n));
        let limit = limit.ok_or_else(|| ApiError::field("limit", format!("must be 1 to {limit_max}")))?;
        let offset = number(&self.offset).map_err(|_| ApiError::field("offset", "must be a whole number from 0"))?;
        Ok((limit, offset.unwrap_or(0)))
    }
}

pub(super) fn device_id(text: &str) -> Result<DeviceId, ApiError> {
    DeviceId::parse(text).map_err(|_| ApiError::NotFound("device"))
}

pub(super) fn no_device(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("device"),
        other => other.into(),
    }
}
