//! Runs a fixture through the host, one step after another, and says where what came is not what was expected.
//!
//! A fixture has a tenant, a store and an instance of its own. Everything the plugin asks for is granted. What it writes is
//! committed as the gateway commits it; what it sends is looked at and goes nowhere.

use super::fixture::{Bytes, Call, DEVICE, Difference, Expected, Fixture, NOW_MS, Step, TENANT};
use super::stage::{self, Stage};
use crate::domain::aftermath::{Aftermath, KvChanges, KvValue, KvWrite};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType, wanted};
use crate::domain::ids::{DeviceId, EventId, TenantId};
use crate::domain::secret::Secret;
use crate::plugins::manifest::{Hook, Manifest};
use crate::plugins::pipeline::{Names, Pipeline, Step as Asked};
use crate::plugins::settings::PluginSettings;
use crate::plugins::{Examined, Failure, ReloadOutcome};
use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What became of a step, or of the fixture's start.
#[derive(Debug)]
pub struct Outcome {
    pub name: String,
    /// Inside the host; none when the plugin was not asked.
    pub took: Option<Duration>,
    pub differences: Vec<Difference>,
}

struct Scene<'a> {
    stage: &'a Stage,
    manifest: &'a Manifest,
    pipeline: Arc<Pipeline>,
    tenant: TenantId,
    devices: BTreeMap<String, DeviceId>,
}

/// Fails when the fixture cannot be run at all.
pub(super) async fn rehearse(stage: &Stage, examined: &Examined, fixture: &Fixture) -> anyhow::Result<Vec<Outcome>> {
    let manifest = &examined.manifest;
    let plugin = manifest.name.as_str();
    let tenant = stage.new_tenant().await?;
    stage.clock.set(NOW_MS as UnixMs);
    stage.web.play(&fixture.http);
    stage
        .plugins
        .lay_out(fixture.media.iter().map(|(handle, bytes)| (handle.clone(), bytes.as_slice().to_vec())).collect());
    let config = fixture.config.as_object().cloned().context("config: must be an object")?;
    let settings = PluginSettings { config, grants: stage::everything(manifest), ..PluginSettings::default() };
    let secrets = fixture.secrets.iter().map(|(name, value)| (name.clone(), Secret::new(value.as_str()))).collect();

    let mut outcomes = Vec::new();
    let started = match settings.check(manifest) {
        Ok(()) => {
            let wanted = stage::wanted(examined, settings, secrets);
            let proven = stage.plugins.prove(&tenant, &wanted).await.map_err(|failure| error(&failure));
            if proven.is_ok()
                && let ReloadOutcome::KeptPrevious { reason, .. } = stage.plugins.put(&tenant, wanted).await?
            {
                bail!("it started once, and not again: {reason}");
            }
            proven
        }
        // The schema is what refuses it; the plugin is not asked.
        Err(invalid) => Err(json!({ "bad-config": invalid.to_string() })),
    };
    if fixture.init.is_some() || started.is_err() {
        let expected = fixture.init.clone().unwrap_or_default();
        let came = Expected { error: started.as_ref().err().cloned(), ..Expected::default() };
        let differences = expected.differences(&came);
        outcomes.push(Outcome { name: "its start".to_owned(), took: None, differences });
    }
    let Some(pipeline) = stage.plugins.pipeline(&tenant) else { return Ok(outcomes) };
    stage.store.commit_aftermath(&tenant, kept_before(plugin, &fixture.kv)).await?;
    let mut devices = BTreeMap::new();
    for name in devices_of(fixture) {
        let device = stage.store.create_device(&tenant, &name).await?;
        devices.insert(name, device.id);
    }
    let scene = Scene { stage, manifest, pipeline, tenant, devices };
    for (number, step) in fixture.steps.iter().enumerate() {
        outcomes.push(scene.play(number, step).await.with_context(|| format!("step {}", number + 1))?);
    }
    if let (left @ 1.., Some(last)) = (stage.web.left(), outcomes.last_mut()) {
        let at = format!("/http/{}", fixture.http.len() - left);
        last.differences.push(Difference { at, expected: json!("a request"), actual: None });
    }
    Ok(outcomes)
}

impl Scene<'_> {
    async fn play(&self, number: usize, step: &Step) -> anyhow::Result<Outcome> {
        let plugin = self.manifest.name.as_str();
        self.stage.clock.set(UnixMs::try_from(step.now)?);
        let hook = hook_of(&step.call);
        if !self.manifest.hooks().contains(&hook) {
            bail!("the plugin has no hook {:?}", hook.as_str());
        }
        let mut names = Names { tenant: TENANT.to_owned(), devices: self.devices.clone(), ..Names::default() };
        let asked = match &step.call {
            Call::Inbound(body) => Asked::Event(self.event(number, step.now, body, &mut names)?),
            Call::Outbound(message) => Asked::Message(message.clone()),
            Call::Webhook { event, id, name } => {
                let (webhook_id, webhook_name) = (id.clone(), name.clone());
                let event = self.event(number, step.now, event, &mut names)?;
                Asked::Delivery { event, webhook_id, webhook_name }
            }
            Call::Tick { name, scheduled_for } => {
                Asked::Tick { name: name.clone(), scheduled_for: UnixMs::try_from(*scheduled_for)? }
            }
        };
        let unasked = matches!(&asked, Asked::Event(event) if !wanted(&self.manifest.hooks.inbound, event.type_));
        let rehearsed = self.pipeline.rehearse(plugin, names, asked).await?;
        let took = rehearsed.aftermath.traces.last().map(|trace| Duration::from_micros(trace.took_us));
        let mut came = Expected { logs: Some(logs(&rehearsed.aftermath)), ..Expected::default() };
        match (&rehearsed.failure, rehearsed.said) {
            (Some(failure), _) => came.error = Some(error(failure)),
            (None, Some(said)) => {
                came.verdict = said.get("verdict").cloned();
                came.effects = said.get("effects").cloned();
            }
            // What it does not subscribe to passes it by.
            (None, None) if unasked => (came.verdict, came.effects) = (Some(json!("pass")), Some(json!([]))),
            (None, None) => bail!("the plugin was not asked"),
        }
        if let Err(failed) = self.stage.store.commit_aftermath(&self.tenant, rehearsed.aftermath).await {
            came = Expected {
                error: Some(json!({ "permanent": format!("what it wrote does not commit: {failed}") })),
                ..Expected::default()
            };
        }
        came.kv = self.kept(step.expect.kv.as_ref()).await?;
        let mut differences = step.expect.differences(&came);
        differences.extend(self.stage.web.differences());
        Ok(Outcome { name: step.name.clone().unwrap_or_else(|| shown(&step.call)), took, differences })
    }

    fn event(&self, number: usize, now: u64, body: &Value, names: &mut Names) -> anyhow::Result<Event> {
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("eventType");
        let type_ = EventType::parse(&name).with_context(|| format!("{name:?} is no event type"))?;
        names.event = text("id");
        let now = UnixMs::try_from(now)?;
        // Seconds are all that a delivery says.
        let at = match body.get("timestamp").and_then(Value::as_i64) {
            Some(seconds) if seconds != now / 1000 => seconds * 1000,
            _ => now,
        };
        let data = body.get("data").cloned().unwrap_or_else(|| json!({}));
        let device = self.devices.get(&text("deviceId")).cloned();
        let id = EventId::derived(now, &[&names.event, &number.to_string()]);
        Ok(Event { id, ..Event::new(self.tenant.clone(), device, type_, at, data) })
    }

    /// The values of the keys that are named.
    async fn kept(&self, named: Option<&Value>) -> anyhow::Result<Option<Value>> {
        let Some(Value::Object(named)) = named else { return Ok(None) };
        let mut kept = Map::new();
        for key in named.keys() {
            let entry = self.stage.store.kv_entry(&self.tenant, self.manifest.name.as_str(), key).await?;
            if let Some(entry) = entry {
                let value = match entry.value {
                    KvValue::Text(text) => json!(text),
                    KvValue::Bytes(bytes) => base64(&bytes),
                };
                kept.insert(key.clone(), value);
            }
        }
        Ok(Some(Value::Object(kept)))
    }
}

fn base64(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    json!({ "base64": base64::prelude::BASE64_STANDARD.encode(bytes) })
}

fn hook_of(call: &Call) -> Hook {
    match call {
        Call::Inbound(_) => Hook::Inbound,
        Call::Outbound(_) => Hook::Outbound,
        Call::Webhook { .. } => Hook::Webhook,
        Call::Tick { .. } => Hook::Scheduled,
    }
}

fn kept_before(plugin: &str, kv: &BTreeMap<String, Bytes>) -> Aftermath {
    let write = |(key, value): (&String, &Bytes)| KvWrite::Set {
        key: key.clone(),
        value: match value {
            Bytes::Text(text) => KvValue::Text(text.clone()),
            Bytes::Base64(bytes) => KvValue::Bytes(bytes.base64.clone()),
        },
        ttl_ms: None,
    };
    let writes = kv.iter().map(write).collect();
    let changes = KvChanges { plugin: plugin.to_owned(), keys_max: u64::MAX >> 1, bytes_max: u64::MAX >> 1, writes };
    Aftermath { kv: vec![changes], ..Aftermath::default() }
}

/// Every device that the fixture names, so that they are there.
fn devices_of(fixture: &Fixture) -> BTreeSet<String> {
    let mut names = BTreeSet::from([DEVICE.to_owned()]);
    for step in &fixture.steps {
        let own = match &step.call {
            Call::Inbound(event) | Call::Webhook { event, .. } => event.get("deviceId"),
            Call::Outbound(message) => message.get("device"),
            Call::Tick { .. } => None,
        };
        let effects = step.expect.effects.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let sent = effects.iter().filter_map(|effect| effect.pointer("/send/device"));
        names.extend(own.into_iter().chain(sent).filter_map(Value::as_str).map(str::to_owned));
    }
    names
}

/// As plugins say errors; what the host ends or refuses counts as permanent.
fn error(failure: &Failure) -> Value {
    match failure {
        Failure::BadConfig(why) => json!({ "bad-config": why }),
        Failure::Temporary { message, retry_after_ms } => {
            json!({ "temporary": { "message": message, "retryAfterMs": retry_after_ms } })
        }
        other => json!({ "permanent": other.to_string() }),
    }
}

fn logs(aftermath: &Aftermath) -> Value {
    let lines = aftermath.lines.iter();
    lines.map(|line| json!({ "level": line.level, "message": line.message, "fields": line.fields })).collect()
}

/// A step that has no name, by what happens in it.
fn shown(call: &Call) -> String {
    let said = |data: &Value| ["text", "caption", "type"].iter().find_map(|key| data.get(key)).map(Value::to_string);
    match call {
        Call::Inbound(event) => {
            let of_event = event.get("eventType").and_then(Value::as_str).unwrap_or_default();
            format!("inbound {}", event.get("data").and_then(said).unwrap_or_else(|| of_event.to_owned()))
        }
        Call::Outbound(message) => {
            let text = message.pointer("/content/text").or_else(|| message.get("kind"));
            format!("outbound {}", text.map(Value::to_string).unwrap_or_default())
        }
        Call::Webhook { name, .. } => format!("webhook {name:?}"),
        Call::Tick { name, .. } => format!("tick {name:?}"),
    }
}
