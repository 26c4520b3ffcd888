//! What a decrypted message changed in its Signal session is on disk before a message of ours goes over the wire.
//!
//! With the first message of a turn the other side brings a new key, and we make one for our answers. The client library
//! keeps that key in memory for some milliseconds, in which it also sends with it. Killed then, it would make another key
//! when the message is delivered again, while the other side goes on from an answer that we do not know we gave: nothing
//! it writes could be read any more, until it starts the session anew.
//!
//! So the bytes of a message wait at the transport, where its encryption is behind it: while something was decrypted and
//! the sessions were not written since, they are written first.

use super::unwritten::Unwritten;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use whatsapp_rust::client::Client;
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory};

/// How long a stanza counts as being decrypted when nothing more is heard of it; most are for some milliseconds.
const DECRYPTING_TIME_MAX: Duration = Duration::from_secs(10);
/// Stanzas that are being decrypted at once; at the limit those count as decrypted.
const DECRYPTING_MAX: usize = 4_096;
/// How long bytes wait for the sessions to be written. Beyond it they go out, since what writes the sessions could be
/// waiting for an answer to them.
const WRITING_TIME_MAX: Duration = Duration::from_secs(2);

/// How long bytes wait for messages that were being decrypted while the sessions were written: the client leaves out
/// the session that one of them holds.
const HELD_TIME_MAX: Duration = Duration::from_millis(250);

type Writing = BoxFuture<'static, anyhow::Result<()>>;

#[derive(Default)]
pub(super) struct Ratchet {
    state: Mutex<State>,
    /// Told whenever it becomes known of a message whether it decrypts.
    known: Notify,
    /// Messages on their way to the wire, or waiting for the server's word.
    sending: AtomicUsize,
    /// Writes every session.
    write: OnceLock<Box<dyn Fn() -> Writing + Send + Sync>>,
    /// Held while sessions are written: who comes meanwhile may depend on what is being written.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Ids of messages that arrived and of which it is not known yet whether they decrypt, with the time of arrival.
    decrypting: HashMap<String, Instant>,
    /// Something was decrypted since sessions were written last.
    stepped: bool,
    /// What waited while the device was away is through. Until then messages are decrypted one at a time, and none while
    /// sessions are written.
    live: bool,
}

impl State {
    fn arrived(&mut self, id: &str, now: Instant) {
        if self.decrypting.len() >= DECRYPTING_MAX {
            self.forget_old(now);
        }
        if self.decrypting.len() >= DECRYPTING_MAX {
            self.decrypting.clear();
            self.stepped = true;
        }
        self.decrypting.insert(id.to_owned(), now);
    }

    fn is_settled(&mut self, now: Instant) -> bool {
        self.forget_old(now);
        self.decrypting.is_empty() && !self.stepped
    }

    /// One of which nothing is heard may have been decrypted all the same.
    fn forget_old(&mut self, now: Instant) {
        let before = self.decrypting.len();
        self.decrypting.retain(|_, arrived| now.duration_since(*arrived) < DECRYPTING_TIME_MAX);
        self.stepped |= self.decrypting.len() < before;
    }

    /// Those whose session the next writing may leave out.
    fn held(&self) -> Vec<String> {
        if self.live { self.decrypting.keys().cloned().collect() } else { Vec::new() }
    }
}

/// A message on its way out; ends when it is dropped.
pub(super) struct Sending(Arc<Ratchet>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Ratchet {
    pub(super) fn serve(&self, client: &Arc<Client>) {
        let client = Arc::downgrade(client);
        self.writes_by(move || {
            let client = client.upgrade();
            Box::pin(async move {
                match client {
                    Some(client) => Ok(client.flush_pending_signal_state().await?),
                    // Nobody is left whose bytes could wait.
                    None => Ok(()),
                }
            })
        });
    }

    fn writes_by(&self, write: impl Fn() -> Writing + Send + Sync + 'static) {
        let _ = self.write.set(Box::new(write));
    }

    /// A message came in and is about to be decrypted.
    pub(super) fn arrived(&self, id: &str) {
        self.state().arrived(id, Instant::now());
    }

    /// Whether it decrypted is known now.
    pub(super) fn read(&self, id: &str) {
        let mut state = self.state();
        state.decrypting.remove(id);
        state.stepped = true;
        drop(state);
        self.known.notify_waiters();
    }

    /// What waited while the device was away is through.
    pub(super) fn live(&self) {
        self.state().live = true;
    }

    pub(super) fn sending(self: &Arc<Self>) -> Sending {
        self.sending.fetch_add(1, Ordering::AcqRel);
        Sending(self.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn before_the_wire(&self) -> anyhow::Result<()> {
        if self.sending.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let _writing = self.writing.lock().await;
        let Some(write) = self.write.get() else { return Ok(()) };
        let held = {
            let mut state = self.state();
            if state.is_settled(Instant::now()) {
                return Ok(());
            }
            state.held()
        };
        self.write(write()).await?;
        if !held.is_empty() {
            // Whose session was held is written in a second go, when it is known what became of its message.
            let _ = tokio::time::timeout(HELD_TIME_MAX, self.all_known(&held)).await;
            self.write(write()).await?;
        }
        Ok(())
    }

    async fn write(&self, writing: Writing) -> anyhow::Result<()> {
        self.state().stepped = false;
        // By itself: cut off in the middle, it could leave messages written and told to nobody.
        let writing = tokio::spawn(writing);
        let written = tokio::time::timeout(WRITING_TIME_MAX, writing).await;
        if !matches!(written, Ok(Ok(Ok(())))) {
            self.state().stepped = true;
        }
        match written {
            Ok(written) => Ok(written??),
            Err(_) => {
                tracing::warn!("a message went out before the sessions were written");
                Ok(())
            }
        }
    }

    async fn all_known(&self, ids: &[String]) {
        loop {
            let known = self.known.notified();
            tokio::pin!(known);
            known.as_mut().enable();
            if !ids.iter().any(|id| self.state().decrypting.contains_key(id)) {
                return;
            }
            known.await;
        }
    }
}

/// Connections of `factory`, whose bytes wait for the sessions they depend on, and for what was told before them.
pub(super) struct SettledTransports<F> {
    pub(super) factory: F,
    pub(super) ratchet: Arc<Ratchet>,
    pub(super) unwritten: Arc<Unwritten>,
}

#[async_trait]
impl<F: TransportFactory> TransportFactory for SettledTransports<F> {
    async fn create_transport(&self) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let (transport, events) = self.factory.create_transport().await?;
        let (ratchet, unwritten) = (self.ratchet.clone(), self.unwritten.clone());
        Ok((Arc::new(SettledTransport { transport, ratchet, unwritten }), events))
    }
}

struct SettledTransport {
    transport: Arc<dyn Transport>,
    ratchet: Arc<Ratchet>,
    unwritten: Arc<Unwritten>,
}

#[async_trait]
impl Transport for SettledTransport {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        self.unwritten.settled().await?;
        self.ratchet.before_the_wire().await?;
        self.transport.send(data).await
    }

    async fn disconnect(&self) {
        self.transport.disconnect().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decrypted_is_unsettled_until_it_is_written_and_what_arrives_until_it_is_known() {
        let (ratchet, now) = (Ratchet::default(), Instant::now());
        assert!(ratchet.state().is_settled(now));

        ratchet.arrived("3EB0");
        assert!(!ratchet.state().is_settled(now), "it may have been decrypted a moment ago");
        ratchet.read("3EB0");
        assert!(!ratchet.state().is_settled(now), "it was, and nothing was written since");
        ratchet.state().stepped = false;
        assert!(ratchet.state().is_settled(now));
    }

    #[test]
    fn a_stanza_that_nothing_more_is_heard_of_does_not_count_for_ever() {
        let ratchet = Ratchet::default();
        ratchet.arrived("3EB0");
        assert!(!ratchet.state().is_settled(Instant::now() + DECRYPTING_TIME_MAX), "it may have been decrypted");
        ratchet.state().stepped = false;
        assert!(ratchet.state().is_settled(Instant::now() + DECRYPTING_TIME_MAX));
    }

    #[test]
    fn at_the_limit_the_stanzas_before_count_as_decrypted() {
        let (mut state, now) = (State::default(), Instant::now());
        for id in 0..=DECRYPTING_MAX {
            state.arrived(&id.to_string(), now);
        }
        assert!(state.stepped && state.decrypting.len() == 1);

        let mut state = State::default();
        for id in 0..DECRYPTING_MAX {
            state.arrived(&id.to_string(), now);
        }
        state.arrived("later", now + DECRYPTING_TIME_MAX);
        assert!(state.stepped && state.decrypting.len() == 1);
    }

    #[tokio::test]
    async fn who_waits_for_messages_to_be_known_waits_for_all_of_them() {
        let ratchet = Arc::new(Ratchet::default());
        ratchet.live();
        ratchet.arrived("1");
        ratchet.arrived("2");
        let held = ratchet.state().held();
        let waiting = ratchet.clone();
        let known = tokio::spawn(async move { waiting.all_known(&held).await });
        tokio::task::yield_now().await;

        ratchet.arrived("3");
        ratchet.read("1");
        tokio::task::yield_now().await;
        assert!(!known.is_finished());
        ratchet.read("2");
        known.await.expect("does not panic");
    }

    /// A wire that keeps what goes over it.
    #[derive(Default)]
    struct Wire(Mutex<Vec<Bytes>>);

    #[async_trait]
    impl Transport for Wire {
        async fn send(&self, data: Bytes) -> anyhow::Result<()> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(data);
            Ok(())
        }

        async fn disconnect(&self) {}
    }

    fn settled(wire: &Arc<Wire>, ratchet: &Arc<Ratchet>) -> SettledTransport {
        SettledTransport { transport: wire.clone(), ratchet: ratchet.clone(), unwritten: Arc::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_out_after_two_seconds_when_the_sessions_are_not_written() {
        let (ratchet, wire) = (Arc::new(Ratchet::default()), Arc::new(Wire::default()));
        ratchet.writes_by(|| Box::pin(std::future::pending()));
        ratchet.read("3EB0");
        let _sending = ratchet.sending();
        let began = tokio::time::Instant::now();

        settled(&wire, &ratchet).send(Bytes::from_static(b"first")).await.expect("it goes out");

        assert_eq!(began.elapsed(), WRITING_TIME_MAX);
        assert_eq!(wire.0.lock().unwrap_or_else(PoisonError::into_inner).as_slice(), [Bytes::from_static(b"first")]);
        assert!(!ratchet.state().is_settled(Instant::now()), "the next message tries to write them again");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_stay_when_the_sessions_cannot_be_written_and_go_at_once_when_they_are() {
        let (ratchet, wire) = (Arc::new(Ratchet::default()), Arc::new(Wire::default()));
        let fails = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let now = fails.clone();
        ratchet.writes_by(move || {
            let failed = now.load(Ordering::Acquire);
            Box::pin(async move { if failed { Err(anyhow::anyhow!("the disk is full")) } else { Ok(()) } })
        });
        ratchet.read("3EB0");
        let _sending = ratchet.sending();
        let transport = settled(&wire, &ratchet);
        let began = tokio::time::Instant::now();

        assert!(transport.send(Bytes::from_static(b"first")).await.is_err());
        assert!(wire.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
        fails.store(false, Ordering::Release);
        transport.send(Bytes::from_static(b"second")).await.expect("it goes out");

        assert_eq!((began.elapsed(), ratchet.state().is_settled(Instant::now())), (Duration::ZERO, true));
    }

    #[test]
    fn before_it_is_live_nothing_is_held() {
        let ratchet = Ratchet::default();
        ratchet.arrived("1");
        assert!(ratchet.state().held().is_empty());
    }

    #[test]
    fn two_messages_on_their_way_are_counted_until_both_are_through() {
        let ratchet = Arc::new(Ratchet::default());
        let (first, second) = (ratchet.sending(), ratchet.sending());
        drop(first);
        assert_eq!(ratchet.sending.load(Ordering::Acquire), 1);
        drop(second);
        assert_eq!(ratchet.sending.load(Ordering::Acquire), 0);
    }
}
