//! The HTTP + JSON API that drives the simulator; README.md documents it. Errors are `{"error": "..."}`.

mod accounts;
mod calls;
mod faults;
mod groups;
mod messages;
mod newsletters;

use crate::account::Account;
use crate::clock::{ADVANCE_MS_MAX, Unmoved};
use crate::companion::Companion;
use crate::connection;
use crate::media;
use crate::simulator::Shared;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A request's body: a file of the largest size as base64 fits.
const BODY_BYTES_MAX: usize = 96 << 20;

type Shareds = State<Arc<Shared>>;
type Answer = Result<Json<Value>, Refused>;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ws/chat", get(chat))
        .route("/health", get(|| async { Json(json!({ "status": "alive" })) }))
        .route("/stats", get(stats))
        .route("/root", get(root))
        .route("/unanswered", get(unanswered))
        .route("/clock", get(clock).post(advance))
        .route("/accounts", post(accounts::add))
        .route("/accounts/bulk", post(accounts::add_many))
        .route("/accounts/{phone}/settings", get(accounts::settings))
        .route("/accounts/{phone}/scan", post(accounts::scan))
        .route("/accounts/{phone}/code", post(accounts::code))
        .route("/accounts/{phone}/messages", post(messages::send))
        .route("/accounts/{phone}/inbox", get(messages::inbox))
        .route("/accounts/{phone}/behaviour", post(accounts::behaviour))
        .route("/accounts/{phone}/devices", get(accounts::devices))
        .route("/accounts/{phone}/devices/{device}/kick", post(accounts::kick))
        .route("/accounts/{phone}/history", post(accounts::history))
        .route("/accounts/{phone}/reinstall", post(accounts::reinstall))
        .route("/accounts/{phone}/number", post(accounts::number))
        .route("/accounts/{phone}/business", post(accounts::business))
        .route("/accounts/{phone}/picture", post(accounts::picture))
        .route("/accounts/{phone}/settings", post(accounts::set))
        .route("/accounts/{phone}/views", get(accounts::views))
        .route("/accounts/{phone}/presence", post(calls::presence))
        .route("/accounts/{phone}/calls", get(calls::list).post(calls::offer))
        .route("/accounts/{phone}/calls/{call}/end", post(calls::end))
        .route("/groups", post(groups::create))
        .route("/groups/{group}", get(groups::read).delete(groups::end))
        .route("/groups/{group}/messages", post(groups::send))
        .route("/groups/{group}/leave", post(groups::leave))
        .route("/groups/join", post(groups::join))
        .route("/newsletters", post(newsletters::create))
        .route("/newsletters/{newsletter}", get(newsletters::read))
        .route("/newsletters/{newsletter}/posts", post(newsletters::post))
        .route("/newsletters/{newsletter}/follow", post(newsletters::follow))
        .route("/newsletters/{newsletter}/reactions", post(newsletters::react))
        .route("/faults", get(faults::list).post(faults::add).delete(faults::clear))
        .route("/files/expire", post(expire))
        .route("/mms/{kind}/{token}", post(media::upload))
        .route("/v/{kind}/{name}", get(media::download))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

/// Why a control request was refused.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}"))
    }
}

fn bad(reason: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, reason.into())
}

fn no_account(phone: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("there is no account {phone}"))
}

fn account(shared: &Shared, phone: &str) -> Result<Arc<Account>, Refused> {
    shared.world.account(phone).ok_or_else(|| no_account(phone))
}

fn digits(phone: &str) -> Result<(), Refused> {
    let fits = (7..=15).contains(&phone.len()) && phone.bytes().all(|b| b.is_ascii_digit()) && !phone.starts_with('0');
    if fits { Ok(()) } else { Err(bad("phone must be 7 to 15 digits in international form")) }
}

async fn chat(State(shared): Shareds, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        if let Err(error) = connection::serve(shared, socket).await {
            tracing::debug!(%error, "a connection failed");
        }
    })
}

async fn root(State(shared): Shareds) -> Json<Value> {
    Json(json!({ "key": hex::encode(crate::noise::public_key(&shared.identity.root)) }))
}

#[derive(Deserialize)]
struct Expiry {
    #[serde(default)]
    lost: bool,
}

async fn expire(State(shared): Shareds, Json(expiry): Json<Expiry>) -> Json<Value> {
    Json(json!({ "expired": shared.world.expire_files(expiry.lost) }))
}

async fn stats(State(shared): Shareds) -> Json<Value> {
    let world = &shared.world;
    let accounts = world.accounts();
    let (mut devices, mut online, mut displayed, mut waiting) = (0, 0, 0, 0);
    for account in &accounts {
        let state = account.state();
        devices += state.companions.values().filter(|companion| !companion.removed).count();
        online += state.companions.values().filter(|companion| companion.active).count();
        displayed += state.inbox.len();
        waiting += state.companions.values().map(Companion::waiting).sum::<usize>();
    }
    Json(json!({
        "accounts": accounts.len(),
        "devices": devices,
        "online": online,
        "messages": world.messages(),
        "displayed": displayed,
        "waiting": waiting,
        "groups": world.groups().len(),
        "files": world.files(),
        "faults": world.faults().0.len(),
    }))
}

async fn clock(State(shared): Shareds) -> Json<Value> {
    Json(json!({ "now_ms": shared.world.clock.now_ms() }))
}

#[derive(Deserialize)]
struct Advance {
    advance_ms: u64,
}

async fn advance(State(shared): Shareds, Json(request): Json<Advance>) -> Answer {
    match shared.world.clock.advance(request.advance_ms) {
        Ok(now_ms) => Ok(Json(json!({ "now_ms": now_ms }))),
        Err(Unmoved::TooFar) => Err(bad(format!("advance_ms must be at most {ADVANCE_MS_MAX}"))),
        Err(Unmoved::System) => Err(Refused(
            StatusCode::CONFLICT,
            "the clock is the machine's; start the simulator with --manual-clock".to_owned(),
        )),
    }
}

async fn unanswered(State(shared): Shareds) -> Json<Value> {
    Json(json!(shared.world.unanswered()))
}
