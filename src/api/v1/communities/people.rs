//! Who belongs to a community, by its groups.

use super::{audit, named};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::api::v1::groups::changes;
use crate::api::v1::groups::members::{Changed, People, done};
use crate::domain::group::PEOPLE_MAX;
use crate::domain::jid::PersonId;
use crate::whatsapp::Member;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CommunityMembers {
    participants: Vec<Member>,
    count: usize,
}

/// Everybody in the groups of a community
#[utoipa::path(get, path = "/devices/{device}/communities/{community}/participants",
    operation_id = "listCommunityMembers", tag = "Communities",
    responses((status = 200, body = Envelope<CommunityMembers>),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, community)): Path<(String, String)>,
) -> Answer<CommunityMembers> {
    let community = named(&community)?;
    let participants = device.account(&api)?.community_members(&community).await?;
    Ok(enveloped(CommunityMembers { count: participants.len(), participants }))
}

/// Remove people from a community
///
/// And from every group of it.
#[utoipa::path(post, path = "/devices/{device}/communities/{community}/participants/remove",
    operation_id = "removeFromCommunity", tag = "Communities", request_body = People,
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn remove(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, community)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Changed> {
    let community = named(&community)?;
    let people = fields.list("participants", 1..=PEOPLE_MAX, PersonId::parse_written);
    fields.finish()?;
    let people = people.ok_or_else(|| ApiError::field("participants", "is required"))?;
    let results = changes(&api, &device)?.remove_from_community(&community, &people).await?;
    let meta = json!({ "participants": done(&results), "community": true });
    audit(&api, &device, "group.participant.removed", community.as_str(), meta).await?;
    Ok(enveloped(Changed { results }))
}
