//! One version of a plugin as it serves a tenant, and its instances: started on demand, kept for the next call, thrown
//! away after a trap, after many calls, or when nobody needs them for a while.

use super::bindings::types::{Event, PluginError};
use super::bindings::{inbound, lifecycle, outbound, scheduled, webhook};
use super::breaker::Breaker;
use super::component::Compiled;
use super::engine::{PluginEngine, Side, is_pool_full};
use super::manifest::{Hook, Manifest};
use super::settings::{Isolation, PluginSettings};
use super::state::{Call, Home, State};
use super::stats::Stats;
use crate::domain::clock::UnixMs;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

/// An instance that nobody called for so long gives its memory back.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Bytes a guest may hand over in one call or answer; more is a trap.
const HANDOVER_BYTES_MAX: usize = 4 << 20;
const COMPONENT_HANDLES_MAX: usize = 1_000;
/// Ticks until a guest that computes gives way to others; its time limit is looked at then.
const TICKS_UNTIL_YIELD: u64 = 1;
const REASON_CHARS_MAX: usize = 500;

/// Why a hook did not decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin said so: its configuration is of no use to it.
    #[error("the plugin refuses its configuration: {0}")]
    BadConfig(String),
    /// The plugin said so: later it may.
    #[error("{message}")]
    Temporary { message: String, retry_after_ms: Option<u64> },
    /// The plugin said so.
    #[error("{0}")]
    Permanent(String),
    /// An effect that is not granted, not known, or too many of them.
    #[error("{0}")]
    RefusedEffect(String),
    #[error("the plugin failed: {0}")]
    Trapped(String),
    #[error("the plugin took longer than {0} ms and was ended")]
    TimedOut(u32),
    #[error("no instance of the plugin was free long enough within {0} ms")]
    Busy(u32),
    #[error("the plugin failed too often and is left alone for a while")]
    Tripped,
    /// It could not be loaded, or the host's side of it failed.
    #[error("the plugin cannot run: {0}")]
    Unusable(String),
}

impl Failure {
    /// What a plugin wants and may not have. It may quote what the plugin said, so it is cut.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::RefusedEffect(cut(&why.into()))
    }

    /// For traces and metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::BadConfig(_) => "bad_config",
            Self::Temporary { .. } => "temporary",
            Self::Permanent(_) => "permanent",
            Self::RefusedEffect(_) => "refused_effect",
            Self::Trapped(_) => "trap",
            Self::TimedOut(_) => "timeout",
            Self::Busy(_) => "busy",
            Self::Tripped => "tripped",
            Self::Unusable(_) => "unusable",
        }
    }

    /// When the plugin wants to be asked again.
    pub(super) fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Temporary { retry_after_ms, .. } => *retry_after_ms,
            _ => None,
        }
    }

    /// Whether it says something of the plugin's health. A plugin that says "later" or "no" is well.
    fn counts_against_it(&self) -> bool {
        matches!(self, Self::Trapped(_) | Self::TimedOut(_) | Self::RefusedEffect(_) | Self::Unusable(_))
    }
}

/// What a hook is asked, and what it answers.
pub(super) enum Ask<'a> {
    Event(&'a Event),
    Send(&'a outbound::Message),
    Format(&'a Event, &'a webhook::WebhookRef),
    Tick { name: &'a str, scheduled_for: u64, now: u64 },
}

pub(super) enum Answer {
    Event(inbound::Outcome),
    Send(outbound::Verdict),
    Format(webhook::Formatted),
    Tick(Vec<scheduled::Effect>),
}

/// A component linked for one engine, with the places of its exports.
struct Linked {
    pre: InstancePre<State>,
    lifecycle: Option<lifecycle::GuestIndices>,
    inbound: Option<inbound::GuestIndices>,
    outbound: Option<outbound::GuestIndices>,
    webhook: Option<webhook::GuestIndices>,
    scheduled: Option<scheduled::GuestIndices>,
}

impl Linked {
    fn new(side: &Side, component: &Component) -> wasmtime::Result<Self> {
        let pre = side.linker.instantiate_pre(component)?;
        Ok(Self {
            lifecycle: lifecycle::GuestIndices::new(&pre).ok(),
            inbound: inbound::GuestIndices::new(&pre).ok(),
            outbound: outbound::GuestIndices::new(&pre).ok(),
            webhook: webhook::GuestIndices::new(&pre).ok(),
            scheduled: scheduled::GuestIndices::new(&pre).ok(),
            pre,
        })
    }

    /// Linked, when it has the hooks that its manifest names, no more and no less.
    fn as_claimed(engine: &PluginEngine, compiled: &Compiled) -> Result<Self, String> {
        let linked = Self::new(engine.pooled(), &compiled.component).map_err(|error| text(&error))?;
        let (claimed, exported) = (compiled.manifest.hooks(), linked.hooks());
        if let Some(hook) = claimed.difference(&exported).next() {
            return Err(format!("its manifest names the hook {:?}, which it does not export", hook.as_str()));
        }
        if let Some(hook) = exported.difference(&claimed).next() {
            return Err(format!("it exports the hook {:?}, which its manifest does not name", hook.as_str()));
        }
        Ok(linked)
    }

    fn hooks(&self) -> BTreeSet<Hook> {
        let has = [
            (Hook::Inbound, self.inbound.is_some()),
            (Hook::Outbound, self.outbound.is_some()),
            (Hook::Webhook, self.webhook.is_some()),
            (Hook::Scheduled, self.scheduled.is_some()),
        ];
        has.into_iter().filter(|(_, has)| *has).map(|(hook, _)| hook).collect()
    }

    /// A new instance with every hook bound, so that a form that does not fit shows here and not at the first event.
    async fn start(&self, home: &Arc<Home>) -> wasmtime::Result<Live> {
        let mut store = Store::new(self.pre.engine(), State::new(home.clone()));
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(HANDOVER_BYTES_MAX);
        store.set_max_component_handles(COMPONENT_HANDLES_MAX);
        store.set_epoch_deadline(TICKS_UNTIL_YIELD);
        store.epoch_deadline_async_yield_and_update(TICKS_UNTIL_YIELD);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let mut live = Live {
            lifecycle: self.lifecycle.as_ref().map(|i| i.load(&mut store, &instance)).transpose()?,
            inbound: self.inbound.as_ref().map(|i| i.load(&mut store, &instance)).transpose()?,
            outbound: self.outbound.as_ref().map(|i| i.load(&mut store, &instance)).transpose()?,
            webhook: self.webhook.as_ref().map(|i| i.load(&mut store, &instance)).transpose()?,
            scheduled: self.scheduled.as_ref().map(|i| i.load(&mut store, &instance)).transpose()?,
            calls: 0,
            last_used: Instant::now(),
            store,
        };
        live.store.data_mut().call = Call::init();
        Ok(live)
    }
}

/// One running instance. It serves one call at a time.
struct Live {
    store: Store<State>,
    lifecycle: Option<lifecycle::Guest>,
    inbound: Option<inbound::Guest>,
    outbound: Option<outbound::Guest>,
    webhook: Option<webhook::Guest>,
    scheduled: Option<scheduled::Guest>,
    calls: u32,
    last_used: Instant,
}

impl Live {
    async fn init(&mut self, config: &String) -> wasmtime::Result<Result<(), PluginError>> {
        match &self.lifecycle {
            Some(lifecycle) => lifecycle.call_init(&mut self.store, config).await,
            None => Ok(Ok(())),
        }
    }

    async fn ask(&mut self, ask: &Ask<'_>) -> wasmtime::Result<Result<Answer, PluginError>> {
        fn has<T>(hook: Option<&T>) -> wasmtime::Result<&T> {
            hook.ok_or_else(|| wasmtime::format_err!("the component has no such hook"))
        }
        let store = &mut self.store;
        Ok(match ask {
            Ask::Event(event) => has(self.inbound.as_ref())?.call_on_event(store, event).await?.map(Answer::Event),
            Ask::Send(message) => has(self.outbound.as_ref())?.call_on_send(store, message).await?.map(Answer::Send),
            Ask::Format(event, webhook) => {
                has(self.webhook.as_ref())?.call_format(store, event, webhook).await?.map(Answer::Format)
            }
            Ask::Tick { name, scheduled_for, now } => {
                let hook = has(self.scheduled.as_ref())?;
                hook.call_tick(store, name, *scheduled_for, *now).await?.map(Answer::Tick)
            }
        })
    }
}

/// What becomes of an instance after its call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    ForTheNext,
    /// Nor does the call take one that served before.
    Not,
}

/// What a call came to: what the hook said, and what it left in the call.
pub(super) struct Called {
    pub(super) answer: Result<Answer, Failure>,
    pub(super) call: Call,
    pub(super) took: Duration,
    /// Whether this failure tripped the breaker.
    pub(super) tripped_now: bool,
}

/// A plugin of a tenant in one version under one set of settings.
pub(super) struct Version {
    pub(super) manifest: Manifest,
    pub(super) settings: PluginSettings,
    pub(super) hooks: BTreeSet<Hook>,
    pub(super) stats: Stats,
    pub(super) home: Arc<Home>,
    config: String,
    engine: PluginEngine,
    linked: Linked,
    /// As long as a version lives, others share its code.
    _compiled: Arc<Compiled>,
    /// For when the pool is full; most never need it.
    linked_on_demand: OnceCell<Linked>,
    idle: Mutex<Vec<Live>>,
    places: Semaphore,
    breaker: Mutex<Breaker>,
    /// Of a canary: why its chats went back to what serves.
    halted: OnceLock<String>,
}

/// Whether a component fits this gateway and is what its manifest says, whoever it is for.
pub(super) fn check(engine: &PluginEngine, compiled: &Compiled) -> Result<(), String> {
    Linked::as_claimed(engine, compiled).map(|_| ())
}

impl Version {
    /// Links what was compiled and checks that it has the hooks its manifest claims, no more and no less.
    pub(super) fn link(
        engine: &PluginEngine,
        compiled: Arc<Compiled>,
        settings: PluginSettings,
        home: Arc<Home>,
    ) -> Result<Self, Failure> {
        let manifest = compiled.manifest.clone();
        let linked = Linked::as_claimed(engine, &compiled).map_err(Failure::Unusable)?;
        let hooks = settings.hooks(&manifest);
        let limits = &settings.limits;
        let open_ms = UnixMs::from(limits.tripped_s) * 1_000;
        Ok(Self {
            hooks,
            stats: Stats::default(),
            config: serde_json::Value::Object(settings.config.clone()).to_string(),
            places: Semaphore::new(limits.instances as usize),
            breaker: Mutex::new(Breaker::new(limits.errors_until_tripped, open_ms)),
            idle: Mutex::default(),
            halted: OnceLock::new(),
            linked_on_demand: OnceCell::new(),
            engine: engine.clone(),
            linked,
            _compiled: compiled,
            manifest,
            settings,
            home,
        })
    }

    /// Starts an instance, in the time of a call, and keeps it: what fails here would have failed at the first event.
    pub(super) async fn canary(&self) -> Result<(), Failure> {
        let longest = self.call_time();
        let started = tokio::time::timeout(longest, self.start()).await;
        self.put_back(started.map_err(|_| Failure::TimedOut(self.settings.limits.call_ms))??);
        Ok(())
    }

    fn call_time(&self) -> Duration {
        Duration::from_millis(u64::from(self.settings.limits.call_ms))
    }

    pub(super) fn is_tripped(&self) -> bool {
        self.breaker().is_tripped()
    }

    /// From now on it has no chats.
    pub(super) fn halt(&self, reason: &str) {
        self.halted.get_or_init(|| reason.to_owned());
    }

    /// Why it has none.
    pub(super) fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    pub(super) fn idle_instances(&self) -> usize {
        self.idle().len()
    }

    /// Bytes of memory of the instances that wait.
    pub(super) fn drop_idle(&self) {
        let kept_from = Instant::now().checked_sub(IDLE_MAX);
        self.idle().retain(|live| kept_from.is_none_or(|from| live.last_used >= from));
    }

    /// Calls a hook. The call's time includes waiting for an instance, starting one, and all that the host does for it.
    pub(super) async fn call(&self, ask: Ask<'_>, call: Call) -> Called {
        let began = Instant::now();
        let now = self.home.store.clock().now_ms();
        let admitted = self.breaker().admits(now);
        let (answer, call) =
            if admitted { self.call_in_time(ask, call, Keep::ForTheNext).await } else { (Err(Failure::Tripped), call) };
        let took = began.elapsed();
        self.stats.called(took, answer.as_ref().err());
        let tripped_now = match &answer {
            Err(failure) if failure.counts_against_it() => self.breaker().failed(now),
            // It answered, so it is well; a call that waited in vain says nothing.
            Err(Failure::Temporary { .. } | Failure::Permanent(_) | Failure::BadConfig(_)) => {
                self.breaker().succeeded();
                false
            }
            // Whether what it decided can be followed is yet to be seen.
            Ok(_) | Err(_) => false,
        };
        Called { answer, call, took, tripped_now }
    }

    /// As [`Version::call`], on an instance of its own that is thrown away: neither counted nor held against the plugin,
    /// and what it leaves in its memory reaches nobody.
    pub(super) async fn try_out(&self, ask: Ask<'_>, call: Call) -> Called {
        let began = Instant::now();
        let (answer, call) = self.call_in_time(ask, call, Keep::Not).await;
        Called { answer, call, took: began.elapsed(), tripped_now: false }
    }

    async fn call_in_time(&self, ask: Ask<'_>, call: Call, keep: Keep) -> (Result<Answer, Failure>, Call) {
        let limit = self.settings.limits.call_ms;
        let (began, longest) = (tokio::time::Instant::now(), self.call_time());
        let until = began + longest;
        // Never closed, so a place comes or the time of the call runs out.
        let Ok(_place) = tokio::time::timeout_at(until, self.places.acquire()).await else {
            return (Err(Failure::Busy(limit)), call);
        };
        // What had not even half of its time for itself says nothing of the plugin.
        let ended = if began.elapsed() > longest / 2 { Failure::Busy(limit) } else { Failure::TimedOut(limit) };
        let (subject, document, lines) = (call.subject.clone(), call.document.clone(), call.lines.clone());
        match tokio::time::timeout_at(until, self.call_instance(ask, call, keep)).await {
            Ok((answer, call)) => (answer, call),
            // The future is gone, and with it the instance that was still in the guest.
            Err(_) => (Err(ended), Call { lines, ..Call::new(subject, document) }),
        }
    }

    /// What this version decided is followed: it is well.
    pub(super) fn accepted(&self) {
        self.breaker().succeeded();
    }

    /// What a decision of this version was refused for after the call, such as an effect that is not granted.
    pub(super) fn refused(&self, failure: &Failure) -> bool {
        self.stats.refused();
        let now = self.home.store.clock().now_ms();
        failure.counts_against_it() && self.breaker().failed(now)
    }

    async fn call_instance(&self, ask: Ask<'_>, call: Call, keep: Keep) -> (Result<Answer, Failure>, Call) {
        let idle = if keep == Keep::Not { None } else { self.idle().pop() };
        let mut live = match idle {
            Some(live) => live,
            None => match self.start().await {
                Ok(live) => live,
                Err(failure) => return (Err(failure), call),
            },
        };
        live.store.data_mut().call = call;
        let said = live.ask(&ask).await;
        let empty = Call::init();
        let call = std::mem::replace(&mut live.store.data_mut().call, empty);
        match said {
            Ok(said) => {
                live.calls += 1;
                live.last_used = Instant::now();
                if keep == Keep::ForTheNext {
                    self.put_back(live);
                }
                (said.map_err(failure), call)
            }
            // An instance that trapped is in no state to be called again.
            Err(trap) => (Err(Failure::Trapped(text(&trap))), call),
        }
    }

    async fn start(&self) -> Result<Live, Failure> {
        let mut live = match self.linked.start(&self.home).await {
            Ok(live) => live,
            Err(error) if is_pool_full(&error) => {
                let linked = self.linked_on_demand.get_or_try_init(|| self.link_on_demand()).await?;
                linked.start(&self.home).await.map_err(|error| Failure::Trapped(text(&error)))?
            }
            Err(error) => return Err(Failure::Trapped(text(&error))),
        };
        match live.init(&self.config).await {
            Ok(Ok(())) => Ok(live),
            Ok(Err(refused)) => Err(failure(refused)),
            Err(trap) => Err(Failure::Trapped(text(&trap))),
        }
    }

    async fn link_on_demand(&self) -> Result<Linked, Failure> {
        let unusable = |error: String| Failure::Unusable(error);
        let bytes = self.home.store.component(&self.home.sha256).await.map_err(|error| unusable(error.to_string()))?;
        let engine = self.engine.clone();
        let compiled = tokio::task::spawn_blocking(move || engine.compile_on_demand(&bytes)).await;
        let component =
            compiled.map_err(|error| unusable(error.to_string()))?.map_err(|error| unusable(text(&error)))?;
        Linked::new(self.engine.on_demand(), &component).map_err(|error| unusable(text(&error)))
    }

    fn put_back(&self, live: Live) {
        let limits = &self.settings.limits;
        let worn = live.calls >= limits.calls_per_instance;
        if self.settings.isolation == Isolation::Reused && !worn {
            let mut idle = self.idle();
            if idle.len() < limits.instances as usize {
                idle.push(live);
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Live>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(said: PluginError) -> Failure {
    match said {
        PluginError::BadConfig(why) => Failure::BadConfig(cut(&why)),
        PluginError::Temporary(later) => {
            Failure::Temporary { message: cut(&later.message), retry_after_ms: later.retry_after_ms }
        }
        PluginError::Permanent(why) => Failure::Permanent(cut(&why)),
    }
}

/// The chain of causes on one line, without the guest's stack: fit for the plugin's owner.
pub(super) fn text(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error
        .chain()
        .map(|cause| cause.to_string())
        .filter(|cause| !cause.starts_with("error while executing at wasm backtrace"))
        .collect();
    let joined = if chain.is_empty() { format!("{error}") } else { chain.join(": ") };
    cut(&joined.replace(['\n', '\r'], " "))
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::CALL_OUTCOMES;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_of_failure_is_an_outcome_of_the_figures() {
        let text = String::new;
        let all = [
            Failure::BadConfig(text()),
            Failure::Temporary { message: text(), retry_after_ms: None },
            Failure::Permanent(text()),
            Failure::RefusedEffect(text()),
            Failure::Trapped(text()),
            Failure::TimedOut(1),
            Failure::Busy(1),
            Failure::Tripped,
            Failure::Unusable(text()),
        ];

        let kinds: BTreeSet<&str> = all.iter().map(Failure::kind).chain(["decided"]).collect();

        assert_eq!(kinds, BTreeSet::from(CALL_OUTCOMES));
    }
}
