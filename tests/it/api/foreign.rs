//! One tenant's key never reaches another tenant's rows.

use super::streams::Stream;
use crate::plugins::{component_form, guest, upload};
use crate::support::{Call, Client, answer, form, png, tenant, text};
use serde_json::{Value, json};

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
        ("{community}", "120363000000000002@g.us".to_owned()),
        ("{newsletter}", "120363400000000001@newsletter".to_owned()),
        ("{post}", "107".to_owned()),
        ("{contact}", text(&gateway.info["contactPhone"])),
        ("{chat}", text(&gateway.info["contactPhone"])),
        ("{call}", "A1B2C3".to_owned()),
        ("{label}", "1".to_owned()),
    ];
    let (_, document) = answer(gateway.http.get(gateway.url("/docs/json"))).await;
    let stranger = gateway.http.as_stranger();
    let mut walked = 0;
    for (pattern, operations) in document["paths"].as_object().unwrap() {
        let path = names.iter().fold(pattern.clone(), |path, (name, id)| path.replace(name, id));
        assert!(!path.contains('{'), "{pattern} names something this test does not know");
        for (method, operation) in operations.as_object().unwrap() {
            let call = async |client: &Client, header: &str, key: &str| {
                let method = method.to_uppercase().parse().unwrap();
                let request = client.request(method, gateway.url(&path)).header(header, key);
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
                assert_eq!(call(&stranger, "x-api-key", &own).await, (401, "INVALID_MASTER_KEY".into()), "{named}");
                let again = format!("/v1{path}");
                let (status, _) = answer(gateway.request(&method.to_uppercase(), &again)).await;
                assert_eq!(status, 401, "{named} below /v1");
                continue;
            }
            assert_eq!(call(&gateway.http, "x-nothing", "").await, (401, "UNAUTHORIZED".into()), "{named}");
            if pattern.contains('{') {
                assert_eq!(call(&stranger, "x-api-key", &other).await, (404, "NOT_FOUND".into()), "{named}");
            }
        }
    }
    assert!(walked >= 200, "{walked} operations");
    assert_eq!(text(&gateway.get(&gateway.device("")).await["data"]["device"]["status"]), "connected");
}

/// The operations whose paths name nothing: what is found, made and changed there is the caller's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_nothing_of_a_tenant_finds_makes_and_changes_what_is_the_callers() {
    let gateway = tenant().await;
    let (_, made) = answer(gateway.admin("POST", "/admin/tenants").json(&json!({ "name": "Other" }))).await;
    let (other, stranger) = (text(&made["data"]["api_key"]), gateway.http.as_stranger());
    let call = |method: &str, path: &str| -> Call {
        stranger.request(method.parse().unwrap(), gateway.url(path)).header("x-api-key", &other)
    };
    let hook = json!({ "url": "http://127.0.0.1:1/hook", "events": ["message.sent"], "retryCount": 1 });
    let (_, webhook) = answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await;
    upload(&gateway, &guest("rust"), None).await;
    let template = json!({ "name": "mine", "text": "{{words}}" });
    answer(gateway.request("POST", "/v1/templates").json(&template)).await;
    gateway.send_text("mine", "key").await.unwrap();
    let letters = "/v1/webhooks/dlq";
    let letter = crate::support::until("a dead letter", async || {
        let first = gateway.get(letters).await["data"]["deadLetters"][0].clone();
        first["deliveryId"].as_str().map(str::to_owned)
    })
    .await;

    for (path, list) in [
        ("/v1/devices", "/data/devices"),
        ("/v1/devices/sessions", "/data/sessions"),
        ("/v1/plugins", "/data/plugins"),
        ("/v1/pipeline", "/data/plugins"),
        ("/v1/templates", "/data/templates"),
        (letters, "/data/deadLetters"),
        ("/v1/events", ""),
        ("/v1/webhooks", ""),
    ] {
        let (_, found) = answer(call("GET", path)).await;
        assert_eq!(found.pointer(list), Some(&json!([])), "{path}");
    }
    let (_, keys) = answer(call("GET", "/v1/keys")).await;
    assert_eq!(keys["data"]["total"], 1, "its own");

    // The letter is theirs: it is neither sent again nor given up.
    let (_, replayed) = answer(call("POST", letters).json(&json!({ "deliveryIds": [letter] }))).await;
    assert_eq!((&replayed["data"]["replayed"], &replayed["data"]["remaining"]), (&json!(0), &json!(0)), "{replayed}");
    let of_theirs = format!("{letters}?webhookId={}", text(&webhook["id"]));
    let (_, given_up) = answer(call("DELETE", &of_theirs)).await;
    assert_eq!(given_up["data"]["deleted"], 0, "{given_up}");
    assert_eq!(gateway.get(letters).await["data"]["total"], 1);

    // The same names are other things.
    assert_eq!(answer(call("POST", "/v1/templates").json(&template)).await.0, 201);
    let (kind, body) = component_form(&guest("rust"));
    assert_eq!(answer(call("POST", "/v1/plugins").header("content-type", kind).body(body)).await.0, 201);
    assert_eq!(answer(call("POST", "/v1/webhooks").json(&hook)).await.0, 201);
    assert_eq!(answer(call("POST", "/v1/keys").json(&json!({ "name": "another", "scopes": ["read"] }))).await.0, 201);
    let count =
        async |path: &str, list: &str| gateway.get(path).await.pointer(list).and_then(Value::as_array).map(Vec::len);
    for (path, list) in [
        ("/v1/templates", "/data/templates"),
        ("/v1/plugins", "/data/plugins"),
        ("/v1/webhooks", ""),
        ("/v1/keys", "/data/keys"),
    ] {
        assert_eq!(count(path, list).await, Some(1), "{path}");
    }

    // Nothing is tried on a device of another tenant, and nothing of its events is followed.
    let attempt = async |device: &Value| {
        let message = json!({ "device": device, "to": gateway.info["contactPhone"], "text": "hi" });
        let (status, refused) = answer(call("POST", "/v1/pipeline/try").json(&json!({ "message": message }))).await;
        (status, refused["error"].clone())
    };
    let refused = attempt(&gateway.info["deviceId"]).await;
    assert_eq!((refused.0, &refused.1["details"][0]["field"]), (400, &json!("message.device")), "{}", refused.1);
    assert_eq!(attempt(&json!(format!("device_{}", "0".repeat(32)))).await, refused, "as one that nobody has");
    let mut followed = Stream::open(call("GET", "/v1/events/stream?cursor=0")).await;
    let theirs = gateway.url("/v1/plugins/example-rust/enable");
    answer(gateway.http.request("POST".parse().unwrap(), theirs).header("x-api-key", &other)).await;
    let (_, first) = followed.event().await.unwrap();
    assert!(text(&first["type"]).starts_with("plugin."), "{first}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenant_is_stopped_at_once_and_comes_back_when_it_is_activated() {
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
}
