//! The way to one connected client.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::{Notify, mpsc};
use wacore_binary::Node;

/// Stanzas on their way to one client. A client that reads so slowly that it fills up is disconnected, and what it has
/// not acknowledged waits for its next login.
pub(crate) const OUTGOING_STANZAS_MAX: usize = 65_536;

pub(crate) enum Out {
    Node(Arc<Node>),
    Close,
}

#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) id: u64,
    queue: mpsc::Sender<Out>,
    /// Set by a fault: the connection stays open and nothing passes any more.
    pub(crate) swallowed: Arc<AtomicBool>,
    pub(crate) hang_up: Arc<Notify>,
}

impl Line {
    pub(crate) fn new(id: u64) -> (Self, mpsc::Receiver<Out>) {
        let (queue, outgoing) = mpsc::channel(OUTGOING_STANZAS_MAX);
        (Self { id, queue, swallowed: Arc::default(), hang_up: Arc::default() }, outgoing)
    }

    pub(crate) fn send(&self, node: impl Into<Arc<Node>>) {
        if self.queue.try_send(Out::Node(node.into())).is_err() {
            self.hang_up.notify_one();
        }
    }

    /// Closes after what is queued has been sent.
    pub(crate) fn close(&self) {
        if self.queue.try_send(Out::Close).is_err() {
            self.hang_up.notify_one();
        }
    }
}
