//! API keys with names: what each may do, from where, until when, and who ends it.

use crate::support::{Tenant, answer, tenant, text, until};
use serde_json::{Value, json};

async fn with(gateway: &Tenant, key: &Value, method: &str, path: &str) -> (u16, Value) {
    let request = gateway.http.request(method.parse().unwrap(), gateway.url(path));
    answer(request.header("x-api-key", text(key)).json(&json!({}))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_does_what_its_scopes_say_and_its_use_is_noted() {
    let gateway = tenant().await;
    let asked = json!({ "name": "dashboard", "scopes": ["read"], "expires_in_days": 7 });
    let (status, made) = answer(gateway.request("POST", "/v1/keys").json(&asked)).await;
    assert_eq!(status, 201, "{made}");
    let (key, shown) = (&made["data"]["api_key"], &made["data"]["key"]);
    assert_eq!((&shown["status"], &shown["last_used_at"]), (&json!("active"), &Value::Null));
    assert_eq!(shown["expires_at"].as_i64().unwrap() - shown["created_at"].as_i64().unwrap(), 7 * 86_400);

    assert_eq!(with(&gateway, key, "GET", "/v1/devices").await.0, 200);
    for (method, path) in [("POST", gateway.device("/messages/text")), ("GET", "/v1/keys".into())] {
        let (status, refused) = with(&gateway, key, method, &path).await;
        assert_eq!((status, &refused["error"]["code"]), (403, &json!("FORBIDDEN")), "{path}");
    }

    until("its use to be noted", async || {
        let keys = gateway.get("/v1/keys").await["data"]["keys"].clone();
        keys.as_array().unwrap().iter().find(|one| one["id"] == shown["id"])?["last_used_at"].as_i64()
    })
    .await;
    let listed = gateway.get("/v1/keys").await.to_string();
    assert!(!listed.contains(&text(key)), "it is shown once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_lives_as_long_as_its_grace_and_a_revoked_one_ends_at_once() {
    let gateway = tenant().await;
    let asked = json!({ "name": "crm", "scopes": ["send"] });
    let (_, first) = answer(gateway.request("POST", "/v1/keys").json(&asked)).await;
    let path = |made: &Value| format!("/v1/keys/{}", text(&made["data"]["key"]["id"]));

    let grace = json!({ "grace_seconds": 3600 });
    let (_, second) = answer(gateway.request("POST", &format!("{}/rotate", path(&first))).json(&grace)).await;
    let (_, third) = answer(gateway.request("POST", &format!("{}/rotate", path(&second)))).await;

    assert_eq!(third["data"]["key"]["name"], "crm");
    let opens = async |made: &Value| with(&gateway, &made["data"]["api_key"], "GET", "/v1/devices").await.0;
    assert_eq!((opens(&first).await, opens(&second).await, opens(&third).await), (200, 401, 200));
    assert_eq!(answer(gateway.request("POST", &format!("{}/rotate", path(&second)))).await.0, 409);
    assert_eq!(answer(gateway.request("DELETE", &path(&third))).await.0, 200);
    assert_eq!(opens(&third).await, 401);
    let own = gateway.get("/v1/keys?limit=100").await["data"]["keys"].clone();
    let own = own.as_array().unwrap().iter().find(|one| one["name"] == "default").unwrap().clone();
    let (status, refused) = answer(gateway.request("DELETE", &format!("/v1/keys/{}", text(&own["id"])))).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_taken_from_its_addresses_alone_and_the_refusal_is_written_down() {
    let gateway = tenant().await;
    let keys = format!("/admin/tenants/{}/keys", text(&gateway.info["tenantId"]));
    let make = async |networks: Value| {
        let asked = json!({ "name": "office", "scopes": ["manage"], "allowed_ips": networks });
        answer(gateway.admin("POST", &keys).json(&asked)).await.1["data"].clone()
    };
    let (here, elsewhere) = (make(json!(["127.0.0.0/8"])).await, make(json!(["203.0.113.7"])).await);

    assert_eq!(with(&gateway, &here["api_key"], "GET", "/v1/devices").await.0, 200);
    let (status, refused) = with(&gateway, &elsewhere["api_key"], "GET", "/v1/devices").await;
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("FORBIDDEN")));

    let id = text(&gateway.info["tenantId"]);
    let (_, log) = answer(gateway.admin("GET", &format!("/admin/audit-logs?tenantId={id}&limit=200"))).await;
    let actions: Vec<String> =
        log["data"]["logs"].as_array().unwrap().iter().map(|line| text(&line["action"])).collect();
    assert_eq!(actions[0], "tenant.auth.failed");
    assert_eq!(actions.iter().filter(|action| *action == "key.created").count(), 2, "{actions:?}");
    let revoke = format!("{keys}/{}", text(&here["key"]["id"]));
    assert_eq!(answer(gateway.admin("DELETE", &revoke)).await.0, 200);
    assert_eq!(with(&gateway, &here["api_key"], "GET", "/v1/devices").await.0, 401);
    assert_eq!(answer(gateway.admin("DELETE", &format!("{keys}/key_1"))).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_of_a_key_is_named() {
    let gateway = tenant().await;
    let bad = json!({ "name": " ", "scopes": ["read", "root"], "expires_in_days": 0, "allowed_ips": ["here"] });

    let (status, body) = answer(gateway.request("POST", "/v1/keys").json(&bad)).await;

    let fields: Vec<&Value> = body["error"]["details"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
    assert_eq!(status, 400);
    assert_eq!(fields, ["name", "scopes[1]", "expires_in_days", "allowed_ips[0]"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_lists_rotates_and_revokes_the_keys_of_a_tenant() {
    let gateway = tenant().await;
    let keys = format!("/admin/tenants/{}/keys", text(&gateway.info["tenantId"]));
    let asked = json!({ "name": "till", "scopes": ["read"] });
    let (status, made) = answer(gateway.admin("POST", &keys).json(&asked)).await;
    assert_eq!(status, 201, "{made}");
    let first = made["data"]["api_key"].clone();
    let key = format!("{keys}/{}", text(&made["data"]["key"]["id"]));

    let (status, rotated) = answer(gateway.admin("POST", &format!("{key}/rotate")).json(&json!({}))).await;

    assert_eq!((status, &rotated["data"]["key"]["name"]), (200, &json!("till")), "{rotated}");
    let second = rotated["data"]["api_key"].clone();
    assert_eq!(with(&gateway, &first, "GET", "/v1/devices").await.0, 401, "it stopped at once");
    assert_eq!(with(&gateway, &second, "GET", "/v1/devices").await.0, 200);
    let (status, listed) = answer(gateway.admin("GET", &keys)).await;
    assert_eq!((status, &listed["data"]["total"]), (200, &json!(3)), "{listed}");
    let newest = format!("{keys}/{}", text(&listed["data"]["keys"][0]["id"]));
    assert_eq!(answer(gateway.admin("DELETE", &newest)).await.0, 200);
    assert_eq!(with(&gateway, &second, "GET", "/v1/devices").await.0, 401);
    let (status, tenants) = answer(gateway.admin("GET", "/admin/tenants?limit=100")).await;
    let (tenants, id) = (tenants["data"]["tenants"].as_array().unwrap().clone(), &gateway.info["tenantId"]);
    assert!(status == 200 && tenants.iter().any(|one| one["id"] == *id && one["status"] == "active"), "{tenants:?}");
}
