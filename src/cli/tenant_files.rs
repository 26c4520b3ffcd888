//! `rijan config`: the tenants' files, checked here, planned and applied by the gateway that runs.

use crate::config::{self, Sources};
use crate::egress::Egress;
use crate::tenants::{self, Ground};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The exit code of a plan that would change something.
const CHANGES: u8 = 2;
/// Compiling many plugins takes its time.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(180);
const PASSWORD: &str = "RIJAN_MASTER_PASSWORD";

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the gateway's configuration and every tenant's file. Asks no gateway.
    Check(Check),
    /// Show what the tenants' files would change. Exit code 0: nothing, 2: something, 1: an error.
    Plan(Gateway),
    /// Make what the tenants' files declare so, whole or not at all.
    Apply(Apply),
}

#[derive(Args)]
pub(super) struct Check {
    /// Configuration file; config/gateway.toml is read when it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The folder of tenants' files, in place of the configured one.
    #[arg(long)]
    tenants: Option<PathBuf>,
    /// The folder of plugins, in place of the configured one.
    #[arg(long)]
    plugins: Option<PathBuf>,
}

/// The master password is read from RIJAN_MASTER_PASSWORD.
#[derive(Args)]
pub(super) struct Gateway {
    /// Where the gateway listens.
    #[arg(long, env = "RIJAN_URL", default_value = "http://127.0.0.1:3000")]
    url: url::Url,
}

#[derive(Args)]
pub(super) struct Apply {
    #[command(flatten)]
    gateway: Gateway,
    /// Let devices and tenants go that no file declares any more.
    #[arg(long)]
    allow_remove: bool,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what a command prints is its output")]
pub(super) async fn run(command: ConfigCommand) -> ExitCode {
    let (asked, changes_are) = match command {
        ConfigCommand::Check(options) => {
            return match check(options) {
                Ok(text) => {
                    println!("{text}");
                    ExitCode::SUCCESS
                }
                Err(why) => {
                    eprintln!("{why}");
                    ExitCode::FAILURE
                }
            };
        }
        ConfigCommand::Plan(gateway) => (ask(&gateway, "plan", json!({})).await, CHANGES),
        ConfigCommand::Apply(options) => {
            let body = json!({ "allow_remove": options.allow_remove });
            (ask(&options.gateway, "apply", body).await, 0)
        }
    };
    match asked {
        Ok(answer) => {
            println!("{}", answer["text"].as_str().unwrap_or_default());
            for slug in answer["tenants_without_key"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                println!("no API key opens tenant {slug:?}: POST /admin/tenants/{slug}/regenerate-key makes one");
            }
            let changes = answer["changes"].as_array().is_some_and(|changes| !changes.is_empty());
            if changes { ExitCode::from(changes_are) } else { ExitCode::SUCCESS }
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn check(options: Check) -> Result<String, String> {
    // Whoever checks files need not know the master key: any will do, and it is used for nothing.
    let mut flags = vec![("master_key".to_owned(), "0".repeat(64)), ("master_key_file".to_owned(), String::new())];
    let folders = [("tenants.folder", &options.tenants), ("plugins.folder", &options.plugins)];
    for (key, folder) in folders {
        flags.extend(folder.as_ref().map(|folder| (key.to_owned(), folder.display().to_string())));
    }
    let sources = Sources {
        file: options.config,
        file_if_there: Some(PathBuf::from(super::CONFIG_FILE)),
        environment: std::env::vars().collect(),
        flags,
    };
    let settings = config::load(&sources).map_err(|errors| format!("the configuration needs correction:\n{errors}"))?;
    // Fails when it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let egress = Egress::new(settings.egress).map_err(|error| format!("cannot prepare TLS: {error}"))?;
    let ground = Ground {
        folder: settings.tenants.folder,
        plugins_folder: settings.tenants.plugins_folder,
        egress,
        environment: |name| std::env::var(name).ok(),
    };
    let checked = tenants::check(&ground).map_err(|error| match error {
        tenants::FolderError::Files(errors) => format!("the tenants' files need correction:\n{errors}"),
        other => other.to_string(),
    })?;
    let mut lines: Vec<String> =
        checked.tenants.iter().map(|(file, slug)| format!("{file}: tenant {slug:?}")).collect();
    lines.extend(checked.left_to_plan);
    lines.push(format!("tenants: {}, nothing to correct", checked.tenants.len()));
    Ok(lines.join("\n"))
}

/// Asks the gateway; the error is all that it said is wrong.
async fn ask(gateway: &Gateway, what: &str, body: Value) -> Result<Value, String> {
    let password = std::env::var(PASSWORD).map_err(|_| format!("set {PASSWORD} to the master password"))?;
    let url = format!("{}/admin/config/{what}", gateway.url.as_str().trim_end_matches('/'));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let unreachable = |error: reqwest::Error| format!("the gateway at {} does not answer: {error}", gateway.url);
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIME_MAX).build().map_err(unreachable)?;
    let request = client.post(url).header("x-master-key", password).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    let mut answer: Value =
        serde_json::from_str(&text).map_err(|_| format!("{} answers {status} and no JSON", gateway.url))?;
    if status.is_success() {
        return Ok(answer["data"].take());
    }
    let mut lines = vec![answer["error"]["message"].as_str().unwrap_or_default().to_owned()];
    for detail in answer["error"]["details"].as_array().into_iter().flatten() {
        let part = |name: &str| detail[name].as_str().unwrap_or_default();
        lines.push(format!("{}: {}", part("field"), part("message")));
    }
    Err(lines.join("\n"))
}
