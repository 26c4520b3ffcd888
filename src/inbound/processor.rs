//! Starts a lane for every tenant of whom something waits. Lanes are apart: a tenant whose plugins are slow, or who is
//! flooded, holds nobody else back.

use super::lane::Lane;
use crate::domain::ids::TenantId;
use crate::plugins::Plugins;
use crate::store::{Store, StoreError, Topic};
use crate::telemetry::metrics::Metrics;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Looks again after this long even when nobody woke it, and after an error of the store.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Runs until `stop`; what is in hand then is finished first.
pub async fn run(store: Store, plugins: Plugins, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut inbox = store.watch(Topic::Inbox);
    let mut lanes: HashMap<TenantId, JoinHandle<()>> = HashMap::new();
    let lane = Lane { store: store.clone(), plugins, metrics, stop: stop.clone() };
    while !stop.is_cancelled() {
        lanes.retain(|_, running| !running.is_finished());
        let pause = match start_lanes(&store, &lane, &mut lanes).await {
            Ok(()) => SWEEP_EVERY,
            Err(error) => {
                tracing::error!(%error, "the inbox could not be read");
                PAUSE_AFTER_ERROR
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = inbox.changed(), if pause == SWEEP_EVERY => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    for running in lanes.into_values() {
        if let Err(error) = running.await {
            tracing::error!(%error, "a lane of the inbox ended badly");
        }
    }
}

async fn start_lanes(
    store: &Store,
    lane: &Lane,
    lanes: &mut HashMap<TenantId, JoinHandle<()>>,
) -> Result<(), StoreError> {
    for tenant in store.tenants_waiting().await? {
        lanes.entry(tenant.clone()).or_insert_with(|| tokio::spawn(lane.clone().run(tenant)));
    }
    Ok(())
}
