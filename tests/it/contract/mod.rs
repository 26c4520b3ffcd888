//! The contract of plugins, 0.1, is frozen: `rijan-plugin-0.1.0.wit` beside this file is the text as it was then, and is
//! never changed. What `wit/` says now has to have all of it, in the same shape.

use std::collections::{BTreeMap, BTreeSet};
use wit_parser::{Function, Resolve, Type, TypeDefKind, WorldItem};

const FROZEN: &str = include_str!("rijan-plugin-0.1.0.wit");
const NOW: &str = include_str!("../../../wit/rijan-plugin.wit");

const WHAT_TO_DO: &str = "wit/ 0.1 is frozen, and plugins that are built against it must go on running. Put back what is \
    named here. A new function in an interface that plugins import, a new interface, and a name inside a case called \
    `other` may be added to it; any other change belongs into a package rijan:plugin@0.2.0 beside this one, which the \
    gateway then serves too (docs/plugins-api.md, \"What frozen means\")";

/// A contract, item by item: its name and its shape, without the comments.
struct Contract {
    version: String,
    items: BTreeMap<String, String>,
    /// What plugins export.
    hooks: BTreeSet<String>,
}

impl Contract {
    fn read(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("rijan-plugin.wit", text).unwrap();
        let package = &resolve.packages[package];
        let mut contract = Self {
            version: package.name.version.as_ref().unwrap().to_string(),
            items: BTreeMap::new(),
            hooks: BTreeSet::new(),
        };
        for (interface, id) in &package.interfaces {
            let described = &resolve.interfaces[*id];
            for (name, type_) in &described.types {
                let shape = kind(&resolve, &resolve.types[*type_].kind);
                contract.items.insert(format!("{interface}.{name}"), shape);
            }
            for (name, function) in &described.functions {
                contract.items.insert(format!("{interface}.{name}()"), signature(&resolve, function));
            }
        }
        for (name, world) in &package.worlds {
            let world = &resolve.worlds[*world];
            let sides = world
                .imports
                .iter()
                .map(|one| ("imports", one))
                .chain(world.exports.iter().map(|one| ("exports", one)));
            for (side, (_, item)) in sides {
                let WorldItem::Interface { id, .. } = item else { panic!("the world {name} {side} no interface") };
                let interface = resolve.interfaces[*id].name.clone().unwrap();
                contract.items.insert(format!("world {name} {side} {interface}"), String::new());
                if side == "exports" {
                    contract.hooks.insert(interface);
                }
            }
        }
        contract
    }

    /// What has changed of `frozen` that may not.
    fn broken(&self, frozen: &Self) -> Vec<String> {
        let mut broken = Vec::new();
        if !self.version.starts_with("0.1.") {
            broken.push(format!("the package's version is {}", self.version));
        }
        for (name, shape) in &frozen.items {
            match self.items.get(name) {
                Some(now) if now == shape => {}
                Some(now) => broken.push(format!("{name} was {shape:?} and is {now:?}")),
                None => broken.push(format!("{name} is gone")),
            }
        }
        // A plugin that was built before has no other function than it had, so the gateway could not bind it any more.
        for name in self.items.keys().filter(|name| !frozen.items.contains_key(*name)) {
            let hook = name.split_once('.').filter(|(hook, _)| name.ends_with("()") && frozen.hooks.contains(*hook));
            if hook.is_some() {
                broken.push(format!("{name} is new in a hook that is there already"));
            }
        }
        broken
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let parameters: Vec<String> =
        function.params.iter().map(|one| format!("{}: {}", one.name, named(resolve, one.ty))).collect();
    format!("({}) -> {}", parameters.join(", "), optional(resolve, function.result))
}

fn optional(resolve: &Resolve, type_: Option<Type>) -> String {
    type_.map_or_else(|| "nothing".to_owned(), |type_| named(resolve, type_))
}

/// A type where it is used: one with a name by its name, which has an item of its own.
fn named(resolve: &Resolve, type_: Type) -> String {
    let Type::Id(id) = type_ else { return format!("{type_:?}").to_lowercase() };
    let described = &resolve.types[id];
    described.name.clone().unwrap_or_else(|| kind(resolve, &described.kind))
}

fn kind(resolve: &Resolve, described: &TypeDefKind) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match described {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|one| format!("{}: {}", one.name, named(resolve, one.ty)));
            format!("record {{ {} }}", list(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|one| format!("{}({})", one.name, optional(resolve, one.ty)));
            format!("variant {{ {} }}", list(cases.collect()))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{ {} }}", list(cases.cases.iter().map(|one| one.name.clone()).collect()))
        }
        TypeDefKind::Flags(flags) => {
            format!("flags {{ {} }}", list(flags.flags.iter().map(|one| one.name.clone()).collect()))
        }
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", list(tuple.types.iter().map(|one| named(resolve, *one)).collect()))
        }
        TypeDefKind::Option(inner) => format!("option<{}>", named(resolve, *inner)),
        TypeDefKind::List(inner) => format!("list<{}>", named(resolve, *inner)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", optional(resolve, result.ok), optional(resolve, result.err))
        }
        TypeDefKind::Type(Type::Id(id)) => match &resolve.types[*id].name {
            Some(name) => format!("type {name}"),
            None => kind(resolve, &resolve.types[*id].kind),
        },
        TypeDefKind::Type(type_) => named(resolve, *type_),
        other => panic!("the contract has a {}, which this test cannot compare", other.as_str()),
    }
}

#[test]
fn the_contract_of_plugins_has_all_that_was_frozen_and_in_its_shape() {
    let (frozen, now) = (Contract::read(FROZEN), Contract::read(NOW));

    let broken = now.broken(&frozen);

    assert!(frozen.items.len() > 80, "{:?}", frozen.items.keys());
    assert!(broken.is_empty(), "{WHAT_TO_DO}:\n{}", broken.join("\n"));
}

#[test]
fn what_may_be_added_passes_and_every_other_change_is_named() {
    let frozen = Contract::read(FROZEN);
    let after = |from: &str, to: &str| {
        assert!(FROZEN.contains(from), "{from:?} is not in the contract");
        Contract::read(&FROZEN.replacen(from, to, 1)).broken(&frozen)
    };

    let find = "    find: func(pointer: string) -> option<json>;\n";
    let count = "    /// How often.\n    count: func() -> u32;\n";
    assert_eq!(after(find, &format!("{find}{count}")), Vec::<String>::new(), "a function of an import");
    let world = "    import event-data;\n";
    let interface = "interface more {\n    now: func() -> u64;\n}\n\n/// Everything that can be imported.";
    let added = FROZEN.replacen(world, &format!("{world}    import more;\n"), 1).replacen(
        "/// Everything that can be imported.",
        interface,
        1,
    );
    assert_eq!(Contract::read(&added).broken(&frozen), Vec::<String>::new(), "an interface");
    assert_eq!(after("@0.1.0;", "@0.1.7;"), Vec::<String>::new(), "the version that says so");

    for (from, to, named) in [
        ("@0.1.0;", "@0.2.0;", "the package's version is 0.2.0"),
        (find, "", "event-data.find() is gone"),
        ("pointer: string) -> option<json>", "path: string) -> option<json>", "event-data.find() was"),
        (
            "record field { name: string, value: string }",
            "record field { name: string, value: json }",
            "types.field was",
        ),
        ("enum chat-kind { direct, group,", "enum chat-kind { group, direct,", "types.chat-kind was"),
        ("        from-me: bool,\n", "", "types.event was"),
        (
            "        other(named-json),\n    }",
            "        other(named-json),\n        more(string),\n    }",
            "types.content was",
        ),
        ("type millis = u64", "type millis = s64", "types.millis was"),
        (world, "", "world host imports event-data is gone"),
        ("    tick: func(", "    tock: func() -> bool;\n    tick: func(", "scheduled.tock() is new in a hook"),
    ] {
        let broken = after(from, to);
        assert!(broken.iter().any(|line| line.starts_with(named)), "{named:?} is not in {broken:?}");
    }
}
