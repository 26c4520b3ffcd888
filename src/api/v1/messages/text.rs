//! Texts.

use super::{accept, idempotency_key, quoted_message_id, recipient_anywhere};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, LinkPreview, MENTIONS_MAX, TEXT_CHARS_MAX};
use crate::outbound::accept::{Outgoing, Receipt};
use axum::extract::State;
use axum::http::HeaderMap;
use utoipa::ToSchema;

/// Characters of what a link preview shows.
const PREVIEW_CHARS_MAX: usize = 1_000;
const URL_CHARS_MAX: usize = 2_048;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendText {
    /// A phone number in international form, with or without `+`, spaces and dashes; or a JID of a person, a group or a
    /// newsletter, which shows no mentions and no quotes.
    #[schema(example = "6281234567890")]
    to: String,
    #[schema(min_length = 1, max_length = 65536)]
    text: String,
    /// Phone numbers or JIDs of people who are mentioned.
    #[schema(required = false, max_items = 256)]
    mentions: Vec<String>,
    /// A message of this chat, by our id or WhatsApp's. One that is not known is left out: the text goes without a quote.
    #[schema(required = false, min_length = 1, max_length = 128)]
    quoted_message_id: String,
    /// What is shown of a link in the text. Nothing is fetched: what you give is what is shown.
    #[schema(required = false)]
    link_preview: ShownLink,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

#[derive(ToSchema)]
#[schema(as = LinkPreview)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct ShownLink {
    /// As it stands in the text.
    #[schema(min_length = 1, max_length = 2048)]
    url: String,
    #[schema(min_length = 1, max_length = 1000)]
    title: String,
    #[schema(required = false, min_length = 1, max_length = 1000)]
    description: String,
}

/// Send a text
///
/// On disk when it is answered. The same idempotency key and body answer the first answer again; with another body it
/// is refused. Messages of one chat go out in the order they were accepted.
#[utoipa::path(post, path = "/devices/{device}/messages/text", operation_id = "sendText", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendText,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient_anywhere(&mut fields);
    let text = fields.text("text", 1..=TEXT_CHARS_MAX, true);
    let mentions = fields.list("mentions", 0..=MENTIONS_MAX, ChatId::parse_written).unwrap_or_default();
    let quoted_message_id = quoted_message_id(&mut fields);
    let link_preview = link_preview(&mut fields, text.as_deref());
    let idempotency_key = idempotency_key(&headers, &mut fields);
    if to.as_ref().is_some_and(ChatId::is_newsletter) {
        for (given, field) in [(!mentions.is_empty(), "mentions"), (quoted_message_id.is_some(), "quotedMessageId")] {
            if given {
                fields.wrong(field, "is not for a newsletter");
            }
        }
    }
    fields.finish()?;
    let (Some(chat), Some(text)) = (to, text) else { return Err(ApiError::field("body", "is incomplete")) };
    let content = Content::Text { text, mentions, quoted_message_id, link_preview };
    accept(&api, &device, SendKind::Text, Outgoing { chat, content, idempotency_key }).await
}

fn link_preview(fields: &mut Fields, text: Option<&str>) -> Option<LinkPreview> {
    let mut inner = fields.inner("linkPreview")?;
    let url = inner.text("url", 1..=URL_CHARS_MAX, true);
    let title = inner.text("title", 1..=PREVIEW_CHARS_MAX, true);
    let description = inner.text("description", 1..=PREVIEW_CHARS_MAX, false);
    if let (Some(url), Some(text)) = (&url, text)
        && !text.contains(url.as_str())
    {
        inner.wrong("url", "must stand in the text");
    }
    fields.take_in(inner);
    Some(LinkPreview { url: url?, title: title?, description })
}
