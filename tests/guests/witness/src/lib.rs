//! A plugin that keeps what it is shown of every event: the whole of `event-data`, as it came.

use rijan_plugin::inbound::Outcome;
use rijan_plugin::{Event, Inbound, PluginError, Result, event_data, kv};

#[derive(Default)]
struct Plugin;

rijan_plugin::export!(Plugin: inbound);

impl Inbound for Plugin {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        kv::set_text(&event.id, &event_data::get(), None)
            .map_err(|error| PluginError::permanent(format!("{error:?}")))?;
        Ok(Outcome::pass())
    }
}
