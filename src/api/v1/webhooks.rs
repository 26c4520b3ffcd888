//! Webhooks: created, read, replaced, deleted. A generated secret is shown once.

use crate::api::Api;
use crate::api::caller::Tenant;
use crate::api::envelope::{Answer, AnswerWithStatus};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::delivery::{ATTEMPTS_DEFAULT, ATTEMPTS_MAX};
use crate::domain::event::Subscription;
use crate::domain::ids::{DeviceId, WebhookId};
use crate::domain::secret::Secret;
use crate::store::{StoreError, WebhookRow, WebhookSpec};
use crate::webhooks::{generate_secret, is_reserved, standard_form, validate_secret};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

const NAME_CHARS_MAX: usize = 100;
const URL_CHARS_MAX: usize = 2_048;
const EVENTS_MAX: usize = 64;
const HEADERS_MAX: usize = 20;
const DEVICES_MAX: usize = 1_000;
const TIMEOUT_MS_DEFAULT: u32 = 10_000;
const TIMEOUT_MS_MAX: u32 = 30_000;

pub(in crate::api) async fn create(State(api): State<Api>, tenant: Tenant, fields: Fields) -> AnswerWithStatus {
    tenant.may("manage")?;
    let (spec, generated) = spec(&api, fields, None)?;
    let webhook = api.store.create_webhook(&tenant.id, spec).await?;
    api.store.audit(tenant.audit("webhook.created", "webhook", webhook.id.as_str())).await?;
    api.metrics.webhooks_registered.inc();
    let mut answer = shown(&webhook);
    answer["standardSecret"] = json!(standard_form(&webhook.secret).expose());
    if generated {
        answer["secret"] = json!(webhook.secret.expose());
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(in crate::api) async fn list(State(api): State<Api>, tenant: Tenant) -> Answer {
    tenant.may("read")?;
    let webhooks = api.store.webhooks(&tenant.id).await?;
    Ok(Json(webhooks.iter().map(shown).collect()))
}

pub(in crate::api) async fn read(State(api): State<Api>, tenant: Tenant, Path(id): Path<String>) -> Answer {
    tenant.may("read")?;
    let webhook = api.store.webhook(&tenant.id, &webhook_id(&id)?).await.map_err(no_webhook)?;
    Ok(Json(shown(&webhook)))
}

/// Fields that are left out keep what they had.
pub(in crate::api) async fn replace(
    State(api): State<Api>,
    tenant: Tenant,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    tenant.may("manage")?;
    let id = webhook_id(&id)?;
    let earlier = api.store.webhook(&tenant.id, &id).await.map_err(no_webhook)?;
    let (spec, _) = spec(&api, fields, Some(earlier))?;
    let webhook = api.store.update_webhook(&tenant.id, &id, spec).await.map_err(no_webhook)?;
    api.store.audit(tenant.audit("webhook.updated", "webhook", id.as_str())).await?;
    Ok(Json(shown(&webhook)))
}

pub(in crate::api) async fn delete(
    State(api): State<Api>,
    tenant: Tenant,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    tenant.may("manage")?;
    let id = webhook_id(&id)?;
    api.store.delete_webhook(&tenant.id, &id).await.map_err(no_webhook)?;
    api.store.audit(tenant.audit("webhook.deleted", "webhook", id.as_str())).await?;
    api.metrics.webhooks_registered.dec();
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::api) async fn deliveries(
    State(api): State<Api>,
    tenant: Tenant,
    Path(id): Path<String>,
    Query(page): Query<super::Page>,
) -> Answer {
    tenant.may("read")?;
    let (limit, _) = page.checked(200)?;
    let webhook = api.store.webhook(&tenant.id, &webhook_id(&id)?).await.map_err(no_webhook)?;
    let rows = api.store.deliveries(&tenant.id, &webhook.id, limit).await?;
    let shown = rows.into_iter().map(|row| {
        json!({
            "id": row.id,
            "eventId": row.event_id,
            "status": row.status,
            "attempts": row.attempts,
            "lastStatus": row.last_status,
            "lastError": row.last_error,
            "nextAttemptAt": row.next_at / 1000,
            "createdAt": row.created_at / 1000,
            "updatedAt": row.updated_at / 1000,
        })
    });
    Ok(Json(shown.collect()))
}

/// What the body asks for, over what was there before; and whether the secret was made here.
fn spec(api: &Api, mut fields: Fields, earlier: Option<WebhookRow>) -> Result<(WebhookSpec, bool), ApiError> {
    let new = earlier.is_none();
    let url = fields.text("url", 1..=URL_CHARS_MAX, new);
    if let Some(Err(error)) = url.as_deref().map(|url| api.egress.check_url(url)) {
        fields.wrong("url", error.to_string());
    }
    let known = |name: &str| match Subscription::parse(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err("is not the name of an event; use one of the list in the documentation, or \"*\""),
    };
    let events = fields.list("events", usize::from(new)..=EVENTS_MAX, known);
    let name = fields.text("name", 1..=NAME_CHARS_MAX, false);
    let secret = fields.parsed("secret", false, |text| validate_secret(text).map(|()| Secret::new(text)));
    let retry_count = fields.whole("retryCount", 1..=ATTEMPTS_MAX);
    let timeout_ms = fields.whole("timeout", 100..=TIMEOUT_MS_MAX);
    let enabled = fields.flag("enabled");
    let device_ids = fields.list("deviceIds", 0..=DEVICES_MAX, |id| DeviceId::parse(id).map(String::from));
    let headers = fields.texts("headers", HEADERS_MAX);
    for (name, value) in headers.iter().flatten() {
        if is_reserved(name) {
            fields.wrong(&format!("headers.{name}"), "is set by the gateway");
        } else if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
            fields.wrong(&format!("headers.{name}"), "is not a valid header");
        }
    }
    fields.finish()?;
    let headers = headers.map(|all| all.into_iter().map(|(name, value)| (name, Secret::new(value))).collect());
    let generated = new && secret.is_none();
    let spec = match earlier {
        None => WebhookSpec {
            name,
            url: url.unwrap_or_default(),
            events: events.unwrap_or_default(),
            enabled: enabled.unwrap_or(true),
            secret: secret.unwrap_or_else(generate_secret),
            headers: headers.unwrap_or_default(),
            retry_count: retry_count.unwrap_or(ATTEMPTS_DEFAULT),
            timeout_ms: timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT),
            device_ids,
        },
        Some(before) => WebhookSpec {
            name: name.or(before.name),
            url: url.unwrap_or(before.url),
            events: events.unwrap_or(before.events),
            enabled: enabled.unwrap_or(before.enabled),
            secret: secret.unwrap_or(before.secret),
            headers: headers.unwrap_or(before.headers),
            retry_count: retry_count.unwrap_or(before.retry_count),
            timeout_ms: timeout_ms.unwrap_or(before.timeout_ms),
            device_ids: device_ids.or(before.device_ids),
        },
    };
    Ok((spec, generated))
}

fn webhook_id(text: &str) -> Result<WebhookId, ApiError> {
    WebhookId::parse(text).map_err(|_| ApiError::NotFound("webhook"))
}

fn no_webhook(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound => ApiError::NotFound("webhook"),
        other => other.into(),
    }
}

/// Header values are masked like the secret: they often carry a token.
fn shown(webhook: &WebhookRow) -> Value {
    let headers: serde_json::Map<String, Value> =
        webhook.headers.keys().map(|name| (name.clone(), json!("********"))).collect();
    json!({
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "enabled": webhook.enabled,
        "disabledReason": webhook.disabled_reason,
        "secret": "********",
        "headers": headers,
        "retryCount": webhook.retry_count,
        "timeout": webhook.timeout_ms,
        "deviceIds": webhook.device_ids,
        "managedBy": webhook.managed_by,
        "createdAt": webhook.created_at / 1000,
        "updatedAt": webhook.updated_at / 1000,
    })
}
