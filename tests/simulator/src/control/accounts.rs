//! Accounts: making them, linking devices to them, and what their owners do by themselves.

use super::{Answer, Refused, Shareds, account, bad, digits};
use crate::account::Account;
use crate::connection::{self, Session, Who};
use crate::handlers::{self, Business, PICTURE_BYTES_MAX};
use crate::pairing;
use crate::phone::{self, CHATS_MAX, Change, FILE_MESSAGES, MESSAGES_MAX, Prepared};
use crate::simulator::Shared;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Accounts of one bulk request.
const BULK_ACCOUNTS_MAX: u64 = 5_000;
/// How long a code's answer may take.
const CODE_WAIT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
pub(super) struct NewAccount {
    phone: String,
    name: Option<String>,
    /// Other numbers by which it is found, as of a country whose numbers have grown.
    #[serde(default)]
    also: Vec<String>,
}

pub(super) async fn add(State(shared): Shareds, Json(new): Json<NewAccount>) -> Answer {
    digits(&new.phone)?;
    shared.world.add_account(&new.phone, new.name.as_deref().unwrap_or("Contact"));
    for other in &new.also {
        digits(other)?;
        shared.world.also_known_by(&new.phone, other);
    }
    Ok(Json(json!({ "phone": new.phone })))
}

/// What the owner sees under "settings" on the phone.
pub(super) async fn settings(State(shared): Shareds, Path(phone): Path<String>) -> Answer {
    let account = account(&shared, &phone)?;
    let state = account.state();
    let privacy = handlers::PRIVACY_CATEGORIES
        .map(|(name, default)| (name, state.privacy.get(name).map_or(default, String::as_str)));
    Ok(Json(json!({
        "about": state.about,
        "privacy": std::collections::BTreeMap::from(privacy),
        "blocked": state.blocked,
        "exceptions": state.exceptions,
        "default_timer_s": state.default_timer_s,
    })))
}

/// From now on the account is a business, as described.
pub(super) async fn business(
    State(shared): Shareds,
    Path(phone): Path<String>,
    Json(business): Json<Business>,
) -> Answer {
    account(&shared, &phone)?.state().business = Some(business);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
pub(super) struct Bulk {
    first: u64,
    count: u64,
}

pub(super) async fn add_many(State(shared): Shareds, Json(bulk): Json<Bulk>) -> Answer {
    digits(&bulk.first.to_string())?;
    if bulk.count > BULK_ACCOUNTS_MAX {
        return Err(bad(format!("count must be at most {BULK_ACCOUNTS_MAX}")));
    }
    for number in bulk.first..bulk.first.saturating_add(bulk.count) {
        shared.world.add_account(&number.to_string(), "Contact");
    }
    Ok(Json(json!({ "count": bulk.count })))
}

#[derive(Deserialize)]
pub(super) struct Scan {
    qr: String,
}

pub(super) async fn scan(State(shared): Shareds, Path(phone): Path<String>, Json(request): Json<Scan>) -> Answer {
    let scanned = pairing::read_qr(&request.qr)?;
    let account = account(&shared, &phone)?;
    Ok(Json(json!({ "device": pairing::scan(&shared.world, &account, &scanned)? })))
}

#[derive(Deserialize)]
pub(super) struct Code {
    code: String,
}

pub(super) async fn code(State(shared): Shareds, Path(phone): Path<String>, Json(request): Json<Code>) -> Answer {
    let code: String = request.code.chars().filter(|c| *c != '-').collect::<String>().to_ascii_uppercase();
    let world = &shared.world;
    let account = account(&shared, &phone)?;
    let mut pairing = world.pairing.subscribe();
    let (id, theirs, ephemeral) = pairing::answer_code(world, &account, &code)?;
    let finished = async {
        loop {
            let pair = world.pending().get(&id).map(|pair| pair.finish.clone());
            if let Some((bundle, identity)) = pair.ok_or_else(|| bad("the client is gone"))? {
                let device = pairing::finish_code(world, &account, id, &theirs, &ephemeral, &bundle, identity)?;
                return Ok(Json(json!({ "device": device })));
            }
            // The sender lives as long as the simulator.
            let _ = pairing.changed().await;
        }
    };
    tokio::time::timeout(CODE_WAIT, finished)
        .await
        .unwrap_or_else(|_| Err(Refused(StatusCode::GATEWAY_TIMEOUT, "the client did not answer the code".into())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBehaviour {
    receipts: Option<bool>,
    read: Option<bool>,
    play: Option<bool>,
    hide_number: Option<bool>,
    reply: Option<String>,
}

pub(super) async fn behaviour(
    State(shared): Shareds,
    Path(phone): Path<String>,
    Json(new): Json<NewBehaviour>,
) -> Answer {
    let account = account(&shared, &phone)?;
    let behaviour = &mut account.state().behaviour;
    behaviour.receipts = new.receipts.unwrap_or(behaviour.receipts);
    behaviour.read = new.read.unwrap_or(behaviour.read);
    behaviour.play = new.play.unwrap_or(behaviour.play);
    behaviour.hide_number = new.hide_number.unwrap_or(behaviour.hide_number);
    behaviour.reply = new.reply.filter(|text| !text.is_empty());
    Ok(Json(json!({
        "receipts": behaviour.receipts,
        "read": behaviour.read,
        "play": behaviour.play,
        "hide_number": behaviour.hide_number,
        "reply": behaviour.reply,
    })))
}

pub(super) async fn devices(State(shared): Shareds, Path(phone): Path<String>) -> Answer {
    let account = account(&shared, &phone)?;
    let state = account.state();
    let all = state.companions.iter().map(|(id, companion)| {
        json!({
            "device": id,
            "connected": companion.line.is_some(),
            "active": companion.active,
            "removed": companion.removed,
            "waiting": companion.waiting(),
            "dropped": companion.dropped,
            "prekeys": companion.prekeys.len(),
        })
    });
    Ok(Json(Value::Array(all.collect())))
}

#[derive(Deserialize, Default)]
pub(super) struct Kick {
    #[serde(default)]
    reason: String,
}

pub(super) async fn kick(
    State(shared): Shareds,
    Path((phone, device)): Path<(String, u16)>,
    request: Option<Json<Kick>>,
) -> Answer {
    let reason = request.map(|Json(kick)| kick.reason).unwrap_or_default();
    if !["", "401", "device_removed", "515", "516", "conflict", "503"].contains(&reason.as_str()) {
        return Err(bad("reason must be 401, device_removed, 515, 516, 503, conflict or absent"));
    }
    let account = account(&shared, &phone)?;
    let line = {
        let state = account.state();
        let companion = state.companions.get(&device).ok_or_else(|| no_device(&phone, device))?;
        companion.line.clone().ok_or_else(|| bad("the device is not connected"))?
    };
    connection::kick(&shared.world, &Who::Device(Session { account, device, line: line.clone() }), &line, &reason);
    Ok(Json(json!({ "kicked": device })))
}

fn no_device(phone: &str, device: u16) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("the account {phone} has no device {device}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    chats: u32,
    /// In each chat.
    messages: u32,
    /// In each chat before those, given when a device asks for them.
    #[serde(default)]
    older: u32,
    /// Messages of one file.
    per_file: Option<u32>,
}

pub(super) async fn history(
    State(shared): Shareds,
    Path(phone): Path<String>,
    Json(History { chats, messages, older, per_file }): Json<History>,
) -> Answer {
    if chats > CHATS_MAX || chats.saturating_mul(messages.saturating_add(older)) > MESSAGES_MAX {
        return Err(bad(format!("at most {CHATS_MAX} chats, and {MESSAGES_MAX} messages in all of them")));
    }
    let per_file = per_file.unwrap_or(FILE_MESSAGES).max(1);
    let at = i64::try_from(shared.world.now()).unwrap_or(i64::MAX);
    account(&shared, &phone)?.state().history = Prepared { chats, messages, older, per_file, at };
    Ok(Json(json!({ "chats": chats, "messages": messages, "older": older, "per_file": per_file })))
}

/// The phone is installed anew: other keys, no sessions, no linked devices. Who knows it is told.
pub(super) async fn reinstall(State(shared): Shareds, Path(phone): Path<String>) -> Answer {
    let account = account(&shared, &phone)?;
    unlink_all(&shared, &account);
    account.reinstall().await;
    handlers::identity_renewed(&shared.world, &account);
    Ok(Json(json!({ "phone": phone })))
}

fn unlink_all(shared: &Shared, account: &Arc<Account>) {
    let lines: Vec<_> = {
        let mut state = account.state();
        state.companions.values_mut().for_each(|companion| companion.removed = true);
        let lines = state.companions.iter().filter_map(|(device, companion)| Some((*device, companion.line.clone()?)));
        lines.collect()
    };
    for (device, line) in lines {
        let who = Who::Device(Session { account: account.clone(), device, line: line.clone() });
        connection::kick(&shared.world, &who, &line, "device_removed");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewNumber {
    new: String,
}

/// Its owner moves to another number, with an account of the same name. Who knows the old one is told.
pub(super) async fn number(
    State(shared): Shareds,
    Path(phone): Path<String>,
    Json(NewNumber { new }): Json<NewNumber>,
) -> Answer {
    digits(&new)?;
    let old = account(&shared, &phone)?;
    if shared.world.account(&new).is_some() {
        return Err(Refused(StatusCode::CONFLICT, format!("{new} is somebody's number")));
    }
    unlink_all(&shared, &old);
    shared.world.add_account(&new, &old.name);
    let moved = account(&shared, &new)?;
    moved.state().acquaintances = old.state().acquaintances.clone();
    handlers::number_moved(&shared.world, &old, &moved);
    shared.world.remove_account(&phone);
    Ok(Json(json!({ "phone": new })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPicture {
    /// Base64; without it the picture goes.
    data: Option<String>,
}

pub(super) async fn picture(State(shared): Shareds, Path(phone): Path<String>, Json(new): Json<NewPicture>) -> Answer {
    let account = account(&shared, &phone)?;
    let bytes = new.data.map(|data| BASE64.decode(data)).transpose().map_err(|_| bad("data is no base64"))?;
    if bytes.as_ref().is_some_and(|bytes| bytes.is_empty() || bytes.len() > PICTURE_BYTES_MAX) {
        return Err(bad(format!("a picture has 1 to {PICTURE_BYTES_MAX} bytes")));
    }
    let id = handlers::change_picture(&shared.world, &account.phone_jid(0), bytes);
    Ok(Json(json!({ "id": id })))
}

/// What the owner sets on the phone.
pub(super) async fn set(State(shared): Shareds, Path(phone): Path<String>, Json(change): Json<Change>) -> Answer {
    let account = account(&shared, &phone)?;
    phone::set(&shared.world, &account, change)?;
    Ok(Json(json!({})))
}

/// Who has seen which of the account's status posts.
pub(super) async fn views(State(shared): Shareds, Path(phone): Path<String>) -> Answer {
    let views = account(&shared, &phone)?.state().views.clone();
    Ok(Json(views.into_iter().map(|(id, by)| json!({ "id": id, "by": by })).collect()))
}
