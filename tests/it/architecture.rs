//! The edges between modules, as docs/architecture.md draws them.

use std::collections::BTreeMap;
use std::path::Path;

/// Crates that one module alone may name.
const RESERVED: [(&str, &[&str]); 3] = [
    ("whatsapp", &["whatsapp_rust", "wacore", "wacore_binary", "waproto", "buffa"]),
    ("store", &["rusqlite"]),
    ("plugins", &["wasmtime", "wasmtime_wasi"]),
];

/// The code of every module below `src`, without its comments.
fn modules() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), None, &mut modules);
    for root in ["lib", "main"] {
        modules.remove(root);
    }
    modules
}

fn collect(folder: &Path, module: Option<&str>, modules: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = module.unwrap_or(&stem);
        if path.is_dir() {
            collect(&path, Some(module), modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            modules.entry(module.to_owned()).or_default().extend(code.flat_map(|line| [line, "\n"]));
        }
    }
}

/// The modules that code names as `crate::name` or in `crate::{name, other::thing}`.
fn used(code: &str) -> Vec<&str> {
    let name = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut used = Vec::new();
    // In a text, or in what a macro writes elsewhere, it is another crate's.
    let ours = code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with(['"', '$', '{']));
    for from in ours.map(|(at, path)| &code[at + path.len()..]) {
        let Some(mut group) = from.strip_prefix('{') else {
            used.push(&from[..name(from)]);
            continue;
        };
        // Only the outermost names of the group.
        let mut depth = 0;
        loop {
            let trimmed = group.trim_start();
            used.extend(Some(&trimmed[..name(trimmed)]).filter(|name| !name.is_empty()));
            let end = trimmed.find(|c| match c {
                '{' => {
                    depth += 1;
                    false
                }
                '}' => {
                    depth -= 1;
                    depth < 0
                }
                ',' => depth == 0,
                _ => false,
            });
            match end {
                Some(end) if trimmed[end..].starts_with(',') => group = &trimmed[end + 1..],
                _ => break,
            }
        }
    }
    used
}

fn names_crate(code: &str, name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        !before.ends_with(inside) && (after.starts_with("::") || after.starts_with(';') || after.starts_with(" as "))
    })
}

#[test]
fn modules_use_only_what_is_below_them() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/architecture.md")).unwrap();
    let drawn = page.split("```text").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let lines: Vec<Vec<&str>> = drawn.trim().lines().map(|line| line.split(", ").collect()).collect();
    let line_of = |module: &str| lines.iter().position(|line| line.contains(&module));

    for (module, code) in modules() {
        let line = line_of(&module).unwrap_or_else(|| panic!("docs/architecture.md does not place {module}"));
        for other in used(&code).into_iter().filter(|other| *other != module) {
            let below = line_of(other).unwrap_or_else(|| panic!("{module} uses {other}, which is no module"));
            assert!(line < below, "{module} uses {other}, which is not below it in docs/architecture.md");
        }
    }
}

#[test]
fn a_library_is_named_by_its_module_alone() {
    for (module, code) in modules() {
        for (owner, crates) in RESERVED {
            for name in crates.iter().filter(|name| names_crate(&code, name)) {
                assert_eq!(module, owner, "{module} names {name}");
            }
        }
    }
}

#[test]
fn the_reader_of_edges_sees_paths_groups_and_crates() {
    let code = "use crate::store::{Store, Row};\nuse crate::{api::{self, Api}, domain, vault::Secret};\nlet x = crate::app::run();";
    assert_eq!(used(code), ["store", "api", "domain", "vault", "app"]);
    assert!(names_crate("use rusqlite::params;", "rusqlite") && names_crate("use wacore as w;", "wacore"));
    assert!(!names_crate("my_rusqlite::x; // wacore_binary", "wacore"));
}

/// The document has one place for each name: of two types with one name, the second would be described as the first.
#[test]
fn no_two_types_of_the_api_document_have_one_name() {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, code) in modules() {
        for derived in
            code.split("#[derive(").skip(1).filter(|rest| rest.split(')').next().unwrap().contains("ToSchema"))
        {
            let declared = |keyword: &str| derived.find(keyword).map(|at| (at, &derived[at + keyword.len()..]));
            let (at, rest) = ["struct ", "enum "].into_iter().filter_map(declared).min_by_key(|(at, _)| *at).unwrap();
            let other = derived[..at].split_once("as = ").map(|(_, other)| other);
            let word = |text: &str| text.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
            let name = word(other.unwrap_or(rest));
            // In a macro it is a variable.
            if !name.is_empty() {
                named.entry(name).or_default().push(format!("{module}: {}", word(rest)));
            }
        }
    }
    assert!(named.len() > 200, "{}", named.len());
    let twice: Vec<_> = named.into_iter().filter(|(_, types)| types.len() > 1).collect();
    assert!(twice.is_empty(), "give one of them another name with `#[schema(as = …)]`: {twice:?}");
}

/// A derive that is not told so takes what stands in a query for a part of the path.
#[test]
fn every_parameter_of_a_path_stands_in_that_path() {
    let document: serde_json::Value =
        serde_json::from_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json"))).unwrap();
    let mut of_paths = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parameters =
            operations.as_object().unwrap().values().flat_map(|one| one["parameters"].as_array()).flatten();
        for name in parameters.filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()) {
            assert!(path.contains(&format!("{{{name}}}")), "{path} has no part {name:?}: is it of the query?");
            of_paths += 1;
        }
    }
    assert!(of_paths > 200, "{of_paths}");
}
