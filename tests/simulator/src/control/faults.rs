//! What goes wrong on purpose, until it is cleared.

use super::{Answer, Shareds, bad};
use crate::faults::{FAULTS_MAX, Fault};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

pub(super) async fn list(State(shared): Shareds) -> Json<Value> {
    Json(json!(shared.world.lock().await.faults.0))
}

pub(super) async fn add(State(shared): Shareds, Json(fault): Json<Fault>) -> Answer {
    if !shared.world.lock().await.faults.add(fault) {
        return Err(bad(format!("at most {FAULTS_MAX} faults may stand")));
    }
    Ok(Json(json!({ "added": true })))
}

/// Clears every fault; a connection that was swallowed is closed, since its stanzas are gone.
pub(super) async fn clear(State(shared): Shareds) -> Json<Value> {
    let mut world = shared.world.lock().await;
    world.faults.0.clear();
    let lines = world.accounts.values().flat_map(|a| a.companions.values()).filter_map(|c| c.line.as_ref());
    for line in lines {
        if line.swallowed.load(std::sync::atomic::Ordering::Relaxed) {
            line.hang_up.notify_one();
        }
    }
    Json(json!({ "cleared": true }))
}
