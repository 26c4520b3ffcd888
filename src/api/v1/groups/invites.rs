//! Links that lead into a group.

use super::{changes, named};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::domain::group::INVITE_CHARS_MAX;
use crate::whatsapp::{Group, Joined};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct InviteLink {
    #[schema(example = "https://chat.whatsapp.com/AbCdEfGhIjK")]
    link: String,
    /// Its last part.
    code: String,
}

impl InviteLink {
    fn of(link: String) -> Self {
        let code = link.rsplit('/').next().unwrap_or_default().to_owned();
        Self { link, code }
    }
}

/// A group's invite link
#[utoipa::path(get, path = "/devices/{device}/groups/{group}/invite", operation_id = "readInviteLink",
    tag = "Groups",
    responses((status = 200, body = Envelope<InviteLink>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, group)): Path<(String, String)>,
) -> Answer<InviteLink> {
    let link = device.account(&api)?.invite_link(&named(&group)?, false).await?;
    Ok(enveloped(InviteLink::of(link)))
}

/// Revoke a group's invite link
///
/// The old one leads nowhere from now on; the answer has the new one.
#[utoipa::path(delete, path = "/devices/{device}/groups/{group}/invite", operation_id = "revokeInviteLink",
    tag = "Groups",
    responses((status = 200, body = Envelope<InviteLink>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn revoke(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, group)): Path<(String, String)>,
) -> Answer<InviteLink> {
    let group = named(&group)?;
    let link = changes(&api, &device)?.invite_link(&group, true).await?;
    Ok(enveloped(InviteLink::of(link)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Invitation {
    /// The link, or its code.
    #[param(required = true, min_length = 1, max_length = 256)]
    code: Option<String>,
}

/// What an invite link leads to
///
/// Without joining. The members are not listed.
#[utoipa::path(get, path = "/devices/{device}/groups/preview", operation_id = "previewGroup", tag = "Groups",
    params(Invitation),
    responses((status = 200, body = Envelope<Group>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn preview(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(asked): Query<Invitation>,
) -> Answer<Group> {
    let code = asked.code.ok_or_else(|| ApiError::field("code", "is required"))?;
    let code = invitation(&code).map_err(|why| ApiError::field("code", why))?;
    Ok(enveloped(device.account(&api)?.preview_group(&code).await?))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Following {
    /// The link, or its code.
    #[schema(min_length = 1, max_length = 256)]
    code: String,
}

/// Join a group by its invite link
#[utoipa::path(post, path = "/devices/{device}/groups/join", operation_id = "joinGroup", tag = "Groups",
    request_body = Following,
    responses((status = 200, body = Envelope<Joined>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn join(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    mut fields: Fields,
) -> Answer<Joined> {
    let code = fields.parsed("code", true, invitation);
    fields.finish()?;
    Ok(enveloped(changes(&api, &device)?.join_group(&code.unwrap_or_default()).await?))
}

/// The code of a link as people copy it, or of the code alone.
fn invitation(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "is no invite link such as https://chat.whatsapp.com/AbCdEfGhIjK, and no code of one";
    let text = text.trim();
    let link = ["https://chat.whatsapp.com/", "http://chat.whatsapp.com/", "chat.whatsapp.com/"];
    let code = link.iter().find_map(|start| text.strip_prefix(start)).unwrap_or(text);
    let code = code.strip_prefix("invite/").unwrap_or(code);
    let code = code.split('?').next().unwrap_or(code).trim_end_matches('/');
    let plain = code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && (1..=INVITE_CHARS_MAX).contains(&code.len()) { Ok(code.to_owned()) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_its_code_mean_the_same() {
        for text in [
            "AbCdEf",
            " https://chat.whatsapp.com/AbCdEf ",
            "https://chat.whatsapp.com/invite/AbCdEf/",
            "chat.whatsapp.com/AbCdEf?mode=ac_t",
        ] {
            assert_eq!(invitation(text), Ok("AbCdEf".into()), "{text}");
        }
        for text in ["", "https://example.com/AbCdEf", "https://chat.whatsapp.com/", "a b"] {
            assert!(invitation(text).is_err(), "{text}");
        }
    }
}
