//! Linking a device by a code, and what is told of it then.

use crate::support::{answer, tenant, text, until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_is_typed_into_the_phone_links_the_device_and_its_session_is_told() {
    let gateway = tenant().await;
    let phone = format!("{}8", text(&gateway.info["contactPhone"]));
    gateway.phones().post("/accounts", json!({ "phone": phone, "name": "A second shop" })).await;
    let devices = format!("/admin/tenants/{}/devices", text(&gateway.info["tenantId"]));
    let (_, made) = answer(gateway.admin("POST", &devices).json(&json!({ "label": "till" }))).await;
    let device = format!("/v1/devices/{}", text(&made["data"]["device"]["id"]));
    let session = gateway.get(&format!("{device}/session")).await;
    assert_eq!((&session["data"]["has_session"], &session["data"]["session"]), (&json!(false), &Value::Null));
    // A code was shown to scan before: one to type is given all the same.
    assert_eq!(answer(gateway.request("POST", &format!("{device}/pairing/qr"))).await.0, 200);

    let asked = json!({ "phone_number": format!("+{phone}") });
    let (status, shown) = answer(gateway.request("POST", &format!("{device}/pairing/code")).json(&asked)).await;
    assert_eq!((status, &shown["data"]["phone_number"]), (200, &json!(phone)), "{shown}");
    let code = text(&shown["data"]["pairing_code"]);
    assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
    gateway.phones().post(&format!("/accounts/{phone}/code"), json!({ "code": code })).await;

    let health = until("the device to connect", async || {
        let health = gateway.get(&format!("{device}/health")).await["data"].clone();
        (health["is_connected"] == true).then_some(health)
    })
    .await;
    assert_eq!((&health["phone_number"], &health["reconnect_attempts"]), (&json!(phone), &json!(0)), "{health}");
    let session = gateway.get(&format!("{device}/session")).await;
    assert_eq!(session["data"]["has_session"], true, "{session}");
    let listed = gateway.get("/v1/devices/sessions").await["data"].clone();
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), &listed["count"]), (2, &json!(2)), "{listed}");
    assert!(sessions.iter().any(|one| text(&one["wa_jid"]).starts_with(&phone)), "{listed}");
    assert!(sessions.iter().all(|one| !text(&one["session_dir"]).starts_with('/')), "a name and no path: {listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_serves_says_that_it_lives_and_is_ready() {
    let gateway = tenant().await;

    let (alive, health) = answer(gateway.http.get(gateway.url("/health"))).await;
    let (ready, readiness) = answer(gateway.http.get(gateway.url("/ready"))).await;

    assert_eq!((alive, &health["status"]), (200, &json!("alive")), "{health}");
    assert!(health["timestamp"].is_i64() && health["uptime"].is_number() && health["version"].is_string(), "{health}");
    assert_eq!(ready, 200, "{readiness}");
    assert_eq!(
        (&readiness["ready"], &readiness["db"], &readiness["worker"]),
        (&json!(true), &json!(true), &json!(true)),
        "{readiness}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_that_whatsapp_does_not_confirm_says_that_the_phone_may_still_list_the_device() {
    let gateway = tenant().await;
    let refused = json!({ "phone": gateway.info["devicePhone"], "match": { "tag": "iq", "xmlns": "md" },
        "action": "nack", "code": "500", "count": 1 });
    gateway.phones().post("/faults", refused).await;

    assert_eq!(answer(gateway.request("POST", &gateway.device("/logout"))).await.0, 200);

    let health = gateway.get(&gateway.device("/health")).await["data"].clone();
    assert_eq!(health["status"], "needs_pairing", "{health}");
    assert!(text(&health["last_error"]).contains("may still list"), "{health}");
}
