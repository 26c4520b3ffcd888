//! The plugins of all tenants, as the operator sees them.

use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::extract::Query;
use crate::api::v1::{Page, UpTo100};
use crate::domain::ids::TenantId;
use crate::plugins::{PluginState, Status};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// A plugin of some tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginOfTenant)]
pub(in crate::api) struct Shown {
    tenant_id: TenantId,
    name: String,
    version: Option<String>,
    /// SHA-256 of the component, hex.
    sha256: String,
    state: PluginState,
    /// Why it cannot run, or why its last change was refused.
    reason: Option<String>,
    /// Since it serves as it does.
    calls: u64,
    errors: u64,
    traps: u64,
    /// `api`, or the name of the file that declares it.
    managed_by: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PluginsOfTenants)]
pub(in crate::api) struct All {
    plugins: Vec<Shown>,
    /// On this page.
    count: usize,
    /// In all.
    total: u64,
}

/// The plugins of all tenants, tenant by tenant in the order of their pipelines
#[utoipa::path(get, path = "/plugins", operation_id = "listAllPlugins", tag = "Admin", params(Page<UpTo100>),
    responses((status = 200, body = Envelope<All>)))]
pub(in crate::api) async fn list(State(api): State<Api>, _: Admin, Query(page): Query<Page<UpTo100>>) -> Answer<All> {
    let (limit, offset) = page.checked()?;
    let (plugins, total) = api.plugins.status_of_all(limit, offset).await?;
    let plugins: Vec<Shown> = plugins.into_iter().map(Shown::from).collect();
    Ok(enveloped(All { count: plugins.len(), plugins, total }))
}

impl From<Status> for Shown {
    fn from(status: Status) -> Self {
        let state = status.state();
        let figures = status.figures;
        Self {
            tenant_id: status.row.tenant,
            name: status.row.name,
            version: status.manifest.map(|manifest| manifest.version),
            sha256: status.row.sha256,
            state,
            reason: status.broken.or(status.row.reason),
            calls: figures.map_or(0, |figures| figures.calls),
            errors: figures.map_or(0, |figures| figures.errors),
            traps: figures.map_or(0, |figures| figures.traps),
            managed_by: status.row.managed_by,
        }
    }
}
