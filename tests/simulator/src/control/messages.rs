//! What phones write, and what they display.

use super::{Answer, Refused, Shareds, account};
use crate::account::{Account, Entry};
use crate::compose::{Draft, Unfit};
use crate::phone;
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
    let author = account(&shared, &from)?;
    let id = phone::write(&shared.world, &author, draft).await?;
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
    let account = account(&shared, &phone)?;
    let mut displayed = account.displayed.subscribe();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(query.wait_ms.min(INBOX_WAIT_MS_MAX));
    loop {
        let found = entries(&account, query.after, query.raw);
        let waited = found.is_empty() && tokio::time::timeout_at(deadline, displayed.changed()).await.is_ok();
        if !waited {
            return Ok(Json(Value::Array(found)));
        }
    }
}

fn entries(account: &Account, after: u64, raw: bool) -> Vec<Value> {
    account.state().inbox.iter().filter(|entry| entry.seq > after).map(|entry| described(entry, raw)).collect()
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
    if let Some(score) = entry.shown.forwarded {
        described["forwarded"] = score.into();
    }
    if let Some(preview) = &entry.shown.preview {
        described["preview"] = preview.clone();
    }
    if let Some(style) = &entry.shown.style {
        described["style"] = style.clone();
    }
    if raw {
        described["raw"] = BASE64.encode(&entry.raw).into();
    }
    described
}
