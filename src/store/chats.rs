//! Chats of a device: which there are, and what became of each. Kept with every message in the transaction that writes it.
//!
//! A chat is found by either address of a person. What its lines are is in `chat_lines`.

use super::labels::read_labels;
use super::people::{Scope, canonical};
use super::{Result, Store, StoreError, Tx};
use crate::domain::chat::{Change, ChatChange, is_chat, is_group, is_phone};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::label::LabelOfChat;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRow {
    pub id: i64,
    pub jid: String,
    pub lid: Option<String>,
    /// The address by which WhatsApp is told of it.
    pub address: String,
    pub name: Option<String>,
    pub is_group: bool,
    pub unread_count: u32,
    pub marked_unread: bool,
    /// `None` before the first.
    pub last_message_at: Option<UnixMs>,
    pub archived: bool,
    /// As [`Change::MutedUntil`].
    pub muted_until: UnixMs,
    pub pinned: bool,
    /// In the order of their ids.
    pub labels: Vec<LabelOfChat>,
}

/// What a device knows of its chats as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatSync {
    pub chat_count: u64,
    pub last_history_sync_at: Option<UnixMs>,
    pub last_history_sync_chats: Option<u64>,
    pub last_chats_upsert_at: Option<UnixMs>,
    pub last_chats_update_at: Option<UnixMs>,
    pub last_chats_delete_at: Option<UnixMs>,
    pub updated_at: Option<UnixMs>,
}

/// A person's name is what the address book says, then what the phone called the chat, then what they call themselves.
pub(super) const COLUMNS: &str = "c.id, c.jid, c.lid, c.address, coalesce(k.name, c.name, k.push_name), c.is_group, \
                                  c.unread_count, c.marked_unread, c.last_message_at, c.archived, c.muted_until, c.pinned, \
                                  (SELECT json_group_array(json_object('id', l.id, 'name', l.name, 'color', l.color)) \
                                  FROM chat_labels AS x JOIN labels AS l ON l.device_id = c.device_id \
                                  AND l.id = x.label_id WHERE x.chat_id = c.id)";
pub(super) const WITH_CONTACTS: &str =
    "chats AS c LEFT JOIN contacts AS k ON k.device_id = c.device_id AND k.jid = c.jid";

/// What is passed over is counted in the index alone; only the page's own rows are looked up, and put in order once more.
const NEWEST_CHATS: &str = "FROM (SELECT id FROM chats WHERE device_id = ?2 \
     ORDER BY last_message_at DESC, id DESC LIMIT ?3 OFFSET ?4) AS page CROSS JOIN chats AS c ON c.id = page.id \
     LEFT JOIN contacts AS k ON k.device_id = c.device_id AND k.jid = c.jid \
     WHERE c.tenant_id = ?1 ORDER BY c.last_message_at DESC, c.id DESC";
const BY_ADDRESS: &str = "WHERE c.tenant_id = ?1 AND c.device_id = ?2 AND (c.jid = ?3 OR c.lid = ?3)";
const COUNT: &str = "SELECT count(*) FROM chats WHERE device_id = ?1";

impl Store {
    /// A page of a device's chats, the one with the newest message first.
    pub async fn chats(&self, tenant: &TenantId, device: &DeviceId, limit: u32, offset: u32) -> Result<Vec<ChatRow>> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db
            .read(move |conn| {
                let sql = format!("SELECT {COLUMNS} {NEWEST_CHATS}");
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), device.as_str(), limit, offset], read)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// A chat by either of its addresses.
    pub async fn chat(&self, tenant: &TenantId, device: &DeviceId, chat: &ChatId) -> Result<ChatRow> {
        let (tenant, device, chat) = (tenant.clone(), device.clone(), chat.clone());
        self.db
            .read(move |conn| {
                let jid = canonical(conn, &device, chat.as_str())?;
                let sql = format!("SELECT {COLUMNS} FROM {WITH_CONTACTS} {BY_ADDRESS}");
                conn.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), device.as_str(), jid], read)
                    .optional()?
                    .ok_or(StoreError::NotFound)
            })
            .await
    }

    pub async fn chat_sync(&self, tenant: &TenantId, device: &DeviceId) -> Result<ChatSync> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db
            .read(move |conn| {
                let chat_count = conn.prepare_cached(COUNT)?.query_row([device.as_str()], |row| row.get(0))?;
                let sync = conn
                    .prepare_cached(
                        "SELECT last_history_sync_at, last_history_sync_chats, last_chats_upsert_at, \
                         last_chats_update_at, last_chats_delete_at, updated_at FROM device_chat_sync \
                         WHERE tenant_id = ?1 AND device_id = ?2",
                    )?
                    .query_row(params![tenant.as_str(), device.as_str()], |row| {
                        Ok(ChatSync {
                            chat_count,
                            last_history_sync_at: row.get(0)?,
                            last_history_sync_chats: row.get(1)?,
                            last_chats_upsert_at: row.get(2)?,
                            last_chats_update_at: row.get(3)?,
                            last_chats_delete_at: row.get(4)?,
                            updated_at: row.get(5)?,
                        })
                    })
                    .optional()?;
                Ok(sync.unwrap_or(ChatSync { chat_count, ..ChatSync::default() }))
            })
            .await
    }

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

fn read(row: &Row<'_>) -> rusqlite::Result<ChatRow> {
    let last_message_at: UnixMs = row.get(8)?;
    Ok(ChatRow {
        id: row.get(0)?,
        jid: row.get(1)?,
        lid: row.get(2)?,
        address: row.get(3)?,
        name: row.get(4)?,
        is_group: row.get(5)?,
        unread_count: row.get(6)?,
        marked_unread: row.get(7)?,
        last_message_at: (last_message_at > 0).then_some(last_message_at),
        archived: row.get(9)?,
        muted_until: row.get(10)?,
        pinned: row.get(11)?,
        labels: read_labels(row, 12)?,
    })
}

/// A chat that was found or made.
pub(super) struct Opened {
    pub(super) id: i64,
    pub(super) is_new: bool,
}

impl Scope<'_> {
    /// The chat of an address; made when there is none. `None` for what is no chat.
    pub(super) fn open_chat(&self, address: &str) -> Result<Option<Opened>> {
        if !is_chat(address) {
            return Ok(None);
        }
        let jid = self.canonical(address)?;
        let device = self.device.as_str();
        if let Some(id) = self.chat_id(&jid)? {
            return Ok(Some(Opened { id, is_new: false }));
        }
        let lid = if is_phone(&jid) { self.lid_of(&jid)? } else { None };
        self.tx
            .prepare_cached(
                "INSERT INTO chats (tenant_id, device_id, jid, lid, address, is_group, created_at, updated_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            )?
            .execute(params![self.tenant.as_str(), device, jid, lid, address, is_group(&jid), self.now])?;
        Ok(Some(Opened { id: self.tx.last_insert_rowid(), is_new: true }))
    }

    pub(super) fn chat_id(&self, jid: &str) -> Result<Option<i64>> {
        Ok(self
            .tx
            .prepare_cached("SELECT id FROM chats WHERE device_id = ?1 AND jid = ?2")?
            .query_row(params![self.device.as_str(), jid], |row| row.get(0))
            .optional()?)
    }

    /// What stood under the lid stands under the phone number from now on. Whether something did.
    pub(super) fn merge_chats(&self, lid: &str, phone: &str) -> Result<bool> {
        let (by_lid, by_phone) = (self.chat_id(lid)?, self.chat_id(phone)?);
        match (by_lid, by_phone) {
            (Some(from), Some(to)) => {
                self.tx
                    .prepare_cached("UPDATE OR IGNORE chat_messages SET chat_id = ?2 WHERE chat_id = ?1")?
                    .execute(params![from, to])?;
                self.tx
                    .prepare_cached(
                        "UPDATE chats SET unread_count = chats.unread_count + f.unread_count, \
                         last_message_at = max(chats.last_message_at, f.last_message_at), \
                         name = coalesce(chats.name, f.name), archived = chats.archived AND f.archived, \
                         muted_until = CASE WHEN chats.muted_until = 0 THEN f.muted_until ELSE chats.muted_until END, \
                         pinned = chats.pinned OR f.pinned, address = f.address, updated_at = ?3 \
                         FROM (SELECT * FROM chats WHERE id = ?1) AS f WHERE chats.id = ?2",
                    )?
                    .execute(params![from, to, self.now])?;
                self.tx
                    .prepare_cached("UPDATE OR IGNORE chat_labels SET chat_id = ?2 WHERE chat_id = ?1")?
                    .execute(params![from, to])?;
                self.tx.prepare_cached("DELETE FROM chats WHERE id = ?1")?.execute([from])?;
                self.set_lid(to, phone, lid)?;
            }
            (Some(id), None) | (None, Some(id)) => self.set_lid(id, phone, lid)?,
            (None, None) => {}
        }
        Ok(by_lid.is_some())
    }

    fn set_lid(&self, chat: i64, phone: &str, lid: &str) -> Result<()> {
        self.tx
            .prepare_cached("UPDATE chats SET lid = NULL WHERE device_id = ?1 AND lid = ?2 AND id <> ?3")?
            .execute(params![self.device.as_str(), lid, chat])?;
        self.tx
            .prepare_cached("UPDATE chats SET jid = ?2, lid = ?3 WHERE id = ?1")?
            .execute(params![chat, phone, lid])?;
        Ok(())
    }

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

    pub(super) fn known_chat(&self, address: &str) -> Result<Option<i64>> {
        let jid = self.canonical(address)?;
        self.chat_id(&jid)
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

    /// Notes when something of this kind was last written of the device's chats.
    pub(super) fn synced(&self, column: &str) -> Result<()> {
        self.tx
            .prepare_cached(&format!(
                "INSERT INTO device_chat_sync (device_id, tenant_id, {column}, updated_at) VALUES (?1, ?2, ?3, ?3) \
                 ON CONFLICT (device_id) DO UPDATE SET {column} = ?3, updated_at = ?3"
            ))?
            .execute(params![self.device.as_str(), self.tenant.as_str(), self.now])?;
        Ok(())
    }
}

/// What an event tells of a group or a newsletter is its chat's name.
pub(super) fn note_subject(tx: &Tx<'_>, event: &Event) -> Result<()> {
    let subject = match event.type_ {
        EventType::GroupCreated => &event.data["subject"],
        EventType::GroupUpdated => &event.data["changes"]["subject"],
        EventType::NewsletterJoined => &event.data["details"]["name"],
        EventType::NewsletterUpdated => &event.data["changes"]["name"],
        _ => return Ok(()),
    };
    let (Some(subject), Some(group), Some(device)) = (subject.as_str(), event.data["chat"].as_str(), &event.device)
    else {
        return Ok(());
    };
    let scope = Scope { tx, tenant: &event.tenant, device, now: event.at };
    let Some(chat) = scope.open_chat(group)? else { return Ok(()) };
    tx.prepare_cached("UPDATE chats SET name = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![chat.id, subject, event.at])?;
    scope.synced("last_chats_upsert_at")
}

/// The queries of the routes that list chats, for the test of their plans.
#[cfg(test)]
pub(super) fn queries() -> Vec<String> {
    vec![
        format!("SELECT {COLUMNS} {NEWEST_CHATS}"),
        format!("SELECT {COLUMNS} FROM {WITH_CONTACTS} {BY_ADDRESS}"),
        COUNT.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{NewInboxRow, NewKey, StoreSettings};
    use super::*;
    use crate::domain::chat::Line;
    use crate::domain::clock::Clock;
    use crate::domain::label::{LABELS_KEPT_MAX, LABELS_OF_CHAT_MAX, LabelChange, LabelEdit};
    use crate::domain::secret::Secret;
    use crate::store::{Before, EventQuery, Lease};
    use crate::telemetry::metrics::Metrics;
    use std::sync::Arc;
    use std::time::Duration;

    struct World {
        store: Store,
        tenant: TenantId,
        device: DeviceId,
        lease: Lease,
        _folder: tempfile::TempDir,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("folder");
            let settings = StoreSettings {
                path: folder.path().join("rijan.db"),
                readers: 1,
                batch_time_max: Duration::from_millis(2),
                batch_requests_max: 64,
                instance_id: None,
            };
            let metrics = Arc::new(Metrics::new().expect("metrics"));
            let clock = Clock::manual(1_800_000_000_000);
            let store = Store::open(&settings, &Secret::new("key"), clock, metrics).expect("store");
            let tenant = TenantId::generate();
            let key = NewKey {
                name: "k".into(),
                hash: "h".into(),
                scopes: vec![],
                allowed_ips: vec![],
                expires_at: i64::MAX,
            };
            store.create_tenant(tenant.clone(), "Acme", key).await.expect("tenant");
            let device = store.create_device(&tenant, "shop").await.expect("device").id;
            let lease = store.acquire_lease(&tenant, &device).await.expect("lease");
            Self { store, tenant, device, lease, _folder: folder }
        }

        async fn received(&self, chat: &str, id: &str, at_s: i64, other: Option<&str>, line: Line) {
            let row = NewInboxRow {
                chat: chat.into(),
                sender: chat.into(),
                wa_id: id.into(),
                envelope: json!({ "fromMe": false, "timestamp": at_s, "senderAlternative": other, "pushName": "Budi" }),
                message: Some(Vec::new()),
                line: Some(line),
                poll: None,
                vote: None,
                media: None,
            };
            self.store.record_inbound(&self.tenant, &self.lease, vec![row], false).await.expect("recorded");
        }

        async fn chats(&self) -> Vec<ChatRow> {
            self.store.chats(&self.tenant, &self.device, 10, 0).await.expect("chats")
        }

        async fn told(&self, type_: EventType) -> Vec<Value> {
            let query = EventQuery {
                after: Some(0),
                types: vec![type_.as_str().to_owned()],
                limit: 100,
                ..EventQuery::default()
            };
            self.store.events(&self.tenant, query).await.expect("events").into_iter().map(|row| row.data).collect()
        }
    }

    fn said(text: &str) -> Line {
        Line::New { kind: "text", text: Some(text.into()), is_caption: false }
    }

    #[tokio::test]
    async fn a_chat_under_a_lid_becomes_the_one_of_its_phone_number_and_that_is_told_once() {
        let world = World::new().await;
        let (lid, phone) = ("1001@lid", "6281100000002@s.whatsapp.net");
        world.received(phone, "A", 100, None, said("by phone")).await;
        world.received(lid, "B", 200, None, said("by lid")).await;
        assert_eq!(world.chats().await.len(), 2);

        world.received(lid, "C", 300, Some(phone), said("by both")).await;
        world.received(lid, "D", 400, Some(phone), said("again")).await;

        let chats = world.chats().await;
        let [one] = &chats[..] else { panic!("{chats:?}") };
        assert_eq!((one.jid.as_str(), one.lid.as_deref(), one.address.as_str()), (phone, Some(lid), lid));
        assert_eq!((one.unread_count, one.last_message_at, one.name.as_deref()), (4, Some(400_000), Some("Budi")));
        let lines = world.store.chat_lines(&world.tenant, one.id, Before::Newest, 10).await.expect("lines");
        let ids: Vec<&str> = lines.iter().map(|line| line.wa_id.as_str()).collect();
        assert_eq!(ids, ["D", "C", "B", "A"]);
        let words = ["by".to_owned()];
        let found = world.store.search_lines(&world.tenant, &world.device, &words, Some(one.id), None, 10).await;
        assert_eq!(found.expect("found").len(), 3, "what came from either chat is searched as one");
        let by_lid = ChatId::parse(lid).expect("a lid");
        assert_eq!(world.store.chat(&world.tenant, &world.device, &by_lid).await.expect("found").id, one.id);
        let merged = world.told(EventType::IdentityMerged).await;
        assert_eq!(merged.len(), 1, "{merged:?}");
        assert_eq!((&merged[0]["contactId"], &merged[0]["lid"]), (&json!(phone), &json!(lid)));
        let people = world.store.contacts(&world.tenant, &world.device, String::new(), 10).await.expect("people");
        assert_eq!(people.len(), 1, "{people:?}");
    }

    #[tokio::test]
    async fn a_label_stays_on_a_chat_that_becomes_the_one_of_its_phone_number() {
        let world = World::new().await;
        let (lid, phone) = ("1001@lid", "6281100000002@s.whatsapp.net");
        let edit = LabelEdit::Named { name: "VIP".into(), color: Some(4), at: 1 };
        let labeled = |address: &str, label: &str, on: bool| {
            let change = Change::Labeled { label: label.into(), on };
            ChatChange { address: address.into(), change, at: 1_000, is_news: true }
        };
        // The one on a lid comes before the label itself, and the other label has no name at all.
        let changes = vec![labeled(lid, "7", true), labeled(lid, "8", true), labeled(phone, "7", true)];
        world.store.change_chats(&world.tenant, &world.device, changes).await.expect("changed");
        let label = LabelChange { id: "7".into(), edit };
        world.store.change_labels(&world.tenant, &world.device, vec![label]).await.expect("changed");

        world.received(lid, "C", 300, Some(phone), said("by both")).await;

        let chats = world.chats().await;
        let vip = LabelOfChat { id: "7".into(), name: "VIP".into(), color: 4 };
        assert_eq!((chats.len(), &chats[0].labels), (1, &vec![vip]), "{chats:?}");
        assert_eq!(world.store.label(&world.tenant, &world.device, "7").await.expect("a label").chats, 1);
        world.store.change_chats(&world.tenant, &world.device, vec![labeled(lid, "7", false)]).await.expect("changed");
        assert_eq!(world.chats().await[0].labels, []);
        let next = world.store.reserve_label(&world.tenant, &world.device).await.expect("an id");
        let after = world.store.reserve_label(&world.tenant, &world.device).await.expect("an id");
        assert_eq!((next.as_str(), after.as_str()), ("8", "9"));
    }

    #[tokio::test]
    async fn nobody_but_its_author_edits_a_line() {
        let world = World::new().await;
        let group = "120363000000000001@g.us";
        world.received(group, "A", 100, None, said("as written")).await;
        let edit = Line::Edited { target: "A".into(), text: Some("forged".into()) };
        let forged = NewInboxRow {
            chat: group.into(),
            sender: "6281100000009@s.whatsapp.net".into(),
            wa_id: "B".into(),
            envelope: json!({ "fromMe": false, "timestamp": 200 }),
            message: Some(Vec::new()),
            line: Some(edit),
            poll: None,
            vote: None,
            media: None,
        };

        world.store.record_inbound(&world.tenant, &world.lease, vec![forged], false).await.expect("recorded");

        let chat = world.chats().await.remove(0);
        let lines = world.store.chat_lines(&world.tenant, chat.id, Before::Newest, 10).await.expect("lines");
        assert_eq!((lines.len(), lines[0].text.as_deref(), lines[0].edited), (1, Some("as written"), false));
    }

    #[tokio::test]
    async fn what_was_read_long_ago_leaves_what_came_since_unread() {
        let world = World::new().await;
        let jid = "6281100000002@s.whatsapp.net";
        world.received(jid, "A", 100, None, said("old")).await;
        world.received(jid, "B", 300, None, said("new")).await;
        let read =
            |is_news: bool| vec![ChatChange { address: jid.into(), change: Change::Read(true), at: 200_000, is_news }];

        world.store.change_chats(&world.tenant, &world.device, read(false)).await.expect("changed");
        assert_eq!(world.chats().await[0].unread_count, 1);
        world.store.change_chats(&world.tenant, &world.device, read(true)).await.expect("changed");
        assert_eq!(world.chats().await[0].unread_count, 0);
    }

    #[tokio::test]
    async fn no_more_labels_are_kept_than_there_is_room_for_and_those_are_still_named_otherwise() {
        let world = World::new().await;
        let named = |id: u32, name: &str| LabelChange {
            id: id.to_string(),
            edit: LabelEdit::Named { name: name.into(), color: None, at: 1 },
        };
        let many = (0..=LABELS_KEPT_MAX).map(|id| named(id, "a")).chain([named(0, "b")]).collect();
        world.store.change_labels(&world.tenant, &world.device, many).await.expect("changed");
        let put = |label: u32| ChatChange {
            address: "6281100000002@s.whatsapp.net".into(),
            change: Change::Labeled { label: label.to_string(), on: true },
            at: 1,
            is_news: false,
        };
        world.store.change_chats(&world.tenant, &world.device, (0..200).map(put).collect()).await.expect("changed");

        let labels = world.store.labels(&world.tenant, &world.device).await.expect("labels");
        assert_eq!((labels.len() as u32, labels[0].name.as_str()), (LABELS_KEPT_MAX, "b"));
        assert_eq!(world.chats().await[0].labels.len() as u32, LABELS_OF_CHAT_MAX);
    }

    #[tokio::test]
    async fn a_change_that_is_so_already_is_not_told_and_an_older_deletion_leaves_what_is_newer() {
        let world = World::new().await;
        let jid = "6281100000002@s.whatsapp.net";
        world.received(jid, "A", 100, None, said("old")).await;
        world.received(jid, "B", 300, None, said("new")).await;
        let change =
            |change: Change, at_s: i64| ChatChange { address: jid.into(), change, at: at_s * 1_000, is_news: true };

        let changes =
            vec![change(Change::Pinned(true), 150), change(Change::Pinned(true), 160), change(Change::Deleted, 200)];
        world.store.change_chats(&world.tenant, &world.device, changes).await.expect("changed");

        let chat = world.chats().await.remove(0);
        let lines = world.store.chat_lines(&world.tenant, chat.id, Before::Newest, 10).await.expect("lines");
        assert_eq!((lines.len(), lines[0].wa_id.as_str(), chat.unread_count), (1, "B", 1));
        assert_eq!(world.told(EventType::ChatUpdated).await.len(), 2, "pinned once, and the deletion");
    }
}
