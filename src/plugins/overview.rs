//! How plugins stand, for people: what serves, what it says of itself, what its calls came to, why one does not run.

use super::manifest::{Hook, Manifest};
use super::pipeline::{Entry, Standing};
use super::registry::Plugins;
use super::settings::PluginSettings;
use super::stats::Figures;
use crate::domain::ids::TenantId;
use crate::store::{KvUse, PluginRow, StoreError};
use std::sync::PoisonError;

/// Manifests that are remembered; at one more all are forgotten and read anew.
const MANIFESTS_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Serving,
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
}

impl Status {
    pub fn state(&self) -> PluginState {
        match (self.row.enabled, &self.broken, self.tripped) {
            (false, ..) => PluginState::Disabled,
            (true, Some(_), _) => PluginState::Failed,
            (true, None, true) => PluginState::Tripped,
            (true, None, false) => PluginState::Serving,
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
        let entry = pipeline.as_ref().and_then(|p| p.entries.iter().find(|entry| entry.name == row.name));
        let version = entry.and_then(Entry::version);
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
            tripped: version.is_some_and(|version| version.is_tripped()),
            idle_instances: version.map_or(0, |version| version.idle_instances()),
            broken: entry.and_then(|entry| match &entry.state {
                Standing::Broken(failure) => Some(failure.to_string()),
                Standing::Serving(_) => None,
            }),
            kv: self.store().kv_use(&row.tenant, &row.name).await?,
            manifest,
            settings,
            row,
        })
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
