//! Groups: making them, and what their members write.

use super::{Answer, Refused, Shareds, account};
use crate::compose::Draft;
use crate::handlers::{self, Joined};
use crate::phone;
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
        return Err(no_group(&group));
    }
    let author = account(&shared, &request.from)?;
    let id = phone::write(&shared.world, &author, Draft::text(&group, &request.text)).await?;
    Ok(Json(json!({ "id": id })))
}

pub(super) async fn read(State(shared): Shareds, Path(group): Path<String>) -> Answer {
    let group = shared.world.group(&group).ok_or_else(|| no_group(&group))?;
    let members: Vec<_> =
        group.members.iter().map(|(phone, admin)| json!({ "phone": phone, "admin": admin })).collect();
    Ok(Json(json!({
        "id": group.id,
        "subject": group.subject,
        "description": group.description.map(|(_, text)| text),
        "creator": group.creator,
        "members": members,
        "announce": group.announce,
        "locked": group.locked,
        "approval": group.approval,
        "invite": group.invite,
        "requests": group.requests.keys().collect::<Vec<_>>(),
        "community": group.community.is_some(),
        "linked": group.linked.map(|linked| linked.to),
    })))
}

pub(super) async fn end(State(shared): Shareds, Path(group): Path<String>) -> Answer {
    if handlers::end_group(&shared.world, &group) { Ok(Json(json!({ "ended": group }))) } else { Err(no_group(&group)) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Leave {
    phone: String,
}

pub(super) async fn leave(State(shared): Shareds, Path(group): Path<String>, Json(request): Json<Leave>) -> Answer {
    let account = account(&shared, &request.phone)?;
    if handlers::leave_group(&shared.world, &group, &account) {
        Ok(Json(json!({ "left": group })))
    } else {
        Err(Refused(StatusCode::NOT_FOUND, format!("{} is no member of {group}", request.phone)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    phone: String,
    /// The last part of the link.
    code: String,
}

pub(super) async fn join(State(shared): Shareds, Json(request): Json<Join>) -> Answer {
    let account = account(&shared, &request.phone)?;
    match handlers::join_group(&shared.world, &account, &request.code) {
        Joined::Member(id) => Ok(Json(json!({ "id": id, "waits": false }))),
        Joined::Waits(id) => Ok(Json(json!({ "id": id, "waits": true }))),
        Joined::Already => Err(Refused(StatusCode::CONFLICT, format!("{} is a member", request.phone))),
        Joined::NoSuchLink => Err(Refused(StatusCode::NOT_FOUND, "no group has this link".to_owned())),
    }
}

fn no_group(group: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("there is no group {group}"))
}
