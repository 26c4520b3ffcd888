//! The time.

use crate::plugins::bindings::clock;
use crate::plugins::state::State;
use wasmtime::Result;

impl clock::Host for State {
    fn now(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.home.store.clock().now_ms()).unwrap_or(0))
    }

    fn monotonic(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
