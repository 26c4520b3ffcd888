//! Pulling events, of a device or of the whole tenant. Oldest first behind a cursor, newest first without one. And telling
//! one that a plugin dropped.

use super::limit;
use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice, Reads, Tenant};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::parameters::Parameters;
use crate::domain::event::Subscription;
use crate::domain::ids::{DeviceId, EventId, TenantId};
use crate::store::{EventQuery, EventRow, StoreError};
use crate::whatsapp::raw;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const LIMIT_DEFAULT: &str = "100";
const LIMIT_MAX: u32 = 500;

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// From this moment: unix seconds, or an ISO 8601 date or time (UTC unless it says otherwise).
    since: Option<String>,
    /// Up to and with this second or this day.
    until: Option<String>,
    /// What `X-Next-Cursor` gave, or 0 for the beginning; then oldest first.
    #[param(value_type = Option<u64>)]
    cursor: Option<String>,
    /// The name of an event, or `message.status`; several with commas between them.
    r#type: Option<String>,
    /// `true` for events that plugins dropped, in place of those that were told.
    #[param(value_type = Option<bool>)]
    dropped: Option<String>,
    /// `true` for messages in WhatsApp's own form too, as `raw` in the payload of events that came of one; a page of more than
    /// 4 MiB of them ends before its limit.
    #[param(value_type = Option<bool>)]
    raw: Option<String>,
    /// 1 to 500; 100 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

impl Wanted {
    /// What is asked for, and whether in the raw form too.
    fn query(&self) -> Result<(EventQuery, bool), ApiError> {
        let mut parameters = Parameters::default();
        let (since, until) = parameters.span(self.since.as_deref(), self.until.as_deref());
        let spans = parameters.finish();
        let places = ApiError::both(
            cursor("cursor", self.cursor.as_deref()),
            limit(Some(self.limit.as_deref().unwrap_or(LIMIT_DEFAULT)), LIMIT_MAX),
        );
        let flags = ApiError::both(flag("dropped", self.dropped.as_deref()), flag("raw", self.raw.as_deref()));
        let which = ApiError::both(types(self.r#type.as_deref()), flags);
        let (((), (after, limit)), (types, (dropped, raw))) = ApiError::both(ApiError::both(spans, places), which)?;
        Ok((EventQuery { device: None, after, since, until, types, dropped, limit }, raw))
    }
}

fn flag(name: &str, text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::field(name, "must be true or false")),
    }
}

pub(super) fn cursor(name: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    match text.map(str::parse::<i64>) {
        None => Ok(None),
        Some(Ok(cursor)) if cursor >= 0 => Ok(Some(cursor)),
        Some(_) => {
            Err(ApiError::field(name, "must be what X-Next-Cursor or the id of an event in a stream gave, or 0"))
        }
    }
}

/// The public names that are asked for; none means all.
pub(super) fn types(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    let mut types = Vec::new();
    for name in text.into_iter().flat_map(|text| text.split(',')) {
        let known = Subscription::parse(name.trim()).ok_or_else(|| {
            let shown: String = name.trim().chars().take(NAME_CHARS_SHOWN).collect();
            ApiError::field("type", format!("{shown:?} is not the name of an event"))
        })?;
        types.extend(known.types().iter().map(|type_| type_.as_str().to_owned()));
    }
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

/// Of a name that is no event's, in the error.
const NAME_CHARS_SHOWN: usize = 50;

/// Something that happened.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub(in crate::api) struct Shown {
    id: EventId,
    /// The name webhooks subscribe to.
    r#type: String,
    /// What a webhook gets as `data`.
    #[schema(value_type = Object)]
    payload: serde_json::Value,
    /// Unix seconds.
    received_at: i64,
    /// Null for what concerns the tenant as a whole.
    device_id: Option<DeviceId>,
    /// The plugin that dropped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_why: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct OneEvent {
    event: Shown,
}

/// Pull events
///
/// Newest first; with a cursor oldest first, and the header `X-Next-Cursor` gives the cursor for the next page.
#[utoipa::path(get, path = "/devices/{device}/events", operation_id = "listEvents", tag = "Events", params(Wanted),
    responses((status = 200, body = Vec<Shown>,
        headers(("X-Next-Cursor" = u64, description = "The cursor behind the last of these events.")))))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let (query, raw) = wanted.query()?;
    page(&api, &device.tenant.id, EventQuery { device: Some(device.id().clone()), ..query }, raw).await
}

/// Pull events of the whole tenant
///
/// As those of a device, of all devices and of none: what is told of plugins and webhooks belongs to no device.
#[utoipa::path(get, path = "/events", operation_id = "listAllEvents", tag = "Events", params(Wanted),
    responses((status = 200, body = Vec<Shown>,
        headers(("X-Next-Cursor" = u64, description = "The cursor behind the last of these events.")))))]
pub(in crate::api) async fn of_tenant(
    State(api): State<Api>,
    tenant: Tenant<Reads>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let (query, raw) = wanted.query()?;
    page(&api, &tenant.id, query, raw).await
}

/// Tell an event that a plugin dropped
///
/// As if it had passed, now and once: readers that follow the log find it at the end, and every webhook that wants it gets
/// it. Plugins behind the one that dropped it do not see it.
#[utoipa::path(post, path = "/events/{event}/replay", operation_id = "replayEvent", tag = "Events",
    responses((status = 200, body = Envelope<OneEvent>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn replay(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    Path(event): Path<String>,
) -> Answer<OneEvent> {
    let no_event = || ApiError::NotFound("event");
    let id = EventId::parse(&event).map_err(|_| no_event())?;
    let row = api.store.tell_dropped(&tenant.id, &id).await.map_err(|error| match error {
        StoreError::NotFound => no_event(),
        other => other.into(),
    })?;
    api.store.audit(tenant.audit("event.replayed", "event", id.as_str())).await?;
    Ok(enveloped(OneEvent { event: row.into() }))
}

async fn page(api: &Api, tenant: &TenantId, query: EventQuery, with_raw: bool) -> Result<Response, ApiError> {
    let after = query.after;
    let mut rows = api.store.events(tenant, query).await?;
    if with_raw {
        let page = api.store.raw_messages(tenant, rows.iter().filter_map(EventRow::behind).collect()).await?;
        if let Some(next) = page.next.and_then(|next| rows.iter().position(|row| row.id == next)) {
            rows.truncate(next);
        }
        for row in &mut rows {
            if let Some(message) = page.messages.get(&row.id) {
                raw::show(&mut row.data, message);
            }
        }
    }
    let next = rows.iter().map(|row| row.seq).max().or(after).unwrap_or(0);
    let shown: Vec<Shown> = rows.into_iter().map(Shown::from).collect();
    Ok(([("x-next-cursor", next.to_string())], Json(shown)).into_response())
}

impl From<EventRow> for Shown {
    fn from(row: EventRow) -> Self {
        let (dropped_by, dropped_why) = row.dropped.map(|dropped| (dropped.by, dropped.why)).unzip();
        Self {
            id: row.id,
            r#type: row.type_,
            payload: row.data,
            received_at: row.at / 1000,
            device_id: row.device,
            dropped_by,
            dropped_why,
        }
    }
}
