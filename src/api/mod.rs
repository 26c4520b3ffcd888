//! The front: HTTP in, JSON out. Knows who calls, checks what they ask, calls one operation, answers.
//!
//! Promises: every error has the one shape of [`error`], with a code from its table and every bad field named; nothing
//! internal (paths, SQL, addresses) reaches a client; a tenant's key reaches that tenant's rows only. The URL inventory
//! is one screen: [`router`].

mod admin;
mod caller;
mod docs;
mod envelope;
pub mod error;
mod extract;
mod fields;
mod health;
mod keys;
mod limits;
mod openapi;
mod parameters;
mod request;
mod router;
mod serve;
mod streams;
mod v1;

pub use router::{document, router};
pub use serve::{ServeSettings, serve};
pub use streams::StreamSettings;

use crate::domain::secret::Secret;
use crate::egress::Egress;
use crate::limits::Limits;
use crate::media::Media;
use crate::plugins::Plugins;
use crate::store::StoreError;
use crate::store::{Keep, Store};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sentry::Reports;
use crate::tenants::Tenants;
use crate::whatsapp::Directory;
use axum::http::HeaderValue;
use ipnet::IpNet;
use limits::RequestLimits;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use streams::Streams;
use tokio::sync::Semaphore;

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub store: Store,
    pub directory: Directory,
    pub plugins: Plugins,
    pub tenants: Tenants,
    pub egress: Egress,
    pub media: Media,
    pub metrics: Arc<Metrics>,
    pub settings: Arc<ApiSettings>,
    limits: RequestLimits,
    /// Places for components that are brought.
    uploads: Arc<Semaphore>,
    /// Places for bodies that are larger than others and held in memory.
    large_bodies: Arc<Semaphore>,
    streams: Arc<Streams>,
    supervisor: Supervisor,
    draining: Arc<AtomicBool>,
}

/// How the front behaves.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// SHA-256 of the master password, hex.
    pub master_key: Secret,
    /// Bytes of a JSON body.
    pub body_bytes_max: usize,
    /// Whether a linked device that is offline accepts messages.
    pub queue_while_offline: bool,
    /// How long a pairing request waits for its code.
    pub pairing_wait: Duration,
    /// Web pages of these origins may call; `*` is any, empty is none.
    pub cors_origins: Vec<HeaderValue>,
    /// What who reads the figures has to give, if anything.
    pub metrics_token: Option<Secret>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub streams: StreamSettings,
    pub uploads: UploadSettings,
    /// How long what is done is remembered.
    pub keep: Keep,
    /// Who is told of requests, if anybody.
    pub reports: Option<Reports>,
}

/// Components that tenants bring.
#[derive(Debug, Clone, Copy)]
pub struct UploadSettings {
    pub allowed: bool,
    /// Bytes of one component.
    pub bytes_max: usize,
}

/// Components that are read and compiled at once; for one more there is no room, 503.
const UPLOADS_AT_ONCE_MAX: usize = 2;
/// Files within JSON that are read at once; for one more there is no room, 503.
const LARGE_BODIES_AT_ONCE_MAX: usize = 4;

impl ApiSettings {
    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

impl Api {
    #[expect(clippy::too_many_arguments, reason = "every part that handlers work with, once")]
    pub fn new(
        store: Store,
        directory: Directory,
        plugins: Plugins,
        tenants: Tenants,
        egress: Egress,
        media: Media,
        metrics: Arc<Metrics>,
        supervisor: Supervisor,
        limits: Arc<Limits>,
        settings: ApiSettings,
    ) -> Self {
        let limits = RequestLimits::new(limits);
        let settings = Arc::new(settings);
        let uploads = Arc::new(Semaphore::new(UPLOADS_AT_ONCE_MAX));
        let large_bodies = Arc::new(Semaphore::new(LARGE_BODIES_AT_ONCE_MAX));
        let streams = Arc::new(Streams::new(settings.streams.per_tenant));
        let draining = Arc::default();
        Self {
            store,
            directory,
            plugins,
            tenants,
            egress,
            media,
            metrics,
            settings,
            limits,
            uploads,
            large_bodies,
            streams,
            supervisor,
            draining,
        }
    }

    /// From now on /ready says no, so that a load balancer looks elsewhere, and who follows events is told to come again.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.streams.end();
    }

    /// Waits for who follows events to be told, in bounded time. Returns whether all of them were.
    pub async fn streams_ended(&self) -> bool {
        self.streams.ended().await
    }

    fn is_working(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && self.supervisor.all_run()
    }

    /// Counts what the gauges show; asked for at the start and after every change of it.
    pub async fn count(&self) -> Result<(), StoreError> {
        let totals = self.store.totals().await?;
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.tenants_active.set(gauge(totals.tenants_active));
        self.metrics.devices_total.set(gauge(totals.devices));
        self.metrics.webhooks_registered.set(gauge(totals.webhooks));
        Ok(())
    }
}
