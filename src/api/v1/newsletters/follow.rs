//! Following newsletters: where a link leads, coming, going, and being left in peace.

use super::named;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::api::v1::groups::changes;
use crate::domain::group::INVITE_CHARS_MAX;
use crate::whatsapp::Newsletter;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ChannelLink {
    /// The link, or its code.
    #[param(required = true, min_length = 1, max_length = 256, example = "https://whatsapp.com/channel/0029VaAbCdEf")]
    code: Option<String>,
}

/// What a newsletter's link leads to
#[utoipa::path(get, path = "/devices/{device}/newsletters/preview", operation_id = "previewNewsletter",
    tag = "Newsletters", params(ChannelLink),
    responses((status = 200, body = Envelope<Newsletter>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn preview(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(asked): Query<ChannelLink>,
) -> Answer<Newsletter> {
    let code = asked.code.ok_or_else(|| ApiError::field("code", "is required"))?;
    let code = invitation(&code).map_err(|why| ApiError::field("code", why))?;
    Ok(enveloped(device.account(&api)?.preview_newsletter(&code).await?))
}

/// The code of a link as people copy it, or of the code alone.
fn invitation(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "is no link such as https://whatsapp.com/channel/0029VaAbCdEf, and no code of one";
    let text = text.trim();
    let text = ["https://", "http://"].iter().find_map(|start| text.strip_prefix(start)).unwrap_or(text);
    let text = text.strip_prefix("www.").unwrap_or(text);
    let code = text.strip_prefix("whatsapp.com/channel/").unwrap_or(text);
    let code = code.split('?').next().unwrap_or(code).trim_end_matches('/');
    let plain = code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && (1..=INVITE_CHARS_MAX).contains(&code.len()) { Ok(code.to_owned()) } else { Err(WRONG) }
}

/// Follow a newsletter
///
/// What is posted there comes as `message.received` from now on. Once more changes nothing.
#[utoipa::path(post, path = "/devices/{device}/newsletters/{newsletter}/follow", operation_id = "followNewsletter",
    tag = "Newsletters",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn follow(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter)): Path<(String, String)>,
) -> Answer<Done> {
    let newsletter = named(&newsletter)?;
    changes(&api, &device)?.follow_newsletter(&newsletter).await?;
    Ok(done("the account follows the newsletter"))
}

/// Follow a newsletter no longer
///
/// Its owner cannot.
#[utoipa::path(post, path = "/devices/{device}/newsletters/{newsletter}/unfollow", operation_id = "unfollowNewsletter",
    tag = "Newsletters",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn unfollow(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter)): Path<(String, String)>,
) -> Answer<Done> {
    let newsletter = named(&newsletter)?;
    changes(&api, &device)?.unfollow_newsletter(&newsletter).await?;
    Ok(done("the account does not follow the newsletter"))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewsletterMute {
    mute: bool,
}

/// Mute a newsletter, or do not
///
/// On the account's phones: what is posted comes here all the same.
#[utoipa::path(post, path = "/devices/{device}/newsletters/{newsletter}/mute", operation_id = "muteNewsletter",
    tag = "Newsletters", request_body = NewsletterMute,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn mute(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let newsletter = named(&newsletter)?;
    let mute = fields.flag("mute");
    if !fields.has("mute") {
        fields.wrong("mute", "is required");
    }
    fields.finish()?;
    let mute = mute.unwrap_or_default();
    changes(&api, &device)?.mute_newsletter(&newsletter, mute).await?;
    Ok(done(if mute { "the newsletter is muted" } else { "the newsletter is not muted" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_its_code_mean_the_same() {
        for text in [
            "0029VaAb",
            " https://whatsapp.com/channel/0029VaAb ",
            "https://www.whatsapp.com/channel/0029VaAb/",
            "whatsapp.com/channel/0029VaAb?src=qr",
        ] {
            assert_eq!(invitation(text), Ok("0029VaAb".into()), "{text}");
        }
        for text in ["", "https://example.com/0029VaAb", "https://whatsapp.com/channel/", "a b"] {
            assert!(invitation(text).is_err(), "{text}");
        }
    }
}
