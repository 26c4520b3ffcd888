//! Changing whether and what serves. What does not hold is told with its reason, and what served goes on.

use super::read::Shown;
use crate::api::Api;
use crate::api::caller::{Manages, OwnPlugin};
use crate::api::envelope::{Answer, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::domain::ids::TenantId;
use crate::plugins::{PluginsError, ReloadOutcome};
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PluginOutcome)]
pub(in crate::api) enum Outcome {
    /// It is so from now on; calls in flight finish on what they began with.
    Swapped,
    /// It was so already.
    Unchanged,
    /// It does not hold; what was before goes on.
    KeptPrevious,
}

/// What a change came to.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginChange)]
pub(in crate::api) struct Changed {
    outcome: Outcome,
    /// Why what was before was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    plugin: Shown,
}

/// Enable a plugin
///
/// It is tried first: its component is linked, its grants and configuration are checked, an instance is started.
#[utoipa::path(post, path = "/plugins/{plugin}/enable", operation_id = "enablePlugin", tag = "Plugins",
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn enable(State(api): State<Api>, plugin: OwnPlugin<Manages>) -> Answer<Changed> {
    plugin.changeable()?;
    let outcome = api.plugins.set_enabled(&plugin.tenant.id, &plugin.row.name, true).await?;
    told(&api, &plugin, "plugin.enabled", outcome).await
}

/// Disable a plugin
///
/// Events and messages pass without it. What it keeps stays.
#[utoipa::path(post, path = "/plugins/{plugin}/disable", operation_id = "disablePlugin", tag = "Plugins",
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn disable(State(api): State<Api>, plugin: OwnPlugin<Manages>) -> Answer<Changed> {
    plugin.changeable()?;
    let outcome = api.plugins.set_enabled(&plugin.tenant.id, &plugin.row.name, false).await?;
    told(&api, &plugin, "plugin.disabled", outcome).await
}

/// Read a plugin's file again
///
/// Only for a plugin that comes from a file.
#[utoipa::path(post, path = "/plugins/{plugin}/reload", operation_id = "reloadPlugin", tag = "Plugins",
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn reload(State(api): State<Api>, plugin: OwnPlugin<Manages>) -> Answer<Changed> {
    let outcome = api.plugins.reload(&plugin.tenant.id, &plugin.row.name).await?;
    told(&api, &plugin, "plugin.updated", outcome).await
}

/// Let what is on trial serve
///
/// A candidate takes the place of what serves, which `rollback` goes back to; of a plugin that was on trial itself,
/// everything counts from now on. Of a plugin that a file declares this is 409, and says what to write there.
#[utoipa::path(post, path = "/plugins/{plugin}/promote", operation_id = "promotePlugin", tag = "Plugins",
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn promote(State(api): State<Api>, plugin: OwnPlugin<Manages>) -> Answer<Changed> {
    let outcome = api.plugins.promote(&plugin.tenant.id, &plugin.row.name).await?;
    told(&api, &plugin, "plugin.promoted", outcome).await
}

/// Go back to the component that served before
///
/// While something is on trial, only that is given up: a candidate goes, and a plugin that is on trial itself is disabled.
/// Otherwise once more is forward again. A plugin from a file goes forward by itself when the file changes, is reloaded, or the
/// gateway starts anew; one that a file pins by its hash is changed there.
#[utoipa::path(post, path = "/plugins/{plugin}/rollback", operation_id = "rollBackPlugin", tag = "Plugins",
    responses((status = 200, body = Envelope<Changed>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn roll_back(State(api): State<Api>, plugin: OwnPlugin<Manages>) -> Answer<Changed> {
    if plugin.row.file.is_none() && plugin.row.trial.is_none() {
        plugin.changeable()?;
    }
    let outcome = api.plugins.roll_back(&plugin.tenant.id, &plugin.row.name).await?;
    told(&api, &plugin, "plugin.rolled_back", outcome).await
}

/// Remove a plugin
///
/// Its values, log lines and traces stay for when it comes back; delete its values first if they should not.
#[utoipa::path(delete, path = "/plugins/{plugin}", operation_id = "removePlugin", tag = "Plugins",
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn remove(State(api): State<Api>, plugin: OwnPlugin<Manages>) -> Answer<Done> {
    plugin.changeable()?;
    let outcome = api.plugins.remove(&plugin.tenant.id, &plugin.row.name).await?;
    if let ReloadOutcome::KeptPrevious { plugin, reason } = outcome {
        return Err(ApiError::Conflict(format!("the plugin {plugin:?} stands in the way: {reason}")));
    }
    let mut line = plugin.audit("plugin.removed");
    line.meta = Some(json!({ "sha256": plugin.row.sha256 }));
    api.store.audit(line).await?;
    Ok(done("the plugin is removed"))
}

/// Writes down what was done, and answers how the plugin stands.
async fn told(api: &Api, plugin: &OwnPlugin<Manages>, action: &'static str, outcome: ReloadOutcome) -> Answer<Changed> {
    let changed = changed(api, &plugin.tenant.id, &plugin.row.name, outcome).await?;
    if matches!(changed.outcome, Outcome::Swapped) {
        let mut line = plugin.audit(action);
        line.meta = Some(json!({ "sha256": changed.plugin.sha256() }));
        api.store.audit(line).await?;
    }
    Ok(enveloped(changed))
}

pub(super) async fn changed(
    api: &Api,
    tenant: &TenantId,
    name: &str,
    outcome: ReloadOutcome,
) -> Result<Changed, ApiError> {
    let row = api.store.plugin(tenant, name).await.map_err(PluginsError::from)?;
    let plugin = Shown::from(api.plugins.status_of(row).await?);
    let (outcome, reason) = match outcome {
        ReloadOutcome::Swapped => (Outcome::Swapped, None),
        ReloadOutcome::Unchanged => (Outcome::Unchanged, None),
        ReloadOutcome::KeptPrevious { plugin, reason } if plugin == name => (Outcome::KeptPrevious, Some(reason)),
        ReloadOutcome::KeptPrevious { plugin, reason } => {
            (Outcome::KeptPrevious, Some(format!("the plugin {plugin:?} stands in the way: {reason}")))
        }
    };
    Ok(Changed { outcome, reason, plugin })
}

/// A change that was asked for in fields and does not hold is a mistake in them.
pub(super) fn held(outcome: ReloadOutcome, field: &str) -> Result<ReloadOutcome, ApiError> {
    match outcome {
        ReloadOutcome::KeptPrevious { plugin, reason } => {
            Err(ApiError::field(field, format!("the plugin {plugin:?} does not start: {reason}")))
        }
        other => Ok(other),
    }
}
