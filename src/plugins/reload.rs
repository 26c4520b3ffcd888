//! Files that plugins come from: when one changes, its plugins are reloaded.
//!
//! What the file system says is only a hint to look; a look now and then finds what it did not say. A file is read when its
//! size or time is another one; a component that was refused is not tried again until the file changes once more.

use super::component::sha256_hex;
use super::registry::{KeepError, Plugins, PluginsError, ReloadOutcome};
use crate::domain::ids::TenantId;
use crate::store::{StoreError, Topic};
use notify_debouncer_full::notify::RecursiveMode;
use notify_debouncer_full::{DebounceEventResult, new_debouncer};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A file that is being written is left alone until it was quiet for so long.
const QUIET: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[derive(PartialEq, Eq, Clone, Copy)]
struct Seen {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// A plugin, and whether it is its candidate's file.
type Key = (TenantId, String, bool);

/// Watches the files until `stop`, and gives back the memory of instances that nobody needs.
pub async fn run(plugins: Plugins, stop: CancellationToken) {
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
            tracing::warn!(%error, "plugin files cannot be watched; they are looked at every {LOOK_EVERY:?}");
            None
        }
    };
    let mut watched: BTreeSet<PathBuf> = BTreeSet::new();
    let mut seen: HashMap<Key, Seen> = HashMap::new();
    let mut changes = plugins.store().watch(Topic::Plugins);
    while !stop.is_cancelled() {
        match look(&plugins, &mut seen).await {
            Ok(folders) => {
                if let Some(watcher) = &mut watcher {
                    for gone in watched.difference(&folders).cloned().collect::<Vec<_>>() {
                        let _ = watcher.unwatch(&gone);
                        watched.remove(&gone);
                    }
                    for new in folders.difference(&watched).cloned().collect::<Vec<_>>() {
                        match watcher.watch(&new, RecursiveMode::NonRecursive) {
                            Ok(()) => {
                                watched.insert(new);
                            }
                            Err(error) => tracing::warn!(folder = %new.display(), %error, "cannot watch plugin files"),
                        }
                    }
                }
            }
            Err(error) => tracing::error!(%error, "plugin files were not looked at"),
        }
        plugins.drop_idle();
        if let Err(error) = plugins.count_kv().await {
            tracing::error!(%error, "what plugins keep was not counted");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = hints.recv(), if watcher.is_some() => {}
            () = changes.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Reloads what changed; returns the folders of all files.
async fn look(plugins: &Plugins, seen: &mut HashMap<Key, Seen>) -> Result<BTreeSet<PathBuf>, StoreError> {
    let mut folders = BTreeSet::new();
    let files = plugins.store().plugin_files().await?;
    seen.retain(|(tenant, name, is_candidate), _| {
        files.iter().any(|file| (&file.tenant, &file.name, &file.is_candidate) == (tenant, name, is_candidate))
    });
    for file in files {
        let path = Path::new(&file.path);
        // The watcher wants a folder that is there.
        folders.extend(path.parent().filter(|folder| folder.is_dir()).map(Path::to_path_buf));
        let Ok(about) = tokio::fs::metadata(path).await else { continue };
        let now = Seen { bytes: about.len(), modified: about.modified().ok() };
        let key = (file.tenant.clone(), file.name.clone(), file.is_candidate);
        if seen.get(&key) == Some(&now) {
            continue;
        }
        seen.insert(key, now);
        reload(plugins, &file.tenant, &file.name).await;
    }
    Ok(folders)
}

impl Plugins {
    /// Looks at a plugin's files now, whether or not they seem to have changed: that of what serves, and its candidate's.
    pub async fn reload(&self, tenant: &TenantId, name: &str) -> Result<ReloadOutcome, PluginsError> {
        let row = self.store().plugin(tenant, name).await?;
        let candidate = row.trial.and_then(|trial| trial.candidate).and_then(|one| Some((one.file?, one.sha256)));
        if row.file.is_none() && candidate.is_none() {
            return Err(PluginsError::NoFile(name.to_owned()));
        }
        let mut outcome = ReloadOutcome::Unchanged;
        let serving = row.file.map(|file| (file, row.sha256));
        for ((path, sha256), is_candidate) in
            serving.map(|one| (one, false)).into_iter().chain(candidate.map(|one| (one, true)))
        {
            match self.read_again(tenant, name, &path, &sha256, is_candidate).await? {
                ReloadOutcome::Unchanged => {}
                other if outcome == ReloadOutcome::Unchanged || matches!(other, ReloadOutcome::KeptPrevious { .. }) => {
                    outcome = other;
                }
                _ => {}
            }
        }
        Ok(outcome)
    }

    async fn read_again(
        &self,
        tenant: &TenantId,
        name: &str,
        path: &str,
        sha256: &str,
        is_candidate: bool,
    ) -> Result<ReloadOutcome, PluginsError> {
        let refused = match tokio::fs::read(path).await {
            Ok(bytes) if sha256_hex(&bytes) == sha256 => return Ok(ReloadOutcome::Unchanged),
            Ok(bytes) => match self.keep(bytes).await {
                Ok((sha256, _)) if is_candidate => return self.replace_candidate(tenant, name, &sha256).await,
                Ok((sha256, _)) => return self.replace_component(tenant, name, &sha256).await,
                Err(KeepError::NotAPlugin(reason)) => reason.to_string(),
                Err(KeepError::Store(error)) => return Err(error.into()),
            },
            Err(error) => {
                tracing::warn!(%tenant, plugin = name, file = path, %error, "a plugin's file does not read");
                // Where it lies is the operator's business.
                format!("its file does not read: {}", error.kind())
            }
        };
        let refused = if is_candidate { format!("the candidate: {refused}") } else { refused };
        self.tell_refused(tenant, name, &refused).await?;
        Ok(ReloadOutcome::KeptPrevious { plugin: name.to_owned(), reason: refused })
    }
}

async fn reload(plugins: &Plugins, tenant: &TenantId, name: &str) {
    match plugins.reload(tenant, name).await {
        Ok(ReloadOutcome::Swapped) => tracing::info!(%tenant, plugin = name, "a plugin was reloaded"),
        Ok(ReloadOutcome::Unchanged) => {}
        Ok(ReloadOutcome::KeptPrevious { reason, .. }) => {
            tracing::warn!(%tenant, plugin = name, reason, "a plugin's new version was refused; the one before serves");
        }
        Err(error) => tracing::error!(%tenant, plugin = name, %error, "a plugin was not reloaded"),
    }
}
