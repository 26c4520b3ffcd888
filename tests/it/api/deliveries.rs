//! Webhooks after they are made: tried out, signed anew, looked into, sent again, and told about when they fail.

use crate::support::{Receiver, Tenant, answer, tenant, text, until};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

async fn hook(gateway: &Tenant, receiver: &Receiver, events: &[&str], more: Value) -> Value {
    let mut body = json!({ "url": receiver.url, "events": events });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, made) = answer(gateway.request("POST", "/v1/webhooks").json(&body)).await;
    assert_eq!(status, 201, "{made}");
    made
}

/// A text to the contact, who answers it: one `message.received`.
async fn one_message(gateway: &Tenant, key: &str) {
    gateway.send_text(key, key).await.unwrap();
}

async fn events(gateway: &Tenant, type_: &str) -> Vec<Value> {
    gateway.get(&format!("/v1/events?type={type_}")).await.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_delivery_is_signed_carries_the_shared_token_and_tells_what_the_receiver_said() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    let secret = "a plain secret of mine";
    let made =
        hook(&gateway, &receiver, &["*"], json!({ "secret": secret, "sharedToken": "let me in", "enabled": false }))
            .await;
    assert_eq!(made["sharedToken"], "********");
    let path = format!("/v1/webhooks/{}/test", text(&made["id"]));

    let (status, tried) = answer(gateway.request("POST", &path)).await;

    assert_eq!((status, &tried["data"]["delivered"], &tried["data"]["status"]), (200, &json!(true), &json!(204)));
    let arrival = receiver.arrived()[0].clone();
    assert_eq!(arrival.uri.query(), Some("token=let+me+in"));
    assert_eq!(arrival.header("x-rijan-signature"), hex::encode(hmac(secret.as_bytes(), &arrival.body)));
    assert_eq!(arrival.json()["eventType"], "webhook.test");
    assert_eq!(arrival.json()["id"], tried["data"]["eventId"]);

    receiver.answer(418);
    let (_, tried) = answer(gateway.request("POST", &path)).await;
    assert_eq!((&tried["data"]["delivered"], &tried["data"]["status"]), (&json!(false), &json!(418)));
    let nowhere = json!({ "url": "http://127.0.0.1:1/", "sharedToken": "" });
    let hook = format!("/v1/webhooks/{}", text(&made["id"]));
    assert_eq!(answer(gateway.request("PUT", &hook).json(&nowhere)).await.1["sharedToken"], Value::Null);
    let (_, tried) = answer(gateway.request("POST", &path)).await;
    assert_eq!((&tried["data"]["status"], &tried["data"]["error"]), (&Value::Null, &json!("the connection failed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_secret_and_the_one_before_both_sign() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    let made = hook(&gateway, &receiver, &["message.received"], json!({})).await;
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    let (status, rotated) = answer(gateway.request("POST", &format!("{path}/rotate-secret"))).await;
    assert_eq!(status, 200, "{rotated}");
    let (old, new) = (text(&made["secret"]), text(&rotated["data"]["secret"]));
    assert!(old != new && new.starts_with("whsec_"));
    let shown = gateway.get(&path).await;
    assert_eq!(
        (&shown["secret"], &shown["previousSecretUntil"]),
        (&json!("********"), &rotated["data"]["previousSecretUntil"])
    );

    answer(gateway.request("POST", &format!("{path}/test"))).await;

    let arrival = receiver.arrived()[0].clone();
    assert_eq!(arrival.header("x-rijan-signature"), hex::encode(hmac(new.as_bytes(), &arrival.body)));
    assert_eq!(arrival.header("x-rijan-signature-previous"), hex::encode(hmac(old.as_bytes(), &arrival.body)));
    let head = format!("{}.{}.", arrival.header("webhook-id"), arrival.header("webhook-timestamp"));
    let standard = |secret: &str| {
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
        format!("v1,{}", STANDARD.encode(hmac(&key, &[head.as_bytes(), &arrival.body].concat())))
    };
    assert_eq!(arrival.header("webhook-signature"), format!("{} {}", standard(&new), standard(&old)));
    let short =
        answer(gateway.request("POST", &format!("{path}/rotate-secret")).json(&json!({ "secret": "short" }))).await;
    assert_eq!((short.0, &short.1["error"]["details"][0]["field"]), (400, &json!("secret")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_fails_is_told_once_and_a_replayed_dead_letter_tells_that_it_works_again() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    receiver.answer(500);
    let made = hook(&gateway, &receiver, &["message.received"], json!({ "retryCount": 1, "name": "CRM" })).await;
    let id = text(&made["id"]);
    one_message(&gateway, "one").await;
    one_message(&gateway, "two").await;
    let letters = until("two dead letters", async || {
        let dlq = gateway.get("/v1/webhooks/dlq").await["data"].clone();
        (dlq["total"] == 2).then_some(dlq)
    })
    .await;
    let letter = &letters["deadLetters"][0];
    assert_eq!((&letter["webhookId"], &letter["reason"]), (&json!(id), &json!("the receiver answered 500")));
    let failing = events(&gateway, "webhook.failing").await;
    assert_eq!((failing.len(), &failing[0]["payload"]["name"]), (1, &json!("CRM")), "{failing:?}");
    let page = gateway.get("/v1/webhooks/dlq?limit=1").await["data"].clone();
    let next =
        gateway.get(&format!("/v1/webhooks/dlq?limit=1&cursor={}", text(&page["nextCursor"]))).await["data"].clone();
    assert_ne!(page["deadLetters"][0]["deliveryId"], next["deadLetters"][0]["deliveryId"]);
    let stats = gateway.get(&format!("/v1/webhooks/{id}/stats")).await["data"].clone();
    assert_eq!((&stats["failed"], &stats["deadLetters"], &stats["successRate"]), (&json!(2), &json!(2), &json!(0.0)));
    assert!(stats["failingSince"].is_i64());

    receiver.answer(200);
    let one = json!({ "deliveryIds": [letter["deliveryId"]] });
    let (_, replayed) = answer(gateway.request("POST", "/v1/webhooks/dlq").json(&one)).await;
    assert_eq!(replayed["data"], json!({ "replayed": 1, "remaining": 0 }));

    let recovered = until("the word that it works", async || {
        let told = events(&gateway, "webhook.recovered").await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert_eq!((recovered.len(), &recovered[0]["payload"]["webhookId"]), (1, &json!(id)));
    let path = format!("/v1/webhooks/deliveries/{}", text(&letter["deliveryId"]));
    let delivery = gateway.get(&path).await["data"].clone();
    assert_eq!(delivery["delivery"]["status"], "delivered");
    let statuses: Vec<_> = delivery["attempts"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, [json!(500), json!(200)]);
    let ids: Vec<String> = receiver.arrived().iter().map(|arrival| arrival.header("webhook-id")).collect();
    assert!(ids[..2].contains(&ids[2]), "the same event under the same id: {ids:?}");
    let (_, gone) = answer(gateway.request("DELETE", "/v1/webhooks/dlq?all=true")).await;
    assert_eq!(gone["data"], json!({ "deleted": 1, "remaining": 0 }));
    assert_eq!(gateway.get("/v1/webhooks/dlq").await["data"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_filtered_paged_and_sent_once_more() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    let made = hook(&gateway, &receiver, &["message.received", "message.sent"], json!({})).await;
    let list = format!("/v1/webhooks/{}/deliveries", text(&made["id"]));
    one_message(&gateway, "one").await;
    until("two deliveries", async || {
        let rows = gateway.get(&format!("{list}?status=delivered")).await;
        (rows.as_array().unwrap().len() == 2).then_some(())
    })
    .await;

    let received = gateway.get(&format!("{list}?eventType=message.received")).await;
    assert_eq!(received.as_array().unwrap().len(), 1, "{received}");
    let first = gateway.request("GET", &format!("{list}?limit=1")).send().await.unwrap();
    let cursor = first.headers()["x-next-cursor"].to_str().unwrap().to_owned();
    let first: Value = first.json().await.unwrap();
    let second = gateway.get(&format!("{list}?limit=1&cursor={cursor}")).await;
    assert_ne!(first[0]["id"], second[0]["id"]);
    let bad = "?status=lost&eventType=no.such&since=x&limit=0&cursor=-1";
    let (status, body) = answer(gateway.request("GET", &format!("{list}{bad}"))).await;
    let fields: Vec<&Value> = body["error"]["details"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
    assert_eq!((status, fields.len()), (400, 5), "{fields:?}");

    let path = format!("/v1/webhooks/deliveries/{}", text(&received[0]["id"]));
    let (status, again) = answer(gateway.request("POST", &format!("{path}/retry"))).await;
    assert_eq!((status, &again["data"]["delivery"]["attempts"]), (200, &json!(0)), "{again}");
    until("the third request", async || (receiver.arrived().len() == 3).then_some(())).await;
    let off = json!({ "enabled": false });
    answer(gateway.request("PUT", &format!("/v1/webhooks/{}", text(&made["id"]))).json(&off)).await;
    until("the second attempt to be written down", async || {
        (gateway.get(&path).await["data"]["attempts"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    assert_eq!(answer(gateway.request("POST", &format!("{path}/retry"))).await.0, 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_not_replayed_or_deleted_without_saying_which() {
    let gateway = tenant().await;
    for (method, path, body) in [
        ("POST", "/v1/webhooks/dlq", json!({})),
        ("POST", "/v1/webhooks/dlq", json!({ "deliveryIds": ["x"], "since": "never" })),
        ("DELETE", "/v1/webhooks/dlq", Value::Null),
        ("DELETE", "/v1/webhooks/dlq?all=false", Value::Null),
    ] {
        let (status, answered) = answer(gateway.request(method, path).json(&body)).await;
        assert_eq!(
            (status, &answered["error"]["code"]),
            (400, &json!("VALIDATION_ERROR")),
            "{method} {path} {answered}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_keeps_its_order_behind_a_failing_head_and_another_chat_does_not_wait() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    receiver.answer_by(|arrival| {
        let text = arrival.json()["data"]["text"].as_str().unwrap_or_default().to_owned();
        let fails = text.contains("first") && arrival.header("x-rijan-attempt") == "1";
        (if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, HeaderMap::new())
    });
    hook(&gateway, &receiver, &["message.received"], json!({ "ordering": "chat", "retryCount": 3 })).await;
    let (phones, device) = (gateway.phones(), text(&gateway.info["devicePhone"]));
    let other = format!("{}9", &device[..device.len() - 1]);
    phones.post("/accounts", json!({ "phone": other, "name": "Sari" })).await;
    let contact = text(&gateway.info["contactPhone"]);

    for words in ["first", "second"] {
        phones.post(&format!("/accounts/{contact}/messages"), json!({ "to": device, "text": words })).await;
    }
    phones.post(&format!("/accounts/{other}/messages"), json!({ "to": device, "text": "elsewhere" })).await;

    let order = until("four attempts", async || {
        let texts: Vec<String> = receiver.arrived().iter().map(|one| text(&one.json()["data"]["text"])).collect();
        (texts.len() == 4).then_some(texts)
    })
    .await;
    let chat: Vec<&String> = order.iter().filter(|words| *words != "elsewhere").collect();
    assert_eq!(chat, ["first", "first", "second"]);
    let place = |words: &str| order.iter().position(|one| one == words).unwrap();
    assert!(place("elsewhere") < place("second"), "{order:?}");
    let long = json!({ "url": receiver.url, "events": ["*"], "ordering": "chat", "schedule": "long" });
    let (status, refused) = answer(gateway.request("POST", "/v1/webhooks").json(&long)).await;
    assert_eq!((status, &refused["error"]["details"][0]["field"]), (400, &json!("ordering")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_waited_for_as_seconds_and_as_a_date_and_the_long_schedule_spreads() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    receiver.answer_by(|arrival| {
        let mut headers = HeaderMap::new();
        if arrival.uri.path().ends_with("busy") {
            headers.insert("retry-after", "600".parse().unwrap());
        } else if arrival.uri.path().ends_with("closed") {
            headers.insert("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT".parse().unwrap());
        }
        (StatusCode::TOO_MANY_REQUESTS, headers)
    });
    let mut hooks = Vec::new();
    for (path, more) in
        [("busy", json!({})), ("closed", json!({})), ("long", json!({ "schedule": "long", "retryCount": 1 }))]
    {
        let mut body = json!({ "url": format!("{}/{path}", receiver.url), "events": ["message.received"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hooks.push(text(&answer(gateway.request("POST", "/v1/webhooks").json(&body)).await.1["id"]));
    }

    one_message(&gateway, "one").await;

    let mut waits = Vec::new();
    for hook in &hooks {
        let path = format!("/v1/webhooks/{hook}/deliveries");
        let row = until("the first attempt", async || {
            let row = gateway.get(&path).await[0].clone();
            (row["attempts"] == 1 && row["status"] == "due").then_some(row)
        })
        .await;
        waits.push(row["nextAttemptAt"].as_i64().unwrap() - row["updatedAt"].as_i64().unwrap());
    }
    assert!((599..=601).contains(&waits[0]), "{waits:?}");
    assert!((86_399..=86_401).contains(&waits[1]), "a date far away is believed for a day: {waits:?}");
    assert!((4..=6).contains(&waits[2]), "retryCount is of the classic schedule: {waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_keeps_out_what_does_not_fit_and_bad_ones_are_named() {
    let (gateway, wanted) = (tenant().await, Receiver::start().await);
    let events = ["message.received", "message.sent"];
    let direct = hook(&gateway, &wanted, &events, json!({ "filter": { "isGroup": false, "types": ["text"] } })).await;
    assert_eq!(direct["filter"], json!({ "chats": null, "types": ["text"], "fromMe": null, "isGroup": false }));
    let elsewhere = json!({ "filter": { "chats": ["1203630000@g.us"] } });
    let of_group = text(&hook(&gateway, &wanted, &["message.received"], elsewhere).await["id"]);

    one_message(&gateway, "one").await;

    until("the answer to arrive", async || {
        wanted.arrived().iter().any(|one| one.json()["eventType"] == "message.received").then_some(())
    })
    .await;
    let rows = gateway.get(&format!("/v1/webhooks/{of_group}/deliveries")).await;
    assert_eq!(rows, json!([]), "one would have been made in the transaction of the event");
    let bad = json!({ "url": wanted.url, "events": ["*"], "filter": { "chats": [], "fromMe": "no", "since": 1 } });
    let (status, body) = answer(gateway.request("POST", "/v1/webhooks").json(&bad)).await;
    let fields: Vec<&Value> = body["error"]["details"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
    assert_eq!((status, fields), (400, vec![&json!("filter.since"), &json!("filter.chats"), &json!("filter.fromMe")]));
}
