//! What a plugin can ask of the host: one file per interface of `wit/`. Whether it may is decided in `grants`; a plugin
//! that imports what it may not is not loaded, so these answer to whoever is there.

mod clock;
mod event_data;
mod http;
mod kv;
mod log;
mod media;
mod random;
mod secrets;

use super::bindings::types;
use super::state::State;

impl types::Host for State {}
