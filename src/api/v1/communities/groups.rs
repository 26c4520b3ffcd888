//! The groups of a community: made in it, linked to it, unlinked, looked at and joined.

use super::{audit, named};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Created, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::api::v1::groups::changes;
use crate::domain::group::{PEOPLE_MAX, SUBJECT_CHARS_MAX};
use crate::domain::jid::{GroupId, PersonId};
use crate::whatsapp::{Group, LinkResult, MemberResult, SubGroupSize};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// Groups in one request. A community has at most about a hundred.
const GROUPS_MAX: usize = 100;

fn group_named(group: &str) -> Result<GroupId, ApiError> {
    GroupId::parse(group).map_err(|_| ApiError::NotFound("group"))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewSubGroup {
    #[schema(min_length = 1, max_length = 100, example = "Number 42")]
    subject: String,
    /// Phone numbers or JIDs.
    #[schema(required = false, max_items = 256, example = json!(["6281234567890"]))]
    participants: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct MadeSubGroup {
    group: Group,
    /// What became of each; somebody whose status is not `200` is not in the group.
    results: Vec<MemberResult>,
}

/// Create a group in a community
///
/// Who cannot be added is left out, and said so; the group is made all the same.
#[utoipa::path(post, path = "/devices/{device}/communities/{community}/groups", operation_id = "createSubGroup",
    tag = "Communities", request_body = NewSubGroup,
    responses((status = 201, body = Envelope<MadeSubGroup>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, community)): Path<(String, String)>,
    mut fields: Fields,
) -> Created<MadeSubGroup> {
    let community = named(&community)?;
    let subject = fields.name("subject", SUBJECT_CHARS_MAX, true);
    let people = fields.list("participants", 0..=PEOPLE_MAX, PersonId::parse_written).unwrap_or_default();
    fields.finish()?;
    let subject = subject.ok_or_else(|| ApiError::field("subject", "is required"))?;
    let made = changes(&api, &device)?.create_group(&subject, &people, Some(&community)).await?;
    let meta = json!({ "participants": people.len(), "community": community.as_str() });
    audit(&api, &device, "group.created", &made.group.id, meta).await?;
    Ok((StatusCode::CREATED, enveloped(MadeSubGroup { group: made.group, results: made.results })))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct GroupsToLink {
    /// Ids of groups.
    #[schema(min_items = 1, max_items = 100, example = json!(["120363000000000001@g.us"]))]
    groups: Vec<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct GroupsToUnlink {
    /// Ids of groups.
    #[schema(min_items = 1, max_items = 100, example = json!(["120363000000000001@g.us"]))]
    groups: Vec<String>,
    /// Sends away from the community who belongs to no other group of it.
    #[schema(required = false)]
    remove_orphans: bool,
}

/// What became of each group.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct LinkedGroups {
    results: Vec<LinkResult>,
}

/// Make groups part of a community
///
/// The account is an admin of both. Whoever is in such a group is in the community from now on.
#[utoipa::path(post, path = "/devices/{device}/communities/{community}/groups/link", operation_id = "linkGroups",
    tag = "Communities", request_body = GroupsToLink,
    responses((status = 200, body = Envelope<LinkedGroups>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn link(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, community)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<LinkedGroups> {
    let community = named(&community)?;
    let groups = fields.list("groups", 1..=GROUPS_MAX, GroupId::parse);
    fields.finish()?;
    let groups = groups.ok_or_else(|| ApiError::field("groups", "is required"))?;
    let results = changes(&api, &device)?.link_groups(&community, &groups).await?;
    audit(&api, &device, "community.groups.linked", community.as_str(), json!({ "results": &results })).await?;
    Ok(enveloped(LinkedGroups { results }))
}

/// Make groups part of a community no longer
#[utoipa::path(post, path = "/devices/{device}/communities/{community}/groups/unlink", operation_id = "unlinkGroups",
    tag = "Communities", request_body = GroupsToUnlink,
    responses((status = 200, body = Envelope<LinkedGroups>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn unlink(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, community)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<LinkedGroups> {
    let community = named(&community)?;
    let groups = fields.list("groups", 1..=GROUPS_MAX, GroupId::parse);
    let orphans_go = fields.flag("removeOrphans").unwrap_or(false);
    fields.finish()?;
    let groups = groups.ok_or_else(|| ApiError::field("groups", "is required"))?;
    let results = changes(&api, &device)?.unlink_groups(&community, &groups, orphans_go).await?;
    let meta = json!({ "results": &results, "removeOrphans": orphans_go });
    audit(&api, &device, "community.groups.unlinked", community.as_str(), meta).await?;
    Ok(enveloped(LinkedGroups { results }))
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SubGroupSizes {
    groups: Vec<SubGroupSize>,
    count: usize,
}

/// How many people are in each group of a community
#[utoipa::path(get, path = "/devices/{device}/communities/{community}/groups/sizes", operation_id = "readSubGroupSizes",
    tag = "Communities",
    responses((status = 200, body = Envelope<SubGroupSizes>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn sizes(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, community)): Path<(String, String)>,
) -> Answer<SubGroupSizes> {
    let community = named(&community)?;
    let groups = device.account(&api)?.sub_group_sizes(&community).await?;
    Ok(enveloped(SubGroupSizes { count: groups.len(), groups }))
}

/// A group of a community
///
/// Also one that the account is not in.
#[utoipa::path(get, path = "/devices/{device}/communities/{community}/groups/{group}", operation_id = "readSubGroup",
    tag = "Communities",
    responses((status = 200, body = Envelope<Group>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, community, group)): Path<(String, String, String)>,
) -> Answer<Group> {
    let (community, group) = (named(&community)?, group_named(&group)?);
    Ok(enveloped(device.account(&api)?.linked_group(&community, &group).await?))
}

/// Join a group of a community
///
/// The account is in the community.
#[utoipa::path(post, path = "/devices/{device}/communities/{community}/groups/{group}/join",
    operation_id = "joinSubGroup", tag = "Communities",
    responses((status = 200, body = Envelope<Group>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn join(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, community, group)): Path<(String, String, String)>,
) -> Answer<Group> {
    let (community, group) = (named(&community)?, group_named(&group)?);
    Ok(enveloped(changes(&api, &device)?.join_linked_group(&community, &group).await?))
}
