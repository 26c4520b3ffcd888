//! Webhooks: what is refused at creation, and what becomes of deliveries that fail.

use crate::support::{Receiver, answer, own, tenant, text, until};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_targets_bad_events_and_reserved_headers_are_refused_by_name() {
    let gateway = tenant().await;
    let bad = json!({
        "url": "http://169.254.169.254/latest",
        "events": ["message.received", "no.such.event"],
        "headers": { "X-Rijan-Signature": "forged" },
        "retryCount": 0,
        "secret": "short",
    });

    let (status, body) = answer(gateway.request("POST", "/v1/webhooks").json(&bad)).await;

    assert_eq!(status, 400);
    let mut fields: Vec<String> =
        body["error"]["details"].as_array().unwrap().iter().map(|d| text(&d["field"])).collect();
    fields.sort();
    assert_eq!(fields, ["events[1]", "headers.X-Rijan-Signature", "retryCount", "secret", "url"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_shown_once_and_a_deleted_webhook_is_gone() {
    let gateway = tenant().await;
    let hook = json!({ "url": "https://example.com/hook", "events": ["*"] });
    let (status, made) = answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await;
    assert_eq!(status, 201);
    assert!(text(&made["secret"]).starts_with("whsec_"));

    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    assert_eq!(gateway.get(&path).await["secret"], "********");
    let (_, changed) = answer(gateway.request("PUT", &path).json(&json!({ "enabled": false }))).await;
    assert_eq!((&changed["enabled"], &changed["url"]), (&json!(false), &json!("https://example.com/hook")));
    assert_eq!(answer(gateway.request("DELETE", &path)).await.0, 204);
    assert_eq!(answer(gateway.request("GET", &path)).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_receiver_gets_its_attempts_then_the_delivery_is_parked_and_410_disables() {
    let gateway = tenant().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let receiver = Router::new()
        .route("/broken", post(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/gone", post(|| async { StatusCode::GONE }));
    tokio::spawn(async move { axum::serve(listener, receiver).await });
    let make = async |path: &str| {
        let hook = json!({ "url": format!("{base}{path}"), "events": ["message.received"], "retryCount": 2 });
        text(&answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await.1["id"])
    };
    let (broken, gone) = (make("/broken").await, make("/gone").await);

    gateway.send_text("the contact will answer", "key").await.unwrap();

    let last = async |webhook: &str| {
        let path = format!("/v1/webhooks/{webhook}/deliveries");
        until("the delivery to be parked", async || {
            let one: Value = gateway.get(&path).await[0].clone();
            (one["status"] == "parked").then_some(one)
        })
        .await
    };
    let (first, second) = (last(&broken).await, last(&gone).await);
    assert_eq!((&first["attempts"], &first["lastStatus"]), (&json!(2), &json!(500)));
    assert_eq!((&second["attempts"], &second["lastStatus"]), (&json!(1), &json!(410)));
    let disabled = gateway.get(&format!("/v1/webhooks/{gone}")).await;
    assert_eq!(disabled["enabled"], false);
    assert!(text(&disabled["disabledReason"]).contains("410"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_of_some_devices_is_one_of_all_again_with_an_empty_list() {
    let (gateway, receiver) = (own(&[]).await, Receiver::start().await);
    let hook = json!({ "url": receiver.url, "events": ["*"], "deviceIds": [gateway.info["deviceId"]] });
    let made = answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await.1;
    assert_eq!(made["deviceIds"], json!([gateway.info["deviceId"]]), "{made}");
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    let change = async |body: Value| answer(gateway.request("PUT", &path).json(&body)).await.1;

    assert_eq!(change(json!({ "name": "crm" })).await["deviceIds"], made["deviceIds"], "left out, it stays");
    assert_eq!(change(json!({ "deviceIds": [] })).await["deviceIds"], Value::Null);
}
