//! Pulling events of a device. Oldest first behind a cursor, newest first without one.

use super::{device_id, no_device};
use crate::api::Api;
use crate::api::caller::Tenant;
use crate::api::error::ApiError;
use crate::domain::event::Subscription;
use crate::store::EventQuery;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 500;

/// Read as texts, so that a bad one is named.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    since: Option<String>,
    until: Option<String>,
    cursor: Option<String>,
    r#type: Option<String>,
    limit: Option<String>,
}

impl Wanted {
    fn query(&self) -> Result<EventQuery, ApiError> {
        let seconds = |name: &str, text: &Option<String>| match text.as_deref().map(str::parse::<i64>) {
            None => Ok(None),
            Some(Ok(seconds)) if seconds >= 0 => Ok(Some(seconds.saturating_mul(1000))),
            Some(_) => Err(ApiError::field(name, "must be unix seconds")),
        };
        let cursor = match self.cursor.as_deref().map(str::parse::<i64>) {
            None => None,
            Some(Ok(cursor)) if cursor >= 0 => Some(cursor),
            Some(_) => return Err(ApiError::field("cursor", "must be what X-Next-Cursor gave, or 0")),
        };
        let types = match self.r#type.as_deref() {
            None => Vec::new(),
            Some(name) => {
                let known = Subscription::parse(name);
                let known = known.ok_or_else(|| ApiError::field("type", "is not the name of an event"))?;
                known.types().iter().map(|type_| type_.as_str().to_owned()).collect()
            }
        };
        let limit = self.limit.as_deref().map(str::parse::<u32>).transpose().ok().map(|n| n.unwrap_or(LIMIT_DEFAULT));
        let limit = limit.filter(|n| (1..=LIMIT_MAX).contains(n));
        Ok(EventQuery {
            device: None,
            after: cursor,
            since: seconds("since", &self.since)?,
            until: seconds("until", &self.until)?,
            types,
            limit: limit.ok_or_else(|| ApiError::field("limit", format!("must be 1 to {LIMIT_MAX}")))?,
        })
    }
}

pub(in crate::api) async fn list(
    State(api): State<Api>,
    tenant: Tenant,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    tenant.may("read")?;
    let id = device_id(&id)?;
    api.store.device(&tenant.id, &id).await.map_err(no_device)?;
    let query = EventQuery { device: Some(id), ..wanted.query()? };
    let after = query.after;
    let rows = api.store.events(&tenant.id, query).await?;
    let next = rows.iter().map(|row| row.seq).max().or(after).unwrap_or(0);
    let shown: Vec<Value> = rows
        .into_iter()
        .map(|row| json!({ "id": row.id, "type": row.type_, "payload": row.data, "receivedAt": row.at / 1000 }))
        .collect();
    Ok(([("x-next-cursor", next.to_string())], Json(shown)).into_response())
}
