//! The tenants' files: what they would change, and making it so.

use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::{ApiError, FieldError};
use crate::api::fields::Fields;
use crate::tenants::{Applied, Occasion, Plan, TenantsError};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Apply {
    /// Whether devices and tenants that no file declares any more may go.
    #[schema(required = false, default = false)]
    allow_remove: bool,
}

/// What the files would change, or did. Secrets are shown as changed.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigPlan)]
pub(in crate::api) struct Shown {
    #[serde(flatten)]
    plan: Plan,
    /// All of it, for people.
    text: String,
    /// Tenants that no API key opens; `regenerate-key` makes one.
    tenants_without_key: Vec<String>,
}

/// What the tenants' files would change
///
/// The files are read and everything in them is checked, plugins are compiled and tried; nothing is changed.
#[utoipa::path(post, path = "/config/plan", operation_id = "planConfig", tag = "Admin",
    responses((status = 200, body = Envelope<Shown>), (status = 400, response = crate::api::openapi::Refusal),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn plan(State(api): State<Api>, _: Admin) -> Answer<Shown> {
    Ok(enveloped(api.tenants.plan().await?.into()))
}

/// Make what the tenants' files declare so
///
/// All of it or nothing. Refused when devices or tenants would go and `allow_remove` is not given.
#[utoipa::path(post, path = "/config/apply", operation_id = "applyConfig", tag = "Admin", request_body = Apply,
    responses((status = 200, body = Envelope<Shown>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn apply(State(api): State<Api>, admin: Admin, mut fields: Fields) -> Answer<Shown> {
    let allow_remove = fields.flag("allow_remove").unwrap_or(false);
    fields.finish()?;
    let audit = Box::new(admin.audit("config.applied", "tenant", ""));
    let applied = api.tenants.apply(Occasion::Asked { audit, allow_remove }).await?;
    api.count().await?;
    Ok(enveloped(applied.into()))
}

impl From<Applied> for Shown {
    fn from(applied: Applied) -> Self {
        Self { text: applied.plan.to_string(), plan: applied.plan, tenants_without_key: applied.without_key }
    }
}

impl From<TenantsError> for ApiError {
    fn from(error: TenantsError) -> Self {
        match error {
            TenantsError::Files(errors) => {
                let one = |error: crate::domain::correction::ConfigError| FieldError {
                    field: format!("{}: {}", error.source.unwrap_or_default(), error.key),
                    message: error.message,
                };
                Self::Validation(errors.0.into_iter().map(one).collect())
            }
            TenantsError::Folder(_) => Self::Conflict("the folder of tenants cannot be read; the log says why".into()),
            TenantsError::Removes(what) => {
                Self::Conflict(format!("refused without allow_remove, because these would go: {}", what.join(", ")))
            }
            TenantsError::Plugin(why) => Self::Conflict(why.to_string()),
            TenantsError::Store(error) => error.into(),
            TenantsError::Stopping => Self::Overloaded("the server is stopping"),
        }
    }
}
