//! App state: its keys, the version of each collection, the MACs of what each holds.
//!
//! The library writes the version of a collection before it hands out what changed, and WhatsApp sends what lies before a
//! version no more. So a version is written with the note that its changes are not all taken in, which goes when they are
//! written. A collection that a connection finds with that note is asked for anew, all of it.
//!
//! The note is the record's number: the time in unix seconds at which all was taken in last, below zero; or the same above
//! zero while something is missing, so that what was done since is still news.

use super::{Backend, from_json, joined, library_error, to_json};
use crate::domain::clock::UnixMs;
use crate::store::{Record, SessionKind, SessionVault, SessionWrite};
use crate::whatsapp::events::Signal;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wacore::appstate::hash::HashState;
use wacore::appstate::patch_decode::WAPatchName;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::error::Result;
use wacore::store::traits::{AppStateSyncKey, AppSyncStore};
use whatsapp_rust::client::Client;
use whatsapp_rust::sync_task::MajorSyncTask;

fn mac_key(collection: &str, index_mac: &[u8]) -> Vec<u8> {
    joined(&[collection.as_bytes(), index_mac])
}

/// In the order in which they are asked for.
const COLLECTIONS: [WAPatchName; 5] = [
    WAPatchName::CriticalBlock,
    WAPatchName::CriticalUnblockLow,
    WAPatchName::RegularLow,
    WAPatchName::RegularHigh,
    WAPatchName::Regular,
];

/// Collections of which earlier connections did not take in everything.
#[derive(Debug, Default)]
pub(in crate::whatsapp) struct Anew {
    collections: Vec<WAPatchName>,
    /// Something may be missing since then, in unix milliseconds; nothing of one that was never taken in is news.
    pub(in crate::whatsapp) since: Option<UnixMs>,
}

impl Anew {
    /// Forgets what is known of them, so that all of each is asked for.
    pub(in crate::whatsapp) async fn of(records: &SessionVault) -> Result<Self> {
        let all = records.list(SessionKind::SyncVersion, None).await.map_err(library_error)?;
        let is_here =
            |name: &WAPatchName| all.iter().any(|record| record.key == name.as_str().as_bytes() && record.number <= 0);
        let collections = COLLECTIONS.into_iter().filter(|name| !is_here(name)).collect();
        let missing: Vec<Record> = all.iter().filter(|record| record.number > 0).cloned().collect();
        let since = missing.iter().map(|record| record.number.saturating_mul(1_000)).min();
        let nothing = to_json(&HashState::default())?;
        let forget = |record: Record| version(record.key, record.number, nothing.clone());
        records.write(missing.into_iter().map(forget).collect()).await.map_err(library_error)?;
        Ok(Self { collections, since })
    }

    /// The library asks by itself only for what changes from now on, and for everything when a device was linked.
    pub(in crate::whatsapp) async fn ask(self, client: Arc<Client>) {
        for name in self.collections {
            client.process_sync_task(MajorSyncTask::AppStateSync { name, full_sync: true }).await;
        }
    }
}

fn version(name: Vec<u8>, number: i64, value: Vec<u8>) -> SessionWrite {
    SessionWrite::Put { kind: SessionKind::SyncVersion, key: name, scope: None, number, expires_at: None, value }
}

/// How far the library is with each collection, by what it asks and writes. It writes a version once more when it has handed
/// out all changes up to it; a version that came with a whole collection it writes twice before that.
#[derive(Default)]
pub(super) struct Collections(Mutex<HashMap<String, Progress>>);

#[derive(Debug, Default)]
struct Progress {
    /// All of it came at once, and no patch after it.
    whole: bool,
    /// Something could not be written: the library dropped the changes of a version that may be written.
    dropped: bool,
}

impl Progress {
    /// A version was written. Whether all changes up to it are handed out.
    fn written(&mut self, is_repeat: bool) -> bool {
        is_repeat && !std::mem::take(&mut self.whole) && !self.dropped
    }
}

impl Collections {
    fn of<T>(&self, name: &str, see: impl FnOnce(&mut Progress) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        see(all.entry(name.to_owned()).or_default())
    }
}

impl Backend {
    async fn write_of(&self, name: &str, changes: Vec<SessionWrite>) -> Result<()> {
        let written = self.write(changes).await;
        if written.is_err() {
            self.collections.of(name, |progress| progress.dropped = true);
        }
        written
    }

    /// All changes of a collection up to this version are written.
    pub(in crate::whatsapp) async fn taken_in(&self, name: &str, up_to: u64) -> Result<()> {
        let _merging = self.merging.lock().await;
        let record = self.records.get_record(SessionKind::SyncVersion, name.as_bytes()).await.map_err(library_error)?;
        let Some(record) = record.filter(|record| record.number > 0) else { return Ok(()) };
        if from_json::<HashState>(&record.value)?.version != up_to {
            return Ok(());
        }
        self.write(vec![version(record.key, -self.records.now_s(), record.value)]).await
    }
}

#[async_trait]
impl AppSyncStore for Backend {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        self.get_json(SessionKind::SyncKey, key_id).await
    }

    /// Numbered by time of writing: the newest key is the one to encrypt with.
    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let newest = self.records.newest(SessionKind::SyncKey).await.map_err(library_error)?;
        let number = newest.map_or(1, |record| record.number + 1);
        self.write(vec![SessionWrite::Put {
            kind: SessionKind::SyncKey,
            key: key_id.to_vec(),
            scope: None,
            number,
            expires_at: None,
            value: to_json(&key)?,
        }])
        .await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        Ok(self.get_json(SessionKind::SyncVersion, name.as_bytes()).await?.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        let _merging = self.merging.lock().await;
        let earlier =
            self.records.get_record(SessionKind::SyncVersion, name.as_bytes()).await.map_err(library_error)?;
        let (before, mut number) = match &earlier {
            Some(record) => (from_json::<HashState>(&record.value)?.version, record.number),
            None => (0, 0),
        };
        let is_repeat = state.version == before;
        if !is_repeat {
            number = if number == 0 { self.records.now_s() } else { number.saturating_abs() };
        }
        self.write_of(name, vec![version(name.into(), number, to_json(&state)?)]).await?;
        let handed_out = self.collections.of(name, |progress| progress.written(is_repeat));
        if handed_out && number > 0 {
            self.received.signals.put(Signal::TakenIn { collection: name.to_owned(), version: state.version });
        }
        Ok(())
    }

    async fn put_mutation_macs(&self, name: &str, version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> {
        let put = |mutation: &AppStateMutationMAC| SessionWrite::Put {
            kind: SessionKind::MutationMac,
            key: mac_key(name, &mutation.index_mac),
            scope: Some(name.as_bytes().to_vec()),
            number: i64::try_from(version).unwrap_or(i64::MAX),
            expires_at: None,
            value: mutation.value_mac.clone(),
        };
        self.write_of(name, mutations.iter().map(put).collect()).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get(SessionKind::MutationMac, &mac_key(name, index_mac)).await
    }

    async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        // A patch is about to be applied.
        self.collections.of(name, |progress| progress.whole = false);
        let by_key: HashMap<Vec<u8>, [u8; 32]> = index_macs.iter().map(|mac| (mac_key(name, mac), *mac)).collect();
        let keys: Vec<Vec<u8>> = by_key.keys().cloned().collect();
        let records = self.records.get_many(SessionKind::MutationMac, &keys).await.map_err(library_error)?;
        Ok(records.into_iter().filter_map(|record| by_key.get(&record.key).map(|mac| (*mac, record.value))).collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let delete = |mac: &Vec<u8>| SessionWrite::delete(SessionKind::MutationMac, mac_key(name, mac));
        self.write_of(name, index_macs.iter().map(delete).collect()).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.collections.of(name, |progress| progress.whole = true);
        let scope = name.as_bytes().to_vec();
        self.write_of(name, vec![SessionWrite::DeleteScope { kind: SessionKind::MutationMac, scope }]).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let newest = self.records.newest(SessionKind::SyncKey).await.map_err(library_error)?;
        // Reading it back proves that it is a key, not only a row.
        newest.map(|record| from_json::<AppStateSyncKey>(&record.value).map(|_| record.key)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library does with a collection, one letter each: `=` begins anew, `p` is about to apply a patch, `n` writes
    /// a new version, `r` the same again. Whether all is handed out, after each writing.
    fn go(steps: &str) -> Vec<bool> {
        let mut progress = Progress::default();
        let step = |step| match step {
            '=' | 'p' => {
                progress.whole = step == '=';
                None
            }
            step => Some(progress.written(step == 'r')),
        };
        steps.chars().filter_map(step).collect()
    }

    #[test]
    fn a_version_is_handed_out_when_it_is_written_once_more() {
        assert_eq!(go("pnr"), [false, true], "a patch");
        assert_eq!(go("pnpnr"), [false, false, true], "two patches");
        assert_eq!(go("=pnr"), [false, true], "the first patch of all");
        assert_eq!(go("=nrr"), [false, false, true], "a whole collection");
        assert_eq!(go("=npnr"), [false, false, true], "a whole collection and a patch");
        let mut failed = Progress { dropped: true, ..Progress::default() };
        assert!(!failed.written(true), "what the library dropped stays missing");
    }
}
