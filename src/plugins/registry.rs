//! Which plugins serve which tenant, and how that changes: whole or not at all, without a call being lost.
//!
//! A change is prepared beside what serves: compiled off the runtime's threads, linked, checked against grants and schema,
//! tried with a first instance. Only when all of it holds is it written and swapped in; calls in flight finish on what they
//! began with. What does not hold is told with its reason, and what served goes on.

use super::component::{Compiled, NotAPlugin};
use super::engine::{EngineError, EngineSettings, PluginEngine};
use super::instance::{Failure, Version};
use super::loading::entry_of;
use super::manifest::{Hook, Manifest};
use super::pipeline::{Entry, Pipeline, Standing};
use super::rows::{spec, spec_of_row, wanted_of_row};
use super::settings::{InvalidSettings, PluginSettings};
use super::state::Media;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::egress::Egress;
use crate::store::{MANAGED_BY_API, PluginRow, PluginSpec, PluginWrites, Store, StoreError};
use crate::telemetry::metrics::{Metrics, PluginKv};
use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// Plugins of one tenant; one more is refused.
pub const PLUGINS_PER_TENANT_MAX: usize = 32;

/// Cheap to clone.
#[derive(Clone)]
pub struct Plugins(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) engine: PluginEngine,
    pub(super) store: Store,
    pub(super) egress: Egress,
    pub(super) metrics: Arc<Metrics>,
    pipelines: ArcSwap<HashMap<TenantId, Arc<Pipeline>>>,
    /// Compiled components by hash, as long as somebody uses them.
    pub(super) compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    /// What components say of themselves, by hash: reading it takes the whole component from the store.
    pub(super) manifests: Mutex<HashMap<String, Manifest>>,
    /// What a rehearsal has laid out; in a gateway there is none.
    pub(super) media: ArcSwapOption<Media>,
    /// The tenants' files; in a rehearsal there are none.
    pub(super) library: OnceLock<crate::media::Media>,
    /// One change at a time.
    changing: Arc<AsyncMutex<()>>,
}

/// A plugin as somebody wants it.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    pub managed_by: String,
    pub enabled: bool,
    /// Hash of a component that the store keeps.
    pub sha256: String,
    pub file: Option<String>,
    pub settings: PluginSettings,
    pub secrets: BTreeMap<String, Secret>,
}

/// What a change came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It serves from now on.
    Swapped,
    /// Nothing was different.
    Unchanged,
    /// What served before goes on.
    KeptPrevious { plugin: String, reason: String },
}

#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    #[error("no such plugin")]
    NotFound,
    #[error("plugin {name:?} is managed by {file:?}; change it there")]
    ManagedByFile { name: String, file: String },
    #[error("a tenant may have {PLUGINS_PER_TENANT_MAX} plugins")]
    TooMany,
    #[error("there is no earlier version to go back to")]
    NoPrevious,
    #[error("plugin {0:?} comes from no file that it could be read from again; install another version of it")]
    NoFile(String),
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Plugins {
    pub fn start(
        settings: &EngineSettings,
        store: Store,
        egress: Egress,
        metrics: Arc<Metrics>,
    ) -> Result<Self, EngineError> {
        Ok(Self(Arc::new(Inner {
            engine: PluginEngine::start(settings)?,
            store,
            egress,
            metrics,
            pipelines: ArcSwap::default(),
            compiled: Mutex::default(),
            manifests: Mutex::default(),
            media: ArcSwapOption::empty(),
            library: OnceLock::new(),
            changing: Arc::default(),
        })))
    }

    /// Plugins loaded from now on read their tenant's files from here.
    pub fn with_library(self, library: crate::media::Media) -> Self {
        self.0.library.get_or_init(|| library);
        self
    }

    /// Bytes that plugins loaded from now on read as media, by handle. For rehearsals.
    pub fn lay_out(&self, media: Media) {
        self.0.media.store(Some(Arc::new(media)));
    }

    /// Whether a plugin would serve: linked, checked against grants and schema, every hook bound, a first instance started
    /// with its configuration. Changes nothing.
    pub async fn prove(&self, tenant: &TenantId, wanted: &Wanted) -> Result<(), Failure> {
        self.prepared(tenant, wanted).await.map(|_| ())
    }

    /// The tenant's plugins as they serve now. A caller holds on to it for one event or message.
    pub fn pipeline(&self, tenant: &TenantId) -> Option<Arc<Pipeline>> {
        self.0.pipelines.load().get(tenant).cloned()
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn tenants(&self) -> Vec<TenantId> {
        self.0.pipelines.load().keys().cloned().collect()
    }

    /// Reads every tenant's plugins. One that cannot run does not keep the others from serving: its hooks fail, and what
    /// follows is the tenant's choice.
    pub async fn load_all(&self) -> Result<(), StoreError> {
        let _one = self.0.changing.lock().await;
        for tenant in self.0.store.tenants_with_plugins().await? {
            let rows = self.0.store.plugins(&tenant).await?;
            let mut entries = Vec::with_capacity(rows.len());
            for row in rows.into_iter().filter(|row| row.enabled) {
                entries.push(self.restored(row).await);
            }
            self.swap_in(&tenant, entries);
        }
        Ok(())
    }

    /// Keeps a component in the store, to be named by its hash.
    pub async fn keep(&self, component: Vec<u8>) -> Result<(String, Manifest), KeepError> {
        let manifest = super::component::manifest(&component)?;
        let sha256 = super::component::sha256_hex(&component);
        self.0.store.keep_component(&sha256, component).await?;
        Ok((sha256, manifest))
    }

    /// Adds a plugin behind the others, or replaces the one of this name at its place.
    pub async fn put(&self, tenant: &TenantId, wanted: Wanted) -> Result<ReloadOutcome, PluginsError> {
        self.change(tenant, |plugins| {
            match plugins.iter_mut().find(|plugin| plugin.name == wanted.name) {
                Some(plugin) => *plugin = wanted,
                None => plugins.push(wanted),
            }
            Ok(())
        })
        .await
    }

    /// Another component for a plugin, everything else as it is.
    pub async fn replace_component(
        &self,
        tenant: &TenantId,
        name: &str,
        sha256: &str,
    ) -> Result<ReloadOutcome, PluginsError> {
        self.edit(tenant, name, |plugin| sha256.clone_into(&mut plugin.sha256)).await
    }

    pub async fn set_enabled(&self, tenant: &TenantId, name: &str, on: bool) -> Result<ReloadOutcome, PluginsError> {
        self.edit(tenant, name, |plugin| plugin.enabled = on).await
    }

    /// Back to the component that served before; once more is forward again.
    pub async fn roll_back(&self, tenant: &TenantId, name: &str) -> Result<ReloadOutcome, PluginsError> {
        let row = self.0.store.plugin(tenant, name).await?;
        let previous = row.previous_sha256.ok_or(PluginsError::NoPrevious)?;
        self.replace_component(tenant, name, &previous).await
    }

    pub async fn remove(&self, tenant: &TenantId, name: &str) -> Result<ReloadOutcome, PluginsError> {
        self.change(tenant, |plugins| {
            let before = plugins.len();
            plugins.retain(|plugin| plugin.name != name);
            if plugins.len() == before { Err(PluginsError::NotFound) } else { Ok(()) }
        })
        .await
    }

    /// Forgets a tenant that is no more.
    pub async fn forget(&self, tenant: &TenantId) {
        let _one = self.0.changing.lock().await;
        self.swap_in(tenant, Vec::new());
    }

    /// Tells that a plugin's new version was refused before it came to a change, such as a file that does not read.
    pub async fn tell_refused(&self, tenant: &TenantId, name: &str, reason: &str) -> Result<(), StoreError> {
        let rows = self.0.store.plugins(tenant).await?;
        let Some(row) = rows.into_iter().find(|row| row.name == name) else { return Ok(()) };
        let told = self.told(tenant, EventType::PluginReloadFailed, name, &row.sha256, Some(reason));
        let inbound = self.is_inbound(tenant, name, &row);
        let spec = PluginSpec { reason: Some(reason.to_owned()), ..spec_of_row(row, inbound) };
        self.0.store.write_plugins(tenant, PluginWrites { specs: vec![spec], gone: Vec::new(), told: vec![told] }).await
    }

    /// Gives back the memory of instances that nobody called for a while.
    pub(super) fn drop_idle(&self) {
        for pipeline in self.0.pipelines.load().values() {
            pipeline.entries.iter().filter_map(Entry::version).for_each(|version| version.drop_idle());
        }
    }

    /// Counts what plugins keep, for the figures.
    pub(super) async fn count_kv(&self) -> Result<(), StoreError> {
        let uses = self.0.store.kv_uses().await?.into_iter();
        let uses: Vec<PluginKv> = uses
            .map(|(tenant, plugin, used)| PluginKv {
                tenant: tenant.into(),
                plugin,
                keys: used.keys,
                bytes: used.bytes,
            })
            .collect();
        self.0.metrics.plugin_kv(&uses);
        Ok(())
    }

    async fn edit(
        &self,
        tenant: &TenantId,
        name: &str,
        edit: impl FnOnce(&mut Wanted),
    ) -> Result<ReloadOutcome, PluginsError> {
        self.change(tenant, |plugins| {
            let plugin = plugins.iter_mut().find(|plugin| plugin.name == name).ok_or(PluginsError::NotFound)?;
            edit(plugin);
            Ok(())
        })
        .await
    }

    pub(super) async fn change(
        &self,
        tenant: &TenantId,
        change: impl FnOnce(&mut Vec<Wanted>) -> Result<(), PluginsError>,
    ) -> Result<ReloadOutcome, PluginsError> {
        let one = self.0.changing.clone().lock_owned().await;
        let before = self.0.store.plugins(tenant).await?;
        let mut wanted: Vec<Wanted> = before.iter().cloned().map(wanted_of_row).collect::<Result<_, _>>()?;
        change(&mut wanted)?;
        if wanted.len() > PLUGINS_PER_TENANT_MAX {
            return Err(PluginsError::TooMany);
        }
        let made = match self.tried(tenant, &before, &wanted).await {
            Ok(made) => made,
            Err((plugin, failure)) => {
                let row = before.iter().find(|row| row.name == plugin.name);
                return self.kept(tenant, plugin, row, &failure).await;
            }
        };
        if made.writes.specs.is_empty() && made.writes.gone.is_empty() && !made.healed {
            return Ok(ReloadOutcome::Unchanged);
        }
        // A caller who goes away, such as a client that breaks off, must not leave the one without the other.
        let (plugins, tenant) = (self.clone(), tenant.clone());
        let both = tokio::spawn(async move {
            let _one = one;
            plugins.0.store.write_plugins(&tenant, made.writes).await?;
            plugins.swap_in(&tenant, made.entries);
            Ok::<(), StoreError>(())
        });
        both.await.map_err(|_| StoreError::Panicked)??;
        Ok(ReloadOutcome::Swapped)
    }

    /// Tries, for each of these tenants, what its file declares in the place of what files declared before. Nothing is
    /// written and nothing swapped until the caller says so; nobody else changes plugins until then. The first plugin that
    /// does not hold refuses all of it.
    pub async fn prepare(&self, wanted: Vec<(TenantId, Vec<Wanted>)>) -> Result<Prepared<'_>, Unprepared> {
        let one = self.0.changing.lock().await;
        let mut changes = Vec::with_capacity(wanted.len());
        for (tenant, declared) in wanted {
            let refused = |plugin: &str, reason: String| Unprepared::Refused {
                tenant: tenant.clone(),
                plugin: plugin.to_owned(),
                reason,
            };
            let before = self.0.store.plugins(&tenant).await?;
            let others = before.iter().filter(|row| row.managed_by == MANAGED_BY_API).cloned().map(wanted_of_row);
            let mut all: Vec<Wanted> = others.collect::<Result<_, _>>()?;
            if let Some(taken) = all.iter().find(|other| declared.iter().any(|new| new.name == other.name)) {
                let why = "the API made a plugin of this name; remove it there, or take another name";
                return Err(refused(&taken.name, why.to_owned()));
            }
            all.extend(declared);
            if let Some(one_more) = all.get(PLUGINS_PER_TENANT_MAX) {
                return Err(refused(&one_more.name, PluginsError::TooMany.to_string()));
            }
            match self.tried(&tenant, &before, &all).await {
                Ok(made) => changes.push((tenant, made)),
                Err((plugin, failure)) => return Err(refused(&plugin.name, failure.to_string())),
            }
        }
        Ok(Prepared { plugins: self, changes, _one: one })
    }

    /// Compiles, links and tries these plugins, beside what serves.
    async fn tried<'w>(
        &self,
        tenant: &TenantId,
        before: &[PluginRow],
        wanted: &'w [Wanted],
    ) -> Result<Made, (&'w Wanted, Failure)> {
        let serving = self.pipeline(tenant);
        let mut entries = Vec::with_capacity(wanted.len());
        let (mut specs, mut told, mut healed) = (Vec::new(), Vec::new(), false);
        for (position, plugin) in wanted.iter().enumerate() {
            let row = before.iter().find(|row| row.name == plugin.name);
            // One that is off need not be able to run.
            if !plugin.enabled {
                specs.extend(spec(plugin, row, position, false));
                continue;
            }
            let broken = broken_as_before(serving.as_deref(), plugin, row);
            let made = match reusable(serving.as_deref(), plugin) {
                Some(version) => Ok(version),
                None => self.prepared(tenant, plugin).await,
            };
            let version = match made {
                Ok(version) => version,
                Err(failure) => match broken {
                    // It could not run before either, and this change is none of its own: it keeps no other one back.
                    Some(entry) => {
                        specs.extend(spec(plugin, row, position, entry.hooks.contains(&Hook::Inbound)));
                        entries.push(entry);
                        continue;
                    }
                    None => return Err((plugin, failure)),
                },
            };
            healed |= broken.is_some();
            specs.extend(spec(plugin, row, position, version.hooks.contains(&Hook::Inbound)));
            let news = match row {
                None => Some(EventType::PluginLoaded),
                Some(row) if !row.enabled => Some(EventType::PluginLoaded),
                Some(row) if row.sha256 != plugin.sha256 => Some(EventType::PluginReloaded),
                Some(_) => None,
            };
            told.extend(news.map(|type_| self.told(tenant, type_, &plugin.name, &plugin.sha256, None)));
            entries.push(entry_of(version));
        }
        let still = |row: &&PluginRow| wanted.iter().any(|plugin| plugin.name == row.name);
        let gone: Vec<String> = before.iter().filter(|row| !still(row)).map(|row| row.name.clone()).collect();
        Ok(Made { writes: PluginWrites { specs, gone, told }, entries, healed })
    }

    /// A change that does not hold: told, and nothing else.
    async fn kept(
        &self,
        tenant: &TenantId,
        plugin: &Wanted,
        row: Option<&PluginRow>,
        failure: &Failure,
    ) -> Result<ReloadOutcome, PluginsError> {
        let reason = failure.to_string();
        let told = self.told(tenant, EventType::PluginReloadFailed, &plugin.name, &plugin.sha256, Some(&reason));
        let specs = row.map(|row| {
            let inbound = self.is_inbound(tenant, &plugin.name, row);
            PluginSpec { reason: Some(reason.clone()), ..spec_of_row(row.clone(), inbound) }
        });
        let writes = PluginWrites { specs: specs.into_iter().collect(), gone: Vec::new(), told: vec![told] };
        self.0.store.write_plugins(tenant, writes).await?;
        Ok(ReloadOutcome::KeptPrevious { plugin: plugin.name.clone(), reason })
    }

    fn is_inbound(&self, tenant: &TenantId, name: &str, row: &PluginRow) -> bool {
        let pipeline = self.pipeline(tenant);
        let entry = pipeline.as_ref().and_then(|p| p.entries.iter().find(|entry| entry.name == name));
        row.enabled && entry.is_some_and(|entry| entry.hooks.contains(&Hook::Inbound))
    }

    fn told(&self, tenant: &TenantId, type_: EventType, plugin: &str, sha256: &str, reason: Option<&str>) -> Event {
        let mut data = json!({ "plugin": plugin, "sha256": sha256 });
        if let Some(reason) = reason {
            data["reason"] = json!(reason);
        }
        Event::new(tenant.clone(), None, type_, self.0.store.clock().now_ms(), data)
    }

    fn swap_in(&self, tenant: &TenantId, entries: Vec<Entry>) {
        let (store, metrics) = (self.0.store.clone(), self.0.metrics.clone());
        let served = self.pipeline(tenant);
        let shown = |entries: &[Entry], serves: bool| {
            for version in entries.iter().filter_map(Entry::version) {
                let (home, says) = (&version.home, &version.manifest.version);
                metrics.plugin_serves(tenant.as_str(), &home.plugin, says, &home.sha256, serves);
            }
        };
        served.iter().for_each(|pipeline| shown(&pipeline.entries, false));
        shown(&entries, true);
        let pipeline =
            (!entries.is_empty()).then(|| Arc::new(Pipeline { tenant: tenant.clone(), entries, store, metrics }));
        self.0.pipelines.rcu(|all| {
            let mut all = HashMap::clone(all);
            match &pipeline {
                Some(pipeline) => all.insert(tenant.clone(), pipeline.clone()),
                None => all.remove(tenant),
            };
            all
        });
    }
}

/// What a change of one tenant's plugins comes to.
struct Made {
    writes: PluginWrites,
    entries: Vec<Entry>,
    /// Whether one that could not run before can now: then there is something to swap in though nothing is written.
    healed: bool,
}

/// A change that holds, and of which nothing is done yet.
pub struct Prepared<'a> {
    plugins: &'a Plugins,
    changes: Vec<(TenantId, Made)>,
    _one: MutexGuard<'a, ()>,
}

impl Prepared<'_> {
    /// What is to be written, in one step with whatever belongs to it. Given once.
    pub fn writes(&mut self) -> Vec<(TenantId, PluginWrites)> {
        self.changes.iter_mut().map(|(tenant, made)| (tenant.clone(), std::mem::take(&mut made.writes))).collect()
    }

    /// Serves from now on. After it was written: a restart reads what was written.
    pub fn swap_in(self) {
        for (tenant, made) in self.changes {
            self.plugins.swap_in(&tenant, made.entries);
        }
    }
}

/// Why a change of several tenants does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Unprepared {
    #[error("plugin {plugin:?}: {reason}")]
    Refused { tenant: TenantId, plugin: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a component is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error(transparent)]
    NotAPlugin(#[from] NotAPlugin),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The version that serves, when nothing of it is to change: its instances and counts go on.
fn reusable(serving: Option<&Pipeline>, wanted: &Wanted) -> Option<Arc<Version>> {
    let entry = serving?.entries.iter().find(|entry| entry.name == wanted.name)?;
    let version = entry.version()?;
    let same = version.home.sha256 == wanted.sha256
        && version.settings == wanted.settings
        && version.home.secrets == wanted.secrets;
    same.then(|| version.clone())
}

/// The place of a plugin that could not run before and of which nothing is to change.
fn broken_as_before(serving: Option<&Pipeline>, wanted: &Wanted, row: Option<&PluginRow>) -> Option<Entry> {
    let (entry, row) = (serving?.entries.iter().find(|entry| entry.name == wanted.name)?, row?);
    let untouched = row.enabled && row.sha256 == wanted.sha256 && row.secrets == wanted.secrets;
    let broken = matches!(entry.state, Standing::Broken(_)) && untouched && entry.settings == wanted.settings;
    broken.then(|| entry.clone())
}
