//! Archive, mute, pin, star, clear, delete; and let messages disappear.

use super::{CHANGED, ChatChanged, Place, known};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::{Answer, Bare, Done, Envelope, done};
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::api::fields::Fields;
use crate::api::v1::groups::details::ephemeral;
use crate::domain::allowance::SendKind;
use crate::domain::chat::{Change, muted_until};
use crate::domain::jid::PersonId;
use crate::limits::Key;
use crate::store::StoreError;
use crate::whatsapp::Named;
use axum::Json;
use axum::extract::State;
use utoipa::ToSchema;

/// A switch that has an older name too. Both at once are refused.
fn switch(fields: &mut Fields, name: &'static str, older: &'static str) -> Option<bool> {
    match (fields.has(name), fields.has(older)) {
        (true, true) => {
            fields.wrong(older, format!("is another name of {name:?}; give one of them"));
            None
        }
        (false, true) => fields.flag(older),
        (true, false) => fields.flag(name),
        (false, false) => {
            fields.wrong(name, "is required");
            None
        }
    }
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Archive {
    /// Its older name `archived` is taken too.
    archive: bool,
}

/// Archive a chat, or take it back
#[utoipa::path(post, path = "/devices/{device}/chats/{chat}/archive", operation_id = "archiveChat", tag = "Chats",
    request_body = Archive,
    responses((status = 200, body = ChatChanged), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn archive(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat)): Path<(String, String)>,
    mut fields: Fields,
) -> Bare<ChatChanged> {
    let on = switch(&mut fields, "archive", "archived");
    fields.finish()?;
    let on = on.ok_or_else(|| ApiError::field("archive", "is required"))?;
    let place = Place::of(&api, &device, &chat).await?;
    device.account(&api)?.archive_chat(&place.address, on, place.newest.as_ref()).await?;
    place.done(&api, &device, Change::Archived(on)).await?;
    Ok(Json(CHANGED))
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Mute {
    /// Its older name `muted` is taken too.
    mute: bool,
    /// For how long; without it, and beyond ten years, until somebody ends it.
    #[schema(required = false, minimum = 1)]
    duration_ms: i64,
    /// The same in seconds; one of the two.
    #[schema(required = false, minimum = 1)]
    duration_seconds: i64,
}

/// Mute a chat, or end it
#[utoipa::path(post, path = "/devices/{device}/chats/{chat}/mute", operation_id = "muteChat", tag = "Chats",
    request_body = Mute,
    responses((status = 200, body = ChatChanged), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn mute(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat)): Path<(String, String)>,
    mut fields: Fields,
) -> Bare<ChatChanged> {
    let on = switch(&mut fields, "mute", "muted");
    let duration_ms = duration_ms(&mut fields);
    fields.finish()?;
    let on = on.ok_or_else(|| ApiError::field("mute", "is required"))?;
    let until = if on { muted_until(api.store.clock().now_ms(), duration_ms) } else { 0 };
    let place = Place::of(&api, &device, &chat).await?;
    device.account(&api)?.mute_chat(&place.address, until).await?;
    place.done(&api, &device, Change::MutedUntil(until)).await?;
    Ok(Json(CHANGED))
}

fn duration_ms(fields: &mut Fields) -> Option<i64> {
    if fields.has("durationMs") && fields.has("durationSeconds") {
        fields.wrong("durationSeconds", "is given in \"durationMs\" already; give one of them");
        return None;
    }
    let ms = fields.number("durationMs", 1.0..=f64::from(u32::MAX) * 1_000.0, false);
    let seconds = fields.number("durationSeconds", 1.0..=f64::from(u32::MAX), false);
    // Within its range it is a whole number of milliseconds that fits.
    ms.or(seconds.map(|seconds| seconds * 1_000.0)).map(|ms| ms as i64)
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Pin {
    /// Its other name `pinned` is taken too.
    pin: bool,
}

/// Pin a chat, or take it back
#[utoipa::path(post, path = "/devices/{device}/chats/{chat}/pin", operation_id = "pinChat", tag = "Chats",
    request_body = Pin,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn pin(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let on = switch(&mut fields, "pin", "pinned");
    fields.finish()?;
    let on = on.ok_or_else(|| ApiError::field("pin", "is required"))?;
    let place = Place::of(&api, &device, &chat).await?;
    device.account(&api)?.pin_chat(&place.address, on).await?;
    place.done(&api, &device, Change::Pinned(on)).await?;
    Ok(done(if on { "the chat is pinned" } else { "the chat is pinned no more" }))
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Star {
    /// Its other name `starred` is taken too.
    star: bool,
}

/// Star a message, or take it back
///
/// By our id or WhatsApp's, of this chat.
#[utoipa::path(post, path = "/devices/{device}/chats/{chat}/messages/{message}/star", operation_id = "starMessage",
    tag = "Chats", request_body = Star,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn star(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat, message)): Path<(String, String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let on = switch(&mut fields, "star", "starred");
    fields.finish()?;
    let on = on.ok_or_else(|| ApiError::field("star", "is required"))?;
    let row = known(&api, &device, &chat).await?;
    let line = api.store.chat_line(&device.tenant.id, row.id, &message).await.map_err(|error| match error {
        StoreError::NotFound => ApiError::NotFound("message"),
        other => other.into(),
    })?;
    let participant = (row.is_group && !line.from_me).then_some(line.sender.as_str());
    let named = Named { wa_id: &line.wa_id, from_me: line.from_me, participant };
    device.account(&api)?.star(&row.address, &named, on).await?;
    let place = Place { address: row.address, newest: None };
    place.done(&api, &device, Change::Starred { wa_id: line.wa_id.clone(), starred: on }).await?;
    Ok(done(if on { "the message is starred" } else { "the message is starred no more" }))
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Clear {
    /// Leaves starred messages where they are.
    #[schema(required = false)]
    keep_starred: bool,
}

/// Clear a chat
///
/// Its messages go from the account's devices and from here; the chat stays.
#[utoipa::path(post, path = "/devices/{device}/chats/{chat}/clear", operation_id = "clearChat", tag = "Chats",
    request_body = Clear,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn clear(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let keep_starred = fields.flag("keepStarred").unwrap_or(false);
    fields.finish()?;
    known(&api, &device, &chat).await?;
    let place = Place::of(&api, &device, &chat).await?;
    device.account(&api)?.clear_chat(&place.address, keep_starred, place.newest.as_ref()).await?;
    place.done(&api, &device, Change::Cleared { keep_starred }).await?;
    Ok(done("the chat is cleared"))
}

/// Delete a chat
///
/// It goes, with its messages, from the account's devices and from here. Others keep what they have.
#[utoipa::path(delete, path = "/devices/{device}/chats/{chat}", operation_id = "deleteChat", tag = "Chats",
    responses((status = 200, body = Envelope<Done>), (status = 400, response = crate::api::openapi::Unfit),
        (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat)): Path<(String, String)>,
) -> Answer<Done> {
    known(&api, &device, &chat).await?;
    let place = Place::of(&api, &device, &chat).await?;
    device.account(&api)?.delete_chat(&place.address, place.newest.as_ref()).await?;
    place.done(&api, &device, Change::Deleted).await?;
    Ok(done("the chat is deleted"))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct ChatTimer {
    /// 0 (never), 86400, 604800 or 7776000.
    #[schema(example = 86400)]
    seconds: u32,
}

/// Set after which time the messages of a chat disappear
///
/// Of a person's chat, for both sides; a group has `ephemeralSeconds` among its settings. A live request that the other side
/// sees as a line in the chat: it counts as a text, and is done when WhatsApp says so. What this gateway sends there stays.
#[utoipa::path(put, path = "/devices/{device}/chats/{chat}/disappearing", operation_id = "setChatDisappearing",
    tag = "Chats", request_body = ChatTimer,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn disappearing(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, chat)): Path<(String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let person = PersonId::parse_written(&chat);
    if let Err(error) = &person {
        fields.wrong("chat", error.to_string());
    }
    let seconds = ephemeral("seconds", &mut fields);
    if !fields.has("seconds") {
        fields.wrong("seconds", "is required");
    }
    fields.finish()?;
    let seconds = seconds.ok_or_else(|| ApiError::field("seconds", "is required"))?;
    let place = Place::of(&api, &device, &chat).await?;
    let account = device.account(&api)?;
    api.limits.charge_own(&Key::Sent(SendKind::Text, device.id().clone()), &device.tenant.allowance)?;
    account.set_chat_ephemeral(&place.address, seconds).await?;
    Ok(done(if seconds == 0 { "messages of the chat stay" } else { "messages of the chat disappear after that time" }))
}
