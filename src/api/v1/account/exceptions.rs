//! Whom a privacy setting excepts.

use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice, Reads};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::jid::PersonId;
use crate::domain::privacy::{Field, NewExceptions};
use crate::store::AuditEntry;
use crate::whatsapp::Person;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// People in one list.
const PEOPLE_MAX: usize = 1_000;

/// Whom each setting excepts, whether or not it is `contact_blacklist`, for which alone the list counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PrivacyExceptions {
    last_seen: Vec<Person>,
    group_add: Vec<Person>,
    status_privacy: Vec<Person>,
    profile_picture: Vec<Person>,
}

/// Whom `contact_blacklist` excepts
///
/// Each list is a request to WhatsApp of its own, and the first refusal ends it.
#[utoipa::path(get, path = "/devices/{device}/privacy/exceptions", operation_id = "readPrivacyExceptions",
    tag = "Account",
    responses((status = 200, body = Envelope<PrivacyExceptions>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<PrivacyExceptions> {
    let account = device.account(&api)?;
    let mut told = BTreeMap::new();
    for field in Field::excepting() {
        told.insert(field.name, account.exceptions(field).await?);
    }
    let mut take = |name: &str| told.remove(name).unwrap_or_default();
    Ok(enveloped(PrivacyExceptions {
        last_seen: take("lastSeen"),
        group_add: take("groupAdd"),
        status_privacy: take("statusPrivacy"),
        profile_picture: take("profilePicture"),
    }))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewPrivacyExceptions {
    /// `lastSeen`, `groupAdd`, `statusPrivacy` or `profilePicture`, or another spelling that the settings take.
    #[schema(example = "lastSeen")]
    setting: String,
    /// The whole list; in place of `add` and `remove`.
    #[schema(required = false, max_items = 1000, example = json!(["6281234567890"]))]
    people: Vec<String>,
    /// Who comes onto the list.
    #[schema(required = false, max_items = 1000)]
    add: Vec<String>,
    /// Who goes off the list. Who is not on it is none the less done.
    #[schema(required = false, max_items = 1000)]
    remove: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ExceptionsSet {
    setting: &'static str,
    /// Whom it excepts from now on.
    people: Vec<Person>,
}

/// Change whom a privacy setting excepts
///
/// The setting becomes `contact_blacklist`, so that the list counts. 409 when somebody who is to be on it is not on WhatsApp, and
/// when another device changed the list in the same moment; then nothing is changed.
#[utoipa::path(put, path = "/devices/{device}/privacy/exceptions", operation_id = "setPrivacyExceptions",
    tag = "Account", request_body = NewPrivacyExceptions,
    responses((status = 200, body = Envelope<ExceptionsSet>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn set(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    mut fields: Fields,
) -> Answer<ExceptionsSet> {
    let field = fields.parsed("setting", true, Field::parse_excepting);
    let wanted = wanted(&mut fields);
    fields.finish()?;
    let (Some(field), Some(wanted)) = (field, wanted) else {
        return Err(ApiError::field("setting", "is required"));
    };
    let people = device.account(&api)?.set_exceptions(field, &wanted).await?;
    let meta = Some(json!({ "setting": field.name, "count": people.len() }));
    api.store.audit(AuditEntry { meta, ..device.audit("privacy.exceptions.updated") }).await?;
    Ok(enveloped(ExceptionsSet { setting: field.name, people }))
}

/// `None` with an error about it.
fn wanted(fields: &mut Fields) -> Option<NewExceptions> {
    let list = |fields: &mut Fields, name: &str| fields.list(name, 0..=PEOPLE_MAX, PersonId::parse_written);
    let (whole, add, remove) = (fields.has("people"), fields.has("add"), fields.has("remove"));
    if whole && (add || remove) {
        fields.wrong("people", "is the whole list; give it, or add and remove");
        return None;
    }
    if whole {
        return list(fields, "people").map(NewExceptions::All);
    }
    if !add && !remove {
        fields.wrong("people", "is required, or add or remove");
        return None;
    }
    let (add, remove) = (list(fields, "add").unwrap_or_default(), list(fields, "remove").unwrap_or_default());
    if let Some(index) = remove.iter().position(|person| add.contains(person)) {
        fields.wrong(&format!("remove[{index}]"), "is in add too");
        return None;
    }
    Some(NewExceptions::Some { add, remove })
}
