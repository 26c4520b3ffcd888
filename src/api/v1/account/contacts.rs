//! Who people are, as WhatsApp tells it.

use super::named;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::domain::jid::{ChatId, PersonId};
use crate::whatsapp::{Checked, ContactProfile, Person, PictureLink};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// People in one question.
const CHECKED_MAX: usize = 100;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Question {
    /// Phone numbers or JIDs.
    #[schema(min_items = 1, max_items = 100, example = json!(["6281234567890"]))]
    contacts: Vec<String>,
    /// Asks WhatsApp also about those whose answer is less than an hour old.
    #[schema(required = false)]
    fresh: bool,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Verdicts {
    /// In the order of the question.
    contacts: Vec<Checked>,
    count: usize,
}

/// Who is on WhatsApp
///
/// Answers are kept for an hour. WhatsApp takes it ill when an account asks about many strangers.
#[utoipa::path(post, path = "/devices/{device}/contacts/check", operation_id = "checkContacts", tag = "Contacts",
    request_body = Question,
    responses((status = 200, body = Envelope<Verdicts>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn check(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    mut fields: Fields,
) -> Answer<Verdicts> {
    let people = fields.list("contacts", 1..=CHECKED_MAX, PersonId::parse_written);
    let fresh = fields.flag("fresh").unwrap_or(false);
    fields.finish()?;
    let contacts = device.account(&api)?.check(&people.unwrap_or_default(), fresh).await?;
    Ok(enveloped(Verdicts { count: contacts.len(), contacts }))
}

/// What somebody shows of themselves
#[utoipa::path(get, path = "/devices/{device}/contacts/{contact}", operation_id = "readContact", tag = "Contacts",
    responses((status = 200, body = Envelope<ContactProfile>), (status = 400, response = crate::api::openapi::Unfit), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, contact)): Path<(String, String)>,
) -> Answer<ContactProfile> {
    let contact = named(&contact)?;
    Ok(enveloped(device.account(&api)?.contact(&contact).await?))
}

/// Somebody's addresses
///
/// The lid that belongs to a phone number, or the phone number that belongs to a lid, as far as WhatsApp tells it. 404 when
/// they are not on WhatsApp.
#[utoipa::path(get, path = "/devices/{device}/contacts/{contact}/identity", operation_id = "readIdentity",
    tag = "Contacts",
    responses((status = 200, body = Envelope<Person>), (status = 400, response = crate::api::openapi::Unfit), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn identity(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, contact)): Path<(String, String)>,
) -> Answer<Person> {
    let contact = named(&contact)?;
    let found = device.account(&api)?.identity(&contact).await?;
    found.map(enveloped).ok_or(ApiError::NotFound("contact"))
}

#[derive(Deserialize, IntoParams)]
pub(in crate::api) struct Size {
    /// `true` is the small one.
    #[param(value_type = Option<bool>)]
    preview: Option<String>,
}

/// Somebody's picture
///
/// Where it is to be had, for some hours. 404 when there is none, or their settings hide it.
#[utoipa::path(get, path = "/devices/{device}/contacts/{contact}/picture", operation_id = "readContactPicture",
    tag = "Contacts", params(Size),
    responses((status = 200, body = Envelope<PictureLink>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn picture(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, contact)): Path<(String, String)>,
    Query(size): Query<Size>,
) -> Answer<PictureLink> {
    picture_of(&api, &device, &named(&contact)?.chat(), &size).await
}

pub(in crate::api::v1) async fn picture_of(
    api: &Api,
    device: &OwnDevice<Reads>,
    of: &ChatId,
    size: &Size,
) -> Answer<PictureLink> {
    let preview = match size.preview.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::field("preview", "must be true or false")),
    };
    let found = device.account(api)?.picture(of, preview).await?;
    found.map(enveloped).ok_or(ApiError::NotFound("picture"))
}
