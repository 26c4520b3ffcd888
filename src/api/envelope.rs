//! The two forms of an answer: the envelope of admin and device routes, and the bare value of the others.

use super::error::ApiError;
use super::request::request_id;
use axum::Json;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// What admin and device routes answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<T> {
    /// Always true; an error has another shape.
    success: bool,
    data: T,
    /// Also in the header `X-Request-Id`, and in our log.
    request_id: String,
}

pub(super) type Answer<T> = Result<Json<Envelope<T>>, ApiError>;
pub(super) type Created<T> = Result<(StatusCode, Json<Envelope<T>>), ApiError>;
pub(super) type Bare<T> = Result<Json<T>, ApiError>;

pub(super) fn enveloped<T>(data: T) -> Json<Envelope<T>> {
    Json(Envelope { success: true, data, request_id: request_id() })
}

/// Something was done and there is nothing else to tell.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// For people.
    message: &'static str,
}

pub(super) fn done(message: &'static str) -> Json<Envelope<Done>> {
    enveloped(Done { message })
}
