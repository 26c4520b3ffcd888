//! The demo tenant's plugin: a project in Rust as `rijan plugin new` makes it, or one that is named, built with its own
//! toolchain, installed from its file with all that it asks for, and built again when its sources change. What does not build
//! or does not load is told, and the version before serves.

use super::setup::World;
use crate::app::App;
use crate::authoring::{self, BuildError, Built, Language};
use crate::domain::ids::TenantId;
use crate::plugins::settings::PluginSettings;
use crate::plugins::{Plugins, ReloadOutcome, Wanted};
use crate::store::{MANAGED_BY_API, Store};
use anyhow::{Context, Result};
use notify_debouncer_full::notify::RecursiveMode;
use notify_debouncer_full::{DebounceEventResult, new_debouncer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

const NAME: &str = "ping-pong";
/// A save is over when the folder was quiet for so long.
const QUIET: Duration = Duration::from_millis(100);
/// A look without a hint, in case the file system says nothing.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The longest that a build is waited for.
const BUILD_PATIENCE: Duration = Duration::from_secs(300);
/// Files that builds write.
const NOT_SOURCES: [&str; 7] =
    ["target", "node_modules", "__pycache__", "Cargo.lock", "package-lock.json", "go.sum", "bindings"];
/// Files of a project that are looked at; the rest is not.
const SOURCES_MAX: usize = 5_000;

/// What the last build came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    /// How many there were.
    pub(super) builds: u64,
    /// Name, version and hash of what serves.
    pub(super) serving: Option<(String, String, String)>,
    /// Why the last one does not.
    pub(super) refused: Option<String>,
    /// From the source to the answer of the host.
    pub(super) took: Duration,
}

pub(super) struct Demo {
    pub(super) folder: PathBuf,
    /// Whether its files may be edited by a story.
    pub(super) is_ours: bool,
    served: watch::Receiver<Served>,
    watching: AbortHandle,
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

struct Workshop {
    folder: PathBuf,
    tenant: TenantId,
    plugins: Plugins,
    store: Store,
    /// Each build is told on standard output.
    show: bool,
}

type Sources = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Demo {
    /// Makes the project when it is not there, builds and installs it, and goes on watching it. None, with the reason told,
    /// when its toolchain is missing.
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "what the sandbox prints is its output")]
    pub(super) async fn start(
        named: Option<&Path>,
        data: &Path,
        world: &World,
        app: &App,
        show: bool,
    ) -> Result<Option<Self>> {
        let folder = named.map_or_else(|| data.join(NAME), Path::to_path_buf);
        let is_there = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if !is_there {
            authoring::new(NAME, Language::Rust, Some(&folder))?;
        }
        let folder = std::path::absolute(folder)?;
        let (plugins, store) = (app.plugins().clone(), app.store().clone());
        let workshop = Workshop { folder, tenant: TenantId::parse(&world.tenant_id)?, plugins, store, show };
        if show {
            println!("building the plugin in {}", workshop.folder.display());
        }
        let sources = sources(&workshop.folder);
        let first = match workshop.built().await {
            Err(error) if error.downcast_ref::<BuildError>().is_some_and(BuildError::is_missing_tool) => {
                eprintln!("without a plugin: {error}");
                return Ok(None);
            }
            built => workshop.told(1, Served::default(), built),
        };
        let (tell, served) = watch::channel(first);
        let (folder, is_ours) = (workshop.folder.clone(), named.is_none());
        let watching = tokio::spawn(workshop.watch(sources, tell)).abort_handle();
        Ok(Some(Self { folder, is_ours, served, watching }))
    }

    pub(super) fn served(&self) -> Served {
        self.served.borrow().clone()
    }

    /// Waits for a build behind `builds`.
    pub(super) async fn built_after(&self, builds: u64) -> Result<Served> {
        let mut served = self.served.clone();
        let built = tokio::time::timeout(BUILD_PATIENCE, served.wait_for(|served| served.builds > builds)).await;
        Ok(built.context("the plugin was not built")??.clone())
    }

    /// The file to edit, in the languages of the templates.
    pub(super) fn source(&self) -> PathBuf {
        let known = ["src/lib.rs", "plugin.go", "plugin.js", "plugin.py"];
        known.iter().map(|file| self.folder.join(file)).find(|file| file.is_file()).unwrap_or(self.folder.clone())
    }
}

impl Workshop {
    async fn watch(self, mut known: Sources, tell: watch::Sender<Served>) {
        let (hint, mut hints) = mpsc::channel::<()>(1);
        let watcher = new_debouncer(QUIET, None, move |found: DebounceEventResult| {
            // A hint that waits already says the same.
            if found.is_ok() {
                let _ = hint.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the plugin's folder cannot be watched; it is looked at every {LOOK_EVERY:?}");
        }
        loop {
            tokio::select! {
                _ = hints.recv(), if watcher.is_ok() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = sources(&self.folder);
            if now == known {
                continue;
            }
            known = now;
            let before = tell.borrow().clone();
            let built = self.built().await;
            tell.send_replace(self.told(before.builds + 1, before, built));
        }
    }

    /// Builds it and puts it in the place of the one that serves.
    async fn built(&self) -> Result<(Built, Duration)> {
        let began = Instant::now();
        let folder = self.folder.clone();
        // Beside the place that the gateway watches, until it may be found there.
        let next = folder.join(".rijan/next.wasm");
        let output = next.clone();
        let built = tokio::task::spawn_blocking(move || authoring::build(&folder, Some(&output))).await??;
        let (sha256, manifest) = self.plugins.keep(tokio::fs::read(&next).await?).await?;
        let name = manifest.name.as_str();
        let file = self.folder.join(format!("{name}.wasm"));
        // What was set over the API stays; what it asks for is granted.
        let generous = authoring::generous(&manifest);
        let row = self.store.plugin(&self.tenant, name).await.ok();
        let (settings, secrets, trial, serving) = match row {
            Some(row) => (PluginSettings::from_json(&row.settings)?, row.secrets, row.trial, Some(row.sha256)),
            None => (generous.clone(), BTreeMap::new(), None, None),
        };
        let granted = settings.grants == generous.grants;
        let wanted = Wanted {
            name: name.to_owned(),
            managed_by: MANAGED_BY_API.to_owned(),
            enabled: true,
            sha256,
            file: Some(file.display().to_string()),
            settings: PluginSettings { grants: generous.grants, ..settings },
            secrets,
            trial,
        };
        // The file is followed: what a new version asks for has to be granted before it lies there, and the file has to
        // be the new one before it is said to serve.
        if let Some(serving) = serving.filter(|_| !granted) {
            self.plugins.put(&self.tenant, Wanted { sha256: serving, ..wanted.clone() }).await?;
        }
        tokio::fs::rename(&next, &file).await?;
        if let ReloadOutcome::KeptPrevious { reason, .. } = self.plugins.put(&self.tenant, wanted).await? {
            anyhow::bail!(reason);
        }
        Ok((built, began.elapsed()))
    }

    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "what the sandbox prints is its output")]
    fn told(&self, builds: u64, before: Served, built: Result<(Built, Duration)>) -> Served {
        match built {
            Ok((built, took)) => {
                let manifest = &built.component.manifest;
                let (name, version) = (manifest.name.to_string(), manifest.version.clone());
                if self.show {
                    println!("plugin: {name} {version} built in {:.1} s; it serves", took.as_secs_f64());
                }
                Served { builds, serving: Some((name, version, built.component.sha256)), refused: None, took }
            }
            Err(error) => {
                let goes_on = if before.serving.is_some() { "; the version before serves" } else { "" };
                let refused = format!("{error:#}");
                eprintln!("plugin: not taken: {refused}{goes_on}");
                Served { builds, refused: Some(refused), ..before }
            }
        }
    }
}

/// What the files of a project are, without those that builds write.
fn sources(folder: &Path) -> Sources {
    let mut found = Sources::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if name.starts_with('.') || name.ends_with(".wasm") || NOT_SOURCES.contains(&name.as_ref()) {
                continue;
            }
            match entry.metadata() {
                Ok(about) if about.is_dir() => folders.push(path),
                Ok(about) if found.len() < SOURCES_MAX => {
                    found.insert(path, (about.len(), about.modified().ok()));
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_source_is_seen_and_what_builds_write_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("src/lib.rs", "one");
        let before = sources(folder.path());

        for file in ["target/x", ".rijan/next.wasm", "ping-pong.wasm", "Cargo.lock", "node_modules/a/b.js"] {
            write(file, "built");
        }
        let built = sources(folder.path());
        write("src/lib.rs", "another");

        assert_eq!(built, before);
        assert_ne!(sources(folder.path()), before);
    }
}
