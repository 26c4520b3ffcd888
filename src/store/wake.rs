//! Who waits for a commit. A wake carries nothing but the fact; the woken reads the store.

use crate::domain::ids::{DeviceId, TenantId};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// What a commit may concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Topic {
    Inbox,
    Deliveries,
    Devices,
    Plugins,
    Media,
    /// A tenant or a device is gone, and what it stored is to go.
    Deleted,
}

const TOPICS: usize = 6;

#[derive(Debug)]
pub(super) struct Wakes {
    topics: [watch::Sender<u64>; TOPICS],
    /// One per device whose outbox somebody waits for: a thousand lanes must not wake for one message.
    outboxes: Keyed<DeviceId>,
    /// One per tenant whose log somebody follows.
    logs: Keyed<TenantId>,
}

impl Wakes {
    pub(super) fn new() -> Self {
        let topics = std::array::from_fn(|_| watch::Sender::new(0));
        Self { topics, outboxes: Keyed::new(), logs: Keyed::new() }
    }

    pub(super) fn fire(&self, touched: &Touched) {
        for (index, sender) in self.topics.iter().enumerate() {
            if touched.topics & (1 << index) != 0 {
                sender.send_modify(|count| *count += 1);
            }
        }
        self.outboxes.fire(&touched.outboxes);
        self.logs.fire(&touched.logs);
    }

    pub(super) fn watch(&self, topic: Topic) -> Watch {
        Watch(self.topics[topic as usize].subscribe())
    }

    pub(super) fn watch_outbox(&self, device: &DeviceId) -> Watch {
        self.outboxes.watch(device)
    }

    pub(super) fn watch_log(&self, tenant: &TenantId) -> Watch {
        self.logs.watch(tenant)
    }
}

/// Waiters by what they wait for. Only what somebody waits for has an entry.
#[derive(Debug)]
struct Keyed<K>(Mutex<HashMap<K, watch::Sender<u64>>>);

impl<K: Eq + Hash + Clone> Keyed<K> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn fire(&self, keys: &[K]) {
        if keys.is_empty() {
            return;
        }
        let mut waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if waited.get(key).is_some_and(|sender| sender.send(0).is_err()) {
                // Nobody waits for this one any more.
                waited.remove(key);
            }
        }
    }

    fn watch(&self, key: &K) -> Watch {
        let mut waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Watch(waited.entry(key.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe())
    }
}

/// What one transaction touched.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    topics: u8,
    outboxes: Vec<DeviceId>,
    logs: Vec<TenantId>,
}

impl Touched {
    pub(super) fn topic(&mut self, topic: Topic) {
        self.topics |= 1 << topic as u8;
    }

    pub(super) fn outbox(&mut self, device: &DeviceId) {
        if !self.outboxes.contains(device) {
            self.outboxes.push(device.clone());
        }
    }

    pub(super) fn log(&mut self, tenant: &TenantId) {
        if !self.logs.contains(tenant) {
            self.logs.push(tenant.clone());
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.topics |= other.topics;
        other.logs.iter().for_each(|tenant| self.log(tenant));
        other.outboxes.iter().for_each(|device| self.outbox(device));
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
