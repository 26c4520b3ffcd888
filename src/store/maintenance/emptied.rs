//! Deleted means deleted: what a device or a tenant leaves behind goes in small steps, so that nobody's writing waits for it.
//! What stays is the row itself, with its name, for the audit log's sake.

use crate::domain::clock::UnixMs;
use crate::store::{Result, Store, StoreError, Tx};
use rusqlite::{OptionalExtension, params};

/// Rows of one transaction; others write in between.
const ROWS_AT_ONCE: usize = 500;
/// Pages of the words' index that one transaction writes anew.
const PAGES_AT_ONCE: i64 = 200;
/// What was under way when something was deleted has ended by then; until then it is looked at again.
const SETTLED_AFTER_MS: i64 = 600_000;
/// The store's note that words are to be written out of the index, and since when.
const WORDS_TO_FORGET: &str = "words_to_forget";

/// Rows that belong to somebody: where, by which key they are taken out, and whose they are, as a condition on `?1`.
struct Part {
    table: &'static str,
    key: &'static str,
    whose: &'static str,
}

const fn of_device(table: &'static str, key: &'static str) -> Part {
    Part { table, key, whose: "device_id = ?1" }
}

const fn of_tenant(table: &'static str, key: &'static str) -> Part {
    Part { table, key, whose: "tenant_id = ?1" }
}

/// What a device has beside what came in, in an order that no reference stands against.
const OF_DEVICE: [Part; 13] = [
    of_device("chat_labels", "chat_id, label_id"),
    of_device("labels", "device_id, id"),
    of_device("chat_messages", "rowid"),
    of_device("chats", "rowid"),
    of_device("contacts", "device_id, jid"),
    of_device("lid_phone_map", "device_id, lid"),
    of_device("device_chat_sync", "device_id"),
    of_device("poll_votes", "device_id, poll_wa_id, voter"),
    of_device("polls", "device_id, wa_id"),
    of_device("idempotency_keys", "device_id, key"),
    of_device("media_uploads", "media_id, device_id, kind"),
    of_device("messages_outbox", "rowid"),
    of_device("device_locks", "device_id"),
];

/// What a tenant has beside its devices; files go with the media's own sweep.
const OF_TENANT: [Part; 15] = [
    Part { table: "messages_inbox", key: "rowid", whose: "tenant_id = ?1 AND processed = 0" },
    Part {
        table: "webhook_logs",
        key: "rowid",
        whose: "webhook_id IN (SELECT id FROM webhooks WHERE webhooks.tenant_id = ?1)",
    },
    of_tenant("dlq", "delivery_id"),
    of_tenant("webhook_deliveries", "rowid"),
    of_tenant("webhooks", "rowid"),
    of_tenant("event_logs", "rowid"),
    of_tenant("templates", "rowid"),
    of_tenant("plugin_traces", "rowid"),
    of_tenant("plugin_logs", "rowid"),
    of_tenant("plugin_differences", "rowid"),
    of_tenant("plugin_dedupe", "tenant_id, plugin, key"),
    of_tenant("plugin_ticks", "tenant_id, plugin, schedule"),
    of_tenant("plugin_kv", "tenant_id, plugin, key"),
    of_tenant("plugin_kv_use", "tenant_id, plugin"),
    of_tenant("api_keys", "rowid"),
];

/// Deliveries that are due are few beside the events of a device, so they are walked through.
const AWAITED: &str = "SELECT 1 FROM webhook_deliveries AS d CROSS JOIN webhooks AS w ON w.id = d.webhook_id \
     CROSS JOIN event_logs AS e ON e.seq = d.event_seq WHERE d.status IN ('due', 'sending') AND w.raw = 1 \
     AND e.device_id = ?1 LIMIT 1";
const TOLD_UP_TO: &str = "SELECT min(coalesce((SELECT max(seq) FROM messages_inbox), 0), \
     coalesce((SELECT min(seq) - 1 FROM messages_inbox WHERE processed = 0 AND device_id = ?1 \
     AND tenant_id = (SELECT tenant_id FROM devices WHERE id = ?1)), 9223372036854775807))";
const REMOVE_TOLD: &str = "DELETE FROM messages_inbox WHERE seq IN (SELECT seq FROM messages_inbox \
     WHERE device_id = ?1 AND processed <> 0 AND seq <= ?2 LIMIT ?3)";

impl Store {
    /// Removes what deleted devices and tenants have left, and accounts that their devices are not linked to any more; says how
    /// many rows. What cannot be removed of one holds up no other.
    pub async fn empty_deleted(&self) -> Result<usize> {
        let mut rows = self.remove_left_chats().await?.unwrap_or_default();
        for owner in self.to_empty(UnixMs::MAX).await? {
            rows += self.emptied(&owner).await?.unwrap_or_default();
        }
        Ok(rows)
    }

    /// Writes what was removed out of the index of words and of the database's log, where that is due, and looks no more at whom
    /// nothing can come after. It goes over the index of all tenants, so it is for now and then.
    pub async fn note_emptied(&self) -> Result<()> {
        let left_nothing = self.remove_left_chats().await?.is_some();
        let words_at = self.words_noted().await?.filter(|_| left_nothing);
        let mut empty = Vec::new();
        for owner in self.to_empty(self.clock.now_ms().saturating_sub(SETTLED_AFTER_MS)).await? {
            if self.emptied(&owner).await?.is_some() {
                empty.push(owner);
            }
        }
        if empty.is_empty() && words_at.is_none() {
            return Ok(());
        }
        self.forget_words().await?;
        if !self.db.checkpoint().await? {
            tracing::info!("what was deleted is still in the database's log, which somebody reads; the next pass tries again");
            return Ok(());
        }
        // Noted last, so that a crash before leaves it to be done again.
        for owner in empty {
            self.note_empty(owner).await?;
        }
        match words_at {
            Some(noted_at) => self.words_forgotten(noted_at).await,
            None => Ok(()),
        }
    }

    /// How many rows of somebody were removed; `None` when not all could be.
    async fn emptied(&self, owner: &Owner) -> Result<Option<usize>> {
        let mut rows = 0;
        for part in owner.parts() {
            match removed(self.remove(part, owner.id()).await, part.table)? {
                Some(removed) => rows += removed,
                None => return Ok(None),
            }
        }
        if let Owner::Device(device) = owner {
            match removed(self.remove_inbox(device).await, "messages_inbox")? {
                Some(removed) => rows += removed,
                None => return Ok(None),
            }
        }
        Ok(Some(rows))
    }

    /// What came in and was told. What was not, is told first; and while deliveries of the device's events are due, what came in
    /// stays for those that show it raw.
    async fn remove_inbox(&self, device: &str) -> Result<usize> {
        let asked = device.to_owned();
        let told: Option<i64> = self
            .db
            .read(move |conn| {
                if conn.prepare_cached(AWAITED)?.exists([&asked])? {
                    return Ok(None);
                }
                // Nothing behind it can have become due since this look.
                Ok(conn.prepare_cached(TOLD_UP_TO)?.query_row([&asked], |row| row.get(0))?)
            })
            .await?;
        let (Some(told), device) = (told, device.to_owned()) else { return Ok(0) };
        self.in_steps(ROWS_AT_ONCE, move |tx| {
            Ok(tx.prepare_cached(REMOVE_TOLD)?.execute(params![device, told, ROWS_AT_ONCE])?)
        })
        .await
    }

    /// The index of words notes beside a word that its message is gone; the word itself goes when that part of the index is
    /// written anew.
    async fn forget_words(&self) -> Result<()> {
        // A negative figure asks for all of it, in as many steps as that takes.
        let mut pages = -PAGES_AT_ONCE;
        loop {
            let written = self
                .db
                .write(move |tx| {
                    let before = tx.total_changes();
                    tx.prepare_cached(
                        "INSERT INTO chat_messages_text (chat_messages_text, rank) VALUES ('merge', ?1)",
                    )?
                    .execute([pages])?;
                    Ok(tx.total_changes().saturating_sub(before))
                })
                .await?;
            // The statement itself counts as one (SQLite's documentation of FTS5, section 6.7).
            if written < 2 {
                return Ok(());
            }
            pages = PAGES_AT_ONCE;
        }
    }

    /// Chats that were left with their account (`chats::leave`), each after its lines; as [`Store::emptied`].
    async fn remove_left_chats(&self) -> Result<Option<usize>> {
        removed(self.in_steps(ROWS_AT_ONCE, remove_left_step).await, "chats")
    }

    /// When lines last went whose words are to be written out of the index.
    async fn words_noted(&self) -> Result<Option<UnixMs>> {
        self.db
            .read(|conn| {
                let mut statement = conn.prepare_cached("SELECT CAST(value AS INTEGER) FROM store_facts WHERE name = ?1")?;
                Ok(statement.query_row([WORDS_TO_FORGET], |row| row.get(0)).optional()?)
            })
            .await
    }

    async fn words_forgotten(&self, noted_at: UnixMs) -> Result<()> {
        self.db
            .write(move |tx| {
                tx.execute(
                    "DELETE FROM store_facts WHERE name = ?1 AND CAST(value AS INTEGER) = ?2",
                    params![WORDS_TO_FORGET, noted_at],
                )?;
                Ok(())
            })
            .await
    }

    /// Who was deleted before and is not noted as empty. Tenants come first: what waits for nobody any more keeps nothing of
    /// their devices.
    async fn to_empty(&self, before: UnixMs) -> Result<Vec<Owner>> {
        self.db
            .read(move |conn| {
                let mut owners = Vec::new();
                let mut add = |sql: &str, owner: fn(String) -> Owner| -> Result<()> {
                    let mut statement = conn.prepare_cached(sql)?;
                    let ids = statement.query_map([before], |row| row.get(0))?;
                    for id in ids {
                        owners.push(owner(id?));
                    }
                    Ok(())
                };
                add(
                    "SELECT id FROM tenants WHERE status = 'deleted' AND emptied = 0 AND updated_at < ?1",
                    Owner::Tenant,
                )?;
                add(
                    "SELECT id FROM devices WHERE deleted_at IS NOT NULL AND emptied = 0 AND deleted_at < ?1",
                    Owner::Device,
                )?;
                Ok(owners)
            })
            .await
    }

    async fn remove(&self, part: &'static Part, of: &str) -> Result<usize> {
        let Part { table, key, whose } = part;
        let asked = of.to_owned();
        let is_there = self.db.read(move |conn| {
            Ok(conn.prepare_cached(&format!("SELECT 1 FROM {table} WHERE {whose} LIMIT 1"))?.exists([asked])?)
        });
        if !is_there.await? {
            return Ok(0);
        }
        let (of, sql) = (
            of.to_owned(),
            format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {whose} LIMIT ?2)"),
        );
        self.in_steps(ROWS_AT_ONCE, move |tx| Ok(tx.prepare_cached(&sql)?.execute(params![of, ROWS_AT_ONCE])?)).await
    }

    /// It is not looked at any more, unless something of it is still to be told.
    async fn note_empty(&self, owner: Owner) -> Result<()> {
        self.db
            .write(move |tx| {
                tx.execute(owner.noted(), [owner.id()])?;
                Ok(())
            })
            .await
    }
}

/// Whose rows go.
#[derive(Debug)]
enum Owner {
    Device(String),
    Tenant(String),
}

impl Owner {
    fn id(&self) -> &str {
        match self {
            Self::Device(id) | Self::Tenant(id) => id,
        }
    }

    fn parts(&self) -> Vec<&'static Part> {
        match self {
            Self::Device(_) => OF_DEVICE.iter().collect(),
            Self::Tenant(_) => OF_TENANT.iter().collect(),
        }
    }

    fn noted(&self) -> &'static str {
        match self {
            Self::Device(_) => {
                "UPDATE devices SET emptied = 1 WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM messages_inbox WHERE device_id = ?1)"
            }
            Self::Tenant(_) => {
                "UPDATE tenants SET emptied = 1 WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM messages_inbox WHERE tenant_id = ?1 AND processed = 0)"
            }
        }
    }
}

/// What cannot be removed is logged, and holds nothing else up.
fn removed(rows: Result<usize>, table: &str) -> Result<Option<usize>> {
    match rows {
        Err(StoreError::Closed) => Err(StoreError::Closed),
        Err(error) => {
            tracing::error!(table, %error, "what was deleted left something behind, and is looked at again");
            Ok(None)
        }
        Ok(rows) => Ok(Some(rows)),
    }
}

/// Lines go whose words stay in the index until it is written anew: that is to be done.
pub(in crate::store) fn note_words(tx: &Tx<'_>, now: UnixMs) -> Result<()> {
    tx.execute(
        "INSERT INTO store_facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![WORDS_TO_FORGET, now.to_string().into_bytes()],
    )?;
    Ok(())
}

fn remove_left_step(tx: &Tx<'_>) -> Result<usize> {
    let mut rows = 0;
    while rows < ROWS_AT_ONCE {
        let left: Option<i64> = tx
            .prepare_cached("SELECT id FROM chats WHERE device_id IS NULL LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let Some(chat) = left else { break };
        rows += tx
            .prepare_cached(
                "DELETE FROM chat_messages WHERE seq IN (SELECT seq FROM chat_messages WHERE chat_id = ?1 LIMIT ?2)",
            )?
            .execute(params![chat, ROWS_AT_ONCE - rows])?;
        if rows < ROWS_AT_ONCE {
            rows += tx.prepare_cached("DELETE FROM chats WHERE id = ?1")?.execute([chat])?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use crate::domain::event::{Event, EventType};
    use crate::domain::ids::DeviceId;
    use crate::domain::outgoing::Status;
    use crate::store::database::BUSY_TIMEOUT;
    use crate::store::world::World;
    use crate::store::{HistoryChat, HistoryPart, Link, NewLine, StoreError};
    use serde_json::json;
    use std::time::Duration;

    const OTHER: &str = "6299@s.whatsapp.net";
    const DEVICE_TO_EMPTY: &str = "SELECT count(*) FROM devices WHERE id = ?1 AND emptied = 0";
    /// Pages of the words' index in which this stands.
    const PAGES: &str = "SELECT count(*) FROM chat_messages_text_data WHERE instr(block, CAST(?1 AS BLOB))";

    fn line(number: usize, word: &str) -> NewLine {
        NewLine {
            wa_id: format!("{word}{number}"),
            from_me: number.is_multiple_of(2),
            sender: String::new(),
            outbox_id: None,
            media_id: None,
            kind: "text".into(),
            text: Some(format!("{word} {number}")),
            is_caption: false,
            at: 1_000 + i64::try_from(number).expect("few"),
            status: Some(Status::Sent),
            unread: false,
            starred: false,
        }
    }

    async fn rows(world: &World, sql: &str, of: &str) -> i64 {
        let (sql, of) = (sql.to_owned(), of.to_owned());
        world.store.db.read(move |conn| Ok(conn.query_row(&sql, [of], |row| row.get(0))?)).await.expect("a count")
    }

    /// Nothing that was under way can write any more.
    async fn settled(world: &World) {
        world.store.clock().advance(Duration::from_secs(601));
        world.store.note_emptied().await.expect("noted");
    }

    async fn lines(world: &World, device: &DeviceId) -> i64 {
        rows(world, "SELECT count(*) FROM chat_messages WHERE device_id = ?1", device.as_str()).await
    }

    /// Chats of a device, with more lines than one step takes, and a word that stands nowhere else.
    async fn chats(world: &World, device: &DeviceId, word: &str) {
        let lease = world.store.acquire_lease(&world.tenant, device).await.expect("lease");
        for chat in 0..3 {
            let lines = (0..400).map(|number| line(chat * 1_000 + number, word)).collect();
            let address = format!("6281{chat}@s.whatsapp.net");
            let part =
                HistoryPart { chats: vec![HistoryChat { address, lines, ..Default::default() }], ..Default::default() };
            world.store.record_history(&world.tenant, &lease, part).await.expect("recorded");
        }
    }

    #[tokio::test]
    async fn a_deleted_device_leaves_no_row_and_no_word_and_another_one_keeps_its_own() {
        let world = World::new().await;
        let kept = world.lease.device.clone();
        let gone = world.store.create_device(&world.tenant, "gone").await.expect("device").id;
        chats(&world, &kept, "remaining").await;
        chats(&world, &gone, "vanishing").await;
        world.store.delete_device(&world.tenant, &gone).await.expect("deleted");

        let removed = world.store.empty_deleted().await.expect("emptied");

        assert!(removed >= 1_203, "{removed}");
        settled(&world).await;
        assert_eq!((lines(&world, &gone).await, lines(&world, &kept).await), (0, 1_200));
        assert_eq!(rows(&world, "SELECT count(*) FROM chats WHERE device_id = ?1", gone.as_str()).await, 0);
        let words = ["remaining".to_owned()];
        let found = world.store.search_lines(&world.tenant, &kept, &words, None, None, 50).await.expect("found");
        assert_eq!(found.len(), 50);
        // The index of words holds what it begins with: the word itself stands in no page any more.
        assert_eq!(rows(&world, PAGES, "vanish").await, 0);
        assert!(rows(&world, PAGES, "remain").await > 0);
    }

    #[tokio::test]
    async fn a_device_of_another_account_has_nothing_of_the_one_before_and_keeps_what_it_got_since() {
        let world = World::new().await;
        let (tenant, device) = (&world.tenant, &world.lease.device);
        chats(&world, device, "vanishing").await;
        let lease = world.store.acquire_lease(tenant, device).await.expect("lease");
        let link = Link { phone_number: Some("6299".into()), jid: Some(OTHER.into()), lid: None, name: None };
        let words = ["vanishing".to_owned()];
        let found = async || world.store.search_lines(tenant, device, &words, None, None, 50).await.expect("found").len();
        assert_eq!(found().await, 50);

        world.store.link_device(tenant, &lease, link.clone()).await.expect("linked");

        assert_eq!((world.store.chats(tenant, device, 10, 0).await.expect("chats").len(), found().await), (0, 0));
        let sync = world.store.chat_sync(tenant, device).await.expect("known");
        assert_eq!((sync.chat_count, sync.last_history_sync_at), (0, None));
        // The same people write to the new account, before and while what was left goes.
        chats(&world, device, "arriving").await;
        let lease = world.store.acquire_lease(tenant, device).await.expect("lease");
        world.store.link_device(tenant, &lease, link).await.expect("linked again, as after a kill");
        assert_eq!(world.store.empty_deleted().await.expect("emptied"), 1_203);

        assert_eq!(lines(&world, device).await, 1_200, "those of the new account");
        let chats = world.store.chats(tenant, device, 10, 0).await.expect("chats");
        assert_eq!((chats.len(), chats[0].jid.as_str()), (3, "62812@s.whatsapp.net"));
        assert!(rows(&world, PAGES, "vanish").await > 0, "the index is written anew now and then");
        world.store.note_emptied().await.expect("written");
        assert_eq!(rows(&world, PAGES, "vanish").await, 0);
        assert!(rows(&world, PAGES, "arriv").await > 0);
        assert_eq!(world.store.empty_deleted().await.expect("emptied"), 0);
    }

    #[tokio::test]
    async fn nobody_links_a_device_that_was_deleted_or_that_another_instance_owns() {
        let world = World::new().await;
        let (tenant, device) = (&world.tenant, &world.lease.device);
        let link = || Link { phone_number: Some("6299".into()), jid: Some(OTHER.into()), lid: None, name: None };
        let newer = world.store.acquire_lease(tenant, device).await.expect("lease");
        assert!(matches!(world.store.link_device(tenant, &world.lease, link()).await, Err(StoreError::Fenced)));
        world.store.delete_device(tenant, device).await.expect("deleted");

        assert!(world.store.link_device(tenant, &newer, link()).await.is_err());

        let named = "SELECT count(*) FROM devices WHERE id = ?1 AND (linked = 1 OR wa_jid IS NOT NULL)";
        assert_eq!(rows(&world, named, device.as_str()).await, 0);
    }

    #[tokio::test]
    async fn a_deleted_tenant_is_looked_at_until_nothing_can_come_after_and_then_no_more() {
        let world = World::new().await;
        let device = world.lease.device.clone();
        world.received("62811@s.whatsapp.net", "62811@s.whatsapp.net", "A", b"not told yet").await;
        let event = Event::new(world.tenant.clone(), Some(device), EventType::DeviceConnected, 1, json!({}));
        world.store.append_event(event).await.expect("told");
        world.store.delete_tenant(&world.tenant).await.expect("deleted");
        let to_empty = "SELECT count(*) FROM tenants WHERE id = ?1 AND emptied = 0";
        let id = world.tenant.as_str();

        world.store.empty_deleted().await.expect("emptied");

        for table in ["event_logs", "messages_inbox", "api_keys", "chats"] {
            let left = rows(&world, &format!("SELECT count(*) FROM {table} WHERE tenant_id = ?1"), id).await;
            assert_eq!(left, 0, "{table}");
        }
        world.store.note_emptied().await.expect("noted");
        assert_eq!(rows(&world, to_empty, id).await, 1, "what was under way may still write");
        assert_eq!(world.store.empty_deleted().await.expect("emptied"), 0);
        settled(&world).await;
        assert_eq!(rows(&world, to_empty, id).await, 0);
    }

    #[tokio::test]
    async fn nothing_is_noted_as_empty_while_somebody_reads_the_log_and_nobody_waits_for_them() {
        let world = World::new().await;
        let device = world.lease.device.as_str();
        world.store.delete_device(&world.tenant, &world.lease.device).await.expect("deleted");
        let mut backup = rusqlite::Connection::open(world.folder.path().join("test.db")).expect("opens");
        let reading = backup.transaction().expect("begins");
        reading.query_row("SELECT count(*) FROM devices", [], |_| Ok(())).expect("reads");
        world.store.empty_deleted().await.expect("emptied");
        let began = std::time::Instant::now();

        settled(&world).await;

        assert!(began.elapsed() < BUSY_TIMEOUT, "the writer waited for the reader");
        assert_eq!(rows(&world, DEVICE_TO_EMPTY, device).await, 1);
        drop(reading);
        settled(&world).await;
        assert_eq!(rows(&world, DEVICE_TO_EMPTY, device).await, 0);
    }

    #[tokio::test]
    async fn what_cannot_be_removed_of_one_holds_up_no_other() {
        let world = World::new().await;
        let (stuck, other) = (&world.lease.device, world.store.create_device(&world.tenant, "other").await.expect("made").id);
        for device in [stuck, &other] {
            chats(&world, device, "vanishing").await;
            world.store.delete_device(&world.tenant, device).await.expect("deleted");
        }
        let trigger = format!(
            "CREATE TRIGGER stuck BEFORE DELETE ON contacts WHEN old.device_id = '{stuck}' \
             BEGIN SELECT RAISE (ABORT, 'damaged'); END; \
             INSERT INTO contacts (device_id, jid, tenant_id, updated_at) VALUES ('{stuck}', 'a', '{}', 1)",
            world.tenant
        );
        world.store.db.write(move |tx| Ok(tx.execute_batch(&trigger)?)).await.expect("a trigger");

        world.store.empty_deleted().await.expect("emptied");
        settled(&world).await;

        assert_eq!((lines(&world, stuck).await, lines(&world, &other).await), (0, 0));
        assert_eq!(rows(&world, DEVICE_TO_EMPTY, stuck.as_str()).await, 1, "it is looked at again");
        assert_eq!(rows(&world, DEVICE_TO_EMPTY, other.as_str()).await, 0);
    }
}
