//! A tenant's plugins in their order, and what they would do.

use super::plugins::{Line, Step};
use crate::api::Api;
use crate::api::caller::{Manages, Tenant};
use crate::api::envelope::{Answer, Envelope, enveloped};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::aftermath::{Aftermath, KvValue, KvWrite, PluginSend};
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, MessageId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, TEXT_CHARS_MAX};
use crate::plugins::manifest::Hook;
use crate::plugins::pipeline::{Origin, Outgoing, Verdict};
use crate::plugins::settings::OnError;
use crate::plugins::{PluginState, Status};
use crate::store::StoreError;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

const NAME_CHARS_MAX: usize = 64;

/// A plugin at its place.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginInPipeline)]
pub(in crate::api) struct Place {
    name: String,
    version: Option<String>,
    sha256: String,
    state: PluginState,
    /// The hooks in use.
    hooks: Vec<Hook>,
    /// The event types that its inbound hook sees.
    events: Vec<String>,
    on_error: OnError,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Pipeline)]
pub(in crate::api) struct Places {
    /// Those that are enabled, in the order in which they are asked.
    plugins: Vec<Place>,
}

/// The plugins that are asked, in their order
#[utoipa::path(get, path = "/pipeline", operation_id = "readPipeline", tag = "Plugins",
    responses((status = 200, body = Envelope<Places>)))]
pub(in crate::api) async fn read(State(api): State<Api>, tenant: Tenant<Manages>) -> Answer<Places> {
    let plugins = api.plugins.status(&tenant.id).await?;
    let plugins = plugins.into_iter().filter(|status| status.row.enabled).map(Place::from).collect();
    Ok(enveloped(Places { plugins }))
}

/// One of the two.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct Attempt {
    #[schema(required = false)]
    event: AttemptedEvent,
    #[schema(required = false)]
    message: AttemptedMessage,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct AttemptedEvent {
    #[schema(example = "message.received")]
    r#type: String,
    /// A device of the tenant, by its id or its name in files.
    #[schema(required = false)]
    device: String,
    /// As the event's payload.
    #[schema(value_type = Object)]
    data: Value,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct AttemptedMessage {
    /// A device of the tenant, by its id or its name in files.
    device: String,
    /// As for sending a text.
    to: String,
    #[schema(min_length = 1, max_length = 65536)]
    text: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TriedOutcome)]
pub(in crate::api) enum Outcome {
    /// The event would be told.
    Passed,
    /// The event would be kept and delivered nowhere.
    Dropped,
    /// The event would wait: a plugin asks for time.
    Later,
    /// The message would be taken.
    Accepted,
    /// The message would be answered with `PLUGIN_REJECTED`.
    Rejected,
}

/// What would have been done. Nothing of it was.
#[derive(Serialize, ToSchema)]
#[schema(as = Tried)]
pub(in crate::api) struct Tried {
    outcome: Outcome,
    /// The event's payload as it would be told, or the content of the message as it would be sent.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// The plugin that drops or rejects.
    by: Option<String>,
    /// The code of the rejection.
    code: Option<String>,
    /// Why it drops or rejects.
    why: Option<String>,
    /// Names of the webhooks that plugins chose; null leaves it to their subscriptions.
    webhooks: Option<Vec<String>>,
    /// How long the event would wait, milliseconds.
    retry_in_ms: Option<u64>,
    /// What each plugin decided, in order; effects are in `detail`.
    steps: Vec<Step>,
    /// The messages that plugins would send.
    sends: Vec<Send>,
    /// The values that plugins would write, in order.
    kv: Vec<Write>,
    /// The lines that plugins would log.
    logs: Vec<Line>,
}

/// A message that a plugin would send.
#[derive(Serialize, ToSchema)]
#[schema(as = TriedSend)]
pub(in crate::api) struct Send {
    plugin: String,
    device: DeviceId,
    to: String,
    #[schema(value_type = Object)]
    content: Value,
    /// Sent only once a day under this key.
    dedupe_key: Option<String>,
}

/// A value that a plugin would write.
#[derive(Serialize, ToSchema)]
#[schema(as = TriedWrite)]
pub(in crate::api) struct Write {
    plugin: String,
    /// set, cas, increment or delete.
    op: &'static str,
    key: String,
    value: Option<String>,
    /// `text` or `base64`, of a value.
    encoding: Option<&'static str>,
    /// What is added, of an increment.
    by: Option<i64>,
    ttl_ms: Option<u64>,
}

/// Try an event or a message
///
/// Takes it through the plugins that serve now and tells what would become of it. Nothing is told, sent, written or
/// counted, a plugin that is left alone for failing is asked too, and `http.fetch` is refused.
#[utoipa::path(post, path = "/pipeline/try", operation_id = "tryPipeline", tag = "Plugins", request_body = Attempt,
    responses((status = 200, body = Envelope<Tried>)))]
pub(in crate::api) async fn attempt(
    State(api): State<Api>,
    tenant: Tenant<Manages>,
    mut fields: Fields,
) -> Answer<Tried> {
    fields.only(&["event", "message"]);
    match (fields.inner("event"), fields.inner("message")) {
        (Some(event), None) => {
            let event = read_event(&api, &tenant.id, fields, event).await?;
            try_event(&api, event).await
        }
        (None, Some(message)) => {
            let (outgoing, content) = read_message(&api, &tenant, fields, message).await?;
            try_message(&api, &tenant.id, &outgoing, content).await
        }
        _ => {
            fields.wrong("body", "must have one of event, message");
            fields.finish()?;
            Err(ApiError::field("body", "is incomplete"))
        }
    }
}

async fn read_event(api: &Api, tenant: &TenantId, mut fields: Fields, mut event: Fields) -> Result<Event, ApiError> {
    event.only(&["type", "device", "data"]);
    let type_ = event.parsed("type", true, |name| match EventType::parse(name) {
        Some(type_) => Ok(type_),
        None => Err("is not the name of an event"),
    });
    let device = device(api, tenant, &mut event, false).await?;
    let data = event.object("data");
    if !event.has("data") {
        event.wrong("data", "is required");
    }
    let now = api.store.clock().now_ms();
    let read = type_.zip(data).map(|(type_, data)| Event::new(tenant.clone(), device, type_, now, data.into()));
    if read.as_ref().is_some_and(|event| !event.passes_plugins()) {
        event.wrong("type", "is told of plugins, webhooks or configuration; plugins do not see it");
    }
    fields.take_in(event);
    fields.finish()?;
    read.ok_or_else(|| ApiError::field("event", "is incomplete"))
}

async fn read_message(
    api: &Api,
    tenant: &Tenant<Manages>,
    mut fields: Fields,
    mut message: Fields,
) -> Result<(Outgoing, Content), ApiError> {
    message.only(&["device", "to", "text"]);
    let device = device(api, &tenant.id, &mut message, true).await?;
    let chat = message.parsed("to", true, ChatId::parse_written);
    let text = message.text("text", 1..=TEXT_CHARS_MAX, true);
    fields.take_in(message);
    fields.finish()?;
    let (Some(device), Some(chat), Some(text)) = (device, chat, text) else {
        return Err(ApiError::field("message", "is incomplete"));
    };
    let outgoing = Outgoing {
        id: MessageId::generate(),
        device,
        chat,
        at: api.store.clock().now_ms(),
        origin: Origin::Api(tenant.key.to_string()),
    };
    Ok((outgoing, Content::Text { text, mentions: Vec::new(), quoted_message_id: None, link_preview: None }))
}

async fn device(
    api: &Api,
    tenant: &TenantId,
    fields: &mut Fields,
    required: bool,
) -> Result<Option<DeviceId>, ApiError> {
    let Some(name) = fields.text("device", 1..=NAME_CHARS_MAX, required) else { return Ok(None) };
    match api.store.device_by_name(tenant, &name).await {
        Ok(row) => Ok(Some(row.id)),
        Err(StoreError::NotFound) => {
            fields.wrong("device", "is no device of the tenant");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn try_event(api: &Api, event: Event) -> Answer<Tried> {
    let Some(pipeline) = api.plugins.pipeline(&event.tenant) else {
        return Ok(enveloped(Tried::new(Outcome::Passed, Some(event.data), Aftermath::default())));
    };
    let tried = pipeline.try_event(event).await;
    let outcome = match &tried.came_out {
        Ok(event) if event.dropped.is_some() => Outcome::Dropped,
        Ok(_) => Outcome::Passed,
        Err(_) => Outcome::Later,
    };
    let mut answer = Tried::new(outcome, None, tried.aftermath);
    match tried.came_out {
        Ok(event) => {
            (answer.by, answer.why) = event.dropped.map(|dropped| (dropped.by, dropped.why)).unzip();
            answer.webhooks = event.route;
            answer.result = Some(event.data);
        }
        Err(wait) => answer.retry_in_ms = u64::try_from(wait.as_millis()).ok(),
    }
    Ok(enveloped(answer))
}

async fn try_message(api: &Api, tenant: &TenantId, outgoing: &Outgoing, content: Content) -> Answer<Tried> {
    let Some(pipeline) = api.plugins.pipeline(tenant) else {
        return Ok(enveloped(Tried::new(Outcome::Accepted, Some(json!(content)), Aftermath::default())));
    };
    let tried = pipeline.try_send(outgoing, content).await;
    Ok(enveloped(match tried.verdict {
        Verdict::Accepted(content) => Tried::new(Outcome::Accepted, Some(json!(content)), tried.aftermath),
        Verdict::Rejected { plugin, code, message } => {
            let rejected = Tried::new(Outcome::Rejected, None, tried.aftermath);
            Tried { by: Some(plugin), code: Some(code), why: Some(message), ..rejected }
        }
    }))
}

impl Tried {
    fn new(outcome: Outcome, result: Option<Value>, aftermath: Aftermath) -> Self {
        let kv = aftermath.kv.into_iter().flat_map(|changes| {
            let plugin = changes.plugin;
            changes.writes.into_iter().map(move |write| Write::of(plugin.clone(), write))
        });
        Self {
            outcome,
            result,
            by: None,
            code: None,
            why: None,
            webhooks: None,
            retry_in_ms: None,
            steps: aftermath.traces.into_iter().map(Step::from).collect(),
            sends: aftermath.sends.into_iter().map(Send::from).collect(),
            kv: kv.collect(),
            logs: aftermath.lines.into_iter().map(Line::from).collect(),
        }
    }
}

impl Write {
    fn of(plugin: String, write: KvWrite) -> Self {
        let key = write.key().to_owned();
        let nothing = Self { plugin, op: "delete", key, value: None, encoding: None, by: None, ttl_ms: None };
        match write {
            KvWrite::Set { value, ttl_ms, .. } => Self { op: "set", ttl_ms, ..nothing.with(value) },
            KvWrite::Cas { value, ttl_ms, .. } => Self { op: "cas", ttl_ms, ..nothing.with(value) },
            KvWrite::Add { by, ttl_ms, .. } => Self { op: "increment", by: Some(by), ttl_ms, ..nothing },
            KvWrite::Delete { .. } => nothing,
        }
    }

    fn with(self, value: KvValue) -> Self {
        let (encoding, value) = match value {
            KvValue::Text(text) => ("text", text),
            KvValue::Bytes(bytes) => ("base64", STANDARD.encode(bytes)),
        };
        Self { value: Some(value), encoding: Some(encoding), ..self }
    }
}

impl From<PluginSend> for Send {
    fn from(send: PluginSend) -> Self {
        Self {
            plugin: send.plugin,
            device: send.device,
            to: send.chat.to_string(),
            content: json!(send.content),
            dedupe_key: send.dedupe_key,
        }
    }
}

impl From<Status> for Place {
    fn from(status: Status) -> Self {
        let state = status.state();
        let (version, events) = status.manifest.map(|says| (says.version, says.hooks.inbound)).unzip();
        Self {
            name: status.row.name,
            version,
            sha256: status.row.sha256,
            state,
            hooks: status.hooks,
            events: events.unwrap_or_default(),
            on_error: status.settings.on_error,
        }
    }
}
