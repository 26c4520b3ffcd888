//! Makes what the files declare so.
//!
//! The order is what keeps "whole or not at all" true through a crash. Components are kept first: by their hash, where
//! they do nothing. Every plugin that differs is compiled, linked and tried beside what serves. Then one transaction writes
//! everything, with audit and events. Then what runs follows: a restart would read the same from the store.

use super::compare::{Difference, Standing, TenantDifference, compare};
use super::folder::{self, FolderError, Ground};
use super::plan::Plan;
use crate::domain::correction::ConfigErrors;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::TenantId;
use crate::plugins::{KeepError, Plugins, Prepared, Unprepared};
use crate::store::{
    AuditEntry, FileChange, MANAGED_BY_API, PluginWrites, Store, StoreError, TenantStatus, TenantWrite,
};
use crate::whatsapp::Directory;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

#[derive(Debug, Clone)]
pub struct TenantsSettings {
    pub folder: PathBuf,
    pub plugins_folder: PathBuf,
}

/// Why the files are applied now.
#[derive(Debug, Clone)]
pub enum Occasion {
    Start,
    /// A file changed.
    Changed,
    /// Somebody asked; this is their line in the audit.
    Asked {
        audit: Box<AuditEntry>,
        allow_remove: bool,
    },
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TenantsError {
    #[error(transparent)]
    Folder(FolderError),
    #[error("{0}")]
    Files(ConfigErrors),
    /// Devices or tenants would go, and nobody allowed it.
    #[error("refused without --allow-remove: {}", .0.join(", "))]
    Removes(Vec<String>),
    #[error("{0}")]
    Plugin(Why),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the gateway is stopping")]
    Stopping,
}

/// Which plugin does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: plugin {plugin:?}: {reason}")]
pub struct Why {
    pub file: String,
    pub plugin: String,
    pub reason: String,
}

impl From<FolderError> for TenantsError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Files(errors) => Self::Files(errors),
            other => Self::Folder(other),
        }
    }
}

/// What was done, or would be.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    pub plan: Plan,
    /// Slugs of tenants that no API key opens: the operator makes one.
    pub without_key: Vec<String>,
}

/// The tenants that files declare. Cheap to clone.
#[derive(Clone)]
pub struct Tenants(Arc<Inner>);

struct Inner {
    ground: Ground,
    store: Store,
    plugins: Plugins,
    directory: Directory,
    /// One at a time.
    applying: AsyncMutex<()>,
    /// What was told of the last failure, so that it is told once.
    told: Mutex<Option<String>>,
}

impl Tenants {
    pub fn new(ground: Ground, store: Store, plugins: Plugins, directory: Directory) -> Self {
        let (applying, told) = (AsyncMutex::default(), Mutex::default());
        Self(Arc::new(Inner { ground, store, plugins, directory, applying, told }))
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.0.ground
    }

    /// What would change if somebody asked for it now. Plugins are tried, and nothing is changed.
    pub async fn plan(&self) -> Result<Applied, TenantsError> {
        let _one = self.0.applying.lock().await;
        let asked = Occasion::Asked { audit: Box::default(), allow_remove: true };
        let difference = self.difference(&asked).await?;
        self.prepare(&difference).await?;
        let new = difference.tenants.iter().filter(|tenant| tenant.before.is_none());
        let mut without_key = self.0.store.tenants_without_key().await?;
        without_key.extend(new.map(|tenant| tenant.file.declared.slug.to_string()));
        without_key.sort();
        Ok(Applied { plan: difference.plan, without_key })
    }

    /// Makes it so, or changes nothing. Goes on to its end when the caller goes away.
    pub async fn apply(&self, occasion: Occasion) -> Result<Applied, TenantsError> {
        let tenants = self.clone();
        let applying = tokio::spawn(async move { tenants.apply_now(&occasion).await });
        applying.await.unwrap_or(Err(TenantsError::Stopping))
    }

    /// As [`Tenants::apply`] when nobody waits for the answer: what came of it is told in the log. Returns whether
    /// anything changed.
    pub(super) async fn apply_and_tell(&self, occasion: Occasion) -> Result<bool, TenantsError> {
        let is_start = matches!(occasion, Occasion::Start);
        let applied = self.apply(occasion).await;
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        match applied {
            Ok(applied) => {
                *told = None;
                let news = is_start || !applied.plan.is_empty();
                for slug in applied.without_key.iter().filter(|_| news) {
                    tracing::warn!(
                        tenant = slug,
                        "no API key opens this tenant; POST /admin/tenants/{slug}/regenerate-key"
                    );
                }
                Ok(!applied.plan.is_empty())
            }
            Err(error) => {
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::error!(
                        why = text,
                        "the tenants' files were not applied; what the store has goes on serving"
                    );
                    *told = Some(text);
                }
                Err(error)
            }
        }
    }

    /// At the start of a gateway: what is wrong with the files is told, and only a folder that cannot be read is an error.
    pub async fn start(&self) -> Result<(), FolderError> {
        match self.apply_and_tell(Occasion::Start).await {
            Err(TenantsError::Folder(error)) => Err(error),
            _ => Ok(()),
        }
    }

    async fn apply_now(&self, occasion: &Occasion) -> Result<Applied, TenantsError> {
        let _one = self.0.applying.lock().await;
        let difference = self.difference(occasion).await?;
        if difference.plan.is_empty() {
            return Ok(Applied { plan: difference.plan, without_key: self.0.store.tenants_without_key().await? });
        }
        let allowed = matches!(occasion, Occasion::Asked { allow_remove: true, .. });
        if !allowed && !difference.plan.needs_allow_remove.is_empty() {
            return Err(TenantsError::Removes(difference.plan.needs_allow_remove));
        }
        let mut prepared = match self.prepare(&difference).await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.tell_refused(&difference, &error).await?;
                return Err(error);
            }
        };
        self.0.store.apply_files(self.writes(&difference, &mut prepared, occasion)).await?;
        prepared.swap_in();
        self.follow(&difference).await;
        for change in &difference.plan.changes {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.field.as_str()).collect();
            let (file, tenant, name) = (&change.file, &change.tenant, &change.name);
            tracing::info!(file, tenant, action = ?change.action, kind = ?change.kind, name, ?fields, "applied");
        }
        Ok(Applied { plan: difference.plan, without_key: self.0.store.tenants_without_key().await? })
    }

    async fn difference(&self, occasion: &Occasion) -> Result<Difference, TenantsError> {
        let ground = self.0.ground.clone();
        let hashes = blocking(move || folder::named_hashes(&ground)).await??;
        let mut kept = BTreeMap::new();
        for hash in hashes {
            match self.0.store.component(&hash).await {
                Ok(component) => {
                    kept.insert(hash, component);
                }
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let ground = self.0.ground.clone();
        let files = blocking(move || folder::read(&ground, Some(&kept))).await??;
        let mut standing = Vec::new();
        for tenant in self.0.store.tenants_of_files().await? {
            standing.push(Standing {
                devices: self.0.store.devices(&tenant.id, u32::MAX, 0).await?.0,
                webhooks: self.0.store.webhooks(&tenant.id).await?,
                plugins: self.0.store.plugins(&tenant.id).await?,
                tenant,
            });
        }
        compare(files, standing, occasion).map_err(TenantsError::Files)
    }

    /// Keeps the components that are needed and tries the plugins that differ.
    async fn prepare(&self, difference: &Difference) -> Result<Prepared<'_>, TenantsError> {
        let mut wanted = Vec::new();
        for tenant in difference.tenants.iter().filter(|tenant| tenant.plugins_differ) {
            let declared = &tenant.file.declared;
            for (plugin, found) in declared.plugins.iter().zip(&tenant.file.components) {
                for bytes in found.all().filter_map(|component| component.bytes.as_ref()) {
                    self.0.plugins.keep(bytes.to_vec()).await.map_err(|error| match error {
                        KeepError::Store(error) => TenantsError::Store(error),
                        KeepError::NotAPlugin(why) => TenantsError::Plugin(Why {
                            file: declared.file.clone(),
                            plugin: plugin.name.to_string(),
                            reason: why.to_string(),
                        }),
                    })?;
                }
            }
            wanted.push((tenant.id.clone(), tenant.wanted_plugins()));
        }
        self.0.plugins.prepare(wanted).await.map_err(|error| match error {
            Unprepared::Store(error) => TenantsError::Store(error),
            Unprepared::Refused { tenant, plugin, reason } => {
                let tenant = difference.tenants.iter().find(|one| one.id == tenant);
                let file = tenant.map(|tenant| tenant.file.declared.file.clone()).unwrap_or_default();
                TenantsError::Plugin(Why { file, plugin, reason })
            }
        })
    }

    /// Tells a tenant that a plugin of its file was refused.
    async fn tell_refused(&self, difference: &Difference, error: &TenantsError) -> Result<(), StoreError> {
        let TenantsError::Plugin(why) = error else { return Ok(()) };
        let tenant = difference.tenants.iter().find(|tenant| tenant.file.declared.file == why.file);
        let Some(tenant) = tenant.filter(|tenant| tenant.before.is_some()) else { return Ok(()) };
        let rows = self.0.store.plugins(&tenant.id).await?;
        if rows.iter().any(|row| row.name == why.plugin && row.managed_by == MANAGED_BY_API) {
            // It is not this one that was refused.
            return Ok(());
        }
        self.0.plugins.tell_refused(&tenant.id, &why.plugin, &why.reason).await
    }

    fn writes(&self, difference: &Difference, prepared: &mut Prepared<'_>, occasion: &Occasion) -> Vec<FileChange> {
        let mut plugins: BTreeMap<TenantId, PluginWrites> = prepared.writes().into_iter().collect();
        let line = |tenant: &TenantId, file: &str, changes: serde_json::Value| {
            let base = match occasion {
                Occasion::Asked { audit, .. } => AuditEntry::clone(audit),
                Occasion::Start | Occasion::Changed => {
                    AuditEntry { actor: "gateway".to_owned(), ..AuditEntry::default() }
                }
            };
            AuditEntry {
                tenant: Some(tenant.clone()),
                action: "config.applied",
                resource_type: Some("tenant"),
                resource_id: Some(tenant.to_string()),
                meta: Some(json!({ "file": file, "changes": changes })),
                ..base
            }
        };
        let declared = difference.tenants.iter().map(|tenant| {
            let file = &tenant.file.declared;
            let changes: serde_json::Value = tenant.changes.iter().map(|change| change.summary()).collect();
            let audit = line(&tenant.id, &file.file, changes.clone());
            let data = json!({ "file": file.file, "changes": changes });
            let now = self.0.store.clock().now_ms();
            let told = Event::new(tenant.id.clone(), None, EventType::ConfigApplied, now, data);
            let plugins = plugins.remove(&tenant.id).unwrap_or_default();
            FileChange::Declared(Box::new(write(tenant, plugins, audit, told)))
        });
        let mut changes: Vec<FileChange> = declared.collect();
        changes.extend(difference.gone.iter().map(|gone| FileChange::Gone {
            tenant: gone.tenant.id.clone(),
            audit: line(&gone.tenant.id, &gone.tenant.managed_by, json!([gone.change.summary()])),
        }));
        changes
    }

    /// What runs follows what was written.
    async fn follow(&self, difference: &Difference) {
        for tenant in &difference.tenants {
            for device in &tenant.devices_gone {
                self.0.directory.dismiss(device).await;
            }
            let (before, now) = (tenant.before, tenant.status());
            if now == TenantStatus::Suspended {
                self.0.directory.halt_tenant(&tenant.id).await;
            } else if before == Some(TenantStatus::Suspended)
                && let Err(error) = self.0.directory.resume_tenant(&tenant.id).await
            {
                tracing::error!(tenant = %tenant.id, %error, "the devices of a tenant were not resumed");
            }
        }
        for gone in &difference.gone {
            self.0.directory.halt_tenant(&gone.tenant.id).await;
            self.0.plugins.forget(&gone.tenant.id).await;
        }
    }
}

fn write(tenant: &TenantDifference, plugins: PluginWrites, audit: AuditEntry, told: Event) -> TenantWrite {
    let declared = &tenant.file.declared;
    TenantWrite {
        id: tenant.id.clone(),
        is_new: tenant.before.is_none(),
        slug: declared.slug.to_string(),
        name: declared.name.clone(),
        file: declared.file.clone(),
        status: tenant.status(),
        limits: declared.limits,
        media: declared.media,
        devices: tenant.devices.clone(),
        devices_gone: tenant.devices_gone.clone(),
        webhooks: tenant.webhooks.clone(),
        webhooks_gone: tenant.webhooks_gone.clone(),
        plugins,
        audit,
        told,
    }
}

/// Files are read off the runtime's threads.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, TenantsError> {
    tokio::task::spawn_blocking(read).await.map_err(|_| TenantsError::Stopping)
}
