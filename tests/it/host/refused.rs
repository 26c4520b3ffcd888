//! Components that must not come to serve, each refused with its reason while the one before serves.

use super::*;
use rijan::plugins::manifest::{MANIFEST_BYTES_MAX, SECTION};

/// The component with this manifest in the place of its own.
pub(super) fn with_manifest(component: &[u8], manifest: &str) -> Vec<u8> {
    let own = SECTION.as_bytes();
    let mut bytes = component.to_vec();
    let places: Vec<usize> = (0..bytes.len() - own.len()).filter(|at| bytes[*at..].starts_with(own)).collect();
    for at in places {
        bytes[at] = b'x';
    }
    and_manifest(&bytes, manifest)
}

/// The component with one more manifest.
fn and_manifest(component: &[u8], manifest: &str) -> Vec<u8> {
    let section = wasm_encoder::CustomSection { name: SECTION.into(), data: manifest.as_bytes().into() };
    let mut bytes = component.to_vec();
    bytes.push(0);
    wasm_encoder::Encode::encode(&section, &mut bytes);
    bytes
}

fn manifest() -> Value {
    json!({ "name": "hostile", "version": "1", "hooks": { "inbound": ["*"], "outbound": true },
        "wants": { "imports": ["log", "event-data", "secrets", "kv", "http", "clock", "random"],
            "effects": ["reply"] } })
}

fn of_text(text: &str, manifest: &Value) -> Vec<u8> {
    let component = wat::parse_str(text).expect("a component");
    and_manifest(&component, &manifest.to_string())
}

/// Why it is refused, wherever that shows.
async fn refusal(world: &World, component: Vec<u8>, settings: Value) -> String {
    let sha256 = match world.plugins.keep(component).await {
        Ok((sha256, _)) => sha256,
        Err(reason) => return reason.to_string(),
    };
    match world.plugins.put(&world.tenant, world.wanted("hostile", sha256, settings)).await.expect("told") {
        ReloadOutcome::KeptPrevious { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn settings() -> Value {
    json!({ "grants": { "imports": ["secrets", "kv", "http"], "effects": ["reply"] } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_refused_with_its_reason_and_the_one_before_serves() {
    let world = World::new().await;
    assert_eq!(world.put("hostile", hostile(), settings()).await, ReloadOutcome::Swapped);
    let inbound = json!({ "name": "hostile", "version": "1", "hooks": { "inbound": ["*"] } });
    let more = |key: &str, value: Value| {
        let mut changed = manifest();
        changed[key] = value;
        with_manifest(&hostile(), &changed.to_string())
    };
    let whole = hostile();
    let cases = [
        ("an empty component", of_text("(component)", &inbound), "which it does not export"),
        (
            "an import that is not ours",
            of_text(r#"(component (import "evil:host/shell@1.0.0" (instance)))"#, &inbound),
            "\"evil:host/shell@1.0.0\", which this gateway does not offer",
        ),
        (
            "another version of our import",
            of_text(r#"(component (import "rijan:plugin/log@9.0.0" (instance)))"#, &inbound),
            "\"rijan:plugin/log@9.0.0\", which this gateway does not offer",
        ),
        (
            "a part of WASI that is not there",
            of_text(
                r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func)))))"#,
                &inbound,
            ),
            "wasi:http/outgoing-handler@0.2.0",
        ),
        (
            "a hook of another form",
            of_text(
                r#"(component
                    (core module $m (func (export "f") (param i32) (result i32) local.get 0))
                    (core instance $i (instantiate $m))
                    (func $f (param "event" u32) (result u32) (canon lift (core func $i "f")))
                    (instance $inbound (export "on-event" (func $f)))
                    (export "rijan:plugin/inbound@0.1.0" (instance $inbound)))"#,
                &inbound,
            ),
            "type mismatch with parameters",
        ),
        (
            "a start that never ends",
            of_text(
                r#"(component
                    (core module $m (func $s (loop br 0)) (start $s)
                        (func (export "f") (param i32) (result i32) local.get 0))
                    (core instance $i (instantiate $m))
                    (func $f (param "event" u32) (result u32) (canon lift (core func $i "f")))
                    (instance $inbound (export "on-event" (func $f)))
                    (export "rijan:plugin/inbound@0.1.0" (instance $inbound)))"#,
                &inbound,
            ),
            "took longer than 1000 ms",
        ),
        (
            "a memory larger than its limit",
            of_text(
                r#"(component
                    (core module $m (memory 2000)
                        (func (export "f") (param i32) (result i32) local.get 0))
                    (core instance $i (instantiate $m))
                    (func $f (param "event" u32) (result u32) (canon lift (core func $i "f")))
                    (instance $inbound (export "on-event" (func $f)))
                    (export "rijan:plugin/inbound@0.1.0" (instance $inbound)))"#,
                &inbound,
            ),
            "memory",
        ),
        ("half of it", whole[..whole.len() / 2].to_vec(), "no WebAssembly component"),
        (
            "a manifest that hides a hook",
            more("hooks", json!({ "inbound": ["*"] })),
            "which its manifest does not name",
        ),
        (
            "a manifest that invents a hook",
            more("hooks", json!({ "inbound": ["*"], "outbound": true, "webhook": true })),
            "which it does not export",
        ),
        (
            "a manifest that hides an import",
            more("wants", json!({ "imports": ["log"] })),
            "which its manifest does not ask for",
        ),
        (
            "a manifest that is too large",
            more("description", json!("x".repeat(MANIFEST_BYTES_MAX))),
            "more than 65536 bytes",
        ),
        ("two manifests", and_manifest(&hostile(), &manifest().to_string()), "more than one manifest"),
        ("no JSON", with_manifest(&hostile(), "{"), "needs correction"),
        ("a key that is not there", more("author", json!("me")), "author"),
    ];
    for (what, component, part) in cases {
        let reason = refusal(&world, component, settings()).await;
        assert!(reason.contains(part) && !reason.is_empty(), "{what}: {reason}");
    }

    assert_eq!(sent(&world.decide(world.event("1", "answer")).await), ["answer to myself"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_that_traps_or_never_ends_is_refused_and_holds_up_no_other_change() {
    let world = World::new().await;
    assert_eq!(world.put("hostile", hostile(), settings()).await, ReloadOutcome::Swapped);
    for (init, part) in [("trap", "unreachable"), ("loop", "took longer than 300 ms")] {
        let mut changed = settings();
        changed["config"] = json!({ "init": init });
        changed["limits"] = json!({ "call_ms": 300 });

        let reason = refusal(&world, hostile(), changed).await;

        assert!(reason.contains(part), "{init}: {reason}");
    }

    assert_eq!(world.put("example", rust_example(), everything()).await, ReloadOutcome::Swapped);
    assert_eq!(sent(&world.decide(world.event("1", "answer")).await), ["answer to myself"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_goes_round_in_circles_ends_nothing_but_itself() {
    let world = World::new().await;
    let asking = |schema: Value| {
        let mut asks = manifest();
        asks["config"] = json!({ "schema": schema });
        with_manifest(&hostile(), &asks.to_string())
    };
    let circles = [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
    ];

    for schema in circles {
        world.put("hostile", asking(schema), settings()).await;
    }
    for elsewhere in ["https://example.com/schema.json", "file:///etc/passwd"] {
        let reason = refusal(&world, asking(json!({ "$ref": elsewhere })), settings()).await;
        assert!(reason.contains("schema"), "{elsewhere}: {reason}");
    }

    assert_eq!(sent(&world.decide(world.event("1", "answer")).await), ["answer to myself"]);
}
