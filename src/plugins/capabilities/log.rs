//! What a plugin logs: kept with the decision of its call, within a quota, without the secrets it has read.

use crate::domain::aftermath::PluginLine;
use crate::domain::secret::Secret;
use crate::plugins::bindings::log;
use crate::plugins::bindings::types::Field;
use crate::plugins::state::State;
use serde_json::{Map, Value};
use wasmtime::Result;

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String, fields: Vec<Field>) -> Result<()> {
        let limits = &self.home.limits;
        if self.call.lines.count() >= limits.log_lines_per_call as usize {
            return Ok(());
        }
        let mut room = limits.log_line_bytes as usize;
        let message = self.fit(message, &mut room);
        let mut kept = Map::new();
        for field in fields {
            let name = self.fit(field.name, &mut room);
            let value = self.fit(field.value, &mut room);
            if room == 0 {
                break;
            }
            kept.insert(name, Value::String(value));
        }
        let level = match level {
            log::Level::Trace => "trace",
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        self.call.lines.push(PluginLine {
            plugin: self.home.plugin.clone(),
            sha256: self.home.sha256.clone(),
            subject: self.call.subject.clone(),
            level,
            message,
            fields: Value::Object(kept),
            at: self.home.store.clock().now_ms(),
        });
        Ok(())
    }
}

impl State {
    /// Blanks secrets, then cuts to the room that is left, at a character.
    fn fit(&self, mut text: String, room: &mut usize) -> String {
        let secrets = || self.call.revealed.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        let longest = secrets().map(str::len).max().unwrap_or(0);
        // A guest may hand over far more than is kept. What lies behind the room is not looked at, nor is the beginning of a
        // secret kept that ends there.
        if text.len() > *room + longest {
            cut(&mut text, *room + longest);
            for secret in secrets() {
                text = text.replace(secret, "***");
            }
            let whole = text.len().saturating_sub(longest);
            cut(&mut text, whole);
        } else {
            for secret in secrets() {
                text = text.replace(secret, "***");
            }
        }
        cut(&mut text, *room);
        *room -= text.len();
        text
    }
}

/// Shortens to at most so many bytes, at a character.
fn cut(text: &mut String, bytes_max: usize) {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}
