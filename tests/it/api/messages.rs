//! Sending text.

use crate::support::{answer, tenant, text, until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_fails_with_whatsapps_code_and_the_next_one_goes_out() {
    let gateway = tenant().await;
    let phones = gateway.phones();
    let nack = json!({ "phone": gateway.info["devicePhone"], "match": { "tag": "message", "direction": "in" }, "action": "nack", "code": "463", "count": 1 });
    phones.post("/faults", nack).await;

    let refused = gateway.send_text("too cold", "a").await.unwrap();
    let path = gateway.device(&format!("/messages/{}/status", text(&refused["id"])));
    let status = until("the refusal", async || {
        let status = gateway.get(&path).await;
        (status["status"] == "failed").then_some(status)
    })
    .await;
    assert!(text(&status["lastError"]).contains("463"));

    gateway.send_text("warm", "b").await.unwrap();
    let inbox = phones.inbox(&text(&gateway.info["contactPhone"]), 0).await;
    assert_eq!((inbox.len(), &inbox[0]["text"]), (1, &json!("warm")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_one_chat_arrive_in_the_order_of_acceptance() {
    let gateway = tenant().await;
    let (phones, contact) = (gateway.phones(), text(&gateway.info["contactPhone"]));
    for number in 0..100 {
        gateway.send_text(&number.to_string(), &format!("key {number}")).await.unwrap();
    }

    let inbox = until("a hundred arrivals", async || {
        let inbox = phones.inbox(&contact, 0).await;
        (inbox.len() >= 100).then_some(inbox)
    })
    .await;

    let order: Vec<String> = inbox.iter().map(|entry| text(&entry["text"])).collect();
    let expected: Vec<String> = (0..100).map(|number: i32| number.to_string()).collect();
    assert_eq!(order, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_whose_send_hangs_does_not_hold_another_chat_back() {
    let gateway = tenant().await;
    let phones = gateway.phones();
    let other = format!("{}9", text(&gateway.info["contactPhone"]));
    phones.post("/accounts", json!({ "phone": other, "name": "Sari" })).await;
    let lost = json!({ "phone": gateway.info["devicePhone"], "match": { "tag": "message", "direction": "in" }, "action": "drop", "count": 1 });
    phones.post("/faults", lost).await;
    let hanging = gateway.send_text("lost on the way", "a").await.unwrap();
    let path = gateway.device(&format!("/messages/{}/status", text(&hanging["id"])));
    let status = async || text(&gateway.get(&path).await["status"]);
    until("the first is on its way", async || (status().await == "sending").then_some(())).await;

    let message = json!({ "to": other, "text": "meanwhile" });
    let (code, _) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&message)).await;
    until("the other chat's message", async || (!phones.inbox(&other, 0).await.is_empty()).then_some(())).await;

    assert_eq!((code, status().await.as_str()), (200, "sending"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_not_linked_takes_no_message() {
    let gateway = tenant().await;
    let devices = format!("/admin/tenants/{}/devices", text(&gateway.info["tenantId"]));
    let (_, made) = answer(gateway.admin("POST", &devices).json(&json!({ "label": "fresh" }))).await;
    let fresh = format!("/v1/devices/{}/messages/text", text(&made["data"]["device"]["id"]));
    let body = json!({ "to": gateway.info["contactPhone"], "text": "hi" });
    let (status, refused) = answer(gateway.request("POST", &fresh).json(&body)).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("DEVICE_NOT_CONNECTED")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_gets_its_first_answer_even_after_the_device_was_unlinked() {
    let gateway = tenant().await;
    let first = gateway.send_text("once", "key").await.unwrap();
    answer(gateway.request("POST", &gateway.device("/logout"))).await;

    assert_eq!(gateway.send_text("once", "key").await.unwrap(), first);
    let body = json!({ "to": gateway.info["contactPhone"], "text": "new" });
    let (status, body) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&body)).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("DEVICE_NOT_CONNECTED")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_shows_the_quoted_text_and_an_unknown_one_is_left_out() {
    let gateway = tenant().await;
    let (phones, contact) = (gateway.phones(), text(&gateway.info["contactPhone"]));
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    // The contact's account has a device of ours too, which sees what its phone sees.
    let other = gateway.link(&contact).await;
    let asked = json!({ "to": gateway.info["devicePhone"], "text": "how much is the blue one?" });
    let asked = text(&phones.post(&format!("/accounts/{contact}/messages"), asked).await["id"]);
    let author = until("the question", async || {
        let events = gateway.get(&gateway.device("/events?type=message.received")).await;
        (events[0]["payload"]["id"] == json!(asked)).then(|| text(&events[0]["payload"]["from"]))
    })
    .await;
    let reply = async |body: &str, quoted: &str| {
        let body = json!({ "to": contact, "text": body, "quotedMessageId": quoted });
        let (status, taken) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&body)).await;
        assert_eq!(status, 200, "{taken}");
        taken
    };

    let first = reply("ten", &asked).await;
    reply("or nine", &text(&first["id"])).await;
    reply("as you like", "3EB0000000000000000000").await;

    let path = format!("/v1/devices/{other}/events?cursor=0&type=message.received");
    let events = until("three replies", async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        (events.len() == 3).then_some(events)
    })
    .await;
    let quoted: Vec<&Value> = events.iter().map(|event| &event["payload"]["quotedMessageId"]).collect();
    assert_eq!(quoted, [&json!(asked), &first["messageId"], &Value::Null]);
    let stored = stored_messages(&other);
    let shown = |at: usize, text: &str, author: &str| {
        let message = String::from_utf8_lossy(&stored[at]);
        assert!(message.contains(text) && message.contains(author), "{message:?} lacks {text} by {author}");
    };
    shown(0, "how much is the blue one?", &author);
    shown(1, "ten", &text(&gateway.info["devicePhone"]));
}

/// What a device received from others, as it came.
fn stored_messages(device: &str) -> Vec<Vec<u8>> {
    let database = rusqlite::Connection::open(crate::support::database()).unwrap();
    let mut statement = database
        .prepare("SELECT message FROM messages_inbox WHERE device_id = ?1 AND envelope ->> 'fromMe' = 0 ORDER BY seq")
        .unwrap();
    let rows = statement.query_map([device], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
