//! From a component in the hand to one that serves, and back.

use super::*;
use crate::support::simulator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_installed_disabled_and_serves_once_it_is_granted_what_it_imports_and_enabled() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);

    let (status, made) = upload(&gateway, &guest("rust"), None).await;
    assert_eq!((status, &made["data"]["outcome"]), (201, &json!("swapped")), "{made}");
    let about = &made["data"]["plugin"];
    assert_eq!(
        (&about["name"], &about["version"], &about["state"]),
        (&json!("example-rust"), &json!("0.1.0"), &json!("disabled"))
    );
    assert_eq!(about["hooks"], json!(["inbound", "outbound", "webhook", "scheduled"]));
    assert_eq!(about["wants"]["hosts"], json!(["api.example.com"]));
    assert_eq!((&about["grants"]["imports"], &about["managed_by"]), (&json!([]), &json!("api")));
    assert_eq!(gateway.get("/v1/pipeline").await["data"]["plugins"], json!([]));

    let (status, refused) = post(&gateway, &format!("{EXAMPLE}/enable")).await;
    assert_eq!((status, &refused["data"]["outcome"]), (200, &json!("kept_previous")), "{refused}");
    assert!(text(&refused["data"]["reason"]).contains("grants.imports"), "{refused}");
    assert_eq!(refused["data"]["plugin"]["state"], "disabled");
    assert_eq!(refused["data"]["plugin"]["reason"], refused["data"]["reason"]);
    let failed = told(&gateway, "plugin.reload_failed", |_| true).await;
    assert_eq!(failed["payload"]["reason"], refused["data"]["reason"]);
    assert_eq!(failed["deviceId"], Value::Null);

    let secrets = json!({ "api-token": "nobody reads this" });
    let (status, granted) = put(&gateway, json!({ "grants": everything(), "secrets": secrets })).await;
    assert_eq!((status, &granted["data"]["plugin"]["secrets"]), (200, &json!(["api-token"])), "{granted}");
    let (_, enabled) = post(&gateway, &format!("{EXAMPLE}/enable")).await;
    assert_eq!(
        (&enabled["data"]["outcome"], &enabled["data"]["plugin"]["state"]),
        (&json!("swapped"), &json!("serving"))
    );
    assert_eq!(enabled["data"]["plugin"]["reason"], Value::Null);
    let (_, again) = post(&gateway, &format!("{EXAMPLE}/enable")).await;
    assert_eq!(again["data"]["outcome"], "unchanged");
    let pipeline = gateway.get("/v1/pipeline").await;
    assert_eq!(pipeline["data"]["plugins"][0]["events"], json!(["message.received"]));
    told(&gateway, "plugin.loaded", |event| event["payload"]["plugin"] == "example-rust").await;

    let (_, all) = answer(gateway.admin("GET", "/admin/plugins")).await;
    let one = &all["data"]["plugins"][0];
    assert_eq!(
        (&all["data"]["total"], &one["state"], &one["tenant_id"]),
        (&json!(1), &json!("serving"), &gateway.info["tenantId"])
    );
    for (action, times) in [("plugin.installed", 1), ("plugin.updated", 1), ("plugin.enabled", 1)] {
        let lines = audited(&gateway, action).await;
        assert_eq!(lines.len(), times, "{action}: {lines:?}");
        assert_eq!((&lines[0]["resource_type"], &lines[0]["resource_id"]), (&json!("plugin"), &json!("example-rust")));
        assert!(!lines[0].to_string().contains("nobody reads this"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_plugin_is_passed_by_and_a_removed_one_is_gone() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    serving(&gateway).await;
    assert_eq!(written(&gateway, &phones, "ping").await["payload"]["tags"], json!(["ping"]));

    let (_, disabled) = post(&gateway, &format!("{EXAMPLE}/disable")).await;
    assert_eq!(
        (&disabled["data"]["outcome"], &disabled["data"]["plugin"]["state"]),
        (&json!("swapped"), &json!("disabled"))
    );
    let before = gateway.get(&format!("{EXAMPLE}/traces")).await;
    // "spam" would be dropped, so that it is told shows that nobody was asked.
    assert_eq!(written(&gateway, &phones, "spam").await["payload"]["tags"], Value::Null);
    assert_eq!(gateway.get(&format!("{EXAMPLE}/traces")).await["data"], before["data"]);
    assert_eq!(audited(&gateway, "plugin.disabled").await.len(), 1);

    assert_eq!(answer(gateway.request("DELETE", EXAMPLE)).await.0, 200);
    assert_eq!(answer(gateway.request("GET", EXAMPLE)).await.0, 404);
    assert_eq!(gateway.get("/v1/plugins").await["data"]["plugins"], json!([]));
    assert_eq!(audited(&gateway, "plugin.removed").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_serves_serves_again_after_a_restart() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    serving(&gateway).await;
    gateway.kill();

    // Uploads are off now; what was brought before stays.
    let gateway = Gateway::start(folder.path(), &simulator);

    assert_eq!(plugin(&gateway).await["state"], "serving");
    assert_eq!(written(&gateway, &Phones::of(&simulator), "ping").await["payload"]["tags"], json!(["ping"]));
}
