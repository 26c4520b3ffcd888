//! Who people are to a device: the names it knows them by, and which phone number stands behind a lid.
//!
//! A person has one name here, `jid`: by phone number where that is known. When the number behind a lid becomes known, what
//! stood under the lid moves to it in the same transaction, and `identity.merged` says so.

use super::{Result, Store, Tx, events};
use crate::domain::chat::{is_lid, is_person, is_phone};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, EventId, TenantId};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRow {
    pub jid: String,
    pub lid: Option<String>,
    /// As the account's address book has it.
    pub name: Option<String>,
    pub first_name: Option<String>,
    /// As they call themselves.
    pub push_name: Option<String>,
    /// Whether their status posts are muted.
    pub status_muted: bool,
}

impl Store {
    /// Those of the account's address book, in the order of their addresses.
    pub async fn address_book(&self, tenant: &TenantId, device: &DeviceId, limit: usize) -> Result<Vec<String>> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT jid FROM contacts WHERE tenant_id = ?1 AND device_id = ?2 AND name IS NOT NULL \
                     ORDER BY jid LIMIT ?3",
                )?;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let rows = statement.query_map(params![tenant.as_str(), device.as_str(), limit], |row| row.get(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    /// People with a name, behind this `jid` in the order of theirs.
    pub async fn contacts(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        after: String,
        limit: u32,
    ) -> Result<Vec<ContactRow>> {
        let (tenant, device) = (tenant.clone(), device.clone());
        self.db
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT jid, lid, name, first_name, push_name, status_muted FROM contacts \
                     WHERE tenant_id = ?1 AND device_id = ?2 AND jid > ?3 ORDER BY jid LIMIT ?4",
                )?;
                let rows = statement.query_map(params![tenant.as_str(), device.as_str(), after, limit], |row| {
                    Ok(ContactRow {
                        jid: row.get(0)?,
                        lid: row.get(1)?,
                        name: row.get(2)?,
                        first_name: row.get(3)?,
                        push_name: row.get(4)?,
                        status_muted: row.get(5)?,
                    })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}

/// A device in a transaction, with what everything that is written of it names.
pub(super) struct Scope<'t> {
    pub(super) tx: &'t Tx<'t>,
    pub(super) tenant: &'t TenantId,
    pub(super) device: &'t DeviceId,
    pub(super) now: UnixMs,
}

/// The one name of who has this address.
pub(super) fn canonical(conn: &Connection, device: &DeviceId, address: &str) -> Result<String> {
    if !is_lid(address) {
        return Ok(address.to_owned());
    }
    let phone = conn
        .prepare_cached("SELECT phone FROM lid_phone_map WHERE device_id = ?1 AND lid = ?2")?
        .query_row(params![device.as_str(), address], |row| row.get(0))
        .optional()?;
    Ok(phone.unwrap_or_else(|| address.to_owned()))
}

/// The lid of who has this phone number.
fn lid_of(conn: &Connection, device: &DeviceId, phone: &str) -> Result<Option<String>> {
    Ok(conn
        .prepare_cached("SELECT lid FROM lid_phone_map WHERE device_id = ?1 AND phone = ?2")?
        .query_row(params![device.as_str(), phone], |row| row.get(0))
        .optional()?)
}

impl Scope<'_> {
    pub(super) fn canonical(&self, address: &str) -> Result<String> {
        canonical(self.tx, self.device, address)
    }

    pub(super) fn lid_of(&self, jid: &str) -> Result<Option<String>> {
        if is_lid(jid) {
            return Ok(Some(jid.to_owned()));
        }
        lid_of(self.tx, self.device, jid)
    }

    /// Takes in that two addresses are one person's, in whichever order they come.
    pub(super) fn learn(&self, one: &str, other: &str) -> Result<()> {
        let (lid, phone) = if is_lid(one) { (one, other) } else { (other, one) };
        if !is_lid(lid) || !is_phone(phone) {
            return Ok(());
        }
        let device = self.device.as_str();
        let known = self.canonical(lid)?;
        if known == phone {
            return Ok(());
        }
        // A number belongs to one lid, and the latest word counts.
        self.tx
            .prepare_cached("DELETE FROM lid_phone_map WHERE device_id = ?1 AND phone = ?2 AND lid <> ?3")?
            .execute(params![device, phone, lid])?;
        self.tx
            .prepare_cached(
                "INSERT INTO lid_phone_map (device_id, lid, phone, tenant_id, updated_at) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (device_id, lid) DO UPDATE SET phone = excluded.phone, updated_at = excluded.updated_at",
            )?
            .execute(params![device, lid, phone, self.tenant.as_str(), self.now])?;
        let chat = self.merge_chats(lid, phone)?;
        let contact = self.merge_contacts(lid, phone)?;
        if chat || contact {
            let user = |jid: &str| jid.split('@').next().unwrap_or_default().to_owned();
            let data = json!({
                "contactId": phone,
                "jid": phone,
                "phone": user(phone),
                "lid": lid,
                "chat": phone,
                "timestamp": self.now / 1000,
            });
            self.tell(EventType::IdentityMerged, &["merged", lid, phone], self.now, data)?;
        }
        Ok(())
    }

    /// Whether something stood under the lid.
    fn merge_contacts(&self, lid: &str, phone: &str) -> Result<bool> {
        let device = self.device.as_str();
        let moved = self
            .tx
            .prepare_cached(
                "INSERT INTO contacts (device_id, jid, tenant_id, lid, name, first_name, push_name, status_muted, \
                 updated_at) \
                 SELECT device_id, ?3, tenant_id, ?2, name, first_name, push_name, status_muted, ?4 FROM contacts \
                 WHERE device_id = ?1 AND jid = ?2 \
                 ON CONFLICT (device_id, jid) DO UPDATE SET name = coalesce(contacts.name, excluded.name), \
                 first_name = coalesce(contacts.first_name, excluded.first_name), \
                 push_name = coalesce(contacts.push_name, excluded.push_name), \
                 status_muted = max(contacts.status_muted, excluded.status_muted)",
            )?
            .execute(params![device, lid, phone, self.now])?;
        self.tx
            .prepare_cached("DELETE FROM contacts WHERE device_id = ?1 AND jid = ?2")?
            .execute(params![device, lid])?;
        self.tx
            .prepare_cached("UPDATE contacts SET lid = ?2 WHERE device_id = ?1 AND jid = ?3")?
            .execute(params![device, lid, phone])?;
        Ok(moved > 0)
    }

    /// How somebody calls themselves now. Told when it was another name before, and not when it is the first.
    pub(super) fn push_name(&self, address: &str, name: &str, at: UnixMs) -> Result<()> {
        if name.is_empty() || !is_person(address) {
            return Ok(());
        }
        let jid = self.canonical(address)?;
        let before: Option<Option<String>> = self
            .tx
            .prepare_cached("SELECT push_name FROM contacts WHERE device_id = ?1 AND jid = ?2")?
            .query_row(params![self.device.as_str(), jid], |row| row.get(0))
            .optional()?;
        if before.as_ref().and_then(Option::as_deref) == Some(name) {
            return Ok(());
        }
        self.tx
            .prepare_cached(
                "INSERT INTO contacts (device_id, jid, tenant_id, lid, push_name, updated_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (device_id, jid) DO UPDATE SET \
                 push_name = excluded.push_name, updated_at = excluded.updated_at",
            )?
            .execute(params![self.device.as_str(), jid, self.tenant.as_str(), self.lid_of(&jid)?, name, self.now])?;
        if before.flatten().is_some() {
            self.tell_contact(&jid, json!({ "pushName": name }), &["pushName", name], at)?;
        }
        Ok(())
    }

    /// Somebody's name in the account's address book.
    pub(super) fn named(
        &self,
        address: &str,
        name: Option<&str>,
        first_name: Option<&str>,
        at: UnixMs,
        is_news: bool,
    ) -> Result<()> {
        let jid = self.canonical(address)?;
        let device = self.device.as_str();
        let before: Option<(Option<String>, Option<String>)> = self
            .tx
            .prepare_cached("SELECT name, first_name FROM contacts WHERE device_id = ?1 AND jid = ?2")?
            .query_row(params![device, jid], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if before.is_some_and(|(full, first)| full.as_deref() == name && first.as_deref() == first_name) {
            return Ok(());
        }
        self.tx
            .prepare_cached(
                "INSERT INTO contacts (device_id, jid, tenant_id, lid, name, first_name, updated_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (device_id, jid) DO UPDATE SET name = excluded.name, \
                 first_name = excluded.first_name, updated_at = excluded.updated_at",
            )?
            .execute(params![device, jid, self.tenant.as_str(), self.lid_of(&jid)?, name, first_name, self.now])?;
        if is_news {
            self.tell_contact(&jid, json!({ "name": name }), &["name", name.unwrap_or_default()], at)?;
        }
        Ok(())
    }

    /// Whether somebody's status posts are muted on the account's devices.
    pub(super) fn status_muted(&self, address: &str, muted: bool, at: UnixMs, is_news: bool) -> Result<()> {
        let jid = self.canonical(address)?;
        let changed = self
            .tx
            .prepare_cached(
                "INSERT INTO contacts (device_id, jid, tenant_id, lid, status_muted, updated_at) \
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ?5 = 1 \
                 OR EXISTS (SELECT 1 FROM contacts WHERE device_id = ?1 AND jid = ?2) \
                 ON CONFLICT (device_id, jid) DO UPDATE SET status_muted = excluded.status_muted, \
                 updated_at = excluded.updated_at WHERE status_muted <> excluded.status_muted",
            )?
            .execute(params![self.device.as_str(), jid, self.tenant.as_str(), self.lid_of(&jid)?, muted, self.now])?;
        if changed == 0 || !is_news {
            return Ok(());
        }
        self.tell_contact(&jid, json!({ "statusMuted": muted }), &["statusMuted", &muted.to_string()], at)
    }

    fn tell_contact(&self, jid: &str, changes: Value, parts: &[&str], at: UnixMs) -> Result<()> {
        let phone = is_phone(jid).then(|| jid.split('@').next());
        let data = json!({
            "chat": jid,
            "contact": { "contactId": jid, "jid": jid, "phone": phone, "lid": self.lid_of(jid)? },
            "changes": changes,
            "timestamp": at / 1000,
        });
        let parts: Vec<&str> = [jid].iter().chain(parts).copied().collect();
        self.tell(EventType::ContactUpdated, &parts, at, data)
    }

    /// `at` and `parts` make it this occurrence and no other, so that what comes twice is told once.
    pub(super) fn tell(&self, type_: EventType, parts: &[&str], at: UnixMs, data: Value) -> Result<()> {
        let parts: Vec<&str> = [self.device.as_str(), type_.as_str()].iter().chain(parts).copied().collect();
        let id = EventId::derived(at, &parts);
        let event = Event::new(self.tenant.clone(), Some(self.device.clone()), type_, self.now, data);
        events::append_once(self.tx, &Event { id, ..event })
    }
}
