//! Texts with places to fill: `Hello {{name}}, your order {{order}} is ready.`
//!
//! A place is two braces around a name of letters, digits, dots, dashes and underscores, with blanks around it if one
//! likes. Other braces are text. A value is put in as it is and not looked through for places again.

use std::collections::BTreeMap;

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
    let mut names: Vec<String> = Vec::new();
    for piece in pieces(template) {
        if let Piece::Place(name) = piece
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// What does not fit between a template and the values given for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template lacks a value for {missing:?} and has no place for {unknown:?}")]
pub struct Misfit {
    pub missing: Vec<String>,
    pub unknown: Vec<String>,
}

/// The text with every place filled.
pub fn fill(template: &str, values: &BTreeMap<String, String>) -> Result<String, Misfit> {
    let names = variables(template);
    let missing: Vec<String> = names.iter().filter(|name| !values.contains_key(*name)).cloned().collect();
    let unknown: Vec<String> = values.keys().filter(|name| !names.contains(name)).cloned().collect();
    if !missing.is_empty() || !unknown.is_empty() {
        return Err(Misfit { missing, unknown });
    }
    let filled = pieces(template).into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Place(name) => values.get(name).map_or("", String::as_str),
    });
    Ok(filled.collect())
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut text_from, mut at) = (0, 0);
    while let Some(open) = template[at..].find("{{").map(|found| at + found) {
        let inside = &template[open + 2..];
        let Some(length) = inside.find("}}") else { break };
        let name = inside[..length].trim();
        if !is_name(name) {
            at = open + 1;
            continue;
        }
        pieces.push(Piece::Text(&template[text_from..open]));
        pieces.push(Piece::Place(name));
        at = open + 2 + length + 2;
        text_from = at;
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
        ] {
            assert_eq!(fill(template, &values(given)).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_missing_and_what_is_not_asked_for_is_named() {
        let misfit = fill("{{a}} {{b}} {{a}}", &values(&[("b", "1"), ("c", "2")])).expect_err("does not fit");
        assert_eq!(misfit, Misfit { missing: vec!["a".into()], unknown: vec!["c".into()] });
        assert_eq!(variables("{{b}} {{a}} {{b}}"), ["b", "a"]);
    }
}
