//! Messages with buttons, or with a list to choose from.

use super::{accept, idempotency_key, recipient};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::interactive::{
    BODY_CHARS_MAX, BUTTONS_MAX, Button, CHOICE_ID_CHARS_MAX, Choices, DESCRIPTION_CHARS_MAX, EDGE_CHARS_MAX,
    Interactive, LABEL_CHARS_MAX, ListRow, ROWS_MAX, SECTIONS_MAX, Section, TITLE_CHARS_MAX, URL_CHARS_MAX,
};
use crate::domain::outgoing::Content;
use crate::outbound::accept::{Outgoing, Receipt};
use axum::extract::State;
use axum::http::HeaderMap;
use std::collections::BTreeSet;
use url::Url;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendInteractive {
    /// A phone number in international form, or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    #[schema(min_length = 1, max_length = 1024)]
    body: String,
    #[schema(required = false, min_length = 1, max_length = 60)]
    header: String,
    #[schema(required = false, min_length = 1, max_length = 60)]
    footer: String,
    /// 1 to 3. Either these or `sections`.
    #[schema(required = false, min_items = 1, max_items = 3)]
    buttons: Vec<InteractiveButton>,
    /// What stands on the button that opens the list; needed with `sections`.
    #[schema(required = false, min_length = 1, max_length = 20)]
    button_text: String,
    /// 1 to 10, with 1 to 10 rows in all.
    #[schema(required = false, min_items = 1, max_items = 10)]
    sections: Vec<InteractiveSection>,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Either `id`, which the answer brings back, or `url`, which is opened.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct InteractiveButton {
    #[schema(min_length = 1, max_length = 20)]
    text: String,
    #[schema(required = false, min_length = 1, max_length = 200)]
    id: String,
    #[schema(required = false, min_length = 1, max_length = 2048)]
    url: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct InteractiveSection {
    /// Needed when there are several sections.
    #[schema(required = false, min_length = 1, max_length = 24)]
    title: String,
    #[schema(min_items = 1, max_items = 10)]
    rows: Vec<InteractiveRow>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct InteractiveRow {
    /// No two alike in one message.
    #[schema(min_length = 1, max_length = 200)]
    id: String,
    #[schema(min_length = 1, max_length = 24)]
    title: String,
    #[schema(required = false, min_length = 1, max_length = 72)]
    description: String,
}

/// Send buttons or a list
///
/// WhatsApp made these for its business platform: from a linked account its phones show them today, and it may stop that at
/// any time. Say in `body` what can be answered in words. What somebody chooses is a `message.received` of the type
/// `interactive_reply`.
#[utoipa::path(post, path = "/devices/{device}/messages/interactive", operation_id = "sendInteractive", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendInteractive,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient(&mut fields);
    let body = fields.text("body", 1..=BODY_CHARS_MAX, true);
    let header = fields.text("header", 1..=EDGE_CHARS_MAX, false);
    let footer = fields.text("footer", 1..=EDGE_CHARS_MAX, false);
    let choices = choices(&mut fields);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(body), Some(choices)) = (to, body, choices) else {
        return Err(ApiError::field("body", "is incomplete"));
    };
    let content = Content::Interactive(Interactive { body, header, footer, choices });
    accept(&api, &device, SendKind::Text, Outgoing { chat, content, idempotency_key }).await
}

/// `None` only beside an error.
fn choices(fields: &mut Fields) -> Option<Choices> {
    match (fields.has("buttons"), fields.has("sections")) {
        (true, false) => buttons(fields).map(|buttons| Choices::Buttons { buttons }),
        (false, true) => {
            let label = fields.text("buttonText", 1..=LABEL_CHARS_MAX, true);
            let sections = sections(fields);
            Some(Choices::List { label: label?, sections: sections? })
        }
        _ => {
            fields.wrong("buttons", "give one of buttons and sections");
            None
        }
    }
}

fn buttons(fields: &mut Fields) -> Option<Vec<Button>> {
    let mut ids = BTreeSet::new();
    let mut buttons = Vec::new();
    for mut one in fields.inner_list("buttons", 1..=BUTTONS_MAX) {
        buttons.push(button(&mut one, &mut ids));
        fields.take_in(one);
    }
    buttons.into_iter().collect()
}

fn button(fields: &mut Fields, ids: &mut BTreeSet<String>) -> Option<Button> {
    let text = fields.text("text", 1..=LABEL_CHARS_MAX, true);
    let id = choice_id(fields, false, ids);
    let url = fields.parsed("url", false, address);
    if fields.has("id") == fields.has("url") {
        fields.wrong("id", "give one of id and url");
    }
    match (text?, id, url) {
        (text, Some(id), None) => Some(Button::Reply { id, text }),
        (text, None, Some(url)) => Some(Button::Link { text, url }),
        _ => None,
    }
}

fn sections(fields: &mut Fields) -> Option<Vec<Section>> {
    let inner = fields.inner_list("sections", 1..=SECTIONS_MAX);
    let several = inner.len() > 1;
    let (mut ids, mut rows_in_all) = (BTreeSet::new(), 0);
    let mut sections = Vec::new();
    for mut one in inner {
        let title = one.text("title", 1..=TITLE_CHARS_MAX, several);
        let mut rows = Vec::new();
        for mut row in one.inner_list("rows", 1..=ROWS_MAX) {
            rows.push(list_row(&mut row, &mut ids));
            one.take_in(row);
        }
        rows_in_all += rows.len();
        fields.take_in(one);
        sections.push(rows.into_iter().collect::<Option<Vec<_>>>().map(|rows| Section { title, rows }));
    }
    if rows_in_all > ROWS_MAX {
        fields.wrong("sections", format!("must have at most {ROWS_MAX} rows in all"));
    }
    sections.into_iter().collect()
}

fn list_row(fields: &mut Fields, ids: &mut BTreeSet<String>) -> Option<ListRow> {
    let id = choice_id(fields, true, ids);
    let title = fields.text("title", 1..=TITLE_CHARS_MAX, true);
    let description = fields.text("description", 1..=DESCRIPTION_CHARS_MAX, false);
    Some(ListRow { id: id?, title: title?, description })
}

/// An answer names what was chosen by this alone.
fn choice_id(fields: &mut Fields, required: bool, ids: &mut BTreeSet<String>) -> Option<String> {
    let id = fields.text("id", 1..=CHOICE_ID_CHARS_MAX, required)?;
    if !ids.insert(id.clone()) {
        fields.wrong("id", "is there twice");
        return None;
    }
    Some(id)
}

fn address(text: &str) -> Result<String, &'static str> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match Url::parse(text) {
        Ok(url) if is_web(&url) && text.len() <= URL_CHARS_MAX => Ok(text.to_owned()),
        _ => Err("must be an address that begins with https:// or http://"),
    }
}
