//! Messages on their way out. A row is written before the request is answered and carries WhatsApp's id from the start,
//! so that a repeat after a crash is dropped by WhatsApp's server or the recipient's phone.

use super::chat_lines::{NewLine, shown};
use super::people::Scope;
use super::{Result, Store, StoreError, Tx, devices, events, media, plugin_history};
use crate::domain::aftermath::{Aftermath, PluginSend};
use crate::domain::clock::UnixMs;
use crate::domain::device::Observed;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, EventId, MediaId, MessageId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, Status};
use crate::domain::status_post::Audience;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

/// The same kinds of row as the partial indexes of the table; SQLite uses them only for this very text.
pub(super) const ACTIVE: &str = "status IN ('pending', 'queued', 'sending')";

#[derive(Debug, Clone)]
pub struct NewMessage {
    pub id: MessageId,
    pub chat: ChatId,
    pub wa_id: String,
    pub content: Content,
    /// The key a client gave, the hash of what it asked for, and the answer a repeat will get.
    pub idempotency: Option<Idempotency>,
    /// What the plugins left behind that saw it before.
    pub aftermath: Aftermath,
}

#[derive(Debug, Clone)]
pub struct Idempotency {
    pub key: String,
    pub request_hash: [u8; 32],
    pub answer: serde_json::Value,
}

/// What became of an acceptance.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    New,
    /// The same request was accepted before: this was its answer.
    Replayed(serde_json::Value),
    /// The key was used for another request.
    Mismatch,
    /// The device is not linked: nothing was taken.
    NotLinked,
    /// The device is offline, and the caller did not want to queue: nothing was taken.
    Offline,
    /// The file it is about is not here any more: nothing was taken.
    MediaGone,
}

#[derive(Debug, Clone)]
pub struct OutboxRow {
    pub seq: i64,
    pub id: MessageId,
    pub tenant: TenantId,
    pub device: DeviceId,
    pub chat: ChatId,
    pub wa_id: String,
    pub content: Content,
    pub status: Status,
    pub attempts: u32,
    /// Why the last try failed, or what a message that was not tried waits for.
    pub last_error: Option<String>,
    /// It is not sent before, while it is queued.
    pub next_at: UnixMs,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
    pub sent_at: Option<UnixMs>,
    pub delivered_at: Option<UnixMs>,
    pub read_at: Option<UnixMs>,
    /// When WhatsApp's server acknowledged the last edit, and the deletion for everyone.
    pub edited_at: Option<UnixMs>,
    pub deleted_at: Option<UnixMs>,
    /// No request brought it: it is charged to its window when it goes out, and may wait for room in it.
    pub is_paced: bool,
}

/// What a receipt said of messages we sent.
#[derive(Debug, Clone)]
pub struct ReceiptNews {
    pub wa_ids: Vec<String>,
    pub status: Status,
    pub at: UnixMs,
    /// Who received or read it: a member in a group, the contact otherwise.
    pub by: String,
}

pub(super) const COLUMNS: &str = "seq, id, tenant_id, device_id, chat, wa_id, content, status, attempts, last_error, created_at, \
                       updated_at, sent_at, delivered_at, read_at, edited_at, deleted_at, next_at, origin <> 'api'";

const BY_EITHER_ID: &str = "WHERE tenant_id = ?1 AND device_id = ?2 AND (id = ?3 OR (device_id = ?2 AND wa_id = ?3))";

/// The query of a message's status, for the test of its plan.
#[cfg(test)]
pub(super) fn queries() -> Vec<String> {
    vec![format!("SELECT {COLUMNS} FROM messages_outbox {BY_EITHER_ID}")]
}

impl Store {
    /// Takes a message for sending. On disk when it returns. A repeat gets its first answer even when the device could
    /// not send any more.
    pub async fn accept_message(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        message: NewMessage,
        queue_while_offline: bool,
    ) -> Result<Accepted> {
        let content =
            serde_json::to_string(&message.content).map_err(|_| StoreError::Corrupt { what: "a message's content" })?;
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                if let Some(idempotency) = &message.idempotency
                    && let Some(earlier) = remembered(tx, &device, idempotency)?
                {
                    return Ok(earlier);
                }
                let row = devices::find(tx, &tenant, &device)?.ok_or(StoreError::NotFound)?;
                if !row.linked {
                    return Ok(Accepted::NotLinked);
                }
                if row.observed != Observed::Connected && !queue_while_offline {
                    return Ok(Accepted::Offline);
                }
                // Here, so that nothing takes the file away between this look and the row that holds it.
                if let Some(media) = message.content.media()
                    && !media::touch(tx, &tenant, media, now)?
                {
                    return Ok(Accepted::MediaGone);
                }
                if let Some(idempotency) = &message.idempotency {
                    remember(tx, &tenant, &device, idempotency, now)?;
                }
                let row = NewRow {
                    id: &message.id,
                    device: &device,
                    chat: &message.chat,
                    wa_id: &message.wa_id,
                    kind: message.content.kind(),
                    content: &content,
                    media: message.content.media(),
                    origin: "api",
                };
                insert(tx, &tenant, &row, now)?;
                plugin_history::commit(tx, &tenant, &message.aftermath, now)?;
                Ok(Accepted::New)
            })
            .await
    }

    /// What an earlier request with this key came to, when there was one.
    pub async fn earlier_acceptance(&self, device: &DeviceId, idempotency: &Idempotency) -> Result<Option<Accepted>> {
        let (device, idempotency) = (device.clone(), idempotency.clone());
        self.db.read(move |conn| remembered(conn, &device, &idempotency)).await
    }

    /// A message of ours by our id or WhatsApp's.
    pub async fn outgoing(&self, tenant: &TenantId, device: &DeviceId, id: &str) -> Result<OutboxRow> {
        let (tenant, device, id) = (tenant.clone(), device.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                conn.prepare_cached(&format!("SELECT {COLUMNS} FROM messages_outbox {BY_EITHER_ID}"))?
                    .query_row(params![tenant.as_str(), device.as_str(), id], |row| Ok(read(row)))
                    .optional()?
                    .ok_or(StoreError::NotFound)?
            })
            .await
    }

    /// Whom a status post of this device was for, by WhatsApp's id of it; `None` for what is none, or not kept any more.
    pub async fn status_audience(&self, tenant: &TenantId, device: &DeviceId, wa_id: &str) -> Result<Option<Audience>> {
        match self.outgoing(tenant, device, wa_id).await {
            Ok(OutboxRow { content: Content::Status(post), .. }) => Ok(Some(post.audience)),
            Ok(_) | Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves messages on as receipts say; what has moved further already stays.
    pub async fn apply_receipts(&self, tenant: &TenantId, device: &DeviceId, news: Vec<ReceiptNews>) -> Result<()> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db
            .write(move |tx| {
                for one in &news {
                    for wa_id in &one.wa_ids {
                        if !receipt(tx, &tenant, &device, wa_id, one)? {
                            let scope = Scope { tx, tenant: &tenant, device: &device, now: one.at };
                            scope.sent_elsewhere(wa_id, one.status)?;
                        }
                    }
                }
                Ok(())
            })
            .await
    }
}

struct NewRow<'a> {
    id: &'a MessageId,
    device: &'a DeviceId,
    chat: &'a ChatId,
    wa_id: &'a str,
    kind: &'a str,
    content: &'a str,
    media: Option<&'a MediaId>,
    origin: &'a str,
}

fn insert(tx: &Tx<'_>, tenant: &TenantId, new: &NewRow<'_>, now: UnixMs) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO messages_outbox \
         (id, tenant_id, device_id, chat, wa_id, kind, content, status, next_at, created_at, updated_at, origin, media_id) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8, ?8, ?8, ?9, ?10)",
    )?
    .execute(params![
        new.id.as_str(),
        tenant.as_str(),
        new.device.as_str(),
        new.chat.as_str(),
        new.wa_id,
        new.kind,
        new.content,
        now,
        new.origin,
        new.media.map(MediaId::as_str)
    ])?;
    tx.wake_outbox(new.device);
    line(tx, tenant, new, now)
}

/// A message stands in its chat from the moment it is taken; the row of the outbox has its status.
fn line(tx: &Tx<'_>, tenant: &TenantId, new: &NewRow<'_>, now: UnixMs) -> Result<()> {
    if matches!(new.kind, "reaction" | "edit" | "delete" | "read_receipt") {
        return Ok(());
    }
    let (text, is_caption) = shown(new.content);
    let line = NewLine {
        wa_id: new.wa_id.to_owned(),
        from_me: true,
        sender: String::new(),
        outbox_id: Some(new.id.to_string()),
        media_id: new.media.map(ToString::to_string),
        kind: new.kind.to_owned(),
        text,
        is_caption,
        at: now,
        status: None,
        unread: false,
        starred: false,
    };
    Scope { tx, tenant, device: new.device, now }.new_line(new.chat.as_str(), &line)
}

/// A message of a plugin, in the transaction of the event it follows from.
pub(super) fn insert_from_plugin(tx: &Tx<'_>, tenant: &TenantId, send: &PluginSend, now: UnixMs) -> Result<()> {
    let content =
        serde_json::to_string(&send.content).map_err(|_| StoreError::Corrupt { what: "a message's content" })?;
    let new = NewRow {
        id: &send.id,
        device: &send.device,
        chat: &send.chat,
        wa_id: &send.wa_id,
        kind: send.content.kind(),
        content: &content,
        media: send.content.media(),
        origin: &format!("plugin:{}", send.plugin),
    };
    if let Some(id) = new.media {
        // What it follows from is written whether the file is here or not; one that is gone makes the sending fail.
        media::touch(tx, tenant, id, now)?;
    }
    insert(tx, tenant, &new, now)
}

/// What an earlier request with this key came to.
fn remembered(conn: &Connection, device: &DeviceId, new: &Idempotency) -> Result<Option<Accepted>> {
    let earlier: Option<(Vec<u8>, String)> = conn
        .prepare_cached("SELECT request_hash, answer FROM idempotency_keys WHERE device_id = ?1 AND key = ?2")?
        .query_row(params![device.as_str(), new.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((hash, answer)) = earlier else { return Ok(None) };
    if hash != new.request_hash {
        return Ok(Some(Accepted::Mismatch));
    }
    let answer = serde_json::from_str(&answer).map_err(|_| StoreError::Corrupt { what: "a remembered answer" })?;
    Ok(Some(Accepted::Replayed(answer)))
}

fn remember(tx: &Tx<'_>, tenant: &TenantId, device: &DeviceId, new: &Idempotency, now: UnixMs) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO idempotency_keys (tenant_id, device_id, key, request_hash, answer, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![tenant.as_str(), device.as_str(), new.key, new.request_hash, new.answer.to_string(), now])?;
    Ok(())
}

/// `false` when it is not for a message of this gateway: receipts also come for what other linked devices sent.
fn receipt(tx: &Tx<'_>, tenant: &TenantId, device: &DeviceId, wa_id: &str, news: &ReceiptNews) -> Result<bool> {
    let sql = format!("SELECT {COLUMNS} FROM messages_outbox WHERE tenant_id = ?1 AND device_id = ?2 AND wa_id = ?3");
    let row = tx
        .prepare_cached(&sql)?
        .query_row(params![tenant.as_str(), device.as_str(), wa_id], |row| Ok(read(row)))
        .optional()?;
    let Some(row) = row.transpose()? else { return Ok(false) };
    let moves = row.status.moves_to(news.status);
    // Everybody who gets or sees a status post is told; of any other message, the first.
    if !moves && !row.chat.is_status() {
        return Ok(true);
    }
    let type_ = match news.status {
        Status::Read => EventType::ReceiptRead,
        Status::Played => EventType::ReceiptPlayed,
        _ => EventType::ReceiptDelivery,
    };
    // Proof that a phone has it is proof that the server took it and that it was delivered. `sent_at` is set once, so what
    // follows from the former happens once, by whichever word comes first.
    if row.sent_at.is_none() {
        went_out(tx, &row, news.at)?;
        // What it held back may go.
        tx.wake_outbox(device);
    }
    if moves {
        tx.prepare_cached(
            "UPDATE messages_outbox SET status = ?2, updated_at = ?3, last_error = NULL, sent_at = coalesce(sent_at, ?3), \
             delivered_at = coalesce(delivered_at, ?3), \
             read_at = CASE WHEN ?2 IN ('read', 'played') THEN coalesce(read_at, ?3) ELSE read_at END, \
             played_at = CASE WHEN ?2 = 'played' THEN ?3 ELSE played_at END WHERE seq = ?1",
        )?
        .execute(params![row.seq, news.status.as_str(), news.at])?;
    }
    if row.content.is_about_another() {
        return Ok(true);
    }
    let by = json!({ "by": news.by });
    if row.chat.is_status() {
        let event = change(&row, type_, news.status, news.at, by);
        let parts = [row.device.as_str(), type_.as_str(), wa_id, news.by.as_str()];
        let id = EventId::derived(row.created_at, &parts);
        events::append_once(tx, &Event { id, ..event })?;
    } else {
        // A receipt may overtake those before it: what it is proof of is told too, once.
        let before = [
            (Status::Delivered, EventType::ReceiptDelivery, row.delivered_at),
            (Status::Read, EventType::ReceiptRead, row.read_at),
        ];
        for (status, type_, at) in before {
            if at.is_none() && status != news.status && status.moves_to(news.status) {
                append_change(tx, &row, type_, status, news.at, by.clone())?;
            }
        }
        append_change(tx, &row, type_, news.status, news.at, by)?;
    }
    Ok(true)
}

/// WhatsApp's server has it: that is told, and an edit or a deletion is done to the message it is about.
pub(super) fn went_out(tx: &Tx<'_>, row: &OutboxRow, now: UnixMs) -> Result<()> {
    let scope = Scope { tx, tenant: &row.tenant, device: &row.device, now };
    let (type_, extra) = match &row.content {
        Content::Edit { message_id, text, .. } => {
            rewrite(tx, row, message_id, text, now)?;
            scope.edited(row.chat.as_str(), message_id, "", true, Some(text))?;
            let content = json!({ "text": text });
            let extra = json!({ "messageId": message_id, "kind": "text", "content": content, "fromMe": true });
            (EventType::MessageUpdated, extra)
        }
        Content::Delete { message_id, .. } => {
            tx.prepare_cached("UPDATE messages_outbox SET deleted_at = ?3 WHERE device_id = ?1 AND wa_id = ?2")?
                .execute(params![row.device.as_str(), message_id, now])?;
            scope.deleted(row.chat.as_str(), message_id)?;
            (EventType::MessageDeleted, json!({ "messageId": message_id, "fromMe": true }))
        }
        _ => (EventType::MessageSent, json!({})),
    };
    append_change(tx, row, type_, Status::Sent, now, extra)
}

/// The edited message carries its new text from now on, for who quotes or forwards it.
fn rewrite(tx: &Tx<'_>, row: &OutboxRow, wa_id: &str, new: &str, now: UnixMs) -> Result<()> {
    let content: Option<String> = tx
        .prepare_cached("SELECT content FROM messages_outbox WHERE device_id = ?1 AND wa_id = ?2")?
        .query_row(params![row.device.as_str(), wa_id], |row| row.get(0))
        .optional()?;
    let Some(Ok(Content::Text { mentions, quoted_message_id, .. })) = content.map(|text| serde_json::from_str(&text))
    else {
        return Ok(());
    };
    let content = Content::Text { text: new.to_owned(), mentions, quoted_message_id, link_preview: None };
    let content = serde_json::to_string(&content).map_err(|_| StoreError::Corrupt { what: "a message's content" })?;
    tx.prepare_cached("UPDATE messages_outbox SET content = ?3, edited_at = ?4 WHERE device_id = ?1 AND wa_id = ?2")?
        .execute(params![row.device.as_str(), wa_id, content, now])?;
    Ok(())
}

pub(super) fn append_change(
    tx: &Tx<'_>,
    row: &OutboxRow,
    type_: EventType,
    status: Status,
    at: UnixMs,
    extra: serde_json::Value,
) -> Result<()> {
    if !row.content.is_message() {
        return Ok(());
    }
    events::append(tx, &change(row, type_, status, at, extra))
}

fn change(row: &OutboxRow, type_: EventType, status: Status, at: UnixMs, extra: serde_json::Value) -> Event {
    let mut data = json!({
        "id": row.id,
        "waMessageId": row.wa_id,
        "chat": row.chat,
        "type": row.content.kind(),
        "status": status,
        "timestamp": at / 1000,
    });
    if let (Some(data), serde_json::Value::Object(extra)) = (data.as_object_mut(), extra) {
        data.extend(extra);
    }
    Event::new(row.tenant.clone(), Some(row.device.clone()), type_, at, data)
}

pub(super) fn read(row: &Row<'_>) -> Result<OutboxRow> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "an outgoing message" };
    Ok(OutboxRow {
        seq: row.get(0)?,
        id: MessageId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
        tenant: TenantId::parse(&row.get::<_, String>(2)?).map_err(|_| CORRUPT)?,
        device: DeviceId::parse(&row.get::<_, String>(3)?).map_err(|_| CORRUPT)?,
        chat: ChatId::stored(&row.get::<_, String>(4)?).map_err(|_| CORRUPT)?,
        wa_id: row.get(5)?,
        content: serde_json::from_str(&row.get::<_, String>(6)?).map_err(|_| CORRUPT)?,
        status: Status::parse(&row.get::<_, String>(7)?).ok_or(CORRUPT)?,
        attempts: row.get(8)?,
        last_error: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
        sent_at: row.get(12)?,
        delivered_at: row.get(13)?,
        read_at: row.get(14)?,
        edited_at: row.get(15)?,
        deleted_at: row.get(16)?,
        next_at: row.get(17)?,
        is_paced: row.get(18)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::allowance::Allowance;
    use crate::domain::outgoing::Step;
    use crate::domain::status_post::StatusPost;
    use crate::store::Ended;
    use crate::store::world::World;

    const CHAT: &str = "6281100000001@s.whatsapp.net";

    fn text(text: &str) -> Content {
        Content::Text { text: text.into(), mentions: Vec::new(), quoted_message_id: None, link_preview: None }
    }

    impl World {
        /// Taken, and tried once, which came to this.
        async fn tried(&self, wa_id: &str, content: Content, step: Step) -> MessageId {
            let id = self.accepted(CHAT, wa_id, content).await;
            self.store.turn_outbox(&self.lease, Vec::new(), 10, Allowance::default()).await.expect("claimed");
            self.settled(&id, step).await;
            id
        }

        async fn settled(&self, id: &MessageId, step: Step) {
            let settled = Ended::Settled { id: id.clone(), attempt: 1, step, random: 0.5 };
            self.store.turn_outbox(&self.lease, vec![settled], 0, Allowance::default()).await.expect("settled");
        }

        async fn delivered(&self, wa_id: &str) {
            let by = CHAT.to_owned();
            let news = ReceiptNews { wa_ids: vec![wa_id.into()], status: Status::Delivered, at: 5_000, by };
            self.store.apply_receipts(&self.tenant, &self.lease.device, vec![news]).await.expect("applied");
        }

        async fn outgoing(&self, wa_id: &str) -> OutboxRow {
            self.store.outgoing(&self.tenant, &self.lease.device, wa_id).await.expect("a row")
        }

        /// The kinds of the events that name the message.
        async fn told(&self, id: &MessageId) -> Vec<String> {
            let id = id.to_string();
            let read = self.store.db.read(move |conn| {
                let sql = "SELECT type FROM event_logs WHERE data ->> 'id' = ?1 ORDER BY seq";
                let mut statement = conn.prepare(sql)?;
                let types = statement.query_map([id], |row| row.get(0))?;
                Ok(types.collect::<rusqlite::Result<Vec<String>>>()?)
            });
            read.await.expect("events")
        }
    }

    fn lost() -> Step {
        Step::Retry { failures: 1, reason: "the connection was lost".into() }
    }

    #[tokio::test]
    async fn a_receipt_without_the_acknowledgement_says_that_it_was_sent_once() {
        let world = World::new().await;
        let id = world.tried("3EB0AA", text("hi"), lost()).await;

        world.delivered("3EB0AA").await;
        world.settled(&id, Step::Sent).await;

        assert_eq!(world.told(&id).await, ["message.sent", "receipt.delivery"]);
        let row = world.outgoing("3EB0AA").await;
        assert_eq!((row.status, row.sent_at), (Status::Delivered, Some(5_000)));
    }

    #[tokio::test]
    async fn everybody_who_sees_a_status_post_is_told_once_and_the_post_moves_with_the_first() {
        let world = World::new().await;
        let audience = Audience { people: vec![ChatId::parse(CHAT).expect("a chat")], named: true };
        let post = StatusPost { shown: Box::new(text("hi")), background: None, font: None, audience };
        let id = world.accepted_in(ChatId::status(), "3EB0AA", Content::Status(post.clone())).await;
        world.store.turn_outbox(&world.lease, Vec::new(), 10, Allowance::default()).await.expect("claimed");
        world.settled(&id, Step::Sent).await;

        for (by, at) in [("1@lid", 5_000), ("2@lid", 6_000), ("1@lid", 7_000)] {
            let news = ReceiptNews { wa_ids: vec!["3EB0AA".into()], status: Status::Read, at, by: by.into() };
            world.store.apply_receipts(&world.tenant, &world.lease.device, vec![news]).await.expect("applied");
        }

        assert_eq!(world.told(&id).await, ["message.sent", "receipt.read", "receipt.read"]);
        let row = world.outgoing("3EB0AA").await;
        assert_eq!((row.status, row.read_at, row.chat.is_status()), (Status::Read, Some(5_000), true));
        assert_eq!(row.content, Content::Status(post.clone()));
        let audience = world.store.status_audience(&world.tenant, &world.lease.device, "3EB0AA").await;
        assert_eq!(audience.expect("read"), Some(post.audience));
    }

    #[tokio::test]
    async fn a_receipt_that_overtakes_others_tells_them_too_and_once() {
        let world = World::new().await;
        let id = world.tried("3EB0AA", text("hi"), Step::Sent).await;
        let by = CHAT.to_owned();
        let played = ReceiptNews { wa_ids: vec!["3EB0AA".into()], status: Status::Played, at: 5_000, by };

        world.store.apply_receipts(&world.tenant, &world.lease.device, vec![played]).await.expect("applied");
        world.delivered("3EB0AA").await;

        assert_eq!(world.told(&id).await, ["message.sent", "receipt.delivery", "receipt.read", "receipt.played"]);
        let row = world.outgoing("3EB0AA").await;
        assert_eq!((row.status, row.delivered_at, row.read_at), (Status::Played, Some(5_000), Some(5_000)));
    }

    #[tokio::test]
    async fn an_edit_and_a_deletion_are_done_by_a_receipt_that_comes_alone() {
        let world = World::new().await;
        world.tried("3EB0AA", text("ten"), Step::Sent).await;
        let edit = Content::Edit { message_id: "3EB0AA".into(), text: "nine".into(), until: i64::MAX };
        let edit = world.tried("3EB0BB", edit, lost()).await;

        world.delivered("3EB0BB").await;

        let row = world.outgoing("3EB0AA").await;
        assert_eq!((row.content, row.edited_at), (text("nine"), Some(5_000)));
        assert_eq!(world.told(&edit).await, ["message.updated"]);
        let delete = Content::Delete { message_id: "3EB0AA".into(), from_me: true, participant: None };
        let delete = world.tried("3EB0CC", delete, lost()).await;
        for _ in 0..2 {
            world.delivered("3EB0CC").await;
        }
        world.settled(&delete, Step::Sent).await;
        assert_eq!(world.outgoing("3EB0AA").await.deleted_at, Some(5_000));
        assert_eq!(world.told(&delete).await, ["message.deleted"]);
    }
}
