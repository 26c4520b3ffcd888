//! What the protocol remembers of others: sender key distribution, lid and phone, device lists, groups, tokens; and the
//! two buffers, of messages sent (for retry receipts) and of messages decrypted but not yet committed.

use super::{Backend, from_json, joined, library_error, over, text, to_json};
use crate::store::{SessionKind, SessionWrite};
use crate::whatsapp::history::tells_of_a_file;
use async_trait::async_trait;
use wacore::store::error::{Result, StoreError as LibraryError};
use wacore::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry,
};

fn pending_key(chat: &str, sender: &str, id: &str) -> Vec<u8> {
    joined(&[chat.as_bytes(), sender.as_bytes(), id.as_bytes()])
}

/// What a device of a group's member knows: group and device are both part of the key, the group is the scope.
fn sender_key_device(group: &str, device: &str, has_key: bool) -> SessionWrite {
    SessionWrite::Put {
        kind: SessionKind::SenderKeyDevice,
        key: joined(&[group.as_bytes(), device.as_bytes()]),
        scope: Some(group.as_bytes().to_vec()),
        number: i64::from(has_key),
        expires_at: None,
        value: device.as_bytes().to_vec(),
    }
}

#[async_trait]
impl ProtocolStore for Backend {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let records =
            self.records.list(SessionKind::SenderKeyDevice, Some(group_jid.as_bytes())).await.map_err(library_error)?;
        records.into_iter().map(|record| Ok((text(record.value)?, record.number != 0))).collect()
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        self.write(entries.iter().map(|(device, has_key)| sender_key_device(group_jid, device, *has_key)).collect())
            .await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        let scope = group_jid.as_bytes().to_vec();
        self.write(vec![SessionWrite::DeleteScope { kind: SessionKind::SenderKeyDevice, scope }]).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        if device_jids.is_empty() {
            return Ok(());
        }
        let all = self.records.list(SessionKind::SenderKeyDevice, None).await.map_err(library_error)?;
        let gone = |value: &[u8]| device_jids.iter().any(|jid| jid.as_bytes() == value);
        let deletes = all
            .into_iter()
            .filter(|record| gone(&record.value))
            .map(|record| SessionWrite::delete(SessionKind::SenderKeyDevice, record.key))
            .collect();
        self.write(deletes).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        self.write(vec![SessionWrite::DeleteKind { kind: SessionKind::SenderKeyDevice }]).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.get_json(SessionKind::LidMapping, lid.as_bytes()).await
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        match self.get(SessionKind::PnMapping, phone.as_bytes()).await? {
            Some(lid) => self.get_json(SessionKind::LidMapping, &lid).await,
            None => Ok(None),
        }
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    /// A lid that moved to another number leaves no way back from the old number.
    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let mut writes = Vec::with_capacity(entries.len() * 2);
        for entry in entries {
            let earlier = self.get_lid_mapping(&entry.lid).await?;
            if let Some(earlier) = earlier.filter(|earlier| earlier.phone_number != entry.phone_number) {
                writes.push(SessionWrite::delete(SessionKind::PnMapping, earlier.phone_number));
            }
            writes.push(SessionWrite::put(SessionKind::LidMapping, entry.lid.as_bytes(), to_json(entry)?));
            writes.push(SessionWrite::put(SessionKind::PnMapping, entry.phone_number.as_bytes(), entry.lid.as_bytes()));
        }
        self.write(writes).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let records = self.records.list(SessionKind::LidMapping, None).await.map_err(library_error)?;
        records.iter().map(|record| from_json(&record.value)).collect()
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        self.put(SessionKind::BaseKey, &joined(&[address.as_bytes(), message_id.as_bytes()]), base_key).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool> {
        let saved = self.get(SessionKind::BaseKey, &joined(&[address.as_bytes(), message_id.as_bytes()])).await?;
        Ok(saved.is_some_and(|saved| saved == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        self.delete(SessionKind::BaseKey, &joined(&[address.as_bytes(), message_id.as_bytes()])).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let writes = records
            .iter()
            .map(|record| Ok(SessionWrite::put(SessionKind::DeviceList, record.user.as_bytes(), to_json(record)?)))
            .collect::<Result<_>>()?;
        self.write(writes).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        self.get_json(SessionKind::DeviceList, user.as_bytes()).await
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.delete(SessionKind::DeviceList, user.as_bytes()).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        self.get(SessionKind::GroupMetadata, group_jid.as_bytes()).await
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.put(SessionKind::GroupMetadata, group_jid.as_bytes(), blob).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.delete(SessionKind::GroupMetadata, group_jid.as_bytes()).await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        self.get_json(SessionKind::TcToken, jid.as_bytes()).await
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.put(SessionKind::TcToken, jid.as_bytes(), &to_json(entry)?).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.delete(SessionKind::TcToken, jid.as_bytes()).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        let records = self.records.list(SessionKind::TcToken, None).await.map_err(library_error)?;
        records.into_iter().map(|record| text(record.key)).collect()
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        let _merging = self.merging.lock().await;
        let mut deletes = Vec::new();
        for record in self.records.list(SessionKind::TcToken, None).await.map_err(library_error)? {
            let entry: TcTokenEntry = from_json(&record.value)?;
            let token_lives = !entry.token.is_empty() && entry.token_timestamp >= token_cutoff;
            let sender_lives = entry.sender_timestamp.is_some_and(|at| at >= sender_cutoff);
            if !token_lives && !sender_lives {
                deletes.push(SessionWrite::delete(SessionKind::TcToken, record.key));
            }
        }
        let count = u32::try_from(deletes.len()).unwrap_or(u32::MAX);
        self.write(deletes).await?;
        Ok(count)
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        let _merging = self.merging.lock().await;
        let entry = match self.get_tc_token(jid).await? {
            Some(entry) => TcTokenEntry {
                sender_timestamp: Some(entry.sender_timestamp.map_or(sender_timestamp, |at| at.max(sender_timestamp))),
                ..entry
            },
            None => TcTokenEntry {
                token: Vec::new(),
                token_timestamp: sender_timestamp,
                sender_timestamp: Some(sender_timestamp),
            },
        };
        self.put_tc_token(jid, &entry).await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        let _merging = self.merging.lock().await;
        let earlier = self.get_tc_token(jid).await?;
        if earlier.as_ref().is_some_and(|e| !e.token.is_empty() && token_timestamp < e.token_timestamp) {
            return Ok(());
        }
        let sender_timestamp = earlier.and_then(|e| e.sender_timestamp);
        self.put_tc_token(jid, &TcTokenEntry { token: token.to_vec(), token_timestamp, sender_timestamp }).await
    }

    /// The deadline is the time of writing: the library asks for what is older than its retention.
    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        self.write(vec![SessionWrite::Put {
            kind: SessionKind::SentMessage,
            key: joined(&[chat_jid.as_bytes(), message_id.as_bytes()]),
            scope: None,
            number: 0,
            expires_at: Some(self.records.now_s()),
            value: payload.to_vec(),
        }])
        .await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        let key = joined(&[chat_jid.as_bytes(), message_id.as_bytes()]);
        let _not_yet = self.over.not_yet().await.map_err(over)?;
        self.records.take(SessionKind::SentMessage, &key).await.map_err(library_error)
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.delete_expired(SessionKind::SentMessage, cutoff_timestamp - 1).await
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    /// Asked for a message that cannot be decrypted a second time. `None` lets it be acknowledged as seen, so that is said
    /// only of what the inbox has.
    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        self.ratchet.read(id);
        let waits = self.get(SessionKind::PendingInbound, &pending_key(chat, sender, id)).await?;
        if waits.is_none() && !self.received.has(chat, sender, id).await.map_err(library_error)? {
            return Err(LibraryError::Validation(format!("message {id} was decrypted and is not in the inbox")));
        }
        Ok(waits)
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete(SessionKind::PendingInbound, &pending_key(chat, sender, id)).await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.delete_expired(SessionKind::PendingInbound, cutoff_timestamp - 1).await
    }

    /// A word of a file of history is noted first: what is acknowledged is missing until its file is written. The library has
    /// taken the file itself out of what it gives here.
    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        rows.iter().for_each(|row| self.ratchet.read(row.id));
        let words: Vec<_> = rows.iter().filter(|row| tells_of_a_file(row.message)).collect();
        if !words.is_empty() {
            let noted = words.iter().map(|word| (word.chat, word.sender, word.id));
            self.received.expect(noted).await.map_err(library_error)?;
            self.historian.noted(words.iter().map(|word| word.id));
        }
        let now = self.records.now_s();
        let put = |row: &PendingInboundRow<'_>| SessionWrite::Put {
            kind: SessionKind::PendingInbound,
            key: pending_key(row.chat, row.sender, row.id),
            scope: None,
            number: 0,
            expires_at: Some(now),
            value: row.message.to_vec(),
        };
        self.write(rows.iter().map(put).collect()).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let delete = |key: &PendingInboundKey<'_>| {
            SessionWrite::delete(SessionKind::PendingInbound, pending_key(key.chat, key.sender, key.id))
        };
        self.write(keys.iter().map(delete).collect()).await
    }
}
