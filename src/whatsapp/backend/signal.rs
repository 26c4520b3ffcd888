//! Identities, sessions, pre-keys and sender keys.

use super::Backend;
use crate::store::{SessionKind, SessionWrite};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use wacore::store::error::{Result, StoreError as LibraryError};
use wacore::store::traits::SignalStore;

fn numbered(kind: SessionKind, id: u32, record: &[u8]) -> SessionWrite {
    SessionWrite::Put {
        kind,
        key: id.to_be_bytes().to_vec(),
        scope: None,
        number: i64::from(id),
        expires_at: None,
        value: record.to_vec(),
    }
}

/// Groups sessions and identities by user, so that "anything for this user?" is one look-up.
fn addressed(kind: SessionKind, address: &str, value: &[u8]) -> SessionWrite {
    let user = address.split(['@', ':']).next().unwrap_or(address);
    SessionWrite::Put {
        kind,
        key: address.as_bytes().to_vec(),
        scope: Some(user.as_bytes().to_vec()),
        number: 0,
        expires_at: None,
        value: value.to_vec(),
    }
}

fn id_of(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

#[async_trait]
impl SignalStore for Backend {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.write(vec![addressed(SessionKind::Identity, address, &key)]).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        self.write(identities.iter().map(|(address, key)| addressed(SessionKind::Identity, address, key)).collect())
            .await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        self.get(SessionKind::Identity, address.as_bytes())
            .await?
            .map(|key| key.try_into().map_err(|_| LibraryError::Validation("an identity key is not 32 bytes".into())))
            .transpose()
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete(SessionKind::Identity, address.as_bytes()).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        Ok(self.get(SessionKind::Session, address.as_bytes()).await?.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.write(vec![addressed(SessionKind::Session, address, session)]).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.write(
            sessions.iter().map(|(address, session)| addressed(SessionKind::Session, address, session)).collect(),
        )
        .await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.delete(SessionKind::Session, address.as_bytes()).await
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        for kind in [SessionKind::Session, SessionKind::Identity] {
            let found = self.records.list(kind, Some(user.as_bytes())).await.map_err(super::library_error)?;
            if !found.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn store_prekey(&self, id: u32, record: &[u8], _uploaded: bool) -> Result<()> {
        self.write(vec![numbered(SessionKind::PreKey, id, record)]).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], _uploaded: bool) -> Result<()> {
        self.write(keys.iter().map(|(id, record)| numbered(SessionKind::PreKey, *id, record)).collect()).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        Ok(self.get(SessionKind::PreKey, &id.to_be_bytes()).await?.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_be_bytes().to_vec()).collect();
        let records = self.records.get_many(SessionKind::PreKey, &keys).await.map_err(super::library_error)?;
        Ok(records.into_iter().map(|record| (id_of(record.number), Bytes::from(record.value))).collect())
    }

    /// No method of the trait reads the flag back; what counts is that a deleted key stays deleted.
    async fn mark_prekeys_uploaded(&self, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.delete(SessionKind::PreKey, &id.to_be_bytes()).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let newest = self.records.newest(SessionKind::PreKey).await.map_err(super::library_error)?;
        Ok(newest.map_or(0, |record| id_of(record.number)))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.write(vec![numbered(SessionKind::SignedPreKey, id, record)]).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.get(SessionKind::SignedPreKey, &id.to_be_bytes()).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let records = self.records.list(SessionKind::SignedPreKey, None).await.map_err(super::library_error)?;
        Ok(records.into_iter().map(|record| (id_of(record.number), record.value)).collect())
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.delete(SessionKind::SignedPreKey, &id.to_be_bytes()).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.put(SessionKind::SenderKey, address.as_bytes(), record).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let put = |(address, record): &(Arc<str>, Bytes)| {
            SessionWrite::put(SessionKind::SenderKey, address.as_bytes(), record.to_vec())
        };
        self.write(sender_keys.iter().map(put).collect()).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.get(SessionKind::SenderKey, address.as_bytes()).await
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.delete(SessionKind::SenderKey, address.as_bytes()).await
    }
}
