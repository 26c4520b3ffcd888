//! Reading the parameters of a query one by one, so that every bad one is reported at once, by name.

use super::error::ApiError;
use crate::domain::clock::UnixMs;
use crate::domain::event::EventType;
use crate::domain::moment::Moment;
use std::fmt::Display;

const LIMIT_DEFAULT: u32 = 50;
/// Rows that a page may pass over; more is refused. What clients with 32 bits can say.
pub(super) const OFFSET_MAX: u32 = i32::MAX as u32;

pub(super) fn offset(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number <= OFFSET_MAX);
    number.ok_or_else(|| format!("must be a whole number from 0 to {OFFSET_MAX}"))
}

/// What was found wrong so far.
#[derive(Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.0.push((name.to_owned(), message.into()));
    }

    pub(super) fn read<T, E: Display>(
        &mut self,
        name: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(name, error.to_string());
                None
            }
        }
    }

    pub(super) fn limit(&mut self, text: Option<&str>, limit_max: u32) -> u32 {
        let parse = |text: &str| match text.parse() {
            Ok(limit) if (1..=limit_max).contains(&limit) => Ok(limit),
            _ => Err(format!("must be 1 to {limit_max}")),
        };
        self.read("limit", text, parse).unwrap_or(LIMIT_DEFAULT)
    }

    pub(super) fn offset(&mut self, text: Option<&str>) -> u32 {
        self.read("offset", text, offset).unwrap_or(0)
    }

    /// The first and the last millisecond of the span between two moments.
    pub(super) fn span(&mut self, since: Option<&str>, until: Option<&str>) -> (Option<UnixMs>, Option<UnixMs>) {
        let parse = |text: &str| Moment::parse(text).ok_or("must be unix seconds, or a date such as 2026-01-31");
        let (since, until) = (self.read("since", since, parse), self.read("until", until, parse));
        (since.map(|moment| moment.first_ms), until.map(|moment| moment.last_ms))
    }

    pub(super) fn event_type(&mut self, name: &str, text: Option<&str>) -> Option<String> {
        let known = |text: &str| EventType::parse(text).map(|_| text.to_owned()).ok_or("is not the name of an event");
        self.read(name, text, known)
    }

    /// Names and what is wrong with each.
    pub(super) fn into_wrong(self) -> Vec<(String, String)> {
        self.0
    }

    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::fields(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_beyond_what_the_document_says_is_refused() {
        assert_eq!(offset("0"), Ok(0));
        assert_eq!(offset("2147483647"), Ok(OFFSET_MAX));
        for text in ["2147483648", "4294967296", "-1", "", "1.5", "ten"] {
            assert_eq!(offset(text), Err("must be a whole number from 0 to 2147483647".to_owned()), "{text:?}");
        }
    }
}
