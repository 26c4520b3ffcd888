//! A tenant's templates: named texts, or files with a text below, with places to fill.
//!
//! A template's file is one of the tenant's, and is here before the request is answered. While a template shows it, it is not
//! deleted and does not grow old.

use super::{Page, UpTo100};
use crate::api::Api;
use crate::api::caller::{OwnTemplate, Reads, Sends, Tenant, no_template};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::fields::Fields;
use crate::api::v1::media::{here, no_media};
use crate::api::v1::messages::media::fetched;
use crate::domain::ids::{MediaId, TemplateId, TenantId};
use crate::domain::media::{self, CAPTION_CHARS_MAX, FILE_NAME_CHARS_MAX, MediaKind, settle_kind};
use crate::domain::outgoing::TEXT_CHARS_MAX;
use crate::domain::template::variables;
use crate::media::Claim;
use crate::store::{MediaRow, NewTemplate, TemplateMedia, TemplateRow};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

pub(super) const NAME_CHARS_MAX: usize = 64;
/// Templates of one tenant.
const TEMPLATES_PER_TENANT_MAX: u32 = 1_000;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct WriteTemplate {
    /// Unique among the tenant's: letters, digits, dots, dashes and underscores.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$", example = "order-ready")]
    name: String,
    /// With places such as `{{name}}` to fill. With a file it stands below it, has at most 4,096 characters and may be left
    /// out; sounds and stickers show none.
    #[schema(
        required = false,
        min_length = 1,
        max_length = 65536,
        example = "Hello {{name}}, your order {{order}} is ready."
    )]
    text: String,
    /// A file that was uploaded, or that came with a message.
    #[schema(required = false)]
    media_id: MediaId,
    /// Where the file is to be fetched from, now and once; in place of `mediaId`.
    #[schema(required = false, format = "uri")]
    media_url: String,
    /// As what the file is shown; left out, as its type asks for.
    #[schema(required = false)]
    media_type: MediaKind,
    /// In place of the file's own name.
    #[schema(required = false, max_length = 255)]
    file_name: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Template)]
pub(in crate::api) struct Shown {
    id: TemplateId,
    name: String,
    text: String,
    /// The names of the places to fill.
    variables: Vec<String>,
    /// The file that is shown, with the text below it.
    media: Option<ShownMedia>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TemplateMedia)]
pub(in crate::api) struct ShownMedia {
    media_id: MediaId,
    media_type: MediaKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
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
///
/// A text, or a file of the tenant's with a text below. A file that is fetched is kept by the tenant's newest device; a
/// tenant without one gets 409.
#[utoipa::path(post, path = "/templates", operation_id = "createTemplate", tag = "Messages", request_body = WriteTemplate,
    responses((status = 201, body = Envelope<One>), (status = 404, response = crate::api::openapi::Missing),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(State(api): State<Api>, tenant: Tenant<Sends>, fields: Fields) -> Created<One> {
    let written = Written::read(&api, fields)?;
    let (new, fetched) = written.template(&api, &tenant.id).await?;
    let row = api.store.create_template(&tenant.id, new, TEMPLATES_PER_TENANT_MAX).await;
    let row = kept(&api, &tenant.id, fetched, row.map_err(no_template)).await?;
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

/// Replace a template
///
/// All of it: one that showed a file and names none is a text now.
#[utoipa::path(put, path = "/templates/{template}", operation_id = "replaceTemplate", tag = "Messages",
    request_body = WriteTemplate,
    responses((status = 200, body = Envelope<One>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn replace(
    State(api): State<Api>,
    template: OwnTemplate<Sends>,
    fields: Fields,
) -> Answer<One> {
    let tenant = &template.tenant.id;
    let written = Written::read(&api, fields)?;
    let (new, fetched) = written.template(&api, tenant).await?;
    let row = api.store.replace_template(tenant, &template.row.id, new).await;
    let row = kept(&api, tenant, fetched, row.map_err(no_template)).await?;
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

/// Where a template's file is.
enum Source {
    Id(MediaId),
    Url(Url),
}

/// A template as the body says it.
struct Written {
    name: String,
    text: String,
    source: Option<Source>,
    kind: Option<MediaKind>,
    file_name: Option<String>,
}

impl Written {
    fn read(api: &Api, mut fields: Fields) -> Result<Self, ApiError> {
        let name = fields.parsed("name", true, name);
        if fields.has("mediaId") && fields.has("mediaUrl") {
            fields.wrong("mediaUrl", "names a file beside mediaId; give one of them");
        }
        let id = fields.parsed("mediaId", false, MediaId::parse).map(Source::Id);
        let source = id.or(fields.parsed("mediaUrl", false, |text| api.egress.check_url(text)).map(Source::Url));
        let shows_file = fields.has("mediaId") || fields.has("mediaUrl");
        let most = if shows_file { CAPTION_CHARS_MAX } else { TEXT_CHARS_MAX };
        let text = fields.text("text", 1..=most, !shows_file);
        let unknown = "must be image, video, audio, document or sticker";
        let kind = fields.parsed("mediaType", false, |text| MediaKind::parse(text).ok_or(unknown));
        let file_name = fields.text("fileName", 0..=FILE_NAME_CHARS_MAX, false).as_deref().and_then(media::file_name);
        for field in ["mediaType", "fileName"] {
            if fields.has(field) && !shows_file {
                fields.wrong(field, "says something of a file, and neither mediaId nor mediaUrl names one");
            }
        }
        fields.finish()?;
        let name = name.ok_or_else(|| ApiError::field("name", "is required"))?;
        Ok(Self { name, text: text.unwrap_or_default(), source, kind, file_name })
    }

    /// What is to be kept, and the file that was fetched for it: nobody else knows of that yet.
    async fn template(self, api: &Api, tenant: &TenantId) -> Result<(NewTemplate, Option<MediaId>), ApiError> {
        let (row, fetched) = match &self.source {
            None => return Ok((NewTemplate { name: self.name, text: self.text, media: None }, None)),
            Some(Source::Id(id)) => {
                let row = api.store.media(tenant, id).await.map_err(no_media)?;
                (here(api, tenant, row).await?, None)
            }
            Some(Source::Url(url)) => {
                let row = self.brought(api, tenant, url).await?;
                let id = row.id.clone();
                (row, Some(id))
            }
        };
        let new = self.showing(&row);
        Ok((kept(api, tenant, fetched.clone(), new).await?, fetched))
    }

    async fn brought(&self, api: &Api, tenant: &TenantId, url: &Url) -> Result<MediaRow, ApiError> {
        let (devices, _) = api.store.devices(tenant, 1, 0).await?;
        let none = || ApiError::Conflict("the tenant has no device to keep the file by; upload it by one".to_owned());
        let device = devices.first().ok_or_else(none)?;
        let (draft, claim) = fetched(api, tenant, &device.id, url).await?;
        let file_name = self.file_name.clone().or(claim.file_name);
        Ok(draft.keep(Claim { file_name, kind: self.kind, ..claim }).await?)
    }

    fn showing(self, row: &MediaRow) -> Result<NewTemplate, ApiError> {
        let kind = settle_kind(self.kind, &row.mime).map_err(ApiError::WrongMedia)?;
        if row.size > kind.bytes_max() {
            return Err(ApiError::PayloadTooLarge);
        }
        if matches!(kind, MediaKind::Audio | MediaKind::Sticker) && !self.text.is_empty() {
            return Err(ApiError::field("text", format!("is not shown with what is sent as {}", kind.as_str())));
        }
        let media = Some(TemplateMedia { id: row.id.clone(), kind, file_name: self.file_name });
        Ok(NewTemplate { name: self.name, text: self.text, media })
    }
}

/// What came of it; a file that was fetched for nothing goes again.
async fn kept<T>(
    api: &Api,
    tenant: &TenantId,
    fetched: Option<MediaId>,
    outcome: Result<T, ApiError>,
) -> Result<T, ApiError> {
    if let (Err(_), Some(id)) = (&outcome, fetched)
        && let Err(error) = api.media.delete(tenant, &id).await
    {
        tracing::warn!(media = %id, %error, "a file that no template shows is kept until its time is over");
    }
    outcome
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
            media: row.media.map(|media| ShownMedia {
                media_id: media.id,
                media_type: media.kind,
                file_name: media.file_name,
            }),
            text: row.text,
            created_at: row.created_at / 1000,
            updated_at: row.updated_at / 1000,
        }
    }
}
