//! A tenant's file as it was written: tables read key by key; every error is kept until the end.
//!
//! No message repeats a secret.

use crate::domain::allowance::Allowed;
use crate::domain::correction::{ConfigError, unknown_key};
use crate::domain::secret::Secret;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use toml::{Table, Value};

/// Bytes of a secret in a file of its own; a larger one is refused.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Where a file's secrets may come from, and what was found wrong with the file so far.
pub(super) struct Reading<'a> {
    pub(super) file: &'a str,
    /// Secrets in files lie relative to it.
    pub(super) folder: &'a Path,
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(super) errors: RefCell<Vec<ConfigError>>,
}

impl Reading<'_> {
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>) {
        let source = Some(self.file.to_owned());
        self.errors.borrow_mut().push(ConfigError { key: key.to_owned(), message: message.into(), source });
    }
}

/// One table of the file.
pub(super) struct Section<'a> {
    reading: &'a Reading<'a>,
    table: &'a Table,
    /// Its key and a dot; nothing for the file itself.
    prefix: String,
}

impl<'a> Section<'a> {
    /// Refuses keys that are not among `known`.
    pub(super) fn new(reading: &'a Reading<'a>, table: &'a Table, prefix: String, known: &[&str]) -> Self {
        let section = Self { reading, table, prefix };
        for name in table.keys().filter(|name| !known.contains(&name.as_str())) {
            section.wrong(name, unknown_key(name, known.iter().copied()));
        }
        section
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn wrong(&self, name: &str, message: impl Into<String>) {
        self.reading.wrong(&self.key(name), message);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    pub(super) fn text(&self, name: &str, chars: RangeInclusive<usize>) -> Option<String> {
        match self.table.get(name)? {
            Value::String(text) if chars.contains(&text.chars().count()) => return Some(text.clone()),
            Value::String(_) => {
                self.wrong(name, format!("must have {} to {} characters", chars.start(), chars.end()));
            }
            _ => self.wrong(name, "must be a text"),
        }
        None
    }

    /// As [`Section::text`]; left out is wrong.
    pub(super) fn needed(&self, name: &str, chars: RangeInclusive<usize>) -> Option<String> {
        if !self.has(name) {
            self.wrong(name, "is required");
        }
        self.text(name, chars)
    }

    /// Reads a text that was found as something narrower.
    pub(super) fn parsed<T, E: Display>(
        &self,
        name: &str,
        text: Option<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(&text?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(name, error.to_string());
                None
            }
        }
    }

    pub(super) fn whole(&self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.table.get(name)?.as_integer().and_then(|n| u32::try_from(n).ok());
        let number = number.filter(|n| range.contains(n));
        if number.is_none() {
            self.wrong(name, format!("must be a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// A whole number, or `off`.
    pub(super) fn allowed(&self, name: &str, range: RangeInclusive<u32>) -> Option<Allowed> {
        let value = self.table.get(name)?;
        if value.as_str() == Some("off") {
            return Some(Allowed::Off);
        }
        let number = value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.wrong(name, format!("must be a whole number from {least} to {most}, or \"off\""));
        }
        number.map(Allowed::Max)
    }

    pub(super) fn flag(&self, name: &str, left_out: bool) -> bool {
        match self.table.get(name) {
            None => left_out,
            Some(Value::Boolean(flag)) => *flag,
            Some(_) => {
                self.wrong(name, "must be true or false");
                left_out
            }
        }
    }

    /// A list of texts; each one that `parse` refuses is named by its place.
    pub(super) fn list<T, E: Display>(
        &self,
        name: &str,
        count: RangeInclusive<usize>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let Value::Array(items) = self.table.get(name)? else {
            self.wrong(name, "must be a list of texts");
            return None;
        };
        if !count.contains(&items.len()) {
            self.wrong(name, format!("must have {} to {} entries", count.start(), count.end()));
            return None;
        }
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().map(&parse) {
                Some(Ok(value)) => parsed.push(value),
                Some(Err(error)) => self.wrong(&format!("{name}[{index}]"), error.to_string()),
                None => self.wrong(&format!("{name}[{index}]"), "must be a text"),
            }
        }
        Some(parsed)
    }

    pub(super) fn section(&self, name: &str, known: &[&str]) -> Option<Section<'a>> {
        let table = self.table(name)?;
        Some(Section::new(self.reading, table, format!("{}.", self.key(name)), known))
    }

    /// The tables of `[[name]]`, in the order they were written.
    pub(super) fn sections(&self, name: &str, known: &[&str], count_max: usize) -> Vec<Section<'a>> {
        let items = match self.table.get(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.wrong(name, format!("is a list of sections; write [[{name}]]"));
                return Vec::new();
            }
        };
        if items.len() > count_max {
            self.wrong(name, format!("must have at most {count_max} entries"));
        }
        let mut sections = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate().take(count_max) {
            let key = format!("{name}[{index}]");
            match item {
                Value::Table(table) => {
                    sections.push(Section::new(self.reading, table, format!("{}.", self.key(&key)), known));
                }
                _ => self.wrong(&key, format!("is a section; write [[{name}]]")),
            }
        }
        sections
    }

    fn table(&self, name: &str) -> Option<&'a Table> {
        match self.table.get(name)? {
            Value::Table(table) => Some(table),
            _ => {
                self.wrong(name, format!("is a section; write its keys below [{}]", self.key(name)));
                None
            }
        }
    }

    /// A section that another module knows the form of, as JSON. A date has no place there.
    pub(super) fn json(&self, name: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
        let table = self.table(name)?;
        let mut object = serde_json::Map::new();
        for (inner, value) in table {
            match json(value) {
                Some(value) => {
                    object.insert(inner.clone(), value);
                }
                None => self.wrong(&format!("{name}.{inner}"), "holds a date or a number that is none; write a text"),
            }
        }
        Some(object)
    }

    /// A value that serde reads; what it says is told under the key.
    pub(super) fn typed<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        match self.table.get(name)?.clone().try_into() {
            Ok(value) => Some(value),
            Err(error) => {
                let error: toml::de::Error = error;
                self.wrong(name, error.message().to_owned());
                None
            }
        }
    }

    /// A section that serde reads. Its keys are looked at first, so that every wrong one is told and not only the first.
    pub(super) fn typed_section<T: serde::de::DeserializeOwned>(&self, name: &str, known: &[&str]) -> Option<T> {
        let before = self.reading.errors.borrow().len();
        self.section(name, known)?;
        if self.reading.errors.borrow().len() > before { None } else { self.typed(name) }
    }

    /// A secret of this table: `name`, `name_env` or `name_file`, one of them.
    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        let forms = [name.to_owned(), format!("{name}_env"), format!("{name}_file")];
        let given: Vec<&String> = forms.iter().filter(|form| self.has(form)).collect();
        let [form] = given.as_slice() else {
            self.wrong(name, format!("needs one of {name}, {name}_env and {name}_file"));
            return None;
        };
        let Some(text) = self.table.get(form.as_str()).and_then(Value::as_str) else {
            self.wrong(form, "must be a text");
            return None;
        };
        let found = match form {
            form if form.ends_with("_env") => self.in_environment(text),
            form if form.ends_with("_file") => self.in_file(text),
            _ => Ok(Secret::new(text)),
        };
        self.found(form, found)
    }

    /// Secrets by name: each a text, or a table with one of `value`, `env` and `file`.
    pub(super) fn secrets(&self, name: &str, count_max: usize) -> Vec<(String, Secret)> {
        let Some(table) = self.table(name) else { return Vec::new() };
        if table.len() > count_max {
            self.wrong(name, format!("must have at most {count_max} entries"));
        }
        let one = |(of, value): (&String, &Value)| {
            let key = format!("{name}.{of}");
            let entry = match value {
                Value::String(text) => Some(("value", text.as_str())),
                Value::Table(forms) if forms.len() == 1 => {
                    forms.iter().next().and_then(|(form, text)| Some((form.as_str(), text.as_str()?)))
                }
                _ => None,
            };
            let found = match entry {
                Some(("value", text)) => Ok(Secret::new(text)),
                Some(("env", text)) => self.in_environment(text),
                Some(("file", text)) => self.in_file(text),
                _ => Err("must be a text, or { env = \"NAME\" }, or { file = \"PATH\" }".to_owned()),
            };
            Some((of.clone(), self.found(&key, found)?))
        };
        table.iter().take(count_max).filter_map(one).collect()
    }

    fn found(&self, name: &str, found: Result<Secret, String>) -> Option<Secret> {
        found.map_err(|why| self.wrong(name, why)).ok()
    }

    fn in_environment(&self, name: &str) -> Result<Secret, String> {
        let found = (self.reading.environment)(name).filter(|value| !value.is_empty());
        found.map(Secret::new).ok_or_else(|| format!("the environment variable {name} is not set"))
    }

    fn in_file(&self, path: &str) -> Result<Secret, String> {
        let path = self.reading.folder.join(path);
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        if std::fs::metadata(&path).map_err(unreadable)?.len() > SECRET_BYTES_MAX {
            return Err(format!("the file has more than {SECRET_BYTES_MAX} bytes"));
        }
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
    }
}

fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::String(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::Boolean(flag) => (*flag).into(),
        Value::Datetime(_) => return None,
        Value::Array(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Table(table) => {
            let object: Option<serde_json::Map<_, _>> =
                table.iter().map(|(name, value)| Some((name.clone(), json(value)?))).collect();
            object?.into()
        }
    })
}
