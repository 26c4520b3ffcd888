//! Texts, and files with a text below, that are made of a template.

use super::{accept_as, earlier, idempotency_key, recipient_anywhere};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends, no_template};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::api::v1::account::missing::{POST_FILES, missing};
use crate::api::v1::media::{here, no_media};
use crate::api::v1::templates::NAME_CHARS_MAX;
use crate::domain::allowance::SendKind;
use crate::domain::media::CAPTION_CHARS_MAX;
use crate::domain::outgoing::{Content, MediaContent, TEXT_CHARS_MAX};
use crate::domain::template::{Unfilled, fill};
use crate::outbound::accept::{Outgoing, Receipt};
use crate::store::TemplateRow;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use utoipa::ToSchema;

/// Values given with one message.
const VARIABLES_MAX: usize = 100;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendTemplate {
    /// A phone number in international form, or a JID of a person, a group, or, for a template without a file, a newsletter.
    #[schema(example = "6281234567890")]
    to: String,
    /// The name of a template, or its id.
    #[schema(min_length = 1, max_length = 64)]
    template: String,
    /// A text for every place of the template, and no other.
    #[schema(required = false, example = json!({ "name": "Budi", "order": "42" }))]
    variables: HashMap<String, String>,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Send a message that is made of a template
///
/// What goes out, and what plugins and webhooks see, is a text, or the template's file with the text below it; the file
/// is charged to the window of files.
#[utoipa::path(post, path = "/devices/{device}/messages/template", operation_id = "sendTemplate", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendTemplate,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal),
        (status = 501, response = crate::api::openapi::NotSupported)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient_anywhere(&mut fields);
    let name = fields.text("template", 1..=NAME_CHARS_MAX, true);
    let variables: BTreeMap<String, String> =
        fields.texts("variables", VARIABLES_MAX).unwrap_or_default().into_iter().collect();
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(name)) = (to, name) else { return Err(ApiError::field("body", "is incomplete")) };
    let asked = json!({ "template": [chat, name, variables] });
    if let Some(receipt) = earlier(&api, &device, idempotency_key.as_deref(), &asked).await? {
        return Ok(Json(receipt));
    }
    let template = api.store.template(&device.tenant.id, &name).await.map_err(no_template)?;
    if let Some(media) = &template.media {
        if chat.is_newsletter() {
            return Err(missing(&POST_FILES));
        }
        let row = api.store.media(&device.tenant.id, &media.id).await.map_err(no_media)?;
        here(&api, &device.tenant.id, row).await?;
    }
    let (window, content) = filled(template, &variables)?;
    accept_as(&api, &device, window, &asked, Outgoing { chat, content, idempotency_key }).await
}

/// What goes out, and the window it is charged to.
fn filled(template: TemplateRow, variables: &BTreeMap<String, String>) -> Result<(SendKind, Content), ApiError> {
    let (chars_min, chars_max) = match template.media {
        Some(_) => (0, CAPTION_CHARS_MAX),
        None => (1, TEXT_CHARS_MAX),
    };
    let unfit =
        || ApiError::field("variables", format!("make a text that has not {chars_min} to {chars_max} characters"));
    let text = fill(&template.text, variables, chars_max).map_err(|why| match why {
        Unfilled::TooLong { .. } => unfit(),
        Unfilled::Misfit { missing, unknown } => {
            let missing = missing.into_iter().map(|name| (name, "is required by the template"));
            let unknown = unknown.into_iter().map(|name| (name, "is not in the template"));
            ApiError::fields(missing.chain(unknown).map(|(name, why)| (format!("variables.{name}"), why.to_owned())))
        }
    })?;
    if text.chars().count() < chars_min {
        return Err(unfit());
    }
    Ok(match template.media {
        Some(media) => {
            let content = Content::Media(MediaContent {
                media_id: media.id,
                kind: media.kind,
                mime_type: None,
                file_name: media.file_name,
                caption: Some(text).filter(|text| !text.is_empty()),
                ptt: false,
                view_once: false,
                quoted_message_id: None,
            });
            (SendKind::Media, content)
        }
        None => {
            let content = Content::Text { text, mentions: Vec::new(), quoted_message_id: None, link_preview: None };
            (SendKind::Text, content)
        }
    })
}
