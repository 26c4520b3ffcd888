//! The running devices of this process: starts, stops, pairs and finds them.
//!
//! What the owner wants is written first and acted on second, so that a crash in between is mended by the next start.

use super::account::{Account, AccountError};
use super::connection::Request;
use super::device::{self, Control, Environment, Pairing};
use super::media::DownloadError;
use super::outgoing::{Along, Sender};
use super::tap::Tapped;
use super::{PairingCode, QrCode, Vitals, WhatsappSettings};
use crate::domain::device::{Desired, Observed, resumes};
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::jid::{ChatId, PhoneNumber};
use crate::domain::outgoing::{Content, Outcome};
use crate::media::{Draft, Media};
use crate::store::{DueDownload, LEASE_TTL, Lease, Observation, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("the device is not known")]
    NotFound,
    /// Another gateway drives this device.
    #[error("the device is owned by another instance")]
    OwnedElsewhere,
    /// It is linked: log out before pairing again.
    #[error("the device is already linked")]
    AlreadyLinked,
    /// No code came in time.
    #[error("whatsapp gave no code in time")]
    Timeout,
    /// WhatsApp refused; the text is for people.
    #[error("whatsapp refused: {0}")]
    Refused(String),
    /// The gateway is going down.
    #[error("the gateway is stopping")]
    Stopping,
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for DirectoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Fenced => Self::OwnedElsewhere,
            other => Self::Store(other),
        }
    }
}

/// A device that can send now.
#[derive(Clone)]
pub struct Connected {
    pub tenant: TenantId,
    pub device: DeviceId,
    pub lease: Lease,
    sender: Sender,
}

impl Connected {
    pub fn is_same_connection(&self, other: &Self) -> bool {
        self.sender.is_same(&other.sender)
    }

    /// Sends under `wa_id` and returns what WhatsApp's server said of it. `along` is what the content refers to.
    pub async fn send(&self, wa_id: &str, chat: &ChatId, content: &Content, along: &Along) -> Outcome {
        self.sender.send(wa_id, chat, content, along).await
    }

    /// Fetches a received file into its place; it is there when the draft is kept.
    pub async fn download(&self, due: &DueDownload, draft: &mut Draft) -> Result<(), DownloadError> {
        self.sender.download(&due.remote, draft).await
    }

    /// The addresses of one chat: the given one, and the other one of the same person where that is known (otherwise the
    /// given one again).
    pub async fn addresses(&self, chat: &ChatId) -> [String; 2] {
        self.sender.addresses(chat).await
    }
}

struct Running {
    tenant: TenantId,
    control: Arc<Control>,
    lease: Lease,
    task: JoinHandle<()>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    store: Store,
    settings: WhatsappSettings,
    metrics: Arc<Metrics>,
    media: Media,
    running: Mutex<HashMap<DeviceId, Running>>,
    /// Held while a device is being started, so that parallel starts make one task.
    starting: tokio::sync::Mutex<()>,
    changes: watch::Sender<u64>,
    shutdown: CancellationToken,
}

impl Directory {
    pub fn new(store: Store, settings: WhatsappSettings, metrics: Arc<Metrics>, media: Media) -> Self {
        Self(Arc::new(Inner {
            store,
            settings,
            metrics,
            media,
            running: Mutex::default(),
            starting: tokio::sync::Mutex::new(()),
            changes: watch::Sender::new(0),
            shutdown: CancellationToken::new(),
        }))
    }

    /// Wants the device running and starts its task. Idempotent, safe in parallel.
    pub async fn start(&self, tenant: &TenantId, device: &DeviceId) -> Result<(), DirectoryError> {
        self.0.store.set_desired(tenant, device, Desired::Running).await?;
        self.ensure_task(tenant, device).await
    }

    /// Wants the device stopped; returns when its task has ended. Idempotent, also while connecting or waiting.
    pub async fn stop(&self, tenant: &TenantId, device: &DeviceId) -> Result<(), DirectoryError> {
        self.0.store.set_desired(tenant, device, Desired::Stopped).await?;
        self.end_task(device).await;
        let row = self.0.store.device(tenant, device).await?;
        if !matches!(row.observed, Observed::Disconnected | Observed::NeedsPairing) {
            let seen = Observation { status: Observed::Disconnected, error: None, reconnect_attempts: 0 };
            self.0.store.observe_device(tenant, device, seen).await?;
        }
        Ok(())
    }

    /// Ends the tasks of a tenant's devices without changing what their owner wants.
    pub async fn halt_tenant(&self, tenant: &TenantId) {
        let devices: Vec<DeviceId> =
            self.lock().iter().filter(|(_, r)| r.tenant == *tenant).map(|(device, _)| device.clone()).collect();
        for device in devices {
            self.end_task(&device).await;
        }
    }

    /// Ends one device's task without changing what its owner wants.
    pub async fn halt_device(&self, device: &DeviceId) {
        self.end_task(device).await;
    }

    /// Starts what should run of a tenant.
    pub async fn resume_tenant(&self, tenant: &TenantId) -> Result<(), DirectoryError> {
        self.resume(Some(tenant)).await
    }

    /// Starts what should run, one after another with the configured pause.
    pub async fn resume_all(&self) -> Result<(), DirectoryError> {
        self.resume(None).await
    }

    async fn resume(&self, only: Option<&TenantId>) -> Result<(), DirectoryError> {
        let all = self.0.store.all_devices().await?;
        for found in &all {
            // What an earlier life of this process saw last is not true any more.
            let stale = matches!(found.observed, Observed::Connected | Observed::Connecting | Observed::Pairing);
            if stale && self.control(&found.device).is_none() {
                let error = Some("the gateway was restarted".to_owned());
                let seen = Observation { status: Observed::Disconnected, error, reconnect_attempts: 0 };
                self.0.store.observe_device(&found.tenant, &found.device, seen).await?;
            }
        }
        for found in all {
            let ours = only.is_none_or(|tenant| *tenant == found.tenant);
            if !ours || !resumes(found.desired, found.observed, found.linked) {
                continue;
            }
            if let Err(error) = self.ensure_task(&found.tenant, &found.device).await {
                tracing::warn!(device = %found.device, %error, "a device was not resumed");
            }
            tokio::select! {
                () = self.0.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.0.settings.start_stagger) => {}
            }
        }
        Ok(())
    }

    /// Unlinks at WhatsApp when connected, destroys the session, and leaves the device stopped.
    pub async fn logout(&self, tenant: &TenantId, device: &DeviceId) -> Result<(), DirectoryError> {
        self.0.store.set_desired(tenant, device, Desired::Stopped).await?;
        self.dismiss(device).await;
        if self.0.store.device(tenant, device).await?.observed != Observed::NeedsPairing {
            let reason = Some("logged out by the owner".to_owned());
            let seen = Observation { status: Observed::NeedsPairing, error: reason, reconnect_attempts: 0 };
            self.0.store.unlink_device(tenant, device, seen).await?;
        }
        Ok(())
    }

    /// Unlinks at WhatsApp when connected, and ends the task. The row is not touched: it may be gone already.
    pub async fn dismiss(&self, device: &DeviceId) {
        let control = self.control(device);
        if let Some(control) = control.filter(|control| control.online().is_some()) {
            let mut over = control.pairing.subscribe();
            if control.request(Request::Logout) {
                let _ = tokio::time::timeout(LOGOUT_TIME_MAX, over.wait_for(|pairing| pairing.over)).await;
            }
        }
        self.end_task(device).await;
    }

    /// The code to scan now; starts the device if needed and waits up to `wait` for it.
    pub async fn pairing_qr(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<QrCode, DirectoryError> {
        let control = self.start_pairing(tenant, device).await?;
        let now = self.0.store.clock().now_ms();
        let fresh = |pairing: &Pairing| pairing.qr.clone().filter(|qr| qr.expires_at > now);
        let mut pairing = control.pairing.subscribe();
        let waited = tokio::time::timeout(wait, pairing.wait_for(|p| p.over || fresh(p).is_some())).await;
        let found = match waited {
            Ok(Ok(pairing)) => fresh(&pairing),
            _ => None,
        };
        found.ok_or(DirectoryError::Timeout)
    }

    /// A code for typing into the phone with this number; also after a QR was shown.
    pub async fn pairing_code(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        phone: &PhoneNumber,
        wait: Duration,
    ) -> Result<PairingCode, DirectoryError> {
        let deadline = tokio::time::Instant::now() + wait;
        // The first QR tells that the server waits for a pairing; a code asked for earlier is refused.
        self.pairing_qr(tenant, device, wait).await?;
        let control = self.control(device).ok_or(DirectoryError::Timeout)?;
        let (answer, answered) = oneshot::channel();
        if !control.request(Request::PairWithCode { phone: phone.clone(), answer }) {
            return Err(DirectoryError::Refused("too many codes were asked for at once".into()));
        }
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(result)) => result.map_err(DirectoryError::Refused),
            _ => Err(DirectoryError::Timeout),
        }
    }

    /// Whether stanzas are kept.
    pub fn taps(&self) -> bool {
        self.0.settings.protocol_tap
    }

    /// The newest stanzas that arrived since the device was started.
    pub fn tapped(&self, device: &DeviceId, count: usize) -> Vec<Tapped> {
        self.control(device).map(|control| control.tap.newest(count)).unwrap_or_default()
    }

    /// `None` when the device has no task in this process.
    pub fn vitals(&self, device: &DeviceId) -> Option<Vitals> {
        self.control(device).map(|control| *control.vitals.borrow())
    }

    /// The devices that can send now.
    pub fn connected(&self) -> Vec<Connected> {
        let running = self.lock();
        let online = running.iter().filter_map(|(device, entry)| {
            let (sender, lease) = entry.control.online()?;
            Some(Connected { tenant: entry.tenant.clone(), device: device.clone(), lease, sender })
        });
        online.collect()
    }

    /// A device of this tenant, for live requests; only while it is connected.
    pub fn account(&self, tenant: &TenantId, device: &DeviceId) -> Result<Account, AccountError> {
        let running = self.lock();
        let own = running.get(device).filter(|entry| entry.tenant == *tenant).ok_or(AccountError::NotConnected)?;
        let (sender, _) = own.control.online().ok_or(AccountError::NotConnected)?;
        Ok(Account::new(sender, own.control.memory.clone(), self.0.store.clock().clone()))
    }

    /// This device, when it can send now.
    pub fn connected_device(&self, device: &DeviceId) -> Option<Connected> {
        let running = self.lock();
        let entry = running.get(device)?;
        let (sender, lease) = entry.control.online()?;
        Some(Connected { tenant: entry.tenant.clone(), device: device.clone(), lease, sender })
    }

    /// Whether this very connection still stands.
    pub fn is_connected(&self, device: &Connected) -> bool {
        let online = self.control(&device.device).and_then(|control| control.online());
        online.is_some_and(|(sender, _)| sender.is_same(&device.sender))
    }

    /// Changes whenever a device comes online or goes offline.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Keeps the leases of running devices, and ends the tasks of those that were lost. Runs until shutdown.
    pub async fn keep_leases(&self) {
        loop {
            tokio::select! {
                () = self.0.shutdown.cancelled() => return,
                () = self.0.store.clock().sleep(LEASE_TTL / 3) => {}
            }
            self.forget_finished();
            let leases: Vec<Lease> = self.lock().values().map(|entry| entry.lease.clone()).collect();
            match self.0.store.renew_leases(leases).await {
                Ok(lost) => {
                    for lease in lost {
                        let current = self.lock().get(&lease.device).is_some_and(|entry| entry.lease == lease);
                        if current {
                            tracing::error!(device = %lease.device, "another instance took over this device");
                            self.end_task(&lease.device).await;
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "leases were not renewed"),
            }
        }
    }

    /// Ends every task and waits for them. Nothing starts afterwards. What owners want stays as it is.
    pub async fn shut_down(&self) {
        self.0.shutdown.cancel();
        let _starting = self.0.starting.lock().await;
        let all: Vec<Running> = self.lock().drain().map(|(_, entry)| entry).collect();
        for entry in &all {
            entry.control.stop.cancel();
        }
        for entry in all {
            let _ = entry.task.await;
        }
    }

    async fn start_pairing(&self, tenant: &TenantId, device: &DeviceId) -> Result<Arc<Control>, DirectoryError> {
        if self.0.store.device(tenant, device).await?.linked {
            return Err(DirectoryError::AlreadyLinked);
        }
        self.start(tenant, device).await?;
        self.control(device).ok_or(DirectoryError::Timeout)
    }

    async fn ensure_task(&self, tenant: &TenantId, device: &DeviceId) -> Result<(), DirectoryError> {
        let _starting = self.0.starting.lock().await;
        if self.0.shutdown.is_cancelled() {
            return Err(DirectoryError::Stopping);
        }
        self.forget_finished();
        if let Some(control) = self.control(device) {
            if !control.stop.is_cancelled() && !control.pairing.borrow().over {
                return Ok(());
            }
            finished(&control).await;
        }
        let lease = self.0.store.acquire_lease(tenant, device).await?;
        let env = Environment {
            store: self.0.store.clone(),
            settings: self.0.settings.clone(),
            metrics: self.0.metrics.clone(),
            media: self.0.media.clone(),
            tenant: tenant.clone(),
            device: device.clone(),
            changes: self.0.changes.clone(),
        };
        let control = Arc::new(Control::new(self.0.shutdown.child_token()));
        let task = tokio::spawn(device::run(env, lease.clone(), control.clone()));
        self.lock().insert(device.clone(), Running { tenant: tenant.clone(), control, lease, task });
        Ok(())
    }

    /// The entry stays until the task has ended, so that a start in between waits for it.
    async fn end_task(&self, device: &DeviceId) {
        let Some(control) = self.control(device) else { return };
        control.stop.cancel();
        finished(&control).await;
        let ended = self.lock().remove(device);
        if let Some(entry) = ended.filter(|entry| !Arc::ptr_eq(&entry.control, &control)) {
            // Somebody started it again meanwhile; that task is not ours to forget.
            self.lock().insert(device.clone(), entry);
        }
    }

    fn forget_finished(&self) {
        self.lock().retain(|_, entry| !entry.task.is_finished());
    }

    fn control(&self, device: &DeviceId) -> Option<Arc<Control>> {
        self.lock().get(device).map(|entry| entry.control.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DeviceId, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when a device's task has written its last word.
async fn finished(control: &Control) {
    // The sender lives in `control`, so waiting cannot fail.
    let _ = control.pairing.subscribe().wait_for(|pairing| pairing.over).await;
}

/// How long a logout may take at WhatsApp before the session is destroyed here all the same.
const LOGOUT_TIME_MAX: Duration = Duration::from_secs(15);
