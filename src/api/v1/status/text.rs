//! Texts on a colour.

use super::{Recipients, audience};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::api::v1::messages::{accept_as, earlier, idempotency_key};
use crate::domain::allowance::SendKind;
use crate::domain::jid::ChatId;
use crate::domain::outgoing::Content;
use crate::domain::status_post::{BACKGROUND_DEFAULT, Background, Font, StatusPost, TEXT_CHARS_MAX};
use crate::outbound::accept::{Outgoing, Receipt};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::json;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct PostText {
    #[schema(min_length = 1, max_length = 700)]
    text: String,
    /// Behind the text: `#RRGGBB`, or `#AARRGGBB`.
    #[schema(required = false, pattern = "^#([0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})$", example = "#1E6E4F")]
    background_color: String,
    #[schema(required = false)]
    font: Font,
    /// Phone numbers or JIDs of people. Left out: those of the account's address book, as its phone shares it, when they are
    /// at most 1,000.
    #[schema(required = false, min_items = 1, max_items = 1000, example = json!(["6281234567890"]))]
    recipients: Vec<String>,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Post a text to the status
///
/// On disk when it is answered; its progress is that of a message. Whom the phone excepts from seeing status posts is not
/// known here: name `recipients` where that matters. Who is not on WhatsApp is left out.
#[utoipa::path(post, path = "/devices/{device}/status/text", operation_id = "postStatusText", tag = "Status",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = PostText,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn text(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let text = fields.text("text", 1..=TEXT_CHARS_MAX, true);
    let background = fields.parsed("backgroundColor", false, Background::parse).unwrap_or(BACKGROUND_DEFAULT);
    let font = fields.parsed("font", false, Font::parse).unwrap_or(Font::System);
    let recipients = Recipients::read(&mut fields);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let text = text.ok_or_else(|| ApiError::field("text", "is required"))?;
    let asked = json!({ "status": [text, background, font, recipients.named()] });
    if let Some(receipt) = earlier(&api, &device, idempotency_key.as_deref(), &asked).await? {
        return Ok(Json(receipt));
    }
    let audience = audience(&api, &device, &recipients).await?;
    let shown = Content::Text { text, mentions: Vec::new(), quoted_message_id: None, link_preview: None };
    let post = StatusPost { shown: Box::new(shown), background: Some(background), font: Some(font), audience };
    let outgoing = Outgoing { chat: ChatId::status(), content: Content::Status(post), idempotency_key };
    accept_as(&api, &device, SendKind::Status, &asked, outgoing).await
}
