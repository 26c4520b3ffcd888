//! The simulator as a process of its own: prints one JSON line with its address, runs until it is told to stop.

use clap::Parser;
use std::net::SocketAddr;
use whatsapp_simulator::{Clock, Simulator};

/// A WhatsApp server and its phones on loopback.
#[derive(Parser)]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: std::net::IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Time stands still until `POST /clock` moves it.
    #[arg(long)]
    manual_clock: bool,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is this program's output")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let clock = if options.manual_clock { Clock::manual() } else { Clock::system() };
    let simulator = Simulator::start_with(SocketAddr::new(options.host, options.port), clock).await?;
    println!("{}", serde_json::json!({ "url": simulator.url(), "root": simulator.root_key_hex() }));
    tokio::signal::ctrl_c().await?;
    Ok(())
}
