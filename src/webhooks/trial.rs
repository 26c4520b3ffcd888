//! A test delivery: one signed attempt, now, of an event that is none. Nothing of it is kept, and nothing is repeated.

use super::request::{Stamp, of_body, outcome};
use crate::domain::clock::Clock;
use crate::domain::ids::EventId;
use crate::egress::Egress;
use crate::store::WebhookRow;
use bytes::Bytes;
use serde_json::json;
use std::time::{Duration, Instant};

/// The type that a test delivery carries; no subscription names it.
pub const TEST_TYPE: &str = "webhook.test";

/// What became of a test delivery.
#[derive(Debug)]
pub struct Trial {
    pub id: EventId,
    /// The receiver's answer; none when there was no answer, and then `error` says why.
    pub status: Option<u16>,
    pub error: Option<String>,
    pub took: Duration,
}

/// Posts in our own form, also to a webhook that a plugin shapes or that is disabled.
pub async fn try_out(egress: &Egress, clock: &Clock, webhook: &WebhookRow) -> Trial {
    let (id, now) = (EventId::generate(), clock.now_ms());
    let body = json!({
        "id": id,
        "eventType": TEST_TYPE,
        "tenantId": webhook.tenant,
        "deviceId": null,
        "timestamp": now / 1000,
        "data": { "webhookId": webhook.id, "name": webhook.name },
    });
    let stamp = Stamp { id: id.as_str(), attempt: 1, now };
    let began = Instant::now();
    let answer = match of_body(webhook, &stamp, Bytes::from(body.to_string()), egress.answer_bytes_max()) {
        Ok(request) => egress.exchange(request).await,
        Err(invalid) => Err(invalid),
    };
    let (status, error, _) = outcome(answer, now);
    Trial { id, status, error, took: began.elapsed() }
}
