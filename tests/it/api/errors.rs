//! Bad requests: one shape, the right code, every bad field named.

use crate::support::{answer, tenant, text};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_gets_the_one_shape_with_its_code() {
    let gateway = tenant().await;
    let send = gateway.device("/messages/text");
    let anonymous = |path: &str| gateway.http.get(gateway.url(path));
    let big = "x".repeat(2 << 20);
    let cases = [
        (gateway.request("GET", "/v1/nothing"), 404, "NOT_FOUND"),
        (gateway.request("GET", &send), 405, "METHOD_NOT_ALLOWED"),
        (anonymous("/v1/devices"), 401, "UNAUTHORIZED"),
        (anonymous("/v1/devices").header("x-api-key", "nonsense"), 401, "INVALID_API_KEY"),
        (anonymous("/admin/tenants"), 401, "INVALID_MASTER_KEY"),
        (anonymous("/admin/tenants").header("x-master-key", "wrong"), 401, "INVALID_MASTER_KEY"),
        (gateway.request("POST", &send).header("content-type", "application/json").body("{"), 400, "VALIDATION_ERROR"),
        (gateway.request("POST", &send).header("content-type", "text/plain").body("hi"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (gateway.request("POST", &send).json(&json!([])), 400, "VALIDATION_ERROR"),
        (gateway.request("POST", &send).json(&json!({ "text": big })), 413, "PAYLOAD_TOO_LARGE"),
        (gateway.request("GET", "/v1/devices?limit=0"), 400, "VALIDATION_ERROR"),
        (gateway.request("GET", "/v1/devices/device_1"), 404, "NOT_FOUND"),
        (gateway.request("GET", &gateway.device("/messages/msg_1/status")), 404, "NOT_FOUND"),
        (gateway.request("POST", &gateway.device("/pairing/qr")), 409, "CONFLICT"),
    ];
    for (request, status, code) in cases {
        let (got, body) = answer(request).await;
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)), "{body}");
        assert_eq!(body["success"], false);
        assert!(body["requestId"].is_string() && body["error"]["message"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_is_named_at_once_and_nothing_is_sent() {
    let gateway = tenant().await;
    let bad = json!({ "to": "nobody", "text": "", "mentions": ["6281100000002", "x"], "quotedMessageId": 5 });

    let (status, body) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&bad)).await;

    assert_eq!(status, 400);
    let details: Vec<&Value> = body["error"]["details"].as_array().unwrap().iter().map(|d| &d["field"]).collect();
    assert_eq!(details, ["to", "text", "mentions[1]", "quotedMessageId"]);
    let events = gateway.get(&gateway.device("/events?type=message.sent")).await;
    assert_eq!(events, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_of_the_client_comes_back_and_a_strange_one_is_replaced() {
    let gateway = tenant().await;
    let id = async |given: &str| {
        let answer = gateway.http.get(gateway.url("/health")).header("x-request-id", given).send().await.unwrap();
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id("order-42").await, "order-42");
    assert!(id("a b").await.starts_with("req_"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_parameter_of_a_query_is_named_at_once() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let messages = gateway.device(&format!("/chats/{contact}/messages"));
    for (path, fields) in [
        ("/v1/devices?limit=0&offset=x".to_owned(), &["limit", "offset"][..]),
        (
            gateway.device("/events?since=x&cursor=-1&limit=0&type=y&dropped=z&raw=1"),
            &["since", "cursor", "limit", "type", "dropped", "raw"],
        ),
        (gateway.device("/messages/search?limit=0&cursor=x"), &["q", "limit", "cursor"]),
        (format!("{messages}?limit=0&before=1.x"), &["limit", "before"]),
        (gateway.device("/newsletters/120363000000000001@newsletter/messages?limit=0&before=x"), &["limit", "before"]),
    ] {
        let (status, body) = answer(gateway.request("GET", &path)).await;
        let named: Vec<&Value> = body["error"]["details"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
        assert_eq!((status, json!(named)), (400, json!(fields)), "{path}");
    }
}
