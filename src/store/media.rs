//! Media of tenants: what is known of each file, what holds on to it, and what they take together. Where a file lies at WhatsApp is
//! in `remote_media`.
//!
//! A row is there before its file is written and goes after it: what a kill leaves in between is a row that nobody sees
//! (`unlisted`), and the next start removes it with its file. The bytes themselves are in `crate::media`.

use super::{Result, Store, StoreError, Topic, Tx};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, MediaId, TenantId};
use crate::domain::media::{Dimensions, MediaFailure};
use crate::vault::file::{FileCipher, SALT_BYTES};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaState {
    /// At WhatsApp.
    Remote,
    /// Somebody waits for it, or it is to be fetched anyway.
    Wanted,
    /// Here.
    Stored,
    Failed(MediaFailure),
}

#[derive(Debug, Clone)]
pub struct MediaRow {
    pub id: MediaId,
    pub tenant: TenantId,
    /// The one that can fetch it, or by which it was brought.
    pub device: DeviceId,
    pub state: MediaState,
    pub mime: String,
    pub file_name: Option<String>,
    /// Bytes; before it is stored, as its message says.
    pub size: u64,
    /// Of a stored one.
    pub sha256: Option<Vec<u8>>,
    pub dimensions: Dimensions,
    pub failed_at: Option<UnixMs>,
}

/// What is known of a file when all of it is on disk.
#[derive(Debug, Clone)]
pub struct MediaFacts {
    pub mime: String,
    pub file_name: Option<String>,
    pub size: u64,
    pub sha256: [u8; 32],
    pub dimensions: Dimensions,
}

/// What a tenant's stored files take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaUse {
    pub files: u64,
    pub bytes: u64,
}

/// Whether a file found its place.
#[derive(Debug, Clone)]
pub enum MediaKept {
    Kept(Box<MediaRow>),
    /// With it the tenant would store more than it may: nothing was written.
    TenantFull,
}

pub(super) const COLUMNS: &str =
    "id, tenant_id, device_id, state, mime, file_name, size, sha256, width, height, seconds, failure, failed_at";
pub(super) const CORRUPT: StoreError = StoreError::Corrupt { what: "a media row" };

impl Store {
    /// The key of one file, for the module that keeps the bytes.
    pub fn media_cipher(&self, tenant: &TenantId, media: &MediaId, salt: &[u8; SALT_BYTES]) -> FileCipher {
        self.vault.file_cipher(tenant.as_str(), media.as_str(), salt)
    }

    /// Makes room for a file that is about to be written. Nobody sees it before [`Store::keep_media`].
    pub async fn begin_media(&self, tenant: &TenantId, device: &DeviceId, id: &MediaId) -> Result<()> {
        let (tenant, device, id, now) = (tenant.clone(), device.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                tx.prepare_cached(
                    "INSERT INTO media (id, tenant_id, device_id, origin, state, mime, size, created_at, used_at) \
                     VALUES (?1, ?2, ?3, 'uploaded', 'unlisted', '', 0, ?4, ?4)",
                )?
                .execute(params![id.as_str(), tenant.as_str(), device.as_str(), now])?;
                Ok(())
            })
            .await
    }

    /// The file is on disk: from now on it is there, unless the tenant would store more than `tenant_bytes_max` then. Not
    /// found when it was taken away meanwhile. `received` is one that was wanted, any other one was begun.
    pub async fn keep_media(
        &self,
        tenant: &TenantId,
        id: &MediaId,
        received: bool,
        facts: MediaFacts,
        tenant_bytes_max: u64,
    ) -> Result<MediaKept> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        let before = if received { "wanted" } else { "unlisted" };
        self.db
            .write(move |tx| {
                let used = used(tx, &tenant)?;
                if used.bytes.saturating_add(facts.size) > tenant_bytes_max {
                    return Ok(MediaKept::TenantFull);
                }
                let changed = tx
                    .prepare_cached(
                        "UPDATE media SET state = 'stored', mime = ?3, file_name = ?4, size = ?5, sha256 = ?6, \
                         width = coalesce(?7, width), height = coalesce(?8, height), seconds = coalesce(?9, seconds), \
                         failure = NULL, failed_at = NULL, used_at = ?10 \
                         WHERE tenant_id = ?1 AND id = ?2 AND state = ?11",
                    )?
                    .execute(params![
                        tenant.as_str(),
                        id.as_str(),
                        facts.mime,
                        facts.file_name,
                        facts.size,
                        facts.sha256,
                        facts.dimensions.width,
                        facts.dimensions.height,
                        facts.dimensions.seconds,
                        now,
                        before
                    ])?;
                if changed == 0 {
                    return Err(StoreError::NotFound);
                }
                add_use(tx, &tenant, 1, i64::try_from(facts.size).unwrap_or(i64::MAX))?;
                tx.wake(Topic::Media);
                Ok(MediaKept::Kept(Box::new(find(tx, &tenant, &id)?.ok_or(StoreError::NotFound)?)))
            })
            .await
    }

    pub async fn media(&self, tenant: &TenantId, id: &MediaId) -> Result<MediaRow> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.db.read(move |conn| find(conn, &tenant, &id)?.ok_or(StoreError::NotFound)).await
    }

    pub async fn media_use(&self, tenant: &TenantId) -> Result<MediaUse> {
        let tenant = tenant.clone();
        self.db.read(move |conn| used(conn, &tenant)).await
    }

    /// Hides a file from everybody, for good; its bytes go next and its row after them. A file that a message waits to be
    /// sent with, or that a template shows, is a conflict. Returns the bytes that the tenant stores less.
    pub async fn unlist_media(&self, tenant: &TenantId, id: &MediaId) -> Result<u64> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.db
            .write(move |tx| {
                let awaited = tx
                    .prepare_cached(
                        "SELECT 1 FROM messages_outbox WHERE media_id = ?2 AND media_id IS NOT NULL AND tenant_id = ?1 \
                         AND status IN ('pending', 'queued', 'sending') LIMIT 1",
                    )?
                    .exists(params![tenant.as_str(), id.as_str()])?;
                if awaited {
                    return Err(StoreError::Conflict("a message that waits to be sent uses this media"));
                }
                let held = tx
                    .prepare_cached("SELECT 1 FROM templates WHERE tenant_id = ?1 AND media_id = ?2 LIMIT 1")?
                    .exists(params![tenant.as_str(), id.as_str()])?;
                if held {
                    return Err(StoreError::Conflict(
                        "a template shows this media; change or delete the template first",
                    ));
                }
                unlist(tx, &tenant, &id)?.ok_or(StoreError::NotFound)
            })
            .await
    }

    /// Drops a row whose file is gone.
    pub async fn forget_media(&self, tenant: &TenantId, id: &MediaId) -> Result<()> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.db
            .write(move |tx| {
                tx.prepare_cached("DELETE FROM media WHERE tenant_id = ?1 AND id = ?2 AND state = 'unlisted'")?
                    .execute(params![tenant.as_str(), id.as_str()])?;
                Ok(())
            })
            .await
    }
}

/// A message that is accepted uses this file: the time it is kept begins again. Whether it is here.
pub(super) fn touch(tx: &Tx<'_>, tenant: &TenantId, id: &MediaId, now: UnixMs) -> Result<bool> {
    let touched = tx
        .prepare_cached("UPDATE media SET used_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND state = 'stored'")?
        .execute(params![tenant.as_str(), id.as_str(), now])?;
    Ok(touched > 0)
}

/// A message that waits to be sent is about the file `m`, with whatever device it goes; or a template shows it.
pub(super) const HELD: &str = "(EXISTS (SELECT 1 FROM messages_outbox AS o WHERE o.media_id = m.id AND o.media_id IS NOT NULL \
     AND o.status IN ('pending', 'queued', 'sending')) \
     OR EXISTS (SELECT 1 FROM templates AS x WHERE x.media_id = m.id))";

/// `None` when there is no such file. Returns the bytes that the tenant stores less.
pub(super) fn unlist(tx: &Tx<'_>, tenant: &TenantId, id: &MediaId) -> Result<Option<u64>> {
    let row: Option<(String, u64)> = tx
        .prepare_cached("SELECT state, size FROM media WHERE tenant_id = ?1 AND id = ?2 AND state <> 'unlisted'")?
        .query_row(params![tenant.as_str(), id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((state, size)) = row else { return Ok(None) };
    if state == "remote" {
        // There is no file that would have to go first.
        tx.prepare_cached("DELETE FROM media WHERE id = ?1")?.execute([id.as_str()])?;
        return Ok(Some(0));
    }
    tx.prepare_cached("UPDATE media SET state = 'unlisted', remote = NULL WHERE id = ?1")?.execute([id.as_str()])?;
    tx.wake(Topic::Media);
    if state != "stored" {
        return Ok(Some(0));
    }
    add_use(tx, tenant, -1, -i64::try_from(size).unwrap_or(i64::MAX))?;
    Ok(Some(size))
}

fn add_use(tx: &Tx<'_>, tenant: &TenantId, files: i64, bytes: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO media_use (tenant_id, files, bytes) VALUES (?1, max(?2, 0), max(?3, 0)) \
         ON CONFLICT (tenant_id) DO UPDATE SET files = max(files + ?2, 0), bytes = max(bytes + ?3, 0)",
    )?
    .execute(params![tenant.as_str(), files, bytes])?;
    Ok(())
}

fn used(conn: &Connection, tenant: &TenantId) -> Result<MediaUse> {
    let found = conn
        .prepare_cached("SELECT files, bytes FROM media_use WHERE tenant_id = ?1")?
        .query_row([tenant.as_str()], |row| Ok(MediaUse { files: row.get(0)?, bytes: row.get(1)? }))
        .optional()?;
    Ok(found.unwrap_or_default())
}

pub(super) fn find(conn: &Connection, tenant: &TenantId, id: &MediaId) -> Result<Option<MediaRow>> {
    let sql = format!("SELECT {COLUMNS} FROM media WHERE tenant_id = ?1 AND id = ?2 AND state <> 'unlisted'");
    conn.prepare_cached(&sql)?
        .query_row(params![tenant.as_str(), id.as_str()], |row| Ok(read(row)))
        .optional()?
        .transpose()
}

pub(super) fn read(row: &Row<'_>) -> Result<MediaRow> {
    let failure = row.get::<_, Option<String>>(11)?;
    let state = match row.get::<_, String>(3)?.as_str() {
        "remote" => MediaState::Remote,
        "wanted" => MediaState::Wanted,
        "stored" => MediaState::Stored,
        "failed" => MediaState::Failed(failure.as_deref().and_then(MediaFailure::parse).ok_or(CORRUPT)?),
        _ => return Err(CORRUPT),
    };
    Ok(MediaRow {
        id: MediaId::parse(&row.get::<_, String>(0)?).map_err(|_| CORRUPT)?,
        tenant: TenantId::parse(&row.get::<_, String>(1)?).map_err(|_| CORRUPT)?,
        device: DeviceId::parse(&row.get::<_, String>(2)?).map_err(|_| CORRUPT)?,
        state,
        mime: row.get(4)?,
        file_name: row.get(5)?,
        size: row.get(6)?,
        sha256: row.get(7)?,
        dimensions: Dimensions { width: row.get(8)?, height: row.get(9)?, seconds: row.get(10)? },
        failed_at: row.get(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::media::MediaKind;
    use crate::domain::outgoing::{Content, MediaContent};
    use crate::store::world::{World, picture};
    use crate::store::{Accepted, NewTemplate, TemplateMedia};
    use std::time::Duration;

    const ANI: &str = "6281100000001@s.whatsapp.net";
    const KEEP_MS: i64 = 30 * 86_400_000;

    impl World {
        /// A file that is here, brought by this device.
        async fn file(&self, device: &DeviceId) -> MediaId {
            let id = MediaId::generate();
            self.store.begin_media(&self.tenant, device, &id).await.expect("begun");
            self.kept(&id, false).await;
            id
        }

        async fn kept(&self, id: &MediaId, received: bool) {
            let facts = MediaFacts {
                mime: "image/png".into(),
                file_name: None,
                size: 9,
                sha256: [1; 32],
                dimensions: Dimensions::default(),
            };
            self.store.keep_media(&self.tenant, id, received, facts, 100).await.expect("kept");
        }

        /// A file that came with a message of this device, and is here.
        async fn fetched(&self, device: &DeviceId, wa_id: &str) -> MediaId {
            let lease = self.store.acquire_lease(&self.tenant, device).await.expect("lease");
            let id = picture(&self.store, &self.tenant, &lease, wa_id, false).await;
            self.store.want_media(&self.tenant, &id).await.expect("wanted");
            self.kept(&id, true).await;
            id
        }

        async fn shown_by_a_template(&self, id: &MediaId) -> crate::domain::ids::TemplateId {
            let media = TemplateMedia { id: id.clone(), kind: MediaKind::Image, file_name: None };
            let new = NewTemplate { name: "offer".into(), text: String::new(), media: Some(media) };
            self.store.create_template(&self.tenant, new, 10).await.expect("a template").id
        }

        /// How many files had to go.
        async fn swept(&self) -> usize {
            self.store.unlist_old_media(Some(KEEP_MS), 10).await.expect("swept").len()
        }
    }

    fn of(id: &MediaId) -> Content {
        Content::Media(MediaContent {
            media_id: id.clone(),
            kind: MediaKind::Image,
            mime_type: None,
            file_name: None,
            caption: None,
            ptt: false,
            view_once: false,
            quoted_message_id: None,
        })
    }

    #[tokio::test]
    async fn a_template_holds_its_file_beyond_its_time_and_the_time_begins_anew_when_it_lets_go() {
        let world = World::new().await;
        let id = world.file(&world.lease.device).await;
        let template = world.shown_by_a_template(&id).await;
        let day = Duration::from_secs(86_400);

        world.store.clock().advance(31 * day);
        assert_eq!(world.swept().await, 0, "it is held");
        assert!(matches!(world.store.unlist_media(&world.tenant, &id).await, Err(StoreError::Conflict(_))));
        world.store.delete_template(&world.tenant, &template).await.expect("deleted");

        world.store.clock().advance(29 * day);
        assert_eq!(world.swept().await, 0, "its time began anew");
        world.store.clock().advance(2 * day);
        assert_eq!(world.swept().await, 1);
    }

    #[tokio::test]
    async fn a_received_file_goes_with_its_device_unless_a_template_or_what_waits_on_another_one_holds_it() {
        let world = World::new().await;
        let gone = world.store.create_device(&world.tenant, "gone").await.expect("device").id;
        let (shown, queued) = (world.fetched(&gone, "3EB0A").await, world.fetched(&gone, "3EB0B").await);
        world.fetched(&gone, "3EB0C").await;
        let template = world.shown_by_a_template(&shown).await;
        world.accepted(ANI, "3EB0D", of(&queued)).await;
        world.store.delete_device(&world.tenant, &gone).await.expect("deleted");

        assert_eq!(world.swept().await, 1, "the one that nobody holds");

        for id in [&shown, &queued] {
            assert_eq!(world.store.media(&world.tenant, id).await.expect("is there").state, MediaState::Stored);
            assert!(matches!(world.store.unlist_media(&world.tenant, id).await, Err(StoreError::Conflict(_))));
        }
        world.store.clock().advance(Duration::from_secs(31 * 86_400));
        assert_eq!(world.swept().await, 0, "what waits for longer than files are kept is sent with its file");
        world.store.delete_template(&world.tenant, &template).await.expect("deleted");
        assert_eq!(world.swept().await, 1, "the template's");
    }

    #[tokio::test]
    async fn a_message_whose_file_has_gone_meanwhile_is_not_taken() {
        let world = World::new().await;
        let id = world.file(&world.lease.device).await;
        world.store.unlist_media(&world.tenant, &id).await.expect("gone");

        let taken = world.taken(ANI, "3EB0A", of(&id)).await;

        assert_eq!(taken, Accepted::MediaGone);
        let row = world.store.outgoing(&world.tenant, &world.lease.device, "3EB0A").await;
        assert!(matches!(row, Err(StoreError::NotFound)), "{row:?}");
    }
}
