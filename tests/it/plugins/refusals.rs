//! What is not installed and not changed, each with its reason.

use super::*;
use crate::support::simulator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_plugin_is_refused_with_its_reason_and_the_one_that_serves_goes_on() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    serving(&gateway).await;
    let good = guest("rust");
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("no wasm", b"#!/bin/sh".to_vec(), "no WebAssembly component"),
        ("nothing", Vec::new(), "no WebAssembly component"),
        ("a core module", b"\0asm\x01\0\0\0".to_vec(), "core module"),
        ("half of one", good[..good.len() / 2].to_vec(), "component"),
        ("no manifest", altered(&good, "rijan-manifest", "rijan-nothing!"), "no manifest"),
        ("a bad manifest", altered(&good, "\"webhook\":true", "\"webhook\":null"), "manifest"),
        ("a hook too many", altered(&good, "\"outbound\":true,", "                "), "exports the hook \"outbound\""),
        ("a foreign import", altered(&good, "rijan:plugin/clock@0.1.0", "rijan:plugin/clocc@0.1.0"), "does not offer"),
    ];
    for (case, component, reason) in cases {
        let (status, body) = upload(&gateway, &component, None).await;
        assert_eq!((status, fields(&body)), (400, vec!["component".to_owned()]), "{case}: {body}");
        assert!(text(&body["error"]["details"][0]["message"]).contains(reason), "{case}: {body}");
    }
    let about = plugin(&gateway).await;
    assert_eq!((&about["state"], &about["version"]), (&json!("serving"), &json!("0.1.0")));

    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let send = async |body: Vec<u8>| {
        answer(gateway.request("POST", "/v1/plugins").header("content-type", &kind).body(body)).await
    };
    assert_eq!(fields(&send(form(&[("settings", b"{}")])).await.1), ["component"]);
    assert_eq!(fields(&send(form(&[("component", &good), ("settings", b"{")])).await.1), ["settings"]);
    assert_eq!(fields(&send(form(&[("plugin", &good)])).await.1), ["plugin"]);
    assert_eq!(fields(&send(b"no form".to_vec()).await.1), ["body"]);
    let (status, body) = answer(gateway.request("POST", "/v1/plugins").json(&json!({}))).await;
    assert_eq!((status, &body["error"]["code"]), (415, &json!("UNSUPPORTED_MEDIA_TYPE")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_setting_that_does_not_fit_is_named_and_nothing_is_changed() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    serving(&gateway).await;
    let before = plugin(&gateway).await;
    let cases = [
        (
            json!({ "mood": "good", "position": -1, "isolation": "shared", "hooks": ["inbound", "sideways"], "grants": { "imports": ["disk"], "host": [] },
                "limits": { "call_ms": "long" }, "on_error": { "inbound": "explode" }, "config": [], "secrets": { "a": 1 } }),
            vec![
                "mood",
                "secrets.a",
                "position",
                "hooks[1]",
                "config",
                "grants.host",
                "grants.imports",
                "limits.call_ms",
                "on_error.inbound",
                "isolation",
            ],
        ),
        (json!({ "config": { "blocked-word": "" } }), vec!["config.blocked-word"]),
        (json!({ "config": { "blocked-work": "x" } }), vec!["config"]),
        (json!({ "limits": { "call_ms": 1, "memory_mib": 9_999 } }), vec!["limits.memory_mib", "limits.call_ms"]),
        (json!({ "grants": {} }), vec!["grants.imports"]),
    ];
    for (body, wrong) in cases {
        let (status, answer) = put(&gateway, body.clone()).await;
        assert_eq!(
            (status, fields(&answer)),
            (400, wrong.into_iter().map(str::to_owned).collect()),
            "{body}: {answer}"
        );
    }
    let (status, answer) = upload(&gateway, &guest("rust"), Some(json!({ "config": { "blocked-word": 7 } }))).await;
    assert_eq!((status, fields(&answer)), (400, vec!["config.blocked-word".to_owned()]), "{answer}");

    let mut after = plugin(&gateway).await;
    after["updated_at"] = before["updated_at"].clone();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_are_off_unless_the_operator_wants_them_and_bounded_then() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (status, body) = upload(&gateway, &guest("rust"), None).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("FORBIDDEN")));
    gateway.kill();

    let flags = ["--set", "plugins.uploads=true", "--set", "plugins.upload_bytes_max=100000"];
    let gateway = Gateway::start_with(folder.path(), &simulator, &flags);
    let (status, body) = upload(&gateway, &guest("rust"), None).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("PAYLOAD_TOO_LARGE")));
    assert_eq!(gateway.get("/v1/plugins").await["data"]["plugins"], json!([]));
}
