//! From a project's source to `NAME.wasm`: the world from the manifest, the language's own toolchain, the component checked
//! against the manifest, the manifest put inside.

use super::component::{self, Component, ComponentError, Surface};
use super::contract::World;
use super::project::Language;
use super::toolchain::{ToolError, Toolchain, go, javascript, python, rust};
use crate::plugins::manifest::{self, InvalidManifest, Manifest};
use std::io;
use std::path::{Path, PathBuf};

/// What the build keeps in a project; not in its version control.
pub const FOLDER: &str = ".rijan";

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{} has no {file}: make a project with `rijan plugin new`, or name its folder", .folder.display(), file = manifest::FILE)]
    NoManifest { folder: PathBuf },
    #[error("{}: {reason}", .path.display())]
    Manifest { path: PathBuf, reason: InvalidManifest },
    #[error("{} has none of Cargo.toml, go.mod, package.json, plugin.py: it shows no language", .0.display())]
    NoLanguage(PathBuf),
    #[error("{} has both {first} and {second}: it must be of one language", .folder.display())]
    TwoLanguages { folder: PathBuf, first: &'static str, second: &'static str },
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error("the contract does not read: {0:#}")]
    Contract(anyhow::Error),
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
}

impl BuildError {
    /// Whether the author's machine lacks a toolchain; the text says which, and how to get it.
    pub fn is_missing_tool(&self) -> bool {
        matches!(self, Self::Tool(ToolError::Missing { .. }))
    }
}

/// A component that was built and written.
#[derive(Debug)]
pub struct Built {
    pub language: Language,
    pub file: PathBuf,
    pub component: Component,
}

/// A plugin's project on its way to a component.
pub(super) struct Project<'a> {
    /// Absolute.
    pub folder: &'a Path,
    /// What the build keeps in it.
    pub kept: &'a Path,
    pub manifest: &'a Manifest,
    pub world: &'a World,
}

/// Builds the project in `folder` and writes the component to `output`, or as `NAME.wasm` into the folder.
pub fn build(folder: &Path, output: Option<&Path>) -> Result<Built, BuildError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::File { path, source }
    };
    let folder = &std::path::absolute(folder).map_err(at(folder))?;
    let manifest = read_manifest(folder)?;
    let language = language_of(folder)?;
    let world = World::of(&manifest).map_err(BuildError::Contract)?;
    let kept = folder.join(FOLDER);
    let wit = kept.join("wit/rijan-plugin.wit");
    write(&wit, world.text.as_bytes()).map_err(at(&wit))?;

    let project = Project { folder, kept: &kept, manifest: &manifest, world: &world };
    let toolchain: &dyn Toolchain = match language {
        Language::Rust => &rust::Cargo,
        Language::Go => &go::Go,
        Language::Js => &javascript::Node,
        Language::Python => &python::Python,
    };
    let bytes = toolchain.compile(&project)?;
    let wrong = Surface::of(&bytes)?.against(&manifest);
    if !wrong.is_empty() {
        return Err(ComponentError::Mismatch(wrong).into());
    }
    let bytes = component::with_manifest(bytes, &manifest)?;
    let component = Component::read(&bytes)?;
    let file = output.map_or_else(|| folder.join(format!("{}.wasm", manifest.name)), Path::to_owned);
    replace(&file, &bytes).map_err(at(&file))?;
    Ok(Built { language, file, component })
}

pub(super) fn read_manifest(folder: &Path) -> Result<Manifest, BuildError> {
    let path = folder.join(manifest::FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BuildError::NoManifest { folder: folder.to_owned() });
        }
        Err(source) => return Err(BuildError::File { path, source }),
    };
    Manifest::from_toml(&text).map_err(|reason| BuildError::Manifest { path, reason })
}

fn language_of(folder: &Path) -> Result<Language, BuildError> {
    let mut found = Language::ALL.into_iter().filter(|language| folder.join(language.mark()).is_file());
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(BuildError::NoLanguage(folder.to_owned())),
        (Some(first), Some(second)) => {
            Err(BuildError::TwoLanguages { folder: folder.to_owned(), first: first.mark(), second: second.mark() })
        }
    }
}

/// Writes a file whole: who reads it meanwhile gets the one before.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    write(&part, bytes)?;
    std::fs::rename(&part, path)
}

/// Writes a file and the folders above it, unless it is there with these bytes: what is unchanged is not built again.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)
}
