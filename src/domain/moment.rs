//! A point in time as people write it: unix seconds, a date, or a date with a time.

use super::clock::UnixMs;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};

/// What was written, as the span it covers: a second, or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub first_ms: UnixMs,
    pub last_ms: UnixMs,
}

impl Moment {
    /// Unix seconds from 0, `2026-01-31`, `2026-01-31T10:00:00`, and the same with an offset; without one it is UTC.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse::<i64>() {
            return Timestamp::from_second(seconds).ok().filter(|_| seconds >= 0).map(Self::second_of);
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Some(Self::second_of(moment));
        }
        let midnight = |date: Date| date.to_zoned_datetime(TimeZone::UTC).ok();
        if text.len() == "2026-01-31".len() {
            let first = midnight(text.parse().ok()?)?;
            let next: ZonedDateTime = first.checked_add(1.day()).ok()?;
            let first_ms = first.timestamp().as_millisecond();
            return Some(Self { first_ms, last_ms: next.timestamp().as_millisecond() - 1 });
        }
        let moment = text.parse::<DateTime>().ok()?.to_zoned_datetime(TimeZone::UTC).ok()?;
        Some(Self::second_of(moment.timestamp()))
    }

    /// With a fraction it is that very millisecond; without one all of the second.
    fn second_of(moment: Timestamp) -> Self {
        let first_ms = moment.as_millisecond();
        let rest = if moment.subsec_nanosecond() == 0 { 999 } else { 0 };
        Self { first_ms, last_ms: first_ms + rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Option<(i64, i64)> {
        Moment::parse(text).map(|moment| (moment.first_ms, moment.last_ms))
    }

    #[test]
    fn a_second_and_a_day_cover_all_of_themselves() {
        assert_eq!(span("1700000000"), Some((1_700_000_000_000, 1_700_000_000_999)));
        assert_eq!(span("2023-11-14"), Some((1_699_920_000_000, 1_700_006_399_999)));
        assert_eq!(span("2023-11-14T22:13:20"), span("1700000000"));
        assert_eq!(span("2023-11-14T22:13:20Z"), span("1700000000"));
        assert_eq!(span("2023-11-15T05:13:20+07:00"), span("1700000000"));
        assert_eq!(span("2023-11-14T22:13:20.250Z"), Some((1_700_000_000_250, 1_700_000_000_250)));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "-1", "yesterday", "2023-13-01", "2023-11-14T25:00:00", "99999999999999999999"] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
