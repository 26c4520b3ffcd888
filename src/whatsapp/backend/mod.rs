//! The key store that whatsapp-rust works on: its storage traits over our sealed session records.
//!
//! One backend per connection of a device, under the lease of that connection: once another owner took over, or the
//! connection is over, every write here fails and the client stops. Batched calls are one transaction each. Nothing is cached here; the client
//! library keeps its own caches.

mod app_sync;
mod device;
mod message_secret;
mod protocol;
mod signal;

use super::historian::Historian;
use super::missing::Received;
use super::over::{IsOver, Over};
use super::ratchet::Ratchet;
use crate::store::{SessionKind, SessionVault, SessionWrite, StoreError};
pub(super) use app_sync::Anew;
use app_sync::Collections;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::Mutex;
use wacore::store::error::{Result, StoreError as LibraryError};

pub(super) struct Backend {
    records: SessionVault,
    received: Received,
    ratchet: Arc<Ratchet>,
    historian: Arc<Historian>,
    over: Arc<Over>,
    collections: Collections,
    /// Serialises read-modify-write on contact tokens, message secrets and versions of the app state; there is one backend per device.
    merging: Mutex<()>,
}

impl Backend {
    pub(super) fn new(
        records: SessionVault,
        received: Received,
        ratchet: Arc<Ratchet>,
        historian: Arc<Historian>,
        over: Arc<Over>,
    ) -> Self {
        let (collections, merging) = (Collections::default(), Mutex::new(()));
        Self { records, received, ratchet, historian, over, collections, merging }
    }

    async fn get(&self, kind: SessionKind, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.records.get(kind, key).await.map_err(library_error)
    }

    async fn get_json<T: DeserializeOwned>(&self, kind: SessionKind, key: &[u8]) -> Result<Option<T>> {
        self.get(kind, key).await?.map(|value| from_json(&value)).transpose()
    }

    async fn write(&self, changes: Vec<SessionWrite>) -> Result<()> {
        let _not_yet = self.over.not_yet().await.map_err(over)?;
        self.records.write(changes).await.map_err(library_error)
    }

    async fn delete_expired(&self, kind: SessionKind, cutoff_s: i64) -> Result<u32> {
        let _not_yet = self.over.not_yet().await.map_err(over)?;
        self.records.delete_expired(kind, cutoff_s).await.map_err(library_error)
    }

    async fn put(&self, kind: SessionKind, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(vec![SessionWrite::put(kind, key, value)]).await
    }

    async fn delete(&self, kind: SessionKind, key: &[u8]) -> Result<()> {
        self.write(vec![SessionWrite::delete(kind, key)]).await
    }
}

fn over(error: IsOver) -> LibraryError {
    LibraryError::Database(Box::new(error))
}

/// The library looks for "busy" and "locked" to retry; our store retries by itself and says neither.
fn library_error(error: StoreError) -> LibraryError {
    LibraryError::Database(Box::new(error))
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| LibraryError::Serialization(Box::new(error)))
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| LibraryError::Serialization(Box::new(error)))
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| LibraryError::Serialization(Box::new(error)))
}

/// A key of several parts; lengths in front keep `("a", "bc")` and `("ab", "c")` apart.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        key.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        key.extend_from_slice(part);
    }
    key
}
