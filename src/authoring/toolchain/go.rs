//! Go: `go build` for `wasip1` as a library, with bindings of `wit-bindgen-go` and the Go SDK, both written into the
//! project, so that nothing is fetched; then made a component here.

use super::{ToolError, Toolchain, need, run};
use crate::authoring::build::{self, Project};
use crate::authoring::component::{self, ComponentError};
use crate::authoring::contract::{self, World};
use crate::plugins::manifest::{Hook, Import};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Command;
use wasm_encoder::{Module, RawSection, Section};
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// The Go module that a plugin imports, and its folder in what a project keeps.
const MODULE: &str = "rijan/plugin";
const FOLDER: &str = "go";
/// The run-time package that generated code imports, and where it stands in our module.
const GENERATED_FOR: &str = "go.bytecodealliance.org/pkg/wit/";
const CARRIED_AS: &str = "rijan/plugin/wit/";

macro_rules! sdk {
    ($($file:literal),+ $(,)?) => { &[$(($file, include_str!(concat!("../../../plugins/sdk-go/", $file)))),+] };
}
const SDK: &[(&str, &str)] = sdk![
    "clock/clock.go",
    "eventdata/eventdata.go",
    "export/export.go",
    "go.mod",
    "http/http.go",
    "inbound/inbound.go",
    "internal/collector/collector.go",
    "kv/kv.go",
    "lifecycle/lifecycle.go",
    "log/log.go",
    "media/media.go",
    "outbound/outbound.go",
    "plugin.go",
    "random/random.go",
    "scheduled/scheduled.go",
    "secrets/secrets.go",
    "webhook/webhook.go",
    "wit/LICENSE",
    "wit/README.md",
    "wit/async/async.go",
    "wit/async/empty.s",
    "wit/runtime/empty.s",
    "wit/runtime/runtime.go",
    "wit/types/future.go",
    "wit/types/option.go",
    "wit/types/result.go",
    "wit/types/stream.go",
    "wit/types/tuple.go",
    "wit/types/unit.go",
    "bindings/exports/export_rijan_plugin_inbound/inbound.go",
    "bindings/exports/export_rijan_plugin_lifecycle/lifecycle.go",
    "bindings/exports/export_rijan_plugin_outbound/outbound.go",
    "bindings/exports/export_rijan_plugin_scheduled/scheduled.go",
    "bindings/exports/export_rijan_plugin_webhook/webhook.go",
];

/// Writes the SDK into what a project keeps: every import of the contract, for what is not used is not linked, and the
/// exported functions of the project's own hooks.
pub(in super::super) fn write_sdk(kept: &Path, world: &World) -> io::Result<()> {
    for (file, text) in SDK {
        build::write(&kept.join(FOLDER).join(file), text.as_bytes())?;
    }
    let imports = Import::ALL.iter().map(|import| import.as_str()).collect();
    let exports = Hook::ALL.iter().map(|hook| hook.as_str()).chain([contract::LIFECYCLE]).collect();
    let whole = World::with(&imports, &exports).map_err(io::Error::other)?;
    write_bindings(kept, &whole, |name| !is_export(name))?;
    write_bindings(kept, world, is_export)
}

fn is_export(file: &str) -> bool {
    file.starts_with("exports/")
}

/// Writes what is generated from a world, of the files that are wanted.
fn write_bindings(kept: &Path, world: &World, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    let options = wit_bindgen_go::Opts {
        // Without the formatter the output is the same on every machine.
        format: wit_bindgen_go::Format::False,
        pkg_name: Some(format!("{MODULE}/bindings")),
        quiet: true,
        ..Default::default()
    };
    let mut files = wit_bindgen_core::Files::default();
    options.build().generate(&mut world.resolve.clone(), world.id, &mut files).map_err(io::Error::other)?;
    for (name, bytes) in files.iter().filter(|(name, _)| wanted(name)) {
        let text = String::from_utf8_lossy(bytes).replace(GENERATED_FOR, CARRIED_AS);
        build::write(&kept.join(FOLDER).join("bindings").join(name), text.as_bytes())?;
    }
    Ok(())
}

pub(in super::super) struct Go;

impl Toolchain for Go {
    fn compile(&self, project: &Project<'_>) -> Result<Vec<u8>, ToolError> {
        let go = need("go", "install Go 1.27 or newer from https://go.dev/dl")?;
        let at = |source| ToolError::File { path: project.kept.to_owned(), source };
        write_sdk(project.kept, project.world).map_err(at)?;
        let core = project.kept.join("core.wasm");
        run(Command::new(go)
            .args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false"])
            // No debug information; the names stay until the handlers are checked. The run-time package links to a function of Go's.
            .arg("-ldflags=-w -buildid= -checklinkname=0")
            .arg("-o")
            .arg(&core)
            .arg(".")
            .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOWORK", "off"), ("CGO_ENABLED", "0")])
            .current_dir(project.folder))?;
        let module = super::read(&core)?;
        let wrong = against_handlers(&handlers_in(&module)?, &contract::exports(project.manifest));
        if !wrong.is_empty() {
            return Err(ComponentError::Mismatch(wrong).into());
        }
        Ok(component::encode(without_names(&module)?, project.world, project.manifest)?)
    }
}

/// The hooks that the program hands over: those whose `Handle` was linked.
fn handlers_in(module: &[u8]) -> Result<BTreeSet<&'static str>, ToolError> {
    let mut found = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CustomSection(section) = payload.map_err(unreadable)? else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        for name in names {
            let Name::Function(functions) = name.map_err(unreadable)? else { continue };
            for function in functions {
                found.extend(handled(function.map_err(unreadable)?.name));
            }
        }
    }
    Ok(found)
}

/// The hook that a function of this name hands over: `inbound` for `inbound.Handle` of our module. Go writes the slashes
/// of a package as underscores here.
fn handled(function: &str) -> Option<&'static str> {
    let module = MODULE.replace('/', "_");
    let hooks = Hook::ALL.iter().map(|hook| hook.as_str()).chain([contract::LIFECYCLE]);
    hooks.into_iter().find(|hook| function.replace('/', "_") == format!("{module}_{hook}.Handle"))
}

fn against_handlers(handled: &BTreeSet<&'static str>, claimed: &BTreeSet<&'static str>) -> Vec<String> {
    let missing = claimed.iter().filter(|hook| !handled.contains(*hook)).map(|hook| {
        format!("the manifest names the hook {hook}, and the program does not call {hook}.Handle in an init function")
    });
    let unclaimed = handled.iter().filter(|hook| !claimed.contains(*hook)).map(|hook| {
        let fix = if *hook == contract::LIFECYCLE { "has no [config.schema]" } else { "does not name the hook" };
        format!("the program calls {hook}.Handle, and the manifest {fix}")
    });
    missing.chain(unclaimed).collect()
}

/// The module without its custom sections: names are a third of it.
fn without_names(module: &[u8]) -> Result<Vec<u8>, ToolError> {
    let mut stripped = Module::HEADER.to_vec();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(unreadable)?;
        if matches!(payload, Payload::CustomSection(_)) {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let data = bounds.and_then(|(start, end)| module.get(start..end));
            let data = data.ok_or_else(|| ToolError::Unexpected("what go built ends within a section".into()))?;
            RawSection { id, data }.append_to(&mut stripped);
        }
    }
    Ok(stripped)
}

fn unreadable(error: wasmparser::BinaryReaderError) -> ToolError {
    ToolError::Unexpected(format!("what go built cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files_below(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).expect("below").to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_source_of_the_sdk_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk-go");
        let mut there = BTreeSet::new();

        files_below(&root, &root, &mut there);

        assert_eq!(there, SDK.iter().map(|(file, _)| (*file).to_owned()).collect());
    }

    #[test]
    fn only_the_handle_of_a_hook_hands_it_over() {
        assert_eq!(handled("rijan_plugin_inbound.Handle"), Some("inbound"));
        assert_eq!(handled("rijan/plugin/lifecycle.Handle"), Some("lifecycle"));
        assert_eq!(handled("rijan_plugin_bindings_imports_rijan_plugin_types.MediaSource.Handle"), None);
        assert_eq!(handled("rijan_plugin_inbound.Call"), None);
    }
}
