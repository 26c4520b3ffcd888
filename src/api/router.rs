//! Every URL of the gateway, on one screen.

use super::{Api, ApiSettings, admin, docs, error, health, openapi, request, v1};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::cors::{Any, CorsLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

/// What the operator does: below /admin, and again below /v1/admin.
fn administration() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(admin::tenants::create, admin::tenants::list))
        .routes(routes!(admin::tenants::read, admin::tenants::delete))
        .routes(routes!(admin::tenants::suspend))
        .routes(routes!(admin::tenants::activate))
        .routes(routes!(admin::tenants::regenerate_key))
        .routes(routes!(admin::devices::create))
        .routes(routes!(admin::devices::delete))
        .routes(routes!(admin::audit::list))
        .routes(routes!(admin::plugins::list))
        .routes(routes!(admin::config::plan))
        .routes(routes!(admin::config::apply))
}

/// What a tenant does, below /v1.
fn tenants() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(v1::devices::list))
        .routes(routes!(v1::devices::sessions))
        .routes(routes!(v1::devices::read))
        .routes(routes!(v1::devices::health))
        .routes(routes!(v1::devices::session))
        .routes(routes!(v1::lifecycle::start))
        .routes(routes!(v1::lifecycle::stop))
        .routes(routes!(v1::lifecycle::logout))
        .routes(routes!(v1::pairing::qr))
        .routes(routes!(v1::pairing::code))
        .routes(routes!(v1::messages::send_text))
        .routes(routes!(v1::messages::status))
        .routes(routes!(v1::events::list))
        .routes(routes!(v1::events::of_tenant))
        .routes(routes!(v1::events::replay))
        .routes(routes!(v1::webhooks::create, v1::webhooks::list))
        .routes(routes!(v1::webhooks::read, v1::webhooks::replace, v1::webhooks::delete))
        .routes(routes!(v1::webhooks::deliveries))
        .routes(
            routes!(v1::plugins::list, v1::plugins::install).layer(DefaultBodyLimit::max(v1::plugins::FORM_BYTES_MAX)),
        )
        .routes(routes!(v1::plugins::read, v1::plugins::revise, v1::plugins::remove))
        .routes(routes!(v1::plugins::enable))
        .routes(routes!(v1::plugins::disable))
        .routes(routes!(v1::plugins::reload))
        .routes(routes!(v1::plugins::promote))
        .routes(routes!(v1::plugins::roll_back))
        .routes(routes!(v1::plugins::logs))
        .routes(routes!(v1::plugins::traces))
        .routes(routes!(v1::plugins::differences))
        .routes(routes!(v1::plugins::kv, v1::plugins::delete_kv))
        .routes(routes!(v1::pipeline::read))
        .routes(routes!(v1::pipeline::attempt))
}

/// The routes that the API document describes, and the document.
fn described() -> (Router<Api>, OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(openapi::about())
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .nest("/admin", administration())
        .nest("/v1", tenants())
        .split_for_parts();
    (router, openapi::complete(document))
}

/// The OpenAPI 3.1 document, as /docs/json serves it.
pub fn document() -> OpenApi {
    described().1
}

pub fn router(api: Api) -> Router {
    let (routes, document) = described();
    let documentation = Router::new()
        .route("/docs", get(docs::page))
        .route("/docs/json", get(docs::json))
        .route("/docs/yaml", get(docs::yaml))
        .route("/docs/{asset}", get(docs::asset))
        .layer(axum::Extension(docs::Document::new(&document)));
    routes
        .merge(documentation)
        .nest("/v1/admin", administration().split_for_parts().0)
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(api.settings.body_bytes_max))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(error::panicked))
        .layer(cors(&api.settings))
        .layer(from_fn_with_state(api.clone(), request::observe))
        .layer(from_fn_with_state(api.clone(), request::identify))
        .with_state(api)
}

/// Off unless the operator names origins.
fn cors(settings: &ApiSettings) -> CorsLayer {
    let origins = settings.cors_origins.clone();
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(Any).expose_headers(Any);
    if origins.iter().any(|origin| origin == "*") { layer.allow_origin(Any) } else { layer.allow_origin(origins) }
}
