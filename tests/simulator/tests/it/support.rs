//! A simulator with its control API, and real clients linked to its accounts.

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};
use wacore::store::InMemoryBackend;
use wacore::types::events::{Event, EventHandler, InboundMessage};
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::client::Client;
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_simulator::Simulator;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PREKEYS: usize = 30;
pub const SHOP: &str = "6281200000001";
pub const BUDI: &str = "6281200000002";
pub const SARI: &str = "6281200000003";

pub fn chat(phone: &str) -> Jid {
    Jid::pn(phone)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub struct Rig {
    pub simulator: Simulator,
    http: reqwest::Client,
}

impl Rig {
    /// A simulator with three accounts.
    pub async fn start() -> Self {
        Self::with(Simulator::start(([127, 0, 0, 1], 0).into()).await.unwrap()).await
    }

    pub async fn with(simulator: Simulator) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let rig = Self { simulator, http };
        for (phone, name) in [(SHOP, "Shop"), (BUDI, "Budi"), (SARI, "Sari")] {
            rig.post("/accounts", json!({ "phone": phone, "name": name })).await;
        }
        rig
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.simulator.url())).send().await.unwrap();
        answered(path, answer).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.simulator.url())).json(&body).send().await.unwrap();
        answered(path, answer).await
    }

    /// A request that must be refused; returns the status and the reason.
    pub async fn refused(&self, path: &str, body: Value) -> (u16, String) {
        let answer = self.http.post(format!("{}{path}", self.simulator.url())).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(status >= 400, "{path} was taken");
        let body: Value = answer.json().await.unwrap();
        (status, text(&body["error"]).to_owned())
    }

    /// A phone writes; returns the id.
    pub async fn write(&self, from: &str, body: Value) -> String {
        text(&self.post(&format!("/accounts/{from}/messages"), body).await["id"]).to_owned()
    }

    /// What a phone displays behind `after`, at least one entry.
    pub async fn inbox(&self, phone: &str, after: u64) -> Vec<Value> {
        let found = self.get(&format!("/accounts/{phone}/inbox?after={after}&wait_ms=20000&raw=true")).await;
        let entries = found.as_array().unwrap().clone();
        assert!(!entries.is_empty(), "the phone {phone} displays nothing behind {after}");
        entries
    }

    /// The one entry a phone displays with this id.
    pub async fn shown(&self, phone: &str, id: &str) -> Value {
        let mut after = 0;
        loop {
            for entry in self.inbox(phone, after).await {
                if entry["id"] == id {
                    return entry;
                }
                after = entry["seq"].as_u64().unwrap();
            }
        }
    }

    /// A client that shows QR codes, not linked yet.
    pub async fn client(&self) -> Device {
        self.device(Arc::new(InMemoryBackend::new()), None).await
    }

    pub async fn device(&self, store: Arc<InMemoryBackend>, code: Option<PairCodeOptions>) -> Device {
        let events = Arc::new(Events { seen: Mutex::default(), count: watch::Sender::new(0) });
        let mut builder = Bot::builder()
            .with_backend_arc(store.clone())
            .with_transport_factory(
                TokioWebSocketTransportFactory::new().with_url(format!("ws://{}/ws/chat", self.simulator.address())),
            )
            .with_http_client(Loopback { http: self.http.clone(), base: self.simulator.url() })
            .with_version((2, 3000, 1_026_131_876))
            .with_wanted_pre_key_count(PREKEYS)
            .with_event_handler(Forward(events.clone()));
        if let Some(code) = code {
            builder = builder.with_pair_code(code);
        }
        let bot = builder.build().await.unwrap();
        let client = bot.client();
        Device { client, events, store, _handle: bot.spawn() }
    }

    /// A client linked to the account by QR, connected.
    pub async fn linked(&self, phone: &str) -> Device {
        let device = self.client().await;
        let qr = device
            .seen("a QR code", |event| match event {
                Event::PairingQrCode(qr) => Some(qr.code.clone()),
                _ => None,
            })
            .await;
        self.post(&format!("/accounts/{phone}/scan"), json!({ "qr": qr })).await;
        device.connected().await;
        device
    }

    /// Nothing a client asked for went without an answer.
    pub async fn all_answered(&self) {
        assert_eq!(self.get("/unanswered").await, json!([]));
    }
}

async fn answered(path: &str, answer: reqwest::Response) -> Value {
    let status = answer.status();
    let body = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {body}");
    serde_json::from_str(&body).unwrap()
}

/// Every event a client reported.
struct Events {
    seen: Mutex<Vec<Arc<Event>>>,
    count: watch::Sender<usize>,
}

struct Forward(Arc<Events>);

impl EventHandler for Forward {
    fn handle_event(&self, event: Arc<Event>) {
        self.0.seen.lock().unwrap().push(event);
        self.0.count.send_modify(|count| *count += 1);
    }
}

pub struct Device {
    pub client: Arc<Client>,
    pub store: Arc<InMemoryBackend>,
    events: Arc<Events>,
    _handle: BotHandle,
}

impl Device {
    /// What `find` makes of the first event, past or to come, that it knows.
    pub async fn seen<T>(&self, what: &str, find: impl Fn(&Event) -> Option<T>) -> T {
        self.seen_times(what, 1, find).await
    }

    /// As `seen`, of the event that fits for the n-th time.
    pub async fn seen_times<T>(&self, what: &str, times: usize, find: impl Fn(&Event) -> Option<T>) -> T {
        let mut count = self.events.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                count.borrow_and_update();
                let seen = self.events.seen.lock().unwrap().clone();
                if let Some(found) = seen.iter().filter_map(|event| find(event)).nth(times - 1) {
                    return found;
                }
                count.changed().await.unwrap();
            }
        });
        waited.await.unwrap_or_else(|_| {
            let kinds: Vec<_> = self.events.seen.lock().unwrap().iter().map(|event| event.kind()).collect();
            panic!("{what} did not happen; the client reported {kinds:?}")
        })
    }

    /// Every message so far, in the order of its arrival.
    pub fn messages(&self) -> Vec<InboundMessage> {
        let seen = self.events.seen.lock().unwrap();
        let batches = seen.iter().filter_map(|event| match &**event {
            Event::Messages(batch) => Some(batch.messages.to_vec()),
            _ => None,
        });
        batches.flatten().collect()
    }

    pub fn forget(&self) {
        self.events.seen.lock().unwrap().clear();
    }

    pub async fn connected(&self) {
        self.seen("the connection", |event| matches!(event, Event::Connected(_)).then_some(())).await;
    }

    /// The message with this id.
    pub async fn message(&self, id: &str) -> InboundMessage {
        self.seen(&format!("the message {id}"), |event| match event {
            Event::Messages(batch) => batch.iter().find(|message| message.info.id == id).cloned(),
            _ => None,
        })
        .await
    }

    /// The message that says this.
    pub async fn said(&self, said: &str) -> InboundMessage {
        self.seen(&format!("the text {said:?}"), |event| match event {
            Event::Messages(batch) => batch.iter().find(|inbound| words(&inbound.message) == Some(said)).cloned(),
            _ => None,
        })
        .await
    }

    /// A receipt of this kind for a message.
    pub async fn receipt(&self, kind: &str, id: &str) {
        self.seen(&format!("a {kind} receipt"), |event| match event {
            Event::Receipt(receipt) => {
                let fits = format!("{:?}", receipt.r#type) == kind && receipt.message_ids.iter().any(|of| of == id);
                fits.then_some(())
            }
            _ => None,
        })
        .await;
    }
}

/// The text of a message, in either form.
pub fn words(message: &wa::Message) -> Option<&str> {
    let extended = || message.extended_text_message.as_option().and_then(|extended| extended.text.as_deref());
    message.conversation.as_deref().or_else(extended)
}

/// Media hosts are looked for at the simulator, whatever their name.
struct Loopback {
    http: reqwest::Client,
    base: String,
}

#[async_trait::async_trait]
impl HttpClient for Loopback {
    async fn execute(&self, request: HttpRequest) -> whatsapp_rust::anyhow::Result<HttpResponse> {
        let path = request.url.splitn(4, '/').nth(3).unwrap_or_default();
        let mut outgoing = self.http.request(request.method.parse()?, format!("{}/{path}", self.base));
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        let answer = outgoing.send().await?;
        Ok(HttpResponse { status_code: answer.status().as_u16(), body: answer.bytes().await?.to_vec() })
    }
}
