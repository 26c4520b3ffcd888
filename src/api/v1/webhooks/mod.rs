//! Webhooks: created, read, replaced, deleted. A generated secret is shown once.

pub(in crate::api) mod dead_letters;
pub(in crate::api) mod deliveries;
pub(in crate::api) mod secret;
pub(in crate::api) mod stats;
pub(in crate::api) mod trial;

use crate::api::Api;
use crate::api::caller::{Manages, OwnWebhook, Reads, Tenant, no_webhook, not_of_a_file};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::delivery::{ATTEMPTS_DEFAULT, ATTEMPTS_MAX, Order, Schedule};
use crate::domain::event::Subscription;
use crate::domain::ids::{DeviceId, TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    DEVICES_MAX, EVENTS_MAX, FILTER_ENTRIES_MAX, Filter, HEADERS_MAX, NAME_CHARS_MAX, SHARED_TOKEN_CHARS_MAX,
    TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN, URL_CHARS_MAX, WEBHOOKS_PER_TENANT_MAX,
};
use crate::store::{WebhookRow, WebhookSpec};
use crate::webhooks::{generate_secret, is_reserved, standard_form, validate_secret};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

const DEFAULT_FORMAT: &str = "default";
const MASK: &str = "********";

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct NewWebhook {
    /// Where deliveries go: http or https, a public address unless the operator allows others.
    #[schema(max_length = 2048, example = "https://example.com/hook")]
    url: String,
    /// Names of events, or `*` for all.
    #[schema(min_items = 1, max_items = 64, example = json!(["message.received"]))]
    events: Vec<String>,
    #[serde(flatten)]
    options: WebhookOptions,
}

/// Fields that are left out keep what they had.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct WebhookChange {
    #[schema(required = false, max_length = 2048, example = "https://example.com/hook")]
    url: String,
    #[schema(required = false, min_items = 1, max_items = 64, example = json!(["message.received"]))]
    events: Vec<String>,
    #[serde(flatten)]
    options: WebhookOptions,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct WebhookOptions {
    #[schema(required = false, min_length = 1, max_length = 100)]
    name: String,
    /// Signs the deliveries: `whsec_` and base64 of 24 to 64 bytes, or any other text. Generated when left out.
    #[schema(required = false, min_length = 16, max_length = 256)]
    secret: String,
    /// Sent along in the URL, as the parameter `token`, so that a receiver can turn strangers away before it looks at a body.
    /// Stored encrypted and never shown; an empty one ends it.
    #[schema(required = false, max_length = 256)]
    shared_token: String,
    /// Attempts in all, on the classic schedule.
    #[schema(required = false, minimum = 1, maximum = 20, default = 3)]
    retry_count: u32,
    /// Milliseconds an attempt may take.
    #[schema(required = false, minimum = 100, maximum = 30000, default = 10000)]
    timeout: u32,
    #[schema(required = false, default = true)]
    enabled: bool,
    /// Sent with every delivery. Stored encrypted and never shown.
    #[schema(required = false)]
    headers: BTreeMap<String, String>,
    /// Only events of these devices, and none that belongs to no device, as those of plugins and webhooks; all when left out or
    /// empty.
    #[schema(required = false, max_items = 1000)]
    device_ids: Vec<String>,
    /// The plugin that shapes the bodies; `default` is the gateway's own form.
    #[schema(required = false, default = "default", example = "slack-webhook")]
    format: String,
    /// `classic`: attempts after 1, 5 and 15 seconds and then doubling. `long`: ten attempts over three days.
    #[schema(required = false, default = "classic")]
    schedule: Schedule,
    /// `chat`: the deliveries of a chat go out one after the other, on the classic schedule.
    #[schema(required = false, default = "none")]
    ordering: Order,
    /// Only events that fit; what an event does not tell does not keep it out. An empty one wants all.
    #[schema(required = false)]
    filter: WebhookFilter,
    /// Whether `data.raw` holds the message in WhatsApp's own form, of events that came of one.
    #[schema(required = false, default = false)]
    raw: bool,
}

/// What is left out leaves out nothing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct WebhookFilter {
    /// As the event's `chat`.
    #[schema(required = false, min_items = 1, max_items = 1000, example = json!(["120363000000000001@g.us"]))]
    chats: Option<Vec<String>>,
    /// As the `type` of a message.
    #[schema(required = false, min_items = 1, max_items = 1000, example = json!(["text"]))]
    types: Option<Vec<String>>,
    #[schema(required = false)]
    from_me: Option<bool>,
    #[schema(required = false)]
    is_group: Option<bool>,
}

/// A webhook. Its secret and the values of its headers are masked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
pub(in crate::api) struct Shown {
    id: WebhookId,
    name: Option<String>,
    url: String,
    events: Vec<String>,
    enabled: bool,
    /// Why the gateway switched it off.
    disabled_reason: Option<String>,
    /// Shown once, when it was generated; masked afterwards.
    secret: String,
    /// The secret in the form that Standard Webhooks libraries take; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    standard_secret: Option<String>,
    /// Until when the secret before a rotation signs too, unix seconds.
    previous_secret_until: Option<i64>,
    /// Masked; null when there is none.
    shared_token: Option<&'static str>,
    headers: BTreeMap<String, &'static str>,
    retry_count: u32,
    /// Milliseconds.
    timeout: u32,
    device_ids: Option<Vec<String>>,
    /// `default`, or the plugin that shapes the bodies.
    format: String,
    schedule: Schedule,
    ordering: Order,
    filter: WebhookFilter,
    raw: bool,
    /// Since when its attempts fail, unix seconds; null while it works.
    failing_since: Option<i64>,
    /// Its name in configuration files.
    slug: Option<String>,
    /// `api`, or the name of the file that declares it.
    managed_by: String,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
}

/// Create a webhook
#[utoipa::path(post, path = "/webhooks", operation_id = "createWebhook", tag = "Webhooks", request_body = NewWebhook,
    responses((status = 201, body = Shown), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    fields: Fields,
) -> Result<(StatusCode, Json<Shown>), ApiError> {
    let (spec, generated) = spec(&api, &tenant.id, fields, None)?;
    let webhook = api.store.create_webhook(&tenant.id, spec, WEBHOOKS_PER_TENANT_MAX).await?;
    api.store.audit(tenant.audit("webhook.created", "webhook", webhook.id.as_str())).await?;
    api.count().await?;
    let secret = webhook.secret.clone();
    let mut shown = Shown::from(webhook);
    shown.standard_secret = Some(standard_form(&secret).expose().to_owned());
    if generated {
        shown.secret = secret.expose().to_owned();
    }
    Ok((StatusCode::CREATED, Json(shown)))
}

/// List webhooks, disabled ones too, oldest first
#[utoipa::path(get, path = "/webhooks", operation_id = "listWebhooks", tag = "Webhooks",
    responses((status = 200, body = Vec<Shown>)))]
pub(in crate::api) async fn list(State(api): State<Api>, tenant: Tenant<Reads>) -> Bare<Vec<Shown>> {
    let webhooks = api.store.webhooks(&tenant.id).await?;
    Ok(Json(webhooks.into_iter().map(Shown::from).collect()))
}

/// One webhook
#[utoipa::path(get, path = "/webhooks/{webhook}", operation_id = "readWebhook", tag = "Webhooks",
    responses((status = 200, body = Shown)))]
pub(in crate::api) async fn read(webhook: OwnWebhook<Reads>) -> Bare<Shown> {
    Ok(Json(webhook.row.into()))
}

/// Change a webhook
///
/// Fields that are left out keep what they had. One that a file declares is changed there.
#[utoipa::path(put, path = "/webhooks/{webhook}", operation_id = "changeWebhook", tag = "Webhooks",
    request_body = WebhookChange,
    responses((status = 200, body = Shown), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn replace(
    State(api): State<Api>,
    webhook: OwnWebhook<Manages>,
    fields: Fields,
) -> Bare<Shown> {
    not_of_a_file("webhook", webhook.row.slug.as_deref(), &webhook.row.managed_by)?;
    let (id, tenant) = (webhook.row.id.clone(), webhook.tenant);
    let (spec, _) = spec(&api, &tenant.id, fields, Some(webhook.row))?;
    let changed = api.store.update_webhook(&tenant.id, &id, spec).await.map_err(no_webhook)?;
    api.store.audit(tenant.audit("webhook.updated", "webhook", id.as_str())).await?;
    Ok(Json(changed.into()))
}

/// Delete a webhook
///
/// What was waiting for it is given up. One that a file declares is removed there.
#[utoipa::path(delete, path = "/webhooks/{webhook}", operation_id = "deleteWebhook", tag = "Webhooks",
    responses((status = 204), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn delete(
    State(api): State<Api>,
    webhook: OwnWebhook<Manages>,
) -> Result<StatusCode, ApiError> {
    not_of_a_file("webhook", webhook.row.slug.as_deref(), &webhook.row.managed_by)?;
    let (id, tenant) = (webhook.row.id, webhook.tenant);
    api.store.delete_webhook(&tenant.id, &id).await.map_err(no_webhook)?;
    api.store.audit(tenant.audit("webhook.deleted", "webhook", id.as_str())).await?;
    api.count().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the body asks for, over what was there before; and whether the secret was made here.
fn spec(
    api: &Api,
    tenant: &TenantId,
    mut fields: Fields,
    earlier: Option<WebhookRow>,
) -> Result<(WebhookSpec, bool), ApiError> {
    let new = earlier.is_none();
    let url = fields.text("url", 1..=URL_CHARS_MAX, new);
    if let Some(Err(error)) = url.as_deref().map(|url| api.egress.check_url(url)) {
        fields.wrong("url", error.to_string());
    }
    let known = |name: &str| match Subscription::parse(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err("is not the name of an event; use one of the list in the documentation, or \"*\""),
    };
    let events = match new || fields.has("events") {
        true => fields.list("events", 1..=EVENTS_MAX, known),
        false => None,
    };
    let name = fields.name("name", NAME_CHARS_MAX, false);
    let secret = fields.parsed("secret", false, |text| validate_secret(text).map(|()| Secret::new(text)));
    let shared_token = fields
        .text("sharedToken", 0..=SHARED_TOKEN_CHARS_MAX, false)
        .map(|token| Some(token).filter(|t| !t.is_empty()));
    let shared_token = shared_token.map(|token| token.map(Secret::new));
    let schedule = fields.parsed("schedule", false, Schedule::parse);
    let order = fields.parsed("ordering", false, Order::parse);
    let (schedule, order) = (
        schedule.or(earlier.as_ref().map(|before| before.schedule)).unwrap_or_default(),
        order.or(earlier.as_ref().map(|before| before.order)).unwrap_or_default(),
    );
    if let Err(why) = order.fits(schedule) {
        fields.wrong("ordering", why);
    }
    let filter = filter(&mut fields);
    let retry_count = fields.whole("retryCount", 1..=ATTEMPTS_MAX);
    let timeout_ms = fields.whole("timeout", TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX);
    let (enabled, raw) = (fields.flag("enabled"), fields.flag("raw"));
    // An empty list takes back that it is of some: it is of all.
    let device_ids = fields.list("deviceIds", 0..=DEVICES_MAX, |id| DeviceId::parse(id).map(String::from));
    let device_ids = device_ids.map(|ids| Some(ids).filter(|ids| !ids.is_empty()));
    let format = fields.parsed("format", false, |name| known_format(api, tenant, name));
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
            device_ids: device_ids.flatten(),
            format: format.flatten(),
            shared_token: shared_token.flatten(),
            schedule,
            order,
            filter: filter.unwrap_or_default(),
            raw: raw.unwrap_or(false),
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
            device_ids: device_ids.unwrap_or(before.device_ids),
            format: format.unwrap_or(before.format),
            shared_token: shared_token.unwrap_or(before.shared_token),
            schedule,
            order,
            filter: filter.unwrap_or(before.filter),
            raw: raw.unwrap_or(before.raw),
        },
    };
    Ok((spec, generated))
}

fn filter(fields: &mut Fields) -> Option<Filter> {
    let mut inner = fields.inner("filter")?;
    inner.only(&["chats", "types", "fromMe", "isGroup"]);
    let mut listed = |name: &str| {
        if !inner.has(name) {
            return None;
        }
        inner.list(name, 1..=FILTER_ENTRIES_MAX, |text| match text.is_empty() {
            true => Err("must not be empty"),
            false => Ok(text.to_owned()),
        })
    };
    let (chats, types) = (listed("chats"), listed("types"));
    let filter = Filter { chats, types, from_me: inner.flag("fromMe"), is_group: inner.flag("isGroup") };
    fields.take_in(inner);
    Some(filter)
}

/// `None` is our own form. A plugin has to be there already: a receiver that expects its form gets nothing without it.
fn known_format(api: &Api, tenant: &TenantId, name: &str) -> Result<Option<String>, &'static str> {
    let shapes = || api.plugins.pipeline(tenant).is_some_and(|pipeline| pipeline.shapes(name));
    match name {
        DEFAULT_FORMAT => Ok(None),
        name if shapes() => Ok(Some(name.to_owned())),
        _ => Err("must be \"default\" or the name of an enabled plugin of yours with a webhook hook"),
    }
}

impl From<WebhookRow> for Shown {
    fn from(webhook: WebhookRow) -> Self {
        Self {
            id: webhook.id,
            name: webhook.name,
            url: webhook.url,
            events: webhook.events,
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_reason,
            secret: MASK.to_owned(),
            standard_secret: None,
            // Values are masked like the secret: they often carry a token.
            headers: webhook.headers.into_keys().map(|name| (name, MASK)).collect(),
            retry_count: webhook.retry_count,
            timeout: webhook.timeout_ms,
            device_ids: webhook.device_ids,
            previous_secret_until: webhook.previous_secret.map(|(_, until)| until / 1000),
            shared_token: webhook.shared_token.map(|_| MASK),
            schedule: webhook.schedule,
            ordering: webhook.order,
            filter: WebhookFilter {
                chats: webhook.filter.chats,
                types: webhook.filter.types,
                from_me: webhook.filter.from_me,
                is_group: webhook.filter.is_group,
            },
            raw: webhook.raw,
            failing_since: webhook.failing_since.map(|at| at / 1000),
            format: webhook.format.unwrap_or_else(|| DEFAULT_FORMAT.to_owned()),
            slug: webhook.slug,
            managed_by: webhook.managed_by,
            created_at: webhook.created_at / 1000,
            updated_at: webhook.updated_at / 1000,
        }
    }
}
