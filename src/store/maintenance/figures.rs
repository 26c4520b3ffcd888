//! What an operator asks of the whole store: what waits, what was sent, what a tenant uses. Nothing here is asked in a loop,
//! and what follows time is cut out by the order of the rows, so that no index has to be kept for it.

use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use crate::store::{Result, Store, StoreError, devices};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use std::collections::BTreeMap;

/// What waits, and how large the store is.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    /// Devices by their status.
    pub devices: BTreeMap<String, u64>,
    /// Messages that are on their way out.
    pub outbox: u64,
    /// Messages and events that wait to be processed.
    pub inbox: u64,
    /// Webhook deliveries that are on their way.
    pub deliveries: u64,
    pub dead_letters: u64,
    /// Bytes of the database file's pages.
    pub database_bytes: u64,
}

/// Messages of a span of time.
#[derive(Debug, Clone, Default)]
pub struct MessageFigures {
    /// Accepted, by their status now.
    pub by_status: BTreeMap<String, u64>,
    /// Accepted, by their kind.
    pub by_kind: BTreeMap<String, u64>,
    pub received: u64,
}

/// What a tenant has.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    pub devices: u64,
    pub linked_devices: u64,
    pub webhooks: u64,
    pub keys: u64,
    pub plugins: u64,
    pub templates: u64,
    pub outbox: u64,
    pub deliveries: u64,
    pub dead_letters: u64,
    /// Of what its plugins keep.
    pub plugin_bytes: u64,
}

/// A span of time; without an end it goes on.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub since: UnixMs,
    pub until: Option<UnixMs>,
}

impl Store {
    /// A page of the devices of all tenants, or of one, newest first, and how many there are.
    pub async fn devices_of_all(
        &self,
        tenant: Option<TenantId>,
        status: Option<String>,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<devices::DeviceRow>, u64)> {
        self.db
            .read(move |conn| {
                let mut from = String::from("FROM devices WHERE deleted_at IS NULL");
                let mut values: Vec<rusqlite::types::Value> = Vec::new();
                let tenant = tenant.map(|id| id.as_str().to_owned());
                for (condition, value) in [("tenant_id = ?", tenant), ("observed = ?", status)] {
                    if let Some(value) = value {
                        from.push_str(&format!(" AND {condition}"));
                        values.push(value.into());
                    }
                }
                let total = conn
                    .prepare_cached(&format!("SELECT count(*) {from}"))?
                    .query_row(params_from_iter(&values), |row| row.get(0))?;
                let columns = devices::COLUMNS;
                let sql = format!("SELECT {columns} {from} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?");
                values.extend([i64::from(limit).into(), i64::from(offset).into()]);
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(&values), |row| Ok(devices::read(row)))?;
                Ok((rows.map(|row| row?).collect::<Result<_>>()?, total))
            })
            .await
    }

    pub async fn backlog(&self) -> Result<Backlog> {
        self.db
            .read(|conn| {
                let count = |sql: &str| -> Result<u64> { Ok(conn.query_row(sql, [], |row| row.get(0))?) };
                Ok(Backlog {
                    devices: counted(
                        conn,
                        "SELECT observed, count(*) FROM devices WHERE deleted_at IS NULL GROUP BY observed",
                        &[],
                    )?,
                    outbox: count(
                        "SELECT count(*) FROM messages_outbox WHERE status IN ('pending', 'queued', 'sending')",
                    )?,
                    inbox: count("SELECT count(*) FROM messages_inbox WHERE processed = 0")?,
                    deliveries: count("SELECT count(*) FROM webhook_deliveries WHERE status IN ('due', 'sending')")?,
                    dead_letters: count("SELECT count(*) FROM dlq")?,
                    database_bytes: count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?,
                })
            })
            .await
    }

    /// Of all tenants, or of one.
    pub async fn message_figures(&self, tenant: Option<TenantId>, span: Span) -> Result<MessageFigures> {
        self.db
            .read(move |conn| {
                let tenant = tenant.as_ref().map(TenantId::as_str);
                let within = |table: &str, time: &str| -> Result<(i64, i64)> {
                    let first = first_seq(conn, table, time, span.since)?;
                    let end = span.until.map(|until| first_seq(conn, table, time, until.saturating_add(1)));
                    Ok((first, end.transpose()?.unwrap_or(i64::MAX)))
                };
                let (first, end) = within("messages_outbox", "created_at")?;
                let of_outbox = |column: &str| {
                    let sql = format!(
                        "SELECT {column}, count(*) FROM messages_outbox WHERE seq >= ?1 AND seq < ?2 \
                         AND (?3 IS NULL OR tenant_id = ?3) GROUP BY {column}"
                    );
                    counted(conn, &sql, params![first, end, tenant])
                };
                let (by_status, by_kind) = (of_outbox("status")?, of_outbox("kind")?);
                let (first, end) = within("messages_inbox", "received_at")?;
                let received = conn
                    .prepare_cached(
                        "SELECT count(*) FROM messages_inbox WHERE seq >= ?1 AND seq < ?2 AND kind = 0 \
                         AND processed <> 3 AND (?3 IS NULL OR tenant_id = ?3)",
                    )?
                    .query_row(params![first, end, tenant], |row| row.get(0))?;
                Ok(MessageFigures { by_status, by_kind, received })
            })
            .await
    }

    pub async fn holdings(&self, tenant: &TenantId) -> Result<Holdings> {
        let (tenant, now) = (tenant.clone(), self.clock.now_ms());
        self.db
            .read(move |conn| {
                let count = |of: &str| -> Result<u64> {
                    let sql = format!("SELECT {of} AND tenant_id = ?1");
                    Ok(conn.prepare_cached(&sql)?.query_row([tenant.as_str()], |row| row.get(0))?)
                };
                Ok(Holdings {
                    devices: count("count(*) FROM devices WHERE deleted_at IS NULL")?,
                    linked_devices: count("count(*) FROM devices WHERE deleted_at IS NULL AND linked = 1")?,
                    webhooks: count("count(*) FROM webhooks WHERE deleted_at IS NULL")?,
                    keys: count(&format!("count(*) FROM api_keys WHERE revoked_at IS NULL AND expires_at > {now}"))?,
                    plugins: count("count(*) FROM plugins WHERE 1 = 1")?,
                    templates: count("count(*) FROM templates WHERE 1 = 1")?,
                    outbox: count("count(*) FROM messages_outbox WHERE status IN ('pending', 'queued', 'sending')")?,
                    deliveries: count("count(*) FROM webhook_deliveries WHERE status IN ('due', 'sending')")?,
                    dead_letters: count("count(*) FROM dlq WHERE 1 = 1")?,
                    plugin_bytes: count("coalesce(sum(bytes), 0) FROM plugin_kv_use WHERE 1 = 1")?,
                })
            })
            .await
    }
}

fn counted(conn: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<BTreeMap<String, u64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The first row that is not before `at`, in a table whose rows follow time: by halves, for want of an index.
pub(super) fn first_seq(conn: &Connection, table: &str, time: &str, at: UnixMs) -> Result<i64> {
    let last: Option<i64> = conn.query_row(&format!("SELECT max(seq) FROM {table}"), [], |row| row.get(0))?;
    let mut statement =
        conn.prepare_cached(&format!("SELECT seq, {time} FROM {table} WHERE seq >= ?1 ORDER BY seq LIMIT 1"))?;
    let (mut low, mut high) =
        (1, last.unwrap_or(0).checked_add(1).ok_or(StoreError::Corrupt { what: "a row's number" })?);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, UnixMs)> =
            statement.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((seq, time)) if time < at => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_of_a_time_is_found_also_between_gaps() {
        let conn = Connection::open_in_memory().expect("in memory");
        conn.execute_batch("CREATE TABLE t (seq INTEGER PRIMARY KEY, at INTEGER)").expect("a table");
        assert_eq!(first_seq(&conn, "t", "at", 5).expect("an empty table"), 1);
        for (seq, at) in [(3, 10), (4, 10), (9, 20), (40, 30)] {
            conn.execute("INSERT INTO t VALUES (?1, ?2)", [seq, at]).expect("a row");
        }
        let reached = |at: i64| {
            let first = first_seq(&conn, "t", "at", at).expect("a row's number");
            conn.query_row("SELECT min(seq) FROM t WHERE seq >= ?1", [first], |row| row.get::<_, Option<i64>>(0))
                .expect("a count")
        };
        for (at, expected) in [(0, Some(3)), (10, Some(3)), (11, Some(9)), (20, Some(9)), (30, Some(40)), (31, None)] {
            assert_eq!(reached(at), expected, "{at}");
        }
    }
}
