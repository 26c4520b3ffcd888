//! One tenant's key never reaches another tenant's rows.

use crate::support::{Gateway, answer, simulator, text};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_resources_are_not_found() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (_, made) = answer(gateway.admin("POST", "/admin/tenants").json(&json!({ "name": "Other" }))).await;
    let other = text(&made["data"]["api_key"]);
    let webhooks = gateway.get("/v1/webhooks").await;
    let webhook = text(&webhooks[0]["id"]);
    let message = gateway.send_text("mine", "key").await.unwrap();
    let device = |path: &str| gateway.device(path);
    for (method, path) in [
        ("GET", device("")),
        ("GET", device("/health")),
        ("GET", device("/session")),
        ("POST", device("/start")),
        ("POST", device("/stop")),
        ("POST", device("/logout")),
        ("POST", device("/pairing/qr")),
        ("POST", device("/messages/text")),
        ("GET", device(&format!("/messages/{}/status", text(&message["id"])))),
        ("GET", device("/events")),
        ("GET", format!("/v1/webhooks/{webhook}")),
        ("PUT", format!("/v1/webhooks/{webhook}")),
        ("DELETE", format!("/v1/webhooks/{webhook}")),
        ("GET", format!("/v1/webhooks/{webhook}/deliveries")),
    ] {
        let request = gateway.http.request(method.parse().unwrap(), gateway.url(&path)).header("x-api-key", &other);
        let (status, body) = answer(request.json(&json!({ "to": "6281100000002", "text": "not mine" }))).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("NOT_FOUND")), "{method} {path}: {body}");
    }
    let (_, devices) = answer(gateway.http.get(gateway.url("/v1/devices")).header("x-api-key", &other)).await;
    assert_eq!(devices["data"]["total"], 0);
    assert_eq!(text(&gateway.get(&gateway.device("")).await["data"]["device"]["status"]), "connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenant_is_stopped_at_once_and_a_deleted_one_is_gone() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let tenant = format!("/admin/tenants/{}", text(&gateway.info["tenantId"]));
    let device = gateway.device("");

    answer(gateway.admin("PATCH", &format!("{tenant}/suspend"))).await;
    let (status, body) = answer(gateway.request("GET", &device)).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("FORBIDDEN")));

    answer(gateway.admin("PATCH", &format!("{tenant}/activate"))).await;
    crate::support::until("the device to come back", async || {
        (gateway.get(&device).await["data"]["device"]["status"] == "connected").then_some(())
    })
    .await;

    assert_eq!(answer(gateway.admin("DELETE", &tenant)).await.0, 200);
    let (status, body) = answer(gateway.request("GET", &device)).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("INVALID_API_KEY")));
    assert_eq!(answer(gateway.admin("GET", &tenant)).await.0, 404);
    assert_eq!(answer(gateway.admin("PATCH", &format!("{tenant}/activate"))).await.0, 404);
}
