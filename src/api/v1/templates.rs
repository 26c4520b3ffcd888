//! A tenant's templates: named texts with places to fill.

use super::{Page, UpTo100};
use crate::api::Api;
use crate::api::caller::{OwnTemplate, Reads, Sends, Tenant, no_template};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::fields::Fields;
use crate::domain::ids::TemplateId;
use crate::domain::outgoing::TEXT_CHARS_MAX;
use crate::domain::template::variables;
use crate::store::TemplateRow;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) const NAME_CHARS_MAX: usize = 64;
/// Templates of one tenant.
const TEMPLATES_PER_TENANT_MAX: u32 = 1_000;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct WriteTemplate {
    /// Unique among the tenant's: letters, digits, dots, dashes and underscores.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$", example = "order-ready")]
    name: String,
    /// With places such as `{{name}}` to fill.
    #[schema(min_length = 1, max_length = 65536, example = "Hello {{name}}, your order {{order}} is ready.")]
    text: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Template)]
pub(in crate::api) struct Shown {
    id: TemplateId,
    name: String,
    text: String,
    /// The names of the places to fill.
    variables: Vec<String>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneTemplate)]
pub(in crate::api) struct One {
    template: Shown,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Templates)]
pub(in crate::api) struct Several {
    templates: Vec<Shown>,
    count: usize,
    total: u64,
}

/// Create a template
#[utoipa::path(post, path = "/templates", operation_id = "createTemplate", tag = "Messages", request_body = WriteTemplate,
    responses((status = 201, body = Envelope<One>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(State(api): State<Api>, tenant: Tenant<Sends>, mut fields: Fields) -> Created<One> {
    let (name, text) = written(&mut fields);
    fields.finish()?;
    let (Some(name), Some(text)) = (name, text) else { return Err(ApiError::field("body", "is incomplete")) };
    let row = api.store.create_template(&tenant.id, name, text, TEMPLATES_PER_TENANT_MAX).await.map_err(no_template)?;
    api.store.audit(tenant.audit("template.created", "template", row.id.as_str())).await?;
    Ok((StatusCode::CREATED, enveloped(One { template: row.into() })))
}

/// The tenant's templates, by name
#[utoipa::path(get, path = "/templates", operation_id = "listTemplates", tag = "Messages", params(Page<UpTo100>),
    responses((status = 200, body = Envelope<Several>)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    tenant: Tenant<Reads>,
    Query(page): Query<Page<UpTo100>>,
) -> Answer<Several> {
    let (limit, offset) = page.checked()?;
    let (rows, total) = api.store.templates(&tenant.id, limit, offset).await?;
    let templates: Vec<Shown> = rows.into_iter().map(Shown::from).collect();
    Ok(enveloped(Several { count: templates.len(), templates, total }))
}

/// A template, by its id or its name
#[utoipa::path(get, path = "/templates/{template}", operation_id = "readTemplate", tag = "Messages",
    responses((status = 200, body = Envelope<One>)))]
pub(in crate::api) async fn read(template: OwnTemplate<Reads>) -> Answer<One> {
    Ok(enveloped(One { template: template.row.into() }))
}

/// Replace a template's name and text
#[utoipa::path(put, path = "/templates/{template}", operation_id = "replaceTemplate", tag = "Messages",
    request_body = WriteTemplate,
    responses((status = 200, body = Envelope<One>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn replace(
    State(api): State<Api>,
    template: OwnTemplate<Sends>,
    mut fields: Fields,
) -> Answer<One> {
    let (name, text) = written(&mut fields);
    fields.finish()?;
    let (Some(name), Some(text)) = (name, text) else { return Err(ApiError::field("body", "is incomplete")) };
    let row = api.store.replace_template(&template.tenant.id, &template.row.id, name, text);
    let row = row.await.map_err(no_template)?;
    api.store.audit(template.audit("template.updated")).await?;
    Ok(enveloped(One { template: row.into() }))
}

/// Delete a template
#[utoipa::path(delete, path = "/templates/{template}", operation_id = "deleteTemplate", tag = "Messages",
    responses((status = 200, body = Envelope<Done>)))]
pub(in crate::api) async fn delete(State(api): State<Api>, template: OwnTemplate<Sends>) -> Answer<Done> {
    api.store.delete_template(&template.tenant.id, &template.row.id).await.map_err(no_template)?;
    api.store.audit(template.audit("template.deleted")).await?;
    Ok(done("the template is deleted"))
}

fn written(fields: &mut Fields) -> (Option<String>, Option<String>) {
    (fields.parsed("name", true, name), fields.text("text", 1..=TEXT_CHARS_MAX, true))
}

/// One that stands in a path as it is.
fn name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if plain && (1..=NAME_CHARS_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("must have 1 to {NAME_CHARS_MAX} letters, digits, dots, dashes and underscores"))
}

impl From<TemplateRow> for Shown {
    fn from(row: TemplateRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            variables: variables(&row.text),
            text: row.text,
            created_at: row.created_at / 1000,
            updated_at: row.updated_at / 1000,
        }
    }
}
