//! What gathers on the way of one event, message, delivery or tick: what was written, logged, decided, sent.

use super::rehearsal::{Names, Rehearsal};
use super::{Entry, Pipeline, Standing};
use crate::domain::aftermath::{Aftermath, KvChanges, KvWrite, Trace};
use crate::domain::event::{Event, EventType};
use crate::plugins::bindings::types;
use crate::plugins::instance::{Answer, Ask, Failure};
use crate::plugins::manifest::Hook;
use crate::plugins::state::{Call, Document};
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
    /// What is said is kept, and ids have names.
    pub(super) rehearsal: Option<Rehearsal>,
}

/// A call that decided; what it wrote is kept only once its decision is accepted.
pub(super) struct Told {
    pub(super) answer: Answer,
    pub(super) writes: Vec<KvWrite>,
    pub(super) took: Duration,
}

impl Run {
    pub(super) fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), aftermath: Aftermath::default(), dry: false, rehearsal: None }
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
        let version = match &entry.state {
            Standing::Serving(version) => version,
            Standing::Broken(failure) => {
                if !self.dry {
                    pipeline.metrics.plugin_call(pipeline.tenant.as_str(), &entry.name, hook.as_str(), "unusable", 0.0);
                }
                return Err((failure.clone(), Duration::ZERO));
            }
        };
        let mut call = Call::new(self.subject.clone(), document);
        call.earlier = self.written_by(&entry.name);
        call.shadow = self.dry;
        let called = if self.dry { version.try_out(ask, call).await } else { version.call(ask, call).await };
        let room = LINES_PER_RUN_MAX.saturating_sub(self.aftermath.lines.len());
        self.aftermath.lines.extend(called.call.lines.take().into_iter().take(room));
        if !self.dry {
            let outcome = called.answer.as_ref().err().map_or("decided", Failure::kind);
            let seconds = called.took.as_secs_f64();
            pipeline.metrics.plugin_call(pipeline.tenant.as_str(), &entry.name, hook.as_str(), outcome, seconds);
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
    fn written_by(&self, plugin: &str) -> Vec<KvWrite> {
        let own = self.aftermath.kv.iter().filter(|changes| changes.plugin == plugin);
        own.flat_map(|changes| changes.writes.iter().cloned()).collect()
    }

    /// A decision that is followed: what its call wrote is kept, and the plugin is well.
    pub(super) fn accept(&mut self, entry: &Entry, writes: Vec<KvWrite>) {
        if let Some(version) = entry.version().filter(|_| !self.dry) {
            version.accepted();
        }
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
            shadow: false,
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
        pipeline.metrics.plugin_refused(pipeline.tenant.as_str(), &entry.name);
        if let Some(version) = entry.version()
            && version.refused(failure)
        {
            self.say_tripped(pipeline, entry, Some(failure));
        }
    }

    fn say_tripped(&mut self, pipeline: &Pipeline, entry: &Entry, failure: Option<&Failure>) {
        let data = json!({
            "plugin": entry.name,
            "sha256": entry.sha256(),
            "reason": failure.map(ToString::to_string),
            "retryInSeconds": entry.settings.limits.tripped_s,
        });
        let now = pipeline.store.clock().now_ms();
        self.aftermath.events.push(Event::new(pipeline.tenant.clone(), None, EventType::PluginTripped, now, data));
    }
}
