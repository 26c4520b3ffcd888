//! The client library alone, with its in-memory store: the least that a send can cost.

use super::{CHATS, Phones, contact, cpu, rss};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use wacore::net::{HttpClient, HttpRequest, HttpResponse};
use wacore::store::in_memory::InMemoryBackend;
use wacore::types::events::{Event, EventHandler};
use waproto::whatsapp as wa;
use whatsapp_rust::bot::Bot;
use whatsapp_rust::client::Client;
use whatsapp_rust::send::SendOptions;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;

/// The first argument of the process that does it.
pub(super) const MODE: &str = "bare";
const PHONE: &str = "6281100003000";

#[derive(Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) rss: u64,
    pub(super) took: Duration,
    pub(super) cpu: Duration,
}

/// Runs it in a process of its own.
pub(super) fn measure(simulator: &str, sends: usize) -> Measured {
    let this = std::env::current_exe().unwrap();
    let sends = sends.to_string();
    let output = Command::new(this).args([MODE, simulator, &sends]).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the bare client ended with {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(super) async fn run(simulator: &str, sends: usize) {
    let (phones, host) = (Phones::new(simulator), simulator.trim_end_matches('/').trim_start_matches("http://"));
    let (codes, mut code) = mpsc::unbounded_channel();
    let seen = Arc::new(Seen { codes, connected: Notify::new(), acks: Mutex::default() });
    let bot = Bot::builder()
        .with_backend_arc(Arc::new(InMemoryBackend::new()))
        .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(format!("ws://{host}/ws/chat")))
        .with_http_client(NoHttp)
        .with_version((2, 3000, 0))
        .with_event_handler(Handler(seen.clone()))
        .with_wanted_pre_key_count(60)
        .skip_history_sync()
        .build()
        .await
        .unwrap();
    let client = bot.client();
    let _running = bot.spawn();
    phones.scan(PHONE, &code.recv().await.unwrap()).await;
    seen.connected.notified().await;

    let this = std::process::id();
    tokio::time::sleep(super::IDLE).await;
    let rss = rss(this);
    send_round(&client, &seen, "warm up", CHATS).await;
    let (began, before) = (Instant::now(), cpu(this));
    send_round(&client, &seen, "measured", sends).await;
    let measured = Measured { rss, took: began.elapsed(), cpu: cpu(this) - before };
    println!("{}", serde_json::to_string(&measured).unwrap());
}

/// As the gateway does it: chats side by side, and in each one message after the acknowledgement of the one before.
async fn send_round(client: &Arc<Client>, seen: &Seen, text: &str, count: usize) {
    let chats = (0..CHATS).map(|chat| async move {
        let to = format!("{}@s.whatsapp.net", contact(chat)).parse().unwrap();
        for number in (chat..count).step_by(CHATS) {
            let id = format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()));
            let (tell, told) = oneshot::channel();
            seen.acks.lock().unwrap().insert(id.clone(), tell);
            let message = wa::Message { conversation: Some(format!("{text} {number}")), ..Default::default() };
            let options = SendOptions::default().with_message_id(&id);
            client.send_message_with_options(&to, message, options).await.unwrap();
            told.await.unwrap();
        }
    });
    futures_util::future::join_all(chats).await;
}

struct Seen {
    codes: mpsc::UnboundedSender<String>,
    connected: Notify,
    acks: Mutex<HashMap<String, oneshot::Sender<()>>>,
}

struct Handler(Arc<Seen>);

impl EventHandler for Handler {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::PairingQrCode(qr) => drop(self.0.codes.send(qr.code.clone())),
            Event::Connected(_) => self.0.connected.notify_one(),
            Event::ServerAck(ack) => {
                if let Some(tell) = self.0.acks.lock().unwrap().remove(ack.id.as_str()) {
                    let _ = tell.send(());
                }
            }
            _ => {}
        }
    }
}

/// Texts need no HTTP.
struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        anyhow::bail!("{} was asked for", request.url)
    }
}
