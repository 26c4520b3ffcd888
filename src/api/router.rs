//! Every URL of the gateway, on one screen.

use super::{Api, ApiSettings, admin, docs, error, health, openapi, request, v1};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
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
        .routes(routes!(admin::keys::create, admin::keys::list))
        .routes(routes!(admin::keys::rotate))
        .routes(routes!(admin::keys::revoke))
        .routes(routes!(admin::devices::create))
        .routes(routes!(admin::devices::delete))
        .routes(routes!(admin::overview::usage))
        .routes(routes!(admin::overview::devices))
        .routes(routes!(admin::overview::health))
        .routes(routes!(admin::overview::metrics))
        .routes(routes!(admin::overview::messages))
        .routes(routes!(admin::upkeep::rate_limits))
        .routes(routes!(admin::upkeep::reset_rate_limits))
        .routes(routes!(admin::upkeep::clean_up))
        .routes(routes!(admin::upkeep::dead_letters, admin::upkeep::replay_dead_letters))
        .routes(routes!(admin::audit::list))
        .routes(routes!(admin::plugins::list))
        .routes(routes!(admin::config::plan))
        .routes(routes!(admin::config::apply))
}

/// What a tenant does, below /v1.
fn tenants() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(v1::keys::create, v1::keys::list))
        .routes(routes!(v1::keys::rotate))
        .routes(routes!(v1::keys::revoke))
        .routes(routes!(v1::devices::list))
        .routes(routes!(v1::devices::sessions))
        .routes(routes!(v1::devices::read))
        .routes(routes!(v1::devices::health))
        .routes(routes!(v1::devices::session))
        .routes(routes!(v1::debug::protocol))
        .routes(routes!(v1::lifecycle::start))
        .routes(routes!(v1::lifecycle::stop))
        .routes(routes!(v1::lifecycle::logout))
        .routes(routes!(v1::pairing::qr))
        .routes(routes!(v1::pairing::code))
        .routes(routes!(v1::messages::text::send))
        .routes(routes!(v1::messages::location::send))
        .routes(routes!(v1::messages::contact::send))
        .routes(routes!(v1::messages::reaction::send))
        .routes(routes!(v1::messages::poll::send))
        .routes(routes!(v1::messages::forward::send))
        .routes(routes!(v1::messages::template::send))
        .routes(routes!(v1::messages::interactive::send))
        .routes(routes!(v1::messages::edit::send, v1::messages::delete::send))
        .routes(routes!(v1::messages::poll::read))
        .merge(media_messages())
        .routes(routes!(v1::messages::status::read))
        .routes(routes!(v1::status::text))
        .routes(routes!(v1::status::delete))
        .routes(routes!(v1::status::view))
        .routes(routes!(v1::media::upload).layer(DefaultBodyLimit::disable()))
        .routes(routes!(v1::media::read, v1::media::remove))
        .routes(routes!(v1::events::list))
        .routes(routes!(v1::events::of_tenant))
        .routes(routes!(v1::events::replay))
        .routes(routes!(v1::event_stream::of_tenant))
        .routes(routes!(v1::event_stream::of_device))
        .routes(routes!(v1::chat_socket::open))
        .routes(routes!(v1::templates::create, v1::templates::list))
        .routes(routes!(v1::templates::read, v1::templates::replace, v1::templates::delete))
        .routes(routes!(v1::webhooks::create, v1::webhooks::list))
        .routes(routes!(v1::webhooks::read, v1::webhooks::replace, v1::webhooks::delete))
        .routes(routes!(v1::webhooks::trial::test))
        .routes(routes!(v1::webhooks::secret::rotate))
        .routes(routes!(v1::webhooks::stats::read))
        .routes(routes!(v1::webhooks::deliveries::list))
        .routes(routes!(v1::webhooks::deliveries::read))
        .routes(routes!(v1::webhooks::deliveries::retry))
        .routes(routes!(
            v1::webhooks::dead_letters::list,
            v1::webhooks::dead_letters::replay,
            v1::webhooks::dead_letters::delete
        ))
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

/// What is asked of a connected account at once, below /v1.
fn account() -> OpenApiRouter<Api> {
    use v1::account::{business, calls, contacts, exceptions, missing, presence, privacy, profile, status_mute};
    use v1::chats::{self, change};
    use v1::communities::{self, groups as sub_groups, people};
    use v1::groups::{self, details, invites, members};
    use v1::newsletters::{self, follow, posts};
    OpenApiRouter::new()
        .routes(routes!(groups::create))
        .routes(routes!(groups::list))
        .routes(routes!(invites::preview))
        .routes(routes!(invites::join))
        .routes(routes!(groups::read))
        .routes(routes!(groups::leave))
        .routes(routes!(members::add))
        .routes(routes!(members::remove))
        .routes(routes!(members::promote))
        .routes(routes!(members::demote))
        .routes(routes!(members::requests))
        .routes(routes!(members::approve))
        .routes(routes!(members::reject))
        .routes(routes!(details::subject))
        .routes(routes!(details::description))
        .routes(routes!(details::settings))
        .routes(routes!(details::picture, details::set_picture, details::remove_picture))
        .routes(routes!(invites::read, invites::revoke))
        .routes(routes!(communities::create, communities::list))
        .routes(routes!(communities::read, communities::deactivate))
        .routes(routes!(communities::leave))
        .routes(routes!(sub_groups::create))
        .routes(routes!(sub_groups::link))
        .routes(routes!(sub_groups::unlink))
        .routes(routes!(sub_groups::sizes))
        .routes(routes!(sub_groups::read))
        .routes(routes!(sub_groups::join))
        .routes(routes!(people::list))
        .routes(routes!(people::remove))
        .routes(routes!(newsletters::create, newsletters::list))
        .routes(routes!(follow::preview))
        .routes(routes!(newsletters::read, newsletters::change, newsletters::delete))
        .routes(routes!(newsletters::set_picture, newsletters::remove_picture))
        .routes(routes!(follow::follow))
        .routes(routes!(follow::unfollow))
        .routes(routes!(follow::mute))
        .routes(routes!(posts::list))
        .routes(routes!(posts::react))
        .routes(routes!(posts::watch))
        .routes(routes!(presence::show))
        .routes(routes!(presence::subscribe))
        .routes(routes!(presence::unsubscribe))
        .routes(routes!(privacy::read, privacy::set))
        .routes(routes!(privacy::default_timer))
        .routes(routes!(exceptions::read, exceptions::set))
        .routes(routes!(privacy::blocked))
        .routes(routes!(privacy::block))
        .routes(routes!(privacy::unblock))
        .routes(routes!(profile::read, profile::set))
        .routes(routes!(profile::set_picture, profile::remove_picture))
        .routes(routes!(contacts::list))
        .routes(routes!(contacts::check))
        .routes(routes!(contacts::read))
        .routes(routes!(contacts::identity))
        .routes(routes!(contacts::picture))
        .routes(routes!(status_mute::set))
        .routes(routes!(calls::reject))
        .routes(routes!(chats::list::list))
        .routes(routes!(chats::list::sync))
        .routes(routes!(chats::messages::list))
        .routes(routes!(chats::search::search))
        .routes(routes!(chats::read::mark))
        .routes(routes!(change::archive))
        .routes(routes!(change::mute))
        .routes(routes!(change::pin))
        .routes(routes!(change::star))
        .routes(routes!(change::clear))
        .routes(routes!(change::delete))
        .routes(routes!(change::disappearing))
        .routes(routes!(chats::history::ask))
        .routes(routes!(chats::labels::put, chats::labels::take))
        .routes(routes!(v1::labels::create, v1::labels::list))
        .routes(routes!(v1::labels::replace, v1::labels::delete))
        .routes(routes!(business::profile, missing::business_profile))
        .routes(routes!(business::catalog))
}

/// Messages with files. Their bodies are bounded where they are read: a file by what the gateway takes, the rest by less.
fn media_messages() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(v1::messages::media::send))
        .routes(routes!(v1::messages::media::image))
        .routes(routes!(v1::messages::media::video))
        .routes(routes!(v1::messages::media::audio))
        .routes(routes!(v1::messages::media::document))
        .routes(routes!(v1::messages::media::sticker))
        .routes(routes!(v1::status::image))
        .routes(routes!(v1::status::video))
        .layer(DefaultBodyLimit::disable())
}

/// The routes that the API document describes, and the document.
fn described() -> (Router<Api>, OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(openapi::about())
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .nest("/admin", administration())
        .nest("/v1", tenants().merge(account()))
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

/// Off unless the operator names origins. Headers are named in the answer: `*` would not stand for `Authorization`.
fn cors(settings: &ApiSettings) -> CorsLayer {
    let origins = settings.cors_origins.clone();
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(AllowHeaders::mirror_request()).expose_headers(Any);
    if origins.iter().any(|origin| origin == "*") { layer.allow_origin(Any) } else { layer.allow_origin(origins) }
}
