//! Files at WhatsApp: where one lies that came with a message, until it is here, and where one lies that was uploaded, so that a
//! repeat uploads nothing. What opens them is sealed.

use super::media::{COLUMNS, CORRUPT, MediaRow, read};
use super::{Result, Store, Topic, Tx};
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, MediaId, TenantId};
use crate::domain::media::{Dimensions, MediaFailure, MediaKind, RemoteMedia, UploadedMedia};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// What of the vault seals descriptors.
const PURPOSE: &str = "media";

impl Store {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::aftermath::Aftermath;
    use crate::domain::event::{Dropped, Event, EventType};
    use crate::store::world::{World, owner, picture};
    use crate::store::{InboxRow, Incoming, MediaState};
    use serde_json::{Value, json};
    use std::time::Duration;

    impl World {
        /// The first row that waits, when this one has come too.
        async fn came(&self, wa_id: &str, eager: bool) -> Option<InboxRow> {
            picture(&self.store, &self.tenant, &self.lease, wa_id, eager).await;
            let waiting = self.store.waiting(&self.tenant, Vec::new(), 10).await.expect("waiting");
            waiting.rows.into_iter().next()
        }

        async fn done(&self, row: &InboxRow, data: Value, dropped: bool, redacted: bool) {
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

    fn of(row: &InboxRow) -> Value {
        match &row.what {
            Incoming::Message { envelope, .. } => envelope.clone(),
            Incoming::Event(_) => Value::Null,
        }
    }

    #[tokio::test]
    async fn a_message_that_comes_twice_has_one_file() {
        let world = World::new().await;
        world.came("3EB0", false).await.expect("a row");

        world.came("3EB0", false).await.expect("the same row");

        assert_eq!(world.states().await, [MediaState::Remote]);
    }

    #[tokio::test]
    async fn an_eager_file_is_wanted_when_its_event_is_committed_and_not_before() {
        let world = World::new().await;
        let row = world.came("3EB0", true).await.expect("a row");
        assert_eq!(world.store.due_downloads(10).await.expect("due").len(), 0);

        world.done(&row, of(&row), false, false).await;

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
        let row = world.came("3EB0", false).await.expect("a row");

        world.done(&row, of(&row), false, false).await;

        assert_eq!(world.states().await, [MediaState::Wanted]);
        world.store.clock().advance(Duration::from_secs(3 * 86_400));
        let old = world.store.unlist_old_media(Some(30 * 86_400_000), 10).await.expect("swept");
        assert_eq!(old.len(), 1, "kept for two days and not for thirty");
    }

    #[tokio::test]
    async fn what_a_plugin_dropped_is_not_fetched_and_what_it_replaced_is_gone() {
        let world = World::new().await;
        let row = world.came("3EB0", true).await.expect("a row");
        world.done(&row, of(&row), true, false).await;
        assert_eq!(world.states().await, [MediaState::Remote], "dropped");
        let row = world.came("3EB1", true).await.expect("a row");

        world.done(&row, json!({ "text": "[picture removed]" }), false, true).await;

        assert_eq!(world.states().await, [MediaState::Remote], "the first alone is left");
    }

    #[tokio::test]
    async fn the_files_of_others_are_seen_behind_a_flood_and_an_asked_for_one_comes_first() {
        let world = World::new().await;
        for number in 0..20 {
            picture(&world.store, &world.tenant, &world.lease, &format!("3EB0{number}"), true).await;
        }
        let waiting = world.store.waiting(&world.tenant, Vec::new(), 50).await.expect("waiting");
        for row in &waiting.rows {
            world.done(row, of(row), false, false).await;
        }
        let (other, lease) = owner(&world.store, "second").await;
        picture(&world.store, &other, &lease, "3EB0", false).await;
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
        world.came("3EB0", false).await.expect("a row");
        world.store.close().await;

        let mut disk = Vec::new();
        for entry in std::fs::read_dir(world.folder.path()).expect("folder").flatten() {
            disk.extend(std::fs::read(entry.path()).expect("bytes"));
        }

        assert!(disk.windows(9).any(|window| window == b"image/png"), "the search finds what is there");
        for secret in [&b"a-secret-path"[..], &[7; 32]] {
            assert!(!disk.windows(secret.len()).any(|window| window == secret));
        }
    }
}
