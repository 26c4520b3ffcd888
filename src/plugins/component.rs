//! A component as bytes: what it says of itself, what it imports, and its compiled form.

use super::engine::PluginEngine;
use super::instance::text;
use super::manifest::{Import, Manifest, SECTION};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use wasmtime::component::Component;

/// Bytes of a component; a larger one is refused. Python's are the largest, about 18 MiB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// The package of `wit/`, with the version that this gateway serves.
const PACKAGE: &str = "rijan:plugin/";
const VERSION: &str = "@0.1.0";

/// Why these bytes are no plugin. Lower case, for the one who installs it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlugin {
    #[error("the component has more than {COMPONENT_BYTES_MAX} bytes")]
    TooLarge,
    #[error("this is no WebAssembly component: {0}")]
    NotAComponent(String),
    #[error("the component carries no manifest (section {SECTION:?}); build it with \"rijan plugin build\"")]
    NoManifest,
    #[error("{0}")]
    Manifest(String),
    #[error("the component imports {0:?}, which this gateway does not offer")]
    Import(String),
    #[error("the component does not compile: {0}")]
    Compile(String),
}

/// A component that was compiled, shared by all tenants that use it.
pub(super) struct Compiled {
    pub(super) manifest: Manifest,
    pub(super) imports: BTreeSet<Import>,
    pub(super) component: Component,
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What the component says of itself, without compiling it.
pub fn manifest(bytes: &[u8]) -> Result<Manifest, NotAPlugin> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(NotAPlugin::TooLarge);
    }
    let not_a_component = |why: String| NotAPlugin::NotAComponent(why);
    if wasmparser::Parser::is_core_wasm(bytes) {
        let why = "it is a core module; components come from \"rijan plugin build\"";
        return Err(not_a_component(why.to_owned()));
    }
    // What lies inside of it, in a module of its own, says nothing of the component.
    let (mut depth, mut found) = (0_usize, Vec::new());
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        use wasmparser::Payload;
        match payload.map_err(|error| not_a_component(error.message().to_owned()))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => found.push(section.data()),
            _ => {}
        }
    }
    let manifest = match found.as_slice() {
        [] => return Err(NotAPlugin::NoManifest),
        [one] => one,
        _ => return Err(NotAPlugin::Manifest("the component carries more than one manifest".to_owned())),
    };
    Manifest::from_json(manifest).map_err(|error| NotAPlugin::Manifest(error.to_string()))
}

/// Reads and compiles. Seconds of CPU: never on a runtime thread.
pub(super) fn compile(engine: &PluginEngine, bytes: &[u8]) -> Result<Compiled, NotAPlugin> {
    let manifest = manifest(bytes)?;
    let component = engine.compile(bytes).map_err(|error| NotAPlugin::Compile(text(&error)))?;
    let imports = imports(engine, &component)?;
    Ok(Compiled { manifest, imports, component })
}

fn imports(engine: &PluginEngine, component: &Component) -> Result<BTreeSet<Import>, NotAPlugin> {
    let kind = component.component_type();
    let mut imports = BTreeSet::new();
    for (name, _) in kind.imports(&engine.pooled().engine) {
        if name.starts_with("wasi:") {
            continue;
        }
        let unknown = || NotAPlugin::Import(name.to_owned());
        let interface = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_suffix(VERSION)).ok_or_else(unknown)?;
        if interface == "types" {
            continue;
        }
        let import = Import::ALL.iter().copied().find(|import| import.as_str() == interface);
        imports.insert(import.ok_or_else(unknown)?);
    }
    Ok(imports)
}
