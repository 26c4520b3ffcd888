//! What became of a message.

use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::extract::Path;
use crate::domain::clock::UnixMs;
use crate::domain::ids::MessageId;
use crate::domain::outgoing::Status;
use crate::store::{OutboxRow, StoreError};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// What became of a message. Times are unix seconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageStatus)]
pub(in crate::api) struct Shown {
    id: MessageId,
    status: Status,
    /// WhatsApp's id of the message.
    wa_message_id: String,
    attempts: u32,
    /// Why the last try failed, or what a message that was not tried waits for.
    last_error: Option<String>,
    /// When it is tried next, while it is queued for a later time.
    next_attempt_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
    /// When WhatsApp's server acknowledged it.
    sent_at: Option<i64>,
    delivered_at: Option<i64>,
    read_at: Option<i64>,
    /// When WhatsApp's server acknowledged the last edit.
    edited_at: Option<i64>,
    /// When it acknowledged that the message is deleted for everyone.
    deleted_at: Option<i64>,
}

/// What became of a message
#[utoipa::path(get, path = "/devices/{device}/messages/{message}/status", operation_id = "readMessageStatus",
    tag = "Messages", responses((status = 200, body = Shown)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, message)): Path<(String, String)>,
) -> Bare<Shown> {
    let row = api.store.outgoing(&device.tenant.id, device.id(), &message).await.map_err(no_message)?;
    Ok(Json(shown(row, api.store.clock().now_ms())))
}

pub(super) fn no_message(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("message"),
        other => other.into(),
    }
}

fn shown(row: OutboxRow, now: UnixMs) -> Shown {
    let waits = row.status == Status::Queued && row.next_at > now;
    Shown {
        id: row.id,
        status: row.status,
        wa_message_id: row.wa_id,
        attempts: row.attempts,
        last_error: row.last_error,
        // Not before it: a second that has begun is not over.
        next_attempt_at: waits.then(|| row.next_at.saturating_add(999) / 1000),
        created_at: row.created_at / 1000,
        updated_at: row.updated_at / 1000,
        sent_at: row.sent_at.map(|at| at / 1000),
        delivered_at: row.delivered_at.map(|at| at / 1000),
        read_at: row.read_at.map(|at| at / 1000),
        edited_at: row.edited_at.map(|at| at / 1000),
        deleted_at: row.deleted_at.map(|at| at / 1000),
    }
}
