//! The contract that plugins are built against, and the part of it that is one plugin's: its world, made from its manifest.

use crate::plugins::manifest::Manifest;
use std::collections::BTreeSet;
use wit_parser::{Resolve, WorldId};

/// `wit/` as this gateway serves it.
pub const WIT: &str = include_str!("../../wit/rijan-plugin.wit");
/// The package of the contract.
pub const PACKAGE: &str = "rijan:plugin";
pub const VERSION: &str = "0.1.0";
/// The hook interface that is there when the manifest has a config schema.
pub const LIFECYCLE: &str = "lifecycle";
/// The interface that holds types and no function; no manifest names it.
pub const TYPES: &str = "types";
/// The world that is made for a plugin.
pub const WORLD: &str = "built";

/// `rijan:plugin/kv@0.1.0`
pub fn interface(name: &str) -> String {
    format!("{PACKAGE}/{name}@{VERSION}")
}

/// `kv` of `rijan:plugin/kv@0.1.0`; none for what is of another package or version.
pub fn short_name(interface: &str) -> Option<&str> {
    interface.strip_prefix(PACKAGE)?.strip_prefix('/')?.strip_suffix(VERSION)?.strip_suffix('@')
}

/// The interfaces that a plugin with this manifest exports: its hooks, and `lifecycle` when it has a config.
pub fn exports(manifest: &Manifest) -> BTreeSet<&'static str> {
    let lifecycle = manifest.config.schema.is_some().then_some(LIFECYCLE);
    manifest.hooks().iter().map(|hook| hook.as_str()).chain(lifecycle).collect()
}

/// The interfaces that a plugin with this manifest may import.
pub fn imports(manifest: &Manifest) -> BTreeSet<&'static str> {
    manifest.wants.imports.iter().map(|import| import.as_str()).collect()
}

/// The contract with the world of one plugin at its end.
pub struct World {
    pub text: String,
    pub resolve: Resolve,
    pub id: WorldId,
}

impl World {
    pub fn of(manifest: &Manifest) -> anyhow::Result<Self> {
        Self::with(&imports(manifest), &exports(manifest))
    }

    pub fn with(imports: &BTreeSet<&str>, exports: &BTreeSet<&str>) -> anyhow::Result<Self> {
        let mut text = format!("{WIT}\n/// Made from the plugin's manifest.\nworld {WORLD} {{\n");
        for name in imports {
            text.push_str(&format!("    import {name};\n"));
        }
        for name in exports {
            text.push_str(&format!("    export {name};\n"));
        }
        text.push_str("}\n");
        let mut resolve = Resolve::default();
        let package = resolve.push_str("rijan-plugin.wit", &text)?;
        let id = resolve.select_world(&[package], Some(WORLD))?;
        Ok(Self { text, resolve, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::manifest::{Hook, Import};

    #[test]
    fn every_import_and_hook_that_a_manifest_can_name_is_an_interface_of_the_contract() {
        let imports = Import::ALL.iter().map(|import| import.as_str()).collect();
        let exports = Hook::ALL.iter().map(|hook| hook.as_str()).chain([LIFECYCLE]).collect();

        let world = World::with(&imports, &exports).expect("a world");

        let named = &world.resolve.worlds[world.id];
        // The types come along with whatever uses them.
        assert_eq!(named.imports.len(), imports.len() + 1);
        assert_eq!(named.exports.len(), exports.len());
    }

    #[test]
    fn the_version_is_that_of_the_package() {
        assert!(WIT.contains(&format!("package {PACKAGE}@{VERSION};")));
        assert_eq!(short_name(&interface("event-data")), Some("event-data"));
        assert_eq!(short_name("rijan:plugin/kv@0.2.0"), None);
        assert_eq!(short_name("wasi:io/poll@0.2.6"), None);
    }
}
