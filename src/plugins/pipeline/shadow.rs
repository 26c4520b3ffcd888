//! Shadows: versions that see what passes and of which nothing is done.
//!
//! A shadow runs behind what is live, from a queue of its own: the run it watches has decided before the shadow is asked, and
//! never waits for it. What does not fit the queue is counted and dropped. A shadow has instances of its own, sees values as
//! the serving version read them, and no plugin behind it is asked. What it comes to is written beside what the serving
//! version came to; what waits when a gateway stops is not run.

use super::run::Run;
use super::{Entry, Pipeline};
use crate::domain::aftermath::{Aftermath, KvEntry, KvValue, KvWrite, Trace};
use crate::domain::clock::UnixMs;
use crate::domain::event::Event;
use crate::domain::outgoing::Content;
use crate::domain::trial::{Comparison, Difference, Side};
use crate::plugins::bindings::outbound;
use crate::plugins::instance::Version;
use crate::plugins::state::Reads;
use crate::plugins::transcript;
use crate::store::{ShadowRecord, StoreError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Calls that wait for one shadow; one more is dropped and counted.
const WAITING_MAX: usize = 256;
/// Bytes of what waits for one shadow, its content and values; what does not fit is dropped and counted.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Calls that are written in one step.
const BATCH_MAX: usize = 64;
/// Shadows of all tenants that run at once, so that what they compute leaves the machine to what is live. Others wait, and
/// what does not fit their queues is dropped.
const AT_ONCE_MAX: usize = 1;
/// Bytes of what one version said and wrote; of more, only its size and hash are kept.
const SIDE_BYTES_MAX: usize = 4_096;

/// The places of those that run at once.
#[derive(Clone)]
pub(in crate::plugins) struct ShadowGate(Arc<Semaphore>);

impl Default for ShadowGate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }
}

/// What passes, as the serving version gets it.
pub(super) enum What {
    Event(Event),
    Send(Box<outbound::Message>, Content),
    Format { event: Event, webhook_id: String, webhook_name: String },
    Tick { name: String, scheduled_for: UnixMs },
}

/// What a call was heard to say.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) said: Option<Value>,
    pub(super) writes: Vec<KvWrite>,
    pub(super) fetches: Vec<String>,
    pub(super) reads: Reads,
}

/// One call that a shadow is to be given.
struct Job {
    subject: String,
    part: String,
    what: What,
    /// What the plugin had written before in the same run.
    earlier: Vec<KvWrite>,
    reads: Reads,
    served: Option<Side>,
}

impl Job {
    fn bytes(&self) -> usize {
        let what = match &self.what {
            What::Event(event) | What::Format { event, .. } => bytes(&event.data),
            // Twice: as the plugin sees it, and as it is sent.
            What::Send(_, content) => 2 * serde_json::to_value(content).map_or(0, |content| bytes(&content)),
            What::Tick { .. } => 0,
        };
        let earlier: usize = self.earlier.iter().map(|write| bytes(&self::write(write))).sum();
        let read = |(key, entry): (&String, &Option<KvEntry>)| {
            key.len() + entry.as_ref().map_or(0, |entry| entry.value.bytes().len())
        };
        let reads: usize = self.reads.iter().map(read).sum();
        let served = self.served.as_ref().map_or(0, |side| bytes(&side.said) + bytes(&side.kv));
        what + earlier + reads + served
    }
}

/// What a document takes, by its texts.
fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

/// Room that a waiting call takes, given back when it is dropped.
struct Room {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    fn take(taken: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let before = taken.fetch_add(bytes, Ordering::Relaxed);
        let room = Self { taken: taken.clone(), bytes };
        (before + bytes <= WAITING_BYTES_MAX).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A call that a shadow watches while the serving version has it.
pub(super) struct Watched {
    shadow: Arc<Shadow>,
    plugin: String,
    part: String,
    what: What,
    earlier: Vec<KvWrite>,
}

/// A call that is handed over once the run has decided.
pub(super) struct Waiting {
    shadow: Arc<Shadow>,
    job: Job,
}

impl Run {
    /// Begins to watch the next call, which is that of the serving version at the shadow's place, if it is asked.
    pub(super) fn watch(&mut self, shadow: &Arc<Shadow>, entry: &Entry, what: What, part: String) -> Watched {
        self.listen();
        let earlier = self.written_by(&entry.name);
        Watched { shadow: shadow.clone(), plugin: entry.name.clone(), part, what, earlier }
    }

    /// Ends it. `asked`: the serving version was, and its trace is the newest.
    pub(super) fn watched(&mut self, watched: Watched, asked: bool) {
        let heard = self.heard();
        let trace = self.aftermath.traces.last().filter(|trace| asked && trace.plugin == watched.plugin);
        let served = trace.map(|trace| side(trace, &heard));
        let Watched { shadow, part, what, earlier, .. } = watched;
        let job = Job { subject: self.subject.clone(), part, what, earlier, reads: heard.reads, served };
        self.waiting.push(Waiting { shadow, job });
    }
}

/// A shadow that runs as long as somebody holds it.
pub(in crate::plugins) struct Shadow {
    queue: mpsc::Sender<(Job, Room)>,
    taken: Arc<AtomicUsize>,
    dropped: AtomicU64,
    version: Arc<Version>,
    _stop: DropGuard,
}

impl Shadow {
    /// `candidate` is alone in a pipeline: what it sends passes no other plugin.
    pub(in crate::plugins) fn start(beside: &Pipeline, candidate: Arc<Entry>, gate: ShadowGate) -> Option<Arc<Self>> {
        let version = candidate.version()?.clone();
        let alone = Pipeline { entries: vec![candidate], trials: Vec::new(), ..beside.clone() };
        let (queue, jobs) = mpsc::channel(WAITING_MAX);
        let stop = CancellationToken::new();
        tokio::spawn(work(alone, jobs, gate, stop.clone()));
        let (taken, dropped) = (Arc::default(), AtomicU64::new(0));
        Some(Arc::new(Self { queue, taken, dropped, version, _stop: stop.drop_guard() }))
    }

    pub(in crate::plugins) fn is_of(&self, version: &Arc<Version>) -> bool {
        Arc::ptr_eq(&self.version, version)
    }

    /// Calls that did not fit, since it watches.
    pub(in crate::plugins) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Pipeline {
    /// Hands what a run has decided to the shadows that watched it. Waits for nobody.
    pub(super) fn show_shadows(&self, run: &mut Run) {
        for Waiting { shadow, job } in run.waiting.drain(..) {
            let room = Room::take(&shadow.taken, job.bytes());
            if room.is_none_or(|room| shadow.queue.try_send((job, room)).is_err()) {
                shadow.dropped.fetch_add(1, Ordering::Relaxed);
                self.metrics.plugin_shadow_dropped(self.tenant.as_str(), &shadow.version.home.plugin);
            }
        }
    }

    /// Takes its chats from a canary: at once here, and for good in the store.
    pub(super) fn halt(&self, entry: &Entry, reason: String, told: Event) {
        let Some(version) = entry.version() else { return };
        version.halt(&reason);
        tracing::warn!(tenant = %self.tenant, plugin = entry.name, reason, "a canary failed too often; its chats go back");
        let (store, tenant, home) = (self.store.clone(), self.tenant.clone(), version.home.clone());
        tokio::spawn(async move {
            let halted = store.halt_canary(&tenant, &home.plugin, &home.sha256, &reason, told).await;
            if let Err(error) = halted {
                tracing::error!(%tenant, plugin = home.plugin, %error, "that a canary has no chats any more was not written");
            }
        });
    }

    /// Gives a shadow, which is alone in this pipeline, one call.
    async fn shadow(&self, job: Job, record: &mut ShadowRecord) {
        let Some(entry) = self.entries.first() else { return };
        let mut run = Run::shadow(job.subject, job.reads);
        run.keep(entry, job.earlier);
        run.listen();
        match &job.what {
            What::Event(event) => {
                // At its last try nobody waits; what it decided is in its trace.
                let _came_out = self.pass_inbound(&mut run, event.clone(), true).await;
            }
            What::Send(seen, content) => self.shadow_outbound(&mut run, seen, content).await,
            What::Format { event, webhook_id, webhook_name } => {
                self.shape(&mut run, &entry.name, event, webhook_id, webhook_name, true).await;
            }
            What::Tick { name, scheduled_for } => {
                self.run_tick(&mut run, &entry.name, name, *scheduled_for, true).await;
            }
        }
        let heard = run.heard();
        let Aftermath { lines, traces, events, .. } = run.aftermath;
        if let Some(trace) = traces.last() {
            let candidate = side(trace, &heard);
            let comparison = compare(job.served.as_ref(), &candidate);
            self.metrics.plugin_compared(self.tenant.as_str(), &entry.name, comparison.as_str());
            record.differences.push(Difference {
                plugin: entry.name.clone(),
                sha256: trace.sha256.clone(),
                hook: trace.hook,
                subject: run.subject,
                part: job.part,
                comparison,
                serving: job.served.map(fitting),
                candidate: fitting(candidate),
                at: trace.at,
            });
        }
        record.aftermath.lines.extend(lines);
        record.aftermath.traces.extend(traces);
        record.aftermath.events.extend(events);
    }
}

async fn work(alone: Pipeline, mut jobs: mpsc::Receiver<(Job, Room)>, gate: ShadowGate, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        let count = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            count = jobs.recv_many(&mut batch, BATCH_MAX) => count,
        };
        if count == 0 {
            return;
        }
        let mut record = ShadowRecord::default();
        for (job, _room) in batch.drain(..) {
            // Never closed.
            let Ok(_place) = gate.0.acquire().await else { return };
            if stop.is_cancelled() {
                break;
            }
            alone.shadow(job, &mut record).await;
        }
        let Some(entry) = alone.entries.first() else { return };
        match alone.store.record_shadow(&alone.tenant, &entry.name, record).await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => tracing::error!(tenant = %alone.tenant, %error, "what a shadow came to was not recorded"),
        }
    }
}

fn compare(served: Option<&Side>, shadow: &Side) -> Comparison {
    match served {
        _ if shadow.error.is_some() => Comparison::Failed,
        Some(served) if served.comes_to_the_same(shadow) => Comparison::Agree,
        None if shadow.does_nothing() => Comparison::Agree,
        _ => Comparison::Differ,
    }
}

fn side(trace: &Trace, heard: &Heard) -> Side {
    let failed = trace.decision == "error";
    Side {
        sha256: trace.sha256.clone(),
        decision: trace.decision.to_owned(),
        said: heard.said.clone().unwrap_or_default(),
        // Of a call that failed nothing is kept.
        kv: if failed { json!([]) } else { heard.writes.iter().map(write).collect() },
        fetches: heard.fetches.clone(),
        error: failed.then(|| json!({ "kind": trace.detail["kind"], "error": trace.detail["error"] })),
        took_us: trace.took_us,
    }
}

/// Within bounds, for keeping.
fn fitting(side: Side) -> Side {
    let short = |value: Value| {
        let text = value.to_string();
        if text.len() <= SIDE_BYTES_MAX {
            return value;
        }
        let known = json!({ "bytes": text.len(), "sha256": hex::encode(Sha256::digest(&text)) });
        if value.is_array() { json!([known]) } else { known }
    };
    Side { said: short(side.said), kv: short(side.kv), ..side }
}

fn write(write: &KvWrite) -> Value {
    let shown = |value: &KvValue| match value {
        KvValue::Text(text) => json!(text),
        KvValue::Bytes(bytes) => transcript::document(bytes),
    };
    match write {
        KvWrite::Set { key, value, ttl_ms } => {
            json!({ "op": "set", "key": key, "value": shown(value), "ttl_ms": ttl_ms })
        }
        KvWrite::Cas { key, value, ttl_ms, .. } => {
            json!({ "op": "cas", "key": key, "value": shown(value), "ttl_ms": ttl_ms })
        }
        KvWrite::Add { key, by, ttl_ms } => json!({ "op": "increment", "key": key, "by": by, "ttl_ms": ttl_ms }),
        KvWrite::Delete { key } => json!({ "op": "delete", "key": key }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(decision: &str, verdict: Value) -> Side {
        Side {
            sha256: "ab".into(),
            decision: decision.into(),
            said: json!({ "verdict": verdict, "effects": [] }),
            kv: json!([]),
            fetches: Vec::new(),
            error: None,
            took_us: 3,
        }
    }

    #[test]
    fn what_was_said_and_written_is_compared_and_not_how_long_it_took() {
        let pass = said("pass", json!("pass"));
        let slow = Side { took_us: 900, sha256: "cd".into(), ..pass.clone() };
        let drop = said("drop", json!({ "drop": "why" }));
        let broken = Side { error: Some(json!({ "kind": "trap" })), decision: "error".into(), ..pass.clone() };
        let wrote = Side { kv: json!([{ "op": "delete", "key": "k" }]), ..pass.clone() };

        assert_eq!(compare(Some(&pass), &slow), Comparison::Agree);
        assert_eq!(compare(Some(&pass), &drop), Comparison::Differ);
        assert_eq!(compare(Some(&pass), &wrote), Comparison::Differ);
        assert_eq!(compare(Some(&broken), &pass), Comparison::Differ);
        assert_eq!(compare(Some(&broken), &broken), Comparison::Failed);
        assert_eq!(compare(None, &pass), Comparison::Agree);
        assert_eq!(compare(None, &drop), Comparison::Differ);
    }

    #[test]
    fn room_is_bounded_and_given_back() {
        let taken = Arc::default();
        let most = Room::take(&taken, WAITING_BYTES_MAX);
        assert!(most.is_some() && Room::take(&taken, 1).is_none());

        drop(most);

        assert!(Room::take(&taken, 1).is_some());
        assert_eq!(taken.load(Ordering::Relaxed), 0);
        assert_eq!(bytes(&json!({ "ab": ["cde", null], "f": "g" })), 2 + 3 + 8 + 1 + 1);
    }

    #[test]
    fn what_is_too_long_to_keep_is_known_by_its_hash() {
        let long = said("drop", json!({ "drop": "x".repeat(SIDE_BYTES_MAX) }));

        let kept = fitting(long.clone());

        assert!(kept.said["bytes"].as_u64() > Some(SIDE_BYTES_MAX as u64), "{kept:?}");
        assert_eq!(kept.said, fitting(long).said);
        assert_eq!(fitting(said("pass", json!("pass"))).said["verdict"], "pass");
    }
}
