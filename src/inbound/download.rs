//! Fetches received files that are wanted: because somebody asks for one, or because the tenant wants them all.
//!
//! A wish is a row's state, so it survives a restart, and everybody who waits for a file waits for the same fetch. Those that
//! somebody asked for come first; of one tenant only some are fetched at once, so that nobody waits behind a flood.

use crate::domain::backoff::Backoff;
use crate::domain::ids::{MediaId, TenantId};
use crate::domain::media::MediaFailure;
use crate::media::{Claim, KeepError, Media};
use crate::store::{DueDownload, NotFetched, Store, StoreError, Topic};
use crate::telemetry::metrics::Metrics;
use crate::whatsapp::{Connected, Directory, DownloadError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Rows looked at in one turn.
const DUE_ROWS_MAX: u32 = 64;
/// Files of one tenant that are fetched at once.
const OF_TENANT_MAX: usize = 2;
/// Tries to fetch one file before it is failed.
const ATTEMPTS_MAX: u32 = 5;
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// The shortest pause between two looks at the store that nobody asked for.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until `stop`; what is in hand then is left, and stays wanted.
pub async fn run_downloads(
    store: Store,
    directory: Directory,
    media: Media,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut wanted = store.watch(Topic::Media);
    let mut changes = directory.changes();
    let mut tasks: JoinSet<MediaId> = JoinSet::new();
    let mut in_hand: HashMap<MediaId, TenantId> = HashMap::new();
    while !stop.is_cancelled() {
        let room = media.settings().downloads_at_once.saturating_sub(tasks.len());
        let due = if room > 0 { store.due_downloads(DUE_ROWS_MAX).await } else { Ok(Vec::new()) };
        for due in due.unwrap_or_else(|error| failed(&error)) {
            let of_tenant = in_hand.values().filter(|tenant| **tenant == due.row.tenant).count();
            let full = tasks.len() >= media.settings().downloads_at_once || of_tenant >= OF_TENANT_MAX;
            if full || in_hand.contains_key(&due.row.id) {
                continue;
            }
            let Some(device) = directory.connected_device(&due.row.device) else { continue };
            in_hand.insert(due.row.id.clone(), due.row.tenant.clone());
            let fetch = Fetch { store: store.clone(), media: media.clone(), metrics: metrics.clone() };
            tasks.spawn(async move {
                let id = due.row.id.clone();
                fetch.run(device, due).await;
                id
            });
        }
        let next_at = store.next_download_at().await.unwrap_or_else(|error| failed(&error));
        let wait = next_at.map_or(SWEEP_EVERY, |at| {
            Duration::from_millis(u64::try_from(at - store.clock().now_ms()).unwrap_or(0)).clamp(PAUSE, SWEEP_EVERY)
        });
        tokio::select! {
            () = stop.cancelled() => {}
            () = wanted.changed(), if room > 0 => {}
            _ = changes.changed(), if room > 0 => {}
            Some(ended) = tasks.join_next() => match ended {
                Ok(id) => {
                    in_hand.remove(&id);
                }
                // Which file it was is lost with it: the others go on, and a second fetch of one writes a file of its own.
                Err(error) => {
                    tracing::error!(%error, "a download ended badly");
                    in_hand.clear();
                }
            },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn failed<T: Default>(error: &StoreError) -> T {
    tracing::error!(%error, "wanted media could not be read");
    T::default()
}

struct Fetch {
    store: Store,
    media: Media,
    metrics: Arc<Metrics>,
}

impl Fetch {
    async fn run(&self, device: Connected, due: DueDownload) {
        let began = Instant::now();
        let fetched = self.fetch(&device, &due).await;
        let (named, outcome) = match &fetched {
            Ok(()) => ("done", None),
            Err(error) => {
                tracing::info!(tenant = %due.row.tenant, media = %due.row.id, %error, "a received file was not fetched");
                let outcome = after(error, due.attempts + 1, self.store.clock().now_ms(), rand::random());
                let named = match outcome {
                    NotFetched::Failed(failure) => failure.as_str(),
                    NotFetched::Again { .. } => "failed",
                };
                (named, Some(outcome))
            }
        };
        self.metrics.media_transfer("download", named, began.elapsed());
        let Some(outcome) = outcome else { return };
        if let Err(error) = self.store.settle_download(&due.row.tenant, &due.row.id, outcome).await {
            tracing::error!(media = %due.row.id, %error, "how a download ended could not be written");
        }
    }

    async fn fetch(&self, device: &Connected, due: &DueDownload) -> Result<(), DownloadError> {
        let mut draft = self.media.fetched(&due.row).await.map_err(DownloadError::Keep)?;
        if let Err(error) = device.download(due, &mut draft).await {
            draft.discard().await.map_err(DownloadError::Keep)?;
            return Err(error);
        }
        let claim = Claim {
            mime: Some(due.row.mime.clone()),
            file_name: due.row.file_name.clone(),
            kind: None,
            sha256: Some(due.remote.sha256.clone()),
            lenient: true,
        };
        draft.keep(claim).await.map_err(DownloadError::Keep)?;
        Ok(())
    }
}

/// What follows a try that failed; `attempts` counts it too.
fn after(error: &DownloadError, attempts: u32, now: i64, random: f64) -> NotFetched {
    let failure = match error {
        DownloadError::Expired => MediaFailure::Expired,
        DownloadError::Corrupt | DownloadError::Keep(KeepError::OtherHash | KeepError::Mismatch(_)) => {
            MediaFailure::Corrupt
        }
        DownloadError::TooLarge | DownloadError::Keep(KeepError::TooLarge { .. }) => MediaFailure::TooLarge,
        DownloadError::Keep(KeepError::TenantFull { .. }) => MediaFailure::TenantFull,
        DownloadError::Unreachable(_) | DownloadError::Keep(KeepError::Disk(_) | KeepError::Store(_)) => {
            if attempts < ATTEMPTS_MAX {
                let wait = Backoff::SEND.wait(attempts, random).as_millis();
                return NotFetched::Again { at: now.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)) };
            }
            MediaFailure::Unreachable
        }
    };
    NotFetched::Failed(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_is_tried_again_until_the_attempts_run_out_and_what_is_gone_is_not() {
        let unreachable = DownloadError::Unreachable("no answer".into());
        assert!(matches!(after(&unreachable, 1, 1_000, 0.5), NotFetched::Again { at } if at > 1_000));
        assert_eq!(after(&unreachable, ATTEMPTS_MAX, 0, 0.5), NotFetched::Failed(MediaFailure::Unreachable));
        assert_eq!(after(&DownloadError::Expired, 1, 0, 0.5), NotFetched::Failed(MediaFailure::Expired));
        let full = DownloadError::Keep(KeepError::TenantFull { bytes_max: 1 });
        assert_eq!(after(&full, 1, 0, 0.5), NotFetched::Failed(MediaFailure::TenantFull));
    }
}
