//! Deliveries: what was sent, what came of it, and once more.

use crate::api::Api;
use crate::api::caller::{Manages, OwnDelivery, OwnWebhook, Reads, no_delivery};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::parameters::Parameters;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::store::{AttemptRow, DeliveryQuery, DeliveryRow};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 200;
const STATUSES: [&str; 4] = ["due", "sending", "delivered", "parked"];

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// `due`, `sending`, `delivered` or `parked`.
    status: Option<String>,
    /// The name of an event.
    event_type: Option<String>,
    /// Made from this moment on: unix seconds, or an ISO 8601 date or time.
    since: Option<String>,
    /// Made up to and with this second or this day.
    until: Option<String>,
    /// What `X-Next-Cursor` gave.
    #[param(value_type = Option<u64>)]
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// Rows to pass over. A cursor does not slip when new ones come in between.
    #[param(value_type = Option<u32>, maximum = 2147483647)]
    offset: Option<String>,
}

impl Wanted {
    fn query(&self) -> Result<DeliveryQuery, ApiError> {
        let mut parameters = Parameters::default();
        let known = |text: &str| match STATUSES.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(format!("must be one of {}", STATUSES.join(", "))),
        };
        let (since, until) = parameters.span(self.since.as_deref(), self.until.as_deref());
        let query = DeliveryQuery {
            status: parameters.read("status", self.status.as_deref(), known),
            event_type: parameters.event_type("eventType", self.event_type.as_deref()),
            since,
            until,
            before: parameters.read("cursor", self.cursor.as_deref(), |text| {
                text.parse().ok().filter(|cursor| *cursor >= 0).ok_or("must be what X-Next-Cursor gave")
            }),
            limit: parameters.limit(self.limit.as_deref(), LIMIT_MAX),
            offset: parameters.offset(self.offset.as_deref()),
        };
        parameters.finish()?;
        Ok(query)
    }
}

/// One event on its way to one webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub(in crate::api) struct Shown {
    id: DeliveryId,
    webhook_id: WebhookId,
    event_id: String,
    event_type: String,
    /// Null for what concerns the tenant as a whole.
    device_id: Option<String>,
    /// `due`, `sending`, `delivered`, or `parked` in the dead letter queue.
    status: String,
    attempts: u32,
    /// The HTTP status of the last attempt; null when there was no answer.
    last_status: Option<u16>,
    last_error: Option<String>,
    /// Unix seconds.
    next_attempt_at: i64,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

/// One HTTP request.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub(in crate::api) struct Attempt {
    /// From 1, and again from 1 after a retry that somebody asked for.
    attempt: u32,
    /// Null when there was no answer.
    status: Option<u16>,
    error: Option<String>,
    /// Milliseconds.
    duration: i64,
    /// Unix seconds.
    at: i64,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct OneDelivery {
    delivery: Shown,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DeliveryDetail {
    delivery: Shown,
    /// The newest hundred, oldest of them first.
    attempts: Vec<Attempt>,
}

/// List the deliveries of a webhook, newest first
///
/// The header `X-Next-Cursor` gives the cursor of the next page; it is missing on the last one.
#[utoipa::path(get, path = "/webhooks/{webhook}/deliveries", operation_id = "listDeliveries", tag = "Webhooks",
    params(Wanted), responses((status = 200, body = Vec<Shown>,
        headers(("X-Next-Cursor" = u64, description = "The cursor of the next page, if there is one.")))))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    webhook: OwnWebhook<Reads>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let query = wanted.query()?;
    let limit = query.limit as usize;
    let rows = api.store.deliveries(&webhook.tenant.id, &webhook.row.id, query).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.seq.to_string());
    let shown: Vec<Shown> = rows.into_iter().map(Shown::from).collect();
    let mut response = Json(shown).into_response();
    if let Some(next) = next.and_then(|next| next.parse().ok()) {
        response.headers_mut().insert("x-next-cursor", next);
    }
    Ok(response)
}

/// One delivery with its attempts
#[utoipa::path(get, path = "/webhooks/deliveries/{delivery}", operation_id = "readDelivery", tag = "Webhooks",
    responses((status = 200, body = Envelope<DeliveryDetail>)))]
pub(in crate::api) async fn read(State(api): State<Api>, delivery: OwnDelivery<Reads>) -> Answer<DeliveryDetail> {
    let attempts = api.store.attempts(&delivery.tenant.id, &delivery.row.id).await?;
    let attempts = attempts.into_iter().map(Attempt::from).collect();
    Ok(enveloped(DeliveryDetail { delivery: delivery.row.into(), attempts }))
}

/// Send a delivery again
///
/// Now, with all its attempts before it, whether it was delivered, waits or is parked; the same event under the same id.
#[utoipa::path(post, path = "/webhooks/deliveries/{delivery}/retry", operation_id = "retryDelivery", tag = "Webhooks",
    responses((status = 200, body = Envelope<OneDelivery>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn retry(State(api): State<Api>, delivery: OwnDelivery<Manages>) -> Answer<OneDelivery> {
    let (tenant, id) = (delivery.tenant, delivery.row.id);
    let row = api.store.retry_delivery(&tenant.id, &id).await.map_err(no_delivery)?;
    api.store.audit(tenant.audit("webhook.delivery_retried", "delivery", id.as_str())).await?;
    Ok(enveloped(OneDelivery { delivery: row.into() }))
}

impl From<DeliveryRow> for Shown {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            webhook_id: row.webhook,
            event_id: row.event_id,
            event_type: row.event_type,
            device_id: row.device,
            status: row.status,
            attempts: row.attempts,
            last_status: row.last_status,
            last_error: row.last_error,
            next_attempt_at: row.next_at / 1000,
            created_at: row.created_at / 1000,
            updated_at: row.updated_at / 1000,
        }
    }
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self { attempt: row.attempt, status: row.status, error: row.error, duration: row.took_ms, at: row.at / 1000 }
    }
}
