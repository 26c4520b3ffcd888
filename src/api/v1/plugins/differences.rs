//! What a shadow made of what passed, beside what serves.

use super::cursor;
use super::history::next;
use crate::api::Api;
use crate::api::caller::{Manages, OwnPlugin};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::v1::limit;
use crate::domain::trial::{Comparison, Difference, Side};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A row holds what two versions said.
const LIMIT_MAX: u32 = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Asked {
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// Only these: agree, differ or failed.
    #[param(value_type = Option<Comparison>)]
    comparison: Option<String>,
}

/// One call of a shadow beside that of what serves.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginDifference)]
pub(in crate::api) struct Compared {
    comparison: Comparison,
    /// inbound, outbound, webhook or scheduled.
    hook: &'static str,
    /// The event, message or tick.
    subject: String,
    /// The message or the webhook, where a subject has several.
    part: Option<String>,
    /// Null when nothing serves: then the candidate's side is what it would have done.
    serving: Option<Side>,
    candidate: Side,
    /// Unix milliseconds.
    at: i64,
}

/// How many of the calls that are kept came to what.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginDifferenceSummary)]
pub(in crate::api) struct Summary {
    /// The shadow that is counted: that on trial now; null when none is.
    sha256: Option<String>,
    agree: u64,
    differ: u64,
    failed: u64,
    /// Calls that did not fit the shadow's queue, since it watches or the gateway started.
    dropped: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PluginDifferences)]
pub(in crate::api) struct Differences {
    summary: Summary,
    differences: Vec<Compared>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// What a shadow made of what passed, beside what serves, newest first
///
/// The newest 10,000 calls of each plugin are kept, those of earlier shadows among them.
#[utoipa::path(get, path = "/plugins/{plugin}/differences", operation_id = "listPluginDifferences", tag = "Plugins",
    params(Asked), responses((status = 200, body = Envelope<Differences>)))]
pub(in crate::api) async fn differences(
    State(api): State<Api>,
    plugin: OwnPlugin<Manages>,
    Query(asked): Query<Asked>,
) -> Answer<Differences> {
    let page = ApiError::both(cursor(asked.cursor.as_deref()), limit(asked.limit.as_deref(), LIMIT_MAX));
    let unknown = || ApiError::field("comparison", "must be agree, differ or failed");
    let only = asked.comparison.as_deref().map(|text| Comparison::parse(text).ok_or_else(unknown)).transpose();
    let ((before, limit), only) = ApiError::both(page, only)?;
    let (tenant, name) = (&plugin.tenant.id, &plugin.row.name);
    let rows = api.store.plugin_differences(tenant, name, before, only, limit).await?;
    let next_cursor = next(&rows, limit);
    let candidate = plugin.row.trial.as_ref().and_then(|trial| trial.candidate.as_ref());
    let on_trial = candidate.map_or(&plugin.row.sha256, |candidate| &candidate.sha256);
    let sha256 = plugin.row.trial.as_ref().map(|_| on_trial.clone());
    let counts = match &sha256 {
        Some(sha256) => api.store.plugin_comparisons(tenant, name, sha256).await?,
        None => Default::default(),
    };
    let dropped = api.plugins.status_of(plugin.row).await?.dropped;
    let summary = Summary { sha256, agree: counts.agree, differ: counts.differ, failed: counts.failed, dropped };
    let differences = rows.into_iter().map(|placed| placed.row.into()).collect();
    Ok(enveloped(Differences { summary, differences, next_cursor }))
}

impl From<Difference> for Compared {
    fn from(one: Difference) -> Self {
        Self {
            comparison: one.comparison,
            hook: one.hook,
            subject: one.subject,
            part: Some(one.part).filter(|part| !part.is_empty()),
            serving: one.serving,
            candidate: one.candidate,
            at: one.at,
        }
    }
}
