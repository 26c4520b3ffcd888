//! The component of a plugin that a file declares: found, read, held against what the file says of it.

use super::declared::{Origin, Plugin};
use crate::plugins::manifest::Manifest;
use crate::plugins::{COMPONENT_BYTES_MAX, Misfit, fit, sha256_hex};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) sha256: String,
    /// Where it is read again when the file changes.
    pub(super) file: Option<String>,
    /// Absent for one that the store keeps.
    pub(super) bytes: Option<Arc<Vec<u8>>>,
    /// Absent while it is not known: the store keeps the component and is not asked, or it does not read.
    pub(super) manifest: Option<Manifest>,
}

/// The components of one plugin.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) component: Component,
    /// The one on trial beside it.
    pub(super) candidate: Option<Component>,
}

impl Found {
    pub(super) fn all(&self) -> impl Iterator<Item = &Component> {
        [Some(&self.component), self.candidate.as_ref()].into_iter().flatten()
    }
}

/// Components that were found so far: a file that many tenants use is read once.
pub(super) struct Components<'a> {
    folder: &'a Path,
    /// What the store keeps of what the files name; `None` when it is not asked.
    kept: Option<&'a BTreeMap<String, Vec<u8>>>,
    files: HashMap<PathBuf, Result<Arc<Vec<u8>>, String>>,
}

impl<'a> Components<'a> {
    pub(super) fn new(folder: &'a Path, kept: Option<&'a BTreeMap<String, Vec<u8>>>) -> Self {
        Self { folder, kept, files: HashMap::new() }
    }

    /// The components of a plugin, as far as they are such, and everything that is wrong: the key within the plugin, and why.
    pub(super) fn find(&mut self, plugin: &Plugin) -> (Option<Found>, Vec<(String, String)>) {
        let (component, mut wrong) = self.find_one(plugin, &plugin.component);
        let Some(origin) = plugin.trial.as_ref().and_then(|trial| trial.candidate.as_ref()) else {
            return (component.map(|component| Found { component, candidate: None }), wrong);
        };
        let (candidate, of_candidate) = self.find_one(plugin, origin);
        wrong.extend(of_candidate.into_iter().map(|(key, why)| match key.as_str() {
            "file" | "sha256" => (format!("candidate.{key}"), why),
            _ => (key, format!("{why} (the candidate)")),
        }));
        let found = component.zip(candidate);
        (found.map(|(component, candidate)| Found { component, candidate: Some(candidate) }), wrong)
    }

    fn find_one(&mut self, plugin: &Plugin, origin: &Origin) -> (Option<Component>, Vec<(String, String)>) {
        let held = |bytes: &[u8], key: &str| {
            let (manifest, misfits) = fit(bytes, &plugin.settings);
            let wrong = |one: Misfit| (one.key.unwrap_or_else(|| key.to_owned()), one.message);
            (manifest, misfits.into_iter().map(wrong).collect())
        };
        match origin {
            Origin::File(file) => {
                let path = self.folder.join(file);
                let read = self.files.entry(path.clone()).or_insert_with(|| read(&path).map(Arc::new));
                let bytes = match read {
                    Ok(bytes) => bytes.clone(),
                    Err(why) => return (None, vec![("file".to_owned(), why.clone())]),
                };
                let (manifest, wrong) = held(&bytes, "file");
                let file = Some(path.display().to_string());
                (Some(Component { sha256: sha256_hex(&bytes), file, bytes: Some(bytes), manifest }), wrong)
            }
            Origin::Kept(sha256) => {
                let (manifest, wrong) = match self.kept.map(|kept| kept.get(sha256)) {
                    Some(Some(bytes)) => held(bytes, "sha256"),
                    Some(None) => (None, vec![("sha256".to_owned(), "the store keeps no such component".to_owned())]),
                    None => (None, Vec::new()),
                };
                (Some(Component { sha256: sha256.clone(), file: None, bytes: None, manifest }), wrong)
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let bytes_max = u64::try_from(COMPONENT_BYTES_MAX).unwrap_or(u64::MAX);
    if std::fs::metadata(path).map_err(unreadable)?.len() > bytes_max {
        return Err(format!("{} has more than {COMPONENT_BYTES_MAX} bytes", path.display()));
    }
    std::fs::read(path).map_err(unreadable)
}
