//! Reads what was received and not processed yet, and writes what it means, in one transaction with the mark that it is
//! done. A crash at any point leaves the row either new or done with its event; nothing is lost and nothing is twice. A
//! row that does not read is set aside, so that nobody waits behind it.

use crate::domain::event::{Event, EventType};
use crate::store::{InboxRow, Store, StoreError, Topic, Waiting};
use crate::telemetry::metrics::Metrics;
use crate::whatsapp::incoming;
use futures_util::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;

/// Messages taken at once: one read, and commits that the store's writer groups.
const BATCH_ROWS_MAX: u32 = 128;
/// Looks again after this long even when nobody woke it, and after an error of the store.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Runs until `stop`; what is in hand then is finished first.
pub async fn run(store: Store, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut inbox = store.watch(Topic::Inbox);
    while !stop.is_cancelled() {
        let pause = match process_waiting(&store, &metrics, &stop).await {
            Ok(()) => SWEEP_EVERY,
            Err(error) => {
                tracing::error!(%error, "inbound messages could not be processed");
                PAUSE_AFTER_ERROR
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = inbox.changed(), if pause == SWEEP_EVERY => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn process_waiting(store: &Store, metrics: &Metrics, stop: &CancellationToken) -> Result<(), StoreError> {
    while !stop.is_cancelled() {
        let rows = store.unprocessed_inbound(BATCH_ROWS_MAX).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        // Handed to the one writer in this order, so that the log keeps the order of arrival. Unconstrained, because
        // what tokio puts off when a task's budget is spent it wakes in reverse, and so would the rows be handed over.
        let done = unconstrained(join_all(rows.iter().map(|row| process(store, row)))).await;
        done.into_iter().collect::<Result<(), _>>()?;
        let each = began.elapsed() / count;
        (0..count).for_each(|_| metrics.inbound_processed(each));
    }
    Ok(())
}

async fn process(store: &Store, waiting: &Waiting) -> Result<(), StoreError> {
    match waiting {
        Waiting::Message(row) => store.complete_inbound(row.seq, vec![event_of(row)]).await,
        Waiting::Unreadable(seq) => {
            tracing::error!(seq, "a row of the inbox does not read and is set aside");
            store.set_aside_inbound(*seq).await
        }
    }
}

fn event_of(row: &InboxRow) -> Event {
    let (type_, data) = match incoming::describe(&row.envelope, &row.message) {
        // Written by the owner on another device of the same account.
        Ok(said) if said.event == EventType::MessageReceived && said.data["fromMe"] == true => {
            (EventType::MessageSent, said.data)
        }
        Ok(said) => (said.event, said.data),
        Err(unreadable) => {
            tracing::error!(seq = row.seq, error = %unreadable, "an inbound message was kept without its content");
            (EventType::MessageUndecryptable, json!({ "id": row.envelope["id"], "chat": row.envelope["chat"] }))
        }
    };
    Event::new(row.tenant.clone(), Some(row.device.clone()), type_, row.received_at, data)
}
