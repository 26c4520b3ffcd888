//! One version in place of another.

use super::*;
use crate::support::simulator;

const SECOND: &str = "/v1/plugins/second-rust1";

/// The example under another name.
fn renamed() -> Vec<u8> {
    altered(&guest("rust"), "\"name\":\"example-rust\"", "\"name\":\"second-rust1\"")
}

fn newer() -> Vec<u8> {
    altered(&guest("rust"), "\"version\":\"0.1.0\"", "\"version\":\"0.2.0\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_takes_the_place_of_the_one_that_serves_and_goes_back() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    serving(&gateway).await;
    let roll_back = async || post(&gateway, &format!("{EXAMPLE}/rollback")).await;
    let (status, nothing) = roll_back().await;
    assert_eq!((status, &nothing["error"]["code"]), (409, &json!("CONFLICT")));

    let (status, swapped) = upload(&gateway, &newer(), None).await;
    assert_eq!((status, &swapped["data"]["outcome"]), (200, &json!("swapped")), "{swapped}");
    let about = &swapped["data"]["plugin"];
    assert_eq!((&about["version"], &about["previous"]["version"]), (&json!("0.2.0"), &json!("0.1.0")));
    assert_eq!((&about["state"], &about["grants"]["hosts"]), (&json!("serving"), &json!(["api.example.com"])));
    let reloaded = told(&gateway, "plugin.reloaded", |_| true).await;
    assert_eq!(reloaded["payload"]["sha256"], about["sha256"]);
    assert_eq!(written(&gateway, &phones, "ping").await["payload"]["tags"], json!(["ping"]));

    let (_, back) = roll_back().await;
    assert_eq!((&back["data"]["outcome"], &back["data"]["plugin"]["version"]), (&json!("swapped"), &json!("0.1.0")));
    let (_, forward) = roll_back().await;
    assert_eq!(forward["data"]["plugin"]["version"], "0.2.0");
    assert_eq!(audited(&gateway, "plugin.rolled_back").await.len(), 2);
    let (status, no_file) = post(&gateway, &format!("{EXAMPLE}/reload")).await;
    assert_eq!((status, &no_file["error"]["code"]), (409, &json!("CONFLICT")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_file_manages_is_changed_there_and_its_component_is_read_again_on_request() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    serving(&gateway).await;
    gateway.kill();
    let file = folder.path().join("example.wasm");
    std::fs::write(&file, guest("rust")).unwrap();
    let database = rusqlite::Connection::open(folder.path().join("rijan.db")).unwrap();
    let declared = "UPDATE plugins SET managed_by = 'acme.toml', file = ?1";
    assert_eq!(database.execute(declared, [file.display().to_string()]).unwrap(), 1);
    drop(database);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);

    for (method, path) in [("POST", "/enable"), ("POST", "/disable"), ("PUT", ""), ("DELETE", "")] {
        let (status, body) = answer(gateway.request(method, &format!("{EXAMPLE}{path}"))).await;
        assert_eq!((status, &body["error"]["code"]), (409, &json!("CONFLICT")), "{method} {path}");
        assert!(text(&body["error"]["message"]).contains("acme.toml"), "{body}");
    }
    let (status, body) = upload(&gateway, &newer(), None).await;
    assert!(status == 409 && text(&body["error"]["message"]).contains("acme.toml"), "{status} {body}");

    let reload = async || post(&gateway, &format!("{EXAMPLE}/reload")).await.1["data"].clone();
    assert_eq!(reload().await["outcome"], "unchanged");
    std::fs::write(&file, b"half of a compo").unwrap();
    let refused = reload().await;
    assert_eq!((&refused["outcome"], &refused["plugin"]["state"]), (&json!("kept_previous"), &json!("serving")));
    assert!(text(&refused["reason"]).contains("no WebAssembly component"), "{refused}");
    std::fs::remove_file(&file).unwrap();
    let gone = reload().await;
    assert!(text(&gone["reason"]).starts_with("its file does not read"), "{gone}");
    assert!(!gone.to_string().contains("example.wasm"), "{gone}");
    std::fs::write(&file, newer()).unwrap();
    // The watcher may have been first.
    reload().await;
    assert_eq!(plugin(&gateway).await["version"], "0.2.0");
    let (_, back) = post(&gateway, &format!("{EXAMPLE}/rollback")).await;
    assert_eq!(back["data"]["plugin"]["version"], "0.1.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_run_fails_by_itself_and_keeps_no_change_of_another_back() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    serving(&gateway).await;
    assert_eq!(upload(&gateway, &renamed(), None).await.0, 201);
    let sha256 = text(&plugin(&gateway).await["sha256"]);
    gateway.kill();
    let database = rusqlite::Connection::open(folder.path().join("rijan.db")).unwrap();
    let damaged = "UPDATE plugin_components SET component = x'00' WHERE sha256 = ?1";
    assert_eq!(database.execute(damaged, [sha256]).unwrap(), 1);
    drop(database);

    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);

    let about = plugin(&gateway).await;
    assert_eq!((&about["state"], &about["version"]), (&json!("failed"), &json!(null)), "{about}");
    assert!(text(&about["failure"]).contains("no WebAssembly component"), "{about}");
    written(&gateway, &Phones::of(&simulator), "ping").await;
    let send = json!({ "to": gateway.info["contactPhone"], "text": "hello" });
    let (status, rejected) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&send)).await;
    assert_eq!((status, &rejected["error"]["details"][1]["message"]), (422, &json!("PLUGIN_FAILED")), "{rejected}");
    let (status, _) = answer(gateway.request("PUT", SECOND).json(&json!({ "grants": everything() }))).await;
    assert_eq!(status, 200);
    assert_eq!(post(&gateway, &format!("{SECOND}/enable")).await.1["data"]["outcome"], "swapped");
    let again = post(&gateway, &format!("{EXAMPLE}/enable")).await.1;
    assert_eq!((&again["data"]["outcome"], &again["data"]["plugin"]["state"]), (&json!("unchanged"), &json!("failed")));

    let (status, healed) = upload(&gateway, &guest("rust"), None).await;
    assert_eq!((status, &healed["data"]["outcome"]), (200, &json!("swapped")), "{healed}");
    assert_eq!(healed["data"]["plugin"]["state"], "serving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_moved_to_its_place_and_keeps_only_the_hooks_that_are_named() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    serving(&gateway).await;
    assert_eq!(upload(&gateway, &renamed(), Some(json!({ "grants": everything() }))).await.0, 201);
    assert_eq!(post(&gateway, &format!("{SECOND}/enable")).await.1["data"]["outcome"], "swapped");
    let order = async || {
        let pipeline = gateway.get("/v1/pipeline").await["data"]["plugins"].clone();
        pipeline.as_array().unwrap().iter().map(|place| text(&place["name"])).collect::<Vec<_>>()
    };
    assert_eq!(order().await, ["example-rust", "second-rust1"]);

    let body = json!({ "order": 0, "hooks": ["outbound"], "config": { "blocked-word": "eggs" }, "isolation": "fresh",
        "on_error": { "inbound": "drop" }, "limits": { "call_ms": 2_000 } });
    let (status, changed) = answer(gateway.request("PUT", SECOND).json(&body)).await;

    assert_eq!((status, &changed["data"]["outcome"]), (200, &json!("swapped")), "{changed}");
    let about = &changed["data"]["plugin"];
    assert_eq!(
        (&about["position"], &about["hooks"], &about["isolation"]),
        (&json!(0), &json!(["outbound"]), &json!("fresh"))
    );
    assert_eq!((&about["limits"]["call_ms"], &about["on_error"]["inbound"]), (&json!(2_000), &json!("drop")));
    assert_eq!(order().await, ["second-rust1", "example-rust"]);
    let send = json!({ "to": gateway.info["contactPhone"], "text": "eggs" });
    let (status, rejected) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&send)).await;
    assert_eq!((status, &rejected["error"]["code"]), (422, &json!("PLUGIN_REJECTED")));
    assert_eq!(rejected["error"]["details"][0], json!({ "field": "plugin", "message": "second-rust1" }));
}
