//! Takes card and phone numbers out of the text of received messages, before it is stored or delivered.
//!
//! A number is a run of digits, with single spaces, dots, dashes or brackets between them. It is a card when it has 13 to
//! 19 digits and its check digit is right; a phone when it begins with a plus or a zero and has 8 to 15.

use rijan_plugin::inbound::{Outcome, Patch};
use rijan_plugin::{Event, Inbound, Result};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(default)]
struct Redact {
    cards: bool,
    phones: bool,
}

impl Default for Redact {
    fn default() -> Self {
        Self { cards: true, phones: true }
    }
}

rijan_plugin::export!(Redact: config, inbound);

impl Inbound for Redact {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        let text = event.text().unwrap_or_default();
        let redacted = self.redacted(text);
        Ok(if redacted == text { Outcome::pass() } else { Outcome::patch(Patch::text(redacted).and_tag("redacted")) })
    }
}

impl Redact {
    fn redacted(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            // Within a word or a longer number nothing begins.
            let begins = !out.chars().next_back().is_some_and(char::is_alphanumeric);
            let length = if begins { number_at(rest) } else { 0 };
            let (number, after) = rest.split_at(length);
            if let Some(instead) = self.instead_of(number) {
                out.push_str(instead);
                rest = after;
            } else {
                // Past the whole number, so that no part of it is taken for another.
                let step = length.max(first.len_utf8());
                out.push_str(&rest[..step]);
                rest = &rest[step..];
            }
        }
        out
    }

    fn instead_of(&self, number: &str) -> Option<&'static str> {
        let digits = number.bytes().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0')).collect::<Vec<_>>();
        let dialled = number.starts_with(['+', '0', '(']);
        if self.cards && (13..=19).contains(&digits.len()) && has_check_digit(&digits) {
            Some("[card]")
        } else if self.phones && (8..=15).contains(&digits.len()) && dialled {
            Some("[phone]")
        } else {
            None
        }
    }
}

/// Bytes of the number at the beginning of a text: to its last digit; 0 when there is none.
fn number_at(text: &str) -> usize {
    let mut end = 0;
    let mut separators = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                end = at + 1;
                separators = 0;
            }
            b'+' if at == 0 => {}
            b'(' if at == 0 || end > 0 => separators += 1,
            b' ' | b'-' | b'.' | b')' if end > 0 => separators += 1,
            _ => break,
        }
        if separators > 2 {
            break;
        }
    }
    end
}

/// Luhn's sum, which every card number keeps.
fn has_check_digit(digits: &[u32]) -> bool {
    let sum = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, digit * 2) {
        (0, _) => *digit,
        (_, doubled) if doubled > 9 => doubled - 9,
        (_, doubled) => doubled,
    });
    sum.sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_out_and_nothing_else() {
        let redact = Redact::default();
        for (text, expected) in [
            ("card 4111 1111 1111 1111, thanks", "card [card], thanks"),
            ("4111-1111-1111-1111", "[card]"),
            ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
            ("call +62 811-0000-0002 now", "call [phone] now"),
            ("08110000002", "[phone]"),
            ("(021) 555-01234", "[phone]"),
            ("in 2026 we sold 1500", "in 2026 we sold 1500"),
            ("invoice A08110000002", "invoice A08110000002"),
            ("12345678901", "12345678901"),
            ("é 0811 0000 002 é", "é [phone] é"),
            ("", ""),
        ] {
            assert_eq!(redact.redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_switched_off_stays() {
        let cards = Redact { cards: true, phones: false };

        assert_eq!(cards.redacted("08110000002 4111111111111111"), "08110000002 4111111111111111");
        assert_eq!(cards.redacted("4111111111111111 or 08110000002"), "[card] or 08110000002");
    }
}
