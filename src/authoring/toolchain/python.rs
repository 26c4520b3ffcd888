//! Python: `componentize-py` from PyPI, from the project's environment, the search path, or installed for the project.

use super::{ToolError, Toolchain, find, need, run};
use crate::authoring::build::Project;
use crate::authoring::contract::WORLD;
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
        run(Command::new(program)
            .arg("-d")
            .arg(project.kept.join("wit"))
            .args(["-w", WORLD, "componentize", "--stub-wasi", "plugin", "-o"])
            .arg(&output)
            // What is compiled in holds sets and dictionaries: their order must not change from one build to the next.
            .env("PYTHONHASHSEED", "0")
            .current_dir(project.folder))?;
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
