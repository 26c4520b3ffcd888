//! Bringing a component. Only where the operator allows it: a component is code that runs here, however little it may do.

use super::change::{Changed, changed, held};
use super::revise::{PluginRevision, revision};
use crate::api::Api;
use crate::api::caller::{Manages, Tenant};
use crate::api::envelope::{Created, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::plugins::{COMPONENT_BYTES_MAX, ReloadOutcome};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

/// Bytes of the whole form; more is 413, whatever the parts are.
pub(in crate::api) const FORM_BYTES_MAX: usize = COMPONENT_BYTES_MAX + SETTINGS_BYTES_MAX + (64 << 10);
/// Bytes of the part `settings`; more is 413.
const SETTINGS_BYTES_MAX: usize = 1 << 20;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Upload` reads it")]
pub(in crate::api) struct PluginUpload {
    /// The component, as `rijan plugin build` makes it.
    #[schema(value_type = String, format = Binary)]
    component: Vec<u8>,
    /// How it is to run, as JSON text.
    #[schema(required = false)]
    settings: PluginRevision,
}

/// A place among those who bring a component at this time; the memory that they may take is bounded by it.
pub(in crate::api) struct Place(OwnedSemaphorePermit);

impl FromRequestParts<Api> for Place {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let busy = |_| ApiError::Overloaded("other components are being installed; try again in a moment");
        api.uploads.clone().try_acquire_owned().map(Self).map_err(busy)
    }
}

/// The parts of the form.
pub(in crate::api) struct Upload {
    component: Vec<u8>,
    settings: Option<Fields>,
}

impl FromRequest<Api> for Upload {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let uploads = api.settings.uploads;
        if !uploads.allowed {
            return Err(ApiError::Forbidden("this gateway takes no uploads; its operator may set plugins.uploads"));
        }
        let no_form = |_| ApiError::UnsupportedMediaType("send multipart/form-data with a part \"component\"");
        let mut form = Multipart::from_request(request, api).await.map_err(no_form)?;
        let (mut component, mut settings) = (None, None);
        while let Some(part) = form.next_field().await.map_err(|error| broken(&error))? {
            match part.name().unwrap_or_default() {
                "component" if component.is_none() => component = Some(bytes(part, uploads.bytes_max).await?),
                "settings" if settings.is_none() => {
                    settings = Some(Fields::from_json("settings", &bytes(part, SETTINGS_BYTES_MAX).await?)?);
                }
                name @ ("component" | "settings") => return Err(ApiError::field(name, "is there twice")),
                name => return Err(ApiError::field(name, "is not known here; there are component, settings")),
            }
        }
        let component = component.ok_or_else(|| ApiError::field("component", "is required"))?;
        Ok(Self { component, settings })
    }
}

async fn bytes(mut part: Field<'_>, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let mut all = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error))? {
        if all.len() + chunk.len() > bytes_max {
            return Err(ApiError::PayloadTooLarge);
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn broken(error: &MultipartError) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::PayloadTooLarge,
        _ => ApiError::field("body", "is not a form that can be read"),
    }
}

/// Install a plugin
///
/// Under the name that the component carries: a new one is disabled and behind the others. One that is installed gets
/// another version and stays enabled or disabled; if the new version does not hold, the one before serves on and this
/// answers 400. Where the operator does not allow uploads this is 403.
#[utoipa::path(post, path = "/plugins", operation_id = "installPlugin", tag = "Plugins",
    request_body(content = PluginUpload, content_type = "multipart/form-data"),
    responses((status = 200, body = Envelope<Changed>, description = "Another version of a plugin that was installed"),
        (status = 201, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn install(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    Place(place): Place,
    upload: Upload,
) -> Created<Changed> {
    let revision = upload.settings.map(revision).transpose()?;
    let examined = api.plugins.examine(upload.component).await?;
    drop(place);
    let name = examined.manifest.name.as_str();
    let is_new = !api.store.plugins(&tenant.id).await?.iter().any(|row| row.name == name);
    let outcome = held(api.plugins.install(&tenant.id, &examined, revision).await?, "component")?;
    if outcome == ReloadOutcome::Swapped {
        let mut line = tenant.audit("plugin.installed", "plugin", name);
        line.meta = Some(json!({ "sha256": examined.sha256, "version": examined.manifest.version }));
        api.store.audit(line).await?;
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, enveloped(changed(&api, &tenant.id, name, outcome).await?)))
}
