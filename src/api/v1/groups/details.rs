//! What a group is called, what it looks like, and what its members may do.

use super::{changes, named};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::api::v1::account::contacts::{Size, picture_of};
use crate::api::v1::account::profile::{NewPicture, PictureSet, picture as given};
use crate::domain::group::{DESCRIPTION_CHARS_MAX, EPHEMERAL_SECONDS, MemberAdds, SUBJECT_CHARS_MAX, Settings};
use crate::whatsapp::PictureLink;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewSubject {
    #[schema(min_length = 1, max_length = 100)]
    subject: String,
}

/// Change a group's subject
#[utoipa::path(put, path = "/devices/{device}/groups/{group}/subject", operation_id = "setGroupSubject",
    tag = "Groups", request_body = NewSubject,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn subject(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let group = named(&group)?;
    let subject = fields.name("subject", SUBJECT_CHARS_MAX, true);
    fields.finish()?;
    changes(&api, &device)?.set_subject(&group, &subject.unwrap_or_default()).await?;
    Ok(done("the subject is changed"))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewDescription {
    /// An empty one takes it away.
    #[schema(max_length = 2048)]
    description: String,
}

/// Change a group's description
#[utoipa::path(put, path = "/devices/{device}/groups/{group}/description", operation_id = "setGroupDescription",
    tag = "Groups", request_body = NewDescription,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn description(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let group = named(&group)?;
    let text = fields.text("description", 0..=DESCRIPTION_CHARS_MAX, true).unwrap_or_default();
    fields.finish()?;
    changes(&api, &device)?.set_description(&group, Some(text.as_str()).filter(|text| !text.is_empty())).await?;
    Ok(done("the description is changed"))
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct GroupSettings {
    /// Only admins write.
    #[schema(required = false)]
    announce: bool,
    /// Only admins change subject, description and picture.
    #[schema(required = false)]
    locked: bool,
    /// Who follows the invite link waits for an admin.
    #[schema(required = false)]
    join_approval: bool,
    /// After how many seconds messages disappear: 0 (never), 86400, 604800 or 7776000.
    #[schema(required = false)]
    ephemeral_seconds: u32,
    /// Who may add members.
    #[schema(required = false)]
    member_add: MemberAdds,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Updated {
    updated: Vec<&'static str>,
}

/// Change what members of a group may do
///
/// At least one setting; what is absent stays. Each is a request to WhatsApp of its own, in the order of the schema, and
/// the first refusal ends it: read the group to see what was set.
#[utoipa::path(patch, path = "/devices/{device}/groups/{group}/settings", operation_id = "setGroupSettings",
    tag = "Groups", request_body = GroupSettings,
    responses((status = 200, body = Envelope<Updated>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn settings(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Updated> {
    let group = named(&group)?;
    let settings = Settings {
        announce: fields.flag("announce"),
        locked: fields.flag("locked"),
        join_approval: fields.flag("joinApproval"),
        ephemeral_seconds: ephemeral("ephemeralSeconds", &mut fields),
        member_add: fields.parsed("memberAdd", false, |text| match text {
            "admins" => Ok(MemberAdds::Admins),
            "everyone" => Ok(MemberAdds::Everyone),
            _ => Err("must be admins or everyone"),
        }),
    };
    fields.finish()?;
    if settings.is_empty() {
        return Err(ApiError::field("body", "must name at least one setting"));
    }
    let mut updated = Vec::new();
    changes(&api, &device)?.set_group_settings(&group, &settings, &mut updated).await?;
    Ok(enveloped(Updated { updated }))
}

/// One of the times after which WhatsApp lets messages disappear.
pub(in crate::api::v1) fn ephemeral(field: &str, fields: &mut Fields) -> Option<u32> {
    let seconds = fields.whole(field, 0..=u32::MAX)?;
    if EPHEMERAL_SECONDS.contains(&seconds) {
        return Some(seconds);
    }
    let allowed = EPHEMERAL_SECONDS.map(|seconds| seconds.to_string()).join(", ");
    fields.wrong(field, format!("must be one of {allowed}"));
    None
}

/// A group's picture
///
/// Where it is to be had, for some hours. 404 when there is none.
#[utoipa::path(get, path = "/devices/{device}/groups/{group}/picture", operation_id = "readGroupPicture",
    tag = "Groups", params(Size),
    responses((status = 200, body = Envelope<PictureLink>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn picture(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, group)): Path<(String, String)>,
    Query(size): Query<Size>,
) -> Answer<PictureLink> {
    picture_of(&api, &device, &named(&group)?.chat(), &size).await
}

/// Set a group's picture
#[utoipa::path(put, path = "/devices/{device}/groups/{group}/picture", operation_id = "setGroupPicture",
    tag = "Groups", request_body = NewPicture,
    responses((status = 200, body = Envelope<PictureSet>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn set_picture(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
    fields: Fields,
) -> Answer<PictureSet> {
    let (group, picture) = (named(&group)?, given(fields)?);
    let id = changes(&api, &device)?.set_group_picture(&group, picture).await?;
    Ok(enveloped(PictureSet { id }))
}

/// Remove a group's picture
#[utoipa::path(delete, path = "/devices/{device}/groups/{group}/picture", operation_id = "removeGroupPicture",
    tag = "Groups",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn remove_picture(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
) -> Answer<Done> {
    let group = named(&group)?;
    changes(&api, &device)?.remove_group_picture(&group).await?;
    Ok(done("the group has no picture any more"))
}
