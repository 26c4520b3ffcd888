//! The lines of a chat, both ways: written with the row of the inbox, of the outbox, or of the phone's history that they show;
//! read by chat, newest first, or by their words.
//!
//! A line is unique by WhatsApp's id within its chat, so that what comes twice, or from two sides, is one line.

use super::inbox::NewInboxRow;
use super::people::Scope;
use super::{Result, Store, StoreError};
use crate::domain::chat::Line;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::outgoing::Status;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

/// Messages that one call marks as read at WhatsApp; older ones are only counted as read.
pub const READ_AT_ONCE_MAX: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRow {
    pub seq: i64,
    /// The chat's one name.
    pub chat: String,
    pub wa_id: String,
    pub from_me: bool,
    /// Empty for the account itself.
    pub sender: String,
    /// Our id, of what this gateway sent.
    pub outbox_id: Option<String>,
    /// Its file, while it is known here.
    pub media_id: Option<String>,
    pub kind: String,
    pub text: Option<String>,
    pub is_caption: bool,
    pub at: UnixMs,
    /// Of the account's own.
    pub status: Option<String>,
    pub starred: bool,
    pub edited: bool,
    pub deleted: bool,
}

/// Where a page of a chat begins: before this, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    Newest,
    At(UnixMs),
    /// What a page before this one gave.
    Place(UnixMs, i64),
    /// A message, by our id or WhatsApp's.
    Message(String),
}

/// A line that is to be written.
#[derive(Debug, Clone)]
pub struct NewLine {
    pub wa_id: String,
    pub from_me: bool,
    pub sender: String,
    pub outbox_id: Option<String>,
    pub media_id: Option<String>,
    pub kind: String,
    pub text: Option<String>,
    pub is_caption: bool,
    pub at: UnixMs,
    pub status: Option<Status>,
    pub unread: bool,
    pub starred: bool,
}

const COLUMNS: &str = "m.seq, c.jid, m.wa_id, m.from_me, m.sender, m.outbox_id, m.kind, m.text, m.is_caption, m.at, \
                       coalesce(o.status, m.status), m.starred, m.edited, m.deleted, f.id";
const WITH_STATUS: &str = "JOIN chats AS c ON c.id = m.chat_id LEFT JOIN messages_outbox AS o ON o.id = m.outbox_id \
                           LEFT JOIN media AS f ON f.id = m.media_id AND f.state <> 'unlisted' AND m.deleted = 0";
const BEFORE: &str = "WHERE m.tenant_id = ?1 AND m.chat_id = ?2 AND (m.at, m.seq) < (?3, ?4) \
                                 ORDER BY m.at DESC, m.seq DESC LIMIT ?5";
const ONE: &str = "WHERE m.tenant_id = ?1 AND m.seq = ?2";
const UNREAD: &str = "WHERE m.tenant_id = ?1 AND m.chat_id = ?2 AND m.unread = 1 ORDER BY m.at DESC";
const OLDEST: &str = "WHERE m.tenant_id = ?1 AND m.chat_id = ?2 ORDER BY m.at, m.seq LIMIT 1";
const PLACE_BY_WA_ID: &str = "SELECT at, seq FROM chat_messages WHERE chat_id = ?1 AND wa_id = ?2";
const PLACE_BY_OUR_ID: &str = "SELECT m.at, m.seq FROM messages_outbox AS o JOIN chat_messages AS m ON m.wa_id = o.wa_id \
                               AND m.chat_id = ?1 WHERE o.id = ?2";

impl Store {
    /// A page of a chat's lines, newest first. [`StoreError::NotFound`]: it is to begin at a message that is not there.
    pub async fn chat_lines(&self, tenant: &TenantId, chat: i64, before: Before, limit: u32) -> Result<Vec<LineRow>> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let (at, seq) = match before {
                    Before::Newest => (i64::MAX, i64::MAX),
                    Before::At(at) => (at, 0),
                    Before::Place(at, seq) => (at, seq),
                    Before::Message(id) => place(conn, chat, &id)?.ok_or(StoreError::NotFound)?,
                };
                let sql = format!("SELECT {COLUMNS} FROM chat_messages AS m {WITH_STATUS} {BEFORE}");
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), chat, at, seq, limit], read)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// One line of a chat, by our id or WhatsApp's.
    pub async fn chat_line(&self, tenant: &TenantId, chat: i64, id: &str) -> Result<LineRow> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                let (_, seq) = place(conn, chat, &id)?.ok_or(StoreError::NotFound)?;
                let sql = format!("SELECT {COLUMNS} FROM chat_messages AS m {WITH_STATUS} {ONE}");
                conn.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), seq], read)
                    .optional()?
                    .ok_or(StoreError::NotFound)
            })
            .await
    }

    /// What was received in a chat and not read, newest first.
    pub async fn unread_lines(&self, tenant: &TenantId, chat: i64) -> Result<Vec<LineRow>> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let sql =
                    format!("SELECT {COLUMNS} FROM chat_messages AS m {WITH_STATUS} {UNREAD} LIMIT {READ_AT_ONCE_MAX}");
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), chat], read)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// The oldest line of a chat.
    pub async fn oldest_line(&self, tenant: &TenantId, chat: i64) -> Result<Option<LineRow>> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let sql = format!("SELECT {COLUMNS} FROM chat_messages AS m {WITH_STATUS} {OLDEST}");
                Ok(conn.prepare_cached(&sql)?.query_row(params![tenant.as_str(), chat], read).optional()?)
            })
            .await
    }

    /// Lines of a device that have all of these words, of one chat when given; what came last first, behind a cursor.
    pub async fn search_lines(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        words: &[String],
        chat: Option<i64>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LineRow>> {
        let (tenant, wanted) = (tenant.clone(), matching(device, chat, words));
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} {SEARCH}"))?;
                let before = before.unwrap_or(i64::MAX);
                let rows = statement.query_map(params![wanted, before, tenant.as_str(), limit], read)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}

const SEARCH: &str = "FROM chat_messages_text AS t CROSS JOIN chat_messages AS m ON m.seq = t.rowid \
     JOIN chats AS c ON c.id = m.chat_id AND c.device_id = m.device_id \
     LEFT JOIN messages_outbox AS o ON o.id = m.outbox_id \
     LEFT JOIN media AS f ON f.id = m.media_id AND f.state <> 'unlisted' AND m.deleted = 0 \
     WHERE chat_messages_text MATCH ?1 AND t.rowid < ?2 AND m.tenant_id = ?3 ORDER BY t.rowid DESC LIMIT ?4";

/// Letters from which on the last word may be the beginning of one. With fewer, nearly every message would be read.
const BEGINNING_LETTERS_MIN: usize = 3;

/// Every word as a text of its own, so that nothing in it is read as an operator. The device, or the chat, is a word of its
/// messages: it is looked up beside the others, and no other's messages are walked through.
fn matching(device: &DeviceId, chat: Option<i64>, words: &[String]) -> String {
    let quoted = |word: &String| format!("\"{}\"", word.replace('"', "\"\""));
    let beginning = if words.last().is_some_and(|word| may_be_a_beginning(word)) { "*" } else { "" };
    let words: Vec<String> = words.iter().map(quoted).collect();
    let within = chat.map_or_else(|| format!("device_id : \"{device}\""), |chat| format!("chat_id : \"{chat}\""));
    format!("{within} AND text : ({}{beginning})", words.join(" AND "))
}

/// Of what is written without spaces between words, every sign counts as one.
fn may_be_a_beginning(word: &str) -> bool {
    const WITHOUT_SPACES_FROM: char = '\u{2e80}';
    let is_letter = |c: &char| c.is_alphanumeric() || *c == '_';
    let last = word.chars().rev().skip_while(|c| !is_letter(c)).take_while(is_letter);
    let (mut letters, mut without_spaces) = (0, false);
    for letter in last {
        letters += 1;
        without_spaces |= letter >= WITHOUT_SPACES_FROM;
    }
    letters >= BEGINNING_LETTERS_MIN || without_spaces
}

/// The queries of the routes that show messages, for the test of their plans.
#[cfg(test)]
pub(super) fn queries() -> Vec<String> {
    let lines = |which: &str| format!("SELECT {COLUMNS} FROM chat_messages AS m {WITH_STATUS} {which}");
    vec![
        lines(BEFORE),
        lines(ONE),
        lines(UNREAD),
        lines(OLDEST),
        PLACE_BY_WA_ID.to_owned(),
        PLACE_BY_OUR_ID.to_owned(),
        format!("SELECT {COLUMNS} {SEARCH}"),
    ]
}

fn place(conn: &Connection, chat: i64, id: &str) -> Result<Option<(UnixMs, i64)>> {
    let of = |sql: &str| -> Result<Option<(UnixMs, i64)>> {
        Ok(conn.prepare_cached(sql)?.query_row(params![chat, id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    };
    match of(PLACE_BY_WA_ID)? {
        Some(place) => Ok(Some(place)),
        None => of(PLACE_BY_OUR_ID),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<LineRow> {
    Ok(LineRow {
        seq: row.get(0)?,
        chat: row.get(1)?,
        wa_id: row.get(2)?,
        from_me: row.get(3)?,
        sender: row.get(4)?,
        outbox_id: row.get(5)?,
        kind: row.get(6)?,
        text: row.get(7)?,
        is_caption: row.get(8)?,
        at: row.get(9)?,
        status: row.get(10)?,
        starred: row.get(11)?,
        edited: row.get(12)?,
        deleted: row.get(13)?,
        media_id: row.get(14)?,
    })
}

impl Scope<'_> {
    /// Writes a line; whether it was new. Its time is kept in whole seconds, as WhatsApp tells it, so that within one the order
    /// of arrival counts.
    pub(super) fn add_line(&self, chat: i64, line: &NewLine) -> Result<bool> {
        let added = self
            .tx
            .prepare_cached(
                "INSERT INTO chat_messages (tenant_id, device_id, chat_id, wa_id, from_me, sender, outbox_id, kind, text, \
                 is_caption, at, status, unread, starred, media_id) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
                 ON CONFLICT (chat_id, wa_id) DO NOTHING",
            )?
            .execute(params![
                self.tenant.as_str(),
                self.device.as_str(),
                chat,
                line.wa_id,
                line.from_me,
                line.sender,
                line.outbox_id,
                line.kind,
                line.text,
                line.is_caption,
                line.at - line.at.rem_euclid(1_000),
                line.status.map(Status::as_str),
                line.unread,
                line.starred,
                line.media_id
            ])?;
        Ok(added > 0)
    }

    /// What a message that was received does to its chat, with the row that was just written for it.
    pub(super) fn received(&self, row: &NewInboxRow) -> Result<()> {
        let text = |key: &str| row.envelope.get(key).and_then(Value::as_str);
        let from_me = row.envelope.get("fromMe").and_then(Value::as_bool).unwrap_or(false);
        if let Some(other) = text("senderAlternative") {
            self.learn(&row.sender, other)?;
        }
        if let Some(other) = text("recipientAlternative").filter(|_| from_me) {
            self.learn(&row.chat, other)?;
        }
        let at = row.envelope.get("timestamp").and_then(Value::as_i64).map_or(self.now, |seconds| seconds * 1_000);
        if let Some(name) = text("pushName").filter(|_| !from_me) {
            self.push_name(&row.sender, name, at)?;
        }
        let media_id = text("mediaId").map(str::to_owned);
        match &row.line {
            None => Ok(()),
            Some(Line::Edited { target, text }) => {
                self.edited(&row.chat, target, &row.sender, from_me, text.as_deref())
            }
            Some(Line::Deleted { target }) => self.deleted(&row.chat, target),
            Some(Line::New { kind, text, is_caption }) => {
                let line = NewLine {
                    wa_id: row.wa_id.clone(),
                    from_me,
                    sender: if from_me { String::new() } else { row.sender.clone() },
                    outbox_id: None,
                    media_id,
                    kind: (*kind).to_owned(),
                    text: text.clone(),
                    is_caption: *is_caption,
                    at,
                    status: from_me.then_some(Status::Sent),
                    unread: !from_me,
                    starred: false,
                };
                self.new_line(&row.chat, &line)
            }
        }
    }

    /// A line that was just written by somebody: its chat comes first now.
    pub(super) fn new_line(&self, address: &str, line: &NewLine) -> Result<()> {
        let Some(chat) = self.open_chat(address)? else { return Ok(()) };
        if !self.add_line(chat.id, line)? {
            return Ok(());
        }
        self.tx
            .prepare_cached(
                "UPDATE chats SET last_message_at = max(last_message_at, ?2), unread_count = unread_count + ?3, \
                 address = CASE WHEN ?4 THEN address ELSE ?5 END, updated_at = ?6 WHERE id = ?1",
            )?
            .execute(params![chat.id, line.at, line.unread, line.outbox_id.is_some(), address, self.now])?;
        self.synced("last_chats_upsert_at")
    }

    /// Nobody but who wrote a message changes it.
    pub(super) fn edited(
        &self,
        address: &str,
        wa_id: &str,
        sender: &str,
        from_me: bool,
        text: Option<&str>,
    ) -> Result<()> {
        let Some(chat) = self.known_chat(address)? else { return Ok(()) };
        let author: Option<(String, bool)> = self
            .tx
            .prepare_cached("SELECT sender, from_me FROM chat_messages WHERE chat_id = ?1 AND wa_id = ?2")?
            .query_row(params![chat, wa_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let same = match author {
            Some((_, own)) if own || from_me => own && from_me,
            Some((author, _)) => self.canonical(&author)? == self.canonical(sender)?,
            None => false,
        };
        if same {
            self.tx
                .prepare_cached("UPDATE chat_messages SET text = ?3, edited = 1 WHERE chat_id = ?1 AND wa_id = ?2")?
                .execute(params![chat, wa_id, text])?;
        }
        Ok(())
    }

    /// WhatsApp's server lets an author and a group's admins take a message back, and nobody else.
    pub(super) fn deleted(&self, address: &str, wa_id: &str) -> Result<()> {
        let Some(chat) = self.known_chat(address)? else { return Ok(()) };
        self.tx
            .prepare_cached("UPDATE chat_messages SET text = NULL, deleted = 1 WHERE chat_id = ?1 AND wa_id = ?2")?
            .execute(params![chat, wa_id])?;
        Ok(())
    }

    /// A plugin replaced what was said: so does the line.
    pub(super) fn redacted(&self, address: &str, wa_id: &str, text: Option<&str>) -> Result<()> {
        let Some(chat) = self.known_chat(address)? else { return Ok(()) };
        self.tx
            .prepare_cached("UPDATE chat_messages SET text = ?3 WHERE chat_id = ?1 AND wa_id = ?2")?
            .execute(params![chat, wa_id, text])?;
        Ok(())
    }

    /// A receipt for what another device of the account sent.
    pub(super) fn sent_elsewhere(&self, wa_id: &str, status: Status) -> Result<()> {
        let found: Option<(i64, Option<String>)> = self
            .tx
            .prepare_cached(
                "SELECT m.seq, m.status FROM chat_messages AS m JOIN chats AS c ON c.id = m.chat_id AND c.device_id = ?1 \
                 WHERE m.device_id = ?1 AND m.wa_id = ?2 AND m.from_me = 1 AND m.outbox_id IS NULL",
            )?
            .query_row(params![self.device.as_str(), wa_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((seq, before)) = found else { return Ok(()) };
        if before.as_deref().and_then(Status::parse).is_none_or(|before| before.moves_to(status)) {
            self.tx
                .prepare_cached("UPDATE chat_messages SET status = ?2 WHERE seq = ?1")?
                .execute(params![seq, status.as_str()])?;
        }
        Ok(())
    }
}

/// What is shown of a message of ours, of its content as it is stored: its text, and whether that stands below a file.
pub(super) fn shown(content: &str) -> (Option<String>, bool) {
    let content: Value = serde_json::from_str(content).unwrap_or_default();
    let of = |key: &str| content.get(key).and_then(Value::as_str).map(str::to_owned);
    match of("caption") {
        Some(caption) => (Some(caption), true),
        None => (of("text").or_else(|| of("question")).or_else(|| of("body")).or_else(|| of("name")), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_may_be_a_beginning_when_it_has_letters_enough() {
        for word in ["kop", "kopi!", "e-mail", "_ab", "\u{4f60}"] {
            assert!(may_be_a_beginning(word), "{word}");
        }
        for word in ["w", "ko", "ko\"", "kopi-e", "x..y"] {
            assert!(!may_be_a_beginning(word), "{word}");
        }
    }

    #[test]
    fn what_a_search_is_within_is_a_word_beside_the_others_and_nothing_in_a_word_is_an_operator() {
        let device = DeviceId::generate();
        let words = ["OR".to_owned(), "a\"b".to_owned()];
        assert_eq!(
            matching(&device, None, &words),
            format!("device_id : \"{device}\" AND text : (\"OR\" AND \"a\"\"b\")")
        );
        assert_eq!(matching(&device, Some(7), &["kopi".to_owned()]), "chat_id : \"7\" AND text : (\"kopi\"*)");
    }
}
