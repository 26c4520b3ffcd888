//! Polls, and how the votes on one stand.

use super::status::no_message;
use super::{accept, idempotency_key, recipient};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::domain::allowance::SendKind;
use crate::domain::ids::MessageId;
use crate::domain::outgoing::Content;
use crate::domain::poll::{OPTION_CHARS_MAX, OPTIONS_MAX, OPTIONS_MIN, Poll, QUESTION_CHARS_MAX, Tally};
use crate::outbound::accept::{Outgoing, Receipt};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use std::cell::RefCell;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendPoll {
    /// A phone number in international form, or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    #[schema(min_length = 1, max_length = 255)]
    question: String,
    /// No two alike, of 1 to 100 characters each.
    #[schema(min_items = 2, max_items = 12)]
    options: Vec<String>,
    /// How many options one person may choose; 0 is any number, and what is left out is 1.
    #[schema(required = false, minimum = 0, maximum = 12)]
    selectable_count: u32,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// Send a poll
///
/// Every vote is an event `poll.vote` with the tally of each option as of that vote.
#[utoipa::path(post, path = "/devices/{device}/messages/poll", operation_id = "sendPoll", tag = "Messages",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
    request_body = SendPoll,
    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn send(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    headers: HeaderMap,
    mut fields: Fields,
) -> Bare<Receipt> {
    let to = recipient(&mut fields);
    let question = fields.text("question", 1..=QUESTION_CHARS_MAX, true);
    let seen = RefCell::new(Vec::new());
    let options = fields.list("options", OPTIONS_MIN..=OPTIONS_MAX, |text| option(text, &mut seen.borrow_mut()));
    let count = match seen.into_inner().len() {
        0 => OPTIONS_MAX,
        count => count,
    };
    let most = u32::try_from(count).unwrap_or(u32::MAX);
    let selectable_count = fields.whole("selectableCount", 0..=most).unwrap_or(1);
    let idempotency_key = idempotency_key(&headers, &mut fields);
    fields.finish()?;
    let (Some(chat), Some(question), Some(options)) = (to, question, options) else {
        return Err(ApiError::field("body", "is incomplete"));
    };
    let content = Content::Poll(Poll { question, options, selectable_count });
    accept(&api, &device, SendKind::Poll, Outgoing { chat, content, idempotency_key }).await
}

/// `seen` are those before it.
fn option(text: &str, seen: &mut Vec<String>) -> Result<String, String> {
    let again = seen.iter().any(|earlier| earlier == text);
    seen.push(text.to_owned());
    match text.chars().count() {
        1..=OPTION_CHARS_MAX if again => Err("is there twice".to_owned()),
        1..=OPTION_CHARS_MAX => Ok(text.to_owned()),
        _ => Err(format!("must have 1 to {OPTION_CHARS_MAX} characters")),
    }
}

/// How the votes on a poll stand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PollState)]
pub(in crate::api) struct Shown {
    /// Null of a poll that this gateway did not send.
    id: Option<MessageId>,
    wa_message_id: String,
    chat: String,
    question: String,
    selectable_count: u32,
    /// Every option in its order, also one that nobody chose.
    tallies: Vec<Tally>,
}

/// How the votes on a poll stand
///
/// A poll that the device sent, or received while it was linked here; by our id or WhatsApp's. Of each person the latest
/// vote counts.
#[utoipa::path(get, path = "/devices/{device}/messages/{message}/poll", operation_id = "readPoll", tag = "Messages",
    responses((status = 200, body = Shown)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, message)): Path<(String, String)>,
) -> Bare<Shown> {
    let row = api.store.poll(&device.tenant.id, device.id(), &message).await.map_err(no_message)?;
    Ok(Json(Shown {
        id: row.id,
        wa_message_id: row.wa_id,
        chat: row.chat,
        question: row.poll.question,
        selectable_count: row.poll.selectable_count,
        tallies: row.tallies,
    }))
}
