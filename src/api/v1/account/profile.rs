//! What the account shows of itself.

use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice, Reads};
use crate::api::envelope::{Answer, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::group::Picture;
use crate::whatsapp::Profile;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// WhatsApp's own limits.
const NAME_CHARS_MAX: usize = 25;
const ABOUT_CHARS_MAX: usize = 139;

/// The account as others see it
#[utoipa::path(get, path = "/devices/{device}/profile", operation_id = "readProfile", tag = "Account",
    responses((status = 200, body = Envelope<Profile>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn read(State(api): State<Api>, device: OwnDevice<Reads>) -> Answer<Profile> {
    Ok(enveloped(device.account(&api)?.profile().await?))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewProfile {
    #[schema(required = false, min_length = 1, max_length = 25)]
    name: String,
    /// An empty one takes it away.
    #[schema(required = false, max_length = 139)]
    about: String,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct UpdatedProfile {
    updated: Vec<&'static str>,
}

/// Change the account's name or about text
#[utoipa::path(patch, path = "/devices/{device}/profile", operation_id = "setProfile", tag = "Account",
    request_body = NewProfile,
    responses((status = 200, body = Envelope<UpdatedProfile>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn set(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    mut fields: Fields,
) -> Answer<UpdatedProfile> {
    let name = fields.name("name", NAME_CHARS_MAX, false);
    let about = fields.text("about", 0..=ABOUT_CHARS_MAX, false);
    fields.finish()?;
    if name.is_none() && about.is_none() {
        return Err(ApiError::field("body", "must have a name or an about"));
    }
    let account = device.account(&api)?;
    let mut updated = Vec::new();
    if let Some(name) = name {
        account.set_name(&name).await?;
        updated.push("name");
    }
    if let Some(about) = about {
        account.set_about(&about).await?;
        updated.push("about");
    }
    Ok(enveloped(UpdatedProfile { updated }))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewPicture {
    /// A JPEG of at most 512 KiB, base64. WhatsApp shows 640 by 640 pixels.
    picture: String,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct PictureSet {
    /// WhatsApp's id of the picture.
    pub(in crate::api::v1) id: String,
}

/// Set the account's picture
#[utoipa::path(put, path = "/devices/{device}/profile/picture", operation_id = "setProfilePicture", tag = "Account",
    request_body = NewPicture,
    responses((status = 200, body = Envelope<PictureSet>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn set_picture(
    State(api): State<Api>,
    device: OwnDevice<Manages>,
    fields: Fields,
) -> Answer<PictureSet> {
    let picture = picture(fields)?;
    let id = device.account(&api)?.set_picture(picture).await?;
    Ok(enveloped(PictureSet { id }))
}

/// Remove the account's picture
#[utoipa::path(delete, path = "/devices/{device}/profile/picture", operation_id = "removeProfilePicture",
    tag = "Account",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn remove_picture(State(api): State<Api>, device: OwnDevice<Manages>) -> Answer<Done> {
    device.account(&api)?.remove_picture().await?;
    Ok(done("the account has no picture any more"))
}

/// The picture in a body's field of that name, as base64 with or without the head of a data URL.
pub(in crate::api::v1) fn picture(mut fields: Fields) -> Result<Picture, ApiError> {
    const BASE64_CHARS_MAX: usize = Picture::BYTES_MAX.div_ceil(3) * 4 + 64;
    let text = fields.text("picture", 1..=BASE64_CHARS_MAX, true);
    let bytes = text.map(|text| {
        let data = text.split_once(";base64,").map_or(text.as_str(), |(_, data)| data);
        STANDARD.decode(data.trim()).map_err(|_| "must be base64".to_owned())
    });
    let picture = match bytes {
        Some(bytes) => bytes.and_then(|bytes| Picture::parse(bytes).map_err(|why| why.to_string())),
        None => Err("is required".to_owned()),
    };
    // What is wrong with the field itself is said there.
    fields.finish()?;
    picture.map_err(|why| ApiError::field("picture", why))
}
