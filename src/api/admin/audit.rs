//! The audit log, newest first.

use crate::api::Api;
use crate::api::caller::Admin;
use crate::api::envelope::{Answer, enveloped};
use crate::api::error::ApiError;
use crate::domain::ids::TenantId;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    #[serde(rename = "tenantId")]
    tenant: Option<String>,
    action: Option<String>,
    /// The id of the last line of the page before.
    cursor: Option<String>,
    limit: Option<u32>,
}

pub(in crate::api) async fn list(State(api): State<Api>, _: Admin, Query(wanted): Query<Wanted>) -> Answer {
    let tenant = wanted.tenant.as_deref().map(TenantId::parse).transpose();
    let tenant = tenant.map_err(|error| ApiError::field("tenantId", error.to_string()))?;
    let limit = wanted.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {LIMIT_MAX}")));
    }
    let lines = api.store.audit_log(tenant, wanted.action, wanted.cursor, limit).await?;
    let shown: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "id": line.id,
                "tenant_id": line.tenant,
                "actor": line.actor,
                "action": line.action,
                "resource_type": line.resource_type,
                "resource_id": line.resource_id,
                "meta": line.meta,
                "ip_address": line.ip_address,
                "user_agent": line.user_agent,
                "created_at": line.created_at / 1000,
            })
        })
        .collect();
    let next = (lines.len() == limit as usize).then(|| lines.last().map(|line| line.id.clone())).flatten();
    Ok(enveloped(json!({ "logs": shown, "nextCursor": next })))
}
