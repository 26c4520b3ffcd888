//! What every request passes: its id, its headers, its line in the log and its place in the metrics.

use super::Api;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A client's own id is taken over when it is no longer than this and plain.
const REQUEST_ID_CHARS_MAX: usize = 128;

tokio::task_local! {
    static ID: String;
}

/// The id of the request being handled; empty outside of one.
pub(super) fn request_id() -> String {
    ID.try_with(Clone::clone).unwrap_or_default()
}

pub(super) async fn identify(request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_CHARS_MAX
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let id = given.filter(sane).map_or_else(|| format!("req_{}", uuid::Uuid::now_v7().simple()), str::to_owned);
    let mut response = ID.scope(id.clone(), next.run(request)).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The log has the route's pattern: a path carries ids, and a query may carry a token.
pub(super) async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = matched.unwrap_or_else(|| "unmatched".to_owned());
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    api.metrics.http_request(&route, method.as_str(), status, took);
    tracing::info!(%method, route, status, ms = took.as_secs_f64() * 1000.0, request = request_id(), "request");
    response
}
