//! The chats that a device has, as `chats.set` tells them: the one place where the socket asks for them.

use crate::api::Api;
use crate::api::error::ApiError;
use crate::domain::ids::{DeviceId, TenantId};
use serde_json::{Value, json};

/// `{chats, count, synced, lastHistorySyncAt}`. No chats are kept yet, which is what it says.
pub(super) async fn all(_api: &Api, _tenant: &TenantId, _device: &DeviceId) -> Result<Value, ApiError> {
    Ok(json!({ "chats": [], "count": 0, "synced": false, "lastHistorySyncAt": null }))
}
