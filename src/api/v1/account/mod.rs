//! What a device's account shows of itself, sees of others, and lets others do. Asked of WhatsApp each time.

pub(in crate::api) mod business;
pub(in crate::api) mod calls;
pub(in crate::api) mod contacts;
pub(in crate::api) mod exceptions;
pub(in crate::api) mod missing;
pub(in crate::api) mod presence;
pub(in crate::api) mod privacy;
pub(in crate::api) mod profile;
pub(in crate::api) mod status_mute;

use crate::api::error::ApiError;
use crate::domain::jid::PersonId;
use serde::Serialize;
use utoipa::ToSchema;

/// It was done and there is nothing else to tell, where clients know it bare.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Success {
    /// Always true.
    success: bool,
}

const SUCCESS: Success = Success { success: true };

/// The person that the path names.
fn named(contact: &str) -> Result<PersonId, ApiError> {
    PersonId::parse_written(contact).map_err(|error| ApiError::field("contact", error.to_string()))
}
