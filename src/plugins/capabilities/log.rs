//! What a plugin logs: kept with the decision of its call, within a quota, without the secrets it has read.

use crate::domain::aftermath::PluginLine;
use crate::plugins::bindings::log;
use crate::plugins::bindings::types::Field;
use crate::plugins::state::State;
use serde_json::{Map, Value};
use wasmtime::Result;

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String, fields: Vec<Field>) -> Result<()> {
        let limits = &self.home.limits;
        if self.call.lines.len() >= limits.log_lines_per_call as usize {
            self.call.lines_not_kept = self.call.lines_not_kept.saturating_add(1);
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
        for secret in self.call.revealed.iter().filter(|secret| !secret.expose().is_empty()) {
            text = text.replace(secret.expose(), "***");
        }
        let mut end = text.len().min(*room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        *room -= end;
        text
    }
}
