//! What a device's lane asks of its outbox: a turn writes how tries ended and takes in hand what is due, in one commit.

use super::device_locks::Lease;
use super::outbox::{ACTIVE, COLUMNS, OutboxRow, append_change, read, went_out};
use super::{Result, Store, StoreError, Tx, events, tenants};
use crate::domain::allowance::{Allowance, SendKind};
use crate::domain::backoff::Backoff;
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, MessageId, TenantId};
use crate::domain::outgoing::{Status, Step};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;
use std::collections::HashMap;

/// Of one chat at once, so that a chat with many messages leaves room for the others.
const CLAIM_PER_CHAT_MAX: u32 = 16;
/// Due rows that are looked at for each that is taken, so that one chat's crowd does not hide the rest for long.
const LOOKED_AT_PER_TAKEN: u32 = 2;
const UNREADABLE: &str = "the stored message does not read";

/// How a message in hand ended for this time.
#[derive(Debug, Clone)]
pub enum Ended {
    /// It was tried.
    Settled {
        id: MessageId,
        /// Its `attempts` when it was claimed: who claimed it again since has the say, unless WhatsApp took it.
        attempt: u32,
        step: Step,
        /// 0.0..1.0, spreads the retry.
        random: f64,
    },
    /// It was not tried, and the attempt does not count.
    PutBack { id: MessageId, attempt: u32 },
    /// It was not tried, and the attempt does not count: the window of its kind is full until then.
    Waits { id: MessageId, attempt: u32, until: UnixMs, window: SendKind },
}

/// What a turn came to.
#[derive(Debug, Default)]
pub struct Turn {
    /// Now in hand, oldest first.
    pub claimed: Vec<OutboxRow>,
    /// There may be more that is due than was looked at.
    pub more: bool,
    /// When the next message that waits for its time becomes due.
    pub next_at: Option<UnixMs>,
    /// What the tenant's file says of its limits now; absent when nothing was to be taken.
    pub allowance: Option<Allowance>,
}

impl Store {
    /// Puts back what an earlier life of this device's lane had in hand, and lets what waits for its window ask again: an earlier
    /// life of the gateway may have told it to.
    pub async fn requeue_claimed(&self, lease: &Lease) -> Result<u64> {
        let (lease, now) = (lease.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let back = tx
                    .prepare_cached(&format!(
                        "UPDATE messages_outbox SET status = 'queued', next_at = ?2, updated_at = ?2 \
                         WHERE device_id = ?1 AND status = 'sending' AND {ACTIVE}"
                    ))?
                    .execute(params![lease.device.as_str(), now])?;
                ask_again(tx, &lease.device, now)?;
                Ok(back as u64)
            })
            .await
    }

    /// Records how tries ended, with the events that follow, and takes up to `room` due messages in hand, oldest first. Of
    /// a chat, only what no earlier message holds back. `known` is what was known of the tenant's limits until now: when they
    /// are others, what waits for its window is due.
    pub async fn turn_outbox(&self, lease: &Lease, ended: Vec<Ended>, room: u32, known: Allowance) -> Result<Turn> {
        let (lease, now) = (lease.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                for one in &ended {
                    match one {
                        Ended::Settled { id, attempt, step, random } => {
                            settle(tx, &lease.device, (id, *attempt), step, *random, now)?;
                        }
                        Ended::PutBack { id, attempt } => put_back(tx, &lease.device, (id, *attempt), now)?,
                        Ended::Waits { id, attempt, until, window } => {
                            wait(tx, &lease.device, (id, *attempt), (*until, *window), now)?;
                        }
                    }
                }
                if room == 0 {
                    return Ok(Turn::default());
                }
                let allowance = allowance(tx, &lease.device)?;
                if allowance != known {
                    ask_again(tx, &lease.device, now)?;
                }
                let (due, more) = due(tx, &lease.device, now, room)?;
                let mut claimed = Vec::with_capacity(due.len());
                for seq in due {
                    claimed.extend(claim(tx, seq, now)?);
                }
                let next_at = next_at(tx, &lease.device, now)?;
                Ok(Turn { claimed, more, next_at, allowance: Some(allowance) })
            })
            .await
    }
}

fn claim(tx: &Tx<'_>, seq: i64, now: UnixMs) -> Result<Option<OutboxRow>> {
    let sql = format!("SELECT {COLUMNS} FROM messages_outbox WHERE seq = ?1");
    let row = tx.prepare_cached(&sql)?.query_row([seq], |row| Ok(read(row)))?;
    let Some(row) = readable(tx, seq, row, now)? else { return Ok(None) };
    tx.prepare_cached(
        "UPDATE messages_outbox SET status = 'sending', attempts = attempts + 1, updated_at = ?2 WHERE seq = ?1",
    )?
    .execute(params![seq, now])?;
    Ok(Some(OutboxRow { attempts: row.attempts + 1, ..row }))
}

/// A message that does not read is set aside, so that it holds nobody up, and its tenant hears that it failed.
fn readable(tx: &Tx<'_>, seq: i64, row: Result<OutboxRow>, now: UnixMs) -> Result<Option<OutboxRow>> {
    match row {
        Err(StoreError::Corrupt { .. }) => {
            tracing::error!(seq, "a message of the outbox does not read and is not sent");
            let set_aside = tx
                .prepare_cached(&format!(
                    "UPDATE messages_outbox SET status = 'failed', updated_at = ?2, last_error = ?3 \
                     WHERE seq = ?1 AND {ACTIVE}"
                ))?
                .execute(params![seq, now, UNREADABLE])?;
            if set_aside > 0 {
                tell_unreadable(tx, seq, now)?;
            }
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// As `outbox::append_change` tells it, of what still reads.
fn tell_unreadable(tx: &Tx<'_>, seq: i64, now: UnixMs) -> Result<()> {
    let columns = ["tenant_id", "device_id", "id", "wa_id", "chat", "kind"].map(|name| format!("CAST({name} AS BLOB)"));
    let [tenant, device, id, wa_id, chat, kind] =
        tx.query_row(&format!("SELECT {} FROM messages_outbox WHERE seq = ?1", columns.join(", ")), [seq], |row| {
            let text = |at| row.get::<_, Vec<u8>>(at).map(|text| String::from_utf8_lossy(&text).into_owned());
            Ok([text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?])
        })?;
    // Without its tenant there is nobody to tell; the log has the row.
    let (Ok(tenant), Ok(device)) = (TenantId::parse(&tenant), DeviceId::parse(&device)) else { return Ok(()) };
    let data = json!({
        "id": id,
        "waMessageId": wa_id,
        "chat": chat,
        "type": kind,
        "status": Status::Failed,
        "timestamp": now / 1000,
        "error": UNREADABLE,
    });
    events::append(tx, &Event::new(tenant, Some(device), EventType::MessageUpdated, now, data))
}

fn put_back(tx: &Tx<'_>, device: &DeviceId, (id, attempt): (&MessageId, u32), now: UnixMs) -> Result<()> {
    let sql = "UPDATE messages_outbox SET status = 'queued', attempts = attempts - 1, updated_at = ?3 \
               WHERE device_id = ?1 AND id = ?2 AND status = 'sending' AND attempts = ?4";
    tx.prepare_cached(sql)?.execute(params![device.as_str(), id.as_str(), now, attempt])?;
    Ok(())
}

fn wait(
    tx: &Tx<'_>,
    device: &DeviceId,
    (id, attempt): (&MessageId, u32),
    (until, window): (UnixMs, SendKind),
    now: UnixMs,
) -> Result<()> {
    let sql = "UPDATE messages_outbox SET status = 'queued', attempts = attempts - 1, updated_at = ?3, next_at = ?5, \
               last_error = ?6 WHERE device_id = ?1 AND id = ?2 AND status = 'sending' AND attempts = ?4";
    tx.prepare_cached(sql)?.execute(params![device.as_str(), id.as_str(), now, attempt, until, window.waits()])?;
    Ok(())
}

/// What waits for room in a window may ask for it now: the limit is another one, or the window was emptied. It is known by a
/// reason to wait though it was never tried; one that was tried before asks at its time.
pub(super) fn ask_again(tx: &Tx<'_>, device: &DeviceId, now: UnixMs) -> Result<()> {
    let asking = tx
        .prepare_cached(&format!(
            "UPDATE messages_outbox INDEXED BY messages_outbox_lane SET next_at = ?2 WHERE device_id = ?1 \
             AND status = 'queued' AND next_at > ?2 AND attempts = 0 AND last_error IS NOT NULL AND {ACTIVE}"
        ))?
        .execute(params![device.as_str(), now])?;
    if asking > 0 {
        tx.wake_outbox(device);
    }
    Ok(())
}

fn allowance(conn: &Connection, device: &DeviceId) -> Result<Allowance> {
    let sql = "SELECT t.limits FROM devices AS d JOIN tenants AS t ON t.id = d.tenant_id WHERE d.id = ?1";
    let limits = conn.prepare_cached(sql)?.query_row([device.as_str()], |row| row.get(0)).optional()?;
    match tenants::limits(limits.flatten()) {
        Err(StoreError::Corrupt { .. }) => {
            tracing::error!(%device, "the limits of the device's tenant do not read; the gateway's own hold");
            Ok(Allowance::default())
        }
        read => read,
    }
}

/// At most `room` rows that may be sent now, and whether there may be more than were looked at.
fn due(conn: &Connection, device: &DeviceId, now: UnixMs, room: u32) -> Result<(Vec<i64>, bool)> {
    let sql = format!(
        "SELECT seq, chat FROM messages_outbox AS row INDEXED BY messages_outbox_lane \
         WHERE device_id = ?1 AND status = 'queued' AND next_at <= ?2 AND {ACTIVE} \
         AND NOT EXISTS (SELECT 1 FROM messages_outbox AS earlier INDEXED BY messages_outbox_chat \
             WHERE earlier.device_id = row.device_id AND earlier.chat = row.chat AND earlier.seq < row.seq \
             AND earlier.status IN ('pending', 'queued', 'sending') \
             AND (earlier.status <> 'queued' OR earlier.next_at > ?2)) \
         ORDER BY seq LIMIT ?3"
    );
    let looked_at = room.saturating_mul(LOOKED_AT_PER_TAKEN);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![device.as_str(), now, looked_at])?;
    let (mut due, mut of_chat, mut seen) = (Vec::new(), HashMap::<String, u32>::new(), 0);
    while let Some(row) = rows.next()? {
        seen += 1;
        let taken = of_chat.entry(row.get(1)?).or_default();
        if *taken < CLAIM_PER_CHAT_MAX && due.len() < room as usize {
            *taken += 1;
            due.push(row.get(0)?);
        }
    }
    Ok((due, seen == looked_at))
}

fn next_at(conn: &Connection, device: &DeviceId, now: UnixMs) -> Result<Option<UnixMs>> {
    let sql = format!(
        "SELECT min(next_at) FROM messages_outbox INDEXED BY messages_outbox_lane \
         WHERE device_id = ?1 AND status = 'queued' AND next_at > ?2 AND {ACTIVE}"
    );
    Ok(conn.prepare_cached(&sql)?.query_row(params![device.as_str(), now], |row| row.get(0))?)
}

fn settle(
    tx: &Tx<'_>,
    device: &DeviceId,
    (id, attempt): (&MessageId, u32),
    step: &Step,
    random: f64,
    now: UnixMs,
) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM messages_outbox WHERE device_id = ?1 AND id = ?2");
    let row = tx
        .prepare_cached(&sql)?
        .query_row(params![device.as_str(), id.as_str()], |row| Ok((row.get(0)?, read(row))))
        .optional()?;
    // It went with its device while it was on its way.
    let Some((seq, row)) = row else { return Ok(()) };
    let Some(row) = readable(tx, seq, row, now)? else { return Ok(()) };
    let to = match step {
        Step::Sent => Status::Sent,
        Step::Fail { .. } => Status::Failed,
        Step::Retry { .. } => Status::Queued,
    };
    // A receipt may have overtaken the acknowledgement: the message stays where it is, and what follows is done.
    if !row.status.moves_to(to) || (row.attempts != attempt && to != Status::Sent) {
        return Ok(());
    }
    let (error, next_at) = match step {
        Step::Sent => (None, now),
        Step::Fail { reason } => (Some(reason), now),
        Step::Retry { failures, reason } => {
            let wait = Backoff::SEND.wait(*failures, random).as_millis();
            (Some(reason), now.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)))
        }
    };
    tx.prepare_cached(
        "UPDATE messages_outbox SET status = ?2, last_error = ?3, next_at = ?4, updated_at = ?5, \
         sent_at = CASE WHEN ?2 = 'sent' THEN ?5 ELSE sent_at END WHERE seq = ?1",
    )?
    .execute(params![row.seq, to.as_str(), error, next_at, now])?;
    match step {
        Step::Sent => went_out(tx, &row, now),
        Step::Fail { reason } => {
            append_change(tx, &row, EventType::MessageUpdated, to, now, json!({ "error": reason }))
        }
        Step::Retry { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::allowance::Allowed;
    use crate::domain::outgoing::Content;
    use crate::store::world::World;

    const ANI: &str = "6281100000001@s.whatsapp.net";
    const BUDI: &str = "6281100000002@s.whatsapp.net";

    impl World {
        async fn text(&self, chat: &str, wa_id: &str) -> MessageId {
            let text =
                Content::Text { text: wa_id.into(), mentions: Vec::new(), quoted_message_id: None, link_preview: None };
            self.accepted(chat, wa_id, text).await
        }

        async fn turn(&self, ended: Vec<Ended>, room: u32) -> (Vec<String>, Turn) {
            let turn = self.store.turn_outbox(&self.lease, ended, room, Allowance::default()).await.expect("a turn");
            (turn.claimed.iter().map(|row| row.wa_id.clone()).collect(), turn)
        }
    }

    fn settled(id: &MessageId, step: Step) -> Ended {
        Ended::Settled { id: id.clone(), attempt: 1, step, random: 0.5 }
    }

    fn lost() -> Step {
        Step::Retry { failures: 1, reason: "the connection was lost".into() }
    }

    #[tokio::test]
    async fn what_ended_and_what_follows_it_are_one_turn() {
        let world = World::new().await;
        let first = world.text(ANI, "3EB0A1").await;
        assert_eq!(world.turn(Vec::new(), 8).await.0, ["3EB0A1"]);
        world.text(ANI, "3EB0A2").await;
        assert!(world.turn(Vec::new(), 8).await.0.is_empty(), "the first of the chat is in hand");

        let (claimed, _) = world.turn(vec![settled(&first, Step::Sent)], 8).await;

        assert_eq!(claimed, ["3EB0A2"]);
    }

    #[tokio::test]
    async fn a_chat_with_a_crowd_leaves_room_for_another() {
        let world = World::new().await;
        for n in 0..40 {
            world.text(ANI, &format!("3EB0A{n}")).await;
        }
        world.text(BUDI, "3EB0B0").await;

        let (claimed, turn) = world.turn(Vec::new(), 32).await;

        assert_eq!(claimed.len(), 17, "{claimed:?}");
        assert_eq!(claimed.last().map(String::as_str), Some("3EB0B0"));
        assert!(!turn.more);
        assert!(world.turn(Vec::new(), 8).await.1.claimed.is_empty(), "the rest of the chat waits for what is in hand");
    }

    #[tokio::test]
    async fn what_waits_behind_a_retry_is_not_due_until_then() {
        let world = World::new().await;
        let first = world.text(ANI, "3EB0A1").await;
        let second = world.text(ANI, "3EB0A2").await;
        assert_eq!(world.turn(Vec::new(), 8).await.0, ["3EB0A1", "3EB0A2"]);

        let (claimed, turn) =
            world.turn(vec![settled(&first, lost()), Ended::PutBack { id: second, attempt: 1 }], 8).await;

        assert!(claimed.is_empty(), "{claimed:?}");
        let next_at = turn.next_at.expect("the retry has its time");
        assert!(next_at > world.store.clock().now_ms(), "a time that is over would be asked for again and again");
        world.store.clock().set(next_at);
        assert_eq!(world.turn(Vec::new(), 8).await.0, ["3EB0A1", "3EB0A2"]);
    }

    fn waits(id: &MessageId, attempt: u32, until: UnixMs) -> Ended {
        Ended::Waits { id: id.clone(), attempt, until, window: SendKind::Text }
    }

    #[tokio::test]
    async fn what_waits_for_its_window_costs_no_attempt_and_holds_back_its_chat_alone() {
        let world = World::new().await;
        let first = world.text(ANI, "3EB0A1").await;
        world.text(ANI, "3EB0A2").await;
        assert_eq!(world.turn(Vec::new(), 1).await.0, ["3EB0A1"]);
        world.text(BUDI, "3EB0B1").await;
        let until = world.store.clock().now_ms() + 60_000;

        let (claimed, turn) = world.turn(vec![waits(&first, 1, until)], 8).await;

        assert_eq!((claimed, turn.next_at), (vec!["3EB0B1".to_owned()], Some(until)));
        let row = world.store.outgoing(&world.tenant, &world.lease.device, "3EB0A1").await.expect("a row");
        assert_eq!((row.status, row.attempts, row.next_at), (Status::Queued, 0, until));
        assert_eq!(row.last_error.as_deref(), Some("waits for room in the device's window text_per_minute"));
        world.store.clock().set(until);
        assert_eq!(world.turn(Vec::new(), 8).await.0, ["3EB0A1", "3EB0A2"]);
    }

    #[tokio::test]
    async fn another_limit_or_another_life_lets_what_waits_ask_again_and_no_retry_come_sooner() {
        let world = World::new().await;
        let (waiting, retried) = (world.text(ANI, "3EB0A1").await, world.text(BUDI, "3EB0B1").await);
        world.turn(Vec::new(), 8).await;
        let until = world.store.clock().now_ms() + 600_000;
        let (claimed, _) = world.turn(vec![waits(&waiting, 1, until), settled(&retried, lost())], 8).await;
        assert!(claimed.is_empty(), "{claimed:?}");

        let limits = "UPDATE tenants SET limits = '{\"text_per_minute\":{\"max\":7}}'";
        world.store.db.write(move |tx| Ok(tx.execute(limits, [])?)).await.expect("another limit");
        let (claimed, turn) = world.turn(Vec::new(), 8).await;

        assert_eq!(claimed, ["3EB0A1"]);
        let allowance = turn.allowance.expect("a turn that takes tells it");
        assert_eq!(allowance.text_per_minute, Some(Allowed::Max(7)));
        let known =
            async |ended| world.store.turn_outbox(&world.lease, ended, 8, allowance).await.expect("a turn").claimed;
        assert!(known(vec![waits(&waiting, 1, until)]).await.is_empty(), "the limits are as they were");
        world.store.requeue_claimed(&world.lease).await.expect("another life");
        assert_eq!(known(Vec::new()).await.len(), 1);
    }

    #[tokio::test]
    async fn limits_that_do_not_read_hold_nobody_up() {
        let world = World::new().await;
        world.text(ANI, "3EB0A1").await;
        let damage = world.store.db.write(|tx| Ok(tx.execute("UPDATE tenants SET limits = '{'", [])?));
        damage.await.expect("damaged");

        let (claimed, turn) = world.turn(Vec::new(), 8).await;

        assert_eq!((claimed, turn.allowance), (vec!["3EB0A1".to_owned()], Some(Allowance::default())));
    }

    #[tokio::test]
    async fn the_lane_of_an_earlier_connection_has_no_say_in_what_was_claimed_again() {
        let world = World::new().await;
        let (first, second) = (world.text(ANI, "3EB0A1").await, world.text(ANI, "3EB0A2").await);
        world.turn(Vec::new(), 8).await;
        world.store.requeue_claimed(&world.lease).await.expect("taken back");
        assert_eq!(world.turn(Vec::new(), 8).await.0, ["3EB0A1", "3EB0A2"]);

        let late = vec![settled(&first, lost()), Ended::PutBack { id: second, attempt: 1 }];
        assert!(world.turn(late, 8).await.0.is_empty(), "both are in hand");

        world.turn(vec![settled(&first, Step::Sent)], 0).await;
        let row = world.store.outgoing(&world.tenant, &world.lease.device, "3EB0A1").await.expect("a row");
        assert_eq!(row.status, Status::Sent, "that WhatsApp took it is true whoever says it");
    }

    async fn damaged(world: &World, wa_id: &str) {
        let sql = format!("UPDATE messages_outbox SET content = '{{' WHERE wa_id = '{wa_id}'");
        let damage = world.store.db.write(move |tx| Ok(tx.execute(&sql, [])?));
        assert_eq!(damage.await.expect("damaged"), 1);
    }

    #[tokio::test]
    async fn a_message_that_does_not_read_is_set_aside_and_told_and_the_next_one_goes() {
        let world = World::new().await;
        let first = world.text(ANI, "3EB0A1").await;
        world.text(ANI, "3EB0A2").await;
        damaged(&world, "3EB0A1").await;

        let (claimed, _) = world.turn(Vec::new(), 8).await;

        assert_eq!(claimed, ["3EB0A2"]);
        let told = world.told_of(EventType::MessageUpdated).await;
        let failed = json!({
            "id": first, "waMessageId": "3EB0A1", "chat": ANI, "type": "text", "status": "failed", "timestamp": 1,
            "error": "the stored message does not read"
        });
        assert_eq!(told, [failed]);
    }

    #[tokio::test]
    async fn a_message_that_was_sent_stays_sent_though_it_does_not_read_any_more() {
        let world = World::new().await;
        let first = world.text(ANI, "3EB0A1").await;
        world.turn(Vec::new(), 8).await;
        world.turn(vec![settled(&first, Step::Sent)], 8).await;
        damaged(&world, "3EB0A1").await;

        world.turn(vec![settled(&first, lost())], 8).await;

        let status = world
            .store
            .db
            .read(|conn| Ok(conn.query_row("SELECT status FROM messages_outbox", [], |row| row.get::<_, String>(0))?));
        assert_eq!(status.await.expect("a row"), "sent");
        assert!(world.told_of(EventType::MessageUpdated).await.is_empty());
    }
}
