//! The product without a phone: the simulator, a gateway, a demo tenant with a device linked through real pairing, a
//! contact who answers, a plugin that is built anew when it is saved, and a webhook receiver that shows what it got. Only in
//! builds with the feature `sandbox`.
//!
//! Everything but the plugin's file is done over HTTP, as a user would do it: what works here works with curl.

mod client;
mod plugin;
mod receiver;
mod setup;
mod story;

use crate::telemetry::logs::{self, LogSettings};
use setup::Sandbox;
use std::path::PathBuf;
use std::process::ExitCode;

/// Port 0 takes a free one.
#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    /// Port of the gateway.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the simulator, when it is started here.
    #[arg(long, default_value_t = 3001)]
    simulator_port: u16,
    /// Port of the webhook receiver.
    #[arg(long, default_value_t = 3002)]
    receiver_port: u16,
    /// Folder of the gateway's data; the same folder again resumes the same tenant and device.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A simulator that already runs, so that its phones outlive this gateway.
    #[arg(long)]
    simulator_url: Option<url::Url>,
    /// The plugin's project, made there when the folder is not; one in Rust, in the data folder, when left out.
    #[arg(long, value_name = "DIR")]
    plugin: Option<PathBuf>,
    /// Neither build nor install a plugin.
    #[arg(long, conflicts_with = "plugin")]
    no_plugin: bool,
    /// Print one JSON line with every address and key, for scripts.
    #[arg(long)]
    json: bool,
    /// Run the story from pairing to logout, print each step with its time, and end with 0 or 1.
    #[arg(long)]
    once: bool,
    /// With --once: write one captured delivery and its secret to this file.
    #[arg(long)]
    capture: Option<PathBuf>,
    /// Keep the rate limits that a real gateway has by default.
    #[arg(long)]
    limits: bool,
    /// Any other setting of the gateway, as `limits.tenant=off`; may be given again.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// error, warn, info or debug.
    #[arg(long, default_value = "warn")]
    log_level: String,
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what the sandbox prints is its output")]
pub async fn run(options: Options) -> ExitCode {
    let log = LogSettings { level: options.log_level.clone(), ..LogSettings::default() };
    if let Err(error) = logs::start(&log, None) {
        eprintln!("the sandbox does not start: {error}");
        return ExitCode::FAILURE;
    }
    let mut options = options;
    if options.once {
        // A story wants a world of its own.
        (options.port, options.simulator_port, options.receiver_port) = (0, 0, 0);
    }
    let sandbox = match Sandbox::start(&options).await {
        Ok(sandbox) => sandbox,
        Err(error) => {
            eprintln!("the sandbox does not start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let went_well = if options.once {
        match story::tell(&sandbox, options.capture.as_deref()).await {
            Ok(()) => true,
            Err(error) => {
                eprintln!("the story failed: {error:#}");
                false
            }
        }
    } else {
        if options.json {
            println!("{}", sandbox.described());
        } else {
            println!("{}", sandbox.introduced());
        }
        crate::app::told_to_stop().await;
        true
    };
    let stopped = sandbox.stop().await;
    if went_well && stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
