//! How long to wait before trying again: the one retry schedule of outbox, deliveries and reconnects.

use std::time::Duration;

/// First waits as listed, then doubling up to `cap`; each spread by `jitter` so that many failures at one moment do
/// not come back at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    pub steps: &'static [Duration],
    pub cap: Duration,
    /// Share of the wait that is random, 0.0 to 1.0: the wait lies within ± this share.
    pub jitter: f64,
}

impl Backoff {
    /// A webhook's classic schedule: 1 s, 5 s, 15 s, then doubling to an hour.
    pub const DELIVERY: Self = Self {
        steps: &[Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)],
        cap: Duration::from_secs(3_600),
        jitter: 0.1,
    };
    /// A webhook's long schedule: nine waits make 71 hours.
    pub const DELIVERY_LONG: Self = Self {
        steps: &[
            Duration::from_secs(5),
            Duration::from_secs(5 * 60),
            Duration::from_secs(30 * 60),
            Duration::from_secs(2 * 3_600),
            Duration::from_secs(5 * 3_600),
            Duration::from_secs(10 * 3_600),
            Duration::from_secs(14 * 3_600),
            Duration::from_secs(20 * 3_600),
        ],
        cap: Duration::from_secs(20 * 3_600),
        jitter: 0.1,
    };
    /// A send whose attempt failed in a way that may pass.
    pub const SEND: Self = Self {
        steps: &[Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)],
        cap: Duration::from_secs(300),
        jitter: 0.2,
    };
    /// A device whose connection was lost.
    pub const RECONNECT: Self = Self { steps: &[Duration::from_secs(1)], cap: Duration::from_secs(120), jitter: 0.3 };

    /// The wait after the `failures`-th failure (from 1). `random` is in 0.0..1.0.
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let index = failures.saturating_sub(1) as usize;
        let base = match self.steps.get(index) {
            Some(step) => *step,
            None => {
                let last = self.steps.last().copied().unwrap_or(Duration::from_secs(1));
                let doublings = u32::try_from(index + 1 - self.steps.len()).unwrap_or(u32::MAX).min(30);
                last.saturating_mul(1 << doublings)
            }
        };
        let spread = 1.0 + self.jitter * (2.0 * random - 1.0);
        base.min(self.cap).mul_f64(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: f64 = 0.5;

    #[test]
    fn the_delivery_schedule_is_1_5_15_then_doubles_to_its_cap() {
        let waits: Vec<u64> = (1..=6).map(|n| Backoff::DELIVERY.wait(n, MIDDLE).as_secs()).collect();
        assert_eq!(waits, [1, 5, 15, 30, 60, 120]);
        assert_eq!(Backoff::DELIVERY.wait(u32::MAX, MIDDLE).as_secs(), 3_600);
    }

    #[test]
    fn the_long_delivery_schedule_ends_within_three_days() {
        let all: u64 = (1..=9).map(|n| Backoff::DELIVERY_LONG.wait(n, 1.0).as_secs()).sum();
        let at_middle: u64 = (1..=9).map(|n| Backoff::DELIVERY_LONG.wait(n, MIDDLE).as_secs()).sum();
        assert_eq!(at_middle, 71 * 3_600 + 35 * 60 + 5);
        assert!(all < 80 * 3_600, "{all}");
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let (low, high) = (Backoff::SEND.wait(3, 0.0), Backoff::SEND.wait(3, 1.0));
        assert_eq!((low.as_secs(), high.as_secs()), (12, 18));
    }
}
