//! A tenant's templates: named texts with places to fill.

use super::{Result, Store, StoreError};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{TemplateId, TenantId};
use rusqlite::{OptionalExtension, Row, params};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRow {
    pub id: TemplateId,
    pub name: String,
    pub text: String,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

const COLUMNS: &str = "id, name, text, created_at, updated_at";
const NAME_TAKEN: StoreError = StoreError::Conflict("another template has this name");

impl Store {
    /// Refused beyond `count_max` templates of a tenant, and when the name is taken.
    pub async fn create_template(
        &self,
        tenant: &TenantId,
        name: String,
        text: String,
        count_max: u32,
    ) -> Result<TemplateRow> {
        let (tenant, now) = (tenant.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let count: u32 = tx
                    .prepare_cached("SELECT count(*) FROM templates WHERE tenant_id = ?1")?
                    .query_row([tenant.as_str()], |row| row.get(0))?;
                if count >= count_max {
                    return Err(StoreError::Conflict("the tenant has as many templates as are allowed; delete one"));
                }
                let row = TemplateRow { id: TemplateId::generate(), name, text, created_at: now, updated_at: now };
                let written = tx
                    .prepare_cached(
                        "INSERT INTO templates (id, tenant_id, name, text, created_at, updated_at) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (tenant_id, name) DO NOTHING",
                    )?
                    .execute(params![row.id.as_str(), tenant.as_str(), row.name, row.text, now])?;
                if written == 0 { Err(NAME_TAKEN) } else { Ok(row) }
            })
            .await
    }

    pub async fn replace_template(
        &self,
        tenant: &TenantId,
        id: &TemplateId,
        name: String,
        text: String,
    ) -> Result<TemplateRow> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let taken = tx
                    .prepare_cached("SELECT 1 FROM templates WHERE tenant_id = ?1 AND name = ?2 AND id <> ?3")?
                    .exists(params![tenant.as_str(), name, id.as_str()])?;
                if taken {
                    return Err(NAME_TAKEN);
                }
                tx.prepare_cached(
                    "UPDATE templates SET name = ?3, text = ?4, updated_at = ?5 WHERE tenant_id = ?1 AND id = ?2",
                )?
                .execute(params![tenant.as_str(), id.as_str(), name, text, now])?;
                let sql = format!("SELECT {COLUMNS} FROM templates WHERE tenant_id = ?1 AND id = ?2");
                tx.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), id.as_str()], |row| Ok(read(row)))
                    .optional()?
                    .ok_or(StoreError::NotFound)?
            })
            .await
    }

    /// A template by its id or its name.
    pub async fn template(&self, tenant: &TenantId, name: &str) -> Result<TemplateRow> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.db
            .read(move |conn| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM templates WHERE tenant_id = ?1 AND (id = ?2 OR name = ?2) \
                     ORDER BY id <> ?2 LIMIT 1"
                );
                conn.prepare_cached(&sql)?
                    .query_row(params![tenant.as_str(), name], |row| Ok(read(row)))
                    .optional()?
                    .ok_or(StoreError::NotFound)?
            })
            .await
    }

    /// A page of a tenant's templates by name, and how many there are.
    pub async fn templates(&self, tenant: &TenantId, limit: u32, offset: u32) -> Result<(Vec<TemplateRow>, u64)> {
        let tenant = tenant.clone();
        self.db
            .read(move |conn| {
                let total = conn
                    .prepare_cached("SELECT count(*) FROM templates WHERE tenant_id = ?1")?
                    .query_row([tenant.as_str()], |row| row.get(0))?;
                let sql =
                    format!("SELECT {COLUMNS} FROM templates WHERE tenant_id = ?1 ORDER BY name LIMIT ?2 OFFSET ?3");
                let mut statement = conn.prepare_cached(&sql)?;
                let rows = statement.query_map(params![tenant.as_str(), limit, offset], |row| Ok(read(row)))?;
                Ok((rows.map(|row| row?).collect::<Result<_>>()?, total))
            })
            .await
    }

    pub async fn delete_template(&self, tenant: &TenantId, id: &TemplateId) -> Result<()> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.db
            .write(move |tx| {
                let gone = tx
                    .prepare_cached("DELETE FROM templates WHERE tenant_id = ?1 AND id = ?2")?
                    .execute(params![tenant.as_str(), id.as_str()])?;
                if gone == 0 { Err(StoreError::NotFound) } else { Ok(()) }
            })
            .await
    }
}

fn read(row: &Row<'_>) -> Result<TemplateRow> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a template" };
    Ok(TemplateRow {
        id: TemplateId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
        name: row.get(1)?,
        text: row.get(2)?,
        created_at: row.get(3)?,
        updated_at: row.get(4)?,
    })
}
