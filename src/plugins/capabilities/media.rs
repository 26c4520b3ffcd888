//! Bytes of stored media. Nothing is stored yet: received media is not downloaded in this version.

use crate::plugins::bindings::media;
use crate::plugins::state::State;
use wasmtime::Result;

impl media::Host for State {
    async fn read(&mut self, _handle: String, _offset: u64, _length: u32) -> Result<Result<Vec<u8>, media::Error>> {
        Ok(Err(media::Error::Unavailable("received media is not stored in this version of the gateway".into())))
    }
}
