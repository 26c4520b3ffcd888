//! A plugin as the file that it is: a component with its manifest inside.

use super::contract::{self, World};
use crate::plugins::manifest::{self, InvalidManifest, Manifest};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeSet;
use wasm_encoder::ComponentSection;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};
use wit_parser::WorldItem;

/// Packages of WASI that the gateway links, inert.
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("it is no WebAssembly component: {0:#}")]
    NotAComponent(anyhow::Error),
    #[error("it has no manifest: build it with `rijan plugin build`")]
    NoManifest,
    #[error("its manifest cannot be read: {0}")]
    Manifest(#[from] InvalidManifest),
    #[error("the module does not become a component: {0:#}")]
    NotEncoded(anyhow::Error),
    #[error("it does not keep to its manifest: {}", .0.join("; "))]
    Mismatch(Vec<String>),
}

/// What a component says of itself.
#[derive(Debug)]
pub struct Component {
    pub manifest: Manifest,
    pub size: usize,
    /// In hexadecimal.
    pub sha256: String,
    pub surface: Surface,
}

/// What a component imports and exports: full names of interfaces, and its world as text.
#[derive(Debug)]
pub struct Surface {
    pub imports: BTreeSet<String>,
    pub exports: BTreeSet<String>,
    pub wit: String,
}

impl Component {
    /// Reads a component that carries its manifest, and checks the one against the other.
    pub fn read(bytes: &[u8]) -> Result<Self, ComponentError> {
        let surface = Surface::of(bytes)?;
        let manifest = manifest_in(bytes)?;
        let wrong = surface.against(&manifest);
        if !wrong.is_empty() {
            return Err(ComponentError::Mismatch(wrong));
        }
        Ok(Self { manifest, size: bytes.len(), sha256: hex::encode(Sha256::digest(bytes)), surface })
    }

    /// Imports that the manifest asks for and the component does not use.
    pub fn unused_imports(&self) -> Vec<&'static str> {
        let unused = |name: &&str| !self.surface.imports.contains(&contract::interface(name));
        contract::imports(&self.manifest).into_iter().filter(unused).collect()
    }
}

impl Surface {
    pub fn of(bytes: &[u8]) -> Result<Self, ComponentError> {
        let decoded = match wit_component::decode(bytes) {
            Ok(DecodedWasm::Component(resolve, world)) => Ok((resolve, world)),
            Ok(DecodedWasm::WitPackage(..)) => Err(anyhow::anyhow!("it is a WIT package")),
            Err(error) => Err(error),
        };
        let (resolve, id) = decoded.map_err(ComponentError::NotAComponent)?;
        let world = &resolve.worlds[id];
        let names = |items: &mut dyn Iterator<Item = (&wit_parser::WorldKey, &WorldItem)>| {
            items.map(|(key, _)| resolve.name_world_key(key)).collect()
        };
        let imports = names(&mut world.imports.iter());
        let exports = names(&mut world.exports.iter());
        let wit = world_text(&imports, &exports);
        Ok(Self { imports, exports, wit })
    }

    /// What is wrong between a component and a manifest, one line each.
    pub fn against(&self, manifest: &Manifest) -> Vec<String> {
        let mut wrong = Vec::new();
        let claimed = contract::exports(manifest);
        for name in claimed.iter().filter(|name| !self.exports.contains(&contract::interface(name))) {
            wrong.push(match *name {
                contract::LIFECYCLE => {
                    "the manifest has a [config.schema], and the component exports no lifecycle to take the config"
                        .into()
                }
                name => format!("the manifest names the hook {name}, and the component does not export it"),
            });
        }
        for name in &self.exports {
            match contract::short_name(name) {
                Some(short) if claimed.contains(short) => {}
                Some(contract::LIFECYCLE) => {
                    wrong.push("the component exports lifecycle, and the manifest has no [config.schema]".into());
                }
                Some(short) => {
                    wrong.push(format!("the component exports the hook {short}, and the manifest does not name it"));
                }
                None if name.starts_with(contract::PACKAGE) => {
                    wrong.push(format!("the component exports {name}, and this gateway knows {}", contract::VERSION));
                }
                // What a language's own tool left behind, and nobody calls.
                None => {}
            }
        }
        wrong.extend(self.imports.iter().filter_map(|name| unasked(name, manifest)));
        wrong
    }
}

/// Why an import is not allowed by the manifest; none when it is.
fn unasked(interface: &str, manifest: &Manifest) -> Option<String> {
    match contract::short_name(interface) {
        Some(contract::TYPES) => None,
        Some(short) if contract::imports(manifest).contains(short) => None,
        Some(short) => {
            Some(format!("the component imports {short}: add {short:?} to wants.imports in {}", manifest::FILE))
        }
        None if is_inert_wasi(interface) => None,
        None => Some(format!("the component imports {interface}, which this gateway does not offer")),
    }
}

fn is_inert_wasi(interface: &str) -> bool {
    let package = interface.strip_prefix("wasi:").and_then(|rest| rest.split_once('/'));
    package.is_some_and(|(package, _)| WASI.contains(&package))
}

fn world_text(imports: &BTreeSet<String>, exports: &BTreeSet<String>) -> String {
    let mut text = "world plugin {\n".to_owned();
    for name in imports {
        text.push_str(&format!("    import {name};\n"));
    }
    for name in exports {
        text.push_str(&format!("    export {name};\n"));
    }
    text.push('}');
    text
}

/// Makes a component of a core module that was compiled for `wasip1` as a library.
pub fn encode(core: Vec<u8>, world: &World, manifest: &Manifest) -> Result<Vec<u8>, ComponentError> {
    let wrong = core_imports(&core)?.iter().filter_map(|name| unasked(name, manifest)).collect::<Vec<_>>();
    if !wrong.is_empty() {
        return Err(ComponentError::Mismatch(wrong));
    }
    let mut module = core;
    wit_component::embed_component_metadata(&mut module, &world.resolve, world.id, StringEncoding::UTF8, false)
        .and_then(|()| {
            ComponentEncoder::default()
                .validate(true)
                .module(&module)?
                .adapter(
                    "wasi_snapshot_preview1",
                    wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
                )?
                .encode()
        })
        .map_err(ComponentError::NotEncoded)
}

/// The interfaces of the contract that a core module imports, so that one that is not asked for is told by its name.
fn core_imports(module: &[u8]) -> Result<BTreeSet<String>, ComponentError> {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(section) = payload.map_err(not_a_component)? {
            for import in section.into_imports() {
                let module = import.map_err(not_a_component)?.module;
                if module.starts_with(contract::PACKAGE) {
                    names.insert(module.to_owned());
                }
            }
        }
    }
    Ok(names)
}

/// A component with its manifest in a section of its own.
pub fn with_manifest(mut component: Vec<u8>, manifest: &Manifest) -> Result<Vec<u8>, ComponentError> {
    let data = serde_json::to_vec(manifest).map_err(|error| ComponentError::NotEncoded(error.into()))?;
    let section = wasm_encoder::CustomSection { name: manifest::SECTION.into(), data: Cow::Owned(data) };
    section.append_to_component(&mut component);
    Ok(component)
}

/// The manifest in a component: of the component itself, not of a module within it.
fn manifest_in(component: &[u8]) -> Result<Manifest, ComponentError> {
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(not_a_component)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == manifest::SECTION => {
                return Ok(Manifest::from_json(section.data())?);
            }
            _ => {}
        }
    }
    Err(ComponentError::NoManifest)
}

fn not_a_component(error: wasmparser::BinaryReaderError) -> ComponentError {
    ComponentError::NotAComponent(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_parser::{LiftLowerAbi, ManglingAndAbi};

    fn manifest(hooks: &str, imports: &str) -> Manifest {
        let text = format!("name = \"a\"\nversion = \"1\"\nhooks = {{ {hooks} }}\nwants = {{ imports = [{imports}] }}");
        Manifest::from_toml(&text).expect("a manifest")
    }

    /// A component that has every hook and import of its manifest, and does nothing.
    fn component(of: &Manifest) -> Vec<u8> {
        let world = World::of(of).expect("a world");
        let module = wit_component::dummy_module(&world.resolve, world.id, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
        encode(module, &world, of).expect("a component")
    }

    #[test]
    fn a_component_tells_what_its_manifest_says() {
        let asked = manifest("outbound = true", "\"kv\", \"log\"");

        let bytes = with_manifest(component(&asked), &asked).expect("with its manifest");

        let read = Component::read(&bytes).expect("reads");
        assert_eq!(read.manifest, asked);
        assert_eq!(read.size, bytes.len());
        assert!(read.surface.exports.contains("rijan:plugin/outbound@0.1.0"));
        assert!(read.surface.imports.contains("rijan:plugin/kv@0.1.0"));
        assert_eq!(read.unused_imports(), Vec::<&str>::new());
    }

    #[test]
    fn what_a_component_has_and_its_manifest_does_not_is_refused_by_name_and_the_reverse() {
        let built = component(&manifest("outbound = true", "\"kv\", \"log\""));
        let says = manifest("inbound = [\"*\"]", "\"log\"");

        let told = Component::read(&with_manifest(built, &says).expect("bytes")).expect_err("refused").to_string();

        for part in [
            "the manifest names the hook inbound, and the component does not export it",
            "the component exports the hook outbound, and the manifest does not name it",
            "the component imports kv: add \"kv\" to wants.imports",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }

    #[test]
    fn what_is_no_component_or_has_no_manifest_is_refused() {
        let bare = component(&manifest("webhook = true", ""));

        assert!(matches!(Component::read(b"not wasm"), Err(ComponentError::NotAComponent(_))));
        assert!(matches!(Component::read(&bare[..bare.len() / 2]), Err(ComponentError::NotAComponent(_))));
        assert!(matches!(Component::read(&bare), Err(ComponentError::NoManifest)));
    }

    #[test]
    fn a_module_that_imports_what_is_not_asked_for_is_refused_before_it_is_a_component() {
        let asked = manifest("webhook = true", "\"kv\"");
        let world = World::of(&asked).expect("a world");
        let module = wit_component::dummy_module(&world.resolve, world.id, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));

        let less = manifest("webhook = true", "");
        let told = encode(module, &World::of(&less).expect("a world"), &less).expect_err("refused").to_string();

        assert!(told.contains("the component imports kv"), "{told}");
    }
}
