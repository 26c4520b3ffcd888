//! The plugins of a tenant: which component serves under which settings. Components lie here by their hash, so that every
//! gateway of one database has them and going back needs no file.

use super::{Result, Store, StoreError, Topic, Tx, events};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::domain::trial::{Candidate, Trial, TrialMode};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct PluginRow {
    pub tenant: TenantId,
    pub name: String,
    pub managed_by: String,
    pub position: u32,
    pub enabled: bool,
    /// SHA-256 of the component that serves, hex.
    pub sha256: String,
    pub previous_sha256: Option<String>,
    /// The file it is reloaded from when that changes.
    pub file: Option<String>,
    /// Config, grants, limits: `plugins` reads it.
    pub settings: serde_json::Value,
    pub secrets: BTreeMap<String, Secret>,
    /// What of it is tried before it serves.
    pub trial: Option<Trial>,
    /// Why it is off, or why its last reload was refused.
    pub reason: Option<String>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What is written of a plugin.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    pub name: String,
    pub managed_by: String,
    pub position: u32,
    pub enabled: bool,
    pub inbound: bool,
    pub sha256: String,
    pub previous_sha256: Option<String>,
    pub file: Option<String>,
    pub settings: serde_json::Value,
    pub secrets: BTreeMap<String, Secret>,
    pub trial: Option<Trial>,
    pub reason: Option<String>,
}

/// What is to be written of a tenant's plugins in one step.
#[derive(Debug, Clone, Default)]
pub struct PluginWrites {
    pub specs: Vec<PluginSpec>,
    /// Names of those that go.
    pub gone: Vec<String>,
    pub told: Vec<Event>,
}

/// As [`PluginWrites`], with the secrets sealed.
pub(super) struct SealedWrites {
    specs: Vec<(PluginSpec, Vec<u8>)>,
    gone: Vec<String>,
    told: Vec<Event>,
}

const CORRUPT: StoreError = StoreError::Corrupt { what: "a plugin row" };
pub(super) const COLUMNS: &str = "tenant_id, name, managed_by, position, enabled, sha256, previous_sha256, file, settings, secrets, \
                       reason, created_at, updated_at, trial, weight, candidate_sha256, candidate_file, halted";
/// What the vault calls these keys; changing it would make every stored secret unreadable.
const PURPOSE: &str = "plugin";

impl Store {
    /// Keeps a component under its hash. Again changes nothing.
    pub async fn keep_component(&self, sha256: &str, component: Vec<u8>) -> Result<()> {
        let (sha256, now) = (sha256.to_owned(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO plugin_components (sha256, component, created_at) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (sha256) DO NOTHING",
                    params![sha256, component, now],
                )?;
                Ok(())
            })
            .await
    }

    pub async fn component(&self, sha256: &str) -> Result<Vec<u8>> {
        let sha256 = sha256.to_owned();
        self.db
            .read(move |conn| {
                conn.query_row("SELECT component FROM plugin_components WHERE sha256 = ?1", [sha256], |row| row.get(0))
                    .optional()?
                    .ok_or(StoreError::NotFound)
            })
            .await
    }

    /// Writes these plugins of a tenant and takes away those named, with what is told of it, in one step.
    pub async fn write_plugins(&self, tenant: &TenantId, writes: PluginWrites) -> Result<()> {
        let sealed = self.seal_plugins(tenant, writes)?;
        let (tenant, now) = (tenant.clone(), self.clock.now_ms());
        self.db.write(move |tx| write_all(tx, &tenant, &sealed, now)).await
    }

    pub(super) fn seal_plugins(&self, tenant: &TenantId, writes: PluginWrites) -> Result<SealedWrites> {
        let seal = |spec: PluginSpec| {
            let secrets: BTreeMap<&str, &str> = spec.secrets.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
            let secrets = serde_json::to_vec(&secrets).map_err(|_| CORRUPT)?;
            let bound = associated(tenant, &spec.name);
            let sealed = self.vault.purpose(PURPOSE).seal(bound.as_bytes(), &secrets);
            Ok((spec, sealed))
        };
        let specs = writes.specs.into_iter().map(seal).collect::<Result<_>>()?;
        Ok(SealedWrites { specs, gone: writes.gone, told: writes.told })
    }

    /// A tenant's plugins in the order of its pipeline.
    pub async fn plugins(&self, tenant: &TenantId) -> Result<Vec<PluginRow>> {
        let (store, tenant) = (self.clone(), tenant.clone());
        self.db
            .read(move |conn| {
                let sql = format!("SELECT {COLUMNS} FROM plugins WHERE tenant_id = ?1 ORDER BY position, name");
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map([tenant.as_str()], |row| Ok(store.read_plugin(row)))?;
                rows.map(|row| row?).collect()
            })
            .await
    }

    pub async fn plugin(&self, tenant: &TenantId, name: &str) -> Result<PluginRow> {
        let (store, tenant, name) = (self.clone(), tenant.clone(), name.to_owned());
        self.db
            .read(move |conn| {
                let sql = format!("SELECT {COLUMNS} FROM plugins WHERE tenant_id = ?1 AND name = ?2");
                conn.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), name], |row| Ok(store.read_plugin(row)))
                    .optional()?
                    .ok_or(StoreError::NotFound)?
            })
            .await
    }

    pub(super) fn read_plugin(&self, row: &Row<'_>) -> Result<PluginRow> {
        let tenant = TenantId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?;
        let name: String = row.get(1)?;
        let bound = associated(&tenant, &name);
        let secrets = self.vault.purpose(PURPOSE).open(bound.as_bytes(), &row.get::<_, Vec<u8>>(9)?);
        let secrets: BTreeMap<String, String> =
            serde_json::from_slice(&secrets.map_err(|_| CORRUPT)?).map_err(|_| CORRUPT)?;
        Ok(PluginRow {
            tenant,
            name,
            managed_by: row.get(2)?,
            position: row.get(3)?,
            enabled: row.get(4)?,
            sha256: row.get(5)?,
            previous_sha256: row.get(6)?,
            file: row.get(7)?,
            settings: serde_json::from_str(&row.get::<_, String>(8)?).map_err(|_| CORRUPT)?,
            secrets: secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            reason: row.get(10)?,
            created_at: row.get(11)?,
            updated_at: row.get(12)?,
            trial: read_trial(row)?,
        })
    }
}

fn read_trial(row: &Row<'_>) -> Result<Option<Trial>> {
    let Some(mode) = row.get::<_, Option<String>>(13)? else { return Ok(None) };
    let mode = match mode.as_str() {
        "shadow" => TrialMode::Shadow,
        "canary" => row.get::<_, Option<u32>>(14)?.and_then(TrialMode::canary).ok_or(CORRUPT)?,
        _ => return Err(CORRUPT),
    };
    let file = row.get(16)?;
    let candidate = row.get::<_, Option<String>>(15)?.map(|sha256| Candidate { sha256, file });
    Ok(Some(Trial { candidate, mode, halted: row.get(17)? }))
}

fn associated(tenant: &TenantId, name: &str) -> String {
    format!("{tenant} {name} secrets")
}

pub(super) fn write_all(tx: &Tx<'_>, tenant: &TenantId, writes: &SealedWrites, now: UnixMs) -> Result<()> {
    for (spec, secrets) in &writes.specs {
        write(tx, tenant, spec, secrets, now)?;
    }
    for name in &writes.gone {
        tx.execute("DELETE FROM plugins WHERE tenant_id = ?1 AND name = ?2", params![tenant.as_str(), name])?;
    }
    writes.told.iter().try_for_each(|event| events::append(tx, event))?;
    tx.wake(Topic::Plugins);
    Ok(())
}

fn write(tx: &Tx<'_>, tenant: &TenantId, spec: &PluginSpec, secrets: &[u8], now: UnixMs) -> Result<()> {
    let settings = serde_json::to_string(&spec.settings).map_err(|_| CORRUPT)?;
    let trial = spec.trial.as_ref();
    let candidate = trial.and_then(|trial| trial.candidate.as_ref());
    tx.execute(
        "INSERT INTO plugins (tenant_id, name, managed_by, position, enabled, inbound, sha256, previous_sha256, file, \
         settings, secrets, reason, created_at, updated_at, trial, weight, candidate_sha256, candidate_file, halted) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16, ?17, ?18) \
         ON CONFLICT (tenant_id, name) DO UPDATE SET managed_by = excluded.managed_by, position = excluded.position, \
         enabled = excluded.enabled, inbound = excluded.inbound, sha256 = excluded.sha256, \
         previous_sha256 = excluded.previous_sha256, file = excluded.file, settings = excluded.settings, \
         secrets = excluded.secrets, reason = excluded.reason, updated_at = excluded.updated_at, \
         trial = excluded.trial, weight = excluded.weight, candidate_sha256 = excluded.candidate_sha256, \
         candidate_file = excluded.candidate_file, halted = excluded.halted",
        params![
            tenant.as_str(),
            spec.name,
            spec.managed_by,
            spec.position,
            spec.enabled,
            spec.inbound,
            spec.sha256,
            spec.previous_sha256,
            spec.file,
            settings,
            secrets,
            spec.reason,
            now,
            trial.map(|trial| trial.mode.as_str()),
            trial.and_then(|trial| trial.mode.weight()),
            candidate.map(|candidate| &candidate.sha256),
            candidate.and_then(|candidate| candidate.file.as_ref()),
            trial.and_then(|trial| trial.halted.as_ref())
        ],
    )?;
    Ok(())
}

impl Store {
    /// Takes the chats from a canary that failed too often, and tells it. False: it is none any more, and nothing is told.
    pub async fn halt_canary(
        &self,
        tenant: &TenantId,
        name: &str,
        sha256: &str,
        reason: &str,
        told: Event,
    ) -> Result<bool> {
        let (tenant, name, sha256, reason) = (tenant.clone(), name.to_owned(), sha256.to_owned(), reason.to_owned());
        self.db
            .write(move |tx| {
                let changed = tx.execute(
                    "UPDATE plugins SET halted = ?4 WHERE tenant_id = ?1 AND name = ?2 AND trial = 'canary' \
                     AND coalesce(candidate_sha256, sha256) = ?3",
                    params![tenant.as_str(), name, sha256, reason],
                )?;
                if changed > 0 {
                    events::append(tx, &told)?;
                    tx.wake(Topic::Plugins);
                }
                Ok(changed > 0)
            })
            .await
    }
}

/// Whether events of this tenant pass plugins before they are told.
pub(super) fn has_inbound(conn: &Connection, tenant: &TenantId) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM plugins WHERE tenant_id = ?1 AND enabled = 1 AND inbound = 1 LIMIT 1")?
        .query_row([tenant.as_str()], |_| Ok(()))
        .optional()?
        .is_some())
}
