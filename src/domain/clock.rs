//! Time as an argument: the system's clock in production, one that stands still until told otherwise in tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Milliseconds since the Unix epoch.
pub type UnixMs = i64;

/// Where the gateway reads the time and waits for it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<watch::Sender<UnixMs>>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that reads `start` until [`Clock::advance`] moves it.
    pub fn manual(start: UnixMs) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(start))))
    }

    pub fn now_ms(&self) -> UnixMs {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Source::Manual(time) => *time.borrow(),
        }
    }

    /// Unix seconds, rounded down.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Moves a manual clock and wakes who waits on it. The system's clock does not listen.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(time) = &self.0 {
            time.send_modify(|now| *now += i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        }
    }

    /// Sets a manual clock, also back. The system's clock does not listen.
    pub fn set(&self, at: UnixMs) {
        if let Source::Manual(time) = &self.0 {
            time.send_replace(at);
        }
    }

    /// Returns once the clock reads `at` or later.
    pub async fn sleep_until(&self, at: UnixMs) {
        match &self.0 {
            Source::System => {
                let wait = u64::try_from(at.saturating_sub(self.now_ms())).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Source::Manual(time) => {
                // The sender lives in `self`, so the channel cannot close while we wait.
                let _ = time.subscribe().wait_for(|now| *now >= at).await;
            }
        }
    }

    pub async fn sleep(&self, for_: Duration) {
        let by = i64::try_from(for_.as_millis()).unwrap_or(i64::MAX);
        self.sleep_until(self.now_ms().saturating_add(by)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_a_manual_clock_passes_its_time() {
        let clock = Clock::manual(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(5_000).await }
        });

        clock.advance(Duration::from_secs(4));

        sleeper.await.expect("the sleeper returns");
        assert_eq!(clock.now_ms(), 5_000);
        assert_eq!(clock.now_s(), 5);
    }
}
