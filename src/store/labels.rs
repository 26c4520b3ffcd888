//! Labels of a device's chats: which there are, and which chat has which. Kept from what is done here and on the account's
//! other devices; one that is so already changes nothing.

use super::people::Scope;
use super::{Result, Store, StoreError};
use crate::domain::chat::ChatChange;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::label::{LABELS_KEPT_MAX, LABELS_MAX, LABELS_OF_CHAT_MAX, LabelChange, LabelEdit, LabelOfChat};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRow {
    pub id: String,
    pub name: String,
    pub color: i32,
    /// Chats that have it.
    pub chats: u64,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

const COLUMNS: &str = "l.id, l.name, l.color, \
                       (SELECT count(*) FROM chat_labels AS x WHERE x.device_id = l.device_id AND x.label_id = l.id), \
                       l.created_at, l.updated_at";
/// Ids of more digits are of devices that number otherwise; they are never continued.
const OWN_ID_DIGITS_MAX: u32 = 9;

impl Store {
    /// All labels of a device, [`LABELS_KEPT_MAX`] at most.
    pub async fn labels(&self, tenant: &TenantId, device: &DeviceId) -> Result<Vec<LabelRow>> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db
            .read(move |conn| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM labels AS l WHERE l.tenant_id = ?1 AND l.device_id = ?2 \
                     ORDER BY length(l.id), l.id"
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), device.as_str()], read)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    pub async fn label(&self, tenant: &TenantId, device: &DeviceId, id: &str) -> Result<LabelRow> {
        let (tenant, device, id) = (tenant.clone(), device.clone(), id.to_owned());
        self.db
            .read(move |conn| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM labels AS l WHERE l.tenant_id = ?1 AND l.device_id = ?2 AND l.id = ?3"
                );
                conn.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), device.as_str(), id], read)
                    .optional()?
                    .ok_or(StoreError::NotFound)
            })
            .await
    }

    /// An id for a new label, which no other call gets. Refused when there are as many labels as are made here.
    pub async fn reserve_label(&self, tenant: &TenantId, device: &DeviceId) -> Result<String> {
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let (count, last): (u32, i64) = tx
                    .prepare_cached(&format!(
                        "SELECT count(*), coalesce(max(CASE WHEN length(id) <= {OWN_ID_DIGITS_MAX} \
                         THEN CAST(id AS INTEGER) END), 0) FROM labels WHERE device_id = ?1"
                    ))?
                    .query_row([device.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
                if count >= LABELS_MAX {
                    return Err(StoreError::Conflict("the device has as many labels as are made here; delete one"));
                }
                let id: i64 = tx
                    .prepare_cached(
                        "INSERT INTO device_chat_sync (device_id, tenant_id, last_label, updated_at) \
                         VALUES (?1, ?2, ?3 + 1, ?4) ON CONFLICT (device_id) DO UPDATE SET \
                         last_label = max(last_label, ?3) + 1 RETURNING last_label",
                    )?
                    .query_row(params![device.as_str(), tenant.as_str(), last, now], |row| row.get(0))?;
                Ok(id.to_string())
            })
            .await
    }

    /// Takes in what became of labels, in this order.
    pub async fn change_labels(&self, tenant: &TenantId, device: &DeviceId, changes: Vec<LabelChange>) -> Result<()> {
        let (tenant, device, now) = (tenant.clone(), device.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let scope = Scope { tx, tenant: &tenant, device: &device, now };
                changes.iter().try_for_each(|change| scope.label(change))
            })
            .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<LabelRow> {
    Ok(LabelRow {
        id: row.get(0)?,
        name: row.get(1)?,
        color: row.get(2)?,
        chats: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

/// The labels of a chat, as a query gathers them.
pub(super) fn read_labels(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<LabelOfChat>> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into()))
}

impl Scope<'_> {
    fn label(&self, change: &LabelChange) -> Result<()> {
        let device = self.device.as_str();
        match &change.edit {
            LabelEdit::Named { name, color, at } => {
                self.tx
                    .prepare_cached(
                        "INSERT INTO labels (device_id, id, tenant_id, name, color, created_at, updated_at) \
                         SELECT ?1, ?2, ?3, ?4, coalesce(?5, 0), ?6, ?6 \
                         WHERE (SELECT count(*) FROM labels WHERE device_id = ?1 AND id <> ?2) < ?7 ON CONFLICT (device_id, id) DO UPDATE SET \
                         name = excluded.name, color = coalesce(?5, color), updated_at = excluded.updated_at",
                    )?
                    .execute(params![device, change.id, self.tenant.as_str(), name, color, at, LABELS_KEPT_MAX])?;
            }
            LabelEdit::Deleted => {
                for table in ["chat_labels WHERE device_id = ?1 AND label_id", "labels WHERE device_id = ?1 AND id"] {
                    self.tx
                        .prepare_cached(&format!("DELETE FROM {table} = ?2"))?
                        .execute(params![device, change.id])?;
                }
            }
        }
        Ok(())
    }

    /// A label was put on a chat, or taken from it. The chat need not have a message yet, nor the label a name.
    pub(super) fn labeled(&self, change: &ChatChange, label: &str, on: bool) -> Result<()> {
        let Some(chat) = self.open_chat(&change.address)? else { return Ok(()) };
        let sql = match on {
            true => {
                "INSERT OR IGNORE INTO chat_labels (chat_id, label_id, device_id) SELECT ?1, ?2, ?3 \
                 WHERE (SELECT count(*) FROM chat_labels WHERE chat_id = ?1) < ?4"
            }
            false => "DELETE FROM chat_labels WHERE chat_id = ?1 AND label_id = ?2 AND device_id = ?3 AND ?4 > 0",
        };
        let place = params![chat.id, label, self.device.as_str(), LABELS_OF_CHAT_MAX];
        let changed = self.tx.prepare_cached(sql)?.execute(place)?;
        if changed == 0 {
            return Ok(());
        }
        let told = json!({ "labels": self.labels_of(chat.id)?, "label": label, "labeled": on });
        self.changed(change, told)
    }

    fn labels_of(&self, chat: i64) -> Result<Value> {
        let mut statement = self.tx.prepare_cached(
            "SELECT l.id, l.name, l.color FROM chat_labels AS x \
             JOIN labels AS l ON l.device_id = x.device_id AND l.id = x.label_id WHERE x.chat_id = ?1",
        )?;
        let labels = statement
            .query_map([chat], |row| Ok(LabelOfChat { id: row.get(0)?, name: row.get(1)?, color: row.get(2)? }))?;
        Ok(json!(labels.collect::<rusqlite::Result<Vec<_>>>()?))
    }
}
