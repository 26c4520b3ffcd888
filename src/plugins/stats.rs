//! What a version's calls came to since it serves: counts and a coarse picture of their times. Atomics; a call costs a few
//! additions.

use super::instance::Failure;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds, each about half as large again as the one before.
const BOUNDS_US: [u64; 24] = [
    2, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200, 300, 500, 800, 1_200, 2_000, 3_500, 6_000, 12_000, 30_000, 100_000,
    500_000, 60_000_000,
];

#[derive(Default)]
pub(super) struct Stats {
    calls: AtomicU64,
    errors: AtomicU64,
    traps: AtomicU64,
    times: [AtomicU64; BOUNDS_US.len()],
}

/// As the API shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Figures {
    pub calls: u64,
    /// Calls that did not decide, for whatever reason; traps among them.
    pub errors: u64,
    pub traps: u64,
    /// Half of the calls took no longer, microseconds; an upper bound.
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
}

impl Stats {
    pub(super) fn called(&self, took: Duration, failure: Option<&Failure>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| *bound < us).min(BOUNDS_US.len() - 1);
        self.times[place].fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = failure {
            self.errors.fetch_add(1, Ordering::Relaxed);
            if matches!(failure, Failure::Trapped(_) | Failure::TimedOut(_)) {
                self.traps.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A call that decided and whose decision was refused.
    pub(super) fn refused(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> Figures {
        let times: Vec<u64> = self.times.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Figures {
            calls: self.calls.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            traps: self.traps.load(Ordering::Relaxed),
            p50_us: quantile(&times, 50),
            p99_us: quantile(&times, 99),
        }
    }
}

fn quantile(times: &[u64], percent: u64) -> Option<u64> {
    let total: u64 = times.iter().sum();
    let rank = (total * percent).div_ceil(100);
    let mut seen = 0;
    let place = times.iter().position(|count| {
        seen += count;
        seen >= rank
    })?;
    (total > 0).then(|| BOUNDS_US[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds_of_what_was_seen() {
        let stats = Stats::default();
        assert_eq!(stats.figures().p50_us, None);
        for us in 1..=100 {
            stats.called(Duration::from_micros(us), None);
        }
        stats.called(Duration::from_secs(1), Some(&Failure::TimedOut(1_000)));

        let figures = stats.figures();

        assert_eq!((figures.calls, figures.errors, figures.traps), (101, 1, 1));
        assert_eq!(figures.p50_us, Some(60));
        assert_eq!(figures.p99_us, Some(135));
    }
}
