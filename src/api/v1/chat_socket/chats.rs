//! The chats that a device has, as `chats.set` tells them: the one place where the socket asks for them.

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::v1::chats::list;
use crate::domain::ids::{DeviceId, TenantId};
use serde_json::{Value, json};

/// Chats in one message, the newest; `GET .../chats` pages through all of them.
const CHATS_MAX: u32 = 200;

/// `{chats, count, synced, lastHistorySyncAt}`; `count` is of all chats.
pub(super) async fn all(api: &Api, tenant: &TenantId, device: &DeviceId) -> Result<Value, ApiError> {
    Ok(json!(list::shown(api, tenant, device, CHATS_MAX, 0).await?))
}
