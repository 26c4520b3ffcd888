//! Who belongs to a group, who is an admin of it, and who waits to be let in. Each person has a result of their own.

use super::{changes, named};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Bare, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::group::{Membership, PEOPLE_MAX};
use crate::domain::jid::PersonId;
use crate::store::AuditEntry;
use crate::whatsapp::{JoinRequest, MemberResult};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct People {
    /// Phone numbers or JIDs.
    #[schema(min_items = 1, max_items = 256, example = json!(["6281234567890"]))]
    participants: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Added {
    /// Always true; what became of each person is in `results`.
    success: bool,
    /// The addresses of those who were added.
    added: Vec<String>,
    results: Vec<MemberResult>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Removed {
    /// Always true; what became of each person is in `results`.
    success: bool,
    /// The addresses of those who were removed.
    removed: Vec<String>,
    results: Vec<MemberResult>,
}

/// What became of each person.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Changed {
    pub(in crate::api::v1) results: Vec<MemberResult>,
}

/// Add people to a group
///
/// Somebody whose settings do not allow it has status `403` and, where WhatsApp gives one, the code of an invitation.
#[utoipa::path(post, path = "/devices/{device}/groups/{group}/participants/add", operation_id = "addParticipants",
    tag = "Groups", request_body = People,
    responses((status = 200, body = Added), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn add(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    fields: Fields,
) -> Bare<Added> {
    let results = change(&api, &device, &group, fields, Membership::Add).await?;
    Ok(Json(Added { success: true, added: done(&results), results }))
}

/// Remove people from a group
#[utoipa::path(post, path = "/devices/{device}/groups/{group}/participants/remove",
    operation_id = "removeParticipants", tag = "Groups", request_body = People,
    responses((status = 200, body = Removed), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn remove(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    fields: Fields,
) -> Bare<Removed> {
    let results = change(&api, &device, &group, fields, Membership::Remove).await?;
    Ok(Json(Removed { success: true, removed: done(&results), results }))
}

/// Make people admins
#[utoipa::path(post, path = "/devices/{device}/groups/{group}/participants/promote",
    operation_id = "promoteParticipants", tag = "Groups", request_body = People,
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn promote(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    fields: Fields,
) -> Answer<Changed> {
    let results = change(&api, &device, &group, fields, Membership::Promote).await?;
    Ok(enveloped(Changed { results }))
}

/// Make admins members
#[utoipa::path(post, path = "/devices/{device}/groups/{group}/participants/demote",
    operation_id = "demoteParticipants", tag = "Groups", request_body = People,
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn demote(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    fields: Fields,
) -> Answer<Changed> {
    let results = change(&api, &device, &group, fields, Membership::Demote).await?;
    Ok(enveloped(Changed { results }))
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct JoinRequests {
    requests: Vec<JoinRequest>,
    count: usize,
}

/// Who waits to be let in
#[utoipa::path(get, path = "/devices/{device}/groups/{group}/requests", operation_id = "listJoinRequests",
    tag = "Groups",
    responses((status = 200, body = Envelope<JoinRequests>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn requests(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, group)): Path<(String, String)>,
) -> Answer<JoinRequests> {
    let requests = device.account(&api)?.join_requests(&named(&group)?).await?;
    Ok(enveloped(JoinRequests { count: requests.len(), requests }))
}

/// Let people in
#[utoipa::path(post, path = "/devices/{device}/groups/{group}/requests/approve",
    operation_id = "approveJoinRequests", tag = "Groups", request_body = People,
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn approve(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    fields: Fields,
) -> Answer<Changed> {
    let results = change(&api, &device, &group, fields, Membership::Approve).await?;
    Ok(enveloped(Changed { results }))
}

/// Do not let people in
#[utoipa::path(post, path = "/devices/{device}/groups/{group}/requests/reject",
    operation_id = "rejectJoinRequests", tag = "Groups", request_body = People,
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn reject(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    fields: Fields,
) -> Answer<Changed> {
    let results = change(&api, &device, &group, fields, Membership::Reject).await?;
    Ok(enveloped(Changed { results }))
}

/// Who joins and who goes is written down; the audit has no lines for the other changes.
async fn change(
    api: &Api,
    device: &OwnDevice<Sends>,
    group: &str,
    mut fields: Fields,
    change: Membership,
) -> Result<Vec<MemberResult>, ApiError> {
    let group = named(group)?;
    let people = fields.list("participants", 1..=PEOPLE_MAX, PersonId::parse_written);
    fields.finish()?;
    let people = people.ok_or_else(|| ApiError::field("participants", "is required"))?;
    let results = changes(api, device)?.change_members(&group, change, &people).await?;
    let action = match change {
        Membership::Add | Membership::Approve => "group.participant.added",
        Membership::Remove => "group.participant.removed",
        Membership::Promote | Membership::Demote | Membership::Reject => return Ok(results),
    };
    let meta = Some(json!({ "device": device.id().as_str(), "participants": done(&results) }));
    let line = device.tenant.audit(action, "group", group.as_str());
    api.store.audit(AuditEntry { meta, ..line }).await?;
    Ok(results)
}

pub(in crate::api::v1) fn done(results: &[MemberResult]) -> Vec<String> {
    results.iter().filter(|result| result.is_done()).map(|result| result.person.jid.clone()).collect()
}
