//! Bytes of stored media, of the plugin's own tenant. A received file that is not here yet is asked for, and read in a later
//! call when it does not come within this one. In a rehearsal only what was laid out is there.

use crate::domain::ids::MediaId;
use crate::plugins::bindings::media;
use crate::plugins::state::{Home, State};
use crate::store::{MediaState, StoreError, Topic};
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wasmtime::Result;

/// Bytes of one read; a wish for more gets these.
const READ_BYTES_MAX: usize = 1 << 20;

type Answer = std::result::Result<Vec<u8>, media::Error>;

impl media::Host for State {
    async fn read(&mut self, handle: String, offset: u64, length: u32) -> Result<Answer> {
        let length = (length as usize).min(READ_BYTES_MAX);
        if self.home.media.is_none() {
            if self.call.in_init {
                return Ok(Err(media::Error::Denied));
            }
            let (home, fetches, time) = (self.home.clone(), !self.call.shadow, self.call_time() / 2);
            return Ok(read_stored(&home, fetches, time, &handle, offset, length).await);
        }
        let Some(laid_out) = &self.home.media else { return Ok(Err(media::Error::NotFound)) };
        let Some(bytes) = laid_out.get(&handle) else { return Ok(Err(media::Error::NotFound)) };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let length = length.min(bytes.len() - from);
        Ok(Ok(bytes[from..from + length].to_vec()))
    }
}

fn unavailable(why: &str) -> media::Error {
    media::Error::Unavailable(why.to_owned())
}

/// `fetches`: whether a file that is at WhatsApp is asked for, and then waited for at most `time`.
async fn read_stored(home: &Home, fetches: bool, time: Duration, handle: &str, offset: u64, length: usize) -> Answer {
    let Some(library) = home.library.clone() else {
        return Err(unavailable("no media is laid out for this rehearsal"));
    };
    let id = MediaId::parse(handle).map_err(|_| media::Error::NotFound)?;
    here(home, fetches, time, &id).await?;
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(plugin = %home.plugin, media = %id, %error, "media could not be read for a plugin");
        unavailable("the media could not be read")
    };
    let mut reader = library.reader(&home.tenant, &id).await.map_err(|error| broken(&error))?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.seek(SeekFrom::Start(offset))?;
        reader.take(length as u64).read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    });
    read.await.map_err(|error| broken(&error))?.map_err(|error| broken(&error))
}

async fn here(home: &Home, fetches: bool, time: Duration, id: &MediaId) -> std::result::Result<(), media::Error> {
    let (store, tenant) = (&home.store, &home.tenant);
    let failed = |error: &StoreError| {
        tracing::error!(plugin = %home.plugin, media = %id, %error, "media could not be asked for");
        unavailable("the media could not be asked for")
    };
    let until = Instant::now() + time;
    let mut changes = store.watch(Topic::Media);
    let mut asked = false;
    loop {
        let row = store.media(tenant, id).await.map_err(|error| match error {
            StoreError::NotFound => media::Error::NotFound,
            error => failed(&error),
        })?;
        match row.state {
            MediaState::Stored => return Ok(()),
            MediaState::Failed(_) if asked => return Err(unavailable("WhatsApp does not give the file")),
            _ if !fetches => return Err(unavailable("the file is still at WhatsApp")),
            _ if !asked => {
                asked = true;
                store.want_media(tenant, id).await.map_err(|error| failed(&error))?;
            }
            _ => {}
        }
        if timeout_at(until, changes.changed()).await.is_err() {
            return Err(unavailable("the file is on its way from WhatsApp; ask for time and read it then"));
        }
    }
}
