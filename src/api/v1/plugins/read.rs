//! Reading plugins: what each is, may do, and came to.

use crate::api::Api;
use crate::api::caller::{Manages, OwnPlugin, Tenant};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::domain::trial::TrialMode;
use crate::plugins::manifest::{Hook, Wants};
use crate::plugins::settings::{Grants, Isolation, Limits, OnError};
use crate::plugins::{CandidateStatus, Figures, PluginState, Status};
use crate::store::MANAGED_BY_API;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A plugin.
#[derive(Serialize, ToSchema)]
#[schema(as = Plugin)]
pub(in crate::api) struct Shown {
    name: String,
    /// What its component calls its version; null when the component does not read.
    version: Option<String>,
    description: Option<String>,
    /// SHA-256 of the component, hex.
    sha256: String,
    /// What served before and `rollback` goes back to.
    previous: Option<Previous>,
    state: PluginState,
    /// What its own component does: `serving`, or `shadow` or `canary` while nothing serves.
    #[schema(example = "serving")]
    mode: &'static str,
    /// Percent of the chats that a plugin has whose own component is a canary.
    weight: Option<u8>,
    /// The version on trial beside what serves.
    candidate: Option<CandidateShown>,
    /// Why it cannot run, when it is `failed`.
    failure: Option<String>,
    /// Why its last change was refused, or why it has no chats any more.
    reason: Option<String>,
    /// Its place in the pipeline, from 0.
    position: u32,
    /// The hooks in use.
    hooks: Vec<Hook>,
    /// The event types that its inbound hook sees.
    events: Vec<String>,
    /// What it asks for.
    wants: Wants,
    /// What it is granted. It gets what it wants and is granted.
    grants: Grants,
    /// Names of the secrets that are set; values are never shown.
    secrets: Vec<String>,
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// The JSON Schema of its configuration.
    #[schema(value_type = Option<Object>)]
    config_schema: Option<Value>,
    limits: Limits,
    on_error: OnError,
    isolation: Isolation,
    /// Public keys of which one must have signed the component; empty asks for no signature.
    signed_by: Vec<String>,
    #[serde(flatten)]
    figures: Counted,
    kv: KvShown,
    /// Its name, when a file declares it.
    slug: Option<String>,
    /// `api`, or the name of the file that declares it.
    managed_by: String,
    /// Whether it is reloaded from a file when that changes.
    from_file: bool,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviousPlugin)]
pub(in crate::api) struct Previous {
    sha256: String,
    version: Option<String>,
}

/// A version on trial beside what serves.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginCandidate)]
pub(in crate::api) struct CandidateShown {
    /// SHA-256 of the component, hex.
    sha256: String,
    version: Option<String>,
    /// `shadow`: nothing of what it decides is done. `canary`: it has a share of the chats.
    #[schema(example = "shadow")]
    mode: &'static str,
    /// Percent of the chats that a canary has.
    weight: Option<u8>,
    /// shadow, canary, disabled, tripped or failed.
    state: PluginState,
    /// Why it has no calls any more.
    reason: Option<String>,
    #[serde(flatten)]
    figures: Counted,
    /// Calls of a shadow that did not fit its queue.
    dropped: u64,
    /// Whether it is reloaded from a file when that changes.
    from_file: bool,
}

impl From<CandidateStatus> for CandidateShown {
    fn from(status: CandidateStatus) -> Self {
        Self {
            sha256: status.sha256,
            version: status.version,
            mode: status.mode.as_str(),
            weight: status.mode.weight(),
            state: status.state,
            reason: status.reason,
            figures: Counted::of(status.figures, status.idle_instances),
            dropped: status.dropped,
            from_file: status.from_file,
        }
    }
}

/// Counted since it serves as it does; zero and null while it does not serve.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginFigures)]
pub(in crate::api) struct Counted {
    calls: u64,
    /// Calls that did not decide or whose decision was refused, traps among them.
    errors: u64,
    /// Calls that trapped or took too long.
    traps: u64,
    /// Half of the calls took no longer, microseconds; an upper bound.
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    /// Instances that wait for the next call.
    idle_instances: usize,
}

impl Counted {
    fn of(figures: Option<Figures>, idle_instances: usize) -> Self {
        let count = |of: fn(&Figures) -> u64| figures.as_ref().map_or(0, of);
        Self {
            calls: count(|f| f.calls),
            errors: count(|f| f.errors),
            traps: count(|f| f.traps),
            p50_us: figures.and_then(|f| f.p50_us),
            p99_us: figures.and_then(|f| f.p99_us),
            idle_instances,
        }
    }
}

/// What it keeps, and may keep.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginKv)]
pub(in crate::api) struct KvShown {
    keys: u64,
    keys_max: u64,
    /// Of keys and values.
    bytes: u64,
    bytes_max: u64,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Plugins {
    /// In the order of the pipeline.
    plugins: Vec<Shown>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct OnePlugin {
    plugin: Shown,
}

/// List plugins in the order of the pipeline, disabled ones too
#[utoipa::path(get, path = "/plugins", operation_id = "listPlugins", tag = "Plugins",
    responses((status = 200, body = Envelope<Plugins>)))]
pub(in crate::api) async fn list(State(api): State<Api>, tenant: Tenant<Manages>) -> Answer<Plugins> {
    let plugins = api.plugins.status(&tenant.id).await?;
    Ok(enveloped(Plugins { plugins: plugins.into_iter().map(Shown::from).collect() }))
}

/// One plugin
#[utoipa::path(get, path = "/plugins/{plugin}", operation_id = "readPlugin", tag = "Plugins",
    responses((status = 200, body = Envelope<OnePlugin>)))]
pub(in crate::api) async fn read(State(api): State<Api>, plugin: OwnPlugin<Manages>) -> Answer<OnePlugin> {
    let status = api.plugins.status_of(plugin.row).await?;
    Ok(enveloped(OnePlugin { plugin: status.into() }))
}

impl Shown {
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl From<Status> for Shown {
    fn from(status: Status) -> Self {
        let state = status.state();
        let alone = status.row.trial.as_ref().filter(|trial| trial.is_alone());
        let (own, halted) = (alone.map(|trial| trial.mode), alone.and_then(|trial| trial.halted.clone()));
        let (row, settings, previous_version) = (status.row, status.settings, status.previous_version);
        let (version, description, wants, schema, events) = match status.manifest {
            Some(says) => (Some(says.version), says.description, says.wants, says.config.schema, says.hooks.inbound),
            None => (None, None, Wants::default(), None, Vec::new()),
        };
        Self {
            slug: Some(row.name.clone()).filter(|_| row.managed_by != MANAGED_BY_API),
            name: row.name,
            version,
            description,
            sha256: row.sha256,
            previous: row.previous_sha256.map(|sha256| Previous { sha256, version: previous_version }),
            state,
            mode: own.map_or("serving", TrialMode::as_str),
            weight: own.and_then(TrialMode::weight),
            candidate: status.candidate.map(CandidateShown::from),
            failure: status.broken,
            reason: row.reason.or(halted),
            position: row.position,
            hooks: status.hooks,
            events,
            wants,
            grants: settings.grants,
            secrets: row.secrets.into_keys().collect(),
            config: settings.config,
            config_schema: schema,
            kv: KvShown {
                keys: status.kv.keys,
                keys_max: settings.limits.kv_keys.into(),
                bytes: status.kv.bytes,
                bytes_max: u64::from(settings.limits.kv_kib) << 10,
            },
            limits: settings.limits,
            on_error: settings.on_error,
            isolation: settings.isolation,
            signed_by: settings.signed_by,
            figures: Counted::of(status.figures, status.idle_instances),
            managed_by: row.managed_by,
            from_file: row.file.is_some(),
            created_at: row.created_at / 1000,
            updated_at: row.updated_at / 1000,
        }
    }
}
