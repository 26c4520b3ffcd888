//! A device's task: connect, stay, and after every end do what the table in `domain::device` says.

use super::account::Memory;
use super::connection::{self, Request};
use super::outgoing::Sender;
use super::tap::Tap;
use super::{PairingCode, QrCode, Vitals, WhatsappSettings};
use crate::domain::backoff::Backoff;
use crate::domain::device::{Desired, Ended, Next, Observed, after_end};
use crate::domain::ids::{DeviceId, TenantId};
use crate::media::Media;
use crate::store::{Lease, Observation, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A connection that lasted this long counts as stable: the next loss starts the backoff from its beginning.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// Requests waiting for one connection; more are refused.
const REQUESTS_QUEUED_MAX: usize = 8;

/// What a device's task works with.
#[derive(Clone)]
pub(super) struct Environment {
    pub(super) store: Store,
    pub(super) settings: WhatsappSettings,
    pub(super) metrics: Arc<Metrics>,
    pub(super) media: Media,
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    /// Counts every device that came online or went offline.
    pub(super) changes: watch::Sender<u64>,
}

impl Environment {
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Where a pairing stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairing {
    pub(super) qr: Option<QrCode>,
    pub(super) code: Option<PairingCode>,
    pub(super) refused: Option<String>,
    /// The task is over: nothing more will come.
    pub(super) over: bool,
}

/// What the directory and the device's task share.
pub(super) struct Control {
    pub(super) stop: CancellationToken,
    pub(super) vitals: watch::Sender<Vitals>,
    pub(super) pairing: watch::Sender<Pairing>,
    pub(super) requests: tokio::sync::Mutex<mpsc::Receiver<Request>>,
    pub(super) memory: Arc<Memory>,
    pub(super) tap: Arc<Tap>,
    ask: mpsc::Sender<Request>,
    online: Mutex<Option<(Sender, Lease)>>,
}

impl Control {
    pub(super) fn new(stop: CancellationToken) -> Self {
        let (ask, requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
        Self {
            stop,
            vitals: watch::Sender::new(Vitals::default()),
            pairing: watch::Sender::new(Pairing::default()),
            requests: tokio::sync::Mutex::new(requests),
            memory: Arc::default(),
            tap: Arc::default(),
            ask,
            online: Mutex::new(None),
        }
    }

    /// Hands a request to the connection; `false` when too many wait already.
    pub(super) fn request(&self, request: Request) -> bool {
        self.ask.try_send(request).is_ok()
    }

    pub(super) fn went_online(&self, sender: Sender, lease: Lease) {
        *self.online.lock().unwrap_or_else(PoisonError::into_inner) = Some((sender, lease));
    }

    pub(super) fn went_offline(&self) {
        *self.online.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn online(&self) -> Option<(Sender, Lease)> {
        self.online.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs until the device is to rest. Gives the lease back at the end.
pub(super) async fn run(env: Environment, lease: Lease, control: Arc<Control>) {
    if let Err(error) = live(&env, &lease, &control).await {
        tracing::error!(device = %env.device, %error, "a device's task ended on a store error");
    }
    if let Err(error) = env.store.release_lease(lease).await {
        tracing::warn!(device = %env.device, %error, "a lease was not given back; it runs out by itself");
    }
    control.pairing.send_modify(|pairing| pairing.over = true);
}

async fn live(env: &Environment, lease: &Lease, control: &Control) -> Result<(), StoreError> {
    let clock = env.store.clock();
    let mut failures = 0;
    loop {
        let linked = env.store.device(&env.tenant, &env.device).await?.linked;
        observe(env, Observed::Connecting, None, failures).await?;
        let began = clock.now_ms();
        let ended = connection::run(env, lease, linked, control).await;
        control.pairing.send_modify(|pairing| (pairing.qr, pairing.code) = (None, None));

        let lasted = u64::try_from(clock.now_ms() - began).unwrap_or(0);
        failures = if Duration::from_millis(lasted) >= STABLE_AFTER { 1 } else { failures + 1 };
        let row = env.store.device(&env.tenant, &env.device).await?;
        let reason = reason(&ended);
        tracing::info!(device = %env.device, reason = reason.as_deref(), failures, "a connection ended");
        match after_end(row.desired, &ended, row.linked, failures, env.settings.connect_attempts_max) {
            Next::Rest(Observed::NeedsPairing) => {
                let seen = Observation { status: Observed::NeedsPairing, error: reason, reconnect_attempts: 0 };
                return env.store.unlink_device(&env.tenant, &env.device, seen).await;
            }
            Next::Rest(status) => return observe(env, status, reason, failures).await,
            Next::Retry { failures } => {
                observe(env, Observed::Disconnected, reason, failures).await?;
                let wait = Backoff::RECONNECT.wait(failures, rand::random());
                tokio::select! {
                    () = control.stop.cancelled() => return observe(env, Observed::Disconnected, None, 0).await,
                    () = clock.sleep(wait) => {}
                }
            }
        }
        if env.store.device(&env.tenant, &env.device).await?.desired == Desired::Stopped {
            return observe(env, Observed::Disconnected, None, 0).await;
        }
    }
}

async fn observe(
    env: &Environment,
    status: Observed,
    error: Option<String>,
    reconnect_attempts: u32,
) -> Result<(), StoreError> {
    let seen = Observation { status, error, reconnect_attempts };
    env.store.observe_device(&env.tenant, &env.device, seen).await
}

/// For people: why a connection ended. Nothing when somebody asked for it.
fn reason(ended: &Ended) -> Option<String> {
    match ended {
        Ended::Lost { detail } => Some(detail.clone()),
        Ended::Unlinked { detail } => Some(format!("whatsapp unlinked the device: {detail}")),
        Ended::Replaced => Some("another connection with the same session took over".into()),
        Ended::PairingExpired => Some("nobody scanned the code in time".into()),
        Ended::Banned { detail } => Some(format!("whatsapp banned the account for a while: {detail}")),
        Ended::Outdated => Some("whatsapp refuses this client's version".into()),
        Ended::Asked => None,
    }
}
