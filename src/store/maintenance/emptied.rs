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
/// The store's note that words are to be written out of the index, with a figure that is another one each time.
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
const OF_DEVICE: [Part; 14] = [
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
    of_device("device_sessions", "device_id, kind, key"),
    of_device("device_locks", "device_id"),
];

/// What a tenant has beside its devices; files go with the media's own sweep. Deliveries go before their attempts are logged no
/// more (`deliveries::settle`), and those before the webhooks by which they are found.
const OF_TENANT: [Part; 15] = [
    Part { table: "messages_inbox", key: "rowid", whose: "tenant_id = ?1 AND processed = 0" },
    of_tenant("webhook_deliveries", "rowid"),
    Part {
        table: "webhook_logs",
        key: "rowid",
        whose: "webhook_id IN (SELECT id FROM webhooks WHERE webhooks.tenant_id = ?1)",
    },
    of_tenant("dlq", "delivery_id"),
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
const AWAITED: &str = "SELECT 1 FROM webhook_deliveries AS d INDEXED BY webhook_deliveries_due \
     CROSS JOIN webhooks AS w ON w.id = d.webhook_id \
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
        if rows > 0 {
            // A crash before this note is no loss: whose rows went is not noted as empty yet.
            self.db.write(note_words).await?;
        }
        Ok(rows)
    }

    /// Writes what was removed out of the index of words and of the database's log, where that is due, and looks no more at whom
    /// nothing can come after. It goes over the index of all tenants, so it is for now and then.
    pub async fn note_emptied(&self) -> Result<()> {
        let noted = self.words_noted().await?;
        // Whose words were noted until then have no lines any more.
        let words = if self.remove_left_chats().await?.is_some() { noted } else { None };
        let mut empty = Vec::new();
        for owner in self.to_empty(self.clock.now_ms().saturating_sub(SETTLED_AFTER_MS)).await? {
            if self.emptied(&owner).await?.is_some() && !self.has_left(&owner).await? {
                empty.push(owner);
            }
        }
        if empty.is_empty() && words.is_none() {
            return Ok(());
        }
        self.forget_words().await?;
        if !self.db.checkpoint().await? {
            tracing::info!(
                "what was deleted is still in the database's log, which somebody reads; the next pass tries again"
            );
            return Ok(());
        }
        // Noted last, so that a crash before leaves it to be done again.
        for owner in empty {
            self.note_empty(owner).await?;
        }
        match words {
            Some(noted) => self.words_forgotten(noted).await,
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

    /// The note that lines went whose words are to be written out of the index.
    async fn words_noted(&self) -> Result<Option<i64>> {
        self.db
            .read(|conn| {
                let mut statement =
                    conn.prepare_cached("SELECT CAST(value AS INTEGER) FROM store_facts WHERE name = ?1")?;
                Ok(statement.query_row([WORDS_TO_FORGET], |row| row.get(0)).optional()?)
            })
            .await
    }

    async fn words_forgotten(&self, noted: i64) -> Result<()> {
        self.db
            .write(move |tx| {
                tx.execute(
                    "DELETE FROM store_facts WHERE name = ?1 AND CAST(value AS INTEGER) = ?2",
                    params![WORDS_TO_FORGET, noted],
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

    /// Whether something of it is still to be told, or stays for a delivery.
    async fn has_left(&self, owner: &Owner) -> Result<bool> {
        let (sql, id) = (owner.left(), owner.id().to_owned());
        self.db.read(move |conn| Ok(conn.prepare_cached(sql)?.exists([id])?)).await
    }

    /// It is not looked at any more.
    async fn note_empty(&self, owner: Owner) -> Result<()> {
        self.db
            .write(move |tx| {
                let sql = format!("{} WHERE id = ?1 AND NOT EXISTS ({})", owner.noted(), owner.left());
                tx.execute(&sql, [owner.id()])?;
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

    fn parts(&self) -> &'static [Part] {
        match self {
            Self::Device(_) => &OF_DEVICE,
            Self::Tenant(_) => &OF_TENANT,
        }
    }

    fn left(&self) -> &'static str {
        match self {
            Self::Device(_) => "SELECT 1 FROM messages_inbox WHERE device_id = ?1",
            Self::Tenant(_) => "SELECT 1 FROM messages_inbox WHERE tenant_id = ?1 AND processed = 0",
        }
    }

    fn noted(&self) -> &'static str {
        match self {
            Self::Device(_) => {
                "UPDATE devices SET emptied = 1, phone_number = NULL, wa_jid = NULL, wa_lid = NULL, wa_name = NULL, \
                 last_error = NULL"
            }
            Self::Tenant(_) => "UPDATE tenants SET emptied = 1",
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
pub(in crate::store) fn note_words(tx: &Tx<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO store_facts (name, value) VALUES (?1, CAST(random() AS BLOB)) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [WORDS_TO_FORGET],
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
mod tests;
