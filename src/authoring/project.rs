//! A new plugin project: the files of `plugins/templates/`, with its name in them.

use super::build;
use super::contract::World;
use super::toolchain::{go, rust};
use crate::plugins::manifest::{Hook, InvalidName, PluginName};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The languages that a project can be in. A project shows its own by a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    Rust,
    Go,
    Js,
    Python,
}

#[derive(Debug, thiserror::Error)]
pub enum NewError {
    #[error("the name {name:?} {reason}")]
    Name { name: String, reason: InvalidName },
    #[error("{} is there and not empty: give another folder with --path", .0.display())]
    NotEmpty(PathBuf),
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Language {
    pub const ALL: [Self; 4] = [Self::Rust, Self::Go, Self::Js, Self::Python];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Js => "js",
            Self::Python => "python",
        }
    }

    /// The file in a project's folder that tells its language.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Go => "go.mod",
            Self::Js => "package.json",
            Self::Python => "plugin.py",
        }
    }

    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Rust => RUST,
            Self::Go => GO,
            Self::Js => JS,
            Self::Python => PYTHON,
        }
    }
}

/// Where the name of the project stands in the templates.
const PLACEHOLDER: &str = "new-plugin";

macro_rules! template {
    ($language:literal: $($file:literal $(as $name:literal)?),+ $(,)?) => {
        &[$((name!($file $(, $name)?), include_str!(concat!("../../plugins/templates/", $language, "/", $file)))),+]
    };
}
macro_rules! name {
    ($file:literal) => {
        $file
    };
    ($file:literal, $name:literal) => {
        $name
    };
}

const RUST: &[(&str, &str)] = template!("rust":
    "rijan-plugin.toml", "Cargo.toml", "src/lib.rs", "tests/ping.json", "README.md", "gitignore" as ".gitignore");
const GO: &[(&str, &str)] = template!("go":
    "rijan-plugin.toml", "go.mod", "plugin.go", "tests/ping.json", "README.md", "gitignore" as ".gitignore");
const JS: &[(&str, &str)] = template!("js":
    "rijan-plugin.toml", "package.json", "plugin.js", "tests/ping.json", "README.md", "gitignore" as ".gitignore");
const PYTHON: &[(&str, &str)] = template!("python":
    "rijan-plugin.toml", "plugin.py", "requirements.txt", "tests/ping.json", "README.md", "gitignore" as ".gitignore");

/// Makes the project, in `folder` or in a new one of its name, and gives the folder.
pub fn new(name: &str, language: Language, folder: Option<&Path>) -> Result<PathBuf, NewError> {
    let name = PluginName::parse(name).map_err(|reason| NewError::Name { name: name.to_owned(), reason })?;
    let folder = folder.unwrap_or(Path::new(name.as_str())).to_owned();
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(NewError::NotEmpty(folder));
    }
    for (file, text) in language.files() {
        write(&folder.join(file), &text.replace(PLACEHOLDER, name.as_str()))?;
    }
    // So that an editor understands the source before the first build.
    let kept = folder.join(build::FOLDER);
    match language {
        Language::Rust => rust::write_sdk(&kept),
        Language::Go => {
            let world = World::with(&BTreeSet::new(), &BTreeSet::from([Hook::Inbound.as_str()]));
            world.map_err(io::Error::other).and_then(|world| go::write_sdk(&kept, &world))
        }
        Language::Js | Language::Python => Ok(()),
    }
    .map_err(|source| NewError::Write { path: kept, source })?;
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    build::write(path, text.as_bytes()).map_err(|source| NewError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::manifest::{self, Manifest};

    #[test]
    fn every_template_has_a_manifest_that_reads_and_a_fixture_that_reads() {
        for language in Language::ALL {
            let folder = tempfile::tempdir().expect("a folder");

            let project = new("my-first", language, Some(folder.path())).expect("made");

            let text = std::fs::read_to_string(project.join(manifest::FILE)).expect("a manifest");
            assert_eq!(Manifest::from_toml(&text).expect("reads").name.as_str(), "my-first");
            assert!(project.join(language.mark()).is_file(), "{language:?}");
            assert!(project.join(".gitignore").is_file());
            let fixture = std::fs::read_to_string(project.join("tests/ping.json")).expect("a fixture");
            assert_eq!(crate::authoring::fixture::Fixture::parse(&fixture).expect("reads").steps.len(), 2);
        }
    }

    #[test]
    fn a_bad_name_and_a_folder_with_something_in_it_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("mine"), "kept").expect("written");

        let bad = new("My Plugin", Language::Go, Some(&folder.path().join("other"))).expect_err("refused").to_string();
        let full = new("fine", Language::Go, Some(folder.path())).expect_err("refused").to_string();

        assert!(bad.contains("\"My Plugin\" must be 1 to 63 lower case letters"), "{bad}");
        assert!(full.contains("--path"), "{full}");
    }
}
