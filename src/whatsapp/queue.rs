//! The bounded way of what the client library reports to a connection's loop.
//!
//! The library calls its handlers synchronously, so a full queue cannot make it wait. A queue that is full means that we
//! are thousands of events behind: the connection ends, which stops the flood, and no byte of it leaves any more, so that
//! what found no place is not acknowledged. Messages do not pass here: they pass the durability hook.

use super::events::{Signal, must_last};
use super::unwritten::Unwritten;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Events waiting for a connection's loop; the connection ends when there are more.
const EVENTS_QUEUED_MAX: usize = 16_384;
/// Changes of chats and labels that wait beside them, for the same end. A whole collection of the app state comes at once,
/// and the library has all of it in memory: an address book has a change for each of its people.
const CHANGES_QUEUED_MAX: usize = 262_144;

struct Queued {
    signal: Signal,
    /// Free again when the loop takes the signal.
    _place: Option<OwnedSemaphorePermit>,
}

/// Where signals go in.
#[derive(Clone)]
pub(super) struct SignalQueue {
    queue: mpsc::UnboundedSender<Queued>,
    places: Arc<Semaphore>,
    changes: Arc<Semaphore>,
    /// Something found no place.
    flooded: Arc<AtomicBool>,
    unwritten: Arc<Unwritten>,
}

/// Where the connection's loop takes them out.
pub(super) struct Signals {
    queue: mpsc::UnboundedReceiver<Queued>,
    /// One that was taken too early.
    put_back: Option<Signal>,
}

impl SignalQueue {
    pub(super) fn new(unwritten: Arc<Unwritten>) -> (Self, Signals) {
        Self::with_places(unwritten, EVENTS_QUEUED_MAX, CHANGES_QUEUED_MAX)
    }

    fn with_places(unwritten: Arc<Unwritten>, places: usize, changes: usize) -> (Self, Signals) {
        let (queue, receiver) = mpsc::unbounded_channel();
        let (places, changes) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(changes)));
        let signals = Signals { queue: receiver, put_back: None };
        (Self { queue, places, changes, flooded: Arc::default(), unwritten }, signals)
    }

    pub(super) fn put(&self, signal: Signal) {
        if must_last(&signal) {
            self.unwritten.told();
        }
        // What comes after something was left out would make it look as if all before it were written.
        if self.flooded.load(Ordering::Acquire) {
            return;
        }
        let places = match &signal {
            Signal::Chat(_) | Signal::Label(_) => &self.changes,
            _ => &self.places,
        };
        // Sending fails when the connection has ended.
        match places.clone().try_acquire_owned() {
            Ok(place) => drop(self.queue.send(Queued { signal, _place: Some(place) })),
            Err(_) => {
                self.unwritten.give_up();
                if !self.flooded.swap(true, Ordering::AcqRel) {
                    let _ = self.queue.send(Queued { signal: Signal::Flooded, _place: None });
                }
            }
        }
    }
}

impl Signals {
    /// Waits for one; nothing when there will be no more.
    pub(super) async fn next(&mut self) -> Option<Signal> {
        match self.put_back.take() {
            Some(signal) => Some(signal),
            None => self.queue.recv().await.map(|queued| queued.signal),
        }
    }

    /// One that is there already.
    pub(super) fn waiting(&mut self) -> Option<Signal> {
        self.put_back.take().or_else(|| self.queue.try_recv().ok().map(|queued| queued.signal))
    }

    /// `first` and what waits right behind it of its kind, `max` at most: a run is one transaction.
    pub(super) fn run_of<T>(&mut self, first: T, max: usize, pick: fn(Signal) -> Result<T, Signal>) -> Vec<T> {
        let mut run = vec![first];
        while run.len() < max {
            match self.waiting().map(pick) {
                Some(Ok(next)) => run.push(next),
                Some(Err(other)) => {
                    self.put_back = Some(other);
                    break;
                }
                None => break,
            }
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn must_last_one() -> Signal {
        Signal::Undecryptable { chat: "1@lid".into(), sender: "1@lid".into(), id: "3EB0".into(), at: 0 }
    }

    fn change() -> Signal {
        let (address, change) = ("1@lid".into(), crate::domain::chat::Change::Archived(true));
        Signal::Chat(crate::domain::chat::ChatChange { address, change, at: 0, is_news: false })
    }

    fn taken_in() -> Signal {
        Signal::TakenIn { collection: "regular".into(), version: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_place_is_not_acknowledged_and_the_connection_ends() {
        let unwritten = Arc::new(Unwritten::default());
        let (queue, mut signals) = SignalQueue::with_places(unwritten.clone(), 1, 1);
        queue.put(Signal::Connected);
        assert!(unwritten.settled().await.is_ok());
        let began = tokio::time::Instant::now();

        queue.put(must_last_one());
        queue.put(must_last_one());

        assert!(unwritten.settled().await.is_err(), "no byte leaves any more");
        assert_eq!(began.elapsed(), std::time::Duration::ZERO, "and none waits for it");
        assert!(matches!(signals.waiting(), Some(Signal::Connected)));
        assert!(matches!(signals.waiting(), Some(Signal::Flooded)));
        assert!(signals.waiting().is_none(), "it is said once");
    }

    #[test]
    fn a_whole_collection_takes_no_place_from_what_else_happens_and_is_not_here_when_a_part_of_it_is_not() {
        let (queue, mut signals) = SignalQueue::with_places(Arc::default(), 1, 2);
        queue.put(change());
        queue.put(change());
        queue.put(Signal::Connected);
        for wanted in ["Chat", "Chat", "Connected"] {
            let signal = signals.waiting().map(|signal| format!("{signal:?}")).unwrap_or_default();
            assert!(signal.starts_with(wanted), "{signal}");
        }

        (0..3).for_each(|_| queue.put(change()));
        (0..3).for_each(|_| drop(signals.waiting()));
        queue.put(taken_in());

        assert!(signals.waiting().is_none());
    }

    #[tokio::test]
    async fn a_run_ends_before_what_is_of_another_kind_and_that_comes_next() {
        let (queue, mut signals) = SignalQueue::new(Arc::default());
        for signal in [change(), change(), change(), taken_in(), change()] {
            queue.put(signal);
        }
        let pick = |signal| match signal {
            Signal::Chat(next) => Ok(next),
            other => Err(other),
        };
        let Some(Signal::Chat(first)) = signals.next().await else { panic!("a change comes first") };

        assert_eq!(signals.run_of(first.clone(), 2, pick).len(), 2);
        assert_eq!(signals.run_of(first, 9, pick).len(), 2, "one was left of the run");
        assert!(matches!(signals.next().await, Some(Signal::TakenIn { .. })));
        assert!(matches!(signals.next().await, Some(Signal::Chat(_))));
    }
}
