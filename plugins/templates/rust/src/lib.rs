//! Answers "ping" with "pong".

use rijan_plugin::inbound::Outcome;
use rijan_plugin::{Event, Inbound, Result, info};

#[derive(Default)]
struct Plugin;

// One name per hook; `rijan-plugin.toml` names the same ones.
rijan_plugin::export!(Plugin: inbound);

impl Inbound for Plugin {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        match event.text() {
            Some(text) if text.trim().eq_ignore_ascii_case("ping") => {
                info!("answered a ping", event = event.id);
                // Effects happen when the gateway commits the event, not before.
                Ok(Outcome::pass().reply("pong"))
            }
            _ => Ok(Outcome::pass()),
        }
    }
}
