//! Whether the process lives, whether it should get requests, and its figures.

use super::Api;
use crate::whatsapp::ENGINE_VERSION;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Always 200: the process answers.
pub(super) async fn alive(State(api): State<Api>) -> Json<Value> {
    Json(json!({
        "status": "alive",
        "timestamp": api.store.clock().now_s(),
        "uptime": api.metrics.uptime().as_secs(),
        "whatsapp_engine_version": ENGINE_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// 503 when the store does not answer or the process is going down.
pub(super) async fn ready(State(api): State<Api>) -> Response {
    let (db, worker) = (api.store.is_alive().await, !api.is_draining());
    let status = if db && worker { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let timestamp = api.store.clock().now_s();
    (status, Json(json!({ "ready": db && worker, "db": db, "worker": worker, "timestamp": timestamp }))).into_response()
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render()).into_response()
}
