//! Polls that a device wrote or saw, and who voted for what. The secret of a poll opens its votes; it is sealed by the
//! vault and bound to its row.

use super::device_locks::Lease;
use super::{OutboxRow, Result, Store, StoreError, Tx};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, MessageId, TenantId};
use crate::domain::outgoing::Content;
use crate::domain::poll::{Poll, SECRET_BYTES, Tally, Vote, tally};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

const PURPOSE: &str = "polls";
const CORRUPT: StoreError = StoreError::Corrupt { what: "a poll" };

/// A poll that somebody else wrote, or the owner on another device.
#[derive(Debug, Clone)]
pub struct NewPoll {
    pub poll: Poll,
    /// The addresses of who wrote it; none for the account itself.
    pub authors: Vec<String>,
    pub secret: Vec<u8>,
}

/// A vote that came in and was opened.
#[derive(Debug, Clone)]
pub struct NewVote {
    /// WhatsApp's id of the poll.
    pub poll: String,
    /// The contact id of who voted.
    pub voter: String,
    /// Places of the chosen options.
    pub chosen: Vec<usize>,
}

/// What opens the votes of a poll, and what they may choose.
#[derive(Debug, Clone)]
pub struct OpenPoll {
    pub poll: Poll,
    pub authors: Vec<String>,
    pub secret: Vec<u8>,
}

/// A poll as it stands.
#[derive(Debug, Clone)]
pub struct PollRow {
    /// Ours, when this gateway sent it.
    pub id: Option<MessageId>,
    pub wa_id: String,
    pub chat: String,
    pub poll: Poll,
    pub tallies: Vec<Tally>,
}

impl Store {
    /// The secret that a poll of ours goes out with: made at the first try, and the same at every other.
    pub async fn poll_secret(&self, lease: &Lease, row: &OutboxRow, poll: &Poll) -> Result<Vec<u8>> {
        let (lease, row, poll, now) = (lease.clone(), row.clone(), poll.clone(), self.clock.now_ms());
        let secret: [u8; SECRET_BYTES] = rand::random();
        let sealed = self.seal_poll(&row.device, &row.wa_id, &secret);
        let (device, wa_id) = (row.device.clone(), row.wa_id.clone());
        let kept: Vec<u8> = self
            .db
            .write(move |tx| {
                lease.check(tx)?;
                let new = Written { wa_id: &row.wa_id, chat: row.chat.as_str(), authors: &[], poll: &poll };
                insert(tx, &row.tenant, &row.device, &new, &sealed, now)?;
                let kept = tx
                    .prepare_cached("SELECT secret FROM polls WHERE device_id = ?1 AND wa_id = ?2")?
                    .query_row(params![row.device.as_str(), row.wa_id], |row| row.get(0))?;
                Ok(kept)
            })
            .await?;
        self.open_secret(&device, &wa_id, &kept)
    }

    /// What a vote on this poll is opened with; `None` for a poll that the device never saw.
    pub async fn open_poll(&self, device: &DeviceId, wa_id: &str) -> Result<Option<OpenPoll>> {
        type Row = (String, String, u32, String, Vec<u8>);
        let (id, key) = (device.clone(), wa_id.to_owned());
        let row: Option<Row> = self
            .db
            .read(move |conn| {
                conn.prepare_cached(
                    "SELECT question, options, selectable_count, author, secret FROM polls \
                     WHERE device_id = ?1 AND wa_id = ?2",
                )?
                .query_row(params![id.as_str(), key], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .optional()
                .map_err(unread)
            })
            .await?;
        let Some((question, options, selectable_count, authors, secret)) = row else { return Ok(None) };
        let options = serde_json::from_str(&options).map_err(|_| CORRUPT)?;
        let authors = authors.split_whitespace().map(str::to_owned).collect();
        let secret = self.open_secret(device, wa_id, &secret)?;
        Ok(Some(OpenPoll { poll: Poll { question, options, selectable_count }, authors, secret }))
    }

    /// A poll by our id or WhatsApp's, with what was voted so far.
    pub async fn poll(&self, tenant: &TenantId, device: &DeviceId, id: &str) -> Result<PollRow> {
        let (tenant, device, id) = (tenant.clone(), device.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                let mut row = match sent(conn, &tenant, &device, &id)? {
                    Some(sent) => sent,
                    None => seen(conn, &tenant, &device, &id)?.ok_or(StoreError::NotFound)?,
                };
                row.tallies = tally(&row.poll.options, &votes(conn, &device, &row.wa_id)?);
                Ok(row)
            })
            .await
    }

    pub(super) fn seal_poll(&self, device: &DeviceId, wa_id: &str, secret: &[u8]) -> Vec<u8> {
        self.vault.purpose(PURPOSE).seal(bound(device, wa_id).as_bytes(), secret)
    }

    fn open_secret(&self, device: &DeviceId, wa_id: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        self.vault.purpose(PURPOSE).open(bound(device, wa_id).as_bytes(), sealed).map_err(|_| CORRUPT)
    }
}

/// A value that is not of its column's type is damage to the row; anything else is the database's.
fn unread(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    match error {
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..) => CORRUPT,
        other => other.into(),
    }
}

fn bound(device: &DeviceId, wa_id: &str) -> String {
    format!("{device} {wa_id}")
}

/// What is written of a poll beside its secret.
pub(super) struct Written<'a> {
    pub(super) wa_id: &'a str,
    pub(super) chat: &'a str,
    pub(super) authors: &'a [String],
    pub(super) poll: &'a Poll,
}

/// Writes a poll once: what stands under its id stays, so that nobody replaces a poll by one of the same id.
pub(super) fn insert(
    tx: &Tx<'_>,
    tenant: &TenantId,
    device: &DeviceId,
    new: &Written<'_>,
    sealed: &[u8],
    now: UnixMs,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO polls \
         (device_id, wa_id, tenant_id, chat, author, question, options, selectable_count, secret, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        device.as_str(),
        new.wa_id,
        tenant.as_str(),
        new.chat,
        new.authors.join(" "),
        new.poll.question,
        json!(new.poll.options).to_string(),
        new.poll.selectable_count,
        sealed,
        now
    ])?;
    Ok(())
}

/// Puts a vote in the place of the voter's earlier one, and counts. `seq` is the inbox row's. The answer goes into the
/// envelope of that row, for the event.
pub(super) fn vote(
    tx: &Tx<'_>,
    tenant: &TenantId,
    device: &DeviceId,
    new: &NewVote,
    seq: i64,
    now: UnixMs,
) -> Result<Value> {
    let asked: Option<(String, String)> = tx
        .prepare_cached("SELECT question, options FROM polls WHERE device_id = ?1 AND wa_id = ?2")?
        .query_row(params![device.as_str(), new.poll], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(unread)?;
    let Some((question, options)) = asked else { return Ok(Value::Null) };
    let options: Vec<String> = serde_json::from_str(&options).map_err(|_| CORRUPT)?;
    tx.prepare_cached(
        "INSERT INTO poll_votes (device_id, poll_wa_id, voter, tenant_id, chosen, seq, voted_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (device_id, poll_wa_id, voter) \
         DO UPDATE SET chosen = excluded.chosen, seq = excluded.seq, voted_at = excluded.voted_at",
    )?
    .execute(params![
        device.as_str(),
        new.poll,
        new.voter,
        tenant.as_str(),
        json!(new.chosen).to_string(),
        seq,
        now
    ])?;
    let selected: Vec<&String> = new.chosen.iter().filter_map(|place| options.get(*place)).collect();
    let tallies = tally(&options, &votes(tx, device, &new.poll)?);
    Ok(json!({ "question": question, "selectedOptions": selected, "tallies": tallies }))
}

/// The latest vote of everybody, oldest first.
fn votes(conn: &Connection, device: &DeviceId, poll: &str) -> Result<Vec<Vote>> {
    let mut statement = conn
        .prepare_cached("SELECT voter, chosen FROM poll_votes WHERE device_id = ?1 AND poll_wa_id = ?2 ORDER BY seq")?;
    let mut rows = statement.query(params![device.as_str(), poll])?;
    let mut votes = Vec::new();
    while let Some(row) = rows.next()? {
        let chosen = serde_json::from_str(&row.get::<_, String>(1).map_err(unread)?).map_err(|_| CORRUPT)?;
        votes.push(Vote { voter: row.get(0).map_err(unread)?, chosen });
    }
    Ok(votes)
}

fn sent(conn: &Connection, tenant: &TenantId, device: &DeviceId, id: &str) -> Result<Option<PollRow>> {
    type Row = (String, String, String, String);
    let row: Option<Row> = conn
        .prepare_cached(
            "SELECT id, wa_id, chat, content FROM messages_outbox \
             WHERE tenant_id = ?1 AND device_id = ?2 AND (id = ?3 OR wa_id = ?3) AND kind = 'poll'",
        )?
        .query_row(params![tenant.as_str(), device.as_str(), id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((id, wa_id, chat, content)) = row else { return Ok(None) };
    match serde_json::from_str(&content) {
        Ok(Content::Poll(poll)) => {
            let id = MessageId::parse(&id).map_err(|_| CORRUPT)?;
            Ok(Some(PollRow { id: Some(id), wa_id, chat, poll, tallies: Vec::new() }))
        }
        _ => Err(CORRUPT),
    }
}

fn seen(conn: &Connection, tenant: &TenantId, device: &DeviceId, wa_id: &str) -> Result<Option<PollRow>> {
    type Row = (String, String, String, u32);
    let row: Option<Row> = conn
        .prepare_cached(
            "SELECT chat, question, options, selectable_count FROM polls \
             WHERE tenant_id = ?1 AND device_id = ?2 AND wa_id = ?3",
        )?
        .query_row(params![tenant.as_str(), device.as_str(), wa_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((chat, question, options, selectable_count)) = row else { return Ok(None) };
    let options = serde_json::from_str(&options).map_err(|_| CORRUPT)?;
    let poll = Poll { question, options, selectable_count };
    Ok(Some(PollRow { id: None, wa_id: wa_id.to_owned(), chat, poll, tallies: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::world::{World, received};

    const ANA: &str = "6281100000001@s.whatsapp.net";

    #[tokio::test]
    async fn a_poll_that_does_not_read_costs_the_count_and_not_the_messages_beside_the_vote() {
        for damage in ["options = '['", "options = CAST(x'ff' AS TEXT)", "question = CAST(x'ff' AS TEXT)"] {
            let world = World::new().await;
            let poll = Poll { question: "?".into(), options: vec!["a".into(), "b".into()], selectable_count: 1 };
            let new = NewPoll { poll, authors: vec![ANA.into()], secret: vec![7; SECRET_BYTES] };
            let asks = crate::store::NewInboxRow { poll: Some(new), ..received(ANA, ANA, "3EB0", b"asks") };
            world.store.record_inbound(&world.tenant, &world.lease, vec![asks], false).await.expect("recorded");
            let sql = format!("UPDATE polls SET {damage}");
            world.store.db.write(move |tx| Ok(tx.execute(&sql, [])?)).await.expect("damaged");

            let vote = NewVote { poll: "3EB0".into(), voter: ANA.into(), chosen: vec![0] };
            let votes = crate::store::NewInboxRow { vote: Some(vote), ..received(ANA, ANA, "3EB1", b"votes") };
            let rows = vec![votes, received(ANA, ANA, "3EB2", b"says")];
            let new = world.store.record_inbound(&world.tenant, &world.lease, rows, false).await;

            assert_eq!(new.expect("recorded"), 2, "{damage}");
            let opened = world.store.open_poll(&world.lease.device, "3EB0").await;
            assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{damage}: {opened:?}");
        }
    }
}
