//! The client library's client: built of our parts, and run until its end. The library's own `Bot` does the same and keeps the
//! tasks to itself, of which `historian` needs those that tell of a file of history.

use super::backend::Backend;
use super::http::MediaHttp;
use super::over::HookUntilOver;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;
use wacore::store::DevicePropsOverride;
use wacore::store::commands::DeviceCommand;
use whatsapp_rust::TokioRuntime;
use whatsapp_rust::cache_config::{CacheConfig, CacheEntryConfig};
use whatsapp_rust::client::{Client, ClientBuild, ClientBuilderError};
use whatsapp_rust::store::error::StoreError;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::TransportFactory;

/// Pairs of lid and phone the client keeps in memory; the store has them all.
const LID_CACHE_MAX: u64 = 10_000;
/// How a phone names this device in its list of linked devices.
const DEVICE_NAME: &str = "Rijan";
/// One-time keys for a simulator, which hands out few.
const SIMULATOR_PREKEYS: usize = 60;
/// How often what changed of the device's own state is written.
const SAVED_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Parts<T> {
    pub(super) backend: Arc<Backend>,
    pub(super) transports: T,
    pub(super) http: MediaHttp,
    pub(super) hook: HookUntilOver,
    /// Of the web client.
    pub(super) version: (u32, u32, u32),
    pub(super) is_simulated: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Client(#[from] ClientBuilderError),
}

pub(super) async fn build<T: TransportFactory + 'static>(parts: Parts<T>) -> Result<ClientBuild, BuildError> {
    let state = Arc::new(PersistenceManager::new(parts.backend).await?);
    let named = DevicePropsOverride::new().with_os(DEVICE_NAME);
    state.process_command(DeviceCommand::SetDeviceProps(named)).await;
    let mut builder = Client::builder()
        .with_runtime(TokioRuntime)
        .with_persistence_manager(state)
        .with_transport_factory(parts.transports)
        .with_http_client(parts.http)
        .with_version_override(parts.version)
        .with_inbound_durability_hook(parts.hook)
        .with_cache_config(caches())
        .with_background_saver_interval(SAVED_EVERY);
    if parts.is_simulated {
        builder = builder.with_wanted_pre_key_count(SIMULATOR_PREKEYS);
    }
    Ok(builder.build().await?)
}

fn caches() -> CacheConfig {
    let day = Some(Duration::from_secs(24 * 3600));
    CacheConfig { lid_pn_cache: CacheEntryConfig::new(day, LID_CACHE_MAX), ..CacheConfig::default() }
}

/// A client that runs; resolves when its loop has ended, and ends it when dropped.
pub(super) struct Running {
    client: Arc<Client>,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(client: &Arc<Client>) -> Self {
        let running = client.clone();
        Self { client: client.clone(), task: tokio::spawn(async move { running.run().await }) }
    }

    /// Writes what it holds, says goodbye and waits for its end.
    pub(super) async fn shutdown(mut self) {
        self.client.disconnect().await;
        (&mut self).await;
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // A run that was aborted, or panicked, is over too.
        Pin::new(&mut self.task).poll(context).map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
