//! JavaScript: `componentize-qjs` from npm, in the project, run by node. The engine inside is QuickJS.

use super::{ToolError, Toolchain, need, run};
use crate::authoring::build::{self, Project};
use crate::authoring::contract::{self, WORLD};
use std::process::Command;

const BUILDER: &str = include_str!("build.mjs");
const PACKAGE: &str = "componentize-qjs";

pub(in super::super) struct Node;

impl Toolchain for Node {
    fn compile(&self, project: &Project<'_>) -> Result<Vec<u8>, ToolError> {
        let node = need("node", "install Node.js 20 or newer from https://nodejs.org")?;
        if !project.folder.join("node_modules").join(PACKAGE).is_dir() {
            let npm = need("npm", "it comes with Node.js: https://nodejs.org")?;
            run(Command::new(npm).args(["install", "--no-audit", "--no-fund"]).current_dir(project.folder))?;
        }
        let builder = project.kept.join("build.mjs");
        let output = project.kept.join("component.wasm");
        build::write(&builder, BUILDER.as_bytes())
            .map_err(|source| ToolError::File { path: builder.clone(), source })?;
        run(Command::new(node)
            .arg(&builder)
            .arg(project.kept.join("wit"))
            .arg(WORLD)
            .arg(&output)
            .args(contract::exports(project.manifest))
            .env("RUST_BACKTRACE", "0")
            .current_dir(project.folder))?;
        super::read(&output)
    }
}
