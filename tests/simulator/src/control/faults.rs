//! What goes wrong on purpose, until it is cleared.

use super::{Answer, Shareds, bad};
use crate::faults::{FAULTS_MAX, Fault};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

pub(super) async fn list(State(shared): Shareds) -> Json<Value> {
    Json(json!(shared.world.faults().0))
}

pub(super) async fn add(State(shared): Shareds, Json(fault): Json<Fault>) -> Answer {
    if !shared.world.faults().add(fault) {
        return Err(bad(format!("at most {FAULTS_MAX} faults may stand")));
    }
    Ok(Json(json!({ "added": true })))
}

/// Clears every fault; a connection that was swallowed is closed, since its stanzas are gone.
pub(super) async fn clear(State(shared): Shareds) -> Json<Value> {
    shared.world.faults().0.clear();
    shared.world.faults_cleared.send_modify(|times| *times += 1);
    for account in shared.world.accounts() {
        for line in account.state().companions.values().filter_map(|companion| companion.line.as_ref()) {
            if line.swallowed.load(std::sync::atomic::Ordering::Relaxed) {
                line.hang_up.notify_one();
            }
        }
    }
    Json(json!({ "cleared": true }))
}
