//! Who people are, as WhatsApp tells it.

use super::named;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::api::v1::limit;
use crate::domain::jid::{ChatId, PersonId};
use crate::store::ContactRow;
use crate::whatsapp::{Checked, ContactProfile, Person, PictureLink};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Rows on a page of people.
const LISTED_MAX: u32 = 200;
/// People in one question.
const CHECKED_MAX: usize = 100;

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Which {
    /// What `nextCursor` gave.
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// Somebody with a name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct KnownContact {
    /// The one name of a person: by phone number where that is known.
    contact_id: String,
    jid: String,
    phone: Option<String>,
    lid: Option<String>,
    /// As the account's address book has it.
    name: Option<String>,
    first_name: Option<String>,
    /// As they call themselves.
    push_name: Option<String>,
    /// Whether their status posts are muted.
    status_muted: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct KnownContacts {
    contacts: Vec<KnownContact>,
    count: usize,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// People whose names are known
///
/// From the account's address book, from its phone's history, and from what they wrote; in the order of their addresses.
#[utoipa::path(get, path = "/devices/{device}/contacts", operation_id = "listContacts", tag = "Contacts",
    params(Which), responses((status = 200, body = Envelope<KnownContacts>)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(which): Query<Which>,
) -> Answer<KnownContacts> {
    let limit = limit(which.limit.as_deref(), LISTED_MAX)?;
    let after = which.cursor.unwrap_or_default();
    let mut rows = api.store.contacts(&device.tenant.id, device.id(), after, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| row.jid.clone());
    let shown = |row: ContactRow| KnownContact {
        contact_id: row.jid.clone(),
        phone: row.jid.strip_suffix("@s.whatsapp.net").map(str::to_owned),
        jid: row.jid,
        lid: row.lid,
        name: row.name,
        first_name: row.first_name,
        push_name: row.push_name,
        status_muted: row.status_muted,
    };
    let contacts: Vec<KnownContact> = rows.into_iter().map(shown).collect();
    Ok(enveloped(KnownContacts { count: contacts.len(), contacts, next_cursor }))
}

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
#[into_params(parameter_in = Query)]
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
