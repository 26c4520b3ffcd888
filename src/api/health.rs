//! Whether the process lives, whether it should get requests, and its figures.

use super::Api;
use super::caller::{Anybody, ReadsFigures};
use crate::whatsapp::ENGINE_VERSION;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// Always `alive`.
    status: &'static str,
    /// Unix seconds.
    timestamp: i64,
    /// Seconds since the process started.
    uptime: u64,
    whatsapp_engine_version: &'static str,
    version: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    ready: bool,
    /// Whether the store answers.
    db: bool,
    /// Whether the loops run, and the process is not going down.
    worker: bool,
    /// Unix seconds.
    timestamp: i64,
}

/// Whether the process lives
///
/// Always 200; not counted.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "Public", responses((status = 200, body = Alive)))]
pub(super) async fn alive(State(api): State<Api>) -> Json<Alive> {
    Json(Alive {
        status: "alive",
        timestamp: api.store.clock().now_s(),
        uptime: api.metrics.uptime().as_secs(),
        whatsapp_engine_version: ENGINE_VERSION,
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Whether the process should get requests
#[utoipa::path(get, path = "/ready", operation_id = "ready", tag = "Public",
    responses((status = 200, body = Ready),
        (status = 503, body = Ready, description = "The store or a loop does not answer, or the process is going down")))]
pub(super) async fn ready(State(api): State<Api>, _: Anybody) -> Response {
    let (db, worker) = (api.store.is_alive().await, api.is_working());
    let status = if db && worker { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let timestamp = api.store.clock().now_s();
    (status, Json(Ready { ready: db && worker, db, worker, timestamp })).into_response()
}

/// Figures in Prometheus' text form
///
/// Where the operator has set `metrics.token`, it is asked for as `Authorization: Bearer <token>`.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "Public",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
pub(super) async fn metrics(State(api): State<Api>, _: ReadsFigures) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render()).into_response()
}
