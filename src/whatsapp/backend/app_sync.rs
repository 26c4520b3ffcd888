//! App state: its keys, the version of each collection, the MACs of what each holds.

use super::{Backend, from_json, joined, library_error, to_json};
use crate::store::{SessionKind, SessionWrite};
use async_trait::async_trait;
use std::collections::HashMap;
use wacore::appstate::hash::HashState;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::error::Result;
use wacore::store::traits::{AppStateSyncKey, AppSyncStore};

fn mac_key(collection: &str, index_mac: &[u8]) -> Vec<u8> {
    joined(&[collection.as_bytes(), index_mac])
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
        self.put(SessionKind::SyncVersion, name.as_bytes(), &to_json(&state)?).await
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
        self.write(mutations.iter().map(put).collect()).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get(SessionKind::MutationMac, &mac_key(name, index_mac)).await
    }

    async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let by_key: HashMap<Vec<u8>, [u8; 32]> = index_macs.iter().map(|mac| (mac_key(name, mac), *mac)).collect();
        let keys: Vec<Vec<u8>> = by_key.keys().cloned().collect();
        let records = self.records.get_many(SessionKind::MutationMac, &keys).await.map_err(library_error)?;
        Ok(records.into_iter().filter_map(|record| by_key.get(&record.key).map(|mac| (*mac, record.value))).collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let delete = |mac: &Vec<u8>| SessionWrite::delete(SessionKind::MutationMac, mac_key(name, mac));
        self.write(index_macs.iter().map(delete).collect()).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        let scope = name.as_bytes().to_vec();
        self.write(vec![SessionWrite::DeleteScope { kind: SessionKind::MutationMac, scope }]).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let newest = self.records.newest(SessionKind::SyncKey).await.map_err(library_error)?;
        // Reading it back proves that it is a key, not only a row.
        newest.map(|record| from_json::<AppStateSyncKey>(&record.value).map(|_| record.key)).transpose()
    }
}
