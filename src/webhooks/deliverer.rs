//! The loop that posts deliveries: claims what is due, posts side by side, settles each attempt in one transaction.
//!
//! A delivery is leased while it is in hand: after a crash its own instance takes it back at start, another one when the
//! lease has run out. A receiver may so see a delivery again; `webhook-id` is the event's id and stays the same.

use super::request;
use super::shaping::{self, Shaping};
use crate::domain::delivery::{Form, Patience, Step, next_step};
use crate::domain::ids::WebhookId;
use crate::egress::Egress;
use crate::plugins::Plugins;
use crate::store::{AttemptEnd, DueDelivery, RawMessage, Store, StoreError, Topic};
use crate::telemetry::metrics::Metrics;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How the deliverer works.
#[derive(Debug, Clone, Copy)]
pub struct DeliverySettings {
    /// Attempts in flight in all.
    pub concurrency: usize,
    /// Attempts in flight to one webhook: a slow receiver holds back its own deliveries only.
    pub concurrency_per_webhook: usize,
}

/// Beyond the longest timeout of an attempt, so that a lease does not run out under a slow receiver.
const LEASE_BEYOND_TIMEOUT: Duration = Duration::from_secs(90);
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

struct Finished {
    webhook: WebhookId,
    result: Result<(), StoreError>,
}

/// Runs until `stop`; attempts in flight are waited for.
pub async fn run(
    store: Store,
    egress: Egress,
    plugins: Plugins,
    metrics: Arc<Metrics>,
    settings: DeliverySettings,
    stop: CancellationToken,
) {
    let mut wake = store.watch(Topic::Deliveries);
    if let Err(error) = store.release_own_deliveries().await {
        tracing::error!(%error, "deliveries of an earlier start wait for their lease to run out");
    }
    let mut flying: JoinSet<Finished> = JoinSet::new();
    let mut in_hand: HashMap<WebhookId, usize> = HashMap::new();
    while !stop.is_cancelled() {
        let room = settings.concurrency.saturating_sub(flying.len());
        let claimed = if room == 0 { Ok(Vec::new()) } else { claim(&store, room, &in_hand, settings).await };
        let wait = match claimed {
            Ok(due) if !due.is_empty() => {
                for delivery in due {
                    *in_hand.entry(delivery.webhook.id.clone()).or_default() += 1;
                    let hand = Hand {
                        store: store.clone(),
                        egress: egress.clone(),
                        plugins: plugins.clone(),
                        metrics: metrics.clone(),
                    };
                    flying.spawn(async move {
                        let webhook = delivery.webhook.id.clone();
                        Finished { webhook, result: hand.deliver(delivery).await }
                    });
                }
                // Room that is left may fit more: look again at once.
                Duration::ZERO
            }
            Ok(_) => until_next(&store).await,
            Err(error) => {
                tracing::error!(%error, "deliveries could not be claimed");
                PAUSE_AFTER_ERROR
            }
        };
        let full = flying.len() >= settings.concurrency;
        tokio::select! {
            () = stop.cancelled() => {}
            Some(finished) = flying.join_next() => landed(finished, &mut in_hand),
            () = wake.changed(), if !full => {}
            () = tokio::time::sleep(wait), if !full => {}
        }
    }
    while let Some(finished) = flying.join_next().await {
        landed(finished, &mut in_hand);
    }
}

async fn claim(
    store: &Store,
    room: usize,
    in_hand: &HashMap<WebhookId, usize>,
    settings: DeliverySettings,
) -> Result<Vec<DueDelivery>, StoreError> {
    let enough = |count: usize| count >= settings.concurrency_per_webhook;
    let busy = in_hand.iter().filter(|(_, count)| enough(**count)).map(|(webhook, _)| webhook.clone()).collect();
    let limit = room.min(settings.concurrency_per_webhook);
    store.claim_deliveries(u32::try_from(limit).unwrap_or(u32::MAX), LEASE_BEYOND_TIMEOUT, busy).await
}

async fn until_next(store: &Store) -> Duration {
    let next_at = store.next_delivery_at().await.ok().flatten();
    let wait = next_at
        .map_or(SWEEP_EVERY, |at| Duration::from_millis(u64::try_from(at - store.clock().now_ms()).unwrap_or(0)));
    // Something due that may not be claimed now waits for its webhook to have room.
    wait.clamp(Duration::from_millis(50), SWEEP_EVERY)
}

fn landed(finished: Result<Finished, tokio::task::JoinError>, in_hand: &mut HashMap<WebhookId, usize>) {
    match finished {
        Ok(Finished { webhook, result }) => {
            if let Some(count) = in_hand.get_mut(&webhook) {
                *count = count.saturating_sub(1);
            }
            in_hand.retain(|_, count| *count > 0);
            if let Err(error) = result {
                tracing::error!(%webhook, %error, "an attempt was not recorded; it is repeated when its lease has run out");
            }
        }
        Err(error) => tracing::error!(%error, "an attempt ended badly"),
    }
}

/// What one delivery is worked on with.
struct Hand {
    store: Store,
    egress: Egress,
    plugins: Plugins,
    metrics: Arc<Metrics>,
}

impl Hand {
    async fn deliver(&self, delivery: DueDelivery) -> Result<(), StoreError> {
        let began = Instant::now();
        let form = match shaping::form(&self.store, &self.plugins, &delivery).await? {
            Shaping::Form(form) => form,
            Shaping::Parked(reason) => return self.settle(delivery, None, Some(reason), Step::Park, began).await,
            Shaping::NotNow => return Ok(()),
        };
        let message = self.message(&delivery, &form).await?;
        let (now, answer_bytes_max) = (self.store.clock().now_ms(), self.egress.answer_bytes_max());
        let answer = match request::of_delivery(&delivery, &form, message.as_ref(), now, answer_bytes_max) {
            Ok(request) => self.egress.exchange(request).await,
            Err(invalid) => Err(invalid),
        };
        let now = self.store.clock().now_ms();
        let (status, error, outcome) = request::outcome(answer, now);
        let webhook = &delivery.webhook;
        let patience = Patience::of(webhook.schedule, webhook.order, webhook.retry_count);
        let step = next_step(&outcome, delivery.attempt, patience, now, rand::random());
        self.settle(delivery, status, error, step, began).await
    }

    /// The message in its own form, for a body in ours that is to show it.
    async fn message(&self, delivery: &DueDelivery, form: &Form) -> Result<Option<RawMessage>, StoreError> {
        match (form, delivery.event.behind()) {
            (Form::Default, Some(behind)) if delivery.webhook.raw => {
                self.store.raw_message(&delivery.webhook.tenant, behind).await
            }
            _ => Ok(None),
        }
    }

    async fn settle(
        &self,
        delivery: DueDelivery,
        status: Option<u16>,
        error: Option<String>,
        step: Step,
        began: Instant,
    ) -> Result<(), StoreError> {
        let (webhook, attempt, took) = (delivery.webhook.id, delivery.attempt, began.elapsed());
        self.metrics.delivery_attempt(status.is_some_and(|status| (200..300).contains(&status)), took);
        tracing::debug!(%webhook, event = %delivery.event.id, attempt, status, ?step, "an attempt ended");
        let tenant = delivery.webhook.tenant;
        let end = AttemptEnd { delivery: delivery.id, webhook, tenant, attempt, status, error, took, step };
        self.store.settle_deliveries(vec![end]).await
    }
}
