//! Puts the parts together and takes them apart again: the only file that knows every module.

use crate::api::{self, Api};
use crate::config::Settings;
use crate::domain::clock::Clock;
use crate::egress::Egress;
use crate::limits::Limits;
use crate::media::{KeepError, Media};
use crate::plugins::{self, EngineError, Plugins};
use crate::store::{Keep, OpenError, Store, Topic};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics::Metrics;
use crate::tenants::{self, FolderError, Ground, Tenants};
use crate::whatsapp::Directory;
use crate::{inbound, outbound, webhooks};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Why a gateway does not start. One line each, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("cannot listen on {address}: {source}; stop what uses the port, or set PORT")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot prepare TLS: {0}")]
    Tls(String),
    #[error("cannot set up metrics: {0}")]
    Metrics(prometheus::Error),
    #[error(transparent)]
    Plugins(#[from] EngineError),
    #[error(transparent)]
    Tenants(#[from] FolderError),
    #[error("cannot use the media folder: {0}; set media.folder to one that can be written")]
    Media(#[from] KeepError),
    #[error("cannot read the store: {0}")]
    Read(#[from] crate::store::StoreError),
}

/// How often what has had its time is forgotten; also when a tenant or a device was deleted.
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);

/// A running gateway.
pub struct App {
    pub address: SocketAddr,
    api: Api,
    /// Stops the listener; requests in flight go on.
    stop_listening: CancellationToken,
    /// Stops the loops, once nobody can give them new work.
    stop_working: CancellationToken,
    listener: JoinHandle<bool>,
    workers: Vec<JoinHandle<bool>>,
}

impl App {
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_at(settings, Clock::system()).await
    }

    /// As [`App::start`], by another clock than the system's.
    pub async fn start_at(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        // Fails when it is installed already, by another gateway of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|source| StartError::Listen { address: settings.listen, source })?;
        let address = listener.local_addr().unwrap_or(settings.listen);
        let metrics = Arc::new(Metrics::new().map_err(StartError::Metrics)?);
        let limits = Arc::new(Limits::new(settings.limits, clock.clone()));
        let store = Store::open(&settings.store, &settings.master_key, clock, metrics.clone())?;
        let egress = Egress::new(settings.egress).map_err(|error| StartError::Tls(error.to_string()))?;
        let media = Media::open(store.clone(), settings.media, metrics.clone()).await?;
        let plugins = Plugins::start(&settings.plugins, store.clone(), egress.clone(), metrics.clone())?;
        let plugins = plugins.with_library(media.clone());
        plugins.load_all().await?;
        let directory = Directory::new(store.clone(), settings.whatsapp, metrics.clone(), media.clone());
        let ground = Ground {
            folder: settings.tenants.folder,
            plugins_folder: settings.tenants.plugins_folder,
            egress: egress.clone(),
            environment: |name| std::env::var(name).ok(),
        };
        let tenants = Tenants::new(ground, store.clone(), plugins.clone(), directory.clone());
        tenants.start().await?;
        let (stop_listening, stop_working) = (CancellationToken::new(), CancellationToken::new());
        let supervisor = Supervisor::new(stop_working.clone());
        let api = Api::new(
            store.clone(),
            directory.clone(),
            plugins.clone(),
            tenants.clone(),
            egress.clone(),
            media.clone(),
            metrics.clone(),
            supervisor.clone(),
            limits.clone(),
            settings.api,
        );
        api.count().await?;
        let router = api::router(api.clone());
        let listener = tokio::spawn(api::serve(listener, router, settings.serve, stop_listening.clone()));
        let resumed = directory.clone();
        let workers = vec![
            supervisor.keep("inbound", {
                let (store, plugins, metrics) = (store.clone(), plugins.clone(), metrics.clone());
                move |stop| inbound::run(store.clone(), plugins.clone(), metrics.clone(), stop)
            }),
            supervisor.keep("plugin files", {
                let plugins = plugins.clone();
                move |stop| plugins::watch_files(plugins.clone(), stop)
            }),
            supervisor.keep("tenant files", {
                let (tenants, api) = (tenants.clone(), api.clone());
                move |stop| tenants::watch(tenants.clone(), counted(api.clone()), stop)
            }),
            supervisor.keep("outbound", {
                let (store, directory, metrics) = (store.clone(), directory.clone(), metrics.clone());
                move |stop| outbound::run(store.clone(), directory.clone(), limits.clone(), metrics.clone(), stop)
            }),
            supervisor.keep("media downloads", {
                let (store, directory, media, metrics) =
                    (store.clone(), directory.clone(), media.clone(), metrics.clone());
                move |stop| {
                    inbound::run_downloads(store.clone(), directory.clone(), media.clone(), metrics.clone(), stop)
                }
            }),
            supervisor.keep("webhooks", {
                let (store, plugins, settings) = (store.clone(), plugins.clone(), settings.webhooks);
                move |stop| {
                    webhooks::run(store.clone(), egress.clone(), plugins.clone(), metrics.clone(), settings, stop)
                }
            }),
            supervisor.keep("plugin schedules", {
                let (plugins, zone) = (plugins.clone(), settings.log.zone.clone());
                move |stop| plugins::run_schedules(plugins.clone(), zone.clone(), stop)
            }),
            supervisor.keep("clean", {
                let keep = api.settings.keep;
                move |stop| clean(store.clone(), media.clone(), keep, stop)
            }),
            supervisor.keep("leases", move |stop| {
                let directory = directory.clone();
                async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = directory.keep_leases() => {}
                    }
                }
            }),
            tokio::spawn(async move {
                let outcome = resumed.resume_all().await;
                if let Err(error) = &outcome {
                    tracing::error!(%error, "devices were not resumed");
                }
                outcome.is_ok()
            }),
        ];
        tracing::info!(%address, "the gateway listens");
        Ok(Self { address, api, stop_listening, stop_working, listener, workers })
    }

    pub fn plugins(&self) -> &Plugins {
        &self.api.plugins
    }

    pub fn store(&self) -> &Store {
        &self.api.store
    }

    /// Stops taking requests, finishes what is in flight, closes the devices' connections, flushes the store. Returns
    /// whether everything ended as it should.
    pub async fn stop(self) -> bool {
        self.api.drain();
        self.stop_listening.cancel();
        let mut clean = self.listener.await.unwrap_or(false);
        clean &= self.api.streams_ended().await;
        self.stop_working.cancel();
        self.api.directory.shut_down().await;
        for worker in self.workers {
            clean &= worker.await.unwrap_or(false);
        }
        self.api.store.close().await;
        tracing::info!(clean, "the gateway has stopped");
        clean
    }
}

/// Counts anew after files changed what there is.
fn counted(api: Api) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    move || {
        let api = api.clone();
        Box::pin(async move {
            if let Err(error) = api.count().await {
                tracing::error!(%error, "what the gauges show was not counted");
            }
        })
    }
}

/// What was deleted goes at once; what has had its time, and what is dear to do, now and then.
async fn clean(store: Store, media: Media, keep: Keep, stop: CancellationToken) {
    let mut deleted = store.watch(Topic::Deleted);
    let mut every = tokio::time::interval(CLEAN_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => forget(&store, keep).await,
            () = deleted.changed() => {}
        }
        match store.empty_deleted().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "rows of what was deleted were removed"),
            Err(error) => tracing::error!(%error, "what deleted devices and tenants left was not removed"),
        }
        if let Err(error) = media.sweep().await {
            tracing::error!(%error, "media that have had their time were not removed");
        }
    }
}

async fn forget(store: &Store, keep: Keep) {
    match store.sweep(keep).await {
        Ok(swept) if swept.events > 0 => tracing::info!(count = swept.events, "old events were forgotten"),
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "what has had its time was not forgotten"),
    }
    if let Err(error) = store.note_emptied().await {
        tracing::error!(%error, "what was deleted was not written out of the index of words");
    }
}

/// Returns at Ctrl-C or SIGTERM.
pub(crate) async fn told_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
