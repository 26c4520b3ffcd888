//! The detail behind the event of the call.

use crate::plugins::bindings::event_data;
use crate::plugins::state::State;
use wasmtime::Result;

impl event_data::Host for State {
    fn get(&mut self) -> Result<String> {
        Ok(self.call.document.text().to_owned())
    }

    fn find(&mut self, pointer: String) -> Result<Option<String>> {
        Ok(self.call.document.value().pointer(&pointer).map(ToString::to_string))
    }
}
