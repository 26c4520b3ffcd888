//! A connection that is over writes nothing any more.
//!
//! A client that does not close in its time is dropped in the middle of it, and tasks of it go on. What they would write are
//! sessions as they were: over those that the next connection has advanced, since both hold the same lease.

use super::incoming::Hook;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::{RwLock, RwLockReadGuard};
use whatsapp_rust::client::Client;
use whatsapp_rust::types::durability_hook::{InboundDurabilityHook, InboundMessage};

#[derive(Default)]
pub(super) struct Over(RwLock<bool>);

#[derive(Debug, thiserror::Error)]
#[error("the connection is over")]
pub(super) struct IsOver;

impl Over {
    /// While it is held, the connection does not end.
    pub(super) async fn not_yet(&self) -> Result<RwLockReadGuard<'_, bool>, IsOver> {
        let over = self.0.read().await;
        if *over { Err(IsOver) } else { Ok(over) }
    }

    /// When it returns, all that was being written is written, and nothing more will be.
    pub(super) async fn end(&self) {
        *self.0.write().await = true;
    }
}

/// The hook of a connection, until that is over.
pub(super) struct HookUntilOver {
    pub(super) hook: Hook,
    pub(super) over: Arc<Over>,
}

#[async_trait]
impl InboundDurabilityHook for HookUntilOver {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let _not_yet = self.over.not_yet().await?;
        self.hook.on_messages(client, batch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_what_is_being_written_and_nothing_begins_after_it() {
        let over = Arc::new(Over::default());
        let writing = over.not_yet().await.expect("it is not over");
        let ending = over.clone();
        let ended = tokio::spawn(async move { ending.end().await });
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());

        drop(writing);
        ended.await.expect("does not panic");

        assert!(over.not_yet().await.is_err());
    }
}
