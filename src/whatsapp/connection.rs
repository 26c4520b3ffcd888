//! One connection of a device, from the first byte to its end. Returns why it ended; decides nothing.

use super::account::watch_again;
use super::backend::{Anew, Backend};
use super::client::{Parts, Running, build};
use super::device::{Control, Environment};
use super::events::{Listener, Signal};
use super::historian::{Historian, Keeper};
use super::http::MediaHttp;
use super::incoming::Hook;
use super::linking::{self, dashed, link, link_of};
use super::media::Files;
use super::missing::{Missing, Received, ask_for_history};
use super::outgoing::{Acks, Sender};
use super::over::{HookUntilOver, Over};
use super::queue::{SignalQueue, Signals};
use super::ratchet::{Ratchet, SettledTransports};
use super::unwritten::Unwritten;
use super::{PairingCode, QrCode, Vitals};
use crate::domain::clock::UnixMs;
use crate::domain::device::{Ended, Observed};
use crate::domain::jid::PhoneNumber;
use crate::store::{Lease, Observation, StoreError, Word};
use futures_util::future::OptionFuture;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::client::{Client, RawNodeLease};
use whatsapp_rust::transport::TokioWebSocketTransportFactory;

/// How long a closing client may flush before it is dropped.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);

/// What the directory asks of a connection.
pub(super) enum Request {
    PairWithCode { phone: PhoneNumber, answer: oneshot::Sender<Result<PairingCode, String>> },
    Logout,
}

/// What woke the connection's loop.
enum Step {
    End(Ended),
    Signal(Signal),
    Request(Request),
    Left(Result<Result<(), String>, JoinError>),
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

pub(super) struct Connection<'a> {
    pub(super) env: &'a Environment,
    pub(super) control: &'a Control,
    lease: &'a Lease,
    pub(super) client: Arc<Client>,
    pub(super) backend: Arc<Backend>,
    /// While it is held, the client reports every stanza.
    _stanzas: RawNodeLease,
    handle: Option<Running>,
    pub(super) signals: Signals,
    acks: Arc<Acks>,
    ratchet: Arc<Ratchet>,
    pub(super) unwritten: Arc<Unwritten>,
    over: Arc<Over>,
    pub(super) hook: Hook,
    linked: bool,
    connected: bool,
    /// Words of files of history that earlier connections did not read to their end.
    unread: Vec<Word>,
    /// Collections of the app state that are asked for once it is connected.
    anew: Anew,
    /// Changes of chats or labels could not be written.
    pub(super) changes_lost: bool,
    /// The owner logs out.
    leaving: Option<JoinHandle<Result<(), String>>>,
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
        let unwritten = Arc::new(Unwritten::default());
        let (historian, ready) = Historian::new();
        let anew = Anew::of(&records).await.map_err(|error| format!("what is missing is not known: {error}"))?;
        let (queue, signals) = SignalQueue::new(unwritten.clone());
        let listener = Listener {
            signals: queue.clone(),
            acks: acks.clone(),
            ratchet: ratchet.clone(),
            unwritten: unwritten.clone(),
            historian: historian.clone(),
            tap,
            missing_since: anew.since,
        };
        let hook = Hook {
            store: env.store.clone(),
            tenant: env.tenant.clone(),
            lease: lease.clone(),
            vitals: control.vitals.clone(),
            metrics: env.metrics.clone(),
            clock: env.store.clock().clone(),
            eager: env.media.settings().eager,
        };
        let received =
            Received { store: env.store.clone(), tenant: env.tenant.clone(), lease: lease.clone(), signals: queue };
        let unread = env.store.unread_history(&env.tenant, lease).await;
        let unread = unread.map_err(|error| format!("what was not read of history is not known: {error}"))?;
        let simulator = env.settings.simulator.clone();
        let http = MediaHttp::new(simulator.clone()).map_err(|error| format!("no http client: {error}"))?;
        let over = Arc::new(Over::default());
        let backend = Backend::new(records, received, ratchet.clone(), historian.clone(), over.clone());
        let backend = Arc::new(backend);
        let parts = Parts {
            is_simulated: simulator.is_some(),
            backend: backend.clone(),
            transports: SettledTransports {
                factory: transport(simulator.as_ref()),
                ratchet: ratchet.clone(),
                unwritten: unwritten.clone(),
            },
            http,
            hook: HookUntilOver { hook: hook.clone(), over: over.clone() },
            version: env.settings.version,
        };
        let built = build(parts).await.map_err(|error| format!("the client could not be built: {error}"))?;
        let (client, tasks) = built.into_parts();
        if !linked && client.pn().is_some() {
            // It was paired, and killed before that was noted. Whose messages come is known before the first one comes.
            let known = env.store.link_device(&env.tenant, lease, link_of(&client)).await;
            known.map_err(|error| format!("who the device is could not be written: {error}"))?;
        }
        ratchet.serve(&client);
        let keeper = Keeper { store: env.store.clone(), tenant: env.tenant.clone(), lease: lease.clone() };
        historian.start(&client, tasks, ready, keeper);
        client.subscribe_handler(Arc::new(listener)).detach();
        let stanzas = client.acquire_raw_node_forwarding();
        // While pairing, the server restarts the stream once and the client follows by itself. Afterwards every end
        // of a connection is ours to decide about.
        client.enable_auto_reconnect.store(!linked, Ordering::Relaxed);
        let handle = Some(Running::start(&client));
        Ok(Self {
            env,
            control,
            lease,
            client,
            backend,
            _stanzas: stanzas,
            handle,
            signals,
            acks,
            ratchet,
            unwritten,
            over,
            hook,
            linked,
            connected: false,
            unread,
            // Of a device that is being linked the library asks for all of them.
            anew: if linked { anew } else { Anew::default() },
            changes_lost: false,
            leaving: None,
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
                signal = self.signals.next() => signal.map_or(Step::Gone, Step::Signal),
                Some(request) = requests.recv() => Step::Request(request),
                Some(answer) = OptionFuture::from(self.leaving.as_mut()), if self.leaving.is_some() => Step::Left(answer),
                Some(alive) = OptionFuture::from(ping.as_mut()), if ping.is_some() => Step::Ponged(alive),
                () = clock.sleep_until(liveness.next_at), if self.connected && ping.is_none() => Step::Ping,
                Some(()) = OptionFuture::from(self.handle.as_mut()), if self.handle.is_some() => Step::Gone,
            };
            let ended = match step {
                Step::End(ended) => Some(ended),
                Step::Signal(signal) => self.on_signal(signal).await,
                Step::Request(request) => self.on_request(request).await,
                Step::Left(answer) => {
                    self.leaving = None;
                    Some(linking::left(&self.env.device, answer))
                }
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
                return self.left(ended).await;
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
        while let Some(signal) = self.signals.waiting() {
            if let Some(ended) = self.on_signal(signal).await {
                return ended;
            }
        }
        Ended::Lost { detail: "the connection ended".into() }
    }

    async fn on_signal(&mut self, signal: Signal) -> Option<Ended> {
        let signal = match self.write(signal).await {
            Ok(ended) => return ended,
            Err(other) => other,
        };
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
                self.report(self.env.store.link_device(&self.env.tenant, self.lease, link).await);
                self.control.pairing.send_replace(Default::default());
            }
            Signal::Connected => self.on_connected().await,
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
            // `write` has taken these.
            Signal::Receipt(_)
            | Signal::News(_)
            | Signal::Chat(_)
            | Signal::Label(_)
            | Signal::TakenIn { .. }
            | Signal::Posts(_)
            | Signal::Undecryptable { .. }
            | Signal::Recovered(_) => {}
        }
        None
    }

    fn reconnects_itself(&self) -> bool {
        self.client.enable_auto_reconnect.load(Ordering::Relaxed)
    }

    async fn on_request(&mut self, request: Request) -> Option<Ended> {
        match request {
            Request::PairWithCode { phone, answer } => {
                let (client, clock) = (self.client.clone(), self.env.store.clock().clone());
                // Off this loop: the answer takes a round trip, and the code's own event arrives here meanwhile.
                tokio::spawn(async move {
                    // Who asked may have gone.
                    let _ = answer.send(linking::ask_code(&client, &clock, &phone).await);
                });
                None
            }
            Request::Logout => {
                // Off this loop too: what must last is written meanwhile.
                self.leaving.get_or_insert_with(|| tokio::spawn(linking::leave(self.client.clone())));
                None
            }
        }
    }

    /// Whatever ends a connection that is leaving, it has left.
    async fn left(&mut self, ended: Ended) -> Ended {
        match self.leaving.take() {
            Some(leaving) if !matches!(ended, Ended::Unlinked { .. }) => linking::left(&self.env.device, leaving.await),
            _ => ended,
        }
    }

    async fn on_connected(&mut self) {
        self.client.enable_auto_reconnect.store(false, Ordering::Relaxed);
        self.connected = true;
        let link = link_of(&self.client);
        self.report(self.env.store.link_device(&self.env.tenant, self.lease, link).await);
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
        let unread = std::mem::take(&mut self.unread);
        if !unread.is_empty() {
            tokio::spawn(ask_for_history(self.client.clone(), self.env.store.clone(), self.lease.clone(), unread));
        }
        tokio::spawn(std::mem::take(&mut self.anew).ask(self.client.clone()));
        let watched = self.control.memory.watched();
        if !watched.is_empty() {
            // Off this loop, which must hear what it asks for.
            tokio::spawn(watch_again(self.client.clone(), watched));
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

    pub(super) fn report(&self, result: Result<(), StoreError>) {
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
                        Some(signal) = self.signals.next() => signal,
                        _ = &mut shutdown => break,
                    };
                    // Or what is still to be acknowledged would wait for it. That it failed is logged there.
                    let _ended = self.write(signal).await;
                }
            };
            if tokio::time::timeout(CLOSE_TIME_MAX, closing).await.is_err() {
                tracing::warn!(device = %self.env.device, "a connection did not close in its time");
            }
        }
        self.over.end().await;
        self.acks.abandon();
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
