//! Devices: what the owner wants of them and what was observed.

use super::{Lease, Result, Store, StoreError, Topic, Tx, chats, events};
use crate::domain::chat::is_lid;
use crate::domain::clock::UnixMs;
use crate::domain::device::{DEVICES_PER_TENANT_MAX, Desired, Observed};
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, TenantId};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

#[derive(Debug, Clone)]
pub struct DeviceRow {
    pub id: DeviceId,
    pub tenant: TenantId,
    pub slug: Option<String>,
    pub managed_by: String,
    pub label: String,
    pub desired: Desired,
    pub observed: Observed,
    /// Connected, but proof of life is missing.
    pub degraded: bool,
    pub linked: bool,
    pub phone_number: Option<String>,
    pub wa_jid: Option<String>,
    pub wa_lid: Option<String>,
    pub wa_name: Option<String>,
    pub last_error: Option<String>,
    pub reconnect_attempts: u32,
    pub last_connect_at: Option<UnixMs>,
    pub last_disconnect_at: Option<UnixMs>,
    pub last_seen: Option<UnixMs>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// Who a device turned out to be, once paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub phone_number: Option<String>,
    pub jid: Option<String>,
    pub lid: Option<String>,
    pub name: Option<String>,
}

const COUNT: &str = "SELECT count(*) FROM devices WHERE tenant_id = ?1 AND deleted_at IS NULL";
pub(super) const COLUMNS: &str = "id, tenant_id, slug, managed_by, label, desired, observed, degraded, linked, phone_number, \
                       wa_jid, wa_lid, wa_name, last_error, reconnect_attempts, last_connect_at, last_disconnect_at, \
                       last_seen, created_at, updated_at";

/// The new observation and why; the row, the event and the times follow from it.
#[derive(Debug, Clone)]
pub struct Observation {
    pub status: Observed,
    /// For people: what went wrong, when something did.
    pub error: Option<String>,
    pub reconnect_attempts: u32,
}

impl Store {
    /// Refused beyond [`DEVICES_PER_TENANT_MAX`] devices of a tenant.
    pub async fn create_device(&self, tenant: &TenantId, label: &str) -> Result<DeviceRow> {
        let (tenant, label, now) = (tenant.clone(), label.to_owned(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let id = DeviceId::generate();
                tx.prepare_cached("SELECT 1 FROM tenants WHERE id = ?1 AND status <> 'deleted'")?
                    .query_row([tenant.as_str()], |_| Ok(()))
                    .optional()?
                    .ok_or(StoreError::NotFound)?;
                let count: u32 = tx.prepare_cached(COUNT)?.query_row([tenant.as_str()], |row| row.get(0))?;
                if count >= DEVICES_PER_TENANT_MAX {
                    return Err(StoreError::Conflict(
                        "the tenant has as many devices as are allowed, 1,000; delete one",
                    ));
                }
                insert(tx, &tenant, &id, &label, now)?;
                find(tx, &tenant, &id)?.ok_or(StoreError::NotFound)
            })
            .await
    }

    /// A device by its id or its slug.
    pub async fn device_by_name(&self, tenant: &TenantId, name: &str) -> Result<DeviceRow> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.db
            .read(move |conn| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM devices WHERE tenant_id = ?1 AND (id = ?2 OR slug = ?2) AND deleted_at IS NULL"
                );
                conn.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), name], |row| Ok(read(row)))
                    .optional()?
                    .ok_or(StoreError::NotFound)?
            })
            .await
    }

    pub async fn device(&self, tenant: &TenantId, device: &DeviceId) -> Result<DeviceRow> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db.read(move |conn| find(conn, &tenant, &device)?.ok_or(StoreError::NotFound)).await
    }

    /// A page of a tenant's devices, newest first, and how many there are.
    pub async fn devices(&self, tenant: &TenantId, limit: u32, offset: u32) -> Result<(Vec<DeviceRow>, u64)> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let total = conn.prepare_cached(COUNT)?.query_row([tenant.as_str()], |row| row.get(0))?;
                let sql = format!(
                    "SELECT {COLUMNS} FROM devices WHERE tenant_id = ?1 AND deleted_at IS NULL \
                     ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), limit, offset], |row| Ok(read(row)))?;
                let devices = rows.map(|row| row?).collect::<Result<Vec<_>>>()?;
                Ok((devices, total))
            })
            .await
    }

    /// A page of a tenant's devices that have a session, newest first.
    pub async fn linked_devices(&self, tenant: &TenantId, limit: u32, offset: u32) -> Result<Vec<DeviceRow>> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM devices WHERE tenant_id = ?1 AND deleted_at IS NULL AND linked = 1 \
                     ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), limit, offset], |row| Ok(read(row)))?;
                rows.map(|row| row?).collect()
            })
            .await
    }

    /// Records what the owner wants. Idempotent.
    pub async fn set_desired(&self, tenant: &TenantId, device: &DeviceId, desired: Desired) -> Result<()> {
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let changed = tx
                    .prepare_cached(
                        "UPDATE devices SET desired = ?3, updated_at = ?4 \
                         WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
                    )?
                    .execute(params![tenant.as_str(), device.as_str(), desired.as_str(), now])?;
                tx.wake(Topic::Devices);
                if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
            })
            .await
    }

    /// Records what was observed, with the event a change of status calls for.
    pub async fn observe_device(&self, tenant: &TenantId, device: &DeviceId, seen: Observation) -> Result<()> {
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db.write(move |tx| observe(tx, &tenant, &device, &seen, now)).await
    }

    /// Marks a device linked and records who it is. With another account than before, the chats of that one are the device's no
    /// more from this commit on. Refused once another instance owns the device.
    pub async fn link_device(&self, tenant: &TenantId, lease: &Lease, link: Link) -> Result<()> {
        let (tenant, lease, now) = (tenant.clone(), lease.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                lease.check(tx)?;
                let before = find(tx, &tenant, &lease.device)?.ok_or(StoreError::NotFound)?.wa_jid;
                // A lid alone says nothing of whose it is.
                let before = before.filter(|before| !is_lid(before));
                if link.jid.as_ref().zip(before.as_ref()).is_some_and(|(now, before)| now != before) {
                    chats::leave(tx, &lease.device, now)?;
                }
                tx.prepare_cached(
                    "UPDATE devices SET linked = 1, phone_number = coalesce(?3, phone_number), \
                     wa_jid = coalesce(?4, wa_jid), wa_lid = coalesce(?5, wa_lid), wa_name = coalesce(?6, wa_name), \
                     updated_at = ?7 WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
                )?
                .execute(params![
                    tenant.as_str(),
                    lease.device.as_str(),
                    link.phone_number,
                    link.jid,
                    link.lid,
                    link.name,
                    now
                ])?;
                tx.wake(Topic::Devices);
                Ok(())
            })
            .await
    }

    /// Destroys a device's session and records that it needs pairing. The device itself stays.
    pub async fn unlink_device(&self, tenant: &TenantId, device: &DeviceId, seen: Observation) -> Result<()> {
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                forget_session(tx, &tenant, &device)?;
                observe(tx, &tenant, &device, &seen, now)
            })
            .await
    }

    /// Removes a device: its session is destroyed, its waiting messages fail, its row stays for the audit's sake.
    pub async fn delete_device(&self, tenant: &TenantId, device: &DeviceId) -> Result<()> {
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db.write(move |tx| delete(tx, &tenant, &device, now)).await
    }

    /// Whether a session record exists: it can log in without a new pairing.
    pub async fn has_session(&self, tenant: &TenantId, device: &DeviceId) -> Result<bool> {
        Ok(self.device(tenant, device).await?.linked)
    }

    /// Sets or clears the flag beside a connected status, with the event a change calls for.
    pub async fn set_degraded(&self, tenant: &TenantId, device: &DeviceId, degraded: bool, reason: &str) -> Result<()> {
        let (tenant, device, reason, now) = (tenant.clone(), device.clone(), reason.to_owned(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let changed = tx
                    .prepare_cached(
                        "UPDATE devices SET degraded = ?3, updated_at = ?4 \
                         WHERE tenant_id = ?1 AND id = ?2 AND degraded <> ?3",
                    )?
                    .execute(params![tenant.as_str(), device.as_str(), degraded, now])?;
                if changed > 0 {
                    let type_ = if degraded { EventType::DeviceDegraded } else { EventType::DeviceRecovered };
                    let data = json!({ "deviceId": device, "reason": reason });
                    events::append(tx, &Event::new(tenant, Some(device), type_, now, data))?;
                    tx.wake(Topic::Devices);
                }
                Ok(())
            })
            .await
    }
}

fn observe(tx: &Tx<'_>, tenant: &TenantId, device: &DeviceId, seen: &Observation, now: UnixMs) -> Result<()> {
    let before = find(tx, tenant, device)?.ok_or(StoreError::NotFound)?;
    let connects = seen.status == Observed::Connected && before.observed != Observed::Connected;
    let disconnects = seen.status != Observed::Connected && before.observed == Observed::Connected;
    tx.prepare_cached(
        "UPDATE devices SET observed = ?3, last_error = ?4, reconnect_attempts = ?5, updated_at = ?6, \
         degraded = CASE WHEN ?3 = 'connected' THEN degraded ELSE 0 END, \
         last_connect_at = CASE WHEN ?7 THEN ?6 ELSE last_connect_at END, \
         last_disconnect_at = CASE WHEN ?8 THEN ?6 ELSE last_disconnect_at END, \
         last_seen = CASE WHEN ?7 OR ?8 THEN ?6 ELSE last_seen END \
         WHERE tenant_id = ?1 AND id = ?2",
    )?
    .execute(params![
        tenant.as_str(),
        device.as_str(),
        seen.status.as_str(),
        seen.error,
        seen.reconnect_attempts,
        now,
        connects,
        disconnects
    ])?;
    tx.wake(Topic::Devices);
    if let Some(type_) = event_of(before.observed, seen.status) {
        let data = json!({
            "deviceId": device,
            "status": seen.status,
            "reason": seen.error,
            "phoneNumber": before.phone_number,
        });
        events::append(tx, &Event::new(tenant.clone(), Some(device.clone()), type_, now, data))?;
    }
    Ok(())
}

/// A status that stays the same, or only passes through connecting, is no news.
fn event_of(before: Observed, after: Observed) -> Option<EventType> {
    match after {
        _ if before == after => None,
        Observed::Connected => Some(EventType::DeviceConnected),
        Observed::Pairing => Some(EventType::DevicePairing),
        Observed::NeedsPairing => Some(EventType::DeviceNeedsPairing),
        // Also one that failed while it was connecting: nobody tries any more.
        Observed::Failed => Some(EventType::DeviceDisconnected),
        _ if before == Observed::Connected => Some(EventType::DeviceDisconnected),
        Observed::Disconnected | Observed::Connecting => None,
    }
}

/// A new device, stopped and not linked.
pub(super) fn insert(tx: &Tx<'_>, tenant: &TenantId, id: &DeviceId, label: &str, now: UnixMs) -> Result<()> {
    let salt: [u8; 32] = rand::random();
    tx.execute(
        "INSERT INTO devices (id, tenant_id, label, desired, observed, salt, created_at, updated_at) \
         VALUES (?1, ?2, ?3, 'stopped', 'disconnected', ?4, ?5, ?5)",
        params![id.as_str(), tenant.as_str(), label, salt, now],
    )?;
    tx.wake(Topic::Devices);
    Ok(())
}

pub(super) fn delete(tx: &Tx<'_>, tenant: &TenantId, device: &DeviceId, now: UnixMs) -> Result<()> {
    forget_session(tx, tenant, device)?;
    let changed = tx.execute(
        "UPDATE devices SET deleted_at = ?3, updated_at = ?3, desired = 'stopped', observed = 'disconnected', \
         slug = NULL, phone_number = NULL, wa_jid = NULL, wa_lid = NULL, wa_name = NULL, last_error = NULL WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
        params![tenant.as_str(), device.as_str(), now],
    )?;
    if changed == 0 {
        return Err(StoreError::NotFound);
    }
    // Whoever drives it writes nothing more.
    tx.execute("DELETE FROM device_locks WHERE device_id = ?1", [device.as_str()])?;
    tx.execute(
        "UPDATE messages_outbox SET status = 'failed', last_error = 'the device was deleted', updated_at = ?3 \
         WHERE tenant_id = ?1 AND device_id = ?2 AND status IN ('pending', 'queued', 'sending')",
        params![tenant.as_str(), device.as_str(), now],
    )?;
    tx.wake(Topic::Devices);
    tx.wake(Topic::Deleted);
    tx.wake_log(tenant);
    Ok(())
}

/// Session rows go; the salt changes, so that not even a copied row could be opened again.
fn forget_session(tx: &Tx<'_>, tenant: &TenantId, device: &DeviceId) -> Result<()> {
    find(tx, tenant, device)?.ok_or(StoreError::NotFound)?;
    let salt: [u8; 32] = rand::random();
    tx.execute("DELETE FROM device_sessions WHERE device_id = ?1", [device.as_str()])?;
    tx.execute(
        "UPDATE devices SET linked = 0, salt = ?3 WHERE tenant_id = ?1 AND id = ?2",
        params![tenant.as_str(), device.as_str(), salt],
    )?;
    Ok(())
}

pub(super) fn find(conn: &rusqlite::Connection, tenant: &TenantId, device: &DeviceId) -> Result<Option<DeviceRow>> {
    let sql = format!("SELECT {COLUMNS} FROM devices WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL");
    conn.prepare_cached(&sql)?
        .query_row(params![tenant.as_str(), device.as_str()], |row| Ok(read(row)))
        .optional()?
        .transpose()
}

pub(super) fn read(row: &Row<'_>) -> Result<DeviceRow> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a device row" };
    Ok(DeviceRow {
        id: DeviceId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
        tenant: TenantId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
        slug: row.get(2)?,
        managed_by: row.get(3)?,
        label: row.get(4)?,
        desired: Desired::parse(&row.get::<_, String>(5)?).ok_or(CORRUPT)?,
        observed: Observed::parse(&row.get::<_, String>(6)?).ok_or(CORRUPT)?,
        degraded: row.get(7)?,
        linked: row.get(8)?,
        phone_number: row.get(9)?,
        wa_jid: row.get(10)?,
        wa_lid: row.get(11)?,
        wa_name: row.get(12)?,
        last_error: row.get(13)?,
        reconnect_attempts: row.get(14)?,
        last_connect_at: row.get(15)?,
        last_disconnect_at: row.get(16)?,
        last_seen: row.get(17)?,
        created_at: row.get(18)?,
        updated_at: row.get(19)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::world::World;

    #[test]
    fn a_device_that_fails_is_told_also_when_it_failed_while_it_was_connecting() {
        for (before, after, told) in [
            (Observed::Connecting, Observed::Failed, Some(EventType::DeviceDisconnected)),
            (Observed::Connected, Observed::Failed, Some(EventType::DeviceDisconnected)),
            (Observed::Failed, Observed::Failed, None),
            (Observed::Connected, Observed::Disconnected, Some(EventType::DeviceDisconnected)),
            (Observed::Connecting, Observed::Disconnected, None),
            (Observed::Disconnected, Observed::Connecting, None),
            (Observed::Connecting, Observed::Connected, Some(EventType::DeviceConnected)),
        ] {
            assert_eq!(event_of(before, after), told, "{before:?} {after:?}");
        }
    }

    #[tokio::test]
    async fn one_device_more_than_a_tenant_may_have_is_refused_until_another_is_deleted() {
        let world = World::new().await;
        let create = || world.store.create_device(&world.tenant, "one of many");
        // The world has one already.
        let made = futures_util::future::join_all((1..DEVICES_PER_TENANT_MAX).map(|_| create())).await;
        assert!(made.iter().all(Result::is_ok));

        let refused = create().await;

        assert!(matches!(refused, Err(StoreError::Conflict(why)) if why.contains("devices")), "{refused:?}");
        world.store.delete_device(&world.tenant, &world.lease.device).await.expect("deleted");
        assert!(create().await.is_ok());
    }
}
