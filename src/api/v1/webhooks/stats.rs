//! How a webhook does.

use crate::api::Api;
use crate::api::caller::{OwnWebhook, Reads};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::extract::Query;
use crate::api::parameters::Parameters;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const DAY_MS: i64 = 86_400_000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// Attempts from this moment on: unix seconds, or an ISO 8601 date or time; the last day when left out.
    since: Option<String>,
}

/// How a webhook does. Attempts are the newest 10,000 since `since`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookStats)]
pub(in crate::api) struct Stats {
    /// Unix seconds.
    since: i64,
    /// Deliveries on their way, whenever they were made.
    waiting: u64,
    dead_letters: u64,
    attempts: u64,
    succeeded: u64,
    failed: u64,
    /// Share of the attempts that ended in 2xx, 0 to 1; null without attempts.
    success_rate: Option<f64>,
    /// Milliseconds that half of the attempts took at most.
    p50: Option<i64>,
    p95: Option<i64>,
    longest: Option<i64>,
    /// Unix seconds.
    last_success_at: Option<i64>,
    /// Unix seconds.
    last_failure_at: Option<i64>,
    /// Unix seconds; null while it works.
    failing_since: Option<i64>,
}

/// How a webhook does
#[utoipa::path(get, path = "/webhooks/{webhook}/stats", operation_id = "readWebhookStats", tag = "Webhooks",
    params(Wanted), responses((status = 200, body = Envelope<Stats>)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    webhook: OwnWebhook<Reads>,
    Query(wanted): Query<Wanted>,
) -> Answer<Stats> {
    let mut parameters = Parameters::default();
    let (since, _) = parameters.span(wanted.since.as_deref(), None);
    parameters.finish()?;
    let since = since.unwrap_or_else(|| api.store.clock().now_ms().saturating_sub(DAY_MS));
    let figures = api.store.webhook_figures(&webhook.tenant.id, &webhook.row.id, since).await?;
    let attempts = figures.succeeded + figures.failed;
    Ok(enveloped(Stats {
        since: since / 1000,
        waiting: figures.waiting,
        dead_letters: figures.dead_letters,
        attempts,
        succeeded: figures.succeeded,
        failed: figures.failed,
        success_rate: (attempts > 0).then(|| figures.succeeded as f64 / attempts as f64),
        p50: figures.p50_ms,
        p95: figures.p95_ms,
        longest: figures.longest_ms,
        last_success_at: figures.last_success_at.map(|at| at / 1000),
        last_failure_at: figures.last_failure_at.map(|at| at / 1000),
        failing_since: webhook.row.failing_since.map(|at| at / 1000),
    }))
}
