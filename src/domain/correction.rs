//! What somebody wrote in a file and has to correct: all of it at once, each with its key, what to do, and where it is.

use std::fmt;

/// One thing that is wrong: the key, what to do, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub key: String,
    pub message: String,
    pub source: Option<String>,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}: {}", error.key, error.message)?;
            if let Some(source) = &error.source {
                write!(f, " (from {source})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Edits between a mistyped key and one that is meant, at most.
const EDITS_MAX: usize = 3;

/// What to say of a key that is not known: that, and which one may be meant.
pub fn unknown_key<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = known.into_iter().map(|candidate| (distance(candidate, key), candidate)).min();
    let hint = nearest.filter(|(edits, _)| *edits <= EDITS_MAX);
    let hint = hint.map(|(_, candidate)| format!("; did you mean {candidate}?")).unwrap_or_default();
    format!("is not a known key{hint}")
}

/// Edits between two keys (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_gets_the_nearest_one_and_a_strange_one_gets_none() {
        let known = ["devices", "webhooks", "plugins"];
        assert_eq!(unknown_key("webhoks", known), "is not a known key; did you mean webhooks?");
        assert_eq!(unknown_key("something", known), "is not a known key");
    }
}
