//! Texts with places to fill: `Hello {{name}}, your order {{order}} is ready.`
//!
//! A place is two braces around a name of letters, digits, dots, dashes and underscores, with blanks around it if one
//! likes. Other braces are text. A value is put in as it is and not looked through for places again.

use std::collections::{BTreeMap, BTreeSet};

/// Characters of a variable's name.
pub const VARIABLE_CHARS_MAX: usize = 64;

/// One piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Place(&'t str),
}

/// The names of the places, each once, in the order of the text.
pub fn variables(template: &str) -> Vec<String> {
    let mut known = BTreeSet::new();
    let places = pieces(template).into_iter().filter_map(|piece| match piece {
        Piece::Place(name) => Some(name),
        Piece::Text(_) => None,
    });
    places.filter(|name| known.insert(*name)).map(str::to_owned).collect()
}

/// Why a template and the values given for it make no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    #[error("the template lacks a value for {missing:?} and has no place for {unknown:?}")]
    Misfit { missing: Vec<String>, unknown: Vec<String> },
    #[error("the template and its values make a text of more than {chars_max} characters")]
    TooLong { chars_max: usize },
}

/// The text with every place filled, when it has at most `chars_max` characters; a longer one is not made at all, since a
/// long value in many places is more than memory holds.
pub fn fill(template: &str, values: &BTreeMap<String, String>, chars_max: usize) -> Result<String, Unfilled> {
    let names = variables(template);
    let missing: Vec<String> = names.iter().filter(|name| !values.contains_key(*name)).cloned().collect();
    let known: BTreeSet<&String> = names.iter().collect();
    let unknown: Vec<String> = values.keys().filter(|name| !known.contains(name)).cloned().collect();
    if !missing.is_empty() || !unknown.is_empty() {
        return Err(Unfilled::Misfit { missing, unknown });
    }
    let filled = || {
        pieces(template).into_iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Place(name) => values.get(name).map_or("", String::as_str),
        })
    };
    let mut left = chars_max;
    for text in filled() {
        let count = text.chars().take(left.saturating_add(1)).count();
        left = left.checked_sub(count).ok_or(Unfilled::TooLong { chars_max })?;
    }
    Ok(filled().collect())
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    pieces_between(template, template.match_indices(['{', '}']))
}

/// One pass over the `braces` of a template, each looked at once: between the two that open a place and the two that close
/// it stands no other.
fn pieces_between<'t>(template: &'t str, braces: impl Iterator<Item = (usize, &'t str)>) -> Vec<Piece<'t>> {
    let mut pieces = Vec::new();
    let mut text_from = 0;
    // Where a name would begin, behind two open braces; and where it ended, before one that closes.
    let (mut name_from, mut name_to) = (None, None);
    let mut before = None;
    for (at, brace) in braces {
        let follows = before.is_some_and(|(earlier, same)| (earlier + 1, same) == (at, brace));
        before = Some((at, brace));
        let (from, to) = (name_from.take(), name_to.take());
        match (brace, from, to) {
            ("{", ..) => name_from = follows.then_some(at + 1),
            (_, Some(from), None) => (name_from, name_to) = (Some(from), Some(at)),
            (_, Some(from), Some(to)) if follows && is_name(template[from..to].trim()) => {
                pieces.push(Piece::Text(&template[text_from..from - 2]));
                pieces.push(Piece::Place(template[from..to].trim()));
                text_from = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(Piece::Text(&template[text_from..]));
    pieces
}

fn is_name(name: &str) -> bool {
    (1..=VARIABLE_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn places_are_filled_and_other_braces_are_text() {
        for (template, given, expected) in [
            ("Hello {{name}}, {{ name }}!", &[("name", "Ana")][..], "Hello Ana, Ana!"),
            ("{ {{x}} }} {{not a name}} {{}}", &[("x", "1")], "{ 1 }} {{not a name}} {{}}"),
            ("{{{x}}}", &[("x", "1")], "{1}"),
            ("open {{", &[], "open {{"),
            ("{{a}}{{b}}", &[("a", "{{b}}"), ("b", "2")], "{{b}}2"),
            ("é{{x}}ü", &[("x", "ß")], "éßü"),
            ("{{a}b}} {{{{x}}}} {{x} }", &[("x", "1")], "{{a}b}} {{1}} {{x} }"),
            ("}}{{x}}{{", &[("x", "1")], "}}1{{"),
        ] {
            assert_eq!(fill(template, &values(given), 100).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn each_brace_is_looked_at_once_however_many_open_and_never_close() {
        for template in ["{".repeat(10_000), "{{a".repeat(10_000), "{{a}".repeat(10_000), "{{a}}".repeat(10_000)] {
            let looked_at = Cell::new(0);
            let braces = template.match_indices(['{', '}']).inspect(|_| looked_at.set(looked_at.get() + 1));

            let found = pieces_between(&template, braces);

            assert_eq!(looked_at.get(), template.bytes().filter(|b| b"{}".contains(b)).count());
            let length = |piece: &Piece<'_>| match piece {
                Piece::Text(text) => text.len(),
                Piece::Place(name) => name.len() + 4,
            };
            assert_eq!(found.iter().map(length).sum::<usize>(), template.len(), "and each byte is in one piece");
        }
    }

    #[test]
    fn what_is_missing_and_what_is_not_asked_for_is_named() {
        let misfit = fill("{{a}} {{b}} {{a}}", &values(&[("b", "1"), ("c", "2")]), 100).expect_err("does not fit");
        assert_eq!(misfit, Unfilled::Misfit { missing: vec!["a".into()], unknown: vec!["c".into()] });
        assert_eq!(variables("{{b}} {{a}} {{b}}"), ["b", "a"]);
    }

    #[test]
    fn a_text_that_is_too_long_is_not_made() {
        let given = values(&[("x", "ßß")]);
        for (chars_max, expected) in [(5, Ok("1ßßßß")), (4, Err(Unfilled::TooLong { chars_max: 4 }))] {
            assert_eq!(fill("1{{x}}{{x}}", &given, chars_max).as_deref(), expected.as_ref().map(|text| *text));
        }
        // Of this one memory would hold nothing: 12 GB.
        let wide = values(&[("x", &"x".repeat(1 << 20))]);
        assert!(fill(&"{{x}}".repeat(12_000), &wide, 65_536).is_err());
    }
}
