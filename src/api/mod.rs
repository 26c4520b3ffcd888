//! The front: HTTP in, JSON out. Knows who calls, checks what they ask, calls one operation, answers.
//!
//! Promises: every error has the one shape of [`error`], with a code from its table and every bad field named; nothing
//! internal (paths, SQL, addresses) reaches a client; a tenant's key reaches that tenant's rows only. The URL inventory
//! is one screen: [`router`].

mod admin;
mod caller;
mod envelope;
pub mod error;
mod fields;
mod health;
mod request;
mod router;
mod serve;
mod v1;

pub use router::router;
pub use serve::{ServeSettings, serve};

use crate::domain::secret::Secret;
use crate::egress::Egress;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::whatsapp::Directory;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub store: Store,
    pub directory: Directory,
    pub egress: Egress,
    pub metrics: Arc<Metrics>,
    pub settings: Arc<ApiSettings>,
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
}

impl Api {
    pub fn new(
        store: Store,
        directory: Directory,
        egress: Egress,
        metrics: Arc<Metrics>,
        settings: ApiSettings,
    ) -> Self {
        Self { store, directory, egress, metrics, settings: Arc::new(settings), draining: Arc::default() }
    }

    /// From now on /ready says no, so that a load balancer looks elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
