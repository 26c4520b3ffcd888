//! What to do with a delivery after an attempt: a table, not a loop.

use crate::domain::backoff::Backoff;
use crate::domain::clock::UnixMs;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Attempts of a delivery, when its webhook does not say.
pub const ATTEMPTS_DEFAULT: u32 = 3;
pub const ATTEMPTS_MAX: u32 = 20;
/// The longest `Retry-After` that is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// What one HTTP request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answered {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// No usable answer: refused, reset, timed out, TLS, DNS, a redirect we do not follow, a forbidden address.
    NoAnswer {
        error: String,
    },
}

/// What a plugin chose for a delivery: stored with it, so that every attempt sends the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The gateway's own.
    Default,
    Shaped {
        shape: Shape,
        body: Vec<u8>,
    },
}

/// What stands beside a body that a plugin shaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub method: String,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Done,
    RetryAt(UnixMs),
    /// Out of attempts: the dead letter queue keeps it.
    Park,
    /// The receiver said 410 Gone: park it and disable the webhook.
    ParkAndDisable,
}

/// `attempt` counts from 1 and includes the one that just ended. `random` is in 0.0..1.0.
pub fn next_step(outcome: &Outcome, attempt: u32, attempts_max: u32, now: UnixMs, random: f64) -> Step {
    match outcome {
        Outcome::Answered { status: 200..=299, .. } => Step::Done,
        Outcome::Answered { status: 410, .. } => Step::ParkAndDisable,
        _ if attempt >= attempts_max => Step::Park,
        Outcome::Answered { status: 429 | 503, retry_after: Some(wait) } => {
            let asked = (*wait).min(RETRY_AFTER_MAX);
            Step::RetryAt(later(now, asked.max(Backoff::DELIVERY.wait(attempt, random))))
        }
        _ => Step::RetryAt(later(now, Backoff::DELIVERY.wait(attempt, random))),
    }
}

fn later(now: UnixMs, wait: Duration) -> UnixMs {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status, retry_after: None }
    }

    #[test]
    fn any_2xx_is_done() {
        assert_eq!(next_step(&answered(204), 1, 3, 0, 0.5), Step::Done);
    }

    #[test]
    fn everything_else_waits_1_5_15_seconds_and_is_parked_after_the_last_attempt() {
        let refused = Outcome::NoAnswer { error: "connection refused".into() };
        for outcome in [answered(404), answered(500), answered(302), refused] {
            assert_eq!(next_step(&outcome, 1, 4, 1_000, 0.5), Step::RetryAt(2_000), "{outcome:?}");
            assert_eq!(next_step(&outcome, 2, 4, 0, 0.5), Step::RetryAt(5_000));
            assert_eq!(next_step(&outcome, 3, 4, 0, 0.5), Step::RetryAt(15_000));
            assert_eq!(next_step(&outcome, 4, 4, 0, 0.5), Step::Park);
        }
    }

    #[test]
    fn gone_disables_the_webhook() {
        assert_eq!(next_step(&answered(410), 1, 3, 0, 0.5), Step::ParkAndDisable);
    }

    #[test]
    fn retry_after_is_honoured_within_its_limit() {
        let busy = |s| Outcome::Answered { status: 429, retry_after: Some(Duration::from_secs(s)) };
        assert_eq!(next_step(&busy(60), 1, 3, 0, 0.5), Step::RetryAt(60_000));
        assert_eq!(next_step(&busy(10_000_000), 1, 3, 0, 0.5), Step::RetryAt(86_400_000));
        assert_eq!(next_step(&busy(0), 1, 3, 0, 0.5), Step::RetryAt(1_000));
    }
}
