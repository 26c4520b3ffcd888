//! Bytes of stored media. Nothing is stored yet: received media is not downloaded in this version, so only what a rehearsal
//! has laid out is there.

use crate::plugins::bindings::media;
use crate::plugins::state::State;
use wasmtime::Result;

/// Bytes of one read; a wish for more gets these.
const READ_BYTES_MAX: usize = 1 << 20;

impl media::Host for State {
    async fn read(&mut self, handle: String, offset: u64, length: u32) -> Result<Result<Vec<u8>, media::Error>> {
        let Some(media) = &self.home.media else {
            let why = "received media is not stored in this version of the gateway";
            return Ok(Err(media::Error::Unavailable(why.into())));
        };
        let Some(bytes) = media.get(&handle) else { return Ok(Err(media::Error::NotFound)) };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let length = (length as usize).min(READ_BYTES_MAX).min(bytes.len() - from);
        Ok(Ok(bytes[from..from + length].to_vec()))
    }
}
