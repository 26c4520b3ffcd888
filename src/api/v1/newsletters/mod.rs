//! Newsletters, which people call channels, asked of WhatsApp each time: nothing of them is kept here. What is posted goes
//! through the message routes, and what others post comes as messages do.

pub(in crate::api) mod follow;
pub(in crate::api) mod posts;

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::api::v1::account::profile::{NewPicture, picture as given};
use crate::api::v1::groups::changes;
use crate::domain::group::{DESCRIPTION_CHARS_MAX, SUBJECT_CHARS_MAX};
use crate::domain::jid::NewsletterId;
use crate::store::AuditEntry;
use crate::whatsapp::Newsletter;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// The newsletter that the path names. One that does not read is none of WhatsApp's.
fn named(newsletter: &str) -> Result<NewsletterId, ApiError> {
    NewsletterId::parse(newsletter).map_err(|_| ApiError::NotFound("newsletter"))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewNewsletter {
    #[schema(min_length = 1, max_length = 100, example = "Bakery")]
    name: String,
    #[schema(required = false, max_length = 2048)]
    description: String,
}

/// Create a newsletter
///
/// The account owns it. The picture is set by a request of its own.
#[utoipa::path(post, path = "/devices/{device}/newsletters", operation_id = "createNewsletter", tag = "Newsletters",
    request_body = NewNewsletter,
    responses((status = 201, body = Envelope<Newsletter>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Created<Newsletter> {
    let name = fields.name("name", SUBJECT_CHARS_MAX, true);
    let description = fields.text("description", 0..=DESCRIPTION_CHARS_MAX, false).filter(|text| !text.is_empty());
    fields.finish()?;
    let name = name.ok_or_else(|| ApiError::field("name", "is required"))?;
    let made = changes(&api, &device)?.create_newsletter(&name, description.as_deref()).await?;
    audit(&api, &device, "newsletter.created", &made.id).await?;
    Ok((StatusCode::CREATED, enveloped(made)))
}

async fn audit(api: &Api, device: &OwnDevice<Sends>, action: &'static str, id: &str) -> Result<(), ApiError> {
    let meta = Some(json!({ "device": device.id().as_str() }));
    let line = device.tenant.audit(action, "newsletter", id);
    Ok(api.store.audit(AuditEntry { meta, ..line }).await?)
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Newsletters {
    newsletters: Vec<Newsletter>,
    count: usize,
}

/// Newsletters of the account
///
/// Those that it follows or owns, by name.
#[utoipa::path(get, path = "/devices/{device}/newsletters", operation_id = "listNewsletters", tag = "Newsletters",
    responses((status = 200, body = Envelope<Newsletters>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn list(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<Newsletters> {
    let newsletters = device.account(&api)?.newsletters().await?;
    Ok(enveloped(Newsletters { count: newsletters.len(), newsletters }))
}

/// A newsletter
///
/// Also one that the account does not follow.
#[utoipa::path(get, path = "/devices/{device}/newsletters/{newsletter}", operation_id = "readNewsletter",
    tag = "Newsletters",
    responses((status = 200, body = Envelope<Newsletter>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, newsletter)): Path<(String, String)>,
) -> Answer<Newsletter> {
    let newsletter = named(&newsletter)?;
    Ok(enveloped(device.account(&api)?.newsletter(&newsletter).await?))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewsletterChange {
    #[schema(required = false, min_length = 1, max_length = 100)]
    name: String,
    /// An empty one takes it away.
    #[schema(required = false, max_length = 2048)]
    description: String,
}

/// Change a newsletter
///
/// Its name, its description, or both. Only its owner and admins may.
#[utoipa::path(patch, path = "/devices/{device}/newsletters/{newsletter}", operation_id = "changeNewsletter",
    tag = "Newsletters", request_body = NewsletterChange,
    responses((status = 200, body = Envelope<Newsletter>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn change(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Newsletter> {
    let newsletter = named(&newsletter)?;
    let name = fields.name("name", SUBJECT_CHARS_MAX, false);
    let description = fields.text("description", 0..=DESCRIPTION_CHARS_MAX, false);
    fields.finish()?;
    if name.is_none() && description.is_none() {
        return Err(ApiError::field("body", "must have a name or a description"));
    }
    let account = changes(&api, &device)?;
    Ok(enveloped(account.change_newsletter(&newsletter, name.as_deref(), description.as_deref()).await?))
}

/// End a newsletter
///
/// For good, and for everybody who follows it. Only its owner may.
#[utoipa::path(delete, path = "/devices/{device}/newsletters/{newsletter}", operation_id = "deleteNewsletter",
    tag = "Newsletters",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter)): Path<(String, String)>,
) -> Answer<Done> {
    let newsletter = named(&newsletter)?;
    changes(&api, &device)?.delete_newsletter(&newsletter).await?;
    audit(&api, &device, "newsletter.deleted", newsletter.as_str()).await?;
    Ok(done("the newsletter is no more"))
}

/// Set a newsletter's picture
#[utoipa::path(put, path = "/devices/{device}/newsletters/{newsletter}/picture", operation_id = "setNewsletterPicture",
    tag = "Newsletters", request_body = NewPicture,
    responses((status = 200, body = Envelope<Newsletter>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn set_picture(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter)): Path<(String, String)>,
    fields: Fields,
) -> Answer<Newsletter> {
    let (newsletter, picture) = (named(&newsletter)?, given(fields)?);
    Ok(enveloped(changes(&api, &device)?.set_newsletter_picture(&newsletter, Some(picture)).await?))
}

/// Remove a newsletter's picture
#[utoipa::path(delete, path = "/devices/{device}/newsletters/{newsletter}/picture",
    operation_id = "removeNewsletterPicture", tag = "Newsletters",
    responses((status = 200, body = Envelope<Newsletter>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn remove_picture(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter)): Path<(String, String)>,
) -> Answer<Newsletter> {
    let newsletter = named(&newsletter)?;
    Ok(enveloped(changes(&api, &device)?.set_newsletter_picture(&newsletter, None).await?))
}
