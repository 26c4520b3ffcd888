//! The audit log: who did what to which resource, from where. Append-only.

use super::{Result, Store, Tx};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{AuditId, TenantId};
use rusqlite::{params, params_from_iter};

#[derive(Debug, Clone, Default)]
pub struct AuditEntry {
    pub tenant: Option<TenantId>,
    /// `admin`, the id of the key that was used, or `gateway` when nobody asked.
    pub actor: String,
    pub action: &'static str,
    pub resource_type: Option<&'static str>,
    pub resource_id: Option<String>,
    pub meta: Option<serde_json::Value>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
}

/// A line as it was written.
#[derive(Debug, Clone)]
pub struct AuditRow {
    pub id: String,
    pub tenant: Option<String>,
    pub actor: String,
    pub action: String,
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    pub meta: Option<serde_json::Value>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: UnixMs,
}

impl AuditEntry {
    /// The same, about something of this tenant.
    pub fn of(self, tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..self }
    }
}

/// Which lines a reader wants; what is left out leaves out nothing.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    pub tenant: Option<TenantId>,
    pub actor: Option<String>,
    pub action: Option<String>,
    pub resource_id: Option<String>,
    pub since: Option<UnixMs>,
    pub until: Option<UnixMs>,
    /// Only lines before this one.
    pub before: Option<AuditId>,
}

impl Store {
    pub async fn audit(&self, entry: AuditEntry) -> Result<()> {
        let now = self.clock.now_ms();
        self.db.write(move |tx| write(tx, &entry, now)).await
    }

    /// The newest lines first. Ids sort by time, so the last one is the next cursor.
    pub async fn audit_log(&self, query: AuditQuery, limit: u32) -> Result<Vec<AuditRow>> {
        self.db
            .read(move |conn| {
                let mut sql = String::from(
                    "SELECT id, tenant_id, actor, action, resource_type, resource_id, meta, ip_address, user_agent, \
                     created_at FROM audit_logs WHERE 1 = 1",
                );
                let mut values: Vec<rusqlite::types::Value> = Vec::new();
                let filters: [(&str, Option<rusqlite::types::Value>); 7] = [
                    ("tenant_id =", query.tenant.map(|id| id.as_str().to_owned().into())),
                    ("actor =", query.actor.map(Into::into)),
                    ("action =", query.action.map(Into::into)),
                    ("resource_id =", query.resource_id.map(Into::into)),
                    ("created_at >=", query.since.map(Into::into)),
                    ("created_at <=", query.until.map(Into::into)),
                    ("id <", query.before.map(|id| id.as_str().to_owned().into())),
                ];
                for (condition, value) in filters {
                    if let Some(value) = value {
                        sql.push_str(&format!(" AND {condition} ?"));
                        values.push(value);
                    }
                }
                sql.push_str(" ORDER BY id DESC LIMIT ?");
                values.push(i64::from(limit).into());
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), |row| {
                    let meta: Option<String> = row.get(6)?;
                    Ok(AuditRow {
                        id: row.get(0)?,
                        tenant: row.get(1)?,
                        actor: row.get(2)?,
                        action: row.get(3)?,
                        resource_type: row.get(4)?,
                        resource_id: row.get(5)?,
                        meta: meta.and_then(|text| serde_json::from_str(&text).ok()),
                        ip_address: row.get(7)?,
                        user_agent: row.get(8)?,
                        created_at: row.get(9)?,
                    })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}

pub(super) fn write(tx: &Tx<'_>, entry: &AuditEntry, now: UnixMs) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO audit_logs (id, tenant_id, actor, action, resource_type, resource_id, meta, ip_address, \
         user_agent, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        AuditId::generate().as_str(),
        entry.tenant.as_ref().map(TenantId::as_str),
        entry.actor,
        entry.action,
        entry.resource_type,
        entry.resource_id,
        entry.meta.as_ref().map(serde_json::Value::to_string),
        entry.ip_address,
        entry.user_agent,
        now
    ])?;
    Ok(())
}
