//! The simulator's clock: the machine's, or one that moves only when it is told to. Time on stanzas and the delays of
//! faults come from it; how long a request may wait does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// How far a manual clock moves at once: 400 days.
pub const ADVANCE_MS_MAX: u64 = 400 * 24 * 3_600 * 1_000;

pub struct Clock(Source);

enum Source {
    System,
    /// Unix milliseconds.
    Manual(watch::Sender<u64>),
}

/// Why a clock was not moved.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmoved {
    /// It is the machine's clock.
    System,
    /// More than [`ADVANCE_MS_MAX`] at once.
    TooFar,
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Stands at the present until it is moved.
    pub fn manual() -> Self {
        Self(Source::Manual(watch::Sender::new(system_ms())))
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System => system_ms(),
            Source::Manual(now) => *now.borrow(),
        }
    }

    pub(crate) async fn sleep_until(&self, until_ms: u64) {
        match &self.0 {
            Source::System => tokio::time::sleep(Duration::from_millis(until_ms.saturating_sub(system_ms()))).await,
            Source::Manual(now) => {
                // The sender lives as long as this clock.
                let _ = now.subscribe().wait_for(|now| *now >= until_ms).await;
            }
        }
    }

    /// Moves a manual clock; returns what it shows then.
    pub(crate) fn advance(&self, ms: u64) -> Result<u64, Unmoved> {
        let Source::Manual(now) = &self.0 else { return Err(Unmoved::System) };
        if ms > ADVANCE_MS_MAX {
            return Err(Unmoved::TooFar);
        }
        now.send_modify(|now| *now += ms);
        Ok(*now.borrow())
    }
}

fn system_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_a_sleeper_when_it_was_moved_far_enough() {
        let clock = Clock::manual();
        let began = clock.now_ms();
        let sleep = clock.sleep_until(began + 3_600_000);
        tokio::pin!(sleep);

        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(3_599_999).expect("manual");
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(1).expect("manual");

        sleep.await;
        assert_eq!(clock.now_ms(), began + 3_600_000);
        assert_eq!(clock.advance(ADVANCE_MS_MAX + 1), Err(Unmoved::TooFar));
        assert_eq!(Clock::system().advance(1), Err(Unmoved::System));
    }
}
