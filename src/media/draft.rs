//! A file on its way to disk.

use super::file::{SealedReader, SealedWriter, Written};
use super::{KeepError, Media, blocking, facts, folder_of, removed};
use crate::domain::ids::{MediaId, TenantId};
use crate::domain::media::{self, MediaKind, settle_kind, settle_type};
use crate::store::{MediaFacts, MediaKept, MediaRow, StoreError};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};

/// What somebody says of a file.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    pub mime: Option<String>,
    pub file_name: Option<String>,
    /// As what it is to be sent.
    pub kind: Option<MediaKind>,
    /// Of the whole file, where it was announced.
    pub sha256: Option<Vec<u8>>,
    /// Whether a file that is not what it is said to be is kept as what it is: its receiver cannot send another one.
    pub lenient: bool,
}

/// Written piece by piece, then kept. Dropped before that, what was brought by a client goes again; a received one stays
/// wanted, and the next try writes over it.
pub struct Draft {
    media: Media,
    tenant: TenantId,
    id: MediaId,
    writer: Option<SealedWriter>,
    bytes_max: u64,
    /// Whether its row goes with it.
    ours: bool,
}

impl Draft {
    pub(super) async fn begin(
        media: Media,
        tenant: TenantId,
        id: MediaId,
        bytes_max: u64,
        ours: bool,
    ) -> Result<Self, KeepError> {
        let mut draft = Self { media, tenant, id, writer: None, bytes_max, ours };
        draft.reopen().await?;
        Ok(draft)
    }

    /// Begins anew with a file of its own: who still writes to the one before writes to nothing.
    pub async fn reopen(&mut self) -> Result<(), KeepError> {
        let folder = folder_of(&self.media.0.settings.folder, &self.tenant);
        let (path, name) = (folder.join(self.id.as_str()), self.media.name(&self.tenant, &self.id));
        let bytes_max = self.bytes_max;
        let writer = blocking(move || {
            std::fs::create_dir_all(&folder)?;
            removed(&path)?;
            SealedWriter::new(File::create_new(path)?, name, bytes_max)
        });
        self.writer = Some(writer.await?);
        Ok(())
    }

    /// Gives up a received file: what was written of it goes, and its row is as it was.
    pub async fn discard(mut self) -> Result<(), KeepError> {
        self.writer = None;
        let path = self.media.path(&self.tenant, &self.id);
        blocking(move || removed(&path)).await
    }

    pub fn id(&self) -> &MediaId {
        &self.id
    }

    pub async fn write(&mut self, bytes: Bytes) -> Result<(), KeepError> {
        let bytes_max = self.bytes_max;
        let mut writer = self.writer.take().ok_or_else(broken)?;
        let writer = blocking(move || writer.write_all(&bytes).map(|()| writer)).await;
        self.writer = Some(writer.map_err(|error| too_large(error, bytes_max))?);
        Ok(())
    }

    /// The writer, for who writes on a thread of its own; it comes back to [`Draft::put_back`].
    pub fn take_writer(&mut self) -> Result<SealedWriter, KeepError> {
        self.writer.take().ok_or_else(broken)
    }

    pub fn put_back(&mut self, writer: SealedWriter) {
        self.writer = Some(writer);
    }

    /// Holds the file against what is said of it, and keeps it: on disk, and seen by its tenant, when this returns. One that
    /// is not kept is gone by then.
    pub async fn keep(mut self, claim: Claim) -> Result<MediaRow, KeepError> {
        let kept = self.kept(claim).await;
        let ours = std::mem::take(&mut self.ours);
        if kept.is_err() {
            let (media, tenant, id) = (self.media.clone(), self.tenant.clone(), self.id.clone());
            let gone = if ours { media.remove_unlisted(&tenant, &id).await } else { self.discard().await };
            if let Err(error) = gone {
                tracing::warn!(%tenant, %id, %error, "a file that was not kept is still there");
            }
        }
        kept
    }

    async fn kept(&mut self, claim: Claim) -> Result<MediaRow, KeepError> {
        let writer = self.writer.take().ok_or_else(broken)?;
        let folder = folder_of(&self.media.0.settings.folder, &self.tenant);
        let (path, name) = (folder.join(self.id.as_str()), self.media.name(&self.tenant, &self.id));
        let (known, claim, written) = blocking(move || {
            let written = writer.finish()?;
            // The name of a new file is in its folder, which has to reach the disk too.
            File::open(&folder)?.sync_all()?;
            let mut reader = SealedReader::new(File::open(path)?, &name)?;
            let mut beginning = Vec::new();
            (&mut reader).take(facts::BEGINNING_BYTES as u64).read_to_end(&mut beginning)?;
            let found = facts::sniffed(&beginning);
            let settled = match settle_type(claim.mime.as_deref(), found) {
                Err(_) if claim.lenient => Ok(found.unwrap_or("application/octet-stream").to_owned()),
                settled => settled,
            };
            let settled = settled.and_then(|mime| settle_kind(claim.kind, &mime).map(|_| mime));
            let known = settled.map(|mime| {
                let dimensions = facts::dimensions(&mime, &mut reader);
                (mime, dimensions)
            });
            Ok((known, claim, written))
        })
        .await?;
        let (mime, dimensions) = known?;
        let Written { size, sha256 } = written;
        if claim.sha256.is_some_and(|announced| announced != sha256) {
            return Err(KeepError::OtherHash);
        }
        let bytes_max = claim.kind.map_or(self.bytes_max, |kind| kind.bytes_max().min(self.bytes_max));
        if size > bytes_max {
            return Err(KeepError::TooLarge { bytes_max });
        }
        let file_name = claim.file_name.as_deref().and_then(media::file_name);
        let facts = MediaFacts { mime, file_name, size, sha256, dimensions };
        let tenant_bytes_max = self.media.0.settings.tenant_bytes_max;
        let store = &self.media.0.store;
        match store.keep_media(&self.tenant, &self.id, !self.ours, facts, tenant_bytes_max).await? {
            MediaKept::TenantFull => Err(KeepError::TenantFull { bytes_max: tenant_bytes_max }),
            MediaKept::Kept(row) => {
                self.media.stored(i64::try_from(size).unwrap_or(i64::MAX));
                Ok(*row)
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.writer = None;
        let Some(runtime) = tokio::runtime::Handle::try_current().ok().filter(|_| self.ours) else { return };
        let (media, tenant, id) = (self.media.clone(), self.tenant.clone(), self.id.clone());
        runtime.spawn(async move {
            // It may have been kept, and who brought it went without hearing so.
            let gone = match media.delete(&tenant, &id).await {
                Err(KeepError::Store(StoreError::NotFound)) => media.remove_unlisted(&tenant, &id).await,
                other => other,
            };
            if let Err(error) = gone {
                tracing::warn!(%tenant, %id, %error, "a file that was not kept is still there; the next start removes it");
            }
        });
    }
}

fn broken() -> KeepError {
    KeepError::Disk(io::Error::other("the file could not be written before"))
}

fn too_large(error: KeepError, bytes_max: u64) -> KeepError {
    match error {
        KeepError::Disk(error) if error.kind() == ErrorKind::FileTooLarge => KeepError::TooLarge { bytes_max },
        other => other,
    }
}
