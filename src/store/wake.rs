//! Who waits for a commit. A wake carries nothing but the fact; the woken reads the store.

use tokio::sync::watch;

/// What a commit may concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Topic {
    Outbox,
    Inbox,
    Events,
    Deliveries,
    Devices,
}

const TOPICS: usize = 5;

#[derive(Debug)]
pub(super) struct Wakes([watch::Sender<u64>; TOPICS]);

impl Wakes {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| watch::Sender::new(0)))
    }

    pub(super) fn fire(&self, topics: TopicSet) {
        for (index, sender) in self.0.iter().enumerate() {
            if topics.0 & (1 << index) != 0 {
                sender.send_modify(|count| *count += 1);
            }
        }
    }

    pub(super) fn watch(&self, topic: Topic) -> Watch {
        Watch(self.0[topic as usize].subscribe())
    }
}

/// The topics that one transaction touched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TopicSet(u8);

impl TopicSet {
    pub(super) fn add(&mut self, topic: Topic) {
        self.0 |= 1 << topic as u8;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// One waiter on one topic.
#[derive(Debug)]
pub struct Watch(watch::Receiver<u64>);

impl Watch {
    /// Returns after a commit on the topic that this waiter has not been told of. Never returns once the store is
    /// gone: the waiter is being stopped by somebody else then.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
