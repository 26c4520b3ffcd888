//! An event on its way from the inbox to the log.

use super::run::Run;
use super::shadow::What;
use super::{Entry, Pipeline, chat_of};
use crate::domain::aftermath::Aftermath;
use crate::domain::event::{Dropped, Event};
use crate::plugins::bindings::inbound::{self, Verdict};
use crate::plugins::convert;
use crate::plugins::instance::{Answer, Ask, Failure};
use crate::plugins::manifest::Hook;
use crate::plugins::settings::InboundError;
use crate::plugins::state::Document;
use serde_json::json;
use std::time::Duration;

const REASON_CHARS_MAX: usize = 500;
/// How long an event waits when a plugin says "later" and not when, and at the most.
const WAIT_MS: u64 = 1_000;
const WAIT_MS_MAX: u64 = 300_000;

/// What became of an event.
pub enum Passed {
    Decided(Box<Decided>),
    /// A plugin asked for time. Nothing of this run is kept.
    Later(Duration),
}

pub struct Decided {
    pub event: Event,
    pub aftermath: Aftermath,
    /// What was said was replaced: it has to go from the raw form too.
    pub redacted: bool,
}

impl Pipeline {
    /// Takes an event through every plugin that wants it. With `last_try` a plugin that asks for time has failed.
    pub async fn on_event(&self, event: Event, last_try: bool) -> Passed {
        let mut run = Run::new(event.id.as_str());
        let way = self.way(chat_of(&event).as_deref());
        match way.pass_inbound(&mut run, event, last_try).await {
            Ok((event, redacted)) => {
                self.show_shadows(&mut run);
                Passed::Decided(Box::new(Decided { event, aftermath: run.aftermath, redacted }))
            }
            Err(wait) => Passed::Later(wait),
        }
    }

    /// The event as it comes out, and whether what was said was replaced; or how long a plugin wants it to wait.
    pub(super) async fn pass_inbound(
        &self,
        run: &mut Run,
        mut event: Event,
        last_try: bool,
    ) -> Result<(Event, bool), Duration> {
        let mut redacted = false;
        for (place, entry) in self.entries.iter().enumerate() {
            let asked = entry.wants(event.type_);
            let shadow = self.shadow_at(place).filter(|(shadow, _)| run.is_live() && shadow.wants(event.type_));
            let seen = shadow.map(|(_, shadow)| run.watch(shadow, entry, What::Event(event.clone()), String::new()));
            if asked {
                (event, redacted) = self.step(run, place, event, redacted, last_try).await?;
            }
            if let Some(seen) = seen {
                run.watched(seen, asked);
            }
            if event.dropped.is_some() {
                break;
            }
        }
        Ok((event, redacted))
    }

    /// The event after the plugin at this place, or how long it wants it to wait.
    async fn step(
        &self,
        run: &mut Run,
        place: usize,
        mut event: Event,
        mut redacted: bool,
        last_try: bool,
    ) -> Result<(Event, bool), Duration> {
        let entry = &self.entries[place];
        let seen = run.named(convert::event(&event));
        let document = Document::new(event.data.clone());
        match run.ask(self, entry, Hook::Inbound, Ask::Event(&seen), document).await {
            Ok(told) => {
                let Answer::Event(outcome) = told.answer else { return Ok((event, redacted)) };
                match self.follow(run, place, &event, &outcome).await {
                    Ok((after, effects)) => {
                        run.accept(entry, told.writes);
                        let detail = json!({ "effects": effects, "reason": reason(&outcome.verdict) });
                        run.trace(self, entry, Hook::Inbound, decision(&outcome.verdict), detail, told.took);
                        redacted |= matches!(&outcome.verdict, Verdict::Patch(p) if convert::replaces_content(p));
                        event = after;
                    }
                    Err(failure) => {
                        run.refuse(self, entry, &failure);
                        failed(self, run, entry, &mut event, &failure, told.took);
                    }
                }
            }
            Err((failure @ Failure::Temporary { .. }, took)) if !last_try => {
                run.trace_failure(self, entry, Hook::Inbound, &failure, "later", took);
                let wait = failure.retry_after_ms().unwrap_or(WAIT_MS).clamp(1, WAIT_MS_MAX);
                return Err(Duration::from_millis(wait));
            }
            Err((failure, took)) => failed(self, run, entry, &mut event, &failure, took),
        }
        Ok((event, redacted))
    }

    /// The event after a decision, and what is told of its effects. Nothing of the run changes when it cannot be followed.
    async fn follow(
        &self,
        run: &mut Run,
        place: usize,
        event: &Event,
        outcome: &inbound::Outcome,
    ) -> Result<(Event, Vec<serde_json::Value>), Failure> {
        let mut after = event.clone();
        match &outcome.verdict {
            Verdict::Pass => {}
            Verdict::Patch(patch) => {
                after.data =
                    convert::patched(after.data, patch).map_err(|error| Failure::Permanent(error.to_string()))?;
            }
            Verdict::Drop(why) => {
                let why = why.chars().take(REASON_CHARS_MAX).collect();
                after.dropped = Some(Dropped { by: self.entries[place].name.clone(), why });
            }
        }
        let (effects, route) = self.effects(run, place, event, &outcome.effects).await?;
        if let Some(names) = route {
            after.route = Some(match after.route {
                Some(before) => before.into_iter().filter(|name| names.contains(name)).collect(),
                None => names,
            });
        }
        Ok((after, effects))
    }
}

fn failed(pipeline: &Pipeline, run: &mut Run, entry: &Entry, event: &mut Event, failure: &Failure, took: Duration) {
    let follows = match entry.settings.on_error.inbound {
        InboundError::Pass => "pass",
        InboundError::Drop => {
            event.dropped = Some(Dropped { by: entry.name.clone(), why: failure.to_string() });
            "drop"
        }
    };
    run.trace_failure(pipeline, entry, Hook::Inbound, failure, follows, took);
}

fn decision(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Patch(_) => "patch",
        Verdict::Drop(_) => "drop",
    }
}

fn reason(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Drop(why) => Some(why.chars().take(REASON_CHARS_MAX).collect()),
        _ => None,
    }
}
