//! From a row to a plugin that serves: compiled, held against schema, signature and grants, linked, tried.

use super::candidate::Seat;
use super::component::{Compiled, NotAPlugin, compile};
use super::fit::NOT_SIGNED;
use super::grants;
use super::instance::{Failure, Version};
use super::manifest::Hook;
use super::pipeline::{Entry, Standing};
use super::registry::{Plugins, Wanted};
use super::rows::wanted_of_row;
use super::settings::PluginSettings;
use super::state::{Home, Window};
use crate::domain::ids::TenantId;
use crate::domain::trial::TrialMode;
use crate::store::{PluginRow, StoreError};
use std::sync::{Arc, PoisonError, Weak};

impl Plugins {
    /// As the row says, without a trial: it held when it was written.
    pub(super) async fn restored(&self, row: PluginRow) -> Seat {
        let (name, tenant) = (row.name.clone(), row.tenant.clone());
        let settings = PluginSettings::from_json(&row.settings).unwrap_or_default();
        let wanted = match wanted_of_row(row) {
            Ok(wanted) => wanted,
            Err(error) => {
                let failure = Failure::Unusable(error.to_string());
                let serving = Arc::new(broken(&tenant, name, settings, failure));
                return Seat { serving, candidate: None };
            }
        };
        let serving = match wanted.is_alone() {
            true => Entry::absent(&name, &settings),
            false => match self.linked(&tenant, &wanted).await {
                Ok(version) => entry_of(Arc::new(version), None),
                Err(failure) => broken(&tenant, name.clone(), settings.clone(), failure),
            },
        };
        let mut candidate = None;
        if let Some((on_trial, mode)) = wanted.on_trial() {
            candidate = Some(Arc::new(match self.linked(&tenant, &on_trial).await {
                Ok(version) => entry_of(Arc::new(version), Some(mode)),
                // It has no chats, and what serves has them all: its hooks are not called.
                Err(failure) => {
                    let entry = broken(&tenant, name, settings, failure);
                    Entry { hooks: Vec::new(), mode: Some(mode), ..entry }
                }
            }));
        }
        Seat { serving: Arc::new(serving), candidate }
    }

    /// Linked and tried.
    pub(super) async fn prepared(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Arc<Version>, Failure> {
        let version = self.linked(tenant, wanted).await?;
        version.canary().await?;
        Ok(Arc::new(version))
    }

    async fn linked(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Version, Failure> {
        let unusable = |why: String| Failure::Unusable(why);
        let compiled = self.compiled(&wanted.sha256).await?;
        wanted.settings.check(&compiled.manifest).map_err(|error| unusable(error.to_string()))?;
        if !wanted.settings.accepts(&compiled.signers) {
            return Err(unusable(NOT_SIGNED.to_owned()));
        }
        let granted = grants::decide(&compiled.manifest, &compiled.imports, &wanted.settings.grants)
            .map_err(|error| unusable(error.to_string()))?;
        let limits = wanted.settings.limits.clone();
        let home = Arc::new(Home {
            tenant: tenant.clone(),
            plugin: wanted.name.clone(),
            sha256: wanted.sha256.clone(),
            granted,
            fetches: Window::new(limits.fetches_per_minute),
            sends: Window::new(limits.sends_per_minute),
            limits,
            secrets: wanted.secrets.clone(),
            store: self.0.store.clone(),
            egress: self.0.egress.clone(),
            media: self.0.media.load_full(),
            library: self.0.library.get().cloned(),
        });
        Version::link(&self.0.engine, compiled, wanted.settings.clone(), home)
    }

    /// From memory, from the cache of compiled code, or compiled now on a thread of its own.
    pub(super) async fn compiled(&self, sha256: &str) -> Result<Arc<Compiled>, Failure> {
        let known = || {
            let mut all = self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, compiled| compiled.strong_count() > 0);
            all.get(sha256).and_then(Weak::upgrade)
        };
        if let Some(compiled) = known() {
            return Ok(compiled);
        }
        let bytes = self.0.store.component(sha256).await.map_err(|error| match error {
            StoreError::NotFound => Failure::Unusable(format!("there is no component {sha256}")),
            other => Failure::Unusable(other.to_string()),
        })?;
        let engine = self.0.engine.clone();
        let made: Result<Compiled, NotAPlugin> = tokio::task::spawn_blocking(move || compile(&engine, &bytes))
            .await
            .map_err(|error| Failure::Unusable(error.to_string()))?;
        let compiled = Arc::new(made.map_err(|error| Failure::Unusable(error.to_string()))?);
        let mut all = self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(sha256.to_owned(), Arc::downgrade(&compiled));
        Ok(compiled)
    }
}

/// A version that could not be loaded. Which hooks it had is not known: every one it may have fails as the tenant chose.
fn broken(tenant: &TenantId, name: String, settings: PluginSettings, failure: Failure) -> Entry {
    tracing::error!(%tenant, plugin = name, error = %failure, "a plugin cannot run");
    let hooks = settings.hooks.clone().map_or(Hook::ALL.to_vec(), |hooks| hooks.into_iter().collect());
    Entry { name, settings, hooks, events: vec!["*".to_owned()], state: Standing::Broken(failure), mode: None }
}

pub(super) fn entry_of(version: Arc<Version>, mode: Option<TrialMode>) -> Entry {
    Entry {
        name: version.home.plugin.clone(),
        settings: version.settings.clone(),
        hooks: version.hooks.iter().copied().collect(),
        events: version.manifest.hooks.inbound.clone(),
        state: Standing::Serving(version),
        mode,
    }
}
