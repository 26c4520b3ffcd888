//! Starting and stopping a simulator: one address for the WebSocket, the control API and the media host.

use crate::clock::{Clock, Unmoved};
use crate::control;
use crate::noise::{ServerIdentity, public_key};
use crate::world::World;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What every connection and every control request works on.
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) identity: ServerIdentity,
    pub(crate) next_connection: AtomicU64,
    pub(crate) stop: CancellationToken,
}

/// A running simulator. It stops when dropped.
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Simulator {
    /// Listens on `address`; port 0 takes a free one.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        Self::start_with(address, Clock::system()).await
    }

    /// As `start`, with a clock of the caller's choice.
    pub async fn start_with(address: SocketAddr, clock: Clock) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}; choose another port"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            world: World::new(clock),
            identity: ServerIdentity::generate()?,
            next_connection: AtomicU64::new(1),
            stop: CancellationToken::new(),
        });
        let router = control::router(shared.clone());
        let stopped = shared.stop.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the simulator's listener ended");
            }
        });
        Ok(Self { address, shared })
    }

    /// `http://127.0.0.1:PORT`: the base of the control API; the WebSocket is at `/ws/chat`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Moves a manual clock; returns unix milliseconds.
    pub fn advance(&self, time: std::time::Duration) -> Result<u64, Unmoved> {
        self.shared.world.clock.advance(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The public root key of its certificate chain, hex, for clients that can be told to trust it.
    pub fn root_key_hex(&self) -> String {
        hex::encode(public_key(&self.shared.identity.root))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
