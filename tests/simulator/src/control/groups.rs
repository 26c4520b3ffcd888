//! Groups: making them, and what their members write.

use super::{Answer, Refused, Shareds, no_account};
use crate::compose::Draft;
use crate::{handlers, phone};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
pub(super) struct NewGroup {
    subject: String,
    creator: String,
    members: Vec<String>,
}

pub(super) async fn create(State(shared): Shareds, Json(new): Json<NewGroup>) -> Answer {
    let mut world = shared.world.lock().await;
    for phone in new.members.iter().chain([&new.creator]) {
        if !world.accounts.contains_key(phone) {
            return Err(no_account(phone));
        }
    }
    Ok(Json(json!({ "id": handlers::create_group(&mut world, &new.creator, &new.subject, &new.members) })))
}

#[derive(Deserialize)]
pub(super) struct GroupSend {
    from: String,
    text: String,
}

pub(super) async fn send(State(shared): Shareds, Path(group): Path<String>, Json(request): Json<GroupSend>) -> Answer {
    let mut world = shared.world.lock().await;
    if !world.groups.contains_key(&group) {
        return Err(Refused(StatusCode::NOT_FOUND, format!("there is no group {group}")));
    }
    let id = phone::write(&mut world, &request.from, &Draft::text(&group, &request.text)).await?;
    drop(world);
    shared.changed.send_modify(|count| *count += 1);
    Ok(Json(json!({ "id": id })))
}
