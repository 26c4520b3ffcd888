//! Keeps one lane per connected device.

use super::lane::{Lane, SWEEP_EVERY};
use crate::domain::ids::DeviceId;
use crate::limits::Limits;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::whatsapp::{Connected, Directory};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Runs until `stop`; sends in flight are waited for.
pub async fn run(
    store: Store,
    directory: Directory,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut changes = directory.changes();
    let mut lanes: HashMap<DeviceId, (Connected, JoinHandle<()>)> = HashMap::new();
    while !stop.is_cancelled() {
        let connected = directory.connected();
        metrics.devices_connected.set(i64::try_from(connected.len()).unwrap_or(i64::MAX));
        lanes.retain(|_, (_, lane)| !lane.is_finished());
        for device in connected {
            // A new connection gets a lane of its own at once, though the old one's may still wait for a dead send.
            if lanes.get(&device.device).is_some_and(|(served, _)| served.is_same_connection(&device)) {
                continue;
            }
            let (id, served) = (device.device.clone(), device.clone());
            let (limits, metrics) = (limits.clone(), metrics.clone());
            let lane = Lane { store: store.clone(), limits, metrics, device, stop: stop.clone() };
            lanes.insert(id, (served, tokio::spawn(lane.run(directory.clone()))));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            // The directory outlives this loop.
            _ = changes.changed() => {}
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
    }
    for (_, lane) in lanes.into_values() {
        if let Err(error) = lane.await {
            tracing::error!(%error, "a lane ended badly");
        }
    }
}
