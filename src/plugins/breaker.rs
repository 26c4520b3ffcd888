//! When a plugin that keeps failing is left alone for a while. Pure: the time comes in.

use crate::domain::clock::UnixMs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        errors: u32,
    },
    /// Not called before `until`; then one call is let through.
    Open {
        until: UnixMs,
    },
    /// One call is trying; the others still wait. One that is never heard of again, because its caller went away, is
    /// followed by another at `until`.
    Trying {
        until: UnixMs,
    },
}

/// One per plugin version. Errors in a row trip it; one success closes it.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    errors_max: u32,
    open_ms: UnixMs,
}

impl Breaker {
    pub(super) fn new(errors_max: u32, open_ms: UnixMs) -> Self {
        Self { state: State::Closed { errors: 0 }, errors_max, open_ms }
    }

    /// Whether a call may go through now.
    pub(super) fn admits(&mut self, now: UnixMs) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } | State::Trying { until } if now >= until => {
                self.state = State::Trying { until: now.saturating_add(self.open_ms) };
                true
            }
            State::Open { .. } | State::Trying { .. } => false,
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.state = State::Closed { errors: 0 };
    }

    /// Whether this error tripped it: said once per trip.
    pub(super) fn failed(&mut self, now: UnixMs) -> bool {
        let errors = match self.state {
            State::Closed { errors } => errors + 1,
            State::Trying { .. } => self.errors_max,
            State::Open { .. } => return false,
        };
        let was_closed = matches!(self.state, State::Closed { .. });
        if errors >= self.errors_max {
            self.state = State::Open { until: now.saturating_add(self.open_ms) };
            return was_closed;
        }
        self.state = State::Closed { errors };
        false
    }

    pub(super) fn is_tripped(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_trips_once_waits_tries_one_call_and_closes_on_success() {
        let mut breaker = Breaker::new(3, 1_000);
        assert!(!breaker.failed(0) && !breaker.failed(0));
        assert!(breaker.admits(0));

        assert!(breaker.failed(0), "the third in a row trips it");
        assert!(!breaker.admits(999));
        assert!(breaker.admits(1_000), "one call tries");
        assert!(!breaker.admits(1_000), "and only one");
        assert!(!breaker.failed(1_000), "said once");
        assert!(!breaker.admits(1_999));
        assert!(breaker.admits(2_000));
        breaker.succeeded();

        assert!(breaker.admits(2_000) && !breaker.is_tripped());
    }

    #[test]
    fn a_try_that_is_never_heard_of_again_is_followed_by_another() {
        let mut breaker = Breaker::new(1, 1_000);
        assert!(breaker.failed(0));
        assert!(breaker.admits(1_000), "its caller goes away before it ends");

        assert!(!breaker.admits(1_999));
        assert!(breaker.admits(2_000));
    }

    #[test]
    fn a_success_between_errors_starts_the_count_again() {
        let mut breaker = Breaker::new(2, 1_000);
        assert!(!breaker.failed(0));
        breaker.succeeded();
        assert!(!breaker.failed(0));
        assert!(breaker.admits(0));
    }
}
