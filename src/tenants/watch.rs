//! Applies the files again when one of them changes.
//!
//! What the file system says is only a hint to look; a look now and then finds what it did not say, and a folder that was
//! made later. A file that does not hold is told once, and tried again when it changes.

use super::apply::{Occasion, Tenants};
use notify_debouncer_full::notify::RecursiveMode;
use notify_debouncer_full::{DebounceEventResult, new_debouncer};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A folder that is being written to is left alone until it was quiet for so long.
const QUIET: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Name, size and time of every file: when none of it is another one, nobody wrote.
type Seen = BTreeMap<OsString, (u64, Option<SystemTime>)>;

/// Watches the folder until `stop`. `changed` is called after every change that was applied.
pub async fn run<F: Future<Output = ()>>(tenants: Tenants, changed: impl Fn() -> F, stop: CancellationToken) {
    let (hint, mut hints) = mpsc::channel::<()>(1);
    let watcher = new_debouncer(QUIET, None, move |found: DebounceEventResult| {
        // A hint that waits already says the same.
        if found.is_ok() {
            let _ = hint.try_send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "the folder of tenants cannot be watched; it is looked at every {LOOK_EVERY:?}");
            None
        }
    };
    let folder = tenants.ground().folder.clone();
    let mut is_watched = false;
    let mut seen: Option<Seen> = None;
    while !stop.is_cancelled() {
        if let Some(watcher) = watcher.as_mut().filter(|_| is_watched != folder.is_dir()) {
            is_watched = !is_watched;
            let done = match is_watched {
                true => watcher.watch(&folder, RecursiveMode::NonRecursive),
                false => watcher.unwatch(&folder),
            };
            if let Err(error) = done {
                tracing::warn!(folder = %folder.display(), %error, "the folder of tenants is not watched");
            }
        }
        // Looked at before it is applied: what is written meanwhile is another look's.
        let now = look(&folder);
        if seen.as_ref() != Some(&now) {
            seen = Some(now);
            if let Ok(true) = tenants.apply_and_tell(Occasion::Changed).await {
                changed().await;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = hints.recv(), if watcher.is_some() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn look(folder: &Path) -> Seen {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| {
        // Through links: a mounted folder is made of them.
        let about = std::fs::metadata(entry.path()).ok().filter(std::fs::Metadata::is_file)?;
        Some((entry.file_name(), (about.len(), about.modified().ok())))
    });
    files.collect()
}
