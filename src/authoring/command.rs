//! `rijan plugin ...`: what an author types, and what is printed for them.

use super::{Built, Component, Language, signing};
use crate::plugins::manifest::Manifest;
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Subcommand)]
pub enum PluginCommand {
    /// Make a project that builds at once and answers "ping" with "pong".
    New(New),
    /// Build a project into NAME.wasm, with the language's own toolchain.
    Build(Build),
    /// Show what a component is and what it asks for.
    Inspect(Inspect),
    /// Before installing: what a component asks for, what that lets it do, and whether it would run.
    Check(Check),
    /// Run a project's fixtures (tests/*.json) through the gateway's own plugin host.
    Test(Test),
    /// Make a key to sign components with; prints its public half, which tenants name in signed_by.
    Key(Key),
    /// Sign a component, so that tenants who ask for your signature take it.
    Sign(Sign),
}

#[derive(Args)]
pub struct Key {
    /// Where to write the secret half; only you may read it.
    file: PathBuf,
}

#[derive(Args)]
pub struct Sign {
    /// The component.
    file: PathBuf,
    /// The file that `rijan plugin key` made.
    #[arg(long)]
    key: PathBuf,
    /// Where to write the signed component; in its place when left out.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub struct New {
    /// Lower case letters, digits and dashes.
    name: String,
    /// What it is written in.
    #[arg(long, value_enum)]
    lang: Language,
    /// Where to make it; a new folder of its name when left out.
    #[arg(long)]
    path: Option<PathBuf>,
}

#[derive(Args)]
pub struct Build {
    /// The folder with rijan-plugin.toml.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Where to write the component; NAME.wasm in the folder when left out.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub struct Inspect {
    /// The component.
    file: PathBuf,
    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Check {
    /// The component.
    file: PathBuf,
    /// The settings it is to run with, .toml or .json, as PUT /v1/plugins/NAME takes them; without them everything it asks
    /// for is granted, and its configuration is the defaults of its schema.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// As one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Test {
    /// The folder with rijan-plugin.toml.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The component; NAME.wasm in the folder when left out.
    #[arg(long)]
    component: Option<PathBuf>,
    /// Build it first.
    #[arg(long)]
    build: bool,
}

/// Does what was asked for and gives the text to print, and whether it is good news.
async fn answer(command: &PluginCommand) -> anyhow::Result<(String, bool)> {
    match command {
        PluginCommand::Check(check) => checked(check).await,
        PluginCommand::Key(key) => Ok((signing::new_key(&key.file)?, true)),
        PluginCommand::Sign(sign) => Ok((signing::sign(&sign.file, &sign.key, sign.output.as_deref())?, true)),
        PluginCommand::Test(test) => super::suite::run(&test.folder, test.component.as_deref(), test.build).await,
        PluginCommand::New(new) => {
            let folder = super::new(&new.name, new.lang, new.path.as_deref())?;
            let folder = folder.display();
            Ok((format!("made {folder}: build it with `rijan plugin build {folder}`"), true))
        }
        PluginCommand::Build(build) => Ok((built(&super::build(&build.folder, build.output.as_deref())?), true)),
        PluginCommand::Inspect(inspect) => {
            let (bytes, component) = read(&inspect.file)?;
            let signers = signing::signers(&bytes)?;
            if inspect.json {
                let mut shown = as_json(&component);
                shown["signedBy"] = json!(signers);
                return Ok((serde_json::to_string_pretty(&shown)?, true));
            }
            Ok((inspected(&component, &signers), true))
        }
    }
}

fn read(file: &Path) -> anyhow::Result<(Vec<u8>, Component)> {
    let named = || file.display().to_string();
    let bytes = std::fs::read(file).with_context(named)?;
    crate::plugins::read_manifest(&bytes).with_context(named)?;
    let component = Component::read(&bytes).with_context(named)?;
    Ok((bytes, component))
}

async fn checked(check: &Check) -> anyhow::Result<(String, bool)> {
    let (bytes, component) = read(&check.file)?;
    let asks = super::check::asks(&component.manifest);
    let (settings, secrets) = match &check.settings {
        Some(file) => super::check::settings(file)?,
        None => (super::check::generous(&component.manifest), BTreeMap::new()),
    };
    let trial = super::check::try_out(bytes, settings, secrets).await?;
    let fine = trial.refused.is_none();
    if !check.json {
        return Ok((super::check::told(&component, &asks, check.settings.is_some(), &trial), fine));
    }
    let ms = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1000.0);
    let mut shown = as_json(&component);
    shown["asks"] = serde_json::to_value(&asks)?;
    shown["serves"] = json!(fine);
    shown["refused"] = json!(trial.refused);
    shown["compileMs"] = json!(ms(trial.compiled_in));
    shown["startMs"] = json!(ms(trial.started_in));
    Ok((serde_json::to_string_pretty(&shown)?, fine))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what a command prints is its output")]
pub async fn run(command: &PluginCommand) -> ExitCode {
    match answer(command).await {
        Ok((text, fine)) => {
            println!("{text}");
            if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn built(built: &Built) -> String {
    let Built { language, file, component } = built;
    let Manifest { name, version, .. } = &component.manifest;
    let mut lines = vec![format!("built {name} {version} ({}): {}", language.as_str(), file.display())];
    lines.extend(summary(component));
    let unused = component.unused_imports();
    if !unused.is_empty() {
        lines.push(format!("  not used  {} (in the manifest; leave out what is not needed)", unused.join(", ")));
    }
    lines.join("\n")
}

fn inspected(component: &Component, signers: &[String]) -> String {
    let Manifest { name, version, description, wants, config, .. } = &component.manifest;
    let mut lines = vec![format!("{name} {version}")];
    lines.extend(description.iter().map(|text| format!("  {text}")));
    lines.extend(summary(component));
    lines.push(format!("  signed by {}", listed(signers)));
    let effects = wants.effects.iter().map(|effect| effect.as_str()).collect::<Vec<_>>();
    lines.push(format!("  effects   {}", listed(&effects)));
    lines.push(format!("  hosts     {}", listed(&wants.hosts)));
    lines.push(format!("  secrets   {}", listed(&wants.secrets)));
    match &config.schema {
        Some(schema) => lines.push(format!("  config    {schema}")),
        None => lines.push("  config    none".to_owned()),
    }
    lines.push(component.surface.wit.clone());
    lines.join("\n")
}

fn summary(component: &Component) -> Vec<String> {
    let hooks = &component.manifest.hooks;
    let mut named = Vec::new();
    if !hooks.inbound.is_empty() {
        named.push(format!("inbound ({})", hooks.inbound.join(", ")));
    }
    named.extend(hooks.outbound.then(|| "outbound".to_owned()));
    named.extend(hooks.webhook.then(|| "webhook".to_owned()));
    named.extend(hooks.scheduled.iter().map(|(name, cron)| format!("scheduled {name} ({cron})")));
    let imports = component.manifest.wants.imports.iter().map(|import| import.as_str()).collect::<Vec<_>>();
    vec![
        format!("  size      {} bytes", component.size),
        format!("  sha256    {}", component.sha256),
        format!("  hooks     {}", named.join(", ")),
        format!("  imports   {}", listed(&imports)),
    ]
}

fn listed<T: AsRef<str>>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn as_json(component: &Component) -> Value {
    json!({
        "manifest": component.manifest,
        "size": component.size,
        "sha256": component.sha256,
        "unusedImports": component.unused_imports(),
        "componentImports": component.surface.imports,
        "componentExports": component.surface.exports,
        "world": component.surface.wit,
    })
}
