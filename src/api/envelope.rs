//! The two forms of an answer: the envelope of admin and device routes, and bare JSON.

use super::error::ApiError;
use super::request::request_id;
use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

pub(super) type Answer = Result<Json<Value>, ApiError>;
pub(super) type AnswerWithStatus = Result<(StatusCode, Json<Value>), ApiError>;

/// `{"success":true,"data":...,"requestId":...}`
pub(super) fn enveloped(data: Value) -> Json<Value> {
    Json(json!({ "success": true, "data": data, "requestId": request_id() }))
}
