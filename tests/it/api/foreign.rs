//! One tenant's key never reaches another tenant's rows.

use crate::plugins::{guest, upload};
use crate::support::{answer, form, png, tenant, text};
use serde_json::json;

/// Every operation of the API document, so that a new route cannot be forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_asks_for_its_key_and_finds_nothing_of_another_tenant() {
    let gateway = tenant().await;
    let (_, made) = answer(gateway.admin("POST", "/admin/tenants").json(&json!({ "name": "Other" }))).await;
    let (other, own) = (text(&made["data"]["api_key"]), text(&gateway.info["apiKey"]));
    let hook = json!({ "url": "http://127.0.0.1:1/hook", "events": ["message.sent"], "retryCount": 1 });
    let (_, webhook) = answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await;
    let message = text(&gateway.send_text("mine", "key").await.unwrap()["id"]);
    let deliveries = format!("/v1/webhooks/{}/deliveries", text(&webhook["id"]));
    let delivery = crate::support::until("a delivery", async || {
        let first = gateway.get(&deliveries).await[0].clone();
        first["id"].as_str().map(str::to_owned)
    })
    .await;
    let (_, keys) = answer(gateway.request("GET", "/v1/keys")).await;
    let key = text(&keys["data"]["keys"][0]["id"]);
    let plugin = text(&upload(&gateway, &guest("rust"), None).await.1["data"]["plugin"]["name"]);
    let event = text(&gateway.get("/v1/events?limit=1").await[0]["id"]);
    let template = json!({ "name": "mine", "text": "{{words}}" });
    assert_eq!(answer(gateway.request("POST", "/v1/templates").json(&template)).await.0, 201);
    let (kind, body) = form(&[("file", Some(("a.png", "image/png")), &png(100))]);
    let brought = gateway.request("POST", &gateway.device("/media/upload")).header("content-type", kind);
    let media = text(&answer(brought.body(body)).await.1["mediaId"]);
    let names = [
        ("{media}", media),
        ("{template}", "mine".to_owned()),
        ("{plugin}", plugin),
        ("{delivery}", delivery),
        ("{key}", key),
        ("{event}", event),
        ("{device}", text(&gateway.info["deviceId"])),
        ("{tenant}", text(&gateway.info["tenantId"])),
        ("{webhook}", text(&webhook["id"])),
        ("{message}", message),
        ("{group}", "120363000000000001@g.us".to_owned()),
        ("{contact}", text(&gateway.info["contactPhone"])),
        ("{chat}", text(&gateway.info["contactPhone"])),
        ("{call}", "A1B2C3".to_owned()),
    ];
    let (_, document) = answer(gateway.http.get(gateway.url("/docs/json"))).await;
    let mut walked = 0;
    for (pattern, operations) in document["paths"].as_object().unwrap() {
        let path = names.iter().fold(pattern.clone(), |path, (name, id)| path.replace(name, id));
        assert!(!path.contains('{'), "{pattern} names something this test does not know");
        for (method, operation) in operations.as_object().unwrap() {
            let call = async |header: &str, key: &str| {
                let method = method.to_uppercase().parse().unwrap();
                let request = gateway.http.request(method, gateway.url(&path)).header(header, key);
                let (status, body) = answer(request.body("{ not even JSON")).await;
                (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
            };
            let named = format!("{method} {pattern}");
            if operation["security"].is_null() {
                assert_eq!(operation["tags"], json!(["Public"]), "{named} asks for no key");
                continue;
            }
            walked += 1;
            if pattern.starts_with("/admin") {
                assert_eq!(call("x-api-key", &own).await, (401, "INVALID_MASTER_KEY".into()), "{named}");
                let again = format!("/v1{path}");
                let (status, _) = answer(gateway.request(&method.to_uppercase(), &again)).await;
                assert_eq!(status, 401, "{named} below /v1");
                continue;
            }
            assert_eq!(call("x-nothing", "").await, (401, "UNAUTHORIZED".into()), "{named}");
            if pattern.contains('{') {
                assert_eq!(call("x-api-key", &other).await, (404, "NOT_FOUND".into()), "{named}");
            }
        }
    }
    assert!(walked >= 159, "{walked} operations");
    for (path, list) in [("/v1/devices", "devices"), ("/v1/devices/sessions", "sessions")] {
        let (_, found) = answer(gateway.http.get(gateway.url(path)).header("x-api-key", &other)).await;
        assert_eq!(found["data"][list], json!([]), "{path}");
    }
    for (path, list) in [("/v1/plugins", "plugins"), ("/v1/pipeline", "plugins")] {
        let (_, found) = answer(gateway.http.get(gateway.url(path)).header("x-api-key", &other)).await;
        assert_eq!(found["data"][list], json!([]), "{path}");
    }
    let (_, templates) = answer(gateway.http.get(gateway.url("/v1/templates")).header("x-api-key", &other)).await;
    assert_eq!(templates["data"]["templates"], json!([]));
    let (_, keys) = answer(gateway.http.get(gateway.url("/v1/keys")).header("x-api-key", &other)).await;
    assert_eq!(keys["data"]["total"], 1, "its own");
    let (_, letters) = answer(gateway.http.get(gateway.url("/v1/webhooks/dlq")).header("x-api-key", &other)).await;
    assert_eq!(letters["data"]["total"], 0);
    let (_, events) = answer(gateway.http.get(gateway.url("/v1/events")).header("x-api-key", &other)).await;
    assert_eq!(events, json!([]));
    let (_, webhooks) = answer(gateway.http.get(gateway.url("/v1/webhooks")).header("x-api-key", &other)).await;
    assert_eq!(webhooks, json!([]));
    assert_eq!(text(&gateway.get(&gateway.device("")).await["data"]["device"]["status"]), "connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenant_is_stopped_at_once_and_a_deleted_one_is_gone() {
    let gateway = tenant().await;
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
