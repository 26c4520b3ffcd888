//! The operations that look across tenants: what the gateway's own loops need. No request of a tenant ends up here.

use super::{InboxRow, Result, Store, StoreError, Waiting};
use crate::domain::device::{Desired, Observed};
use crate::domain::ids::{DeviceId, TenantId};
use rusqlite::{Row, params};

/// A device as a starting gateway finds it.
#[derive(Debug, Clone)]
pub struct ResumableDevice {
    pub tenant: TenantId,
    pub device: DeviceId,
    pub desired: Desired,
    pub observed: Observed,
    pub linked: bool,
}

/// Counts for the gauges, read once at start and kept by increments afterwards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub tenants_active: u64,
    pub devices: u64,
    pub webhooks: u64,
}

impl Store {
    /// Inbound messages that nobody has processed yet, in the order of arrival.
    pub async fn unprocessed_inbound(&self, limit: u32) -> Result<Vec<Waiting>> {
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT seq, tenant_id, device_id, envelope, message, received_at FROM messages_inbox \
                     WHERE processed = 0 ORDER BY seq LIMIT ?1",
                )?;
                let mut rows = statement.query([limit])?;
                let mut waiting = Vec::new();
                while let Some(row) = rows.next()? {
                    let seq = row.get(0)?;
                    waiting.push(inbound(seq, row).map_or(Waiting::Unreadable(seq), Waiting::Message));
                }
                Ok(waiting)
            })
            .await
    }

    /// Every device of an active tenant.
    pub async fn all_devices(&self) -> Result<Vec<ResumableDevice>> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "a device row" };
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT d.tenant_id, d.id, d.desired, d.observed, d.linked FROM devices AS d \
                     JOIN tenants AS t ON t.id = d.tenant_id \
                     WHERE d.deleted_at IS NULL AND t.status = 'active' ORDER BY d.created_at",
                )?;
                let mut rows = statement.query([])?;
                let mut devices = Vec::new();
                while let Some(row) = rows.next()? {
                    devices.push(ResumableDevice {
                        tenant: TenantId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
                        device: DeviceId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
                        desired: Desired::parse(&row.get::<_, String>(2)?).ok_or(CORRUPT)?,
                        observed: Observed::parse(&row.get::<_, String>(3)?).ok_or(CORRUPT)?,
                        linked: row.get(4)?,
                    });
                }
                Ok(devices)
            })
            .await
    }

    pub async fn totals(&self) -> Result<Totals> {
        self.db
            .read(|conn| {
                Ok(conn.query_row(
                    "SELECT (SELECT count(*) FROM tenants WHERE status = 'active'), \
                     (SELECT count(*) FROM devices WHERE deleted_at IS NULL), \
                     (SELECT count(*) FROM webhooks WHERE deleted_at IS NULL)",
                    [],
                    |row| Ok(Totals { tenants_active: row.get(0)?, devices: row.get(1)?, webhooks: row.get(2)? }),
                )?)
            })
            .await
    }

    /// Forgets idempotency keys written before `before_ms`; returns how many.
    pub async fn forget_idempotency_keys(&self, before_ms: i64) -> Result<usize> {
        self.db
            .write(move |tx| Ok(tx.execute("DELETE FROM idempotency_keys WHERE created_at < ?1", params![before_ms])?))
            .await
    }
}

/// `None` for a row that does not read back as what was written.
fn inbound(seq: i64, row: &Row<'_>) -> Option<InboxRow> {
    Some(InboxRow {
        seq,
        tenant: TenantId::parse(&row.get::<_, String>(1).ok()?).ok()?,
        device: DeviceId::parse(&row.get::<_, String>(2).ok()?).ok()?,
        envelope: serde_json::from_str(&row.get::<_, String>(3).ok()?).ok()?,
        message: row.get(4).ok()?,
        received_at: row.get(5).ok()?,
    })
}
