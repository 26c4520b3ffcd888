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

/// Attempts on the long schedule, whatever `retryCount` says.
pub const ATTEMPTS_LONG: u32 = 10;
/// Failed attempts in a row, of whatever deliveries, after which a webhook counts as failing; one that ran out of attempts
/// is enough too.
pub const FAILING_AFTER: u32 = 5;

/// Over how long a delivery's attempts are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    #[default]
    Classic,
    /// Three days.
    Long,
}

/// Whether deliveries wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    #[default]
    None,
    /// Those of a chat go out one after the other; other chats do not wait.
    Chat,
}

impl Schedule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Long => "long",
        }
    }

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        [Self::Classic, Self::Long].into_iter().find(|one| one.as_str() == text).ok_or("must be classic or long")
    }
}

impl Order {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Chat => "chat",
        }
    }

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        [Self::None, Self::Chat].into_iter().find(|one| one.as_str() == text).ok_or("must be none or chat")
    }

    /// A chat must not stand still for days.
    pub fn fits(self, schedule: Schedule) -> Result<(), &'static str> {
        match (self, schedule) {
            (Self::Chat, Schedule::Long) => {
                Err("goes with the classic schedule alone: a chat would stand still for days")
            }
            _ => Ok(()),
        }
    }
}

/// How long a webhook's deliveries are tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub attempts_max: u32,
    pub backoff: Backoff,
    /// Whether a `Retry-After` beyond the schedule is waited for: not where others of the chat wait behind.
    pub obeys_retry_after: bool,
}

impl Patience {
    pub fn of(schedule: Schedule, order: Order, retry_count: u32) -> Self {
        let obeys_retry_after = order == Order::None;
        match schedule {
            Schedule::Classic => Self { attempts_max: retry_count, backoff: Backoff::DELIVERY, obeys_retry_after },
            Schedule::Long => Self { attempts_max: ATTEMPTS_LONG, backoff: Backoff::DELIVERY_LONG, obeys_retry_after },
        }
    }
}

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
pub fn next_step(outcome: &Outcome, attempt: u32, patience: Patience, now: UnixMs, random: f64) -> Step {
    let wait = patience.backoff.wait(attempt, random);
    match outcome {
        Outcome::Answered { status: 200..=299, .. } => Step::Done,
        Outcome::Answered { status: 410, .. } => Step::ParkAndDisable,
        _ if attempt >= patience.attempts_max => Step::Park,
        Outcome::Answered { status: 429 | 503, retry_after: Some(asked) } if patience.obeys_retry_after => {
            Step::RetryAt(later(now, (*asked).min(RETRY_AFTER_MAX).max(wait)))
        }
        _ => Step::RetryAt(later(now, wait)),
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

    fn next_step(outcome: &Outcome, attempt: u32, attempts_max: u32, now: UnixMs, random: f64) -> Step {
        super::next_step(outcome, attempt, Patience::of(Schedule::Classic, Order::None, attempts_max), now, random)
    }

    #[test]
    fn the_long_schedule_has_ten_attempts_and_a_chat_waits_for_no_retry_after() {
        let long = Patience::of(Schedule::Long, Order::None, 3);
        assert_eq!(super::next_step(&answered(500), 2, long, 0, 0.5), Step::RetryAt(300_000));
        assert_eq!(super::next_step(&answered(500), 10, long, 0, 0.5), Step::Park);

        let of_chat = Patience::of(Schedule::Classic, Order::Chat, 3);
        let busy = Outcome::Answered { status: 503, retry_after: Some(Duration::from_secs(600)) };
        assert_eq!(super::next_step(&busy, 1, of_chat, 0, 0.5), Step::RetryAt(1_000));
        assert!(Order::Chat.fits(Schedule::Long).is_err() && Order::Chat.fits(Schedule::Classic).is_ok());
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
