//! Groups: making them, and what their members write.

use super::{Answer, Refused, Shareds, account};
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
    for phone in new.members.iter().chain([&new.creator]) {
        account(&shared, phone)?;
    }
    let id = handlers::create_group(&shared.world, &new.creator, &new.subject, &new.members);
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
pub(super) struct GroupSend {
    from: String,
    text: String,
}

pub(super) async fn send(State(shared): Shareds, Path(group): Path<String>, Json(request): Json<GroupSend>) -> Answer {
    if !shared.world.groups().contains_key(&group) {
        return Err(Refused(StatusCode::NOT_FOUND, format!("there is no group {group}")));
    }
    let author = account(&shared, &request.from)?;
    let id = phone::write(&shared.world, &author, Draft::text(&group, &request.text)).await?;
    Ok(Json(json!({ "id": id })))
}
