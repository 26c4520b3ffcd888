//! The media host: keeps encrypted blobs as they are uploaded and gives them back by path. It cannot read them.

use crate::faults::Action;
use crate::simulator::Shared;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn upload(
    State(shared): State<Arc<Shared>>,
    Path((kind, token)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    // A client first asks whether an interrupted upload can go on: nothing is stored then.
    if body.is_empty() {
        return (StatusCode::NOT_FOUND, axum::Json(json!({}))).into_response();
    }
    let path = format!("/v/{kind}/{}", hex::encode(token.as_bytes()));
    if !shared.world.keep_file(path.clone(), body) {
        return StatusCode::INSUFFICIENT_STORAGE.into_response();
    }
    let url = format!("https://{}{path}", crate::handlers::MEDIA_HOST);
    axum::Json(json!({ "url": url, "direct_path": path })).into_response()
}

pub(crate) async fn download(
    State(shared): State<Arc<Shared>>,
    Path((kind, name)): Path<(String, String)>,
) -> Response {
    let mut cleared = shared.world.faults_cleared.subscribe();
    let fault = shared.world.faults().download();
    match fault.as_ref().map(|fault| fault.action) {
        Some(Action::Nack) => {
            let code = fault.and_then(|fault| fault.code).and_then(|code| code.parse().ok());
            let status = code.and_then(|code| StatusCode::from_u16(code).ok());
            return status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        }
        // The sender lives as long as the simulator.
        Some(Action::Swallow) => _ = cleared.changed().await,
        _ => {}
    }
    match shared.world.file(&format!("/v/{kind}/{name}")) {
        Some(blob) => blob.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
