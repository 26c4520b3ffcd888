//! A tenant's templates: named texts, or files with a text below, with places to fill.
//!
//! A template holds on to its file: as long as it names it, nobody deletes the file and it does not grow old.

use super::{MediaState, Result, Store, StoreError, Tx, media};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{MediaId, TemplateId, TenantId};
use crate::domain::media::MediaKind;
use rusqlite::{OptionalExtension, Row, params};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRow {
    pub id: TemplateId,
    pub name: String,
    /// Stands below the file, when there is one.
    pub text: String,
    pub media: Option<TemplateMedia>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// The file that a template shows, one of the tenant's that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateMedia {
    pub id: MediaId,
    pub kind: MediaKind,
    /// In place of the file's own.
    pub file_name: Option<String>,
}

/// A template that is to be written.
#[derive(Debug, Clone)]
pub struct NewTemplate {
    pub name: String,
    pub text: String,
    pub media: Option<TemplateMedia>,
}

const COLUMNS: &str = "id, name, text, media_id, media_kind, file_name, created_at, updated_at";
const NAME_TAKEN: StoreError = StoreError::Exists("another template has this name");

impl Store {
    /// Refused beyond `count_max` templates of a tenant, when the name is taken, and when the file is not here any more.
    pub async fn create_template(&self, tenant: &TenantId, new: NewTemplate, count_max: u32) -> Result<TemplateRow> {
        let (tenant, now) = (tenant.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let count: u32 = tx
                    .prepare_cached("SELECT count(*) FROM templates WHERE tenant_id = ?1")?
                    .query_row([tenant.as_str()], |row| row.get(0))?;
                if count >= count_max {
                    return Err(StoreError::Conflict("the tenant has as many templates as are allowed; delete one"));
                }
                hold(tx, &tenant, new.media.as_ref())?;
                let NewTemplate { name, text, media } = new;
                let row = TemplateRow { id: TemplateId::generate(), name, text, media, created_at: now, updated_at: now };
                let media = row.media.as_ref();
                let written = tx
                    .prepare_cached(
                        "INSERT INTO templates (id, tenant_id, name, text, media_id, media_kind, file_name, created_at, \
                         updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (tenant_id, name) DO NOTHING",
                    )?
                    .execute(params![
                        row.id.as_str(),
                        tenant.as_str(),
                        row.name,
                        row.text,
                        media.map(|media| media.id.as_str()),
                        media.map(|media| media.kind.as_str()),
                        media.and_then(|media| media.file_name.as_deref()),
                        now
                    ])?;
                if written == 0 { Err(NAME_TAKEN) } else { Ok(row) }
            })
            .await
    }

    /// Lets go of the file that it held, unless it is the same.
    pub async fn replace_template(&self, tenant: &TenantId, id: &TemplateId, new: NewTemplate) -> Result<TemplateRow> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let taken = tx
                    .prepare_cached("SELECT 1 FROM templates WHERE tenant_id = ?1 AND name = ?2 AND id <> ?3")?
                    .exists(params![tenant.as_str(), new.name, id.as_str()])?;
                if taken {
                    return Err(NAME_TAKEN);
                }
                hold(tx, &tenant, new.media.as_ref())?;
                release(tx, &tenant, &id, now)?;
                let media = new.media.as_ref();
                tx.prepare_cached(
                    "UPDATE templates SET name = ?3, text = ?4, media_id = ?5, media_kind = ?6, file_name = ?7, \
                     updated_at = ?8 WHERE tenant_id = ?1 AND id = ?2",
                )?
                .execute(params![
                    tenant.as_str(),
                    id.as_str(),
                    new.name,
                    new.text,
                    media.map(|media| media.id.as_str()),
                    media.map(|media| media.kind.as_str()),
                    media.and_then(|media| media.file_name.as_deref()),
                    now
                ])?;
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
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                release(tx, &tenant, &id, now)?;
                let gone = tx
                    .prepare_cached("DELETE FROM templates WHERE tenant_id = ?1 AND id = ?2")?
                    .execute(params![tenant.as_str(), id.as_str()])?;
                if gone == 0 { Err(StoreError::NotFound) } else { Ok(()) }
            })
            .await
    }
}

/// The file has to be here when a template takes it.
fn hold(tx: &Tx<'_>, tenant: &TenantId, media: Option<&TemplateMedia>) -> Result<()> {
    let Some(held) = media else { return Ok(()) };
    match media::find(tx, tenant, &held.id)? {
        Some(row) if row.state == MediaState::Stored => Ok(()),
        _ => Err(StoreError::Conflict("the media of the template is not here any more")),
    }
}

/// The time its file is kept begins now.
fn release(tx: &Tx<'_>, tenant: &TenantId, id: &TemplateId, now: UnixMs) -> Result<()> {
    let held: Option<Option<String>> = tx
        .prepare_cached("SELECT media_id FROM templates WHERE tenant_id = ?1 AND id = ?2")?
        .query_row(params![tenant.as_str(), id.as_str()], |row| row.get(0))
        .optional()?;
    match held.flatten().map(|held| MediaId::parse(&held)) {
        Some(Ok(held)) => media::touch(tx, tenant, &held, now).map(|_| ()),
        _ => Ok(()),
    }
}

fn read(row: &Row<'_>) -> Result<TemplateRow> {
    const CORRUPT: StoreError = StoreError::Corrupt { what: "a template" };
    Ok(TemplateRow {
        id: TemplateId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
        name: row.get(1)?,
        text: row.get(2)?,
        media: match (row.get::<_, Option<String>>(3)?, row.get::<_, Option<String>>(4)?) {
            (Some(id), Some(kind)) => Some(TemplateMedia {
                id: MediaId::parse(&id).map_err(|_| CORRUPT)?,
                kind: MediaKind::parse(&kind).ok_or(CORRUPT)?,
                file_name: row.get(5)?,
            }),
            _ => None,
        },
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}
