//! Whether a component fits what a tenant says of it, found out without compiling it.

use super::component::{self, NotAPlugin, import_of};
use super::grants;
use super::manifest::{Import, Manifest};
use super::settings::{InvalidSettings, PluginSettings};
use super::signature::signers;
use std::collections::BTreeSet;
use wasmparser::{Parser, Payload};

/// What a component lacks that the tenant asks for.
pub(super) const NOT_SIGNED: &str = "the component is not signed by any of the keys that the tenant asks for";

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Of the tenant's settings; `None` when it is the component itself.
    pub key: Option<String>,
    pub message: String,
}

/// The component's manifest, as far as it reads, and everything that does not fit.
pub fn fit(component: &[u8], settings: &PluginSettings) -> (Option<Manifest>, Vec<Misfit>) {
    let not_a_plugin = |error: NotAPlugin| Misfit { key: None, message: error.to_string() };
    let manifest = match component::manifest(component) {
        Ok(manifest) => manifest,
        Err(error) => return (None, vec![not_a_plugin(error)]),
    };
    let mut misfits = Vec::new();
    if let Err(InvalidSettings(lines)) = settings.check(&manifest) {
        misfits.extend(lines.into_iter().map(|line| match line.split_once(": ") {
            Some((key, message)) => Misfit { key: Some(key.to_owned()), message: message.to_owned() },
            None => Misfit { key: None, message: line },
        }));
    }
    match signers(component) {
        Ok(signers) if settings.accepts(&signers) => {}
        Ok(_) => misfits.push(Misfit { key: Some("signed_by".to_owned()), message: NOT_SIGNED.to_owned() }),
        Err(error) => misfits.push(not_a_plugin(error.into())),
    }
    match imports(component).map(|imports| grants::decide(&manifest, &imports, &settings.grants)) {
        Ok(Ok(_)) => {}
        Ok(Err(refused)) => {
            misfits.push(Misfit { key: Some("grants.imports".to_owned()), message: refused.to_string() });
        }
        Err(error) => misfits.push(not_a_plugin(error)),
    }
    (Some(manifest), misfits)
}

/// The imports of the component itself; what it has inside imports from it.
fn imports(component: &[u8]) -> Result<BTreeSet<Import>, NotAPlugin> {
    let unreadable = |error: wasmparser::BinaryReaderError| NotAPlugin::NotAComponent(error.message().to_owned());
    let (mut imports, mut depth) = (BTreeSet::new(), 0_u32);
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(unreadable)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.extend(import_of(import.map_err(unreadable)?.name.name)?);
                }
            }
            _ => {}
        }
    }
    Ok(imports)
}
