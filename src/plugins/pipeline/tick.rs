//! A tick of a plugin's schedule.

use super::run::Run;
use super::shadow::What;
use super::{Entry, Pipeline};
use crate::domain::aftermath::Aftermath;
use crate::domain::clock::UnixMs;
use crate::plugins::bindings::scheduled::Effect;
use crate::plugins::instance::{Answer, Ask, Failure};
use crate::plugins::manifest::Hook;
use crate::plugins::state::Document;
use serde_json::json;
use std::time::Duration;

const WAIT_MS: u64 = 1_000;
const WAIT_MS_MAX: u64 = 300_000;

/// What became of a tick.
pub enum Ticked {
    /// Committed with the mark that the tick is done; a failure too, so that it is told once and not tried for ever.
    Done(Aftermath),
    Later(Duration),
}

impl Pipeline {
    /// The schedules of every plugin: its name, the schedule's name, its cron text. Those that only a shadow has are among
    /// them; of one that both have, the serving version says when.
    pub fn schedules(&self) -> Vec<(String, String, String)> {
        let mut all: Vec<(String, String, String)> = Vec::new();
        let shadows = self.trials.iter().filter(|on| on.shadow.is_some()).map(|on| &on.candidate);
        for entry in self.entries.iter().chain(shadows) {
            for (name, cron) in schedules(entry) {
                if !all.iter().any(|(plugin, known, _)| *plugin == entry.name && known == name) {
                    all.push((entry.name.clone(), name.clone(), cron.clone()));
                }
            }
        }
        all
    }

    /// Runs one tick. The same `scheduled_for` gives the same ids.
    pub async fn tick(&self, plugin: &str, name: &str, scheduled_for: UnixMs, last_try: bool) -> Ticked {
        let mut run = Run::new(format!("tick:{name}:{scheduled_for}"));
        let has = |entry: &Entry| schedules(entry).any(|(known, _)| known == name);
        let place = self.place_of(plugin);
        let asked = place.is_some_and(|place| has(&self.entries[place]));
        let watched = place.and_then(|place| {
            let (_, shadow) = self.shadow_at(place).filter(|(shadow, _)| has(shadow))?;
            let what = What::Tick { name: name.to_owned(), scheduled_for };
            Some(run.watch(shadow, &self.entries[place], what, String::new()))
        });
        if asked && let Some(wait) = self.run_tick(&mut run, plugin, name, scheduled_for, last_try).await {
            return Ticked::Later(wait);
        }
        if let Some(watched) = watched {
            run.watched(watched, asked);
        }
        self.show_shadows(&mut run);
        Ticked::Done(run.aftermath)
    }

    /// How long it wants to wait, when it asks for time.
    pub(super) async fn run_tick(
        &self,
        run: &mut Run,
        plugin: &str,
        name: &str,
        scheduled_for: UnixMs,
        last_try: bool,
    ) -> Option<Duration> {
        let found = self.entries.iter().enumerate().find(|(_, entry)| entry.name == plugin);
        let (place, entry) = found.filter(|(_, entry)| entry.has(Hook::Scheduled))?;
        let unsigned = |at: UnixMs| u64::try_from(at).unwrap_or(0);
        let now = unsigned(self.store.clock().now_ms());
        let ask = Ask::Tick { name, scheduled_for: unsigned(scheduled_for), now };
        let document = Document::new(serde_json::Value::Null);
        match run.ask(self, entry, Hook::Scheduled, ask, document).await {
            Ok(told) => {
                let Answer::Tick(effects) = told.answer else { return None };
                match self.follow_tick(run, place, scheduled_for, &effects).await {
                    Ok(tells) => {
                        run.accept(entry, told.writes);
                        run.trace(self, entry, Hook::Scheduled, "tick", json!({ "effects": tells }), told.took);
                    }
                    Err(failure) => {
                        run.refuse(self, entry, &failure);
                        run.trace_failure(self, entry, Hook::Scheduled, &failure, "skip", told.took);
                    }
                }
            }
            Err((Failure::Temporary { retry_after_ms, .. }, _)) if !last_try => {
                let wait = retry_after_ms.unwrap_or(WAIT_MS).clamp(1, WAIT_MS_MAX);
                return Some(Duration::from_millis(wait));
            }
            Err((failure, took)) => run.trace_failure(self, entry, Hook::Scheduled, &failure, "skip", took),
        }
        None
    }

    async fn follow_tick(
        &self,
        run: &mut Run,
        place: usize,
        at: UnixMs,
        effects: &[Effect],
    ) -> Result<Vec<serde_json::Value>, Failure> {
        let mut sends = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Send(new) => sends.push(new),
                Effect::Other(other) => {
                    let why = format!("this version of the gateway knows no effect {:?}", other.name);
                    return Err(Failure::refused(why));
                }
            }
        }
        self.tick_sends(run, place, at, &sends).await
    }
}

/// Name and cron text of each; none when it is not to be called for them.
fn schedules(entry: &Entry) -> impl Iterator<Item = (&String, &String)> {
    let version = entry.version().filter(|_| entry.has(Hook::Scheduled));
    version.into_iter().flat_map(|version| version.manifest.hooks.scheduled.iter())
}
