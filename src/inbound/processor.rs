//! Starts a lane for every tenant of whom something waits. Lanes are apart: a tenant whose plugins are slow, or who is
//! flooded, holds nobody else back.

use super::lane::Lane;
use crate::domain::ids::TenantId;
use crate::plugins::Plugins;
use crate::store::{Store, Topic};
use crate::telemetry::metrics::Metrics;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Looks again after this long even when nobody woke it, and after an error of the store.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Runs until `stop`; what is in hand then is finished first.
pub async fn run(store: Store, plugins: Plugins, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut inbox = store.watch(Topic::Inbox);
    let mut lanes: JoinSet<TenantId> = JoinSet::new();
    let mut running: HashSet<TenantId> = HashSet::new();
    let lane = Lane { store: store.clone(), plugins, metrics, stop: stop.clone() };
    while !stop.is_cancelled() {
        let pause = match store.tenants_waiting().await {
            Ok(tenants) => {
                for tenant in tenants.into_iter().filter(|tenant| running.insert(tenant.clone())) {
                    let lane = lane.clone();
                    lanes.spawn(async move {
                        lane.run(tenant.clone()).await;
                        tenant
                    });
                }
                SWEEP_EVERY
            }
            Err(error) => {
                tracing::error!(%error, "the inbox could not be read");
                PAUSE_AFTER_ERROR
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = inbox.changed(), if pause == SWEEP_EVERY => {}
            // Looks again at once: what came while the lane ended has woken nobody else.
            Some(ended) = lanes.join_next() => forget(ended, &mut running),
            () = tokio::time::sleep(pause) => {}
        }
    }
    while let Some(ended) = lanes.join_next().await {
        forget(ended, &mut running);
    }
}

fn forget(ended: Result<TenantId, JoinError>, running: &mut HashSet<TenantId>) {
    match ended {
        Ok(tenant) => {
            running.remove(&tenant);
        }
        Err(error) => {
            // Whose it was is lost with it; a second lane of a tenant does nothing twice, since a row is done once.
            tracing::error!(%error, "a lane of the inbox ended badly");
            running.clear();
        }
    }
}
