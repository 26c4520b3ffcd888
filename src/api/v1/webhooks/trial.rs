//! Trying a webhook out.

use crate::api::Api;
use crate::api::caller::{Manages, OwnWebhook};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::domain::ids::EventId;
use crate::webhooks::{Trial, try_out};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTrial)]
pub(in crate::api) struct Tried {
    /// Whether the receiver answered 2xx.
    delivered: bool,
    /// The `id` of the body, and `webhook-id`.
    event_id: EventId,
    /// The receiver's HTTP status; null when there was no answer.
    status: Option<u16>,
    /// Why there was no answer.
    error: Option<String>,
    /// Milliseconds.
    duration: u64,
}

/// Send a test delivery
///
/// One signed attempt, now, with the `eventType` `webhook.test`, also to a webhook that is disabled; the answer tells what the
/// receiver said. It is not repeated and counts nowhere. A plugin that shapes the bodies is not asked.
#[utoipa::path(post, path = "/webhooks/{webhook}/test", operation_id = "testWebhook", tag = "Webhooks",
    responses((status = 200, body = Envelope<Tried>)))]
pub(in crate::api) async fn test(State(api): State<Api>, webhook: OwnWebhook<Manages>) -> Answer<Tried> {
    let trial = try_out(&api.egress, api.store.clock(), &webhook.row).await;
    api.store.audit(webhook.tenant.audit("webhook.tested", "webhook", webhook.row.id.as_str())).await?;
    Ok(enveloped(trial.into()))
}

impl From<Trial> for Tried {
    fn from(trial: Trial) -> Self {
        Self {
            delivered: trial.status.is_some_and(|status| (200..300).contains(&status)),
            event_id: trial.id,
            status: trial.status,
            error: trial.error,
            duration: u64::try_from(trial.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
