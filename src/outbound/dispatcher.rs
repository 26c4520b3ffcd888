//! Sends what the outbox holds, one lane per connected device: in order within a chat, side by side across chats.
//!
//! A row is claimed (durably, so that attempts count across crashes), sent under the WhatsApp id it was born with, and
//! settled by what WhatsApp's server said. After a crash or a lost connection, what was in hand is claimed again and sent
//! again with the same id, which the server and the phone drop if they had it.

use crate::domain::ids::DeviceId;
use crate::domain::outgoing::{Content, Outcome, SEND_ATTEMPTS_MAX, Step, next_step};
use crate::store::{OutboxRow, Quotable, Said, Settled, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::whatsapp::{Along, Connected, Directory};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Rows one claim takes in hand; a kill then repeats at most these.
const CLAIM_ROWS_MAX: u32 = 64;
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Runs until `stop`; sends in flight are waited for.
pub async fn run(store: Store, directory: Directory, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut changes = directory.changes();
    let mut lanes: HashMap<DeviceId, (Connected, JoinHandle<()>)> = HashMap::new();
    while !stop.is_cancelled() {
        let connected = directory.connected();
        metrics.devices_connected.set(i64::try_from(connected.len()).unwrap_or(i64::MAX));
        lanes.retain(|_, (_, lane)| !lane.is_finished());
        for device in connected {
            // A new connection gets a lane of its own at once, though the old one's may still wait for a dead send.
            if lanes.get(&device.device).is_some_and(|(served, _)| served.is_same_connection(&device)) {
                continue;
            }
            let (id, served) = (device.device.clone(), device.clone());
            let lane = Lane { store: store.clone(), metrics: metrics.clone(), device, stop: stop.clone() };
            lanes.insert(id, (served, tokio::spawn(lane.run(directory.clone()))));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            // The directory outlives this loop.
            _ = changes.changed() => {}
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
    }
    for (_, lane) in lanes.into_values() {
        if let Err(error) = lane.await {
            tracing::error!(%error, "a lane ended badly");
        }
    }
}

struct Lane {
    store: Store,
    metrics: Arc<Metrics>,
    device: Connected,
    stop: CancellationToken,
}

impl Lane {
    /// Until the device goes offline, changes hands, or the gateway stops.
    async fn run(self, directory: Directory) {
        let mut outbox = self.store.watch_outbox(&self.device.device);
        let mut changes = directory.changes();
        let mut taken_back = false;
        while !self.stop.is_cancelled() && self.online(&directory) {
            let wait = match self.turn(&mut taken_back).await {
                Ok(wait) => wait,
                Err(StoreError::Fenced) => return,
                Err(error) => {
                    tracing::error!(device = %self.device.device, %error, "the outbox could not be read or written");
                    PAUSE_AFTER_ERROR
                }
            };
            let until = tokio::time::Instant::now() + wait;
            loop {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = outbox.changed() => break,
                    () = tokio::time::sleep_until(until) => break,
                    // Some device came or went: this one's connection is looked at, its rows are not.
                    _ = changes.changed() => if !self.online(&directory) { return },
                }
            }
        }
    }

    /// Once, what an earlier life of this lane had in hand goes back to the queue; then everything due is sent.
    async fn turn(&self, taken_back: &mut bool) -> Result<Duration, StoreError> {
        if !*taken_back {
            self.store.requeue_claimed(&self.device.lease).await?;
            *taken_back = true;
        }
        self.send_due().await
    }

    fn online(&self, directory: &Directory) -> bool {
        directory.is_connected(&self.device)
    }

    /// Sends until nothing is due; returns how long until something will be.
    async fn send_due(&self) -> Result<Duration, StoreError> {
        while !self.stop.is_cancelled() {
            let rows = self.store.claim_outgoing(&self.device.lease, CLAIM_ROWS_MAX).await?;
            if rows.is_empty() {
                break;
            }
            let chats = by_chat(rows);
            let mut sending: FuturesUnordered<_> = chats.into_iter().map(|chat| self.send_chat(chat)).collect();
            while let Some(result) = sending.next().await {
                result?;
            }
        }
        let next_at = self.store.next_outgoing_at(&self.device.lease).await?;
        let wait = next_at.map_or(SWEEP_EVERY, |at| {
            Duration::from_millis(u64::try_from(at - self.store.clock().now_ms()).unwrap_or(0).max(1))
        });
        Ok(wait.min(SWEEP_EVERY))
    }

    /// One chat's rows, one after another. What follows a row that must wait goes back to the queue behind it.
    async fn send_chat(&self, rows: Vec<OutboxRow>) -> Result<(), StoreError> {
        let mut settling = Vec::new();
        let mut held = false;
        for row in rows {
            if held || self.stop.is_cancelled() {
                held = true;
                settling.push(self.put_back(row));
                continue;
            }
            let began = Instant::now();
            let outcome = match self.along(&row).await {
                Ok(along) => self.device.send(&row.wa_id, &row.chat, &row.content, &along).await,
                Err(outcome) => outcome,
            };
            self.metrics.send_attempt(name(&outcome), began.elapsed());
            let step = next_step(&outcome, row.attempts, SEND_ATTEMPTS_MAX);
            held = matches!(step, Step::Retry { .. });
            // The next send does not wait for this commit; the claim behind it does.
            let (store, lease) = (self.store.clone(), self.device.lease.clone());
            let settled = Settled { id: row.id, step, random: rand::random() };
            settling.push(tokio::spawn(async move { store.settle_outgoing(&lease, vec![settled]).await }));
        }
        for settled in settling {
            settled.await.map_err(|_| StoreError::Panicked)??;
        }
        Ok(())
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

    fn put_back(&self, row: OutboxRow) -> JoinHandle<Result<(), StoreError>> {
        let (store, lease) = (self.store.clone(), self.device.lease.clone());
        tokio::spawn(async move { store.unclaim_outgoing(&lease, row.id).await })
    }
}

fn by_chat(rows: Vec<OutboxRow>) -> Vec<Vec<OutboxRow>> {
    let mut chats: Vec<Vec<OutboxRow>> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let place = *places.entry(row.chat.clone()).or_insert_with(|| {
            chats.push(Vec::new());
            chats.len() - 1
        });
        chats[place].push(row);
    }
    chats
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Acked => "acked",
        Outcome::Nacked { .. } => "nacked",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Impossible { .. } => "impossible",
    }
}
