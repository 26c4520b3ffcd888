//! The HTTP + JSON API that drives the simulator; README.md documents it. Errors are `{"error": "..."}`.

use crate::connection::{self, Who};
use crate::faults::{FAULTS_MAX, Fault};
use crate::simulator::Shared;
use crate::world::{Account, now};
use crate::{handlers, media, message, pairing, phone, wa};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Accounts of one bulk request.
const BULK_ACCOUNTS_MAX: u64 = 5_000;
/// Longest wait of an inbox request.
const INBOX_WAIT_MS_MAX: u64 = 60_000;
/// How long a code's answer may take.
const CODE_WAIT: Duration = Duration::from_secs(20);
const BODY_BYTES_MAX: usize = 64 << 20;

type Shareds = State<Arc<Shared>>;
type Answer = Result<Json<Value>, Refused>;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ws/chat", get(chat))
        .route("/health", get(|| async { Json(json!({ "status": "alive" })) }))
        .route("/stats", get(stats))
        .route("/root", get(root))
        .route("/unanswered", get(unanswered))
        .route("/accounts", post(add_account))
        .route("/accounts/bulk", post(add_accounts))
        .route("/accounts/{phone}/scan", post(scan))
        .route("/accounts/{phone}/code", post(code))
        .route("/accounts/{phone}/messages", post(send))
        .route("/accounts/{phone}/inbox", get(inbox))
        .route("/accounts/{phone}/behaviour", post(behaviour))
        .route("/accounts/{phone}/devices", get(devices))
        .route("/accounts/{phone}/devices/{device}/kick", post(kick))
        .route("/groups", post(create_group))
        .route("/groups/{group}/messages", post(send_to_group))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
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

async fn stats(State(shared): Shareds) -> Json<Value> {
    let world = shared.world.lock().await;
    let companions = || world.accounts.values().flat_map(|account| account.companions.values());
    Json(json!({
        "accounts": world.accounts.len(),
        "devices": companions().filter(|companion| !companion.removed).count(),
        "online": companions().filter(|companion| companion.active).count(),
        "messages": world.messages,
        "displayed": world.accounts.values().map(|account| account.inbox.len()).sum::<usize>(),
        "groups": world.groups.len(),
        "faults": world.faults.0.len(),
    }))
}

async fn unanswered(State(shared): Shareds) -> Json<Value> {
    Json(json!(shared.world.lock().await.unanswered))
}

#[derive(Deserialize)]
struct NewAccount {
    phone: String,
    name: Option<String>,
}

async fn add_account(State(shared): Shareds, Json(new): Json<NewAccount>) -> Answer {
    digits(&new.phone)?;
    shared.world.lock().await.add_account(&new.phone, new.name.as_deref().unwrap_or("Contact"));
    Ok(Json(json!({ "phone": new.phone })))
}

#[derive(Deserialize)]
struct Bulk {
    first: u64,
    count: u64,
}

async fn add_accounts(State(shared): Shareds, Json(bulk): Json<Bulk>) -> Answer {
    digits(&bulk.first.to_string())?;
    if bulk.count > BULK_ACCOUNTS_MAX {
        return Err(bad(format!("count must be at most {BULK_ACCOUNTS_MAX}")));
    }
    let mut world = shared.world.lock().await;
    for number in bulk.first..bulk.first.saturating_add(bulk.count) {
        world.add_account(&number.to_string(), "Contact");
    }
    Ok(Json(json!({ "count": bulk.count })))
}

#[derive(Deserialize)]
struct Scan {
    qr: String,
}

async fn scan(State(shared): Shareds, Path(phone): Path<String>, Json(request): Json<Scan>) -> Answer {
    let scanned = pairing::read_qr(&request.qr)?;
    let mut world = shared.world.lock().await;
    if !world.accounts.contains_key(&phone) {
        return Err(no_account(&phone));
    }
    Ok(Json(json!({ "device": pairing::scan(&mut world, &phone, &scanned)? })))
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

async fn code(State(shared): Shareds, Path(phone): Path<String>, Json(request): Json<Code>) -> Answer {
    let code: String = request.code.chars().filter(|c| *c != '-').collect::<String>().to_ascii_uppercase();
    let mut changed = shared.changed.subscribe();
    let (id, theirs, ephemeral) = {
        let mut world = shared.world.lock().await;
        if !world.accounts.contains_key(&phone) {
            return Err(no_account(&phone));
        }
        pairing::answer_code(&mut world, &phone, &code)?
    };
    let finished = async {
        loop {
            {
                let mut world = shared.world.lock().await;
                let pending = world.pending.get(&id).ok_or_else(|| bad("the client is gone"))?;
                if let Some((bundle, identity)) = pending.finish.clone() {
                    let device = pairing::finish_code(&mut world, &phone, id, &theirs, &ephemeral, &bundle, identity)?;
                    return Ok(Json(json!({ "device": device })));
                }
            }
            // The sender lives as long as the simulator.
            let _ = changed.changed().await;
        }
    };
    tokio::time::timeout(CODE_WAIT, finished)
        .await
        .unwrap_or_else(|_| Err(Refused(StatusCode::GATEWAY_TIMEOUT, "the client did not answer the code".into())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    to: String,
    text: Option<String>,
    location: Option<Location>,
    reaction: Option<Reaction>,
    edit: Option<Edit>,
    delete: Option<Target>,
}

#[derive(Deserialize)]
struct Location {
    latitude: f64,
    longitude: f64,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Reaction {
    id: String,
    emoji: String,
    /// Whether the message reacted to was written by the one who reacts.
    #[serde(default)]
    own: bool,
}

#[derive(Deserialize)]
struct Edit {
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct Target {
    id: String,
}

/// The protobuf of what is asked for: exactly one kind.
fn built(send: &Send, from: &str) -> Result<wa::Message, Refused> {
    let key = |id: &str, own: bool| wa::MessageKey {
        remote_jid: Some(format!("{}@s.whatsapp.net", if own { &send.to } else { from })),
        from_me: Some(own),
        id: Some(id.to_owned()),
        participant: None,
    };
    let time = i64::try_from(now()).unwrap_or(0) * 1_000;
    let protocol = |kind, id: &str, edited| wa::Message {
        protocol_message: Some(Box::new(wa::ProtocolMessage {
            key: Some(key(id, true)),
            r#type: Some(kind as i32),
            edited_message: edited,
            timestamp_ms: Some(time),
            ..Default::default()
        })),
        ..Default::default()
    };
    let kinds: Vec<wa::Message> = [
        send.text.as_deref().map(message::text),
        send.location.as_ref().map(|location| wa::Message {
            location_message: Some(wa::LocationMessage {
                degrees_latitude: Some(location.latitude),
                degrees_longitude: Some(location.longitude),
                name: location.name.clone(),
                address: None,
            }),
            ..Default::default()
        }),
        send.reaction.as_ref().map(|reaction| wa::Message {
            reaction_message: Some(wa::ReactionMessage {
                key: Some(key(&reaction.id, reaction.own)),
                text: Some(reaction.emoji.clone()),
                sender_timestamp_ms: Some(time),
            }),
            ..Default::default()
        }),
        send.edit.as_ref().map(|edit| {
            protocol(wa::protocol_message::Type::MessageEdit, &edit.id, Some(Box::new(message::text(&edit.text))))
        }),
        send.delete.as_ref().map(|target| protocol(wa::protocol_message::Type::Revoke, &target.id, None)),
    ]
    .into_iter()
    .flatten()
    .collect();
    match <[wa::Message; 1]>::try_from(kinds) {
        Ok([one]) => Ok(one),
        Err(_) => Err(bad("give exactly one of text, location, reaction, edit, delete")),
    }
}

async fn send(State(shared): Shareds, Path(from): Path<String>, Json(request): Json<Send>) -> Answer {
    let message = built(&request, &from)?;
    let mut world = shared.world.lock().await;
    let id = if world.groups.contains_key(&request.to) {
        phone::send_to_group(&mut world, &from, &request.to, &message).await?
    } else {
        phone::send(&mut world, &from, &request.to, &message).await?
    };
    drop(world);
    shared.changed.send_modify(|count| *count += 1);
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
struct InboxQuery {
    #[serde(default)]
    after: u64,
    /// Waits up to this long for an entry behind `after`.
    #[serde(default)]
    wait_ms: u64,
}

async fn inbox(State(shared): Shareds, Path(phone): Path<String>, Query(query): Query<InboxQuery>) -> Answer {
    let mut changed = shared.changed.subscribe();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(query.wait_ms.min(INBOX_WAIT_MS_MAX));
    loop {
        let found = {
            let world = shared.world.lock().await;
            entries(world.accounts.get(&phone).ok_or_else(|| no_account(&phone))?, query.after)
        };
        let waited = found.is_empty() && tokio::time::timeout_at(deadline, changed.changed()).await.is_ok();
        if !waited {
            return Ok(Json(Value::Array(found)));
        }
    }
}

fn entries(account: &Account, after: u64) -> Vec<Value> {
    let behind = account.inbox.iter().filter(|entry| entry.seq > after);
    behind
        .map(|entry| {
            json!({
                "seq": entry.seq,
                "id": entry.id,
                "chat": entry.chat,
                "from": entry.from,
                "type": entry.kind,
                "text": entry.text,
                "copies": entry.copies,
            })
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBehaviour {
    receipts: Option<bool>,
    read: Option<bool>,
    reply: Option<String>,
}

async fn behaviour(State(shared): Shareds, Path(phone): Path<String>, Json(new): Json<NewBehaviour>) -> Answer {
    let mut world = shared.world.lock().await;
    let behaviour = &mut world.accounts.get_mut(&phone).ok_or_else(|| no_account(&phone))?.behaviour;
    behaviour.receipts = new.receipts.unwrap_or(behaviour.receipts);
    behaviour.read = new.read.unwrap_or(behaviour.read);
    behaviour.reply = new.reply.filter(|text| !text.is_empty());
    Ok(Json(json!({ "receipts": behaviour.receipts, "read": behaviour.read, "reply": behaviour.reply })))
}

async fn devices(State(shared): Shareds, Path(phone): Path<String>) -> Answer {
    let world = shared.world.lock().await;
    let account = world.accounts.get(&phone).ok_or_else(|| no_account(&phone))?;
    let all = account.companions.iter().map(|(id, companion)| {
        json!({
            "device": id,
            "connected": companion.line.is_some(),
            "active": companion.active,
            "removed": companion.removed,
            "waiting": companion.offline.len() + companion.unacknowledged.len(),
        })
    });
    Ok(Json(Value::Array(all.collect())))
}

#[derive(Deserialize, Default)]
struct Kick {
    #[serde(default)]
    reason: String,
}

async fn kick(
    State(shared): Shareds,
    Path((phone, device)): Path<(String, u16)>,
    request: Option<Json<Kick>>,
) -> Answer {
    let reason = request.map(|Json(kick)| kick.reason).unwrap_or_default();
    if !["", "401", "device_removed", "515", "516", "conflict", "503"].contains(&reason.as_str()) {
        return Err(bad("reason must be 401, device_removed, 515, 516, 503, conflict or absent"));
    }
    let mut world = shared.world.lock().await;
    let companion = world.companion(&phone, device).ok_or_else(|| no_account(&phone))?;
    let line = companion.line.clone().ok_or_else(|| bad("the device is not connected"))?;
    connection::kick(&mut world, &Who::Device(phone, device), &line, &reason);
    Ok(Json(json!({ "kicked": device })))
}

#[derive(Deserialize)]
struct NewGroup {
    subject: String,
    creator: String,
    members: Vec<String>,
}

async fn create_group(State(shared): Shareds, Json(new): Json<NewGroup>) -> Answer {
    let mut world = shared.world.lock().await;
    for phone in new.members.iter().chain([&new.creator]) {
        if !world.accounts.contains_key(phone) {
            return Err(no_account(phone));
        }
    }
    Ok(Json(json!({ "id": handlers::create_group(&mut world, &new.creator, &new.subject, &new.members) })))
}

#[derive(Deserialize)]
struct GroupSend {
    from: String,
    text: String,
}

async fn send_to_group(State(shared): Shareds, Path(group): Path<String>, Json(request): Json<GroupSend>) -> Answer {
    let mut world = shared.world.lock().await;
    let id = phone::send_to_group(&mut world, &request.from, &group, &message::text(&request.text)).await?;
    Ok(Json(json!({ "id": id })))
}

async fn faults(State(shared): Shareds) -> Json<Value> {
    Json(json!(shared.world.lock().await.faults.0))
}

async fn add_fault(State(shared): Shareds, Json(fault): Json<Fault>) -> Answer {
    if !shared.world.lock().await.faults.add(fault) {
        return Err(bad(format!("at most {FAULTS_MAX} faults may stand")));
    }
    Ok(Json(json!({ "added": true })))
}

/// Clears every fault; a connection that was swallowed is closed, since its stanzas are gone.
async fn clear_faults(State(shared): Shareds) -> Json<Value> {
    let mut world = shared.world.lock().await;
    world.faults.0.clear();
    let lines = world.accounts.values().flat_map(|a| a.companions.values()).filter_map(|c| c.line.as_ref());
    for line in lines {
        if line.swallowed.load(std::sync::atomic::Ordering::Relaxed) {
            line.hang_up.notify_one();
        }
    }
    Json(json!({ "cleared": true }))
}
