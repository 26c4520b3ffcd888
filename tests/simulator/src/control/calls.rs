//! Calls that phones make, and their presence.

use super::{Answer, Refused, Shareds, account};
use crate::handlers;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Offer {
    to: String,
    #[serde(default)]
    video: bool,
    /// Hangs up by itself after this time of the simulator's clock.
    ring_ms: Option<u64>,
}

pub(super) async fn offer(State(shared): Shareds, Path(phone): Path<String>, Json(request): Json<Offer>) -> Answer {
    let (caller, to) = (account(&shared, &phone)?, account(&shared, &request.to)?);
    let id = handlers::offer_call(&shared.world, &caller, &to, request.video);
    if let Some(ring_ms) = request.ring_ms {
        let until = shared.world.clock.now_ms().saturating_add(ring_ms);
        let (shared, id) = (shared.clone(), id.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = shared.world.clock.sleep_until(until) => {
                    handlers::end_call(&shared.world, &caller, &id);
                }
                () = shared.stop.cancelled() => {}
            }
        });
    }
    Ok(Json(json!({ "id": id })))
}

pub(super) async fn end(State(shared): Shareds, Path((phone, call)): Path<(String, String)>) -> Answer {
    if handlers::end_call(&shared.world, &*account(&shared, &phone)?, &call) {
        Ok(Json(json!({ "ended": call })))
    } else {
        Err(Refused(StatusCode::NOT_FOUND, format!("the phone made no call {call}")))
    }
}

pub(super) async fn list(State(shared): Shareds, Path(phone): Path<String>) -> Answer {
    let account = account(&shared, &phone)?;
    let state = account.state();
    let calls = state.calls.iter().map(|call| json!({ "id": call.id, "to": call.to, "state": call.state }));
    Ok(Json(Value::Array(calls.collect())))
}

/// What a person does in a chat.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Doing {
    Typing,
    Recording,
    Paused,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPresence {
    available: Option<bool>,
    /// With `to`.
    doing: Option<Doing>,
    to: Option<String>,
}

pub(super) async fn presence(
    State(shared): Shareds,
    Path(phone): Path<String>,
    Json(new): Json<NewPresence>,
) -> Answer {
    let of = account(&shared, &phone)?;
    if let Some(available) = new.available {
        handlers::change_presence(&shared.world, &of, available);
    }
    if let (Some(doing), Some(to)) = (new.doing, new.to) {
        let to = account(&shared, &to)?;
        let said = match doing {
            Doing::Typing => NodeBuilder::new("composing"),
            Doing::Recording => NodeBuilder::new("composing").attr("media", "audio"),
            Doing::Paused => NodeBuilder::new("paused"),
        };
        let state = NodeBuilder::new("chatstate").attr("from", of.phone_jid(0)).children([said.build()]);
        shared.world.flash_to_all(&to, &state.build());
    }
    Ok(Json(json!({ "available": of.state().presence.available })))
}
