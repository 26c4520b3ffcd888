//! What becomes of chats: archived, pinned, muted, read, deleted, on this device or on the account's other ones. What is so
//! already changes nothing, and is not told.

use super::people::Scope;
use super::{Result, Store};
use crate::domain::chat::{Change, ChatChange, is_group, is_phone};
use crate::domain::clock::UnixMs;
use crate::domain::event::EventType;
use crate::domain::ids::{DeviceId, TenantId};
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

impl Store {
    /// Takes in what became of chats, in this order. What is so already changes nothing and is not told.
    pub async fn change_chats(&self, tenant: &TenantId, device: &DeviceId, changes: Vec<ChatChange>) -> Result<()> {
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let scope = Scope { tx, tenant: &tenant, device: &device, now };
                changes.iter().try_for_each(|change| scope.change(change))
            })
            .await
    }
}

impl Scope<'_> {
    pub(super) fn change(&self, change: &ChatChange) -> Result<()> {
        let address = change.address.as_str();
        let at = change.at;
        match &change.change {
            Change::Archived(on) => self.set(change, "archived", i64::from(*on), json!({ "archived": on })),
            Change::Pinned(on) => self.set(change, "pinned", i64::from(*on), json!({ "pinned": on })),
            Change::MutedUntil(until) => {
                let muted = crate::domain::chat::is_muted(*until, self.now);
                let told = json!({ "muted": muted, "mutedUntil": (*until > 0).then_some(until / 1000) });
                self.set(change, "muted_until", *until, told)
            }
            Change::Named { name, first_name } => {
                self.named(address, name.as_deref(), first_name.as_deref(), at, change.is_news)
            }
            Change::PushName(name) => self.push_name(address, name, at),
            Change::StatusMuted(muted) => self.status_muted(address, *muted, at, change.is_news),
            Change::Labeled { label, on } => self.labeled(change, label, *on),
            Change::Read(read) => self.read_all(change, *read),
            Change::ReadUpTo(ids) => self.read_up_to(change, ids),
            Change::Deleted => self.remove(change, true, false),
            Change::Cleared { keep_starred } => self.remove(change, false, *keep_starred),
            Change::Starred { wa_id, starred } => {
                let Some(id) = self.known_chat(address)? else { return Ok(()) };
                let changed = self
                    .tx
                    .prepare_cached(
                        "UPDATE chat_messages SET starred = ?3 WHERE chat_id = ?1 AND wa_id = ?2 AND starred <> ?3",
                    )?
                    .execute(params![id, wa_id, starred])?;
                let told = json!({ "starred": starred, "messageId": wa_id });
                if changed > 0 { self.changed(change, told) } else { Ok(()) }
            }
            Change::MessageDeleted { wa_id } => {
                let Some(id) = self.known_chat(address)? else { return Ok(()) };
                let changed = self
                    .tx
                    .prepare_cached("DELETE FROM chat_messages WHERE chat_id = ?1 AND wa_id = ?2")?
                    .execute(params![id, wa_id])?;
                if changed > 0 { self.changed(change, json!({ "messageDeleted": wa_id })) } else { Ok(()) }
            }
        }
    }

    /// A setting of a chat. It is kept of a chat without a message too: settings may come before what they are about.
    fn set(&self, change: &ChatChange, column: &str, value: i64, told: Value) -> Result<()> {
        let Some(chat) = self.open_chat(&change.address)? else { return Ok(()) };
        let changed = self
            .tx
            .prepare_cached(&format!(
                "UPDATE chats SET {column} = ?2, updated_at = ?3 WHERE id = ?1 AND {column} <> ?2"
            ))?
            .execute(params![chat.id, value, self.now])?;
        if changed > 0 { self.changed(change, told) } else { Ok(()) }
    }

    fn read_all(&self, change: &ChatChange, read: bool) -> Result<()> {
        let Some(chat) = self.open_chat(&change.address)? else { return Ok(()) };
        let changed = if read {
            // What comes late says nothing of messages that came after it.
            let up_to = if change.is_news { UnixMs::MAX } else { change.at };
            self.tx
                .prepare_cached("UPDATE chat_messages SET unread = 0 WHERE chat_id = ?1 AND unread = 1 AND at <= ?2")?
                .execute(params![chat.id, up_to])?;
            self.tx
                .prepare_cached(
                    "UPDATE chats SET unread_count = f.left, marked_unread = 0, updated_at = ?2 FROM \
                     (SELECT count(*) AS left FROM chat_messages WHERE chat_id = ?1 AND unread = 1) AS f \
                     WHERE id = ?1 AND (unread_count > f.left OR marked_unread = 1)",
                )?
                .execute(params![chat.id, self.now])?
        } else {
            self.tx
                .prepare_cached(
                    "UPDATE chats SET marked_unread = 1, updated_at = ?2 WHERE id = ?1 AND marked_unread = 0",
                )?
                .execute(params![chat.id, self.now])?
        };
        if changed > 0 { self.told_unread(change, chat.id) } else { Ok(()) }
    }

    fn read_up_to(&self, change: &ChatChange, ids: &[String]) -> Result<()> {
        let Some(chat) = self.known_chat(&change.address)? else { return Ok(()) };
        // Of several in one second, those that arrived here later are not read with it.
        let newest: Option<(UnixMs, i64)> = self
            .tx
            .prepare_cached(
                "SELECT at, seq FROM chat_messages WHERE chat_id = ?1 AND wa_id IN (SELECT value FROM json_each(?2)) \
                 ORDER BY at DESC, seq DESC LIMIT 1",
            )?
            .query_row(params![chat, json!(ids).to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((at, seq)) = newest else { return Ok(()) };
        let changed = self
            .tx
            .prepare_cached(
                "UPDATE chat_messages SET unread = 0 WHERE chat_id = ?1 AND unread = 1 AND (at, seq) <= (?2, ?3)",
            )?
            .execute(params![chat, at, seq])?;
        if changed == 0 {
            return Ok(());
        }
        self.tx
            .prepare_cached(
                "UPDATE chats SET marked_unread = 0, updated_at = ?2, unread_count = \
                 (SELECT count(*) FROM chat_messages WHERE chat_id = ?1 AND unread = 1) WHERE id = ?1",
            )?
            .execute(params![chat, self.now])?;
        self.told_unread(change, chat)
    }

    fn told_unread(&self, change: &ChatChange, chat: i64) -> Result<()> {
        let (count, marked): (u32, bool) = self
            .tx
            .prepare_cached("SELECT unread_count, marked_unread FROM chats WHERE id = ?1")?
            .query_row([chat], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.changed(change, json!({ "unreadCount": count, "markedUnread": marked }))
    }

    /// Takes the lines that are not newer than the change, and the chat itself unless newer ones stay.
    fn remove(&self, change: &ChatChange, whole: bool, keep_starred: bool) -> Result<()> {
        let Some(chat) = self.known_chat(&change.address)? else { return Ok(()) };
        let gone = self
            .tx
            .prepare_cached("DELETE FROM chat_messages WHERE chat_id = ?1 AND at <= ?2 AND NOT (?3 AND starred)")?
            .execute(params![chat, change.at, keep_starred])?;
        let newer: bool = self
            .tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM chat_messages WHERE chat_id = ?1 AND at > ?2)")?
            .query_row(params![chat, change.at], |row| row.get(0))?;
        let told = if whole { json!({ "deleted": true }) } else { json!({ "cleared": true }) };
        if whole && !newer {
            // Told first: afterwards nobody knows its addresses.
            self.changed(change, told)?;
            self.tx.prepare_cached("DELETE FROM chats WHERE id = ?1")?.execute([chat])?;
            return self.synced("last_chats_delete_at");
        }
        if gone == 0 {
            return Ok(());
        }
        self.tx
            .prepare_cached(
                "UPDATE chats SET marked_unread = 0, updated_at = ?2, unread_count = \
                 (SELECT count(*) FROM chat_messages WHERE chat_id = ?1 AND unread = 1) WHERE id = ?1",
            )?
            .execute(params![chat, self.now])?;
        self.changed(change, told)
    }

    /// Something is another way in a chat than it was.
    pub(super) fn changed(&self, change: &ChatChange, told: Value) -> Result<()> {
        self.synced("last_chats_update_at")?;
        if !change.is_news {
            return Ok(());
        }
        let jid = self.canonical(&change.address)?;
        let phone = is_phone(&jid).then(|| jid.split('@').next());
        let lid = if is_group(&jid) { None } else { self.lid_of(&jid)? };
        let parts = told.to_string();
        let data = json!({
            "chat": jid,
            "phone": phone,
            "lid": lid,
            "isGroup": is_group(&jid),
            "changes": told,
            "timestamp": change.at / 1000,
        });
        self.tell(EventType::ChatUpdated, &[&jid, &parts], change.at, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::{LABELS_KEPT_MAX, LABELS_OF_CHAT_MAX, LabelChange, LabelEdit};
    use crate::store::Before;
    use crate::store::world::{World, said};

    #[tokio::test]
    async fn a_change_that_is_so_already_is_not_told_and_an_older_deletion_leaves_what_is_newer() {
        let world = World::new().await;
        let jid = "6281100000002@s.whatsapp.net";
        world.wrote(jid, "A", 100, None, said("old")).await;
        world.wrote(jid, "B", 300, None, said("new")).await;
        let change =
            |change: Change, at_s: i64| ChatChange { address: jid.into(), change, at: at_s * 1_000, is_news: true };

        let changes =
            vec![change(Change::Pinned(true), 150), change(Change::Pinned(true), 160), change(Change::Deleted, 200)];
        world.store.change_chats(&world.tenant, &world.lease.device, changes).await.expect("changed");

        let chat = world.listed().await.remove(0);
        let lines = world.store.chat_lines(&world.tenant, chat.id, Before::Newest, 10).await.expect("lines");
        assert_eq!((lines.len(), lines[0].wa_id.as_str(), chat.unread_count), (1, "B", 1));
        assert_eq!(world.told_of(EventType::ChatUpdated).await.len(), 2, "pinned once, and the deletion");
    }

    #[tokio::test]
    async fn what_was_read_long_ago_leaves_what_came_since_unread() {
        let world = World::new().await;
        let jid = "6281100000002@s.whatsapp.net";
        world.wrote(jid, "A", 100, None, said("old")).await;
        world.wrote(jid, "B", 300, None, said("new")).await;
        let read =
            |is_news: bool| vec![ChatChange { address: jid.into(), change: Change::Read(true), at: 200_000, is_news }];

        world.store.change_chats(&world.tenant, &world.lease.device, read(false)).await.expect("changed");
        assert_eq!(world.listed().await[0].unread_count, 1);
        world.store.change_chats(&world.tenant, &world.lease.device, read(true)).await.expect("changed");
        assert_eq!(world.listed().await[0].unread_count, 0);
    }

    #[tokio::test]
    async fn no_more_labels_are_kept_than_there_is_room_for_and_those_are_still_named_otherwise() {
        let world = World::new().await;
        let named = |id: u32, name: &str| LabelChange {
            id: id.to_string(),
            edit: LabelEdit::Named { name: name.into(), color: None, at: 1 },
        };
        let many = (0..=LABELS_KEPT_MAX).map(|id| named(id, "a")).chain([named(0, "b")]).collect();
        world.store.change_labels(&world.tenant, &world.lease.device, many).await.expect("changed");
        let put = |label: u32| ChatChange {
            address: "6281100000002@s.whatsapp.net".into(),
            change: Change::Labeled { label: label.to_string(), on: true },
            at: 1,
            is_news: false,
        };
        world
            .store
            .change_chats(&world.tenant, &world.lease.device, (0..200).map(put).collect())
            .await
            .expect("changed");

        let labels = world.store.labels(&world.tenant, &world.lease.device).await.expect("labels");
        assert_eq!((labels.len() as u32, labels[0].name.as_str()), (LABELS_KEPT_MAX, "b"));
        assert_eq!(world.listed().await[0].labels.len() as u32, LABELS_OF_CHAT_MAX);
    }
}
