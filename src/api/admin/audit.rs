//! The audit log, newest first.

use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::extract::Query;
use crate::api::parameters::Parameters;
use crate::domain::ids::{AuditId, TenantId};
use crate::store::{AuditQuery, AuditRow};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 200;
const TEXT_CHARS_MAX: usize = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// Only lines of this tenant.
    #[serde(rename = "tenantId")]
    tenant: Option<String>,
    /// Only this action, for example `tenant.created`.
    action: Option<String>,
    /// Only what this actor did: `admin`, `unknown`, `gateway`, or the id of an API key.
    actor: Option<String>,
    /// Only what concerns the thing with this id.
    #[serde(rename = "resourceId")]
    resource_id: Option<String>,
    /// From this moment: unix seconds, or an ISO 8601 date or time.
    since: Option<String>,
    /// Up to and with this second or this day.
    until: Option<String>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// A line of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLine)]
pub(in crate::api) struct Line {
    id: String,
    tenant_id: Option<String>,
    /// `admin`, `unknown`, or the id of the API key.
    actor: String,
    action: String,
    resource_type: Option<String>,
    resource_id: Option<String>,
    meta: Option<serde_json::Value>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    /// Unix seconds.
    created_at: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditLog)]
pub(in crate::api) struct Log {
    logs: Vec<Line>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// The audit log, newest first
#[utoipa::path(get, path = "/audit-logs", operation_id = "listAuditLogs", tag = "Admin", params(Wanted),
    responses((status = 200, body = Envelope<Log>)))]
pub(in crate::api) async fn list(State(api): State<Api>, _: Admin, Query(wanted): Query<Wanted>) -> Answer<Log> {
    let mut parameters = Parameters::default();
    let short = |text: &str| match text.len() <= TEXT_CHARS_MAX {
        true => Ok(text.to_owned()),
        false => Err(format!("must have at most {TEXT_CHARS_MAX} characters")),
    };
    let (since, until) = parameters.span(wanted.since.as_deref(), wanted.until.as_deref());
    let query = AuditQuery {
        tenant: parameters.read("tenantId", wanted.tenant.as_deref(), TenantId::parse),
        actor: parameters.read("actor", wanted.actor.as_deref(), short),
        action: parameters.read("action", wanted.action.as_deref(), short),
        resource_id: parameters.read("resourceId", wanted.resource_id.as_deref(), short),
        since,
        until,
        before: parameters.read("cursor", wanted.cursor.as_deref(), |text| {
            AuditId::parse(text).map_err(|_| "must be what nextCursor gave")
        }),
    };
    let limit = parameters.limit(wanted.limit.as_deref(), LIMIT_MAX);
    parameters.finish()?;
    let lines = api.store.audit_log(query, limit).await?;
    let next_cursor = (lines.len() == limit as usize).then(|| lines.last().map(|line| line.id.clone())).flatten();
    Ok(enveloped(Log { logs: lines.into_iter().map(Line::from).collect(), next_cursor }))
}

impl From<AuditRow> for Line {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant,
            actor: row.actor,
            action: row.action,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            meta: row.meta,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            created_at: row.created_at / 1000,
        }
    }
}
