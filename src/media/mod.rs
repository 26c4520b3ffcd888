//! The files of tenants: uploaded to be sent, or received. They lie below one folder, one folder per tenant, sealed.
//!
//! Callers: `api` takes uploads and serves files; `whatsapp` reads what it sends and writes what it fetches; `plugins` read.
//! Promises: a file that was kept is on disk before anybody is told of it; memory does not grow with a file; what a kill
//! leaves half written is gone after the next start; a name from outside never becomes a path (an id does, and an id is 32
//! hex digits); what a tenant stores stays below its cap. Not here: what a file means to a message, and how it comes from WhatsApp.

mod draft;
mod facts;
mod file;

pub use draft::{Claim, Draft};
pub use file::{SealedReader, SealedWriter};

use crate::domain::ids::{DeviceId, MediaId, TenantId};
use crate::domain::media::Mismatch;
use crate::store::{MediaRow, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use file::{Name, PIECE_BYTES};
use futures_util::Stream;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;

#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// Made when it is missing.
    pub folder: PathBuf,
    /// Bytes of one file, uploaded or received; a larger one is refused, or not fetched.
    pub file_bytes_max: u64,
    /// Bytes that a tenant stores; what would be beyond is refused.
    pub tenant_bytes_max: u64,
    /// How long a file is kept after it was last used; `None` is for good.
    pub keep: Option<Duration>,
    /// Whether received files are fetched at once, where a tenant's own file does not say.
    pub eager: bool,
    /// Received files that are fetched at once.
    pub downloads_at_once: usize,
    /// For a file that is named by a URL, from the first look-up to the last byte.
    pub fetch_timeout: Duration,
}

/// Why a file was not kept, named for what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("the file has more than {bytes_max} bytes")]
    TooLarge { bytes_max: u64 },
    #[error("the tenant stores as much media as it may (media.tenant_bytes_max, {bytes_max} bytes); delete some")]
    TenantFull { bytes_max: u64 },
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    #[error("the file has another hash than was announced")]
    OtherHash,
    #[error("the media folder cannot be used")]
    Disk(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Files removed in one turn of the sweep.
const SWEEP_FILES_MAX: u32 = 256;
/// What is made ready to be uploaded to WhatsApp lies here, under keys that only memory knows; empty at a start.
const STAGING: &str = "staging";

/// Cheap to clone.
#[derive(Clone)]
pub struct Media(Arc<Inner>);

struct Inner {
    store: Store,
    settings: MediaSettings,
    metrics: Arc<Metrics>,
}

impl Media {
    /// Makes the folder, and removes what an earlier life of this process left half done.
    pub async fn open(store: Store, settings: MediaSettings, metrics: Arc<Metrics>) -> Result<Self, KeepError> {
        let staging = settings.folder.join(STAGING);
        match std::fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(KeepError::Disk(error)),
            _ => std::fs::create_dir_all(&staging).map_err(KeepError::Disk)?,
        }
        let bytes = store.media_bytes().await?;
        metrics.media_stored_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let media = Self(Arc::new(Inner { store, settings, metrics }));
        for (tenant, id) in media.0.store.unlisted_media().await? {
            media.remove_unlisted(&tenant, &id).await?;
        }
        Ok(media)
    }

    pub fn settings(&self) -> &MediaSettings {
        &self.0.settings
    }

    /// A file that a client brings. Nobody sees it before it is kept; one that is dropped before goes again.
    pub async fn draft(&self, tenant: &TenantId, device: &DeviceId) -> Result<Draft, KeepError> {
        let used = self.0.store.media_use(tenant).await?;
        self.fits(used.bytes.saturating_add(1))?;
        let id = MediaId::generate();
        self.0.store.begin_media(tenant, device, &id).await?;
        Draft::begin(self.clone(), tenant.clone(), id, self.0.settings.file_bytes_max, true).await
    }

    /// The place of a received file that is about to be fetched. Only who was handed its row as due calls this.
    pub async fn fetched(&self, row: &MediaRow) -> Result<Draft, KeepError> {
        let bytes_max = self.0.settings.file_bytes_max;
        if row.size > bytes_max {
            return Err(KeepError::TooLarge { bytes_max });
        }
        let used = self.0.store.media_use(&row.tenant).await?;
        self.fits(used.bytes.saturating_add(row.size))?;
        Draft::begin(self.clone(), row.tenant.clone(), row.id.clone(), self.0.settings.file_bytes_max, false).await
    }

    fn fits(&self, bytes: u64) -> Result<(), KeepError> {
        let bytes_max = self.0.settings.tenant_bytes_max;
        if bytes > bytes_max { Err(KeepError::TenantFull { bytes_max }) } else { Ok(()) }
    }

    /// A stored file, for reading on a thread that may block.
    pub async fn reader(&self, tenant: &TenantId, id: &MediaId) -> Result<SealedReader, KeepError> {
        let (path, name) = (self.path(tenant, id), self.name(tenant, id));
        blocking(move || SealedReader::new(File::open(path)?, &name)).await
    }

    /// The bytes from `from` on, `length` of them, piece by piece. Ends early with an error when the file is damaged.
    pub fn stream(
        reader: SealedReader,
        from: u64,
        length: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        futures_util::stream::try_unfold((reader, from, length), |(mut reader, from, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let read = spawn_blocking(move || {
                let mut piece = vec![0; most];
                reader.seek(SeekFrom::Start(from))?;
                let count = reader.read(&mut piece)?;
                piece.truncate(count);
                Ok::<_, io::Error>((reader, piece))
            });
            let (reader, piece) = read.await.map_err(io::Error::other)??;
            let count = piece.len() as u64;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Ok(Some((Bytes::from(piece), (reader, from + count, left - count))))
        })
    }

    /// Removes a file: nobody sees it any more when this returns.
    pub async fn delete(&self, tenant: &TenantId, id: &MediaId) -> Result<(), KeepError> {
        let freed = self.0.store.unlist_media(tenant, id).await?;
        self.stored(-i64::try_from(freed).unwrap_or(i64::MAX));
        self.remove_unlisted(tenant, id).await
    }

    /// Removes what has had its time and what belongs to deleted tenants.
    pub async fn sweep(&self) -> Result<(), KeepError> {
        let keep_ms = self.0.settings.keep.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX / 2));
        loop {
            let gone = self.0.store.unlist_old_media(keep_ms, SWEEP_FILES_MAX).await?;
            if gone.is_empty() {
                return Ok(());
            }
            for (tenant, id, freed) in gone {
                self.stored(-i64::try_from(freed).unwrap_or(i64::MAX));
                self.remove_unlisted(&tenant, &id).await?;
            }
        }
    }

    /// A new file of its own for what is made ready to be uploaded; whoever asked for it removes it.
    pub fn staging_file(&self) -> PathBuf {
        self.0.settings.folder.join(STAGING).join(hex::encode(rand::random::<[u8; 16]>()))
    }

    async fn remove_unlisted(&self, tenant: &TenantId, id: &MediaId) -> Result<(), KeepError> {
        let path = self.path(tenant, id);
        blocking(move || removed(&path)).await?;
        Ok(self.0.store.forget_media(tenant, id).await?)
    }

    fn stored(&self, bytes: i64) {
        self.0.metrics.media_stored_bytes.add(bytes);
    }

    fn name(&self, tenant: &TenantId, id: &MediaId) -> Name {
        Name { store: self.0.store.clone(), tenant: tenant.clone(), id: id.clone() }
    }

    fn path(&self, tenant: &TenantId, id: &MediaId) -> PathBuf {
        folder_of(&self.0.settings.folder, tenant).join(id.as_str())
    }
}

fn folder_of(root: &Path, tenant: &TenantId) -> PathBuf {
    root.join(tenant.as_str())
}

/// A file that is not there is removed already.
fn removed(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Disk work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, KeepError> {
    spawn_blocking(work).await.map_err(|error| KeepError::Disk(io::Error::other(error)))?.map_err(KeepError::Disk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Clock;
    use crate::domain::secret::Secret;
    use crate::store::{NewKey, StoreSettings};

    struct World {
        media: Media,
        clock: Clock,
        tenant: TenantId,
        device: DeviceId,
        folder: tempfile::TempDir,
    }

    impl World {
        async fn with(keep: Option<Duration>) -> Self {
            let folder = tempfile::tempdir().expect("folder");
            let settings = StoreSettings {
                path: folder.path().join("test.db"),
                readers: 1,
                batch_time_max: Duration::from_millis(1),
                batch_requests_max: 1,
                instance_id: None,
            };
            let (metrics, clock) = (Arc::new(Metrics::new().expect("metrics")), Clock::manual(1_000_000_000_000));
            let store = Store::open(&settings, &Secret::new("key"), clock.clone(), metrics.clone()).expect("store");
            let key = NewKey {
                name: "key".into(),
                hash: "hash".into(),
                scopes: vec![],
                allowed_ips: vec![],
                expires_at: i64::MAX,
            };
            let tenant = store.create_tenant(TenantId::generate(), "Acme", key).await.expect("tenant").id;
            let device = store.create_device(&tenant, "desk").await.expect("device").id;
            let settings = MediaSettings {
                folder: folder.path().join("media"),
                file_bytes_max: 1_000,
                tenant_bytes_max: 10_000,
                keep,
                eager: false,
                downloads_at_once: 1,
                fetch_timeout: Duration::from_secs(1),
            };
            let media = Media::open(store, settings, metrics).await.expect("media");
            Self { media, clock, tenant, device, folder }
        }

        async fn kept(&self, content: &'static [u8]) -> MediaId {
            let mut draft = self.media.draft(&self.tenant, &self.device).await.expect("draft");
            draft.write(Bytes::from_static(content)).await.expect("writes");
            draft.keep(Claim::default()).await.expect("kept").id
        }

        async fn read(&self, id: &MediaId) -> Option<Vec<u8>> {
            let mut reader = self.media.reader(&self.tenant, id).await.ok()?;
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).expect("reads");
            Some(bytes)
        }

        fn files(&self) -> usize {
            let folder = self.folder.path().join("media").join(self.tenant.as_str());
            std::fs::read_dir(folder).map_or(0, |entries| entries.count())
        }
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[tokio::test]
    async fn a_file_that_was_not_used_for_long_enough_goes_and_its_bytes_are_free_again() {
        let world = World::with(Some(30 * DAY)).await;
        let old = world.kept(b"old").await;
        world.clock.advance(20 * DAY);
        let young = world.kept(b"young").await;
        world.clock.advance(11 * DAY);

        world.media.sweep().await.expect("sweeps");

        assert_eq!(world.read(&old).await, None);
        assert_eq!(world.read(&young).await.as_deref(), Some(&b"young"[..]));
        let left = world.media.0.store.media_use(&world.tenant).await.expect("use");
        assert_eq!((left.files, left.bytes, world.files()), (1, 5, 1));
        assert_eq!(world.media.0.metrics.media_stored_bytes.get(), 5);
    }

    #[tokio::test]
    async fn without_a_time_files_are_kept_for_good_unless_their_tenant_is_deleted() {
        let world = World::with(None).await;
        let id = world.kept(b"kept").await;
        world.clock.advance(3_650 * DAY);
        world.media.sweep().await.expect("sweeps");
        assert!(world.read(&id).await.is_some());

        world.media.0.store.delete_tenant(&world.tenant).await.expect("deleted");
        world.media.sweep().await.expect("sweeps");

        assert_eq!(world.files(), 0);
    }

    #[tokio::test]
    async fn a_file_that_is_not_kept_leaves_nothing_behind() {
        let world = World::with(None).await;
        let mut draft = world.media.draft(&world.tenant, &world.device).await.expect("draft");
        draft.write(Bytes::from_static(b"half")).await.expect("writes");
        let id = draft.id().clone();
        assert_eq!(world.files(), 1);

        drop(draft);

        while world.files() > 0 || !world.media.0.store.unlisted_media().await.expect("rows").is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(world.media.0.store.media(&world.tenant, &id).await, Err(StoreError::NotFound)));
    }

    #[tokio::test]
    async fn a_received_file_that_was_taken_away_while_it_came_is_not_kept_and_leaves_no_file() {
        let world = World::with(None).await;
        let id = world.kept(b"once").await;
        let row = world.media.0.store.media(&world.tenant, &id).await.expect("a row");
        let mut draft = world.media.fetched(&row).await.expect("draft");
        draft.write(Bytes::from_static(b"again")).await.expect("writes");
        world.media.delete(&world.tenant, &id).await.expect("deleted");

        let kept = draft.keep(Claim::default()).await;

        assert!(matches!(kept, Err(KeepError::Store(StoreError::NotFound) | KeepError::Disk(_))), "{kept:?}");
        assert_eq!(world.files(), 0);
    }

    #[tokio::test]
    async fn a_claim_that_does_not_hold_is_refused_and_a_lenient_one_is_corrected() {
        let world = World::with(None).await;
        let drafted = async || {
            let mut draft = world.media.draft(&world.tenant, &world.device).await.expect("draft");
            draft.write(Bytes::from_static(b"%PDF-1.7")).await.expect("writes");
            draft
        };
        let claim = || Claim { mime: Some("image/png".into()), ..Claim::default() };

        assert!(matches!(drafted().await.keep(claim()).await, Err(KeepError::Mismatch(_))));
        let other = Claim { mime: None, sha256: Some(vec![0; 32]), ..claim() };
        assert!(matches!(drafted().await.keep(other).await, Err(KeepError::OtherHash)));
        let kept = drafted().await.keep(Claim { lenient: true, ..claim() }).await.expect("kept");
        assert_eq!(kept.mime, "application/pdf");
    }
}
