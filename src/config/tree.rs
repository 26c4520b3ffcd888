//! The merged tree of settings, read key by key; every error is kept until the end.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

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

/// A layer of keys and texts. A text that reads as a TOML value is that value; anything else is a text.
pub(super) struct Layer {
    name: &'static str,
    entries: Vec<(String, String)>,
}

impl Layer {
    pub(super) fn new(name: &'static str, entries: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { name, entries: entries.into_iter().collect() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (key, text) in &self.entries {
            let parts: Vec<&str> = key.split('.').collect();
            insert(&mut dict, &parts, text);
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn insert(dict: &mut Dict, parts: &[&str], text: &str) {
    match parts {
        [] => {}
        [last] => {
            dict.insert((*last).to_owned(), value(text));
        }
        [first, rest @ ..] => {
            let entry = dict.entry((*first).to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = entry {
                insert(inner, rest, text);
            }
        }
    }
}

/// Numbers, booleans and lists as TOML writes them; a key of digits only (a hash) stays a text because it is too long
/// for a number.
fn value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
    match parsed {
        Some(toml::Value::Integer(number)) => Value::from(number),
        Some(toml::Value::Boolean(flag)) => Value::from(flag),
        Some(toml::Value::Array(items)) => {
            items.iter().map(|item| Value::from(item.as_str().unwrap_or_default())).collect::<Vec<_>>().into()
        }
        _ => Value::from(text),
    }
}

pub(super) struct Tree {
    figment: Figment,
    errors: Vec<ConfigError>,
}

impl Tree {
    /// Refuses keys that the defaults do not have.
    pub(super) fn new(figment: Figment) -> Result<Self, ConfigErrors> {
        let written: Dict = figment.extract().map_err(|error| {
            let source = error.metadata.as_ref().map(place);
            // A parser shows the line it stumbled over, and that line may hold the master key: only the place is told.
            let shown = error.kind.to_string();
            let place = shown.lines().next().filter(|line| line.starts_with("TOML parse error at line"));
            let message = place.unwrap_or("could not be read; check its syntax").to_owned();
            let key = if error.path.is_empty() { "the configuration".to_owned() } else { error.path.join(".") };
            ConfigErrors(vec![ConfigError { key, message, source }])
        })?;
        let defaults: toml::Table = super::DEFAULTS.parse().unwrap_or_default();
        let mut known = BTreeSet::new();
        toml_keys(&defaults, "", &mut known);
        let mut keys = Vec::new();
        dict_keys(&written, "", &mut keys);
        let mut tree = Self { figment, errors: Vec::new() };
        for key in keys.into_iter().filter(|key| !known.contains(key)) {
            let nearest = known.iter().min_by_key(|candidate| distance(candidate, &key));
            let hint = nearest.filter(|candidate| distance(candidate, &key) <= 3);
            let hint = hint.map(|candidate| format!("; did you mean {candidate}?")).unwrap_or_default();
            tree.wrong(&key, format!("is not a known key{hint}"));
        }
        Ok(tree)
    }

    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let source = self.figment.find_metadata(key).map(place);
        self.errors.push(ConfigError { key: key.to_owned(), message: message.into(), source });
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        match self.figment.find_value(key) {
            Ok(Value::String(_, text)) => text,
            // A text of digits was read as a number.
            Ok(Value::Num(_, number)) => number.to_i128().map(|n| n.to_string()).unwrap_or_default(),
            _ => {
                self.wrong(key, "must be a text");
                String::new()
            }
        }
    }

    pub(super) fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let number = self.figment.find_value(key).ok().and_then(|value| value.to_i128());
        match number.and_then(|n| u64::try_from(n).ok()).filter(|n| range.contains(n)) {
            Some(number) => number,
            None => {
                self.wrong(key, format!("must be a whole number from {} to {}", range.start(), range.end()));
                *range.start()
            }
        }
    }

    /// Seconds, with a fraction where that is sensible.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<f64>) -> std::time::Duration {
        let number = self.figment.find_value(key).ok().and_then(|value| match value {
            Value::Num(_, number) => number.to_f64().or_else(|| number.to_i128().map(|n| n as f64)),
            Value::String(_, text) => text.parse().ok(),
            _ => None,
        });
        match number.filter(|n| range.contains(n)) {
            Some(number) => std::time::Duration::from_secs_f64(number),
            None => {
                self.wrong(key, format!("must be a number of seconds from {} to {}", range.start(), range.end()));
                std::time::Duration::from_secs_f64(*range.start())
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.figment.find_value(key).ok().and_then(|value| value.to_bool()) {
            Some(flag) => flag,
            None => {
                self.wrong(key, "must be true or false");
                false
            }
        }
    }

    pub(super) fn list<T: serde::de::DeserializeOwned>(&mut self, key: &str, what: &str) -> Vec<T> {
        match self.figment.extract_inner(key) {
            Ok(list) => list,
            Err(_) => {
                self.wrong(key, format!("must be a list of {what}"));
                Vec::new()
            }
        }
    }

    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }
}

fn place(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(|source| source.file_path()) {
        Some(path) => path.display().to_string(),
        None => metadata.name.to_string(),
    }
}

fn dict_keys(dict: &Dict, prefix: &str, keys: &mut Vec<String>) {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) => dict_keys(inner, &key, keys),
            _ => keys.push(key),
        }
    }
}

fn toml_keys(table: &toml::Table, prefix: &str, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => toml_keys(inner, &key, keys),
            _ => {
                keys.insert(key);
            }
        }
    }
}

/// Edits between two keys (Levenshtein), for the hint at a mistyped one.
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
