//! Chance, from the process's cryptographic generator.

use crate::plugins::bindings::random;
use crate::plugins::state::State;
use rand::Rng as _;
use wasmtime::Result;

/// Bytes of one call; a wish for more gets these.
const RANDOM_BYTES_MAX: usize = 64 << 10;

impl random::Host for State {
    fn next(&mut self) -> Result<u32> {
        Ok(rand::random())
    }

    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (length as usize).min(RANDOM_BYTES_MAX)];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}
