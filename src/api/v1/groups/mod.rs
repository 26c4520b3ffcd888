//! Groups of a device's account, asked of WhatsApp each time: nothing of them is kept here.

pub(in crate::api) mod details;
pub(in crate::api) mod invites;
pub(in crate::api) mod members;

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Bare, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::group::{PEOPLE_MAX, SUBJECT_CHARS_MAX};
use crate::domain::jid::{GroupId, PersonId};
use crate::limits::Key;
use crate::store::AuditEntry;
use crate::whatsapp::{Account, Group, MemberResult};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// The group that the path names. One that does not read is none of WhatsApp's.
fn named(group: &str) -> Result<GroupId, ApiError> {
    GroupId::parse(group).map_err(|_| ApiError::NotFound("group"))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewGroup {
    #[schema(min_length = 1, max_length = 100, example = "Order 42")]
    subject: String,
    /// Phone numbers or JIDs.
    #[schema(min_items = 1, max_items = 256, example = json!(["6281234567890"]))]
    participants: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct CreatedGroup {
    group_jid: String,
    subject: String,
    /// What became of each; somebody whose status is not `200` is not in the group.
    participants: Vec<MemberResult>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Created {
    /// Always true.
    success: bool,
    data: CreatedGroup,
    subject: String,
}

/// Create a group
///
/// Who cannot be added is left out, and said so; the group is made all the same.
#[utoipa::path(post, path = "/devices/{device}/groups/create", operation_id = "createGroup", tag = "Groups",
    request_body = NewGroup,
    responses((status = 200, body = Created), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Bare<Created> {
    let subject = fields.name("subject", SUBJECT_CHARS_MAX, true);
    let people = fields.list("participants", 1..=PEOPLE_MAX, PersonId::parse_written);
    fields.finish()?;
    let (Some(subject), Some(people)) = (subject, people) else { return Err(ApiError::field("body", "is incomplete")) };
    let made = changes(&api, &device)?.create_group(&subject, &people, None).await?;
    let meta = Some(json!({ "device": device.id().as_str(), "participants": people.len() }));
    let line = device.tenant.audit("group.created", "group", &made.group.id);
    api.store.audit(AuditEntry { meta, ..line }).await?;
    let data = CreatedGroup { group_jid: made.group.id, subject: subject.clone(), participants: made.results };
    Ok(Json(Created { success: true, data, subject }))
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Groups {
    groups: Vec<Group>,
    count: usize,
}

/// Groups of the account
///
/// Every group it is a member of, by subject.
#[utoipa::path(get, path = "/devices/{device}/groups", operation_id = "listGroups", tag = "Groups",
    responses((status = 200, body = Envelope<Groups>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn list(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<Groups> {
    let groups = device.account(&api)?.groups().await?;
    Ok(enveloped(Groups { count: groups.len(), groups }))
}

/// A group
#[utoipa::path(get, path = "/devices/{device}/groups/{group}", operation_id = "readGroup", tag = "Groups",
    responses((status = 200, body = Group), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, group)): Path<(String, String)>,
) -> Bare<Group> {
    let group = named(&group)?;
    Ok(Json(device.account(&api)?.group(&group).await?))
}

/// Leave a group
#[utoipa::path(post, path = "/devices/{device}/groups/{group}/leave", operation_id = "leaveGroup", tag = "Groups",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn leave(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
) -> Answer<Done> {
    let group = named(&group)?;
    changes(&api, &device)?.leave_group(&group).await?;
    Ok(done("the account has left the group"))
}

/// For a request that changes something in groups, communities or newsletters: charged to the device's window of them, also when
/// WhatsApp refuses it.
pub(in crate::api::v1) fn changes(api: &Api, device: &OwnDevice<Sends>) -> Result<Account, ApiError> {
    let account = device.account(api)?;
    api.limits.charge_own(&Key::Groups(device.id().clone()), &device.tenant.allowance)?;
    Ok(account)
}
