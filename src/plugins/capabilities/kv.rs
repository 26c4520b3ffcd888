//! Durable values of this tenant and plugin. Writes are buffered here and committed with the decision of the call.

use crate::domain::aftermath::{KvValue, KvWrite};
use crate::plugins::bindings::kv;
use crate::plugins::bindings::types::Blob;
use crate::plugins::state::{Call, Home, State};
use crate::store::StoreError;
use wasmtime::Result;

const KEY_BYTES_MAX: usize = 512;
const KEYS_PER_PAGE_MAX: u32 = 1_000;
/// Bytes of keys and values that wait for the commit of one run, in memory; a write beyond them is `rate-limited`.
const WAITING_BYTES_MAX: usize = 16 << 20;

type Answer<T> = Result<Result<T, kv::Error>>;

impl kv::Host for State {
    async fn get(&mut self, key: String) -> Answer<Option<kv::Entry>> {
        if let Err(refused) = self.call.usable(&key) {
            return Ok(Err(refused));
        }
        Ok(match self.call.seen(&self.home, &key).await {
            Ok(entry) => Ok(entry.map(|entry| kv::Entry { value: blob(entry.value), version: entry.version })),
            Err(error) => Err(unavailable(&error)),
        })
    }

    async fn set(&mut self, key: String, value: Blob, ttl_ms: Option<u64>) -> Answer<()> {
        let value = self::value(value);
        Ok(self.call.write(&self.home, KvWrite::Set { key, value, ttl_ms }).await)
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        if let Err(refused) = self.call.usable(&key) {
            return Ok(Err(refused));
        }
        let there = match self.call.seen(&self.home, &key).await {
            Ok(entry) => entry.is_some(),
            Err(error) => return Ok(Err(unavailable(&error))),
        };
        Ok(self.call.write(&self.home, KvWrite::Delete { key }).await.map(|()| there))
    }

    async fn cas(&mut self, key: String, expected: u64, value: Blob, ttl_ms: Option<u64>) -> Answer<bool> {
        if let Err(refused) = self.call.usable(&key) {
            return Ok(Err(refused));
        }
        let version = match self.call.seen(&self.home, &key).await {
            Ok(entry) => entry.map_or(0, |entry| entry.version),
            Err(error) => return Ok(Err(unavailable(&error))),
        };
        if version != expected {
            return Ok(Ok(false));
        }
        let value = self::value(value);
        Ok(self.call.write(&self.home, KvWrite::Cas { key, expected, value, ttl_ms }).await.map(|()| true))
    }

    async fn increment(&mut self, key: String, by: i64, ttl_ms: Option<u64>) -> Answer<i64> {
        if let Err(refused) = self.call.usable(&key) {
            return Ok(Err(refused));
        }
        let before = match self.call.seen(&self.home, &key).await {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(unavailable(&error))),
        };
        let write = KvWrite::Add { key, by, ttl_ms };
        let Ok(Some(after)) = write.apply(before) else { return Ok(Err(kv::Error::NotANumber)) };
        let Some(sum) = after.value.number() else { return Ok(Err(kv::Error::NotANumber)) };
        Ok(self.call.write(&self.home, write).await.map(|()| sum))
    }

    async fn list_keys(&mut self, prefix: String, cursor: Option<String>, limit: u32) -> Answer<kv::Page> {
        if let Err(refused) = self.call.usable(&prefix) {
            return Ok(Err(refused));
        }
        let limit = limit.clamp(1, KEYS_PER_PAGE_MAX) as usize;
        match self.call.keys(&self.home, &prefix, cursor, limit).await {
            Ok(page) => Ok(Ok(page)),
            Err(error) => Ok(Err(unavailable(&error))),
        }
    }
}

impl Call {
    fn usable(&self, key: &str) -> std::result::Result<(), kv::Error> {
        if self.in_init {
            return Err(kv::Error::Unavailable("there is no kv in init; use it in a hook".into()));
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(kv::Error::KeyTooLong(KEY_BYTES_MAX as u32));
        }
        Ok(())
    }

    async fn write(&mut self, home: &Home, write: KvWrite) -> std::result::Result<(), kv::Error> {
        self.usable(write.key())?;
        let limits = &home.limits;
        let waiting: usize = self.earlier.iter().chain(&self.writes).chain([&write]).map(size).sum();
        if self.writes.len() >= limits.kv_writes_per_call as usize || waiting > WAITING_BYTES_MAX {
            return Err(kv::Error::RateLimited);
        }
        if let KvWrite::Set { value, .. } | KvWrite::Cas { value, .. } = &write
            && value.bytes().len() > limits.kv_value_bytes as usize
        {
            return Err(kv::Error::ValueTooLarge(limits.kv_value_bytes));
        }
        if !matches!(write, KvWrite::Delete { .. }) && !self.has_room(home, &write).await? {
            return Err(kv::Error::QuotaExceeded);
        }
        self.writes.push(write);
        Ok(())
    }

    /// Whether this write fits what the plugin may keep, with what the call has written so far counted as all new. The
    /// commit counts exactly.
    async fn has_room(&self, home: &Home, write: &KvWrite) -> std::result::Result<bool, kv::Error> {
        let (tenant, plugin, limits) = (&home.tenant, &home.plugin, &home.limits);
        let used = home.store.kv_use(tenant, plugin).await.map_err(|error| unavailable(&error))?;
        let mut known = true;
        let (mut keys, mut bytes) = (used.keys, used.bytes);
        for one in self.earlier.iter().chain(&self.writes).chain([write]) {
            if !matches!(one, KvWrite::Delete { .. }) {
                bytes += size(one) as u64;
                keys += 1;
            }
        }
        let full = keys > u64::from(limits.kv_keys) || bytes > u64::from(limits.kv_kib) << 10;
        if full {
            // A key that is there takes no new place, and its old value makes room: for one that is no longer.
            let before = self.seen(home, write.key()).await.map_err(|error| unavailable(&error))?;
            known = before.is_some_and(|old| {
                let room = old.value.bytes().len();
                matches!(write.apply(Some(old)), Ok(Some(new)) if new.value.bytes().len() <= room)
            });
        }
        Ok(!full || known)
    }

    async fn keys(
        &self,
        home: &Home,
        prefix: &str,
        cursor: Option<String>,
        limit: usize,
    ) -> std::result::Result<kv::Page, StoreError> {
        let mine: Vec<&str> = self.earlier.iter().chain(&self.writes).map(KvWrite::key).collect();
        // Enough that what this call deleted leaves a page's worth.
        let wanted = u32::try_from(limit + mine.len() + 1).unwrap_or(u32::MAX);
        let mut keys = home.store.kv_keys(&home.tenant, &home.plugin, prefix, cursor.clone(), wanted).await?;
        let all_seen = keys.len() < wanted as usize;
        for key in mine {
            let place = keys.binary_search_by(|known| known.as_str().cmp(key));
            match (self.seen(home, key).await?, place) {
                (None, Ok(at)) => {
                    keys.remove(at);
                }
                (Some(_), Err(at)) => {
                    let behind = cursor.as_deref().is_none_or(|cursor| key > cursor);
                    let within = all_seen || at < keys.len();
                    if key.starts_with(prefix) && behind && within {
                        keys.insert(at, key.to_owned());
                    }
                }
                _ => {}
            }
        }
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = if more { keys.last().cloned() } else { None };
        Ok(kv::Page { keys, next })
    }
}

/// Bytes that a write takes at the most.
fn size(write: &KvWrite) -> usize {
    match write {
        KvWrite::Set { key, value, .. } | KvWrite::Cas { key, value, .. } => key.len() + value.bytes().len(),
        KvWrite::Add { key, .. } => key.len() + "-9007199254740992".len(),
        KvWrite::Delete { key } => key.len(),
    }
}

fn unavailable(error: &StoreError) -> kv::Error {
    tracing::error!(%error, "a plugin's value could not be read");
    kv::Error::Unavailable("the store did not answer".into())
}

fn value(blob: Blob) -> KvValue {
    match blob {
        Blob::Text(text) => KvValue::Text(text),
        Blob::Bytes(bytes) => KvValue::Bytes(bytes),
    }
}

fn blob(value: KvValue) -> Blob {
    match value {
        KvValue::Text(text) => Blob::Text(text),
        KvValue::Bytes(bytes) => Blob::Bytes(bytes),
    }
}
