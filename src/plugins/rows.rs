//! Between what somebody wants of a plugin and the rows that say it.

use super::registry::Wanted;
use super::settings::PluginSettings;
use crate::store::{PluginRow, PluginSpec, StoreError};

pub(super) fn wanted_of_row(row: PluginRow) -> Result<Wanted, StoreError> {
    let settings =
        PluginSettings::from_json(&row.settings).map_err(|_| StoreError::Corrupt { what: "a plugin's settings" })?;
    Ok(Wanted {
        name: row.name,
        managed_by: row.managed_by,
        enabled: row.enabled,
        sha256: row.sha256,
        file: row.file,
        settings,
        secrets: row.secrets,
        trial: row.trial,
    })
}

/// What is to be written of a plugin; nothing when the row says it already.
pub(super) fn spec(wanted: &Wanted, row: Option<&PluginRow>, position: usize, inbound: bool) -> Option<PluginSpec> {
    let settings = serde_json::to_value(&wanted.settings).unwrap_or_default();
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    let previous = match row {
        Some(row) if row.sha256 != wanted.sha256 => Some(row.sha256.clone()),
        Some(row) => row.previous_sha256.clone(),
        None => None,
    };
    let same = row.is_some_and(|row| {
        row.sha256 == wanted.sha256
            && row.position == position
            && row.enabled == wanted.enabled
            && row.managed_by == wanted.managed_by
            && row.file == wanted.file
            && row.settings == settings
            && row.secrets == wanted.secrets
            && row.trial == wanted.trial
            && row.reason.is_none()
    });
    (!same).then(|| PluginSpec {
        name: wanted.name.clone(),
        managed_by: wanted.managed_by.clone(),
        position,
        enabled: wanted.enabled,
        inbound: inbound && wanted.enabled,
        sha256: wanted.sha256.clone(),
        previous_sha256: previous,
        file: wanted.file.clone(),
        settings,
        secrets: wanted.secrets.clone(),
        trial: wanted.trial.clone(),
        reason: None,
    })
}

pub(super) fn spec_of_row(row: PluginRow, inbound: bool) -> PluginSpec {
    PluginSpec {
        name: row.name,
        managed_by: row.managed_by,
        position: row.position,
        enabled: row.enabled,
        inbound,
        sha256: row.sha256,
        previous_sha256: row.previous_sha256,
        file: row.file,
        settings: row.settings,
        secrets: row.secrets,
        trial: row.trial,
        reason: row.reason,
    }
}
