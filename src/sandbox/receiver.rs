//! A webhook receiver that keeps what it got: `POST /hook` takes deliveries, `GET /deliveries?after=N` shows them.

use anyhow::{Context, Result};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// Deliveries that are kept; the oldest go.
const KEPT_MAX: usize = 10_000;

#[derive(Clone, Default)]
pub(super) struct Receiver {
    kept: Arc<Mutex<(u64, VecDeque<Value>)>>,
    show: bool,
}

impl Receiver {
    /// Listens on a loopback port; `show` prints a line for each delivery.
    pub(super) async fn start(port: u16, show: bool) -> Result<(Self, SocketAddr)> {
        let receiver = Self { show, ..Self::default() };
        let listener = TcpListener::bind(("127.0.0.1", port)).await.with_context(|| {
            format!("port {port} for the webhook receiver is in use; choose one with --receiver-port")
        })?;
        let address = listener.local_addr()?;
        let router =
            Router::new().route("/hook", post(take)).route("/deliveries", get(list)).with_state(receiver.clone());
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the webhook receiver ended");
            }
        });
        Ok((receiver, address))
    }

    pub(super) fn after(&self, seq: u64) -> Vec<Value> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.iter().filter(|one| one["seq"].as_u64().unwrap_or(0) > seq).cloned().collect()
    }
}

#[expect(clippy::print_stdout, reason = "showing deliveries is what the sandbox is for")]
async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let shown: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default()))).collect();
    if receiver.show {
        println!("webhook: {body}");
    }
    let mut kept = receiver.kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.0 += 1;
    let delivery = json!({ "seq": kept.0, "headers": shown, "body": body });
    kept.1.push_back(delivery);
    if kept.1.len() > KEPT_MAX {
        kept.1.pop_front();
    }
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn list(State(receiver): State<Receiver>, Query(query): Query<After>) -> Json<Vec<Value>> {
    Json(receiver.after(query.after))
}
