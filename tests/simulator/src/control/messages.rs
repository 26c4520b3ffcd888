//! What phones write, and what they display.

use super::{Answer, Refused, Shareds, no_account};
use crate::compose::{Draft, Unfit};
use crate::phone;
use crate::world::{Account, Entry};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest wait of an inbox request.
const INBOX_WAIT_MS_MAX: u64 = 60_000;

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Wrong(reason) => Self(StatusCode::BAD_REQUEST, reason),
            Unfit::Unknown(id) => Self(StatusCode::NOT_FOUND, format!("the phone knows no message {id}")),
            Unfit::Failed(error) => error.into(),
        }
    }
}

pub(super) async fn send(State(shared): Shareds, Path(from): Path<String>, Json(draft): Json<Draft>) -> Answer {
    let mut world = shared.world.lock().await;
    let id = phone::write(&mut world, &from, &draft).await?;
    drop(world);
    shared.changed.send_modify(|count| *count += 1);
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
pub(super) struct InboxQuery {
    #[serde(default)]
    after: u64,
    /// Waits up to this long for an entry behind `after`.
    #[serde(default)]
    wait_ms: u64,
    /// Adds the decrypted protobuf, base64.
    #[serde(default)]
    raw: bool,
}

pub(super) async fn inbox(
    State(shared): Shareds,
    Path(phone): Path<String>,
    Query(query): Query<InboxQuery>,
) -> Answer {
    let mut changed = shared.changed.subscribe();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(query.wait_ms.min(INBOX_WAIT_MS_MAX));
    loop {
        let found = {
            let world = shared.world.lock().await;
            entries(world.accounts.get(&phone).ok_or_else(|| no_account(&phone))?, query.after, query.raw)
        };
        let waited = found.is_empty() && tokio::time::timeout_at(deadline, changed.changed()).await.is_ok();
        if !waited {
            return Ok(Json(Value::Array(found)));
        }
    }
}

fn entries(account: &Account, after: u64, raw: bool) -> Vec<Value> {
    account.inbox.iter().filter(|entry| entry.seq > after).map(|entry| described(entry, raw)).collect()
}

/// An entry as it is shown: the details stand under the name of its kind.
fn described(entry: &Entry, raw: bool) -> Value {
    let mut described = json!({
        "seq": entry.seq,
        "id": entry.id,
        "chat": entry.chat,
        "from": entry.from,
        "type": entry.shown.kind,
        "text": entry.shown.text,
        "copies": entry.copies,
    });
    if let Some(details) = &entry.shown.details {
        described[entry.shown.kind] = details.clone();
    }
    if let Some(quote) = &entry.shown.quote {
        described["quote"] = quote.clone();
    }
    if raw {
        described["raw"] = BASE64.encode(&entry.raw).into();
    }
    described
}
