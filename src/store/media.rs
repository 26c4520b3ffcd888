//! Media of tenants: what is known of each file, where the files lie that are not here, and what they take together.
//!
//! A row is there before its file is written and goes after it: what a kill leaves in between is a row that nobody sees
//! (`unlisted`), and the next start removes it with its file. The bytes themselves are in `crate::media`.

use super::{Result, Store, StoreError, Topic, Tx};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, MediaId, TenantId};
use crate::domain::media::{Dimensions, MediaFailure, MediaKind, RemoteMedia, UploadedMedia};
use crate::vault::file::{FileCipher, SALT_BYTES};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// A file that came with a message, to be written with its row.
#[derive(Debug, Clone)]
pub struct NewRemoteMedia {
    pub id: MediaId,
    pub mime: String,
    pub file_name: Option<String>,
    pub dimensions: Dimensions,
    pub remote: RemoteMedia,
}

/// A file to fetch now.
#[derive(Debug, Clone)]
pub struct DueDownload {
    pub row: MediaRow,
    pub remote: RemoteMedia,
    /// Tries that failed before.
    pub attempts: u32,
}

/// How a try to fetch ended that brought no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFetched {
    Again { at: UnixMs },
    Failed(MediaFailure),
}

const COLUMNS: &str =
    "id, tenant_id, device_id, state, mime, file_name, size, sha256, width, height, seconds, failure, failed_at";
const CORRUPT: StoreError = StoreError::Corrupt { what: "a media row" };
/// What of the vault seals descriptors.
const PURPOSE: &str = "media";

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

    /// Where the file of a received message lies at WhatsApp, and what opens it there; `None` when it is not kept.
    pub async fn received_file(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        chat: String,
        sender: String,
        wa_id: String,
    ) -> Result<Option<RemoteMedia>> {
        let (tenant, device, store) = (tenant.clone(), device.clone(), self.clone());
        self.db
            .read(move |conn| {
                let found: Option<(String, Vec<u8>)> = conn
                    .prepare_cached(
                        "SELECT media.id, media.remote FROM messages_inbox AS row \
                         JOIN media ON media.id = row.envelope ->> 'mediaId' AND media.tenant_id = row.tenant_id \
                         WHERE row.tenant_id = ?1 AND row.device_id = ?2 AND row.chat = ?3 AND row.sender = ?4 \
                         AND row.wa_id = ?5 AND media.remote IS NOT NULL",
                    )?
                    .query_row(params![tenant.as_str(), device.as_str(), chat, sender, wa_id], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?;
                found.map(|(id, sealed)| store.unsealed(&id, &sealed)).transpose()
            })
            .await
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
                        "SELECT 1 FROM messages_outbox WHERE status IN ('pending', 'queued', 'sending') \
                         AND device_id IN (SELECT id FROM devices WHERE tenant_id = ?1) \
                         AND (content ->> '$.media_id' = ?2 OR content ->> '$.shown.media_id' = ?2) LIMIT 1",
                    )?
                    .query_row(params![tenant.as_str(), id.as_str()], |_| Ok(()))
                    .optional()?;
                if awaited.is_some() {
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

    /// Asks for a file that is at WhatsApp. One that is here, or wanted already, stays as it is.
    pub async fn want_media(&self, tenant: &TenantId, id: &MediaId) -> Result<()> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE media SET state = 'wanted', attempts = 0, next_at = ?3, eager = 0, failure = NULL \
                     WHERE tenant_id = ?1 AND id = ?2 AND remote IS NOT NULL \
                     AND (state IN ('remote', 'failed') OR (state = 'wanted' AND eager = 1))",
                )?
                .execute(params![tenant.as_str(), id.as_str(), now])?;
                tx.wake(Topic::Media);
                Ok(())
            })
            .await
    }

    /// Records that a try to fetch brought nothing.
    pub async fn settle_download(&self, tenant: &TenantId, id: &MediaId, outcome: NotFetched) -> Result<()> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), self.clock.now_ms());
        self.db
            .write(move |tx| {
                let (state, next_at, failure) = match outcome {
                    NotFetched::Again { at } => ("wanted", at, None),
                    NotFetched::Failed(failure) => ("failed", now, Some(failure.as_str())),
                };
                tx.prepare_cached(
                    "UPDATE media SET state = ?3, next_at = ?4, failure = ?5, failed_at = ?6, attempts = attempts + 1 \
                     WHERE tenant_id = ?1 AND id = ?2 AND state = 'wanted'",
                )?
                .execute(params![tenant.as_str(), id.as_str(), state, next_at, failure, now])?;
                tx.wake(Topic::Media);
                Ok(())
            })
            .await
    }

    /// Where WhatsApp keeps a file that this device uploaded since `after`.
    pub async fn media_upload(
        &self,
        device: &DeviceId,
        id: &MediaId,
        kind: MediaKind,
        after: UnixMs,
    ) -> Result<Option<UploadedMedia>> {
        let (device, id) = (device.clone(), id.clone());
        let store = self.clone();
        self.db
            .read(move |conn| {
                let sealed: Option<Vec<u8>> = conn
                    .prepare_cached(
                        "SELECT uploaded FROM media_uploads \
                         WHERE media_id = ?1 AND device_id = ?2 AND kind = ?3 AND uploaded_at > ?4",
                    )?
                    .query_row(params![id.as_str(), device.as_str(), kind.as_str(), after], |row| row.get(0))
                    .optional()?;
                sealed.map(|sealed| store.unsealed(&upload_name(&device, &id, kind), &sealed)).transpose()
            })
            .await
    }

    pub async fn remember_upload(
        &self,
        device: &DeviceId,
        id: &MediaId,
        kind: MediaKind,
        uploaded: &UploadedMedia,
    ) -> Result<()> {
        let (device, id, now) = (device.clone(), id.clone(), self.clock.now_ms());
        let sealed = self.sealed(&upload_name(&device, &id, kind), uploaded)?;
        self.db
            .write(move |tx| {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO media_uploads (media_id, device_id, kind, uploaded_at, uploaded) \
                     SELECT id, ?2, ?3, ?4, ?5 FROM media WHERE id = ?1",
                )?
                .execute(params![id.as_str(), device.as_str(), kind.as_str(), now, sealed])?;
                Ok(())
            })
            .await
    }

    pub(super) fn sealed_remote(&self, id: &MediaId, remote: &RemoteMedia) -> Result<Vec<u8>> {
        self.sealed(id.as_str(), remote)
    }

    pub(super) fn read_due_download(&self, row: &Row<'_>) -> Result<DueDownload> {
        let media = read(row)?;
        let remote = self.unsealed(media.id.as_str(), &row.get::<_, Vec<u8>>(13)?)?;
        Ok(DueDownload { row: media, remote, attempts: row.get(14)? })
    }

    fn sealed(&self, name: &str, value: &impl Serialize) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(value).map_err(|_| CORRUPT)?;
        Ok(self.vault.purpose(PURPOSE).seal(name.as_bytes(), &plain))
    }

    fn unsealed<T: DeserializeOwned>(&self, name: &str, sealed: &[u8]) -> Result<T> {
        let plain = self.vault.purpose(PURPOSE).open(name.as_bytes(), sealed).map_err(|_| CORRUPT)?;
        serde_json::from_slice(&plain).map_err(|_| CORRUPT)
    }
}

fn upload_name(device: &DeviceId, id: &MediaId, kind: MediaKind) -> String {
    format!("{device} {id} {}", kind.as_str())
}

/// The columns of a row with what it takes to fetch it.
pub(super) fn due_columns() -> String {
    format!("{COLUMNS}, remote, attempts")
}

/// Whether the tenant's file wants received files fetched without being asked for; `None` where it does not say.
pub(super) fn eager(tx: &Tx<'_>, tenant: &TenantId) -> Result<Option<bool>> {
    let says: Option<String> = tx
        .prepare_cached("SELECT media ->> '$.received' FROM tenants WHERE id = ?1")?
        .query_row([tenant.as_str()], |row| row.get(0))?;
    Ok(says.map(|says| says == "eager"))
}

/// Writes what a message came with, in the message's own transaction. `sealed` is its descriptor.
pub(super) fn insert_remote(
    tx: &Tx<'_>,
    tenant: &TenantId,
    device: &DeviceId,
    new: &NewRemoteMedia,
    sealed: &[u8],
    eager: bool,
    now: UnixMs,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO media (id, tenant_id, device_id, origin, state, mime, file_name, size, width, height, seconds, \
         remote, eager, created_at, used_at) \
         VALUES (?1, ?2, ?3, 'received', 'remote', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)",
    )?
    .execute(params![
        new.id.as_str(),
        tenant.as_str(),
        device.as_str(),
        new.mime,
        new.file_name,
        new.remote.size,
        new.dimensions.width,
        new.dimensions.height,
        new.dimensions.seconds,
        sealed,
        eager,
        now
    ])?;
    Ok(())
}

/// The message's event is committed: what is to be fetched without being asked for is wanted from now on.
pub(super) fn want_eager(tx: &Tx<'_>, tenant: &TenantId, id: &MediaId, now: UnixMs) -> Result<()> {
    let wanted = tx
        .prepare_cached(
            "UPDATE media SET state = 'wanted', next_at = ?3 \
             WHERE tenant_id = ?1 AND id = ?2 AND state = 'remote' AND eager = 1",
        )?
        .execute(params![tenant.as_str(), id.as_str(), now])?;
    if wanted > 0 {
        tx.wake(Topic::Media);
    }
    Ok(())
}

/// A message that is accepted uses this file: the time it is kept begins again.
pub(super) fn touch(tx: &Tx<'_>, tenant: &TenantId, id: &MediaId, now: UnixMs) -> Result<()> {
    tx.prepare_cached("UPDATE media SET used_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND state = 'stored'")?
        .execute(params![tenant.as_str(), id.as_str(), now])?;
    Ok(())
}

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

fn read(row: &Row<'_>) -> Result<MediaRow> {
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
    use crate::domain::aftermath::Aftermath;
    use crate::domain::clock::Clock;
    use crate::domain::device::Observed;
    use crate::domain::event::{Dropped, Event, EventType};
    use crate::domain::secret::Secret;
    use crate::store::{InboxRow, Lease, NewInboxRow, NewKey, NewTemplate, Observation, StoreSettings, TemplateMedia};
    use crate::telemetry::metrics::Metrics;
    use serde_json::{Value, json};
    use std::sync::Arc;
    use std::time::Duration;

    struct World {
        store: Store,
        tenant: TenantId,
        lease: Lease,
        _folder: tempfile::TempDir,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("folder");
            let settings = StoreSettings {
                path: folder.path().join("test.db"),
                readers: 1,
                batch_time_max: Duration::from_millis(1),
                batch_requests_max: 1,
                instance_id: None,
            };
            let metrics = Arc::new(Metrics::new().expect("metrics"));
            let store = Store::open(&settings, &Secret::new("key"), Clock::manual(1_000), metrics).expect("store");
            let (tenant, lease) = owner(&store, "first").await;
            Self { store, tenant, lease, _folder: folder }
        }

        async fn received(&self, wa_id: &str, eager: bool) -> Option<InboxRow> {
            received(&self.store, &self.tenant, &self.lease, wa_id, eager).await;
            let waiting = self.store.waiting(&self.tenant, Vec::new(), 10).await.expect("waiting");
            waiting.rows.into_iter().next()
        }

        async fn completed(&self, row: &InboxRow, data: Value, dropped: bool, redacted: bool) {
            let device = Some(self.lease.device.clone());
            let mut event = Event::new(self.tenant.clone(), device, EventType::MessageReceived, 1_000, data);
            event.dropped = dropped.then(|| Dropped { by: "a plugin".into(), why: "so".into() });
            let done = self.store.complete_inbound(row, vec![event], Aftermath::default(), redacted).await;
            done.expect("completes");
        }

        async fn states(&self) -> Vec<MediaState> {
            let tenant = self.tenant.clone();
            let ids = self.store.db.read(move |conn| {
                let mut statement = conn.prepare("SELECT id FROM media WHERE tenant_id = ?1")?;
                let ids = statement.query_map([tenant.as_str()], |row| row.get::<_, String>(0))?;
                Ok(ids.collect::<rusqlite::Result<Vec<_>>>()?)
            });
            let mut states = Vec::new();
            for id in ids.await.expect("ids") {
                let id = MediaId::parse(&id).expect("an id");
                states.push(self.store.media(&self.tenant, &id).await.expect("a row").state);
            }
            states
        }
    }

    async fn owner(store: &Store, hash: &str) -> (TenantId, Lease) {
        let key =
            NewKey { name: "key".into(), hash: hash.into(), scopes: vec![], allowed_ips: vec![], expires_at: i64::MAX };
        let tenant = store.create_tenant(TenantId::generate(), "Acme", key).await.expect("tenant").id;
        let device = store.create_device(&tenant, "desk").await.expect("device").id;
        let seen = Observation { status: Observed::Connected, error: None, reconnect_attempts: 0 };
        store.observe_device(&tenant, &device, seen).await.expect("observed");
        let lease = store.acquire_lease(&tenant, &device).await.expect("lease");
        (tenant, lease)
    }

    async fn received(store: &Store, tenant: &TenantId, lease: &Lease, wa_id: &str, eager: bool) {
        let id = MediaId::generate();
        let jid = || "62811@s.whatsapp.net".to_owned();
        let remote = RemoteMedia {
            kind: MediaKind::Image,
            direct_path: "/v/a-secret-path".into(),
            key: vec![7; 32],
            sha256: vec![1; 32],
            sealed_sha256: vec![2; 32],
            size: 9,
            chat: jid(),
            sender: jid(),
            wa_id: wa_id.into(),
            from_me: false,
            is_group: false,
        };
        let media = NewRemoteMedia {
            id: id.clone(),
            mime: "image/png".into(),
            file_name: None,
            dimensions: Dimensions::default(),
            remote,
        };
        let row = NewInboxRow {
            chat: jid(),
            sender: jid(),
            wa_id: wa_id.into(),
            envelope: json!({ "mediaId": id }),
            message: Some(vec![]),
            line: None,
            poll: None,
            vote: None,
            media: Some(media),
        };
        store.record_inbound(tenant, lease, vec![row], eager).await.expect("recorded");
    }

    fn of(row: &InboxRow) -> Value {
        match &row.what {
            super::super::Incoming::Message { envelope, .. } => envelope.clone(),
            super::super::Incoming::Event(_) => Value::Null,
        }
    }

    #[tokio::test]
    async fn a_message_that_comes_twice_has_one_file() {
        let world = World::new().await;
        world.received("3EB0", false).await.expect("a row");

        world.received("3EB0", false).await.expect("the same row");

        assert_eq!(world.states().await, [MediaState::Remote]);
    }

    #[tokio::test]
    async fn an_eager_file_is_wanted_when_its_event_is_committed_and_not_before() {
        let world = World::new().await;
        let row = world.received("3EB0", true).await.expect("a row");
        assert_eq!(world.store.due_downloads(10).await.expect("due").len(), 0);

        world.completed(&row, of(&row), false, false).await;

        let due = world.store.due_downloads(10).await.expect("due");
        assert_eq!((due.len(), due[0].remote.direct_path.as_str()), (1, "/v/a-secret-path"));
        assert_eq!(world.states().await, [MediaState::Wanted]);
    }

    #[tokio::test]
    async fn what_a_tenants_own_file_says_of_its_media_wins() {
        let world = World::new().await;
        let says = r#"{"received":"eager","keep_days":2}"#;
        world
            .store
            .db
            .write(move |tx| Ok(tx.execute("UPDATE tenants SET media = ?1", [says])?))
            .await
            .expect("written");
        let row = world.received("3EB0", false).await.expect("a row");

        world.completed(&row, of(&row), false, false).await;

        assert_eq!(world.states().await, [MediaState::Wanted]);
        world.store.clock().advance(Duration::from_secs(3 * 86_400));
        let old = world.store.unlist_old_media(Some(30 * 86_400_000), 10).await.expect("swept");
        assert_eq!(old.len(), 1, "kept for two days and not for thirty");
    }

    #[tokio::test]
    async fn a_template_holds_its_file_beyond_its_time_and_the_time_begins_anew_when_it_lets_go() {
        let world = World::new().await;
        let id = MediaId::generate();
        world.store.begin_media(&world.tenant, &world.lease.device, &id).await.expect("begun");
        let facts = MediaFacts {
            mime: "image/png".into(),
            file_name: None,
            size: 9,
            sha256: [1; 32],
            dimensions: Dimensions::default(),
        };
        world.store.keep_media(&world.tenant, &id, false, facts, 100).await.expect("kept");
        let media = TemplateMedia { id: id.clone(), kind: MediaKind::Image, file_name: None };
        let new = NewTemplate { name: "offer".into(), text: String::new(), media: Some(media) };
        let template = world.store.create_template(&world.tenant, new, 10).await.expect("a template").id;
        let day = Duration::from_secs(86_400);
        let old = async || world.store.unlist_old_media(Some(30 * 86_400_000), 10).await.expect("swept").len();

        world.store.clock().advance(31 * day);
        assert_eq!(old().await, 0, "it is held");
        assert!(matches!(world.store.unlist_media(&world.tenant, &id).await, Err(StoreError::Conflict(_))));
        world.store.delete_template(&world.tenant, &template).await.expect("deleted");

        world.store.clock().advance(29 * day);
        assert_eq!(old().await, 0, "its time began anew");
        world.store.clock().advance(2 * day);
        assert_eq!(old().await, 1);
    }

    #[tokio::test]
    async fn what_a_plugin_dropped_is_not_fetched_and_what_it_replaced_is_gone() {
        let world = World::new().await;
        let row = world.received("3EB0", true).await.expect("a row");
        world.completed(&row, of(&row), true, false).await;
        assert_eq!(world.states().await, [MediaState::Remote], "dropped");
        let row = world.received("3EB1", true).await.expect("a row");

        world.completed(&row, json!({ "text": "[picture removed]" }), false, true).await;

        assert_eq!(world.states().await, [MediaState::Remote], "the first alone is left");
    }

    #[tokio::test]
    async fn the_files_of_others_are_seen_behind_a_flood_and_an_asked_for_one_comes_first() {
        let world = World::new().await;
        for number in 0..20 {
            received(&world.store, &world.tenant, &world.lease, &format!("3EB0{number}"), true).await;
        }
        let waiting = world.store.waiting(&world.tenant, Vec::new(), 50).await.expect("waiting");
        for row in &waiting.rows {
            world.completed(row, of(row), false, false).await;
        }
        let (other, lease) = owner(&world.store, "second").await;
        received(&world.store, &other, &lease, "3EB0", false).await;
        let waiting = world.store.waiting(&other, Vec::new(), 1).await.expect("waiting");
        let asked = MediaId::parse(of(&waiting.rows[0])["mediaId"].as_str().expect("an id")).expect("an id");

        world.store.want_media(&other, &asked).await.expect("wanted");

        let due = world.store.due_downloads(64).await.expect("due");
        assert_eq!(due[0].row.id, asked);
        assert!((2..=9).contains(&due.len()), "{} of one tenant stand in line", due.len());
    }

    #[tokio::test]
    async fn what_opens_a_file_is_not_readable_in_the_database() {
        let world = World::new().await;
        world.received("3EB0", false).await.expect("a row");
        world.store.close().await;

        let mut disk = Vec::new();
        for entry in std::fs::read_dir(world._folder.path()).expect("folder").flatten() {
            disk.extend(std::fs::read(entry.path()).expect("bytes"));
        }

        assert!(disk.windows(9).any(|window| window == b"image/png"), "the search finds what is there");
        for secret in [&b"a-secret-path"[..], &[7; 32]] {
            assert!(!disk.windows(secret.len()).any(|window| window == secret));
        }
    }
}
