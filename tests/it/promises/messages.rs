//! What becomes of a message, and what is told of it.

use crate::api::chats::{chat, contact_jid, devices_in_step, done};
use crate::api::streams::Stream;
use crate::support::{Receiver, Tenant, answer, tenant, text, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A tenant whose contact confirms as is said here.
async fn confirming(behaviour: Value) -> Tenant {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    gateway.phones().post(&format!("/accounts/{contact}/behaviour"), behaviour).await;
    gateway
}

/// What became of a message, once it has come as far as this.
async fn reached(gateway: &Tenant, id: &Value, status: &str) -> Value {
    let path = gateway.device(&format!("/messages/{}/status", text(id)));
    until(status, async || {
        let now = gateway.get(&path).await;
        (now["status"] == status).then_some(now)
    })
    .await
}

/// The types of the events about a message, oldest first, behind another message that came through after it.
async fn told(gateway: &Tenant, message: &Value) -> Vec<String> {
    let contact = text(&gateway.info["contactPhone"]);
    let body = json!({ "to": gateway.info["devicePhone"], "text": "and now?" });
    let marker = gateway.phones().post(&format!("/accounts/{contact}/messages"), body).await["id"].clone();
    let events = until("what came after it", async || {
        let events = gateway.get(&gateway.device("/events?cursor=0&limit=500")).await.as_array().cloned().unwrap();
        events.iter().any(|event| event["payload"]["id"] == marker).then_some(events)
    })
    .await;
    let about = events.iter().filter(|event| event["payload"]["id"] == *message);
    about.map(|event| text(&event["type"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_sent_when_whatsapps_server_has_it_and_not_before() {
    let gateway = confirming(json!({ "receipts": false })).await;
    let slow = json!({
        "phone": gateway.info["devicePhone"],
        "match": { "tag": "message", "direction": "in" },
        "action": "delay",
        "delay_ms": 2_000,
        "count": 1
    });
    gateway.phones().post("/faults", slow).await;

    let id = gateway.send_text("on its way", "key").await.unwrap()["id"].clone();

    let written = reached(&gateway, &id, "sending").await;
    assert_eq!(written["sentAt"], Value::Null, "it was written to the connection, and nobody has confirmed it");
    let sent = reached(&gateway, &id, "sent").await;
    assert!(sent["sentAt"].is_i64() && sent["deliveredAt"].is_null() && sent["readAt"].is_null(), "{sent}");
    assert_eq!(told(&gateway, &id).await, ["message.sent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_delivered_when_the_phone_has_it() {
    let gateway = confirming(json!({ "receipts": true, "read": false })).await;

    let id = gateway.send_text("lying there", "key").await.unwrap()["id"].clone();

    let delivered = reached(&gateway, &id, "delivered").await;
    assert!(delivered["deliveredAt"].is_i64() && delivered["readAt"].is_null(), "{delivered}");
    assert_eq!(told(&gateway, &id).await, ["message.sent", "receipt.delivery"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_read_when_its_reader_says_so() {
    let gateway = confirming(json!({ "receipts": true, "read": true, "play": true })).await;

    let id = gateway.send_text("seen", "key").await.unwrap()["id"].clone();

    let read = reached(&gateway, &id, "read").await;
    assert!(read["sentAt"].is_i64() && read["deliveredAt"].is_i64() && read["readAt"].is_i64(), "{read}");
    assert_eq!(told(&gateway, &id).await, ["message.sent", "receipt.delivery", "receipt.read"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voice_note_is_played_when_its_listener_has_played_it() {
    let gateway = confirming(json!({ "receipts": true, "read": true, "play": true })).await;
    let body = json!({
        "to": gateway.info["contactPhone"],
        "mediaBuffer": STANDARD.encode(crate::api::media::opus()),
        "ptt": true
    });

    let (status, taken) = answer(gateway.request("POST", &gateway.device("/messages/audio")).json(&body)).await;

    assert_eq!(status, 200, "{taken}");
    let played = reached(&gateway, &taken["id"], "played").await;
    assert!(played["deliveredAt"].is_i64() && played["readAt"].is_i64(), "{played}");
    let events = ["message.sent", "receipt.delivery", "receipt.read", "receipt.played"];
    assert_eq!(told(&gateway, &taken["id"]).await, events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_with_another_body_is_refused() {
    let gateway = tenant().await;

    let first = gateway.send_text("once", "key").await.unwrap();
    let again = gateway.send_text("once", "key").await.unwrap();
    let other = json!({ "to": gateway.info["contactPhone"], "text": "twice", "idempotencyKey": "key" });
    let (status, body) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&other)).await;

    assert_eq!(first, again);
    assert_eq!((status, &body["error"]["code"]), (409, &json!("IDEMPOTENCY_MISMATCH")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_while_the_device_is_offline_waits_and_then_goes_out() {
    let gateway = tenant().await;
    answer(gateway.request("POST", &gateway.device("/stop"))).await;
    assert_eq!(gateway.get(&gateway.device("")).await["data"]["device"]["status"], "disconnected");

    let queued = gateway.send_text("later", "key").await.unwrap();
    let path = gateway.device(&format!("/messages/{}/status", text(&queued["id"])));
    assert_eq!(gateway.get(&path).await["status"], "queued");
    answer(gateway.request("POST", &gateway.device("/start"))).await;

    reached(&gateway, &queued["id"], "read").await;
    let inbox = gateway.phones().inbox(&text(&gateway.info["contactPhone"]), 0).await;
    assert_eq!((inbox.len(), &inbox[0]["text"], &inbox[0]["copies"]), (1, &json!("later"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_ends_when_it_was_said_to_on_every_device() {
    const HOURS_8_S: i64 = 8 * 3_600;
    let (gateway, first, second) = devices_in_step().await;
    let jid = contact_jid(&gateway);
    let path = format!("/chats/{}/mute", text(&gateway.info["contactPhone"]));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;

    for body in [
        json!({ "mute": true, "durationMs": HOURS_8_S * 1_000 }),
        json!({ "muted": true, "durationSeconds": HOURS_8_S }),
    ] {
        done(&gateway, &first, "POST", &path, body).await;
        for device in [&first, &second] {
            let muted = chat(&gateway, device, &jid, |chat| chat["muted"] == true).await;
            let until = muted["mutedUntil"].as_i64().unwrap();
            assert!((now + HOURS_8_S..now + HOURS_8_S + 120).contains(&until), "{until} is eight hours after {now}");
        }
        done(&gateway, &first, "POST", &path, json!({ "mute": false })).await;
        chat(&gateway, &second, &jid, |chat| chat["muted"] == false).await;
    }
    done(&gateway, &first, "POST", &path, json!({ "mute": true })).await;
    let always = chat(&gateway, &second, &jid, |chat| chat["muted"] == true).await;
    assert!(always.get("mutedUntil").is_none(), "{always}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_has_its_full_payload_in_the_log_the_stream_and_the_webhook() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    let contact = text(&gateway.info["contactPhone"]);
    let hook = json!({ "url": receiver.url, "events": ["message.received"] });
    assert_eq!(answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await.0, 201);
    let path = gateway.device("/events/stream?type=message.received");
    let mut followed = Stream::open(gateway.request("GET", &path)).await;
    let write = async |mut draft: Value| {
        draft["to"] = gateway.info["devicePhone"].clone();
        gateway.phones().post(&format!("/accounts/{contact}/messages"), draft).await["id"].clone()
    };

    let asked = write(json!({ "text": "how much is this one?" })).await;
    let file = json!({ "kind": "image", "mime": "image/png", "caption": "the blue one", "size": 5_000 });
    let shown = write(json!({ "media": file })).await;
    let place = write(json!({ "location": { "latitude": -6.2, "longitude": 106.8, "name": "Pasar" } })).await;

    let pulled = until("the three of them", async || {
        let path = gateway.device("/events?cursor=0&type=message.received");
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        (events.len() == 3).then_some(events)
    })
    .await;
    for event in &pulled {
        let payload = &event["payload"];
        assert_eq!((&payload["sender"]["phone"], &payload["sender"]["name"]), (&json!(contact), &json!("Budi")));
        assert_eq!((&payload["fromMe"], &payload["isGroup"]), (&json!(false), &json!(false)), "{payload}");
        assert!(payload["timestamp"].is_i64() && payload["sender"]["lid"].is_string(), "{payload}");
    }
    let payload = |id: &Value| {
        let event = pulled.iter().find(|event| event["payload"]["id"] == *id);
        event.unwrap_or_else(|| panic!("{id} is not among {pulled:?}"))["payload"].clone()
    };
    assert_eq!(payload(&asked)["text"], "how much is this one?");
    let image = payload(&shown);
    assert_eq!((&image["type"], &image["caption"]), (&json!("image"), &json!("the blue one")), "{image}");
    assert!(image["mediaUrl"].is_string(), "{image}");
    assert_eq!(payload(&place)["type"], "location");
    for event in &pulled {
        let (_, followed) = followed.event().await.unwrap();
        assert_eq!((&followed["id"], &followed["payload"]), (&event["id"], &event["payload"]));
    }
    let delivered = until("the deliveries", async || {
        let arrived = receiver.arrived();
        (arrived.len() == 3).then(|| arrived.iter().map(|one| one.json()).collect::<Vec<Value>>())
    })
    .await;
    for event in &pulled {
        let body = delivered.iter().find(|body| body["id"] == event["id"]).unwrap();
        assert_eq!((&body["eventType"], &body["data"]), (&event["type"], &event["payload"]));
    }
}
