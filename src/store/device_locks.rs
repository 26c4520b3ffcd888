//! Who drives a device: one lease per device, with an epoch that rises with every owner.
//!
//! A restarted process is the same instance and takes its own leases back at once; another instance waits for the
//! lease to run out. A write that depends on the lease checks it inside its transaction.

use super::{Result, Store, StoreError};
use crate::domain::ids::{DeviceId, TenantId};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::time::Duration;

/// How long a lease holds without being renewed.
pub const LEASE_TTL: Duration = Duration::from_secs(30);

/// The right to drive one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub device: DeviceId,
    pub epoch: i64,
    instance: Arc<str>,
}

impl Lease {
    /// Refuses when the device changed hands since.
    pub(super) fn check(&self, conn: &Connection) -> Result<()> {
        conn.prepare_cached("SELECT 1 FROM device_locks WHERE device_id = ?1 AND instance = ?2 AND epoch = ?3")?
            .query_row(params![self.device.as_str(), &*self.instance, self.epoch], |_| Ok(()))
            .optional()?
            .ok_or(StoreError::Fenced)
    }
}

impl Store {
    /// Takes the lease of a device. [`StoreError::Fenced`] while another instance holds it.
    pub async fn acquire_lease(&self, tenant: &TenantId, device: &DeviceId) -> Result<Lease> {
        let (tenant, device, instance) = (tenant.clone(), device.clone(), self.instance.clone());
        let (now, until) = self.lease_times();
        self.db
            .write(move |tx| {
                tx.prepare_cached("SELECT 1 FROM devices WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL")?
                    .query_row(params![tenant.as_str(), device.as_str()], |_| Ok(()))
                    .optional()?
                    .ok_or(StoreError::NotFound)?;
                let epoch = tx
                    .prepare_cached(
                        "INSERT INTO device_locks (device_id, instance, epoch, expires_at) VALUES (?1, ?2, 1, ?3) \
                         ON CONFLICT (device_id) DO UPDATE SET instance = excluded.instance, epoch = epoch + 1, \
                         expires_at = excluded.expires_at WHERE instance = excluded.instance OR expires_at <= ?4 \
                         RETURNING epoch",
                    )?
                    .query_row(params![device.as_str(), &*instance, until, now], |row| row.get(0))
                    .optional()?
                    .ok_or(StoreError::Fenced)?;
                Ok(Lease { device, epoch, instance })
            })
            .await
    }

    /// Keeps leases for another [`LEASE_TTL`]. Returns those that were lost meanwhile.
    pub async fn renew_leases(&self, leases: Vec<Lease>) -> Result<Vec<Lease>> {
        let (_, until) = self.lease_times();
        self.db
            .write(move |tx| {
                let mut lost = Vec::new();
                for lease in leases {
                    let renewed = tx
                        .prepare_cached(
                            "UPDATE device_locks SET expires_at = ?4 \
                             WHERE device_id = ?1 AND instance = ?2 AND epoch = ?3",
                        )?
                        .execute(params![lease.device.as_str(), &*lease.instance, lease.epoch, until])?;
                    if renewed == 0 {
                        lost.push(lease);
                    }
                }
                Ok(lost)
            })
            .await
    }

    /// Gives a lease back, so that another instance need not wait. The epoch stays.
    pub async fn release_lease(&self, lease: Lease) -> Result<()> {
        self.db
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE device_locks SET expires_at = 0 WHERE device_id = ?1 AND instance = ?2 AND epoch = ?3",
                )?
                .execute(params![lease.device.as_str(), &*lease.instance, lease.epoch])?;
                Ok(())
            })
            .await
    }

    fn lease_times(&self) -> (i64, i64) {
        let now = self.clock.now_ms();
        (now, now + i64::try_from(LEASE_TTL.as_millis()).unwrap_or(i64::MAX))
    }
}
