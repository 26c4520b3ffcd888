//! Newsletters: making them, and what their owners post and their followers do.

use super::{Answer, Refused, Shareds, account};
use crate::handlers::{self, Reaction};
use crate::message;
use crate::newsletter::Post;
use crate::node::message_id;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use prost::Message as _;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    name: String,
    #[serde(default)]
    description: String,
    owner: String,
}

pub(super) async fn create(State(shared): Shareds, Json(new): Json<New>) -> Answer {
    account(&shared, &new.owner)?;
    let id = handlers::make_newsletter(&shared.world, &new.owner, &new.name, &new.description);
    let invite = shared.world.newsletters().get(&id).map(|newsletter| newsletter.invite.clone());
    Ok(Json(json!({ "id": format!("{id}@newsletter"), "invite": invite })))
}

/// With or without its `@newsletter`.
fn plain(id: &str) -> &str {
    id.strip_suffix("@newsletter").unwrap_or(id)
}

pub(super) async fn read(State(shared): Shareds, Path(id): Path<String>) -> Answer {
    let newsletters = shared.world.newsletters();
    let found = newsletters.get(plain(&id)).ok_or_else(|| no_newsletter(&id))?;
    let posts: Vec<_> = found
        .posts
        .iter()
        .map(|post| {
            let said = crate::wa::Message::decode(&post.body[..]).unwrap_or_default();
            let text = message::content(&said).conversation.clone();
            json!({
                "id": post.id, "server_id": post.server_id, "text": text, "deleted": post.body.is_empty(),
                "reactions": post.reactions,
            })
        })
        .collect();
    Ok(Json(json!({
        "id": format!("{}@newsletter", found.id),
        "name": found.name,
        "description": found.description,
        "owner": found.owner,
        "invite": found.invite,
        "picture": found.picture.as_ref().map(|picture| &picture.id),
        "followers": found.followers,
        "posts": posts,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPost {
    text: String,
}

/// Its owner posts on the phone.
pub(super) async fn post(State(shared): Shareds, Path(id): Path<String>, Json(new): Json<NewPost>) -> Answer {
    let owner = shared.world.newsletters().get(plain(&id)).map(|newsletter| newsletter.owner.clone());
    let post = Post {
        server_id: 0,
        id: message_id(),
        at: shared.world.now(),
        kind: "text".to_owned(),
        media: String::new(),
        body: message::text(&new.text).encode_to_vec(),
        author: owner.ok_or_else(|| no_newsletter(&id))?,
        reactions: BTreeMap::new(),
    };
    let wa_id = post.id.clone();
    let server_id = handlers::publish(&shared.world, plain(&id), post, None).map_err(|code| refused(&id, code))?;
    Ok(Json(json!({ "id": wa_id, "server_id": server_id })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Following {
    phone: String,
    follows: bool,
}

pub(super) async fn follow(State(shared): Shareds, Path(id): Path<String>, Json(asked): Json<Following>) -> Answer {
    let account = account(&shared, &asked.phone)?;
    if handlers::set_newsletter_following(&shared.world, plain(&id), &account.number, asked.follows) {
        Ok(Json(json!({ "follows": asked.follows })))
    } else {
        Err(no_newsletter(&id))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewReaction {
    phone: String,
    server_id: u64,
    emoji: String,
}

pub(super) async fn react(State(shared): Shareds, Path(id): Path<String>, Json(new): Json<NewReaction>) -> Answer {
    let account = account(&shared, &new.phone)?;
    let reaction = Reaction { server_id: new.server_id, code: new.emoji };
    let done = handlers::react(&shared.world, plain(&id), &account.number, &reaction);
    done.map_err(|code| refused(&id, code))?;
    Ok(Json(json!({ "reacted": new.server_id })))
}

fn no_newsletter(id: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("there is no newsletter {id} that allows this"))
}

fn refused(id: &str, code: &str) -> Refused {
    Refused(StatusCode::CONFLICT, format!("the newsletter {id} refuses it with {code}"))
}
