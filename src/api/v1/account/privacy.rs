//! Who may see and do what with the account, and who may not reach it at all.

use super::named;
use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice, Reads};
use crate::api::envelope::{Answer, Bare, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::api::v1::groups::details::ephemeral;
use crate::domain::privacy::{Change, FIELDS};
use crate::store::AuditEntry;
use crate::whatsapp::{DefaultTimer, Person};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The settings as WhatsApp has them: `all`, `contacts`, `contact_blacklist` (contacts but those whom the setting excepts) or
/// `none`, where nothing else is said. One that WhatsApp does not tell is null.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PrivacySettings {
    /// `all` or `none`.
    #[serde(rename = "readreceipts")]
    read_receipts: Option<String>,
    /// Who sees that we are there: `all` or `match_last_seen`.
    online: Option<String>,
    last_seen: Option<String>,
    /// Who may add us to groups.
    group_add: Option<String>,
    /// Who sees the about text.
    status_privacy: Option<String>,
    profile_picture: Option<String>,
    /// Who may call: `all`, `known` or `contacts`.
    call_add: Option<String>,
    /// Who may write: `all` or `contacts`.
    messages: Option<String>,
    /// Strict settings at once: `off` or `on_standard`.
    defense: Option<String>,
}

impl PrivacySettings {
    fn of(mut told: BTreeMap<&'static str, String>) -> Self {
        Self {
            read_receipts: told.remove("readreceipts"),
            online: told.remove("online"),
            last_seen: told.remove("lastSeen"),
            group_add: told.remove("groupAdd"),
            status_privacy: told.remove("statusPrivacy"),
            profile_picture: told.remove("profilePicture"),
            call_add: told.remove("callAdd"),
            messages: told.remove("messages"),
            defense: told.remove("defense"),
        }
    }
}

/// The account's privacy settings
#[utoipa::path(get, path = "/devices/{device}/privacy/settings", operation_id = "readPrivacy", tag = "Account",
    responses((status = 200, body = PrivacySettings), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(State(api): State<Api>, device: OwnDevice<Reads>) -> Bare<PrivacySettings> {
    let told = device.account(&api)?.privacy().await?;
    let told = told.into_iter().map(|(field, value)| (field.name, value)).collect();
    Ok(Json(PrivacySettings::of(told)))
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewPrivacySettings {
    /// `all` or `none`.
    #[schema(required = false, rename = "readreceipts", pattern = "^(all|none)$")]
    read_receipts: String,
    /// `all` or `match_last_seen`.
    #[schema(required = false, pattern = "^(all|match_last_seen)$")]
    online: String,
    #[schema(required = false, pattern = "^(all|contacts|contact_blacklist|none)$")]
    last_seen: String,
    #[schema(required = false, pattern = "^(all|contacts|contact_blacklist|none)$")]
    group_add: String,
    #[schema(required = false, pattern = "^(all|contacts|contact_blacklist|none)$")]
    status_privacy: String,
    #[schema(required = false, pattern = "^(all|contacts|contact_blacklist|none)$")]
    profile_picture: String,
    /// `all`, `known` or `contacts`.
    #[schema(required = false, pattern = "^(all|known|contacts)$")]
    call_add: String,
    /// `all` or `contacts`.
    #[schema(required = false, pattern = "^(all|contacts)$")]
    messages: String,
    /// `off` or `on_standard`.
    #[schema(required = false, pattern = "^(off|on_standard)$")]
    defense: String,
    /// After how many seconds messages of new chats disappear: 0 (never), 86400, 604800 or 7776000. It is read at
    /// `/privacy/disappearing`.
    #[schema(required = false)]
    default_ephemeral_seconds: u32,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct UpdatedPrivacy {
    /// Always true.
    success: bool,
    updated: Vec<&'static str>,
}

/// The name of the setting that is no category of WhatsApp's.
const DEFAULT_EPHEMERAL: &str = "defaultEphemeralSeconds";

/// Change the account's privacy settings
///
/// At least one; what is absent stays. Spellings of earlier systems are taken (`lastseen`, `groupadd`, `status`, `profile`
/// and so on). Each is a request to WhatsApp of its own, and the first refusal ends it: read them to see what was set.
#[utoipa::path(post, path = "/devices/{device}/privacy/settings", operation_id = "setPrivacy", tag = "Account",
    request_body = NewPrivacySettings,
    responses((status = 200, body = UpdatedPrivacy), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn set(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    mut fields: Fields,
) -> Bare<UpdatedPrivacy> {
    let changes = changes(&mut fields);
    let seconds = ephemeral(DEFAULT_EPHEMERAL, &mut fields);
    fields.finish()?;
    if changes.is_empty() && seconds.is_none() {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).chain([DEFAULT_EPHEMERAL]).collect();
        return Err(ApiError::field("body", format!("must name at least one of {}", names.join(", "))));
    }
    let account = device.account(&api)?;
    let mut updated = Vec::new();
    let mut outcome = account.set_privacy(&changes, &mut updated).await;
    if let (Ok(()), Some(seconds)) = (&outcome, seconds) {
        outcome = account.set_default_ephemeral(seconds).await;
        updated.extend(outcome.is_ok().then_some(DEFAULT_EPHEMERAL));
    }
    // What was set before a refusal is set all the same.
    if !updated.is_empty() {
        let meta = Some(json!({ "updated": updated }));
        api.store.audit(AuditEntry { meta, ..device.audit("privacy.settings.updated") }).await?;
    }
    outcome?;
    Ok(Json(UpdatedPrivacy { success: true, updated }))
}

/// In the order of the table. A setting that is given by two spellings is given twice, and refused.
fn changes(fields: &mut Fields) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in &FIELDS {
        let given: Vec<&str> = [field.name].iter().chain(field.also).copied().filter(|name| fields.has(name)).collect();
        match given[..] {
            [] => {}
            [name] => changes.extend(fields.parsed(name, false, |text| field.parse(text))),
            [_, second, ..] => fields.wrong(second, format!("is another name of {:?}; give one of them", given[0])),
        }
    }
    changes
}

/// After how many seconds messages of new chats disappear
///
/// Set as `defaultEphemeralSeconds` of the settings.
#[utoipa::path(get, path = "/devices/{device}/privacy/disappearing", operation_id = "readDefaultEphemeral",
    tag = "Account",
    responses((status = 200, body = Envelope<DefaultTimer>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn default_timer(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<DefaultTimer> {
    Ok(enveloped(device.account(&api)?.default_ephemeral().await?))
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Blocked {
    blocked: Vec<Person>,
    count: usize,
}

/// Who is blocked
#[utoipa::path(get, path = "/devices/{device}/blocklist", operation_id = "listBlocked", tag = "Account",
    responses((status = 200, body = Envelope<Blocked>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn blocked(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<Blocked> {
    let blocked = device.account(&api)?.blocked().await?;
    Ok(enveloped(Blocked { count: blocked.len(), blocked }))
}

/// Block somebody
#[utoipa::path(post, path = "/devices/{device}/contacts/{contact}/block", operation_id = "blockContact",
    tag = "Account",
    responses((status = 200, body = Envelope<Done>), (status = 400, response = crate::api::openapi::Unfit), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn block(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    Path((_, contact)): Path<(String, String)>,
) -> Answer<Done> {
    let contact = named(&contact)?;
    device.account(&api)?.block(&contact).await?;
    Ok(done("the contact is blocked"))
}

/// Unblock somebody
#[utoipa::path(post, path = "/devices/{device}/contacts/{contact}/unblock", operation_id = "unblockContact",
    tag = "Account",
    responses((status = 200, body = Envelope<Done>), (status = 400, response = crate::api::openapi::Unfit), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn unblock(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    Path((_, contact)): Path<(String, String)>,
) -> Answer<Done> {
    let contact = named(&contact)?;
    device.account(&api)?.unblock(&contact).await?;
    Ok(done("the contact is blocked no more"))
}
