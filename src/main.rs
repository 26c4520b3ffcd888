//! The binary: reads the command line and runs it.

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    rijan::cli::run(rijan::cli::Cli::parse()).await
}
