//! What tenants' files declare, written in one step: all of it or nothing.

use super::plugins::{self, PluginWrites};
use super::{AuditEntry, Result, Store, StoreError, TenantStatus, Topic, Tx, WebhookSpec, audit, devices, events};
use super::{tenants, webhooks};
use crate::domain::allowance::Allowance;
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::ids::{DeviceId, TenantId, WebhookId};
use crate::domain::media::TenantMedia;
use rusqlite::params;

/// A change that follows from the files.
#[derive(Debug, Clone)]
pub enum FileChange {
    Declared(Box<TenantWrite>),
    /// No file declares it any more.
    Gone {
        tenant: TenantId,
        audit: AuditEntry,
    },
}

/// A tenant as its file declares it. Devices, webhooks and plugins that are not named stay as they are.
#[derive(Debug, Clone)]
pub struct TenantWrite {
    pub id: TenantId,
    /// Made by this write; one that is not must be there.
    pub is_new: bool,
    pub slug: String,
    pub name: String,
    /// The file, which from now on manages what it declares.
    pub file: String,
    pub status: TenantStatus,
    pub limits: Allowance,
    pub media: TenantMedia,
    pub devices: Vec<DeviceWrite>,
    pub devices_gone: Vec<DeviceId>,
    pub webhooks: Vec<WebhookWrite>,
    pub webhooks_gone: Vec<WebhookId>,
    pub plugins: PluginWrites,
    pub audit: AuditEntry,
    pub told: Event,
}

#[derive(Debug, Clone)]
pub struct DeviceWrite {
    pub id: DeviceId,
    pub is_new: bool,
    pub slug: String,
    pub label: String,
}

#[derive(Debug, Clone)]
pub struct WebhookWrite {
    pub id: WebhookId,
    pub is_new: bool,
    pub slug: String,
    pub spec: WebhookSpec,
}

/// A row that was read for this change went meanwhile.
const MOVED: StoreError = StoreError::Conflict("what the files declare was changed meanwhile; try again");

impl Store {
    /// Writes what follows from the files, with its audit lines and events.
    pub async fn apply_files(&self, changes: Vec<FileChange>) -> Result<()> {
        let mut sealed = Vec::with_capacity(changes.len());
        for mut change in changes {
            let mut secrets = None;
            if let FileChange::Declared(tenant) = &mut change {
                let plugins = self.seal_plugins(&tenant.id, std::mem::take(&mut tenant.plugins))?;
                let webhooks: Result<Vec<_>> =
                    tenant.webhooks.iter().map(|webhook| self.seal_webhook(&webhook.id, &webhook.spec)).collect();
                secrets = Some((webhooks?, plugins));
            }
            sealed.push((change, secrets));
        }
        let now = self.clock.now_ms();
        self.db
            .write(move |tx| {
                for (change, secrets) in &sealed {
                    match (change, secrets) {
                        (FileChange::Declared(tenant), Some((webhooks, plugins))) => {
                            write(tx, tenant, webhooks, plugins, now)?;
                        }
                        (FileChange::Declared(_), None) => return Err(MOVED),
                        (FileChange::Gone { tenant, audit: line }, _) => {
                            tenants::delete(tx, tenant, now)?;
                            audit::write(tx, line, now)?;
                            tx.wake(Topic::Plugins);
                        }
                    }
                }
                Ok(())
            })
            .await
    }
}

fn write(
    tx: &Tx<'_>,
    tenant: &TenantWrite,
    sealed: &[webhooks::Sealed],
    plugins: &plugins::SealedWrites,
    now: UnixMs,
) -> Result<()> {
    let id = tenant.id.as_str();
    if tenant.is_new {
        tx.execute(
            "INSERT INTO tenants (id, name, status, created_at, updated_at) VALUES (?1, ?2, 'active', ?3, ?3)",
            params![id, tenant.name, now],
        )?;
    }
    let limits =
        serde_json::to_string(&tenant.limits).map_err(|_| StoreError::Corrupt { what: "a tenant's limits" })?;
    let limits = (tenant.limits != Allowance::default()).then_some(limits);
    let media = serde_json::to_string(&tenant.media).map_err(|_| StoreError::Corrupt { what: "a tenant's media" })?;
    let media = (tenant.media != TenantMedia::default()).then_some(media);
    let before = tenants::find(tx, &tenant.id)?.map(|row| row.limits);
    let changed = tx.execute(
        "UPDATE tenants SET slug = ?2, managed_by = ?3, name = ?4, status = ?5, limits = ?6, updated_at = ?7, \
         media = ?8 WHERE id = ?1 AND status <> 'deleted'",
        params![id, tenant.slug, tenant.file, tenant.name, tenant.status.as_str(), limits, now, media],
    )?;
    if changed == 0 {
        return Err(MOVED);
    }
    if before.is_some_and(|before| before != tenant.limits) {
        for device in tenants::device_ids(tx, &tenant.id)? {
            // Its lane looks, and sees that they are others.
            tx.wake_outbox(&device);
        }
    }
    tx.wake_log(&tenant.id);
    // What a renamed file declares goes on under its new name.
    for table in ["devices", "webhooks", "plugins"] {
        tx.execute(
            &format!("UPDATE {table} SET managed_by = ?2 WHERE tenant_id = ?1 AND managed_by NOT IN ('api', ?2)"),
            params![id, tenant.file],
        )?;
    }
    for device in &tenant.devices_gone {
        devices::delete(tx, &tenant.id, device, now)?;
    }
    for device in &tenant.devices {
        if device.is_new {
            devices::insert(tx, &tenant.id, &device.id, &device.label, now)?;
        }
        let changed = tx.execute(
            "UPDATE devices SET slug = ?3, managed_by = ?4, label = ?5, updated_at = ?6 \
             WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
            params![id, device.id.as_str(), device.slug, tenant.file, device.label, now],
        )?;
        if changed == 0 {
            return Err(MOVED);
        }
    }
    for webhook in &tenant.webhooks_gone {
        webhooks::delete(tx, &tenant.id, webhook, now)?;
    }
    for (webhook, sealed) in tenant.webhooks.iter().zip(sealed) {
        if webhook.is_new {
            webhooks::insert(tx, &tenant.id, &webhook.id, now)?;
        }
        webhooks::write_spec(tx, &tenant.id, &webhook.id, &webhook.spec, sealed, now)?;
        tx.execute(
            "UPDATE webhooks SET slug = ?3, managed_by = ?4 WHERE tenant_id = ?1 AND id = ?2",
            params![id, webhook.id.as_str(), webhook.slug, tenant.file],
        )?;
    }
    plugins::write_all(tx, &tenant.id, plugins, now)?;
    audit::write(tx, &tenant.audit, now)?;
    tx.wake(Topic::Devices);
    events::append(tx, &tenant.told)
}
