//! Which plugins serve which tenant, and how that changes: whole or not at all, without a call being lost.
//!
//! A change is prepared beside what serves: compiled off the runtime's threads, linked, checked against grants and schema,
//! tried with a first instance. Only when all of it holds is it written and swapped in; calls in flight finish on what they
//! began with. What does not hold is told with its reason, and what served goes on.

use super::candidate::{Seat, seated};
use super::component::{Compiled, NotAPlugin};
use super::engine::{EngineError, EngineSettings, PluginEngine};
use super::instance::{Failure, Version};
use super::loading::entry_of;
use super::manifest::{Hook, Manifest};
use super::pipeline::{Entry, OnTrial, Pipeline, ShadowGate, Standing};
use super::rows::{spec, spec_of_row, wanted_of_row};
use super::settings::{InvalidSettings, PluginSettings};
use super::state::Media;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::domain::trial::{Trial, TrialMode};
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
    shadows: ShadowGate,
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
    /// What of it is tried before it serves.
    pub trial: Option<Trial>,
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
    #[error("nothing of the plugin is on trial")]
    NoTrial,
    #[error("plugin {name:?} is managed by {file:?}; {todo}")]
    TrialOfFile { name: String, file: String, todo: &'static str },
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
            shadows: ShadowGate::default(),
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
            let mut seats = Vec::with_capacity(rows.len());
            for row in rows.into_iter().filter(|row| row.enabled) {
                seats.push(self.restored(row).await);
            }
            self.swap_in(&tenant, seats);
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
        self.edit(tenant, name, |plugin| plugin.replace_component(sha256)).await
    }

    pub async fn set_enabled(&self, tenant: &TenantId, name: &str, on: bool) -> Result<ReloadOutcome, PluginsError> {
        self.edit(tenant, name, |plugin| plugin.enabled = on).await
    }

    /// Back to the component that served before; once more is forward again. While something is on trial, that is given up
    /// and nothing else.
    pub async fn roll_back(&self, tenant: &TenantId, name: &str) -> Result<ReloadOutcome, PluginsError> {
        let row = self.0.store.plugin(tenant, name).await?;
        if row.trial.is_some() {
            return self.end_trial(tenant, name).await;
        }
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
        let rows = self.rows(tenant).await?;
        let Some(row) = rows.into_iter().find(|row| row.name == name) else { return Ok(()) };
        let told = self.told(tenant, EventType::PluginReloadFailed, name, &row.sha256, json!({ "reason": reason }));
        let inbound = self.is_inbound(tenant, name, &row);
        let spec = PluginSpec { reason: Some(reason.to_owned()), ..spec_of_row(row, inbound) };
        self.0.store.write_plugins(tenant, PluginWrites { specs: vec![spec], gone: Vec::new(), told: vec![told] }).await
    }

    /// Gives back the memory of instances that nobody called for a while.
    pub(super) fn drop_idle(&self) {
        for pipeline in self.0.pipelines.load().values() {
            let candidates = pipeline.trials.iter().map(|on| &on.candidate);
            let versions = pipeline.entries.iter().chain(candidates).filter_map(|entry| entry.version());
            versions.for_each(|version| version.drop_idle());
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
        let before = self.rows(tenant).await?;
        let mut wanted: Vec<Wanted> = before.iter().cloned().map(wanted_of_row).collect::<Result<_, _>>()?;
        change(&mut wanted)?;
        if wanted.len() > PLUGINS_PER_TENANT_MAX {
            return Err(PluginsError::TooMany);
        }
        let made = match self.tried(tenant, &before, &wanted).await {
            Ok(made) => made,
            Err(refusal) => {
                let row = before.iter().find(|row| row.name == refusal.plugin.name);
                return self.kept(tenant, &refusal, row).await;
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
            plugins.swap_in(&tenant, made.seats);
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
            let before = self.rows(&tenant).await?;
            let others = before.iter().filter(|row| row.managed_by == MANAGED_BY_API).cloned().map(wanted_of_row);
            let mut all: Vec<Wanted> = others.collect::<Result<_, _>>()?;
            if let Some(taken) = all.iter().find(|other| declared.iter().any(|new| new.name == other.name)) {
                let why = "the API made a plugin of this name; remove it there, or take another name";
                return Err(refused(&taken.name, why.to_owned()));
            }
            let row = |name: &str| before.iter().find(|row| row.name == name);
            all.extend(declared.into_iter().map(|plugin| {
                let row = row(&plugin.name);
                plugin.halted_as(row)
            }));
            if let Some(one_more) = all.get(PLUGINS_PER_TENANT_MAX) {
                return Err(refused(&one_more.name, PluginsError::TooMany.to_string()));
            }
            match self.tried(&tenant, &before, &all).await {
                Ok(made) => changes.push((tenant, made)),
                Err(refusal) => return Err(refused(&refusal.plugin.name, refusal.reason())),
            }
        }
        Ok(Prepared { plugins: self, changes, _one: one })
    }

    /// The tenant's plugins as the store has them. What is not written yet of a canary that lost its chats is there already,
    /// so that no change gives it some.
    async fn rows(&self, tenant: &TenantId) -> Result<Vec<PluginRow>, StoreError> {
        let mut rows = self.0.store.plugins(tenant).await?;
        let Some(pipeline) = self.pipeline(tenant) else { return Ok(rows) };
        for (_, version) in running(&pipeline) {
            let row = rows.iter_mut().find(|row| row.name == version.home.plugin);
            if let (Some(row), Some(reason)) = (row, version.halted())
                && let Some(trial) = &mut row.trial
                && trial.candidate.as_ref().map_or(&row.sha256, |candidate| &candidate.sha256) == &version.home.sha256
            {
                trial.halted.get_or_insert_with(|| reason.to_owned());
            }
        }
        Ok(rows)
    }

    /// Compiles, links and tries these plugins, beside what serves.
    async fn tried<'w>(
        &self,
        tenant: &TenantId,
        before: &[PluginRow],
        wanted: &'w [Wanted],
    ) -> Result<Made, Refusal<'w>> {
        let serving = self.pipeline(tenant);
        let mut seats = Vec::with_capacity(wanted.len());
        let (mut specs, mut told, mut healed) = (Vec::new(), Vec::new(), false);
        for (position, plugin) in wanted.iter().enumerate() {
            let row = before.iter().find(|row| row.name == plugin.name);
            // One that is off need not be able to run.
            if !plugin.enabled {
                specs.extend(spec(plugin, row, position, false));
                continue;
            }
            let known = serving.as_deref().and_then(|pipeline| Known::of(pipeline, &plugin.name));
            let (main, main_healed) = match plugin.is_alone() {
                true => (Arc::new(Entry::absent(&plugin.name, &plugin.settings)), false),
                false => {
                    let known = known.as_ref().map(|known| known.serving);
                    let untouched = row.is_some_and(|row| row.enabled && row.sha256 == plugin.sha256);
                    let made = self.made(tenant, plugin, None, known, untouched && same_secrets(row, plugin)).await;
                    made.map_err(|failure| Refusal { plugin, candidate: None, failure })?
                }
            };
            let (mut candidate, mut candidate_healed) = (None, false);
            if let Some((on_trial, mode)) = plugin.on_trial() {
                let known = known.as_ref().and_then(|known| known.candidate);
                let untouched = row.is_some_and(|row| row.enabled && row.trial == plugin.trial);
                let made =
                    self.made(tenant, &on_trial, Some(mode), known, untouched && same_secrets(row, plugin)).await;
                let beside = (!plugin.is_alone()).then(|| on_trial.sha256.clone());
                let (entry, healed) = made.map_err(|failure| Refusal { plugin, candidate: beside, failure })?;
                (candidate, candidate_healed) = (Some(entry), healed);
            }
            healed |= main_healed || candidate_healed;
            let seat = Seat { serving: main, candidate };
            specs.extend(spec(plugin, row, position, seat.entries().any(|entry| entry.hooks.contains(&Hook::Inbound))));
            told.extend(self.news(tenant, plugin, row));
            seats.push(seat);
        }
        let still = |row: &&PluginRow| wanted.iter().any(|plugin| plugin.name == row.name);
        let gone: Vec<String> = before.iter().filter(|row| !still(row)).map(|row| row.name.clone()).collect();
        Ok(Made { writes: PluginWrites { specs, gone, told }, seats, healed })
    }

    /// One version of a plugin: that which is asked already, or a new one that was tried; and whether it could not run
    /// before. One that could not run before either, and of which nothing is to change, keeps no other one back.
    async fn made(
        &self,
        tenant: &TenantId,
        plugin: &Wanted,
        mode: Option<TrialMode>,
        known: Option<&Arc<Entry>>,
        untouched: bool,
    ) -> Result<(Arc<Entry>, bool), Failure> {
        // What a shadow has in its memory came of calls that were not done: a canary has instances of its own.
        let kind = |mode: Option<TrialMode>| mode.map(TrialMode::as_str);
        let known = known.filter(|entry| kind(entry.mode) == kind(mode));
        if let Some(version) = known.and_then(|entry| reusable(entry, plugin)) {
            return Ok((Arc::new(entry_of(version, mode)), false));
        }
        let broken = known.filter(|entry| {
            matches!(entry.state, Standing::Broken(_)) && untouched && entry.settings == plugin.settings
        });
        match (self.prepared(tenant, plugin).await, broken) {
            (Ok(version), broken) => Ok((Arc::new(entry_of(version, mode)), broken.is_some())),
            (Err(_), Some(broken)) => Ok((broken.clone(), false)),
            (Err(failure), None) => Err(failure),
        }
    }

    /// What is told of a change that holds.
    fn news(&self, tenant: &TenantId, plugin: &Wanted, row: Option<&PluginRow>) -> Vec<Event> {
        let mut told = Vec::new();
        let type_ = match row.filter(|row| row.enabled) {
            None => Some(EventType::PluginLoaded),
            Some(row) if row.sha256 != plugin.sha256 => Some(EventType::PluginReloaded),
            Some(row) if row.trial.as_ref().is_some_and(Trial::is_alone) && plugin.trial.is_none() => {
                Some(EventType::PluginLoaded)
            }
            Some(_) => None,
        };
        let about = |trial: &Trial| json!({ "mode": trial.mode.as_str(), "weight": trial.mode.weight() });
        let (alone, beside) = match &plugin.trial {
            Some(trial) if trial.is_alone() => (about(trial), None),
            Some(trial) => (json!({}), Some(trial)),
            None => (json!({}), None),
        };
        told.extend(type_.map(|type_| self.told(tenant, type_, &plugin.name, &plugin.sha256, alone)));
        let before = row.filter(|row| row.enabled).and_then(|row| row.trial.as_ref()?.candidate.as_ref());
        if let Some(trial) = beside
            && let Some(candidate) = &trial.candidate
            && before.is_none_or(|before| before.sha256 != candidate.sha256)
        {
            told.push(self.told(tenant, EventType::PluginLoaded, &plugin.name, &candidate.sha256, about(trial)));
        }
        told
    }

    /// A change that does not hold: told, and nothing else.
    async fn kept(
        &self,
        tenant: &TenantId,
        refusal: &Refusal<'_>,
        row: Option<&PluginRow>,
    ) -> Result<ReloadOutcome, PluginsError> {
        let (plugin, reason) = (refusal.plugin, refusal.reason());
        let sha256 = refusal.candidate.as_ref().unwrap_or(&plugin.sha256);
        let told = self.told(tenant, EventType::PluginReloadFailed, &plugin.name, sha256, json!({ "reason": reason }));
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
        let known = pipeline.as_ref().and_then(|pipeline| Known::of(pipeline, name));
        let asked = |entry: &Arc<Entry>| entry.hooks.contains(&Hook::Inbound);
        row.enabled && known.is_some_and(|known| asked(known.serving) || known.candidate.is_some_and(asked))
    }

    fn told(
        &self,
        tenant: &TenantId,
        type_: EventType,
        plugin: &str,
        sha256: &str,
        mut about: serde_json::Value,
    ) -> Event {
        about["plugin"] = json!(plugin);
        about["sha256"] = json!(sha256);
        Event::new(tenant.clone(), None, type_, self.0.store.clock().now_ms(), about)
    }

    fn swap_in(&self, tenant: &TenantId, seats: Vec<Seat>) {
        let (store, metrics) = (self.0.store.clone(), self.0.metrics.clone());
        let served = self.pipeline(tenant);
        let empty = Pipeline {
            tenant: tenant.clone(),
            entries: Vec::with_capacity(seats.len()),
            trials: Vec::new(),
            store,
            metrics,
        };
        let pipeline = seated(empty, seats, served.as_deref(), &self.0.shadows);
        if let Some(served) = &served {
            self.show_gone(served, &pipeline);
        }
        self.show(&pipeline);
        let pipeline = (!pipeline.entries.is_empty()).then(|| Arc::new(pipeline));
        self.0.pipelines.rcu(|all| {
            let mut all = HashMap::clone(all);
            match &pipeline {
                Some(pipeline) => all.insert(tenant.clone(), pipeline.clone()),
                None => all.remove(tenant),
            };
            all
        });
    }

    /// The versions of a pipeline in the figures.
    fn show(&self, pipeline: &Pipeline) {
        let (tenant, metrics) = (pipeline.tenant.as_str(), &self.0.metrics);
        for version in pipeline.entries.iter().filter_map(|entry| entry.version()) {
            let (home, says) = (&version.home, &version.manifest.version);
            metrics.plugin_serves(tenant, &home.plugin, says, &home.sha256, true);
        }
        for (on, version) in running(pipeline) {
            let (home, says, weight) = (&version.home, &version.manifest.version, on.mode.weight().unwrap_or(0));
            metrics.plugin_candidate(tenant, &home.plugin, says, &home.sha256, on.mode.as_str(), weight);
        }
    }

    /// Takes those that are not in the next pipeline any more out of them. What is still on trial keeps its counts.
    fn show_gone(&self, served: &Pipeline, next: &Pipeline) {
        let (tenant, metrics) = (served.tenant.as_str(), &self.0.metrics);
        for version in served.entries.iter().filter_map(|entry| entry.version()) {
            let (home, says) = (&version.home, &version.manifest.version);
            metrics.plugin_serves(tenant, &home.plugin, says, &home.sha256, false);
        }
        let named = |on: &OnTrial, version: &Version| {
            (version.home.plugin.clone(), version.home.sha256.clone(), on.mode.as_str())
        };
        let still: Vec<_> = running(next).map(|(on, version)| named(on, version)).collect();
        for (on, version) in running(served).filter(|(on, version)| !still.contains(&named(on, version))) {
            let (home, says) = (&version.home, &version.manifest.version);
            metrics.plugin_candidate_gone(tenant, &home.plugin, says, &home.sha256, on.mode.as_str());
        }
    }
}

/// The versions on trial that can run.
fn running(pipeline: &Pipeline) -> impl Iterator<Item = (&OnTrial, &Version)> {
    pipeline.trials.iter().filter_map(|on| Some((on, &**on.candidate.version()?)))
}

/// What a change of one tenant's plugins comes to.
struct Made {
    writes: PluginWrites,
    seats: Vec<Seat>,
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
            self.plugins.swap_in(&tenant, made.seats);
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

/// A version that does not hold, and with it the change.
struct Refusal<'w> {
    plugin: &'w Wanted,
    /// Its hash, when it is a candidate and not what is to serve.
    candidate: Option<String>,
    failure: Failure,
}

impl Refusal<'_> {
    fn reason(&self) -> String {
        match self.candidate {
            Some(_) => format!("the candidate: {}", self.failure),
            None => self.failure.to_string(),
        }
    }
}

/// The versions of a plugin that are asked now.
struct Known<'a> {
    serving: &'a Arc<Entry>,
    candidate: Option<&'a Arc<Entry>>,
}

impl<'a> Known<'a> {
    fn of(pipeline: &'a Pipeline, name: &str) -> Option<Self> {
        let serving = pipeline.entries.iter().find(|entry| entry.name == name)?;
        let candidate = pipeline.trials.iter().map(|on| &on.candidate).find(|entry| entry.name == name);
        Some(Self { serving, candidate })
    }
}

/// The version that is asked, when nothing of it is to change: its instances and counts go on.
fn reusable(entry: &Entry, wanted: &Wanted) -> Option<Arc<Version>> {
    let version = entry.version()?;
    let same = version.home.sha256 == wanted.sha256
        && version.settings == wanted.settings
        && version.home.secrets == wanted.secrets
        && version.halted().is_none();
    same.then(|| version.clone())
}

fn same_secrets(row: Option<&PluginRow>, wanted: &Wanted) -> bool {
    row.is_some_and(|row| row.secrets == wanted.secrets)
}
