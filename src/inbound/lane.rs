//! What waits of one tenant, chat by chat: in the order of arrival within a chat, side by side across chats.
//!
//! A row is done in one transaction with its event and all that plugins left behind. A crash at any point leaves it either
//! new, to be run again with the same ids, or done; nothing is lost and nothing is twice.

use super::reading::event_of;
use crate::domain::aftermath::Aftermath;
use crate::domain::event::Event;
use crate::domain::ids::{DeviceId, TenantId};
use crate::plugins::Plugins;
use crate::plugins::manifest::Hook;
use crate::plugins::pipeline::{Passed, Pipeline};
use crate::store::{InboxRow, Store, StoreError, Topic};
use crate::telemetry::metrics::Metrics;
use futures_util::future::join_all;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, unconstrained};
use tokio_util::sync::CancellationToken;

/// Rows taken at once: one read, and commits that the store's writer groups.
const BATCH_ROWS_MAX: u32 = 128;
/// Chats of one tenant at the plugins at once.
const CHATS_AT_ONCE_MAX: usize = 32;
/// Chats that wait because a plugin asked for time; of more, a plugin that asks for time has failed.
const CHATS_HELD_MAX: usize = 256;
/// Times a plugin may ask for time for one event.
const TRIES_MAX: u32 = 10;
/// Times a call is run again because a value it relied on had changed; then the store's order decides in a last one.
const RERUNS_MAX: u32 = 20;
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Lane {
    pub(super) store: Store,
    pub(super) plugins: Plugins,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
}

type Chat = (DeviceId, String);

/// How one chat's turn ended.
enum Turn {
    Done,
    /// Its first row waits; what is behind it waits too.
    Held(Duration),
    Failed(StoreError),
}

/// A chat whose first row a plugin wants later.
struct Held {
    until: tokio::time::Instant,
    tries: u32,
}

impl Lane {
    /// Until nothing waits any more.
    pub(super) async fn run(self, tenant: TenantId) {
        let mut inbox = self.store.watch(Topic::Inbox);
        let mut turns: JoinSet<(Chat, Turn)> = JoinSet::new();
        let mut in_hand: HashMap<Chat, u32> = HashMap::new();
        let mut held: HashMap<Chat, Held> = HashMap::new();
        while !self.stop.is_cancelled() {
            let now = tokio::time::Instant::now();
            let due = |waiting: &Held| waiting.until <= now;
            let waiting: Vec<Chat> = held.iter().filter(|(_, held)| !due(held)).map(|(chat, _)| chat.clone()).collect();
            let except = in_hand.keys().cloned().chain(waiting).collect();
            let room = CHATS_AT_ONCE_MAX.saturating_sub(turns.len());
            let rows = if room == 0 { Ok(Vec::new()) } else { self.readable(&tenant, except).await };
            let mut pause = None;
            match rows {
                Ok(rows) if !rows.is_empty() => {
                    let pipeline = self.plugins.pipeline(&tenant).filter(|pipeline| pipeline.has(Hook::Inbound));
                    if pipeline.is_none() && turns.is_empty() {
                        if let Err(error) = self.without_plugins(&rows).await {
                            pause = Some(self.failed(&tenant, &error));
                        } else {
                            continue;
                        }
                    } else {
                        for (chat, rows) in by_chat(rows).into_iter().take(room) {
                            let tries = held.remove(&chat).map_or(0, |held| held.tries);
                            let patient = held.len() < CHATS_HELD_MAX && tries < TRIES_MAX;
                            in_hand.insert(chat.clone(), tries);
                            let lane = self.clone();
                            turns.spawn(async move { (chat, lane.turn(rows, patient).await) });
                        }
                    }
                }
                Ok(_) if turns.is_empty() && held.is_empty() => return,
                Ok(_) => {}
                Err(error) => pause = Some(self.failed(&tenant, &error)),
            }
            let next_held = held.values().map(|held| held.until).min();
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(ended) = turns.join_next() => self.ended(ended, &tenant, &mut in_hand, &mut held),
                () = inbox.changed(), if turns.len() < CHATS_AT_ONCE_MAX && pause.is_none() => {}
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                () = tokio::time::sleep_until(next_held.unwrap_or_else(tokio::time::Instant::now)), if next_held.is_some() => {}
            }
        }
        // What is in hand is bounded by the time of its calls.
        while turns.join_next().await.is_some() {}
    }

    /// What waits. A row that does not read is set aside at once, so that nobody waits behind it.
    async fn readable(&self, tenant: &TenantId, except: Vec<Chat>) -> Result<Vec<InboxRow>, StoreError> {
        loop {
            let waiting = self.store.waiting(tenant, except.clone(), BATCH_ROWS_MAX).await?;
            for seq in &waiting.unreadable {
                tracing::error!(%tenant, seq, "a row of the inbox does not read and is set aside");
                self.store.set_aside_inbound(*seq).await?;
            }
            // Nothing but such rows: there may be more behind them.
            if !waiting.rows.is_empty() || waiting.unreadable.is_empty() {
                return Ok(waiting.rows);
            }
        }
    }

    fn ended(
        &self,
        ended: Result<(Chat, Turn), tokio::task::JoinError>,
        tenant: &TenantId,
        in_hand: &mut HashMap<Chat, u32>,
        held: &mut HashMap<Chat, Held>,
    ) {
        match ended {
            Ok((chat, turn)) => {
                let tries = in_hand.remove(&chat).unwrap_or(0);
                let (wait, tries) = match turn {
                    Turn::Done => return,
                    Turn::Held(wait) => (wait, tries + 1),
                    Turn::Failed(error) => (self.failed(tenant, &error), tries),
                };
                held.insert(chat, Held { until: tokio::time::Instant::now() + wait, tries });
            }
            // Which chat it was is lost with it: every chat may be looked at again, and what is done stays done.
            Err(error) => {
                tracing::error!(%tenant, %error, "a turn of the inbox ended badly");
                in_hand.clear();
            }
        }
    }

    fn failed(&self, tenant: &TenantId, error: &StoreError) -> Duration {
        tracing::error!(%tenant, %error, "what waits in the inbox could not be processed");
        PAUSE_AFTER_ERROR
    }

    /// Without a plugin in the way, rows are handed to the one writer in their order, so that the log keeps it.
    /// Unconstrained, because what tokio puts off when a task's budget is spent it wakes in reverse.
    async fn without_plugins(&self, rows: &[InboxRow]) -> Result<(), StoreError> {
        let began = Instant::now();
        let commits = rows.iter().map(|row| self.complete(row, event_of(row), Aftermath::default(), false));
        unconstrained(join_all(commits)).await.into_iter().collect::<Result<(), _>>()?;
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let each = began.elapsed() / count.max(1);
        rows.iter().for_each(|_| self.metrics.inbound_processed(each));
        Ok(())
    }

    /// One chat's rows, one after another. Only the first may have been tried before.
    async fn turn(&self, rows: Vec<InboxRow>, mut patient: bool) -> Turn {
        for row in rows {
            if self.stop.is_cancelled() {
                return Turn::Done;
            }
            let began = Instant::now();
            match self.process(&row, patient).await {
                Ok(None) => self.metrics.inbound_processed(began.elapsed()),
                Ok(Some(wait)) => return Turn::Held(wait),
                Err(error) => return Turn::Failed(error),
            }
            patient = true;
        }
        Turn::Done
    }

    /// `Some`: a plugin wants it later.
    async fn process(&self, row: &InboxRow, patient: bool) -> Result<Option<Duration>, StoreError> {
        for _ in 0..RERUNS_MAX {
            // Looked up anew each time: a run belongs to the version that serves when it begins.
            let pipeline = self.plugins.pipeline(&row.tenant);
            let (event, aftermath, redacted) = match through(pipeline.as_deref(), event_of(row), patient).await {
                Ok(decided) => decided,
                Err(wait) => return Ok(Some(wait)),
            };
            match self.complete(row, event, aftermath, redacted).await {
                Err(StoreError::Moved) => {}
                other => return other.map(|()| None),
            }
        }
        tracing::warn!(tenant = %row.tenant, seq = row.seq, "a plugin's values change too often; the event waits");
        Ok(Some(PAUSE_AFTER_ERROR))
    }

    async fn complete(
        &self,
        row: &InboxRow,
        event: Event,
        aftermath: Aftermath,
        redacted: bool,
    ) -> Result<(), StoreError> {
        self.store.complete_inbound(row, vec![event], aftermath, redacted).await
    }
}

async fn through(
    pipeline: Option<&Pipeline>,
    event: Event,
    patient: bool,
) -> Result<(Event, Aftermath, bool), Duration> {
    let Some(pipeline) = pipeline.filter(|_| event.passes_plugins()) else {
        return Ok((event, Aftermath::default(), false));
    };
    match pipeline.on_event(event, !patient).await {
        Passed::Decided(decided) => Ok((decided.event, decided.aftermath, decided.redacted)),
        Passed::Later(wait) => Err(wait),
    }
}

/// In the order of each chat's first row.
fn by_chat(rows: Vec<InboxRow>) -> Vec<(Chat, Vec<InboxRow>)> {
    let mut chats: Vec<(Chat, Vec<InboxRow>)> = Vec::new();
    let mut places: HashMap<Chat, usize> = HashMap::new();
    for row in rows {
        let chat = (row.device.clone(), row.chat.clone());
        let place = *places.entry(chat.clone()).or_insert_with(|| {
            chats.push((chat, Vec::new()));
            chats.len() - 1
        });
        chats[place].1.push(row);
    }
    chats
}
