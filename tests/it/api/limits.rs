//! Rate limits, with the windows of a real gateway.

use crate::plugins::{everything, guest, upload};
use crate::support::{Gateway, answer, own, simulator};
use axum::http::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sixty_first_text_of_a_minute_is_refused_and_costs_nothing() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let environment = ["--limits", "--set", "limits.tenant=off"];
    let gateway = Gateway::start_with(folder.path(), &simulator, &environment);
    let send = async |key: &str| {
        let body = json!({ "to": gateway.info["contactPhone"], "text": "hello" });
        let path = gateway.device("/messages/text");
        gateway.request("POST", &path).header("idempotency-key", key).json(&body).send().await.unwrap()
    };
    let header = |answer: &reqwest::Response, name: &str| answer.headers()[name].to_str().unwrap().to_owned();

    for number in 1..=60 {
        let answer = send(&format!("key {number}")).await;
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(header(&answer, "x-ratelimit-limit"), "60");
        assert_eq!(header(&answer, "x-ratelimit-remaining"), (60 - number).to_string());
    }

    let refused = send("key 61").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "x-ratelimit-remaining").as_str()), (429, "0"));
    assert!((1..=60).contains(&header(&refused, "retry-after").parse::<u32>().unwrap()));
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "RATE_LIMIT_EXCEEDED");
    let sent = gateway.get(&gateway.device("/events?type=message.sent&limit=500")).await;
    assert!(sent.as_array().unwrap().len() <= 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_send_has_a_window_of_its_own_and_what_was_not_taken_costs_nothing() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let flags = ["--limits", "--set", "limits.tenant=off", "--set", "plugins.uploads=true"];
    let gateway = Gateway::start_with(folder.path(), &simulator, &flags);
    let to = &gateway.info["contactPhone"];
    let message = gateway.send_text("hello", "key").await.unwrap()["messageId"].clone();
    let post = async |kind: &str, mut body: serde_json::Value| {
        body["to"] = to.clone();
        let path = gateway.device(&format!("/messages/{kind}"));
        let answer = gateway.request("POST", &path).json(&body).send().await.unwrap();
        let header =
            |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().parse::<u32>().unwrap());
        (answer.status().as_u16(), header("x-ratelimit-limit"), header("x-ratelimit-remaining"))
    };

    for (kind, body, most) in [
        ("location", json!({ "latitude": 1, "longitude": 2 }), 40),
        ("contact", json!({ "contacts": [{ "displayName": "A", "phoneNumber": "6281100000002" }] }), 40),
        ("reaction", json!({ "messageId": message, "emoji": "x" }), 100),
        ("poll", json!({ "question": "?", "options": ["a", "b"] }), 40),
        ("forward", json!({ "messageId": message }), 30),
        ("interactive", json!({ "body": "b", "buttons": [{ "id": "1", "text": "Yes" }], "idempotencyKey": "one" }), 60),
    ] {
        assert_eq!(post(kind, body).await, (200, Some(most), Some(most - if most == 60 { 2 } else { 1 })), "{kind}");
    }
    let path = gateway.device("/status/text");
    let posted =
        gateway.request("POST", &path).json(&json!({ "text": "hi", "recipients": [to] })).send().await.unwrap();
    let header = |name: &str| posted.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((header("x-ratelimit-limit"), header("x-ratelimit-remaining")), ("10".to_owned(), "9".to_owned()));
    // A repeat and a refusal give their charge back; the next one finds the window as it was.
    let again = json!({ "body": "b", "buttons": [{ "id": "1", "text": "Yes" }], "idempotencyKey": "one" });
    assert_eq!(post("interactive", again).await, (200, Some(60), Some(58)));
    assert_eq!(post("location", json!({ "latitude": 99, "longitude": 2 })).await, (400, None, None));
    assert_eq!(post("location", json!({ "latitude": 9, "longitude": 2 })).await.2, Some(38));
    let (_, _, remaining) = post("text", json!({ "text": "b" })).await;
    assert_eq!(remaining, Some(57));
    let settings = json!({ "grants": everything() });
    assert_eq!(upload(&gateway, &guest("rust"), Some(settings)).await.0, 201);
    let (_, enabled) = answer(gateway.request("POST", "/v1/plugins/example-rust/enable")).await;
    assert_eq!(enabled["data"]["outcome"], "swapped", "{enabled}");
    assert_eq!(post("text", json!({ "text": "spam" })).await, (422, Some(60), Some(57)));
    assert_eq!(post("text", json!({ "text": "ham" })).await.2, Some(56), "what a plugin rejects costs nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_keys_is_slowed_down_and_written_down() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &["--limits"]);
    let guess = async |name: &str, value: &str| {
        gateway.http.get(gateway.url("/admin/tenants")).header(name, value).send().await.unwrap().status().as_u16()
    };

    for _ in 0..30 {
        assert_eq!(guess("x-master-key", "wrong").await, 401);
    }
    assert_eq!(guess("x-master-key", "wrong").await, 429);
    let right = gateway.info["masterKey"].as_str().unwrap().to_owned();
    assert_eq!(guess("x-master-key", &right).await, 429, "a right guess must not be told from a wrong one");
    let tenant = gateway.request("GET", "/v1/devices").send().await.unwrap();
    assert_eq!(tenant.status().as_u16(), 200, "who has a key is not held up by who has none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_are_read_with_the_operators_token_and_guessing_it_is_written_down() {
    let gateway = own(&[("metrics.token", "a-token-for-the-scraper")]).await;
    let read =
        async |name: &str, token: &str| answer(gateway.http.get(gateway.url("/metrics")).header(name, token)).await;

    assert_eq!(answer(gateway.http.get(gateway.url("/metrics"))).await.1["error"]["code"], "UNAUTHORIZED");
    assert_eq!(read("authorization", "Bearer another").await.1["error"]["code"], "INVALID_API_KEY");
    let scraped = gateway.http.get(gateway.url("/metrics")).header("authorization", "Bearer a-token-for-the-scraper");
    assert_eq!(scraped.send().await.unwrap().status().as_u16(), 200);
    let (_, lines) = answer(gateway.admin("GET", "/admin/audit-logs?action=metrics.auth.failed")).await;
    assert_eq!(lines["data"]["logs"].as_array().map(Vec::len), Some(1), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_named_origin_may_send_its_key_and_a_probe_is_not_counted() {
    let flags = [("server.cors_origins", "https://shop.example"), ("limits.public_per_minute", "1")];
    let gateway = own(&flags).await;
    let asked = gateway.http.request(Method::OPTIONS, gateway.url("/v1/devices"));
    let asked = asked.header("origin", "https://shop.example").header("access-control-request-method", "GET");
    let told = asked.header("access-control-request-headers", "authorization").send().await.unwrap();
    assert_eq!(told.headers()["access-control-allow-origin"], "https://shop.example");
    assert_eq!(told.headers()["access-control-allow-headers"], "authorization", "a star would not stand for it");

    for _ in 0..3 {
        assert_eq!(answer(gateway.http.get(gateway.url("/health"))).await.0, 200);
    }
    let ready = async || answer(gateway.http.get(gateway.url("/ready"))).await.0;
    assert_eq!((ready().await, ready().await), (200, 429), "others are");
}
