//! The merged tree of settings, read key by key; every error is kept until the end.

use crate::domain::correction::{ConfigError, ConfigErrors, unknown_key};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

/// One key and its text, as the environment or a flag gives it. The text is read as what the key wants when it is read.
pub(super) struct Layer {
    source: String,
    key: String,
    text: String,
}

impl Layer {
    pub(super) fn new(source: String, key: String, text: &str) -> Self {
        Self { source, key, text: text.to_owned() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let innermost = Value::from(self.text.as_str());
        let nested =
            self.key.rsplit('.').fold(innermost, |inner, part| Value::from(Dict::from([(part.to_owned(), inner)])));
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

pub(super) struct Tree {
    figment: Figment,
    errors: Vec<ConfigError>,
    /// Sections that were written as something else; what they should hold is not complained about once more.
    no_sections: Vec<String>,
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
        let mut tree = Self { figment, errors: Vec::new(), no_sections: Vec::new() };
        for key in keys.into_iter().filter(|key| !known.contains(key)) {
            if known.iter().any(|known| known.starts_with(&format!("{key}."))) {
                tree.wrong(&key, format!("is a section; write its keys below [{key}]"));
                tree.no_sections.push(format!("{key}."));
                continue;
            }
            tree.wrong(&key, unknown_key(&key, known.iter().map(String::as_str)));
        }
        Ok(tree)
    }

    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        if self.no_sections.iter().any(|section| key.starts_with(section)) {
            return;
        }
        let source = self.figment.find_metadata(key).map(place);
        self.errors.push(ConfigError { key: key.to_owned(), message: message.into(), source });
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        match self.figment.find_value(key) {
            Ok(Value::String(_, text)) => text,
            _ => {
                self.wrong(key, "must be a text");
                String::new()
            }
        }
    }

    pub(super) fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        match self.number(key).filter(|n| range.contains(n)) {
            Some(number) => number,
            None => {
                self.wrong(key, format!("must be a whole number from {} to {}", range.start(), range.end()));
                *range.start()
            }
        }
    }

    /// A whole number, or `off`.
    pub(super) fn whole_or_off(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        if matches!(self.figment.find_value(key), Ok(Value::String(_, text)) if text == "off") {
            return None;
        }
        match self.number(key).filter(|n| range.contains(n)) {
            Some(number) => Some(number),
            None => {
                let (least, most) = (range.start(), range.end());
                self.wrong(key, format!("must be a whole number from {least} to {most}, or \"off\""));
                None
            }
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.figment.find_value(key).ok()? {
            Value::String(_, text) => text.trim().parse().ok(),
            value => value.to_i128().and_then(|number| u64::try_from(number).ok()),
        }
    }

    /// Seconds, with a fraction where that is sensible.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<f64>) -> std::time::Duration {
        let number = self.figment.find_value(key).ok().and_then(|value| match value {
            Value::Num(_, number) => number.to_f64().or_else(|| number.to_i128().map(|n| n as f64)),
            Value::String(_, text) => text.trim().parse().ok(),
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

    /// A part of a whole, from 0 to 1.
    pub(super) fn part(&mut self, key: &str) -> f64 {
        let number = self.figment.find_value(key).ok().and_then(|value| match value {
            Value::Num(_, number) => number.to_f64().or_else(|| number.to_i128().map(|n| n as f64)),
            Value::String(_, text) => text.trim().parse().ok(),
            _ => None,
        });
        number.filter(|part| (0.0..=1.0).contains(part)).unwrap_or_else(|| {
            self.wrong(key, "must be a number from 0 to 1");
            0.0
        })
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        let flag = self.figment.find_value(key).ok().and_then(|value| match value {
            // As older environments write it.
            Value::String(_, text) => match text.trim() {
                "1" => Some(true),
                "0" => Some(false),
                text => text.parse().ok(),
            },
            value => value.to_bool(),
        });
        match flag {
            Some(flag) => flag,
            None => {
                self.wrong(key, "must be true or false");
                false
            }
        }
    }

    /// A list: in a file as TOML writes it, elsewhere also with commas between.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let items = match self.figment.find_value(key) {
            Ok(Value::Array(_, items)) => items.into_iter().map(plain).collect(),
            Ok(Value::String(_, text)) => listed(&text),
            _ => None,
        };
        match items {
            Some(items) => items,
            None => {
                self.wrong(key, "must be a list");
                Vec::new()
            }
        }
    }

    /// A list whose entries `parse` understands; its error says what is wrong with one.
    pub(super) fn parsed_list<T, E: fmt::Display>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut parsed = Vec::new();
        for item in self.list(key) {
            match parse(&item) {
                Ok(value) => parsed.push(value),
                Err(error) => self.wrong(key, error.to_string()),
            }
        }
        parsed
    }

    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }
}

fn plain(value: Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text),
        Value::Num(_, number) => number.to_i128().map(|number| number.to_string()),
        _ => None,
    }
}

/// `["a", "b"]`, or `a, b`.
fn listed(text: &str) -> Option<Vec<String>> {
    if text.trim_start().starts_with('[') {
        let table: toml::Table = format!("list = {text}").parse().ok()?;
        let items = table.get("list")?.as_array()?;
        return items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).or(item.as_integer().map(|n| n.to_string())))
            .collect();
    }
    Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
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
