//! One connection of a device, from the first byte to its end. Returns why it ended; decides nothing.

use super::account::watch_again;
use super::backend::Backend;
use super::device::{Control, Environment};
use super::events::{Signal, SignalQueue, must_last};
use super::history::{Historian, Reading};
use super::http::MediaHttp;
use super::incoming::Hook;
use super::media::Files;
use super::missing::{Missing, Received};
use super::news;
use super::outgoing::{Acks, Sender};
use super::ratchet::{Ratchet, SettledTransports};
use super::unwritten::Unwritten;
use super::{PairingCode, QrCode, Vitals};
use crate::domain::chat::ChatChange;
use crate::domain::clock::UnixMs;
use crate::domain::device::{Ended, Observed};
use crate::domain::event::{Event, EventType};
use crate::domain::ids::EventId;
use crate::domain::jid::PhoneNumber;
use crate::domain::label::LabelChange;
use crate::store::{Lease, Link, Observation, ReceiptNews, StoreError, Word};
use futures_util::future::OptionFuture;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use wacore::iq::keepalive::KeepaliveSpec;
use wacore::store::DevicePropsOverride;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::cache_config::{CacheConfig, CacheEntryConfig};
use whatsapp_rust::client::{Client, RawNodeLease};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::types::durability_hook::InboundMessage;

/// How long a closing client may flush before it is dropped.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);
/// Pairs of lid and phone the client keeps in memory; the store has them all.
const LID_CACHE_MAX: u64 = 10_000;
/// Receipts taken from the queue for one transaction.
const RECEIPTS_PER_WRITE_MAX: usize = 256;
/// Events of one transaction, of what is news and no message.
const NEWS_PER_WRITE_MAX: usize = 256;
/// Changes of chats, or of labels, of one transaction.
const CHANGES_PER_WRITE_MAX: usize = 256;
/// How a phone names this device in its list of linked devices.
const DEVICE_NAME: &str = "Rijan";
/// One-time keys for a simulator, which hands out few.
const SIMULATOR_PREKEYS: usize = 60;

/// What the directory asks of a connection.
pub(super) enum Request {
    PairWithCode { phone: PhoneNumber, answer: oneshot::Sender<Result<PairingCode, String>> },
    Logout,
}

/// The eight characters of a pairing code hold for about three minutes.
const PAIRING_CODE_VALID_MS: i64 = 180_000;

/// What woke the connection's loop.
enum Step {
    End(Ended),
    Signal(Signal),
    Request(Request),
    Ping,
    Ponged(bool),
    /// The client's own loop is over.
    Gone,
}

/// When the server is asked next, and how often in a row it did not answer.
struct Liveness {
    next_at: UnixMs,
    missed: u32,
}

/// Whether the server answered.
type Ping = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Connects and stays until the end. `linked` tells whether the session was paired before.
pub(super) async fn run(env: &Environment, lease: &Lease, linked: bool, control: &Control) -> Ended {
    let mut connection = match Connection::open(env, lease, linked, control).await {
        Ok(connection) => connection,
        Err(detail) => return Ended::Lost { detail },
    };
    let ended = connection.watch().await;
    connection.close().await;
    ended
}

struct Connection<'a> {
    env: &'a Environment,
    control: &'a Control,
    lease: &'a Lease,
    client: Arc<Client>,
    /// While it is held, the client reports every stanza.
    _stanzas: RawNodeLease,
    handle: Option<BotHandle>,
    signals: mpsc::Receiver<Signal>,
    acks: Arc<Acks>,
    ratchet: Arc<Ratchet>,
    unwritten: Arc<Unwritten>,
    hook: Hook,
    linked: bool,
    connected: bool,
    /// Words of files of history that earlier connections did not read to their end.
    unread: Vec<Word>,
    /// A signal that was read too early.
    put_back: Option<Signal>,
}

impl<'a> Connection<'a> {
    async fn open(env: &'a Environment, lease: &'a Lease, linked: bool, control: &'a Control) -> Result<Self, String> {
        let records = env
            .store
            .session_vault(&env.tenant, &env.device, lease.clone())
            .await
            .map_err(|error| format!("the session could not be opened: {error}"))?;
        let tap = env.settings.protocol_tap.then(|| (control.tap.clone(), env.store.clock().clone()));
        let acks = Arc::new(Acks::default());
        let ratchet = Arc::new(Ratchet::default());
        let (unwritten, reading) = (Arc::new(Unwritten::default()), Arc::new(Reading::default()));
        let historian = Historian::start(env.store.clone(), env.tenant.clone(), lease.clone(), reading.clone());
        let (queue, signals) = SignalQueue::new(acks.clone(), ratchet.clone(), unwritten.clone(), historian, tap);
        let hook = Hook {
            store: env.store.clone(),
            tenant: env.tenant.clone(),
            lease: lease.clone(),
            vitals: control.vitals.clone(),
            metrics: env.metrics.clone(),
            clock: env.store.clock().clone(),
            eager: env.media.settings().eager,
        };
        let received = Received {
            store: env.store.clone(),
            tenant: env.tenant.clone(),
            lease: lease.clone(),
            signals: queue.clone(),
        };
        let unread = env.store.unread_history(&env.tenant, lease).await;
        let unread = unread.map_err(|error| format!("what was not read of history is not known: {error}"))?;
        let simulator = env.settings.simulator.clone();
        let http = MediaHttp::new(simulator.clone()).map_err(|error| format!("no http client: {error}"))?;
        let mut builder = Bot::builder()
            .with_backend_arc(Arc::new(Backend::new(records, received, ratchet.clone(), reading.clone())))
            .with_transport_factory(SettledTransports {
                factory: transport(simulator.as_ref()),
                ratchet: ratchet.clone(),
                unwritten: unwritten.clone(),
            })
            .with_http_client(http)
            .with_version(env.settings.version)
            .with_event_handler(queue)
            .with_inbound_durability_hook(hook.clone())
            .with_cache_config(caches())
            .with_device_props(DevicePropsOverride::new().with_os(DEVICE_NAME));
        if simulator.is_some() {
            builder = builder.with_wanted_pre_key_count(SIMULATOR_PREKEYS);
        }
        let bot = builder.build().await.map_err(|error| format!("the client could not be built: {error}"))?;
        let client = bot.client();
        ratchet.serve(&client);
        reading.serve(&client);
        let stanzas = client.acquire_raw_node_forwarding();
        // While pairing, the server restarts the stream once and the client follows by itself. Afterwards every end
        // of a connection is ours to decide about.
        client.enable_auto_reconnect.store(!linked, Ordering::Relaxed);
        let handle = Some(bot.spawn());
        Ok(Self {
            env,
            control,
            lease,
            client,
            _stanzas: stanzas,
            handle,
            signals,
            acks,
            ratchet,
            unwritten,
            hook,
            linked,
            connected: false,
            unread,
            put_back: None,
        })
    }

    async fn watch(&mut self) -> Ended {
        let clock = self.env.store.clock().clone();
        let mut requests = self.control.requests.lock().await;
        let mut liveness = Liveness { next_at: clock.now_ms(), missed: 0 };
        let mut ping: Option<Ping> = None;
        loop {
            let step = tokio::select! {
                biased;
                () = self.control.stop.cancelled() => Step::End(Ended::Asked),
                signal = next_signal(&mut self.put_back, &mut self.signals) => signal.map_or(Step::Gone, Step::Signal),
                Some(request) = requests.recv() => Step::Request(request),
                Some(alive) = OptionFuture::from(ping.as_mut()), if ping.is_some() => Step::Ponged(alive),
                () = clock.sleep_until(liveness.next_at), if self.connected && ping.is_none() => Step::Ping,
                Some(()) = OptionFuture::from(self.handle.as_mut()), if self.handle.is_some() => Step::Gone,
            };
            let ended = match step {
                Step::End(ended) => Some(ended),
                Step::Signal(signal) => self.on_signal(signal).await,
                Step::Request(request) => self.on_request(request).await,
                Step::Ping => {
                    ping = Some(self.ping());
                    None
                }
                Step::Ponged(alive) => {
                    ping = None;
                    self.on_pong(alive, &mut liveness).await
                }
                Step::Gone => Some(self.last_words().await),
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// One missed answer makes the device degraded, a second in a row ends the connection.
    async fn on_pong(&mut self, alive: bool, liveness: &mut Liveness) -> Option<Ended> {
        let now = self.env.store.clock().now_ms();
        if self.client.persistence_manager().is_saver_halted() {
            return Some(Ended::Lost { detail: "the session could not be saved".into() });
        }
        if alive {
            self.control.vitals.send_modify(|vitals| vitals.last_server_ping_at = Some(now));
            if liveness.missed > 0 {
                self.degraded(false, "whatsapp answers again").await;
            }
            liveness.missed = 0;
            let interval = self.env.settings.ping_interval.as_millis();
            liveness.next_at = now.saturating_add(i64::try_from(interval).unwrap_or(i64::MAX));
            return None;
        }
        liveness.missed += 1;
        liveness.next_at = now;
        let waited = self.env.settings.ping_timeout.as_secs_f32();
        let detail = format!("whatsapp did not answer a ping within {waited} s");
        if liveness.missed > 1 {
            return Some(Ended::Lost { detail });
        }
        self.degraded(true, &detail).await;
        None
    }

    /// The client's loop has ended: what it reported before that says why.
    async fn last_words(&mut self) -> Ended {
        self.handle = None;
        while let Ok(signal) = self.signals.try_recv() {
            if let Some(ended) = self.on_signal(signal).await {
                return ended;
            }
        }
        Ended::Lost { detail: "the connection ended".into() }
    }

    async fn on_signal(&mut self, signal: Signal) -> Option<Ended> {
        let now = self.env.store.clock().now_ms();
        match signal {
            Signal::Qr { code, valid_ms } => {
                let qr = QrCode { text: code, expires_at: now + valid_ms };
                self.control.pairing.send_modify(|pairing| pairing.qr = Some(qr));
                self.observe(Observed::Pairing, None).await;
            }
            Signal::Code { code, valid_ms } => {
                let code = PairingCode { code: dashed(&code), expires_at: now + valid_ms };
                self.control.pairing.send_modify(|pairing| pairing.code = Some(code));
            }
            Signal::CodeRefused { error } | Signal::PairFailed { error } => {
                tracing::warn!(device = %self.env.device, %error, "pairing was refused");
                self.control.pairing.send_modify(|pairing| pairing.refused = Some(error));
            }
            Signal::Paired { jid, lid, name } => {
                let link = link(&jid, &lid, &name);
                self.linked = true;
                self.report(self.env.store.link_device(&self.env.tenant, &self.env.device, link).await);
                self.control.pairing.send_replace(Default::default());
            }
            Signal::Connected => self.on_connected().await,
            Signal::Receipt(first) => self.on_receipts(first).await,
            Signal::News(first) => return self.on_news(first).await,
            Signal::Chat(first) => self.on_chats(first).await,
            Signal::Label(first) => self.on_labels(first).await,
            Signal::Posts(posts) => self.on_posts(posts).await,
            Signal::Undecryptable { chat, sender, id, at } => {
                return self.on_undecryptable(chat, sender, id, at).await;
            }
            Signal::Recovered(messages) => return self.on_recovered(messages).await,
            Signal::Missing(missing) => self.on_missing(missing).await,
            Signal::QrExhausted => return Some(Ended::PairingExpired),
            // The restart that ends a pairing looks like a loss; the client is on its way back by itself.
            Signal::Lost { .. } if !self.connected && self.reconnects_itself() => {}
            Signal::Lost { detail } => return Some(Ended::Lost { detail }),
            Signal::LoggedOut { detail } => return Some(Ended::Unlinked { detail }),
            Signal::Replaced => return Some(Ended::Replaced),
            Signal::Banned { detail } => return Some(Ended::Banned { detail }),
            Signal::Outdated => return Some(Ended::Outdated),
            Signal::Flooded => return Some(Ended::Lost { detail: "too many events at once".into() }),
        }
        None
    }

    fn reconnects_itself(&self) -> bool {
        self.client.enable_auto_reconnect.load(Ordering::Relaxed)
    }

    async fn on_request(&mut self, request: Request) -> Option<Ended> {
        match request {
            Request::PairWithCode { phone, answer } => {
                let options = PairCodeOptions { phone_number: phone.as_str().to_owned(), ..Default::default() };
                let client = self.client.clone();
                let clock = self.env.store.clock().clone();
                // Off this loop: the answer takes a round trip, and the code's own event arrives here meanwhile.
                tokio::spawn(async move {
                    let result = client.pair_with_code(options).await.map_err(|error| error.to_string());
                    let code = result.map(|code| PairingCode {
                        code: dashed(&code),
                        expires_at: clock.now_ms() + PAIRING_CODE_VALID_MS,
                    });
                    let _ = answer.send(code);
                });
                None
            }
            Request::Logout => {
                // Bounded: a dead server must not keep the owner from logging out here.
                let _ = tokio::time::timeout(CLOSE_TIME_MAX, self.client.logout()).await;
                Some(Ended::Unlinked { detail: "logged out by the owner".into() })
            }
        }
    }

    async fn on_connected(&mut self) {
        self.client.enable_auto_reconnect.store(false, Ordering::Relaxed);
        self.connected = true;
        let jid = |jid: Option<wacore_binary::Jid>| jid.map(|jid| jid.to_non_ad().to_string()).unwrap_or_default();
        let link = link(&jid(self.client.pn()), &jid(self.client.lid()), &self.client.push_name());
        self.report(self.env.store.link_device(&self.env.tenant, &self.env.device, link).await);
        let now = self.env.store.clock().now_ms();
        self.control.vitals.send_modify(|vitals| {
            *vitals = Vitals { connected: true, connected_since: Some(now), ..*vitals };
        });
        self.observe(Observed::Connected, None).await;
        let sender = Sender {
            client: self.client.clone(),
            acks: self.acks.clone(),
            ratchet: self.ratchet.clone(),
            ack_timeout: self.env.settings.ack_timeout,
            files: Files::new(self.env),
            memory: self.control.memory.clone(),
            clock: self.env.store.clock().clone(),
        };
        self.control.went_online(sender, self.lease.clone());
        self.env.changed();
        // WhatsApp may have heard that these came, and delivers them no more.
        match self.env.store.ask_history(self.lease, std::mem::take(&mut self.unread)).await {
            Ok(words) => {
                for Word { chat, sender, wa_id: id } in words {
                    if let (Ok(chat), Ok(sender)) = (chat.parse(), sender.parse()) {
                        self.on_missing(Missing { chat, sender, id, between_devices: true }).await;
                    }
                }
            }
            Err(error) => self.report(Err(error)),
        }
        let watched = self.control.memory.watched();
        if !watched.is_empty() {
            // Off this loop, which must hear what it asks for.
            tokio::spawn(watch_again(self.client.clone(), watched));
        }
    }

    /// News comes in runs too, as when a phone that was away sees its groups again.
    async fn on_news(&mut self, first: Arc<wacore::types::events::Event>) -> Option<Ended> {
        let reporter = news::Reporter {
            client: &self.client,
            memory: &self.control.memory,
            tenant: &self.env.tenant,
            device: &self.env.device,
            now: self.env.store.clock().now_ms(),
        };
        let mut events: Vec<Event> = reporter.events(&first).await.into_iter().collect();
        let mut told = u64::from(news::must_last(&first));
        while events.len() < NEWS_PER_WRITE_MAX {
            match self.signals.try_recv() {
                Ok(Signal::News(next)) => {
                    told += u64::from(news::must_last(&next));
                    events.extend(reporter.events(&next).await);
                }
                Ok(other) => {
                    self.put_back = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let written = match events.is_empty() {
            true => Ok(()),
            false => self.env.store.append_events_once(events).await,
        };
        self.kept(told, written)
    }

    /// What must last is written. If it is not, the connection ends before WhatsApp hears that we have it, and it comes again.
    fn kept(&self, told: u64, written: Result<(), StoreError>) -> Option<Ended> {
        match written {
            Ok(()) => {
                self.unwritten.written(told);
                None
            }
            Err(error) => {
                tracing::error!(device = %self.env.device, %error, "what whatsapp told could not be written");
                self.unwritten.give_up();
                Some(Ended::Lost { detail: "what whatsapp told could not be written".into() })
            }
        }
    }

    /// What was done on other devices comes in runs too: all of it when a device was linked.
    async fn on_chats(&mut self, first: ChatChange) {
        let mut changes = vec![first];
        while changes.len() < CHANGES_PER_WRITE_MAX {
            match self.signals.try_recv() {
                Ok(Signal::Chat(next)) => changes.push(next),
                Ok(other) => {
                    self.put_back = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.report(self.env.store.change_chats(&self.env.tenant, &self.env.device, changes).await);
    }

    async fn on_labels(&mut self, first: LabelChange) {
        let mut changes = vec![first];
        while changes.len() < CHANGES_PER_WRITE_MAX {
            match self.signals.try_recv() {
                Ok(Signal::Label(next)) => changes.push(next),
                Ok(other) => {
                    self.put_back = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.report(self.env.store.change_labels(&self.env.tenant, &self.env.device, changes).await);
    }

    /// Receipts come in runs: a run is one transaction.
    async fn on_receipts(&mut self, first: ReceiptNews) {
        let mut news = vec![first];
        while news.len() < RECEIPTS_PER_WRITE_MAX {
            match self.signals.try_recv() {
                Ok(Signal::Receipt(next)) => news.push(next),
                Ok(other) => {
                    self.put_back = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.report(self.env.store.apply_receipts(&self.env.tenant, &self.env.device, news).await);
    }

    /// Told once, however often WhatsApp delivers it: its id follows from the message.
    async fn on_undecryptable(&self, chat: String, sender: String, id: String, at: UnixMs) -> Option<Ended> {
        let (tenant, device) = (self.env.tenant.clone(), self.env.device.clone());
        let type_ = EventType::MessageUndecryptable;
        let data = serde_json::json!({ "id": id, "chat": chat, "from": sender, "timestamp": at / 1000 });
        let parts = [type_.as_str(), device.as_str(), &chat, &sender, &id];
        let event =
            Event { id: EventId::derived(at, &parts), ..Event::new(tenant, Some(device.clone()), type_, at, data) };
        self.kept(1, self.env.store.append_events_once(vec![event]).await)
    }

    /// These do not pass the hook.
    async fn on_recovered(&self, messages: Vec<InboundMessage>) -> Option<Ended> {
        self.kept(1, self.hook.recovered(&self.client, messages).await)
    }

    /// The library has acknowledged these already.
    async fn on_posts(&self, posts: Vec<InboundMessage>) {
        if let Err(error) = self.hook.posted(&self.client, &posts).await {
            tracing::error!(device = %self.env.device, %error, "posts in a newsletter could not be stored");
        }
    }

    /// The message stays unacknowledged until it has come again, or was asked for often enough.
    async fn on_missing(&self, missing: Missing) {
        tracing::warn!(device = %self.env.device, id = missing.id, "a received message was lost before it was stored");
        let (client, device) = (self.client.clone(), self.env.device.clone());
        // Off this loop: it takes a round trip, and the connection's other news arrive here meanwhile.
        tokio::spawn(async move {
            if let Err(error) = missing.ask_again(&client).await {
                tracing::warn!(%device, id = missing.id, %error, "a lost message was not asked for; it will be when it comes again");
            }
        });
    }

    fn ping(&self) -> Ping {
        let client = self.client.clone();
        let timeout = self.env.settings.ping_timeout;
        Box::pin(async move {
            let answer = client.execute(KeepaliveSpec::with_timeout(timeout));
            tokio::time::timeout(timeout, answer).await.is_ok_and(|answer| answer.is_ok())
        })
    }

    async fn degraded(&self, degraded: bool, reason: &str) {
        self.report(self.env.store.set_degraded(&self.env.tenant, &self.env.device, degraded, reason).await);
    }

    async fn observe(&self, status: Observed, error: Option<String>) {
        let seen = Observation { status, error, reconnect_attempts: 0 };
        self.report(self.env.store.observe_device(&self.env.tenant, &self.env.device, seen).await);
    }

    fn report(&self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            tracing::error!(device = %self.env.device, %error, "the state of a device could not be written");
        }
    }

    async fn close(mut self) {
        self.control.went_offline();
        self.env.changed();
        self.control.vitals.send_modify(|vitals| vitals.connected = false);
        if let Some(handle) = self.handle.take() {
            let closing = async {
                let shutdown = handle.shutdown();
                tokio::pin!(shutdown);
                loop {
                    let signal = tokio::select! {
                        biased;
                        Some(signal) = next_signal(&mut self.put_back, &mut self.signals) => signal,
                        _ = &mut shutdown => break,
                    };
                    // Or what is still to be acknowledged would wait for it. That it failed is logged there.
                    if must_last(&signal) {
                        let _ended = self.on_signal(signal).await;
                    }
                }
            };
            let _ = tokio::time::timeout(CLOSE_TIME_MAX, closing).await;
        }
        self.acks.abandon();
    }
}

async fn next_signal(put_back: &mut Option<Signal>, signals: &mut mpsc::Receiver<Signal>) -> Option<Signal> {
    match put_back.take() {
        Some(signal) => Some(signal),
        None => signals.recv().await,
    }
}

fn transport(simulator: Option<&url::Url>) -> TokioWebSocketTransportFactory {
    let factory = TokioWebSocketTransportFactory::new();
    match simulator {
        Some(base) => {
            let host = base.host_str().unwrap_or("127.0.0.1");
            let port = base.port_or_known_default().unwrap_or(80);
            factory.with_url(format!("ws://{host}:{port}/ws/chat"))
        }
        None => factory,
    }
}

fn caches() -> CacheConfig {
    let day = Some(Duration::from_secs(24 * 3600));
    CacheConfig { lid_pn_cache: CacheEntryConfig::new(day, LID_CACHE_MAX), ..CacheConfig::default() }
}

/// Empty parts are not known yet and leave what is stored.
fn link(jid: &str, lid: &str, name: &str) -> Link {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let without_device = |text: &str| match text.split_once('@') {
        Some((user, server)) => format!("{}@{server}", user.split(':').next().unwrap_or(user)),
        None => text.to_owned(),
    };
    let jid = known(jid).map(|jid| without_device(&jid));
    let phone_number = jid.as_deref().and_then(|jid| jid.strip_suffix("@s.whatsapp.net")).map(str::to_owned);
    Link { phone_number, jid, lid: known(lid).map(|lid| without_device(&lid)), name: known(name) }
}

/// `ABCDEFGH` as people read it: `ABCD-EFGH`.
fn dashed(code: &str) -> String {
    let plain: String = code.chars().filter(|c| *c != '-').collect();
    match plain.split_at_checked(4) {
        Some((first, second)) if !second.is_empty() => format!("{first}-{second}"),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_in_two_groups() {
        assert_eq!(dashed("ABCDEFGH"), "ABCD-EFGH");
        assert_eq!(dashed("ABCD-EFGH"), "ABCD-EFGH");
        assert_eq!(dashed("AB"), "AB");
    }

    #[test]
    fn a_link_drops_the_device_part_and_leaves_out_what_is_unknown() {
        let link = link("6281234567890:3@s.whatsapp.net", "", "Toko");
        assert_eq!(link.jid.as_deref(), Some("6281234567890@s.whatsapp.net"));
        assert_eq!(link.phone_number.as_deref(), Some("6281234567890"));
        assert_eq!((link.lid, link.name.as_deref()), (None, Some("Toko")));
    }
}
