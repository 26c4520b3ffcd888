//! Python: `componentize-py` from PyPI, from the project's environment, the search path, or installed for the project.

use super::{ToolError, Toolchain, find, need, run};
use crate::authoring::build::Project;
use crate::authoring::component::ComponentError;
use crate::authoring::contract::WORLD;
use crate::plugins::manifest;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that the templates and the examples are tested with.
const PACKAGE: &str = "componentize-py==0.25.1";
const PROGRAM: &str = "componentize-py";

pub(in super::super) struct Python;

impl Toolchain for Python {
    fn compile(&self, project: &Project<'_>) -> Result<Vec<u8>, ToolError> {
        let program = program(project)?;
        let output = project.kept.join("component.wasm");
        let mut command = Command::new(program);
        command
            .arg("-d")
            .arg(project.kept.join("wit"))
            .args(["-w", WORLD, "componentize", "--stub-wasi", "plugin", "-o"])
            .arg(&output)
            .env("RUST_BACKTRACE", "0")
            .current_dir(project.folder);
        let told = super::told(&mut command)?;
        if let Some(told) = told {
            let wrong = mismatches(&told.standard_error);
            return Err(if wrong.is_empty() { told.into() } else { ComponentError::Mismatch(wrong).into() });
        }
        super::read(&output)
    }
}

fn program(project: &Project<'_>) -> Result<PathBuf, ToolError> {
    let own = |folder: &Path| folder.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(PROGRAM);
    let kept = project.kept.join("python");
    let places = [Some(own(&project.folder.join(".venv"))), find(PROGRAM), Some(own(&kept))];
    if let Some(there) = places.into_iter().flatten().find(|path| path.is_file()) {
        return Ok(there);
    }
    let python = need("python3", "install Python 3.10 or newer from https://python.org")?;
    run(Command::new(python).args(["-m", "venv"]).arg(&kept))?;
    let pip = own(&kept).with_file_name("pip");
    run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]))?;
    Ok(own(&kept))
}

/// What Python says of a source that does not keep to its manifest, as the other languages' builds say it. The bindings
/// hold only what the manifest names, so it shows as a name that is not there.
fn mismatches(printed: &str) -> Vec<String> {
    let quoted = |line: &str, before: &str| {
        let name = line.split_once(before)?.1.split_once('\'')?.0;
        Some(name.to_lowercase().replace('_', "-"))
    };
    let mut wrong = BTreeSet::new();
    for line in printed.lines() {
        if let Some(name) = quoted(line, "cannot import name '") {
            if line.contains("'wit_world.imports'") {
                wrong.insert(format!("the source imports {name}: add {name:?} to wants.imports in {}", manifest::FILE));
            } else if line.contains("'wit_world.exports'") {
                wrong.insert(format!("the source has the hook {name}, and the manifest does not name it"));
            }
        } else if let Some(name) = quoted(line, "module 'wit_world.exports' has no attribute '") {
            wrong.insert(format!("the source has the hook {name}, and the manifest does not name it"));
        } else if let Some(name) = quoted(line, "module 'plugin' has no attribute '") {
            wrong.insert(format!("the manifest asks for the hook {name}, and plugin.py has no class for it"));
        }
    }
    wrong.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_in_the_bindings_is_told_as_what_the_manifest_lacks() {
        for (printed, told) in [
            (
                "ImportError: cannot import name 'event_data' from 'wit_world.imports' (/world/wit_world/imports/__init__.py)",
                "the source imports event-data: add \"event-data\" to wants.imports in rijan-plugin.toml",
            ),
            (
                "ImportError: cannot import name 'inbound' from 'wit_world.exports' (/world/wit_world/exports/__init__.py)",
                "the source has the hook inbound, and the manifest does not name it",
            ),
            (
                "AttributeError: module 'wit_world.exports' has no attribute 'Outbound'. Did you mean: 'Inbound'?",
                "the source has the hook outbound, and the manifest does not name it",
            ),
            (
                "    AttributeError: module 'plugin' has no attribute 'Outbound'",
                "the manifest asks for the hook outbound, and plugin.py has no class for it",
            ),
        ] {
            assert_eq!(mismatches(printed), [told]);
        }
        assert!(mismatches("NameError: name 'pong' is not defined").is_empty());
    }
}
