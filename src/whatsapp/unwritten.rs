//! What WhatsApp's server told and is not written here yet: nothing goes over the wire before it is.
//!
//! The client library hands over a notification and acknowledges it as soon as it was handed over. A process that is killed
//! between the two would have told the server that it has what nobody has. So bytes that come after the news wait at the
//! transport, the acknowledgement among them. When the news cannot be written the connection ends unacknowledged, and the
//! server tells it again on the next one.
//!
//! Only what is told once and rarely is counted (`events::must_last`, and posts in newsletters): a receipt that is lost costs a step of a status, and
//! waiting for each would cost every send a commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long bytes wait. Beyond it the connection ends, since what holds the news up could last.
const WRITING_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Unwritten {
    told: AtomicU64,
    written: watch::Sender<Written>,
}

#[derive(Default)]
struct Written {
    count: u64,
    /// Something could not be written: no byte leaves any more.
    given_up: bool,
}

/// What was told before is not written.
#[derive(Debug, thiserror::Error)]
#[error("what the server told is not written")]
pub(super) struct NotWritten;

impl Unwritten {
    /// Before the library acknowledges it.
    pub(super) fn told(&self) {
        self.told.fetch_add(1, Ordering::AcqRel);
    }

    /// So much of what was told is written, or says nothing that is kept.
    pub(super) fn written(&self, count: u64) {
        self.written.send_modify(|written| written.count += count);
    }

    /// It could not be written, and the connection ends.
    pub(super) fn give_up(&self) {
        self.written.send_modify(|written| written.given_up = true);
    }

    /// Waits until all that was told so far is written.
    pub(super) async fn settled(&self) -> Result<(), NotWritten> {
        let told = self.told.load(Ordering::Acquire);
        let mut written = self.written.subscribe();
        let over = written.wait_for(|written| written.given_up || written.count >= told);
        match tokio::time::timeout(WRITING_TIME_MAX, over).await {
            Ok(Ok(written)) if !written.given_up => Ok(()),
            _ => Err(NotWritten),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn bytes_wait_for_what_was_told_before_them_and_not_for_what_comes_later() {
        let unwritten = Arc::new(Unwritten::default());
        assert!(unwritten.settled().await.is_ok(), "nothing was told");
        unwritten.told();
        unwritten.told();
        let waiting = unwritten.clone();
        let settled = tokio::spawn(async move { waiting.settled().await });
        tokio::task::yield_now().await;

        unwritten.told();
        unwritten.written(1);
        tokio::task::yield_now().await;
        assert!(!settled.is_finished());
        unwritten.written(1);

        assert!(settled.await.expect("does not panic").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_ends_the_wait_with_an_error() {
        let unwritten = Unwritten::default();
        unwritten.told();
        let began = tokio::time::Instant::now();

        assert!(unwritten.settled().await.is_err());
        assert_eq!(began.elapsed(), WRITING_TIME_MAX);
        unwritten.give_up();
        assert!(unwritten.settled().await.is_err());
        assert_eq!(began.elapsed(), WRITING_TIME_MAX, "nobody waits for what was given up");
    }
}
