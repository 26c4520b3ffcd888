//! The toolchains of the languages: how each is found, run, and told apart from one that is missing.

pub(super) mod go;
pub(super) mod javascript;
pub(super) mod python;
pub(super) mod rust;

use super::build::Project;
use super::component::ComponentError;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Compiles a project into a component that has no manifest yet.
pub(super) trait Toolchain {
    fn compile(&self, project: &Project<'_>) -> Result<Vec<u8>, ToolError>;
}

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{tool} is missing: {install}")]
    Missing { tool: &'static str, install: &'static str },
    #[error("{tool} cannot be started: {source}")]
    NotStarted { tool: String, source: io::Error },
    /// It has said why on standard error.
    #[error("{tool} did not succeed ({status})")]
    Failed { tool: String, status: ExitStatus },
    #[error("{standard_error}{tool} did not succeed ({status})")]
    FailedSaying { tool: String, status: ExitStatus, standard_error: String },
    #[error("{0}")]
    Unexpected(String),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
}

/// The program of this name on the search path.
fn find(program: &str) -> Option<PathBuf> {
    let names =
        if cfg!(windows) { vec![format!("{program}.exe"), format!("{program}.cmd")] } else { vec![program.into()] };
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>())
        .find(|path| path.is_file())
}

fn need(tool: &'static str, install: &'static str) -> Result<PathBuf, ToolError> {
    find(tool).ok_or(ToolError::Missing { tool, install })
}

/// Runs a tool to its end. What it prints is for the author, on standard error: standard output is the command's own.
fn run(command: &mut Command) -> Result<(), ToolError> {
    command.stdout(Stdio::from(io::stderr()));
    let tool = name_of(command);
    let status = command.status().map_err(|source| ToolError::NotStarted { tool: tool.clone(), source })?;
    if status.success() { Ok(()) } else { Err(ToolError::Failed { tool, status }) }
}

/// A tool that did not succeed, and why, in its own words.
struct Told {
    tool: String,
    status: ExitStatus,
    standard_error: String,
}

impl From<Told> for ToolError {
    fn from(told: Told) -> Self {
        Self::FailedSaying { tool: told.tool, status: told.status, standard_error: told.standard_error }
    }
}

/// Runs a tool to its end, and gives what it said when it did not succeed.
fn told(command: &mut Command) -> Result<Option<Told>, ToolError> {
    let tool = name_of(command);
    let output = command.output().map_err(|source| ToolError::NotStarted { tool: tool.clone(), source })?;
    let standard_error = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((!output.status.success()).then_some(Told { tool, status: output.status, standard_error }))
}

/// The same, and gives what it printed on standard output.
fn output(command: &mut Command) -> Result<String, ToolError> {
    command.stderr(Stdio::inherit());
    let tool = name_of(command);
    let output = command.output().map_err(|source| ToolError::NotStarted { tool: tool.clone(), source })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(ToolError::Failed { tool, status: output.status })
    }
}

fn name_of(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    name.to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, ToolError> {
    std::fs::read(path).map_err(|source| ToolError::File { path: path.to_owned(), source })
}
