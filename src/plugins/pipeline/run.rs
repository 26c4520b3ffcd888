//! What gathers on the way of one event, message, delivery or tick: what was written, logged, decided, sent.

use super::rehearsal::{Names, Rehearsal};
use super::shadow::{Heard, Waiting};
use super::{Entry, Pipeline, Standing};
use crate::domain::aftermath::{Aftermath, KvChanges, KvWrite, Trace};
use crate::domain::event::{Event, EventType};
use crate::domain::trial::TrialMode;
use crate::plugins::bindings::types;
use crate::plugins::instance::{Answer, Ask, Failure};
use crate::plugins::manifest::Hook;
use crate::plugins::state::{Call, Document, Reads, Recorder};
use crate::plugins::transcript;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Log lines that one run keeps in all; a pipeline of many plugins stays within bounds of its own.
const LINES_PER_RUN_MAX: usize = 1_000;

pub(super) struct Run {
    /// The event, message, delivery or tick.
    pub(super) subject: String,
    pub(super) aftermath: Aftermath,
    /// Nothing of it is done, and nothing of it counts.
    pub(super) dry: bool,
    /// It is a shadow's own: nothing of it is done, and it counts for the shadow.
    pub(super) shadow: bool,
    /// What is said is kept, and ids have names.
    pub(super) rehearsal: Option<Rehearsal>,
    /// Values as the call beside a shadow's read them.
    given: Arc<Reads>,
    /// Whether what the next call says is kept, in the last of `heard`.
    listening: bool,
    /// Calls whose words are kept, the innermost last: a message of a call passes plugins before the call is done.
    heard: Vec<Heard>,
    /// What shadows are to see once the run has decided.
    pub(super) waiting: Vec<Waiting>,
}

/// A call that decided; what it wrote is kept only once its decision is accepted.
pub(super) struct Told {
    pub(super) answer: Answer,
    pub(super) writes: Vec<KvWrite>,
    pub(super) took: Duration,
}

impl Run {
    pub(super) fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            aftermath: Aftermath::default(),
            dry: false,
            shadow: false,
            rehearsal: None,
            given: Arc::default(),
            listening: false,
            heard: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// A shadow's, with the values as the call beside it found them.
    pub(super) fn shadow(subject: impl Into<String>, given: Reads) -> Self {
        Self { shadow: true, given: Arc::new(given), ..Self::new(subject) }
    }

    /// Whether shadows are to see what passes in this run.
    pub(super) fn is_live(&self) -> bool {
        !self.dry && !self.shadow && self.rehearsal.is_none()
    }

    /// Keeps the words of the next call.
    pub(super) fn listen(&mut self) {
        self.heard.push(Heard::default());
        self.listening = true;
    }

    /// What was heard since the last [`Run::listen`] that was not answered yet.
    pub(super) fn heard(&mut self) -> Heard {
        self.listening = false;
        self.heard.pop().unwrap_or_default()
    }

    pub(super) fn dry(subject: impl Into<String>) -> Self {
        Self { dry: true, ..Self::new(subject) }
    }

    pub(super) fn rehearsal(subject: impl Into<String>, names: Names) -> Self {
        Self { rehearsal: Some(Rehearsal { names, ..Rehearsal::default() }), ..Self::new(subject) }
    }

    /// An event as the plugin sees it.
    pub(super) fn named(&self, event: types::Event) -> types::Event {
        match &self.rehearsal {
            Some(rehearsal) => rehearsal.named(event),
            None => event,
        }
    }

    /// The id, or slug, of a device that a plugin names.
    pub(super) fn device<'a>(&'a self, name: &'a str) -> &'a str {
        let known = self.rehearsal.as_ref().and_then(|rehearsal| rehearsal.names.devices.get(name));
        known.map_or(name, |device| device.as_str())
    }

    /// Asks one plugin. Its log lines are kept however it ends.
    pub(super) async fn ask(
        &mut self,
        pipeline: &Pipeline,
        entry: &Entry,
        hook: Hook,
        ask: Ask<'_>,
        document: Arc<Document>,
    ) -> Result<Told, (Failure, Duration)> {
        let listening = std::mem::take(&mut self.listening);
        let version = match &entry.state {
            Standing::Serving(version) => version,
            Standing::Absent => return Err((Failure::Unusable("nothing serves in its place".into()), Duration::ZERO)),
            Standing::Broken(failure) => {
                if !self.dry {
                    pipeline.metrics.plugin_call(pipeline.tenant.as_str(), &entry.name, hook.as_str(), "unusable", 0.0);
                }
                return Err((failure.clone(), Duration::ZERO));
            }
        };
        let mut call = Call::new(self.subject.clone(), document);
        call.earlier = self.written_by(&entry.name);
        call.shadow = self.dry || self.shadow;
        call.given = self.given.clone();
        call.recorder = (listening && !self.shadow).then(Recorder::default);
        let mut called = if self.dry { version.try_out(ask, call).await } else { version.call(ask, call).await };
        if listening && let Some(heard) = self.heard.last_mut() {
            heard.said = called.answer.as_ref().ok().map(transcript::answer);
            heard.writes.clone_from(&called.call.writes);
            heard.fetches = std::mem::take(&mut called.call.fetched);
            heard.reads = called.call.recorder.take().map(Recorder::into_reads).unwrap_or_default();
        }
        let room = LINES_PER_RUN_MAX.saturating_sub(self.aftermath.lines.len());
        self.aftermath.lines.extend(called.call.lines.take().into_iter().take(room));
        if !self.dry {
            let outcome = called.answer.as_ref().err().map_or("decided", Failure::kind);
            let tenant = pipeline.tenant.as_str();
            if let Some(mode) = entry.mode {
                let sha256 = &version.home.sha256;
                pipeline.metrics.plugin_candidate_call(tenant, &entry.name, sha256, mode.as_str(), outcome);
            }
            if !self.shadow {
                let seconds = called.took.as_secs_f64();
                pipeline.metrics.plugin_call(tenant, &entry.name, hook.as_str(), outcome, seconds);
            }
        }
        if called.tripped_now {
            self.say_tripped(pipeline, entry, called.answer.as_ref().err());
        }
        match called.answer {
            Ok(answer) => {
                if let Some(rehearsal) = &mut self.rehearsal {
                    rehearsal.said = Some(transcript::answer(&answer));
                }
                Ok(Told { answer, writes: called.call.writes, took: called.took })
            }
            Err(failure) => Err((failure, called.took)),
        }
    }

    /// What this plugin wrote before in this run.
    pub(super) fn written_by(&self, plugin: &str) -> Vec<KvWrite> {
        let own = self.aftermath.kv.iter().filter(|changes| changes.plugin == plugin);
        own.flat_map(|changes| changes.writes.iter().cloned()).collect()
    }

    /// A decision that is followed: what its call wrote is kept, and the plugin is well.
    pub(super) fn accept(&mut self, entry: &Entry, writes: Vec<KvWrite>) {
        if let Some(version) = entry.version().filter(|_| !self.dry) {
            version.accepted();
        }
        self.keep(entry, writes);
    }

    /// What a plugin wrote, for its later calls in this run and for the commit.
    pub(super) fn keep(&mut self, entry: &Entry, writes: Vec<KvWrite>) {
        if writes.is_empty() {
            return;
        }
        let limits = &entry.settings.limits;
        self.aftermath.kv.push(KvChanges {
            plugin: entry.name.clone(),
            keys_max: u64::from(limits.kv_keys),
            bytes_max: u64::from(limits.kv_kib) << 10,
            writes,
        });
    }

    pub(super) fn trace(
        &mut self,
        pipeline: &Pipeline,
        entry: &Entry,
        hook: Hook,
        decision: &'static str,
        detail: Value,
        took: Duration,
    ) {
        self.aftermath.traces.push(Trace {
            plugin: entry.name.clone(),
            sha256: entry.sha256(),
            hook: hook.as_str(),
            subject: self.subject.clone(),
            decision,
            shadow: self.shadow,
            detail,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            at: pipeline.store.clock().now_ms(),
        });
    }

    /// The trace of a call that did not decide, with what follows from it.
    pub(super) fn trace_failure(
        &mut self,
        pipeline: &Pipeline,
        entry: &Entry,
        hook: Hook,
        failure: &Failure,
        follows: &str,
        took: Duration,
    ) {
        if let Some(rehearsal) = &mut self.rehearsal {
            rehearsal.failure = Some(failure.clone());
        }
        let detail = json!({ "kind": failure.kind(), "error": failure.to_string(), "onError": follows });
        self.trace(pipeline, entry, hook, "error", detail, took);
    }

    /// A decision that was made and cannot be followed counts as a failure of the plugin.
    pub(super) fn refuse(&mut self, pipeline: &Pipeline, entry: &Entry, failure: &Failure) {
        if self.dry {
            return;
        }
        if !self.shadow {
            pipeline.metrics.plugin_refused(pipeline.tenant.as_str(), &entry.name);
        }
        if let Some(version) = entry.version()
            && version.refused(failure)
        {
            self.say_tripped(pipeline, entry, Some(failure));
        }
    }

    fn say_tripped(&mut self, pipeline: &Pipeline, entry: &Entry, failure: Option<&Failure>) {
        let reason = failure.map(ToString::to_string);
        let mut data = json!({
            "plugin": entry.name,
            "sha256": entry.sha256(),
            "reason": reason,
            "retryInSeconds": entry.settings.limits.tripped_s,
        });
        if let Some(mode) = entry.mode {
            data["mode"] = json!(mode.as_str());
            data["weight"] = json!(mode.weight());
        }
        let now = pipeline.store.clock().now_ms();
        let event = |data| Event::new(pipeline.tenant.clone(), None, EventType::PluginTripped, now, data);
        if matches!(entry.mode, Some(TrialMode::Canary { .. })) {
            // It is not tried again by itself: its chats would change their version back and forth.
            data["retryInSeconds"] = Value::Null;
            pipeline.halt(entry, reason.unwrap_or_default(), event(data));
            return;
        }
        self.aftermath.events.push(event(data));
    }
}
