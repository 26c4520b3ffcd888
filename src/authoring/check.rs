//! What whoever installs a plugin wants to know before: what it asks for, in plain words, and whether it would run.

use super::component::Component;
use super::stage::{self, Stage};
use crate::domain::clock::Clock;
use crate::domain::secret::Secret;
use crate::plugins::manifest::{EffectKind, Import, Manifest};
use crate::plugins::settings::PluginSettings;
use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// One thing that a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// `hook`, `import` or `effect`.
    pub kind: &'static str,
    pub name: String,
    /// Whether a tenant has to grant it.
    pub needs_grant: bool,
    pub means: String,
}

/// Whether it would run.
#[derive(Debug)]
pub struct Trial {
    pub compiled_in: Option<Duration>,
    /// Linked, every hook bound, its first instance started with its configuration.
    pub started_in: Option<Duration>,
    /// Why it does not.
    pub refused: Option<String>,
}

/// Everything that it asks for, with what each lets it do.
pub(super) fn asks(manifest: &Manifest) -> Vec<Ask> {
    let mut asks = Vec::new();
    let mut hook = |name: String, means: &str| {
        asks.push(Ask { kind: "hook", name, needs_grant: false, means: means.to_owned() });
    };
    let hooks = &manifest.hooks;
    if !hooks.inbound.is_empty() {
        let name = format!("inbound ({})", hooks.inbound.join(", "));
        hook(
            name,
            "sees these events before anybody is told of them; it may change what was said, add tags, or drop them",
        );
    }
    if hooks.outbound {
        hook("outbound".into(), "sees every message before it is sent; it may change what it says, or refuse it");
    }
    if hooks.webhook {
        hook("webhook".into(), "writes the bodies of webhooks whose format names it");
    }
    for (name, cron) in &hooks.scheduled {
        hook(format!("scheduled {name} ({cron})"), "runs by itself at these times");
    }
    let wants = &manifest.wants;
    for import in &wants.imports {
        asks.push(Ask {
            kind: "import",
            name: import.as_str().to_owned(),
            needs_grant: import.needs_grant(),
            means: import_means(*import, manifest),
        });
    }
    for effect in &wants.effects {
        asks.push(Ask {
            kind: "effect",
            name: effect.as_str().to_owned(),
            needs_grant: true,
            means: effect_means(*effect).to_owned(),
        });
    }
    asks
}

fn import_means(import: Import, manifest: &Manifest) -> String {
    let listed = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    match import {
        Import::Log => "writes lines into its own log".into(),
        Import::EventData => "reads all of an event that it is shown".into(),
        Import::Secrets => format!("reads these secrets that you store for it: {}", listed(&manifest.wants.secrets)),
        Import::Kv => "keeps values of its own, as many as its limits allow; it sees those of no other plugin".into(),
        Import::Http => {
            format!("talks to these hosts, and can tell them all that it sees: {}", listed(&manifest.wants.hosts))
        }
        Import::Media => "reads the files of messages".into(),
        Import::Clock => "reads the time".into(),
        Import::Random => "draws random numbers".into(),
    }
}

fn effect_means(effect: EffectKind) -> &'static str {
    match effect {
        EffectKind::Reply => "answers in the chat that a message came from, in your name",
        EffectKind::Send => "writes to anybody, from the device of the event and from those in grants.devices",
        EffectKind::Forward => "passes a received message on to anybody",
        EffectKind::React => "puts an emoji on a received message",
        EffectKind::MarkRead => "shows a received message as read",
        EffectKind::Route => "chooses which of your webhooks are told of an event",
    }
}

/// Settings as an installer writes them, with the values of its secrets.
pub(super) fn settings(file: &Path) -> anyhow::Result<(PluginSettings, BTreeMap<String, Secret>)> {
    let named = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(named)?;
    let mut written: Value = if file.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).with_context(named)?
    } else {
        serde_json::from_str(&text).with_context(named)?
    };
    let mut secrets = BTreeMap::new();
    if let Some(Value::Object(values)) = written.as_object_mut().and_then(|members| members.remove("secrets")) {
        for (name, value) in values {
            let value = value.as_str().with_context(|| format!("{}: secrets.{name} must be text", file.display()))?;
            secrets.insert(name, Secret::new(value));
        }
    }
    Ok((PluginSettings::from_json(&written).with_context(named)?, secrets))
}

/// All that it asks for is granted, and its configuration is what the schema says of one that nobody wrote.
pub fn generous(manifest: &Manifest) -> PluginSettings {
    let properties = manifest.config.schema.as_ref().and_then(|schema| schema.get("properties"));
    let known = |(key, form): (&String, &Value)| form.get("default").map(|value| (key.clone(), value.clone()));
    let config: Map<String, Value> =
        properties.and_then(Value::as_object).map(|all| all.iter().filter_map(known).collect()).unwrap_or_default();
    PluginSettings { config, grants: stage::everything(manifest), ..PluginSettings::default() }
}

/// Compiles, links and starts it as a gateway would.
pub(super) async fn try_out(
    bytes: Vec<u8>,
    settings: PluginSettings,
    secrets: BTreeMap<String, Secret>,
) -> anyhow::Result<Trial> {
    let stage = Stage::set(Clock::system()).await?;
    let mut trial = Trial { compiled_in: None, started_in: None, refused: None };
    let began = Instant::now();
    let examined = match stage.plugins.examine(bytes).await {
        Ok(examined) => examined,
        Err(refused) => {
            trial.refused = Some(refused.to_string());
            return Ok(trial);
        }
    };
    trial.compiled_in = Some(began.elapsed());
    let tenant = stage.new_tenant().await?;
    let began = Instant::now();
    match stage.plugins.prove(&tenant, &stage::wanted(&examined, settings, secrets)).await {
        Ok(()) => trial.started_in = Some(began.elapsed()),
        Err(failure) => trial.refused = Some(failure.to_string()),
    }
    Ok(trial)
}

/// What an installer reads.
pub(super) fn told(component: &Component, asks: &[Ask], given: bool, trial: &Trial) -> String {
    let Manifest { name, version, description, .. } = &component.manifest;
    let mut lines = vec![format!("{name} {version}")];
    lines.extend(description.iter().map(|text| format!("  {text}")));
    lines.push(format!("  {} bytes, sha256 {}", component.size, component.sha256));
    for (kind, title) in [("hook", "Called"), ("import", "Uses"), ("effect", "Does")] {
        let of_kind = asks.iter().filter(|ask| ask.kind == kind);
        let shown: Vec<String> = of_kind
            .map(|ask| {
                let grant = if ask.needs_grant { "  (when granted)" } else { "" };
                format!("  {}: {}{grant}", ask.name, ask.means)
            })
            .collect();
        if !shown.is_empty() {
            lines.push(title.to_owned());
            lines.extend(shown);
        }
    }
    lines.push("It has no files, no sockets, no environment".to_owned());
    let under = if given { "these settings" } else { "everything granted and the schema's own configuration" };
    let ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1000.0);
    if let Some(compiled_in) = trial.compiled_in {
        lines.push(format!("Compiled in {}, linked, has the hooks it names", ms(compiled_in)));
    }
    match (&trial.started_in, &trial.refused) {
        (Some(started_in), _) => lines.push(format!("Started with {under} in {}: it would serve", ms(*started_in))),
        (None, Some(why)) => lines.push(format!("It would not serve with {under}: {why}")),
        (None, None) => {}
    }
    if !given && trial.refused.is_some() && trial.compiled_in.is_some() {
        lines.push("Give yours with --settings FILE".to_owned());
    }
    lines.join("\n")
}
