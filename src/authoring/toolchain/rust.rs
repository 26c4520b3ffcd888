//! Rust: cargo for `wasm32-wasip2`. The SDK's macros say which hooks are exported, and rustc's linker makes the component.
//!
//! The SDK comes with the gateway and needs nothing else: its bindings are generated beforehand and checked in, so that a
//! project builds where no registry is reached.

use super::{ToolError, Toolchain, need, output};
use crate::authoring::build::{self, Project};
use serde::Deserialize;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";
/// Where a project made by `new` finds the SDK.
const SDK_FOLDER: &str = "rijan-plugin";

macro_rules! sdk {
    ($($file:literal),+ $(,)?) => { &[$(($file, include_str!(concat!("../../../plugins/sdk/", $file)))),+] };
}
const SDK: &[(&str, &str)] = sdk![
    "Cargo.toml",
    "src/bindings/imports.rs",
    "src/bindings/inbound.rs",
    "src/bindings/lifecycle.rs",
    "src/bindings/mod.rs",
    "src/bindings/outbound.rs",
    "src/bindings/scheduled.rs",
    "src/bindings/webhook.rs",
    "src/config.rs",
    "src/error.rs",
    "src/export.rs",
    "src/hooks.rs",
    "src/imports.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/message.rs",
    "src/rt.rs",
];

/// Writes the SDK of this gateway's version into what a project keeps.
pub(in super::super) fn write_sdk(kept: &Path) -> io::Result<()> {
    SDK.iter().try_for_each(|(file, text)| build::write(&kept.join(SDK_FOLDER).join(file), text.as_bytes()))
}

pub(in super::super) struct Cargo;

impl Toolchain for Cargo {
    fn compile(&self, project: &Project<'_>) -> Result<Vec<u8>, ToolError> {
        let cargo = need("cargo", "install Rust from https://rustup.rs")?;
        need_target(project.folder)?;
        if uses_own_copy(project.folder)? {
            let at = |source| ToolError::File { path: project.kept.to_owned(), source };
            write_sdk(project.kept).map_err(at)?;
        }
        let printed = output(
            Command::new(&cargo)
                .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
                .current_dir(project.folder)
                .env_remove("RUSTFLAGS")
                .env("CARGO_ENCODED_RUSTFLAGS", same_everywhere(&cargo, project.folder)?),
        )?;
        super::read(&library_of(project.folder, &printed)?)
    }
}

fn need_target(folder: &Path) -> Result<(), ToolError> {
    let rustc = need("rustc", "install Rust from https://rustup.rs")?;
    let libraries =
        output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).current_dir(folder))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    Err(ToolError::Missing {
        tool: "the Rust target wasm32-wasip2",
        install: "run `rustup target add wasm32-wasip2` in the project's folder",
    })
}

/// Whether the project builds on the SDK that `new` put into it, and not on one beside it.
fn uses_own_copy(folder: &Path) -> Result<bool, ToolError> {
    let path = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|source| ToolError::File { path, source })?;
    Ok(text.contains(&format!("{}/{SDK_FOLDER}", build::FOLDER)))
}

/// Compiler flags that keep the paths of this machine out of the component, so that the same source gives the same bytes
/// on every machine.
fn same_everywhere(cargo: &Path, folder: &Path) -> Result<OsString, ToolError> {
    let manifest = output(
        Command::new(cargo).args(["locate-project", "--workspace", "--message-format=plain"]).current_dir(folder),
    )?;
    let workspace = Path::new(manifest.trim()).parent().unwrap_or(folder).to_owned();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let mut flags = OsString::new();
    for (from, to) in [(home, "/cargo"), (Some(workspace), "/plugin")] {
        let Some(from) = from else { continue };
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

/// One line of what cargo prints for programs.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Printed {
    CompilerArtifact {
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

fn library_of(folder: &Path, printed: &str) -> Result<PathBuf, ToolError> {
    let own = folder.join("Cargo.toml");
    printed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|line| match line {
            Printed::CompilerArtifact { manifest_path, filenames } if same_file(&manifest_path, &own) => {
                Some(filenames)
            }
            _ => None,
        })
        .flatten()
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .ok_or_else(|| {
            ToolError::Unexpected("cargo built no .wasm: Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`".into())
        })
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authoring::contract::{self, LIFECYCLE, TYPES, WIT};
    use crate::plugins::manifest::{Hook, Import};
    use wit_bindgen_core::WorldGenerator as _;
    use wit_bindgen_rust::{Opts, WithOption};

    /// The bindings of a world with these items, as the SDK has them in `bindings/NAME.rs`.
    fn bindings(name: &str, items: &str) -> String {
        let imports = name == "imports";
        let mut resolve = wit_parser::Resolve::default();
        resolve.push_str("rijan-plugin.wit", WIT).expect("the contract");
        let world = format!("package rijan:sdk;\nworld {name} {{ {items} }}");
        let package = resolve.push_str("sdk.wit", &world).expect("a world");
        let id = resolve.select_world(&[package], Some(name)).expect("the world");
        let types = WithOption::Path(format!("crate::bindings::imports::rijan::plugin::{TYPES}"));
        let options = Opts {
            runtime_path: Some("crate::rt".into()),
            pub_export_macro: !imports,
            export_macro_name: Some(format!("__export_{name}")),
            default_bindings_module: Some(format!("$crate::bindings::{name}")),
            generate_unused_types: true,
            generate_all: imports,
            with: if imports { vec![] } else { vec![(contract::interface(TYPES), types)] },
            ..Default::default()
        };
        let mut files = wit_bindgen_core::Files::default();
        options.build().generate(&mut resolve, id, &mut files).expect("bindings");
        let (_, bytes) = files.iter().next().expect("one file");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    #[test]
    fn the_sdks_bindings_are_those_of_the_contract() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk/src/bindings");
        let import = |import: &Import| format!("import {};", contract::interface(import.as_str()));
        let imports = Import::ALL.iter().map(import).collect::<String>();
        let hooks = Hook::ALL.iter().map(|hook| hook.as_str()).chain([LIFECYCLE]);
        let exports = hooks.map(|hook| (hook, format!("export {};", contract::interface(hook))));

        let mut changed = Vec::new();
        for (name, items) in exports.chain([("imports", imports)]) {
            let file = folder.join(name).with_extension("rs");
            let text = bindings(name, &items);
            if std::fs::read_to_string(&file).is_ok_and(|there| there == text) {
                continue;
            }
            std::fs::write(&file, text).expect("written");
            changed.push(file);
        }

        assert!(changed.is_empty(), "these were out of date, and are written anew: {changed:?}");
    }

    #[test]
    fn every_source_of_the_sdk_is_carried() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk");
        let mut there = vec!["Cargo.toml".to_owned()];
        for folder in ["src", "src/bindings"] {
            let entries = sdk.join(folder).read_dir().expect("a folder").map(|entry| entry.expect("an entry"));
            let files = entries.filter(|entry| entry.path().is_file());
            there.extend(files.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())));
        }

        there.sort();

        assert_eq!(there, SDK.iter().map(|(file, _)| (*file).to_owned()).collect::<Vec<_>>());
    }
}
