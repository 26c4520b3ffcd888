//! One sliding window: who is let in, and when there is room again. Decides, and knows no clock.

use super::Limit;
use crate::domain::clock::UnixMs;
use crate::domain::ids::MessageId;
use std::collections::VecDeque;

/// Messages that are told a time of their own; one more is told the time of the last of them.
const PROMISED_MAX: usize = 10_000;

/// How a window stands, for the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until the window is empty again, or for a rejected request until it would be accepted.
    pub reset_s: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// Oldest first.
    charges: VecDeque<Charge>,
    /// Messages that wait, each with the time it was told; soonest first.
    promised: VecDeque<(UnixMs, MessageId)>,
    /// The limit those times follow from.
    promised_under: Option<Limit>,
}

#[derive(Debug, Clone)]
struct Charge {
    at: UnixMs,
    /// Of a message that waited for its turn; a request is charged once anyway.
    message: Option<MessageId>,
}

impl Window {
    /// One request at `now`: how the window stands afterwards, and whether it was let in.
    pub(super) fn enter(&mut self, limit: Limit, now: UnixMs, charge: bool) -> (Standing, bool) {
        self.forget(limit, now);
        let used = u32::try_from(self.charges.len()).unwrap_or(u32::MAX);
        let seconds = |ms: i64| u64::try_from(ms.max(0)).unwrap_or(0).div_ceil(1_000);
        if used >= limit.max {
            let until_free = self.room_at(limit, now, 0) - now;
            return (Standing { limit: limit.max, remaining: 0, reset_s: seconds(until_free).max(1) }, false);
        }
        if charge {
            self.charges.push_back(Charge { at: now, message: None });
        }
        let remaining = limit.max - used - u32::from(charge);
        (Standing { limit: limit.max, remaining, reset_s: seconds(limit.length_ms()) }, true)
    }

    /// One message that is to go out at `now`; refused with the time at which there is room for it.
    ///
    /// Those that wait are told one after another when room comes for each, so that none of them asks in vain for all the
    /// others. A message that is tried again while its charge is in the window is not charged again.
    pub(super) fn hand_over(&mut self, limit: Limit, now: UnixMs, message: &MessageId) -> Result<(), UnixMs> {
        self.forget(limit, now);
        if self.charges.iter().any(|charge| charge.message.as_ref() == Some(message)) {
            return Ok(());
        }
        let promise = self.promised.iter().position(|(_, of)| of == message);
        if self.charges.len() < limit.max as usize {
            if let Some(place) = promise {
                self.promised.remove(place);
            }
            self.charges.push_back(Charge { at: now, message: Some(message.clone()) });
            return Ok(());
        }
        if let Some((at, _)) = promise.and_then(|place| self.promised.get(place)) {
            return Err(*at);
        }
        let at = self.room_at(limit, now, self.promised.len());
        if self.promised.len() < PROMISED_MAX {
            self.promised.push_back((at, message.clone()));
            self.promised_under = Some(limit);
        }
        Err(at)
    }

    /// Gives the latest charge of a request back; `false` when there is none.
    pub(super) fn give_back(&mut self) -> bool {
        let latest = self.charges.iter().rposition(|charge| charge.message.is_none());
        latest.and_then(|place| self.charges.remove(place)).is_some()
    }

    /// Charges of the last `length_ms`, and the time of the latest.
    pub(super) fn count(&self, length_ms: i64, now: UnixMs) -> Option<(usize, UnixMs)> {
        let count = self.charges.iter().filter(|charge| now - charge.at < length_ms).count();
        self.charges.back().filter(|_| count > 0).map(|last| (count, last.at))
    }

    fn forget(&mut self, limit: Limit, now: UnixMs) {
        while self.charges.front().is_some_and(|first| now - first.at >= limit.length_ms()) {
            self.charges.pop_front();
        }
        if self.promised_under != Some(limit) {
            self.promised.clear();
        }
        while self.promised.front().is_some_and(|(at, _)| *at <= now) {
            self.promised.pop_front();
        }
    }

    /// When there is room in a full window for one more behind so many that wait already: each goes when a charge leaves
    /// the window, and leaves it itself a window's length later.
    fn room_at(&self, limit: Limit, now: UnixMs, behind: usize) -> UnixMs {
        let (max, length) = (limit.max as usize, limit.length_ms());
        let (Some(turn), Some(place)) = (behind.checked_div(max), behind.checked_rem(max)) else {
            return now.saturating_add(length);
        };
        // A limit that was lowered leaves more charges than it has room for.
        let over = self.charges.len().saturating_sub(max);
        let leaves = self.charges.get(over + place).map_or(now, |charge| charge.at);
        let lengths = i64::try_from(turn).unwrap_or(i64::MAX).saturating_add(1);
        leaves.saturating_add(length.saturating_mul(lengths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limit(max: u32, seconds: u64) -> Limit {
        Limit { max, window: Duration::from_secs(seconds) }
    }

    fn messages<const COUNT: usize>() -> [MessageId; COUNT] {
        std::array::from_fn(|_| MessageId::generate())
    }

    #[test]
    fn a_window_slides_and_a_rejected_request_costs_nothing() {
        let limit = limit(2, 10);
        let mut window = Window::default();

        assert_eq!(window.enter(limit, 0, true), (Standing { limit: 2, remaining: 1, reset_s: 10 }, true));
        assert_eq!(window.enter(limit, 4_000, true).0.remaining, 0);
        for at in [5_000, 6_000, 9_000] {
            assert!(!window.enter(limit, at, true).1);
        }
        assert_eq!(window.enter(limit, 9_500, true).0.reset_s, 1);
        assert!(window.enter(limit, 10_000, true).1, "the first charge has left the window");
        assert!(!window.enter(limit, 13_999, true).1);
        assert!(window.enter(limit, 14_000, true).1);
    }

    #[test]
    fn looking_takes_nothing() {
        let mut window = Window::default();
        assert!(window.enter(limit(1, 1), 0, false).1);
        assert!(window.enter(limit(1, 1), 0, true).1);
        assert!(!window.enter(limit(1, 1), 0, false).1);
    }

    #[test]
    fn messages_and_requests_take_from_one_window() {
        let (limit, [first, second]) = (limit(2, 60), messages());
        let mut window = Window::default();

        assert_eq!(window.hand_over(limit, 0, &first), Ok(()));
        assert_eq!(window.enter(limit, 1_000, true).0.remaining, 0);
        assert_eq!(window.hand_over(limit, 2_000, &second), Err(60_000), "when the first one leaves the window");
        assert_eq!(window.enter(limit, 2_000, true), (Standing { limit: 2, remaining: 0, reset_s: 58 }, false));
        assert_eq!(window.hand_over(limit, 60_000, &second), Ok(()));
        assert!(!window.enter(limit, 60_500, true).1);
    }

    #[test]
    fn each_message_that_waits_is_told_when_room_comes_for_it() {
        let (limit, [one, two, three, four, five]) = (limit(2, 60), messages());
        let mut window = Window::default();
        for (at, message) in [(0, &one), (10_000, &two)] {
            assert_eq!(window.hand_over(limit, at, message), Ok(()));
        }

        for (message, told) in [(&three, 60_000), (&four, 70_000), (&five, 120_000)] {
            assert_eq!(window.hand_over(limit, 20_000, message), Err(told));
        }
        assert_eq!(window.hand_over(limit, 30_000, &four), Err(70_000), "who asks again keeps its place");
        for (message, told) in [(&three, 60_000), (&four, 70_000), (&five, 120_000)] {
            assert_eq!(window.hand_over(limit, told, message), Ok(()), "nobody asks in vain");
        }
    }

    #[test]
    fn who_finds_its_room_taken_waits_behind_the_others() {
        let (limit, [one, two, three]) = (limit(1, 60), messages());
        let mut window = Window::default();
        assert_eq!(window.hand_over(limit, 0, &one), Ok(()));
        assert_eq!(window.hand_over(limit, 1_000, &two), Err(60_000));
        assert_eq!(window.hand_over(limit, 1_000, &three), Err(120_000));

        assert!(window.enter(limit, 60_000, true).1, "a request does not wait");

        assert_eq!(window.hand_over(limit, 60_001, &two), Err(180_000));
        assert_eq!(window.hand_over(limit, 120_000, &three), Ok(()));
        assert_eq!(window.hand_over(limit, 180_000, &two), Ok(()));
    }

    #[test]
    fn a_message_is_charged_once_in_a_window_however_often_it_is_tried() {
        let (limit, [one, two]) = (limit(1, 60), messages());
        let mut window = Window::default();

        for at in [0, 2_000, 59_999] {
            assert_eq!(window.hand_over(limit, at, &one), Ok(()), "{at}");
        }
        assert_eq!(window.hand_over(limit, 60_000, &two), Ok(()), "the first try counted, and no other");
        assert_eq!(window.hand_over(limit, 60_001, &one), Err(120_000), "another window, another charge");
    }

    #[test]
    fn another_limit_is_followed_at_once() {
        let [one, two, three, four] = messages();
        let mut window = Window::default();
        for (at, message) in [(0, &one), (1_000, &two)] {
            assert_eq!(window.hand_over(limit(2, 60), at, message), Ok(()));
        }
        assert_eq!(window.hand_over(limit(2, 60), 2_000, &three), Err(60_000));
        assert_eq!(window.hand_over(limit(2, 60), 2_000, &four), Err(61_000));

        assert_eq!(window.hand_over(limit(1, 60), 3_000, &four), Err(61_000), "both charges have to leave");
        assert_eq!(window.hand_over(limit(1, 60), 3_000, &three), Err(121_000));
        assert_eq!(window.hand_over(limit(3, 60), 4_000, &three), Ok(()));
        assert_eq!(window.hand_over(limit(3, 60), 4_000, &four), Err(60_000), "no place is kept for who has gone");
        assert_eq!(window.hand_over(limit(0, 60), 5_000, &four), Err(65_000), "a limit of nothing is asked again");
    }

    #[test]
    fn what_is_given_back_is_the_charge_of_a_request() {
        let (limit, [one]) = (limit(2, 60), messages());
        let mut window = Window::default();
        assert!(!window.give_back());
        assert!(window.enter(limit, 0, true).1);
        assert_eq!(window.hand_over(limit, 0, &one), Ok(()));

        assert!(window.give_back());

        assert_eq!(window.hand_over(limit, 0, &one), Ok(()), "its charge is still there");
        assert_eq!(window.count(60_000, 0), Some((1, 0)));
    }
}
