//! The dead letter queue: deliveries that ran out of attempts.

use crate::api::Api;
use crate::api::caller::{Manages, Reads, Tenant};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::fields::Fields;
use crate::api::parameters::Parameters;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::store::{DEAD_LETTERS_AT_ONCE_MAX, DeadLetter, LetterChoice};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const LIMIT_MAX: u32 = 200;
/// Deliveries that one request names.
const NAMED_MAX: usize = 1_000;

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// Of this webhook.
    webhook_id: Option<String>,
    /// The name of an event.
    event_type: Option<String>,
    /// Parked from this moment on: unix seconds, or an ISO 8601 date or time.
    since: Option<String>,
    /// Parked up to and with this second or this day.
    until: Option<String>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// Read as texts, so that a bad one is named.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Unwanted {
    /// This one.
    delivery_id: Option<String>,
    /// Of this webhook.
    webhook_id: Option<String>,
    /// The name of an event.
    event_type: Option<String>,
    /// Parked from this moment on: unix seconds, or an ISO 8601 date or time.
    since: Option<String>,
    /// Parked up to and with this second or this day.
    until: Option<String>,
    /// `true` for all of them; without it, one of the others has to say which.
    #[param(value_type = Option<bool>)]
    all: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Replay {
    /// These.
    #[schema(required = false, min_items = 1, max_items = 1000)]
    delivery_ids: Vec<String>,
    /// Of this webhook.
    #[schema(required = false)]
    webhook_id: String,
    /// The name of an event.
    #[schema(required = false)]
    event_type: String,
    /// Parked from this moment on.
    #[schema(required = false)]
    since: WrittenMoment,
    /// Parked up to and with this second or this day.
    #[schema(required = false)]
    until: WrittenMoment,
    /// `true` for all of them; without it, one of the others has to say which.
    #[schema(required = false)]
    all: bool,
}

/// Unix seconds, or an ISO 8601 date or time.
#[derive(ToSchema)]
#[schema(example = "2026-01-31")]
#[serde(untagged)]
#[expect(dead_code, reason = "the form of a field, for the API document; `Fields` reads it")]
pub(in crate::api) enum WrittenMoment {
    Seconds(i64),
    Text(String),
}

/// A delivery that ran out of attempts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub(in crate::api) struct Shown {
    delivery_id: DeliveryId,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    event_id: String,
    event_type: String,
    /// Why the last attempt failed.
    reason: String,
    attempts: u32,
    /// The HTTP status of the last attempt; null when there was no answer.
    last_status: Option<u16>,
    /// Unix seconds.
    parked_at: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct DeadLetters {
    dead_letters: Vec<Shown>,
    /// Of all that fit the filter.
    total: u64,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Replayed {
    /// Deliveries that are due again.
    pub(in crate::api) replayed: u64,
    /// Those that still lie there: of webhooks that are disabled or deleted, or more than 10,000 at once.
    remaining: u64,
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct GivenUp {
    deleted: u64,
    /// Those that still lie there, when there were more than 10,000.
    remaining: u64,
}

/// List dead letters, newest first
#[utoipa::path(get, path = "/webhooks/dlq", operation_id = "listDeadLetters", tag = "Webhooks", params(Wanted),
    responses((status = 200, body = Envelope<DeadLetters>)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    tenant: Tenant<Reads>,
    Query(wanted): Query<Wanted>,
) -> Answer<DeadLetters> {
    Ok(enveloped(page(&api, Some(tenant.id), &wanted, Parameters::default()).await?))
}

/// Replay dead letters
///
/// Those that are named, those of a webhook, an event or a time, or all: they are due now, with all their attempts before them,
/// oldest first, 10,000 at once.
#[utoipa::path(post, path = "/webhooks/dlq", operation_id = "replayDeadLetters", tag = "Webhooks", request_body = Replay,
    responses((status = 200, body = Envelope<Replayed>)))]
pub(in crate::api) async fn replay(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    mut fields: Fields,
) -> Answer<Replayed> {
    let choice = LetterChoice { tenant: Some(tenant.id.clone()), ..chosen(&mut fields) };
    fields.finish()?;
    let Replayed { replayed, remaining } = replayed(&api, choice).await?;
    let mut line = tenant.audit("webhook.dead_letters_replayed", "tenant", tenant.id.as_str());
    line.meta = Some(serde_json::json!({ "count": replayed }));
    api.store.audit(line).await?;
    Ok(enveloped(Replayed { replayed, remaining }))
}

pub(in crate::api) async fn replayed(api: &Api, choice: LetterChoice) -> Result<Replayed, ApiError> {
    let replayed = api.store.replay_dead_letters(choice.clone()).await?;
    Ok(Replayed { replayed, remaining: api.store.count_dead_letters(choice).await? })
}

/// Give dead letters up
#[utoipa::path(delete, path = "/webhooks/dlq", operation_id = "deleteDeadLetters", tag = "Webhooks", params(Unwanted),
    responses((status = 200, body = Envelope<GivenUp>)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    Query(unwanted): Query<Unwanted>,
) -> Answer<GivenUp> {
    let choice = LetterChoice { tenant: Some(tenant.id.clone()), ..unwanted.choice()? };
    let deleted = api.store.delete_dead_letters(choice.clone()).await?;
    let remaining =
        if deleted < u64::from(DEAD_LETTERS_AT_ONCE_MAX) { 0 } else { api.store.count_dead_letters(choice).await? };
    let mut line = tenant.audit("webhook.dead_letters_deleted", "tenant", tenant.id.as_str());
    line.meta = Some(serde_json::json!({ "count": deleted }));
    api.store.audit(line).await?;
    Ok(enveloped(GivenUp { deleted, remaining }))
}

/// A page of those of a tenant, or of all tenants. `parameters` holds what was found wrong before.
pub(in crate::api) async fn page(
    api: &Api,
    tenant: Option<TenantId>,
    wanted: &Wanted,
    mut parameters: Parameters,
) -> Result<DeadLetters, ApiError> {
    let (since, until) = parameters.span(wanted.since.as_deref(), wanted.until.as_deref());
    let choice = LetterChoice {
        tenant,
        deliveries: None,
        webhook: parameters.read("webhookId", wanted.webhook_id.as_deref(), WebhookId::parse),
        event_type: parameters.event_type("eventType", wanted.event_type.as_deref()),
        since,
        until,
        before: None,
    };
    let before = parameters.read("cursor", wanted.cursor.as_deref(), cursor);
    let limit = parameters.limit(wanted.limit.as_deref(), LIMIT_MAX);
    parameters.finish()?;
    let total = api.store.count_dead_letters(choice.clone()).await?;
    let rows = api.store.dead_letters(LetterChoice { before, ..choice }, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize);
    let next_cursor = next.map(|row| format!("{}.{}", row.parked_at, row.delivery));
    Ok(DeadLetters { dead_letters: rows.into_iter().map(Shown::from).collect(), total, next_cursor })
}

/// When the last one of the page before was parked, and its id.
fn cursor(text: &str) -> Result<(UnixMs, String), &'static str> {
    const WRONG: &str = "must be what nextCursor gave";
    let (at, id) = text.split_once('.').ok_or(WRONG)?;
    let id = DeliveryId::parse(id).map_err(|_| WRONG)?;
    Ok((at.parse().map_err(|_| WRONG)?, id.into()))
}

const SAY_WHICH: &str = "say which: some of them, a webhook, an event, a time, or \"all\"";

/// Of any tenant, as long as the caller says of which.
pub(in crate::api) fn chosen(fields: &mut Fields) -> LetterChoice {
    let named = ["deliveryIds", "webhookId", "eventType", "since", "until"].iter().any(|field| fields.has(field));
    let all = fields.flag("all").unwrap_or(false);
    if !named && !all {
        fields.wrong("all", SAY_WHICH);
    }
    let deliveries = match fields.has("deliveryIds") {
        true => fields.list("deliveryIds", 1..=NAMED_MAX, DeliveryId::parse),
        false => None,
    };
    let mut parameters = Parameters::default();
    let text = |fields: &mut Fields, name: &str| fields.parsed(name, false, |text| Ok::<_, &str>(text.to_owned()));
    let [webhook, event_type] = ["webhookId", "eventType"].map(|name| text(fields, name));
    let [since, until] = ["since", "until"].map(|name| fields.number_or_text(name));
    let (since, until) = parameters.span(since.as_deref(), until.as_deref());
    let choice = LetterChoice {
        tenant: None,
        deliveries,
        webhook: parameters.read("webhookId", webhook.as_deref(), WebhookId::parse),
        event_type: parameters.event_type("eventType", event_type.as_deref()),
        since,
        until,
        before: None,
    };
    fields.take_parameters(parameters);
    choice
}

impl Unwanted {
    fn choice(&self) -> Result<LetterChoice, ApiError> {
        let mut parameters = Parameters::default();
        let others = [&self.delivery_id, &self.webhook_id, &self.event_type, &self.since, &self.until];
        let all = parameters
            .read("all", self.all.as_deref(), |text| text.parse::<bool>().map_err(|_| "must be true or false"));
        let says_nothing = all == Some(false) || self.all.is_none();
        if says_nothing && others.iter().all(|other| other.is_none()) {
            parameters.wrong("all", SAY_WHICH);
        }
        let (since, until) = parameters.span(self.since.as_deref(), self.until.as_deref());
        let choice = LetterChoice {
            tenant: None,
            deliveries: parameters
                .read("deliveryId", self.delivery_id.as_deref(), DeliveryId::parse)
                .map(|delivery| vec![delivery]),
            webhook: parameters.read("webhookId", self.webhook_id.as_deref(), WebhookId::parse),
            event_type: parameters.event_type("eventType", self.event_type.as_deref()),
            since,
            until,
            before: None,
        };
        parameters.finish()?;
        Ok(choice)
    }
}

impl From<DeadLetter> for Shown {
    fn from(row: DeadLetter) -> Self {
        Self {
            delivery_id: row.delivery,
            tenant_id: row.tenant,
            webhook_id: row.webhook,
            event_id: row.event_id,
            event_type: row.event_type,
            reason: row.reason,
            attempts: row.attempts,
            last_status: row.last_status,
            parked_at: row.parked_at / 1000,
        }
    }
}
