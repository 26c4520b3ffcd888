//! Every URL of the gateway, on one screen.

use super::{Api, admin, error, health, request, v1};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, patch, post};

pub fn router(api: Api) -> Router {
    let administration = Router::new()
        .route("/tenants", post(admin::tenants::create).get(admin::tenants::list))
        .route("/tenants/{tenant}", get(admin::tenants::read).delete(admin::tenants::delete))
        .route("/tenants/{tenant}/suspend", patch(admin::tenants::suspend))
        .route("/tenants/{tenant}/activate", patch(admin::tenants::activate))
        .route("/tenants/{tenant}/regenerate-key", post(admin::tenants::regenerate_key))
        .route("/tenants/{tenant}/devices", post(admin::devices::create))
        .route("/tenants/{tenant}/devices/{device}", axum::routing::delete(admin::devices::delete))
        .route("/audit-logs", get(admin::audit::list));

    let tenants = Router::new()
        .route("/devices", get(v1::devices::list))
        .route("/devices/{device}", get(v1::devices::read))
        .route("/devices/{device}/health", get(v1::devices::health))
        .route("/devices/{device}/session", get(v1::devices::session))
        .route("/devices/{device}/start", post(v1::lifecycle::start))
        .route("/devices/{device}/stop", post(v1::lifecycle::stop))
        .route("/devices/{device}/logout", post(v1::lifecycle::logout))
        .route("/devices/{device}/pairing/qr", post(v1::pairing::qr))
        .route("/devices/{device}/pairing/code", post(v1::pairing::code))
        .route("/devices/{device}/messages/text", post(v1::messages::send_text))
        .route("/devices/{device}/messages/{message}/status", get(v1::messages::status))
        .route("/devices/{device}/events", get(v1::events::list))
        .route("/webhooks", post(v1::webhooks::create).get(v1::webhooks::list))
        .route("/webhooks/{webhook}", get(v1::webhooks::read).put(v1::webhooks::replace).delete(v1::webhooks::delete))
        .route("/webhooks/{webhook}/deliveries", get(v1::webhooks::deliveries))
        .nest("/admin", administration.clone());

    Router::new()
        .route("/health", get(health::alive))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .nest("/admin", administration)
        .nest("/v1", tenants)
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(api.settings.body_bytes_max))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(api.clone(), request::observe))
        .layer(from_fn(request::identify))
        .with_state(api)
}
