//! How plugins stand, for people: what serves, what it says of itself, what its calls came to, why one does not run.

use super::manifest::{Hook, Manifest};
use super::pipeline::{Entry, OnTrial, Standing};
use super::registry::Plugins;
use super::settings::PluginSettings;
use super::stats::Figures;
use crate::domain::ids::TenantId;
use crate::domain::trial::TrialMode;
use crate::store::{KvUse, PluginRow, StoreError};
use std::sync::PoisonError;

/// Manifests that are remembered; at one more all are forgotten and read anew.
const MANIFESTS_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Serving,
    /// It sees what passes, and nothing of what it decides is done.
    Shadow,
    /// It has a share of the chats.
    Canary,
    Disabled,
    /// It failed too often in a row and is left alone for a while.
    Tripped,
    /// It is enabled and cannot run.
    Failed,
}

/// How a plugin of a tenant stands.
#[derive(Debug, Clone)]
pub struct Status {
    pub row: PluginRow,
    /// What the tenant says of it.
    pub settings: PluginSettings,
    /// What the component says of itself, when it reads.
    pub manifest: Option<Manifest>,
    /// What the component that served before calls its version.
    pub previous_version: Option<String>,
    /// The hooks in use.
    pub hooks: Vec<Hook>,
    /// Since it serves as it does; none while it does not.
    pub figures: Option<Figures>,
    pub tripped: bool,
    /// Why it cannot run.
    pub broken: Option<String>,
    pub idle_instances: usize,
    pub kv: KvUse,
    /// The version on trial beside what serves.
    pub candidate: Option<CandidateStatus>,
    /// Calls of a shadow that did not fit its queue.
    pub dropped: u64,
}

/// How a version on trial stands beside what serves.
#[derive(Debug, Clone)]
pub struct CandidateStatus {
    pub sha256: String,
    /// What its component calls its version, when it reads.
    pub version: Option<String>,
    pub mode: TrialMode,
    pub state: PluginState,
    /// Why it does not run any more.
    pub reason: Option<String>,
    /// Since it is on trial as it is; none while it does not run.
    pub figures: Option<Figures>,
    pub idle_instances: usize,
    /// Calls of a shadow that did not fit its queue.
    pub dropped: u64,
    pub from_file: bool,
}

impl Status {
    pub fn state(&self) -> PluginState {
        match (self.row.enabled, &self.broken, self.tripped) {
            (false, ..) => PluginState::Disabled,
            (true, Some(_), _) => PluginState::Failed,
            (true, None, true) => PluginState::Tripped,
            (true, None, false) => match &self.row.trial {
                Some(trial) if trial.is_alone() => state_of(trial.mode),
                _ => PluginState::Serving,
            },
        }
    }
}

impl Plugins {
    /// A tenant's plugins in the order of its pipeline.
    pub async fn status(&self, tenant: &TenantId) -> Result<Vec<Status>, StoreError> {
        let mut all = Vec::new();
        for row in self.store().plugins(tenant).await? {
            all.push(self.status_of(row).await?);
        }
        Ok(all)
    }

    /// The plugins of all tenants, a page of them, and how many there are.
    pub async fn status_of_all(&self, limit: u32, offset: u32) -> Result<(Vec<Status>, u64), StoreError> {
        let (rows, total) = self.store().all_plugins(limit, offset).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            all.push(self.status_of(row).await?);
        }
        Ok((all, total))
    }

    pub async fn status_of(&self, row: PluginRow) -> Result<Status, StoreError> {
        let pipeline = self.pipeline(&row.tenant);
        let on = pipeline.as_ref().and_then(|p| p.trials.iter().find(|on| on.candidate.name == row.name));
        let serving = pipeline.as_ref().and_then(|p| p.entries.iter().find(|entry| entry.name == row.name));
        let alone = row.trial.as_ref().filter(|trial| trial.is_alone());
        // What is alone on trial is all there is of the plugin.
        let entry = match alone {
            Some(_) => on.map(|on| &*on.candidate),
            None => serving.map(|entry| &**entry),
        };
        let version = entry.and_then(Entry::version);
        let halted = alone.and_then(|trial| trial.halted.clone());
        let manifest = match version {
            Some(version) => Some(version.manifest.clone()),
            None => self.manifest_of(&row.sha256).await?,
        };
        let previous_version = match &row.previous_sha256 {
            Some(sha256) => self.manifest_of(sha256).await?.map(|manifest| manifest.version),
            None => None,
        };
        // Settings that do not read are told as what they do: the plugin fails.
        let settings = PluginSettings::from_json(&row.settings).unwrap_or_default();
        let hooks = match (entry, &manifest) {
            (Some(entry), _) => entry.hooks.clone(),
            (None, Some(manifest)) => settings.hooks(manifest).into_iter().collect(),
            (None, None) => Vec::new(),
        };
        Ok(Status {
            previous_version,
            hooks,
            figures: version.map(|version| version.stats.figures()),
            tripped: halted.is_some() || version.is_some_and(|version| version.is_tripped()),
            idle_instances: version.map_or(0, |version| version.idle_instances()),
            broken: entry.and_then(broken),
            candidate: self.candidate_of(&row, on).await?,
            dropped: on.and_then(|on| on.shadow.as_ref()).map_or(0, |shadow| shadow.dropped()),
            kv: self.store().kv_use(&row.tenant, &row.name).await?,
            manifest,
            settings,
            row,
        })
    }

    async fn candidate_of(&self, row: &PluginRow, on: Option<&OnTrial>) -> Result<Option<CandidateStatus>, StoreError> {
        let Some(trial) = &row.trial else { return Ok(None) };
        let Some(candidate) = &trial.candidate else { return Ok(None) };
        let entry = on.map(|on| &*on.candidate);
        let version = entry.and_then(Entry::version);
        let says = match version {
            Some(version) => Some(version.manifest.version.clone()),
            None => self.manifest_of(&candidate.sha256).await?.map(|manifest| manifest.version),
        };
        let reason = trial.halted.clone().or_else(|| entry.and_then(broken));
        let tripped = trial.halted.is_some() || version.is_some_and(|version| version.is_tripped());
        let state = match (row.enabled, tripped, &reason) {
            (false, ..) => PluginState::Disabled,
            (true, true, _) => PluginState::Tripped,
            (true, false, Some(_)) => PluginState::Failed,
            (true, false, None) => state_of(trial.mode),
        };
        Ok(Some(CandidateStatus {
            sha256: candidate.sha256.clone(),
            version: says,
            mode: trial.mode,
            state,
            reason,
            figures: version.map(|version| version.stats.figures()),
            idle_instances: version.map_or(0, |version| version.idle_instances()),
            dropped: on.and_then(|on| on.shadow.as_ref()).map_or(0, |shadow| shadow.dropped()),
            from_file: candidate.file.is_some(),
        }))
    }

    /// What a component that the store keeps says of itself; none when it is gone or does not read.
    pub(super) async fn manifest_of(&self, sha256: &str) -> Result<Option<Manifest>, StoreError> {
        let known = self.0.manifests.lock().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let component = match self.store().component(sha256).await {
            Ok(component) => component,
            Err(StoreError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(manifest) = super::component::manifest(&component) else { return Ok(None) };
        let mut all = self.0.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANIFESTS_MAX {
            all.clear();
        }
        all.insert(sha256.to_owned(), manifest.clone());
        Ok(Some(manifest))
    }
}

fn state_of(mode: TrialMode) -> PluginState {
    match mode {
        TrialMode::Shadow => PluginState::Shadow,
        TrialMode::Canary { .. } => PluginState::Canary,
    }
}

fn broken(entry: &Entry) -> Option<String> {
    match &entry.state {
        Standing::Broken(failure) => Some(failure.to_string()),
        Standing::Serving(_) | Standing::Absent => None,
    }
}
