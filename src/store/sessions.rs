//! A device's session: records of the protocol, sealed one by one, looked up by HMAC.
//!
//! Called only by the WhatsApp backend of a device that holds the lease: every write names the lease's epoch and is
//! refused once another owner took over. A value is bound to its device, kind and key, so rows cannot be swapped.

use super::device_locks::Lease;
use super::{Result, Store, StoreError, Tx};
use crate::domain::ids::{DeviceId, TenantId};
use crate::vault::DeviceVault;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// What a record is. The numbers are on disk: append, never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionKind {
    Device = 1,
    Identity = 2,
    Session = 3,
    PreKey = 4,
    SignedPreKey = 5,
    SenderKey = 6,
    SyncKey = 7,
    SyncVersion = 8,
    MutationMac = 9,
    SenderKeyDevice = 10,
    LidMapping = 11,
    PnMapping = 12,
    BaseKey = 13,
    DeviceList = 14,
    GroupMetadata = 15,
    TcToken = 16,
    SentMessage = 17,
    PendingInbound = 18,
    MessageSecret = 19,
}

/// One change. A call's changes are one transaction, applied in order.
#[derive(Debug, Clone)]
pub enum SessionWrite {
    Put {
        kind: SessionKind,
        key: Vec<u8>,
        scope: Option<Vec<u8>>,
        number: i64,
        /// Unix seconds; `None` keeps the record.
        expires_at: Option<i64>,
        value: Vec<u8>,
    },
    Delete {
        kind: SessionKind,
        key: Vec<u8>,
    },
    DeleteScope {
        kind: SessionKind,
        scope: Vec<u8>,
    },
    DeleteKind {
        kind: SessionKind,
    },
}

impl SessionWrite {
    pub fn put(kind: SessionKind, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { kind, key: key.into(), scope: None, number: 0, expires_at: None, value: value.into() }
    }

    pub fn delete(kind: SessionKind, key: impl Into<Vec<u8>>) -> Self {
        Self::Delete { kind, key: key.into() }
    }
}

/// A record as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: Vec<u8>,
    pub number: i64,
    pub expires_at: Option<i64>,
    pub value: Vec<u8>,
}

/// The session of one device, under one lease. Cheap to clone.
#[derive(Clone)]
pub struct SessionVault {
    store: Store,
    device: DeviceId,
    lease: Lease,
    keys: Arc<DeviceVault>,
}

const CORRUPT: StoreError = StoreError::Corrupt { what: "a session record" };

type SealedRow = (Vec<u8>, i64, Option<i64>, Vec<u8>);

impl Store {
    /// Opens the session of a device this process holds `lease` on.
    pub async fn session_vault(&self, tenant: &TenantId, device: &DeviceId, lease: Lease) -> Result<SessionVault> {
        let (tenant, id) = (tenant.clone(), device.clone());
        let salt: Vec<u8> = self
            .db
            .read(move |conn| {
                conn.prepare_cached("SELECT salt FROM devices WHERE tenant_id = ?1 AND id = ?2")?
                    .query_row(params![tenant.as_str(), id.as_str()], |row| row.get(0))
                    .optional()?
                    .ok_or(StoreError::NotFound)
            })
            .await?;
        let salt: [u8; 32] = salt.try_into().map_err(|_| StoreError::Corrupt { what: "a device's salt" })?;
        let keys = Arc::new(self.vault.device_keys(&salt));
        Ok(SessionVault { store: self.clone(), device: device.clone(), lease, keys })
    }
}

impl SessionVault {
    pub fn now_s(&self) -> i64 {
        self.store.clock.now_s()
    }

    pub async fn get(&self, kind: SessionKind, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let (device, index) = (self.device.clone(), self.index(kind, key));
        let row = self.store.db.read(move |conn| select(conn, &device, kind, &index)).await?;
        row.map(|row| self.open(kind, row).map(|record| record.value)).transpose()
    }

    pub async fn get_record(&self, kind: SessionKind, key: &[u8]) -> Result<Option<Record>> {
        let (device, index) = (self.device.clone(), self.index(kind, key));
        let row = self.store.db.read(move |conn| select(conn, &device, kind, &index)).await?;
        row.map(|row| self.open(kind, row)).transpose()
    }

    /// The records that exist among `keys`, in no particular order.
    pub async fn get_many(&self, kind: SessionKind, keys: &[Vec<u8>]) -> Result<Vec<Record>> {
        let device = self.device.clone();
        let indexes: Vec<[u8; 16]> = keys.iter().map(|key| self.index(kind, key)).collect();
        let rows = self
            .store
            .db
            .read(move |conn| {
                let mut rows = Vec::with_capacity(indexes.len());
                for index in &indexes {
                    rows.extend(select(conn, &device, kind, index)?);
                }
                Ok(rows)
            })
            .await?;
        rows.into_iter().map(|row| self.open(kind, row)).collect()
    }

    /// Every record of a kind; within `scope` when given.
    pub async fn list(&self, kind: SessionKind, scope: Option<&[u8]>) -> Result<Vec<Record>> {
        let (device, scope) = (self.device.clone(), scope.map(|s| self.index(kind, s)));
        let rows: Vec<SealedRow> = self
            .store
            .db
            .read(move |conn| {
                let sql = match scope {
                    None => {
                        "SELECT key, number, expires_at, value FROM device_sessions \
                             WHERE device_id = ?1 AND kind = ?2 AND ?3 IS NULL ORDER BY number"
                    }
                    Some(_) => {
                        "SELECT key, number, expires_at, value FROM device_sessions \
                                WHERE device_id = ?1 AND kind = ?2 AND scope = ?3 ORDER BY number"
                    }
                };
                let mut statement = conn.prepare_cached(sql)?;
                let rows = statement.query_map(params![device.as_str(), kind as u8, scope], read_row)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await?;
        rows.into_iter().map(|row| self.open(kind, row)).collect()
    }

    /// The record of a kind with the highest number.
    pub async fn newest(&self, kind: SessionKind) -> Result<Option<Record>> {
        let device = self.device.clone();
        let row = self
            .store
            .db
            .read(move |conn| {
                Ok(conn
                    .prepare_cached(
                        "SELECT key, number, expires_at, value FROM device_sessions \
                         WHERE device_id = ?1 AND kind = ?2 ORDER BY number DESC LIMIT 1",
                    )?
                    .query_row(params![device.as_str(), kind as u8], read_row)
                    .optional()?)
            })
            .await?;
        row.map(|row| self.open(kind, row)).transpose()
    }

    /// All of it or nothing, on disk when it returns.
    pub async fn write(&self, changes: Vec<SessionWrite>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let sealed: Vec<Sealed> = changes.into_iter().map(|change| self.seal(change)).collect();
        let (device, lease) = (self.device.clone(), self.lease.clone());
        self.store
            .db
            .write(move |tx| {
                lease.check(tx)?;
                sealed.iter().try_for_each(|change| apply(tx, &device, change))
            })
            .await
    }

    /// Reads and removes a record in one step.
    pub async fn take(&self, kind: SessionKind, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let (device, lease, index) = (self.device.clone(), self.lease.clone(), self.index(kind, key));
        let row = self
            .store
            .db
            .write(move |tx| {
                lease.check(tx)?;
                let row = select(tx, &device, kind, &index)?;
                apply(tx, &device, &Sealed::Delete { kind, key: index })?;
                Ok(row)
            })
            .await?;
        row.map(|row| self.open(kind, row).map(|record| record.value)).transpose()
    }

    /// Removes records whose deadline is at or before `cutoff_s`; returns how many.
    pub async fn delete_expired(&self, kind: SessionKind, cutoff_s: i64) -> Result<u32> {
        let (device, lease) = (self.device.clone(), self.lease.clone());
        self.store
            .db
            .write(move |tx| {
                lease.check(tx)?;
                let removed = tx
                    .prepare_cached(
                        "DELETE FROM device_sessions WHERE device_id = ?1 AND kind = ?2 AND expires_at <= ?3",
                    )?
                    .execute(params![device.as_str(), kind as u8, cutoff_s])?;
                Ok(u32::try_from(removed).unwrap_or(u32::MAX))
            })
            .await
    }

    fn index(&self, kind: SessionKind, key: &[u8]) -> [u8; 16] {
        self.keys.index(&[&[kind as u8], key])
    }

    fn associated_data(&self, kind: SessionKind, index: &[u8]) -> Vec<u8> {
        [self.device.as_str().as_bytes(), &[kind as u8], index].concat()
    }

    /// The key travels inside the sealed value, because the column holds only its HMAC.
    fn seal(&self, change: SessionWrite) -> Sealed {
        match change {
            SessionWrite::Put { kind, key, scope, number, expires_at, value } => {
                let index = self.index(kind, &key);
                let length = u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes();
                let plain = [&length[..], &key, &value].concat();
                let value = self.keys.seal(&self.associated_data(kind, &index), &plain);
                let scope = scope.map(|s| self.index(kind, &s));
                Sealed::Put { kind, key: index, scope, number, expires_at, value }
            }
            SessionWrite::Delete { kind, key } => Sealed::Delete { kind, key: self.index(kind, &key) },
            SessionWrite::DeleteScope { kind, scope } => Sealed::DeleteScope { kind, scope: self.index(kind, &scope) },
            SessionWrite::DeleteKind { kind } => Sealed::DeleteKind { kind },
        }
    }

    fn open(&self, kind: SessionKind, (index, number, expires_at, sealed): SealedRow) -> Result<Record> {
        let plain = self.keys.open(&self.associated_data(kind, &index), &sealed).map_err(|_| CORRUPT)?;
        let (length, rest) = plain.split_first_chunk::<4>().ok_or(CORRUPT)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CORRUPT)?;
        let (key, value) = rest.split_at_checked(length).ok_or(CORRUPT)?;
        Ok(Record { key: key.to_vec(), number, expires_at, value: value.to_vec() })
    }
}

enum Sealed {
    Put {
        kind: SessionKind,
        key: [u8; 16],
        scope: Option<[u8; 16]>,
        number: i64,
        expires_at: Option<i64>,
        value: Vec<u8>,
    },
    Delete {
        kind: SessionKind,
        key: [u8; 16],
    },
    DeleteScope {
        kind: SessionKind,
        scope: [u8; 16],
    },
    DeleteKind {
        kind: SessionKind,
    },
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<SealedRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn select(conn: &Connection, device: &DeviceId, kind: SessionKind, index: &[u8; 16]) -> Result<Option<SealedRow>> {
    Ok(conn
        .prepare_cached(
            "SELECT key, number, expires_at, value FROM device_sessions WHERE device_id = ?1 AND kind = ?2 AND key = ?3",
        )?
        .query_row(params![device.as_str(), kind as u8, index], read_row)
        .optional()?)
}

fn apply(tx: &Tx<'_>, device: &DeviceId, change: &Sealed) -> Result<()> {
    let device = device.as_str();
    match change {
        Sealed::Put { kind, key, scope, number, expires_at, value } => tx
            .prepare_cached(
                "INSERT INTO device_sessions (device_id, kind, key, scope, number, expires_at, value) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (device_id, kind, key) DO UPDATE SET \
                 scope = excluded.scope, number = excluded.number, expires_at = excluded.expires_at, \
                 value = excluded.value",
            )?
            .execute(params![device, *kind as u8, key, scope, number, expires_at, value])?,
        Sealed::Delete { kind, key } => tx
            .prepare_cached("DELETE FROM device_sessions WHERE device_id = ?1 AND kind = ?2 AND key = ?3")?
            .execute(params![device, *kind as u8, key])?,
        Sealed::DeleteScope { kind, scope } => tx
            .prepare_cached("DELETE FROM device_sessions WHERE device_id = ?1 AND kind = ?2 AND scope = ?3")?
            .execute(params![device, *kind as u8, scope])?,
        Sealed::DeleteKind { kind } => tx
            .prepare_cached("DELETE FROM device_sessions WHERE device_id = ?1 AND kind = ?2")?
            .execute(params![device, *kind as u8])?,
    };
    Ok(())
}
