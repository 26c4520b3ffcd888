//! The command line.

mod tenant_files;

use crate::app::{App, told_to_stop};
use crate::authoring::command::{self as plugin, PluginCommand};
use crate::config::{self, Settings, Sources};
use crate::telemetry::{logs, sentry};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tenant_files::ConfigCommand;

/// A multi-tenant WhatsApp gateway.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(Serve),
    /// Tenants as files: check them, see what they would change, apply them.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the commented default configuration.
    DefaultConfig,
    /// Write plugins: make a project, build it, test it; look into a component and check it before installing.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// The product without a phone: simulator, gateway, demo tenant, contact, webhook receiver.
    #[cfg(feature = "sandbox")]
    Sandbox(crate::sandbox::Options),
}

#[derive(Args)]
struct Serve {
    /// Configuration file; config/gateway.toml is read when it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on.
    #[arg(long)]
    port: Option<u16>,
}

impl Serve {
    fn sources(&self) -> Sources {
        let flag = |key: &str, value: Option<String>| value.map(|value| (key.to_owned(), value));
        let port = self.port.map(|port| port.to_string());
        Sources {
            file: self.config.clone(),
            file_if_there: Some(PathBuf::from(CONFIG_FILE)),
            environment: std::env::vars().collect(),
            flags: [flag("server.host", self.host.clone()), flag("server.port", port)].into_iter().flatten().collect(),
        }
    }
}

/// Read when it is there and no other is named.
const CONFIG_FILE: &str = "config/gateway.toml";

/// Exit code of a command that was told wrong, and of one that failed.
const USAGE: u8 = 2;
const FAILED: u8 = 1;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what a command prints is its output")]
pub async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::DefaultConfig => {
            print!("{}", config::DEFAULTS);
            ExitCode::SUCCESS
        }
        Command::Config(command) => tenant_files::run(command).await,
        Command::Serve(serve) => match config::load(&serve.sources()) {
            Ok(settings) => run_gateway(settings).await,
            Err(errors) => {
                eprintln!("the configuration needs correction:\n{errors}");
                ExitCode::from(USAGE)
            }
        },
        Command::Plugin(command) => plugin::run(&command).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(options) => crate::sandbox::run(options).await,
    }
}

#[expect(clippy::print_stderr, reason = "the reason for not starting is for the person who started it")]
async fn run_gateway(mut settings: Settings) -> ExitCode {
    let reports = match settings.sentry.as_ref().map(sentry::start).transpose() {
        Ok(reports) => reports,
        Err(error) => {
            eprintln!("rijan does not start: cannot prepare TLS for sentry: {error}");
            return ExitCode::from(FAILED);
        }
    };
    if let Err(error) = logs::start(&settings.log, reports.clone()) {
        let folder = settings.log.folder.unwrap_or_default();
        eprintln!("rijan does not start: cannot write logs to {}: {error}; set LOG_DIR", folder.display());
        return ExitCode::from(FAILED);
    }
    settings.api.reports = reports.clone();
    let ended = match App::start(settings).await {
        Ok(app) => {
            told_to_stop().await;
            app.stop().await
        }
        Err(error) => {
            eprintln!("rijan does not start: {error}");
            false
        }
    };
    if let Some(reports) = reports {
        reports.flush().await;
    }
    if ended { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
