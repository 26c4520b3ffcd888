//! The folder of tenants' files, read as one: what is wrong in any of them is told for all of them.

use super::component::{Components, Found};
use super::declared::{self, Declared};
use crate::domain::correction::{ConfigError, ConfigErrors};
use crate::egress::Egress;
use crate::plugins::manifest::Hook;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes of a tenant's file; a larger one is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;
const EXTENSION: &str = ".toml";

/// What files are read against. Cheap to clone.
#[derive(Clone)]
pub struct Ground {
    pub folder: PathBuf,
    /// Where plugins lie that are named by a relative path.
    pub plugins_folder: PathBuf,
    /// Says which URLs a webhook may have.
    pub egress: Egress,
    /// Where secrets are looked up that a file names by a variable.
    pub environment: fn(&str) -> Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("cannot read the folder of tenants {folder}: {source}; make it readable, or set tenants.folder")]
    Unreadable { folder: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Files(#[from] ConfigErrors),
}

/// A tenant's file with the components of its plugins, in their order.
#[derive(Debug, Clone)]
pub(super) struct TenantFile {
    pub(super) declared: Declared,
    pub(super) components: Vec<Found>,
}

/// What a look at the files alone came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// File and slug of every tenant.
    pub tenants: Vec<(String, String)>,
    /// What only the store of a gateway can tell.
    pub left_to_plan: Vec<String>,
}

/// Checks everything that needs no store. Reads files: not on a runtime thread.
pub fn check(ground: &Ground) -> Result<Checked, FolderError> {
    let mut checked = Checked::default();
    for file in read(ground, None)? {
        let declared = &file.declared;
        checked.tenants.push((declared.file.clone(), declared.slug.to_string()));
        for (plugin, found) in declared.plugins.iter().zip(&file.components) {
            if found.all().any(|component| component.manifest.is_none()) {
                checked.left_to_plan.push(format!(
                    "{}: plugin {:?} names a component by its hash, which \"rijan config plan\" checks",
                    declared.file,
                    plugin.name.as_str()
                ));
            }
        }
    }
    Ok(checked)
}

/// Hashes of components that the files name, so that they can be fetched before [`read`]. Files that do not read name none.
pub(super) fn named_hashes(ground: &Ground) -> Result<BTreeSet<String>, FolderError> {
    let mut hashes = BTreeSet::new();
    for (_, path) in files(&ground.folder)? {
        let table: Option<toml::Table> = text(&path).ok().and_then(|text| text.parse().ok());
        let plugins = table.as_ref().and_then(|table| table.get("plugins")).and_then(toml::Value::as_array);
        let named = plugins.into_iter().flatten().flat_map(|plugin| {
            let candidate = plugin.get("candidate").and_then(|candidate| candidate.get("sha256"));
            plugin.get("sha256").into_iter().chain(candidate).filter_map(toml::Value::as_str)
        });
        hashes.extend(named.map(str::to_owned));
    }
    Ok(hashes)
}

/// Reads every file. `kept` are components by hash, as the store has them; `None` leaves those alone.
pub(super) fn read(ground: &Ground, kept: Option<&BTreeMap<String, Vec<u8>>>) -> Result<Vec<TenantFile>, FolderError> {
    let mut errors = Vec::new();
    let mut components = Components::new(&ground.plugins_folder, kept);
    let mut tenants: Vec<TenantFile> = Vec::new();
    for (name, path) in files(&ground.folder)? {
        let mut wrong = |key: String, message: String| {
            errors.push(ConfigError { key, message, source: Some(name.clone()) });
        };
        let text = match text(&path) {
            Ok(text) => text,
            Err(why) => {
                wrong(name.clone(), why);
                continue;
            }
        };
        let declared = declared::read(&name, &text, &ground.folder, &ground.environment, &ground.egress);
        let declared = match declared {
            Ok(declared) => declared,
            Err(ConfigErrors(found)) => {
                errors.extend(found);
                continue;
            }
        };
        if let Some(other) = tenants.iter().find(|other| other.declared.slug == declared.slug) {
            wrong("slug".to_owned(), format!("is {:?}, as in {}", declared.slug.as_str(), other.declared.file));
        }
        let mut found = Vec::with_capacity(declared.plugins.len());
        for (index, plugin) in declared.plugins.iter().enumerate() {
            let (component, all) = components.find(plugin);
            all.into_iter().for_each(|(key, why)| wrong(format!("plugins[{index}].{key}"), why));
            found.extend(component);
        }
        if found.len() == declared.plugins.len() {
            for (index, message) in formats_that_do_not_fit(&declared, &found) {
                wrong(format!("webhooks[{index}].format"), message);
            }
            tenants.push(TenantFile { declared, components: found });
        }
    }
    if errors.is_empty() { Ok(tenants) } else { Err(ConfigErrors(errors).into()) }
}

/// Webhooks whose format names a plugin that shapes nothing.
fn formats_that_do_not_fit(declared: &Declared, components: &[Found]) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    for (index, webhook) in declared.webhooks.iter().enumerate() {
        let Some(format) = &webhook.format else { continue };
        let plugin = declared.plugins.iter().zip(components).find(|(plugin, _)| plugin.name == *format);
        let Some((plugin, Some(manifest))) = plugin.map(|(plugin, found)| (plugin, &found.component.manifest)) else {
            continue;
        };
        if plugin.trial.as_ref().is_some_and(|trial| trial.candidate.is_none()) {
            wrong.push((
                index,
                format!("names the plugin {:?}, which is on trial and shapes nothing yet", format.as_str()),
            ));
        } else if !plugin.settings.hooks(manifest).contains(&Hook::Webhook) {
            wrong.push((index, format!("names the plugin {:?}, which has no webhook hook in use", format.as_str())));
        }
    }
    wrong
}

/// Name and path of every tenant's file, by name. A folder that is not there has none.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, FolderError> {
    let unreadable = |source| FolderError::Unreadable { folder: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Editors leave hidden files and folders beside what they write.
        if name.ends_with(EXTENSION) && !name.starts_with('.') && entry.path().is_file() {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

fn text(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(format!("has more than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::declared::tests::egress;

    fn ground(folder: &Path) -> Ground {
        let plugins_folder = folder.join("plugins");
        Ground { folder: folder.to_owned(), plugins_folder, egress: egress(), environment: |_| None }
    }

    #[test]
    fn errors_of_all_files_come_together_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("write");
        write("a.toml", "name = 7\n");
        write("b.toml", "name = \"B\"\nslug = \"same\"\n[[plugins]]\nname = \"p\"\nfile = \"none.wasm\"\n");
        write("c.toml", "name = \"C\"\nslug = \"same\"\n");
        write("d.toml", "name = \"D\"\nslug = \"same\"\n");
        write("e.txt", "no tenant");
        write(".f.toml", "no tenant");

        let told = check(&ground(folder.path())).expect_err("refused").to_string();

        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 3, "{told}");
        assert_eq!(lines[0], "name: must be a text (from a.toml)");
        assert!(lines[1].starts_with("plugins[0].file: ") && lines[1].contains("none.wasm cannot be read"), "{told}");
        assert_eq!(lines[2], "slug: is \"same\", as in c.toml (from d.toml)");
    }

    #[test]
    fn a_folder_that_is_not_there_declares_nothing_and_a_file_in_its_place_is_an_error() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(check(&ground(&folder.path().join("none"))).expect("nothing"), Checked::default());

        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("write");
        assert!(matches!(check(&ground(&file)), Err(FolderError::Unreadable { .. })));
    }
}
