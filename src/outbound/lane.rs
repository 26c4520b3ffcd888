//! Sends what a connected device's outbox holds: in order within a chat, side by side across chats.
//!
//! A row is claimed (durably, so that attempts count across crashes), sent under the WhatsApp id it was born with, and
//! settled by what WhatsApp's server said. One turn of the store does both, for all that ended meanwhile. After a crash or a
//! lost connection, what was in hand is claimed again and sent again with the same id, which the server and the phone drop
//! if they had it.
//!
//! A message that no request brought is charged to its device's window when it is to be sent. Where there is no room it is put
//! back until there is, and its chat waits behind it.

use super::hand::{Hand, Next};
use crate::domain::allowance::Allowance;
use crate::domain::outgoing::{Content, Outcome, SEND_ATTEMPTS_MAX, Step, next_step};
use crate::limits::Limits;
use crate::store::{Ended, OutboxRow, Quotable, Said, Store, StoreError, Turn};
use crate::telemetry::metrics::Metrics;
use crate::whatsapp::{Along, Connected, Directory};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long until the outbox is looked at although nothing called for it.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(30);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// While something is being sent, the outbox is looked at for other chats' messages no more often than this.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) struct Lane {
    pub(super) store: Store,
    pub(super) limits: Arc<Limits>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) device: Connected,
    pub(super) stop: CancellationToken,
}

/// The end of one try.
struct Tried {
    row: OutboxRow,
    step: Step,
}

impl Lane {
    /// Until the device goes offline, changes hands, or the gateway stops; what is being sent then is waited for.
    pub(super) async fn run(self, directory: Directory) {
        let mut outbox = self.store.watch_outbox(&self.device.device);
        let mut changes = directory.changes();
        if !self.take_back(&directory).await {
            return;
        }
        let mut hand = Hand::default();
        let mut sending = FuturesUnordered::new();
        let mut ended: Vec<Ended> = Vec::new();
        // What the turn that is under way writes: it is written again if that fails.
        let mut writing: Vec<Ended> = Vec::new();
        let mut turn: Option<BoxFuture<'_, Result<Turn, StoreError>>> = None;
        let (mut looked_at, mut look_at, mut due_at) = (Instant::now(), Instant::now(), None);
        let mut paused_until = Instant::now();
        // What the tenant's file allows, as of the last look.
        let mut allowance = Allowance::default();
        loop {
            let going_on = !self.stop.is_cancelled() && directory.is_connected(&self.device);
            if !going_on && sending.is_empty() && ended.is_empty() && turn.is_none() {
                return;
            }
            let now = Instant::now();
            let room = if going_on && look_at <= now { hand.room() } else { 0 };
            if turn.is_none() && paused_until <= now && (room > 0 || !ended.is_empty()) {
                writing = std::mem::take(&mut ended);
                turn = Some(Box::pin(self.store.turn_outbox(&self.device.lease, writing.clone(), room, allowance)));
                if room > 0 {
                    (looked_at, look_at) = (now, now + SWEEP_EVERY);
                }
            }
            let idle = turn.is_none() && (!ended.is_empty() || going_on && hand.room() > 0);
            tokio::select! {
                result = async { match turn.as_mut() { Some(turn) => turn.await, None => pending().await } } => {
                    turn = None;
                    match result {
                        Ok(turn) if going_on => {
                            writing.clear();
                            if turn.more {
                                look_at = look_at.min(looked_at + LOOK_EVERY);
                            }
                            due_at = turn.next_at.or(due_at);
                            if let Some(now) = turn.allowance.filter(|now| *now != allowance) {
                                allowance = now;
                                // Who was told a time meanwhile was told it by other limits, and asks again.
                                for one in &mut ended {
                                    if let Ended::Waits { until, .. } = one {
                                        *until = 0;
                                    }
                                }
                            }
                            for row in hand.take(turn.claimed) {
                                match self.charged(row, &allowance, &mut hand, &mut ended) {
                                    Some(row) => sending.push(self.send(row)),
                                    None => look_at = Instant::now(),
                                }
                            }
                        }
                        Ok(turn) => {
                            writing.clear();
                            ended.extend(turn.claimed.into_iter().map(put_back));
                        }
                        Err(StoreError::Fenced) => return,
                        Err(error) => {
                            tracing::error!(device = %self.device.device, %error, "the outbox could not be read or written");
                            if !going_on {
                                return;
                            }
                            writing.append(&mut ended);
                            ended = std::mem::take(&mut writing);
                            paused_until = Instant::now() + PAUSE_AFTER_ERROR;
                            look_at = paused_until;
                        }
                    }
                }
                Some(Tried { row, step }) = sending.next(), if !sending.is_empty() => {
                    match hand.ended(&row.chat, &step, going_on) {
                        Next::Send(next) => match self.charged(*next, &allowance, &mut hand, &mut ended) {
                            Some(row) => sending.push(self.send(row)),
                            None => look_at = Instant::now(),
                        },
                        Next::Free { put_back: rows } => {
                            ended.extend(rows.into_iter().map(put_back));
                            look_at = Instant::now();
                        }
                    }
                    ended.push(Ended::Settled { id: row.id, attempt: row.attempts, step, random: rand::random() });
                }
                () = outbox.changed(), if going_on => {
                    let earliest = if sending.is_empty() { Instant::now() } else { looked_at + LOOK_EVERY };
                    look_at = look_at.min(earliest);
                }
                () = self.due(due_at), if going_on => {
                    due_at = None;
                    look_at = Instant::now();
                }
                () = sleep_until(look_at.max(paused_until)), if idle => {}
                // Some device came or went: whether it was this one is seen at the head of the loop.
                _ = changes.changed(), if going_on => {}
                () = self.stop.cancelled(), if going_on => {}
            }
        }
    }

    /// What an earlier life of this lane had in hand goes back to the queue; `false` when this one is over first.
    async fn take_back(&self, directory: &Directory) -> bool {
        while !self.stop.is_cancelled() && directory.is_connected(&self.device) {
            match self.store.requeue_claimed(&self.device.lease).await {
                Ok(_) => return true,
                Err(StoreError::Fenced) => return false,
                Err(error) => {
                    tracing::error!(device = %self.device.device, %error, "the outbox could not be read or written");
                    let _ = tokio::time::timeout(PAUSE_AFTER_ERROR, self.stop.cancelled()).await;
                }
            }
        }
        false
    }

    async fn due(&self, at: Option<i64>) {
        match at {
            Some(at) => self.store.clock().sleep_until(at).await,
            None => pending().await,
        }
    }

    /// The message, to be sent now; or nothing: there is no room for it in its window, and it is put back with what is behind
    /// it in its chat.
    fn charged(
        &self,
        row: OutboxRow,
        allowance: &Allowance,
        hand: &mut Hand,
        ended: &mut Vec<Ended>,
    ) -> Option<OutboxRow> {
        let Some(window) = row.content.send_kind().filter(|_| row.is_paced) else { return Some(row) };
        let Err(until) = self.limits.hand_over(window, &row.device, &row.id, allowance) else { return Some(row) };
        tracing::debug!(device = %row.device, message = %row.id, window = window.key(), until, "a message waits for its window");
        ended.extend(hand.waits(&row.chat).into_iter().map(put_back));
        ended.push(Ended::Waits { id: row.id, attempt: row.attempts, until, window });
        None
    }

    async fn send(&self, row: OutboxRow) -> Tried {
        let began = std::time::Instant::now();
        let outcome = match self.along(&row).await {
            Ok(along) => self.device.send(&row.wa_id, &row.chat, &row.content, &along).await,
            Err(outcome) => outcome,
        };
        self.metrics.send_attempt(name(&outcome), began.elapsed());
        let step = next_step(&outcome, row.attempts, SEND_ATTEMPTS_MAX);
        Tried { row, step }
    }

    /// What the store has of what the row refers to, or how the try ends without it.
    async fn along(&self, row: &OutboxRow) -> Result<Along, Outcome> {
        let unread = |error: StoreError| match error {
            StoreError::Fenced => Outcome::Unknown { detail: "another instance took over the device".into() },
            other => Outcome::Unknown { detail: format!("what the message refers to could not be read: {other}") },
        };
        let mut along = Along { quoted: self.quoted(row).await.map_err(unread)?, ..Along::default() };
        match &row.content {
            Content::Poll(poll) => {
                let secret = self.store.poll_secret(&self.device.lease, row, poll).await;
                along.poll_secret = Some(secret.map_err(unread)?);
            }
            Content::Forward { message_id, from, sender, .. } => {
                let (store, sender) = (&self.store, sender.as_deref());
                let source =
                    store.forwarded(&row.tenant, &row.device, from, message_id, sender).await.map_err(unread)?;
                let gone = || Outcome::Impossible { detail: "the message to forward is not kept any more".into() };
                let source = source.ok_or_else(gone)?;
                if let Said::Received { sender, .. } = &source.said {
                    let (chat, sender, id) = (from.clone(), sender.clone(), message_id.clone());
                    let file = store.received_file(&row.tenant, &row.device, chat, sender, id).await;
                    along.file = file.map_err(unread)?;
                }
                along.forwarded = Some(source);
            }
            Content::Delete { message_id, .. } if row.chat.is_status() => {
                let audience =
                    self.store.status_audience(&row.tenant, &row.device, message_id).await.map_err(unread)?;
                let gone = || Outcome::Impossible { detail: "whom the status post was for is not known".into() };
                along.audience = Some(audience.ok_or_else(gone)?);
            }
            Content::Edit { until, .. } if *until < self.store.clock().now_ms() => {
                let detail = "whatsapp's 15 minutes for an edit were over before it could be sent";
                return Err(Outcome::Impossible { detail: detail.into() });
            }
            _ => {}
        }
        Ok(along)
    }

    /// What the row quotes. A message that is not known is left out: the text goes out without a quote.
    async fn quoted(&self, row: &OutboxRow) -> Result<Option<Quotable>, StoreError> {
        let Some(id) = row.content.quotes() else { return Ok(None) };
        let chats = self.device.addresses(&row.chat).await;
        let quoted = self.store.quotable(&row.tenant, &row.device, chats, id).await?;
        if quoted.is_none() {
            tracing::info!(device = %row.device, message = %row.id, "a quoted message is not known and is left out");
        }
        Ok(quoted)
    }
}

fn put_back(row: OutboxRow) -> Ended {
    Ended::PutBack { id: row.id, attempt: row.attempts }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Acked => "acked",
        Outcome::Nacked { .. } => "nacked",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Impossible { .. } => "impossible",
    }
}
