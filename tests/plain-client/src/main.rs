//! Connects to a simulator as a plain build of the gateway would, and ends with 0 only when the connection was refused
//! for its certificate chain. `.ci/run` builds it with `-p plain-client` alone and runs it.

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use std::sync::Arc;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};
use wacore::store::in_memory::InMemoryBackend;
use whatsapp_rust::bot::Bot;
use whatsapp_rust::client::ConnectError;
use whatsapp_rust::handshake::HandshakeError;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;

/// Nothing before the login needs HTTP.
struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        bail!("{} was asked for before the handshake", request.url)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what it saw is this program's output")]
async fn main() -> Result<()> {
    let base = std::env::args().nth(1).context("give the simulator's address, for example http://127.0.0.1:4000")?;
    let host = base.trim_end_matches('/').strip_prefix("http://").context("the address must begin with http://")?;
    let transport = TokioWebSocketTransportFactory::new().with_url(format!("ws://{host}/ws/chat"));
    let bot = Bot::builder()
        .with_backend_arc(Arc::new(InMemoryBackend::new()))
        .with_transport_factory(transport)
        .with_http_client(NoHttp)
        .with_version((2, 3000, 0))
        .build()
        .await?;
    use wacore::handshake::HandshakeError as Core;
    match bot.client().connect().await {
        Err(ConnectError::Handshake(HandshakeError::Core(Core::CertVerification(why)))) => {
            println!("refused: {why}");
            Ok(())
        }
        Err(other) => Err(other).context("the connection failed for another reason than the certificate"),
        Ok(()) => bail!("the simulator was accepted: this build skips the certificate chain"),
    }
}
