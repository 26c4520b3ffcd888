//! The secrets of messages, which decrypt what refers to them later: votes, encrypted reactions, edits.

use super::{Backend, joined, library_error};
use crate::store::{Record, SessionKind, SessionWrite};
use async_trait::async_trait;
use wacore::store::error::Result;
use wacore::store::traits::{MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts};

const KIND: SessionKind = SessionKind::MessageSecret;

fn key(chat: &str, sender: &str, id: &str) -> Vec<u8> {
    joined(&[chat.as_bytes(), sender.as_bytes(), id.as_bytes()])
}

/// The record's number is the parent message's time; the library's 0 ("never expires") is our `None`.
fn put(entry: &MsgSecretEntry, earlier: Option<&Record>) -> SessionWrite {
    let (expires_at, message_ts) = match earlier {
        None => (entry.expires_at, entry.message_ts),
        Some(record) => (
            merge_msg_secret_expiry(record.expires_at.unwrap_or(0), entry.expires_at),
            merge_msg_secret_message_ts(record.number, entry.message_ts),
        ),
    };
    SessionWrite::Put {
        kind: KIND,
        key: key(&entry.chat, &entry.sender, &entry.msg_id),
        scope: None,
        number: message_ts,
        expires_at: (expires_at != 0).then_some(expires_at),
        value: entry.secret.to_vec(),
    }
}

#[async_trait]
impl MsgSecretStore for Backend {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let _merging = self.merging.lock().await;
        let keys: Vec<Vec<u8>> = entries.iter().map(|e| key(&e.chat, &e.sender, &e.msg_id)).collect();
        let earlier = self.records.get_many(KIND, &keys).await.map_err(library_error)?;
        let writes = entries
            .iter()
            .zip(&keys)
            .map(|(entry, key)| put(entry, earlier.iter().find(|record| record.key == *key)))
            .collect();
        self.write(writes).await?;
        Ok(entries.len())
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        self.get(KIND, &key(chat, sender, msg_id)).await
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>> {
        let record = self.records.get_record(KIND, &key(chat, sender, msg_id)).await.map_err(library_error)?;
        Ok(record.map(|record| (record.value, record.number)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.delete_expired(KIND, cutoff_timestamp).await
    }
}
