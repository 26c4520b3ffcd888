//! `rijan plugin ...`: what an author types, and what is printed for them.

use super::{Built, Component, Language};
use crate::plugins::manifest::Manifest;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum PluginCommand {
    /// Make a project that builds at once and answers "ping" with "pong".
    New(New),
    /// Build a project into NAME.wasm, with the language's own toolchain.
    Build(Build),
    /// Show what a component is and what it asks for.
    Inspect(Inspect),
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

/// Does what was asked for and gives the text to print.
fn answer(command: &PluginCommand) -> anyhow::Result<String> {
    match command {
        PluginCommand::New(new) => {
            let folder = super::new(&new.name, new.lang, new.path.as_deref())?;
            let folder = folder.display();
            Ok(format!("made {folder}: build it with `rijan plugin build {folder}`"))
        }
        PluginCommand::Build(build) => Ok(built(&super::build(&build.folder, build.output.as_deref())?)),
        PluginCommand::Inspect(inspect) => {
            let bytes = std::fs::read(&inspect.file).map_err(|error| named(&inspect.file, error))?;
            let component = Component::read(&bytes).map_err(|error| named(&inspect.file, error))?;
            if inspect.json {
                Ok(serde_json::to_string_pretty(&as_json(&component))?)
            } else {
                Ok(inspected(&component))
            }
        }
    }
}

fn named(file: &Path, error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{}: {error}", file.display())
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what a command prints is its output")]
pub fn run(command: &PluginCommand) -> ExitCode {
    match answer(command) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
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

fn inspected(component: &Component) -> String {
    let Manifest { name, version, description, wants, config, .. } = &component.manifest;
    let mut lines = vec![format!("{name} {version}")];
    lines.extend(description.iter().map(|text| format!("  {text}")));
    lines.extend(summary(component));
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
