//! The phone's words that there is a file of history, each a row of the inbox that is missing until its file is written.
//!
//! The transaction of the file's last part marks the word. What ends before that leaves it missing, and the phone is asked for it
//! on a later connection: at once when the file was cut off, after an hour when a question had no answer or the file did not read
//! again, and no more after three of those.

use super::device_locks::Lease;
use super::inbox::{ASKS_MAX, MISSING, NOTHING_TO_TELL};
use super::people::Scope;
use super::{Result, Store};
use crate::domain::ids::TenantId;
use rusqlite::params;
use serde_json::json;

/// A message between the account's devices, which tells of a file of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub chat: String,
    pub sender: String,
    pub wa_id: String,
}

/// What an unanswered question, and a file that does not read again, keep the next question back.
const ASK_AGAIN_AFTER_MS: i64 = 3_600_000;
/// Words that one connection asks for; the next one asks for more.
const ASKED_AT_ONCE_MAX: u32 = 256;

impl Store {
    /// Notes words that came, before anybody hears that they did: they are missing until their files are written. One that was
    /// asked for is answered by that.
    pub async fn expect_history(&self, tenant: &TenantId, lease: &Lease, words: Vec<Word>) -> Result<()> {
        let (tenant, lease, now) = (tenant.clone(), lease.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let mut statement = tx.prepare_cached(
                    "INSERT INTO messages_inbox \
                     (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at, processed) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, x'', ?7, ?8) ON CONFLICT (device_id, chat, sender, wa_id) DO UPDATE SET \
                     envelope = iif(envelope ->> 'unanswered' = 1, json_remove(json_set(envelope, '$.asked', \
                         envelope ->> 'asked' - 1), '$.unanswered', '$.askAfter'), excluded.envelope) \
                     WHERE iif(processed = 4, envelope ->> 'unanswered' = 1 OR envelope ->> 'history' IS NOT 1, 0)",
                )?;
                let envelope = json!({ "asked": 0, "history": true }).to_string();
                for word in &words {
                    let (tenant, device) = (tenant.as_str(), lease.device.as_str());
                    let values = params![tenant, device, word.chat, word.sender, word.wa_id, envelope, now, MISSING];
                    statement.execute(values)?;
                }
                Ok(())
            })
            .await
    }

    /// The words whose files are missing and may be asked for now. Before a connection is opened these are what earlier ones
    /// left; later, also what this one is reading.
    pub async fn unread_history(&self, tenant: &TenantId, lease: &Lease) -> Result<Vec<Word>> {
        let (tenant, device, now) = (tenant.clone(), lease.device.clone(), self.clock.now_ms());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT chat, sender, wa_id FROM messages_inbox WHERE device_id = ?1 AND tenant_id = ?2 \
                     AND processed = 4 AND envelope ->> 'history' = 1 AND envelope ->> 'asked' < ?3 \
                     AND coalesce(envelope ->> 'askAfter', 0) <= ?4 ORDER BY seq LIMIT ?5",
                )?;
                let values = params![device.as_str(), tenant.as_str(), ASKS_MAX, now, ASKED_AT_ONCE_MAX];
                let words = statement
                    .query_map(values, |row| Ok(Word { chat: row.get(0)?, sender: row.get(1)?, wa_id: row.get(2)? }))?;
                Ok(words.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// The phone was asked for it.
    pub async fn asked_history(&self, lease: &Lease, word: Word) -> Result<()> {
        let (lease, after) = (lease.clone(), self.clock.now_ms() + ASK_AGAIN_AFTER_MS);
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                tx.prepare_cached(
                    "UPDATE messages_inbox SET envelope = json_set(envelope, '$.asked', envelope ->> 'asked' + 1, \
                     '$.unanswered', json('true'), '$.askAfter', ?5) \
                     WHERE device_id = ?1 AND chat = ?2 AND sender = ?3 AND wa_id = ?4 AND processed = 4",
                )?
                .execute(params![lease.device.as_str(), word.chat, word.sender, word.wa_id, after])?;
                Ok(())
            })
            .await
    }

    /// Its file came and could not be fetched or read.
    pub async fn failed_history(&self, lease: &Lease, wa_id: &str) -> Result<()> {
        let (lease, wa_id, after) = (lease.clone(), wa_id.to_owned(), self.clock.now_ms() + ASK_AGAIN_AFTER_MS);
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                tx.prepare_cached(
                    "UPDATE messages_inbox SET envelope = json_set(envelope, '$.asked', envelope ->> 'asked' + 1, \
                     '$.askAfter', iif(envelope ->> 'asked' > 0, ?3, 0)) \
                     WHERE device_id = ?1 AND wa_id = ?2 AND iif(processed = 4, envelope ->> 'history', 0) = 1",
                )?
                .execute(params![lease.device.as_str(), wa_id, after])?;
                Ok(())
            })
            .await
    }
}

impl Scope<'_> {
    /// The file of this word is written.
    pub(super) fn word_kept(&self, wa_id: &str) -> Result<()> {
        self.tx
            .prepare_cached(
                "UPDATE messages_inbox SET processed = ?3 \
                 WHERE device_id = ?1 AND wa_id = ?2 AND iif(processed = 4, envelope ->> 'history', 0) = 1",
            )?
            .execute(params![self.device.as_str(), wa_id, NOTHING_TO_TELL])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::world::{World, received};
    use crate::store::{HistoryEnd, HistoryPart};
    use std::time::Duration;

    const PHONE: &str = "6280@s.whatsapp.net";

    fn word(id: &str) -> Word {
        Word { chat: PHONE.into(), sender: PHONE.into(), wa_id: id.into() }
    }

    async fn came(world: &World, id: &str) {
        world.store.expect_history(&world.tenant, &world.lease, vec![word(id)]).await.expect("noted");
    }

    async fn asked(world: &World, id: &str) {
        world.store.asked_history(&world.lease, word(id)).await.expect("counted");
    }

    async fn failed(world: &World, id: &str) {
        world.store.failed_history(&world.lease, id).await.expect("counted");
    }

    async fn unread(world: &World) -> Vec<String> {
        let words = world.store.unread_history(&world.tenant, &world.lease).await.expect("read");
        words.into_iter().map(|word| word.wa_id).collect()
    }

    fn an_hour_later(world: &World) {
        world.store.clock().advance(Duration::from_secs(3_600));
    }

    #[tokio::test]
    async fn a_word_is_missing_until_its_file_is_written_whatever_becomes_of_its_message() {
        let world = World::new().await;
        came(&world, "A").await;
        came(&world, "B").await;

        let of_the_hook = super::super::NewInboxRow { message: None, ..received(PHONE, PHONE, "A", b"") };
        world.store.record_inbound(&world.tenant, &world.lease, vec![of_the_hook], false).await.expect("recorded");
        let again = world.store.miss_inbound(&world.tenant, &world.lease, PHONE.into(), PHONE.into(), "A".into());
        assert!(!again.await.expect("looked at"), "it is asked for with the others");
        assert_eq!(unread(&world).await, ["A", "B"]);

        let end = HistoryEnd {
            word: "A".into(),
            file: "hash".into(),
            at: 1,
            kind: "recent",
            order: None,
            progress: None,
            chats: 0,
            messages: 0,
        };
        let part = HistoryPart { end: Some(end), ..HistoryPart::default() };
        world.store.record_history(&world.tenant, &world.lease, part).await.expect("recorded");
        assert_eq!(unread(&world).await, ["B"]);
        came(&world, "A").await;
        assert_eq!(unread(&world).await, ["B"], "a word that comes again is still done with");
    }

    #[tokio::test]
    async fn an_unanswered_question_is_repeated_after_an_hour_and_three_times_at_most() {
        let world = World::new().await;
        came(&world, "A").await;
        for _ in 0..3 {
            assert_eq!(unread(&world).await, ["A"]);
            asked(&world, "A").await;
            assert!(unread(&world).await.is_empty());
            an_hour_later(&world);
        }
        assert!(unread(&world).await.is_empty());

        came(&world, "A").await;
        assert_eq!(unread(&world).await, ["A"], "the phone has answered after all");
    }

    #[tokio::test]
    async fn a_file_that_is_cut_off_is_asked_for_on_each_connection() {
        let world = World::new().await;
        came(&world, "A").await;
        for _ in 0..10 {
            assert_eq!(unread(&world).await, ["A"]);
            asked(&world, "A").await;
            came(&world, "A").await;
            came(&world, "A").await;
        }
    }

    #[tokio::test]
    async fn a_file_that_does_not_read_is_asked_for_at_once_then_after_an_hour_and_then_no_more() {
        let world = World::new().await;
        came(&world, "A").await;
        failed(&world, "A").await;

        assert_eq!(unread(&world).await, ["A"]);
        asked(&world, "A").await;
        came(&world, "A").await;
        failed(&world, "A").await;
        assert!(unread(&world).await.is_empty());
        an_hour_later(&world);

        assert_eq!(unread(&world).await, ["A"]);
        asked(&world, "A").await;
        came(&world, "A").await;
        failed(&world, "A").await;
        an_hour_later(&world);
        assert!(unread(&world).await.is_empty());
    }

    #[tokio::test]
    async fn a_word_that_was_lost_before_it_was_known_for_one_is_a_word_when_it_comes_again() {
        let world = World::new().await;
        let lost = world.store.miss_inbound(&world.tenant, &world.lease, PHONE.into(), PHONE.into(), "A".into());
        assert!(lost.await.expect("noted"));
        assert!(unread(&world).await.is_empty());

        came(&world, "A").await;
        assert_eq!(unread(&world).await, ["A"]);
    }
}
