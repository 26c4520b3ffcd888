//! What a plugin logged and decided, newest first.

use super::cursor;
use crate::api::Api;
use crate::api::caller::{Manages, OwnPlugin};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::v1::limit;
use crate::domain::aftermath::{PluginLine, Trace};
use crate::store::Placed;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Part {
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// 1 to 500; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

impl Part {
    fn checked(&self) -> Result<(Option<i64>, u32), ApiError> {
        ApiError::both(cursor(self.cursor.as_deref()), limit(self.limit.as_deref(), LIMIT_MAX))
    }
}

/// A line that a plugin logged.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginLogLine)]
pub(in crate::api) struct Line {
    plugin: String,
    /// Of the component that wrote it.
    sha256: String,
    /// The event, message or tick during which it was written.
    subject: String,
    /// trace, debug, info, warn or error.
    level: &'static str,
    message: String,
    /// Texts by their names.
    #[schema(value_type = Object)]
    fields: Value,
    /// Unix milliseconds.
    at: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PluginLog)]
pub(in crate::api) struct Lines {
    logs: Vec<Line>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// One call of a hook: what it saw, what it decided, how long it took.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginTrace)]
pub(in crate::api) struct Step {
    plugin: String,
    sha256: String,
    /// inbound, outbound, webhook or scheduled.
    hook: &'static str,
    /// The event, message, delivery or tick.
    subject: String,
    /// pass, patch, drop, reject, default, skip, request, tick, duplicate, or error when it did not decide.
    decision: &'static str,
    /// Its effects and reason; of an error its kind, its text and what followed.
    #[schema(value_type = Object)]
    detail: Value,
    /// Microseconds.
    took_us: u64,
    /// It only watched, and nothing of it was done.
    shadow: bool,
    /// Unix milliseconds.
    at: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PluginTraces)]
pub(in crate::api) struct Steps {
    traces: Vec<Step>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// What a plugin logged, newest first
///
/// The newest 10,000 lines of each plugin are kept.
#[utoipa::path(get, path = "/plugins/{plugin}/logs", operation_id = "listPluginLogs", tag = "Plugins", params(Part),
    responses((status = 200, body = Envelope<Lines>)))]
pub(in crate::api) async fn logs(
    State(api): State<Api>,
    plugin: OwnPlugin<Manages>,
    Query(part): Query<Part>,
) -> Answer<Lines> {
    let (before, limit) = part.checked()?;
    let rows = api.store.plugin_lines(&plugin.tenant.id, &plugin.row.name, before, limit).await?;
    let next_cursor = next(&rows, limit);
    Ok(enveloped(Lines { logs: rows.into_iter().map(|placed| placed.row.into()).collect(), next_cursor }))
}

/// What a plugin decided, newest first
///
/// The newest 10,000 calls of each plugin are kept.
#[utoipa::path(get, path = "/plugins/{plugin}/traces", operation_id = "listPluginTraces", tag = "Plugins",
    params(Part), responses((status = 200, body = Envelope<Steps>)))]
pub(in crate::api) async fn traces(
    State(api): State<Api>,
    plugin: OwnPlugin<Manages>,
    Query(part): Query<Part>,
) -> Answer<Steps> {
    let (before, limit) = part.checked()?;
    let rows = api.store.plugin_traces(&plugin.tenant.id, &plugin.row.name, before, None, limit).await?;
    let next_cursor = next(&rows, limit);
    Ok(enveloped(Steps { traces: rows.into_iter().map(|placed| placed.row.into()).collect(), next_cursor }))
}

pub(super) fn next<T>(rows: &[Placed<T>], limit: u32) -> Option<String> {
    rows.last().filter(|_| rows.len() == limit as usize).map(|last| last.seq.to_string())
}

impl From<PluginLine> for Line {
    fn from(line: PluginLine) -> Self {
        Self {
            plugin: line.plugin,
            sha256: line.sha256,
            subject: line.subject,
            level: line.level,
            message: line.message,
            fields: line.fields,
            at: line.at,
        }
    }
}

impl From<Trace> for Step {
    fn from(trace: Trace) -> Self {
        Self {
            plugin: trace.plugin,
            sha256: trace.sha256,
            hook: trace.hook,
            subject: trace.subject,
            decision: trace.decision,
            detail: trace.detail,
            took_us: trace.took_us,
            shadow: trace.shadow,
            at: trace.at,
        }
    }
}
