//! Communities of a device's account: groups that other groups are part of. A community is a group too, so that what the routes of
//! groups change of one (subject, description, picture, link, admins) they change of it.

pub(in crate::api) mod groups;
pub(in crate::api) mod people;

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Created, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::api::v1::account::missing::{COMMUNITY_LEAVE, missing};
use crate::api::v1::groups::changes;
use crate::domain::group::{DESCRIPTION_CHARS_MAX, SUBJECT_CHARS_MAX};
use crate::domain::jid::GroupId;
use crate::store::AuditEntry;
use crate::whatsapp::{Community, Group, NewCommunity};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The community that the path names. One that does not read is none of WhatsApp's.
fn named(community: &str) -> Result<GroupId, ApiError> {
    GroupId::parse(community).map_err(|_| ApiError::NotFound("community"))
}

async fn audit(
    api: &Api,
    device: &OwnDevice<Sends>,
    action: &'static str,
    group: &str,
    mut meta: Value,
) -> Result<(), ApiError> {
    meta["device"] = device.id().as_str().into();
    let line = device.tenant.audit(action, "group", group);
    Ok(api.store.audit(AuditEntry { meta: Some(meta), ..line }).await?)
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = NewCommunity)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct CommunityToMake {
    #[schema(min_length = 1, max_length = 100, example = "Our street")]
    subject: String,
    #[schema(required = false, max_length = 2048)]
    description: String,
    /// Who comes waits for an admin.
    #[schema(required = false)]
    join_approval: bool,
    /// Members who are no admins may make groups in it.
    #[schema(required = false)]
    members_create_groups: bool,
    /// Makes a chat for everybody beside the announcements; left out, there is one.
    #[schema(required = false)]
    general_chat: bool,
}

/// Create a community
///
/// With a group for announcements, and a general chat unless `generalChat` is false.
#[utoipa::path(post, path = "/devices/{device}/communities", operation_id = "createCommunity", tag = "Communities",
    request_body = CommunityToMake,
    responses((status = 201, body = Envelope<Group>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Created<Group> {
    let subject = fields.name("subject", SUBJECT_CHARS_MAX, true);
    let description = fields.text("description", 0..=DESCRIPTION_CHARS_MAX, false).filter(|text| !text.is_empty());
    let join_approval = fields.flag("joinApproval").unwrap_or(false);
    let members_create_groups = fields.flag("membersCreateGroups").unwrap_or(false);
    let general_chat = fields.flag("generalChat").unwrap_or(true);
    fields.finish()?;
    let subject = subject.ok_or_else(|| ApiError::field("subject", "is required"))?;
    let new = NewCommunity { subject, description, join_approval, members_create_groups, general_chat };
    let made = changes(&api, &device)?.create_community(&new).await?;
    audit(&api, &device, "group.created", &made.id, json!({ "community": true })).await?;
    Ok((StatusCode::CREATED, enveloped(made)))
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Communities {
    communities: Vec<Group>,
    count: usize,
}

/// Communities of the account
///
/// Every one it is a member of, by subject.
#[utoipa::path(get, path = "/devices/{device}/communities", operation_id = "listCommunities", tag = "Communities",
    responses((status = 200, body = Envelope<Communities>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn list(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<Communities> {
    let communities = device.account(&api)?.communities().await?;
    Ok(enveloped(Communities { count: communities.len(), communities }))
}

/// A community
///
/// With the groups that are part of it, also those that the account is not in.
#[utoipa::path(get, path = "/devices/{device}/communities/{community}", operation_id = "readCommunity",
    tag = "Communities",
    responses((status = 200, body = Envelope<Community>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, community)): Path<(String, String)>,
) -> Answer<Community> {
    let community = named(&community)?;
    Ok(enveloped(device.account(&api)?.community(&community).await?))
}

/// End a community
///
/// For good, and its announcements with it. Its other groups go on by themselves.
#[utoipa::path(delete, path = "/devices/{device}/communities/{community}", operation_id = "deactivateCommunity",
    tag = "Communities",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn deactivate(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, community)): Path<(String, String)>,
) -> Answer<Done> {
    let community = named(&community)?;
    changes(&api, &device)?.deactivate_community(&community).await?;
    audit(&api, &device, "group.deleted", community.as_str(), json!({ "community": true })).await?;
    Ok(done("the community is no more"))
}

/// Leave a community
///
/// The client library has no call for it. Leaving each of its groups can be asked for.
#[utoipa::path(post, path = "/devices/{device}/communities/{community}/leave", operation_id = "leaveCommunity",
    tag = "Communities",
    responses((status = 200, body = Envelope<Done>), (status = 501, response = crate::api::openapi::NotSupported)))]
pub(in crate::api) async fn leave(State(_): State<Api>, _: OwnDevice<Sends>) -> Answer<Done> {
    Err(missing(&COMMUNITY_LEAVE))
}
