//! `rijan plugin test` and `check`, as an author and an installer type them.

use crate::guests::{guests, rust_example};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn plugin(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rijan"));
    command.arg("plugin").args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    // Compiled components stay where the other tests have theirs.
    command.env("XDG_CACHE_HOME", std::path::absolute(guests()).unwrap()).output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder with the example's manifest, its component and this fixture.
fn project(fixture: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy("examples/plugins/rust/rijan-plugin.toml", folder.path().join("rijan-plugin.toml")).unwrap();
    std::fs::write(folder.path().join("example-rust.wasm"), rust_example()).unwrap();
    std::fs::create_dir(folder.path().join("tests")).unwrap();
    std::fs::write(folder.path().join("tests/one.json"), fixture.to_string()).unwrap();
    folder
}

fn tested(folder: &Path) -> (bool, String) {
    let output = plugin(&["test", folder.to_str().unwrap()]);
    (output.status.success(), printed(&output) + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_examples_fixtures_come_out_as_expected() {
    rust_example();
    let component = guests().join("rust.wasm");

    let output = plugin(&["test", "examples/plugins/rust", "--component", component.to_str().unwrap()]);

    assert!(output.status.success(), "{}", printed(&output));
    assert!(printed(&output).contains("6 fixtures, all as expected"), "{}", printed(&output));
}

#[test]
fn a_difference_is_told_at_its_place_and_fails() {
    let folder = project(&json!({ "kv": { "count": "7" }, "steps": [
        { "inbound": { "text": "count" }, "expect": { "effects": [{ "reply": { "text": "9" } }], "kv": { "count": "8" } } },
        { "inbound": { "text": "thanks" }, "expect": { "error": "temporary" } },
    ] }));

    let (fine, told) = tested(folder.path());

    assert!(!fine, "{told}");
    for part in ["/effects/0/reply/text", "expected  \"9\"", "came      \"8\"", "/error", "2 of 2 steps of 1 fixture"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!told.contains("/kv"), "{told}");
}

#[test]
fn a_request_that_is_another_one_and_an_answer_that_nobody_asked_for_fail() {
    let exchange = json!({ "request": { "method": "GET" }, "response": { "body": "because" } });
    let folder = project(&json!({ "secrets": { "api-token": "t" }, "http": [exchange, exchange], "steps": [
        { "inbound": { "text": "ask why?" }, "expect": { "effects": [{ "reply": { "text": "because" } }] } },
    ] }));

    let (fine, told) = tested(folder.path());

    assert!(!fine, "{told}");
    assert!(told.contains("/http/0/request/method") && told.contains("came      \"POST\""), "{told}");
    assert!(told.contains("/http/1") && !told.contains("/effects"), "{told}");
}

#[test]
fn the_egress_guards_a_rehearsal_too() {
    let folder = project(&json!({
        "config": { "ask-url": "http://169.254.169.254/latest" }, "secrets": { "api-token": "t" },
        "steps": [{ "inbound": { "text": "ask why?" }, "expect": { "error": "temporary" } }],
    }));

    let (fine, told) = tested(folder.path());

    assert!(!fine && told.contains("not public"), "{told}");
}

#[test]
fn a_configuration_that_the_schema_refuses_is_told_as_bad() {
    let folder = project(&json!({ "config": { "blocked-word": 7 }, "init": { "error": "bad-config" }, "steps": [] }));

    let (fine, told) = tested(folder.path());

    assert!(fine, "{told}");
}

#[test]
fn what_was_not_built_or_from_another_manifest_is_said() {
    let folder = project(&json!({ "steps": [{ "inbound": { "text": "ping" } }] }));
    let manifest = folder.path().join("rijan-plugin.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("0.1.0", "0.2.0")).unwrap();
    let (fine, other) = tested(folder.path());
    assert!(!fine && other.contains("another manifest"), "{other}");

    std::fs::remove_file(folder.path().join("example-rust.wasm")).unwrap();
    let (fine, missing) = tested(folder.path());
    assert!(!fine && missing.contains("--build"), "{missing}");
}

#[test]
fn an_installer_reads_what_it_asks_for_and_whether_it_would_serve() {
    rust_example();
    let (component, folder) = (guests().join("rust.wasm"), tempfile::tempdir().unwrap());
    let settings = folder.path().join("settings.toml");
    let check = |more: &[&str]| {
        let args = [&["check", component.to_str().unwrap()], more].concat();
        let output = plugin(&args);
        (output.status.success(), printed(&output))
    };

    let (fine, told) = check(&[]);
    assert!(fine && told.contains("it would serve") && told.contains("api.example.com"), "{told}");

    std::fs::write(&settings, "[grants]\nimports = [\"kv\"]\n").unwrap();
    let (fine, told) = check(&["--json", "--settings", settings.to_str().unwrap()]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(!fine && told["serves"] == false, "{told}");
    assert!(told["refused"].as_str().unwrap().contains("the tenant does not grant it"), "{told}");
    assert!(told["asks"].as_array().unwrap().iter().any(|ask| ask["name"] == "http" && ask["needsGrant"] == true));

    std::fs::write(&settings, "[config]\nblocked-word = 7\n").unwrap();
    let (fine, told) = check(&["--settings", settings.to_str().unwrap()]);
    assert!(!fine && told.contains("config.blocked-word"), "{told}");
}
