//! What a kill -9 leaves behind.

use crate::support::{Gateway, Phones, answer, simulator, text, until};
use serde_json::{Value, json};
use std::collections::HashMap;

const SENDS: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_once_though_the_gateway_is_killed_in_the_middle() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let contact = text(&gateway.info["contactPhone"]);
    phones.post(&format!("/accounts/{contact}/behaviour"), serde_json::json!({ "reply": "" })).await;

    let mut accepted = HashMap::new();
    for number in 0..SENDS {
        let answer = gateway.send_text(&format!("message {number}"), &format!("key {number}")).await.unwrap();
        accepted.insert(text(&answer["messageId"]), number);
    }
    // In the middle: some have arrived, and most have not.
    until("the first arrivals", async || {
        let arrived = phones.inbox(&contact, 0).await.len();
        (arrived >= 20).then_some(())
    })
    .await;
    gateway.kill();
    let before = phones.inbox(&contact, 0).await.len();
    assert!(before < SENDS, "everything was sent before the kill; nothing was proven");

    let gateway = Gateway::start(folder.path(), &simulator);
    phones.post(&format!("/accounts/{contact}/behaviour"), serde_json::json!({ "reply": "" })).await;
    // What was accepted is answered again with the first answer, and not sent again.
    let replayed = gateway.send_text("message 7", "key 7").await.unwrap();
    assert_eq!(accepted.get(&text(&replayed["messageId"])), Some(&7));
    let inbox = until("the last arrivals", async || {
        let inbox = phones.inbox(&contact, 0).await;
        (inbox.len() >= SENDS).then_some(inbox)
    })
    .await;

    assert_eq!(inbox.len(), SENDS);
    for entry in &inbox {
        let number = accepted.remove(&text(&entry["id"])).unwrap_or_else(|| panic!("{entry} was never accepted"));
        assert_eq!(entry["text"], format!("message {number}"));
    }
    assert!(accepted.is_empty(), "never arrived: {accepted:?}");
    // A repeat on the wire only for what was in hand at the kill: at most one claim.
    let repeated = inbox.iter().filter(|entry| entry["copies"].as_u64() > Some(1)).count();
    assert!(repeated <= 64, "{repeated} messages came over the wire more than once");
    assert_eq!(phones.get("/unanswered").await, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_survives_a_kill_and_the_votes_on_a_poll_are_opened_afterwards() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    let quiet = async || phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    quiet().await;
    // WhatsApp's server takes what is sent and its word is lost: a try whose end nobody knows when the kill comes.
    let lost = json!({ "phone": device, "match": { "tag": "ack", "direction": "out" }, "action": "drop" });
    phones.post("/faults", lost).await;
    let send = async |kind: &str, mut body: Value| {
        body["to"] = json!(contact);
        let path = gateway.device(&format!("/messages/{kind}"));
        let (status, taken) = answer(gateway.request("POST", &path).json(&body)).await;
        assert_eq!(status, 200, "{taken}");
        taken
    };
    let poll = send("poll", json!({ "question": "Which?", "options": ["a", "b"] })).await;
    until("the poll on the phone", async || {
        phones.inbox(&contact, 0).await.iter().any(|entry| entry["id"] == poll["messageId"]).then_some(())
    })
    .await;
    let place = send("location", json!({ "latitude": 1, "longitude": 2 })).await;
    let card = send("contact", json!({ "contacts": [{ "displayName": "A", "phoneNumber": contact }] })).await;
    let reaction = send("reaction", json!({ "messageId": poll["id"], "emoji": "x" })).await;
    let forward = send("forward", json!({ "messageId": place["id"] })).await;
    let path = gateway.device(&format!("/messages/{}", text(&place["id"])));
    assert_eq!(answer(gateway.request("DELETE", &path)).await.0, 200);
    gateway.kill();
    assert_eq!(phones.inbox(&contact, 0).await.len(), 1, "more than the first was sent; nothing was proven");
    phones.clear_faults().await;

    let gateway = Gateway::start(folder.path(), &simulator);
    quiet().await;
    let inbox = until("all of them on the phone", async || {
        let inbox = phones.inbox(&contact, 0).await;
        (inbox.len() >= 6).then_some(inbox)
    })
    .await;
    let vote = json!({ "to": device, "vote": { "id": poll["messageId"], "options": ["b"] } });
    phones.post(&format!("/accounts/{contact}/messages"), vote).await;
    let vote = until("the vote", async || {
        gateway.get(&gateway.device("/events?type=poll.vote")).await.as_array()?.first().cloned()
    })
    .await;

    let ids: Vec<&Value> = inbox.iter().map(|entry| &entry["id"]).collect();
    let expected: Vec<&Value> = [&poll, &place, &card, &reaction, &forward].map(|taken| &taken["messageId"]).into();
    assert_eq!(ids[..5], expected[..], "each once, in the order of acceptance");
    assert_eq!((inbox.len(), &inbox[5]["delete"]["id"]), (6, &place["messageId"]));
    assert_eq!(vote["payload"]["tallies"][1]["votes"], 1, "{vote}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_while_the_gateway_is_dead_becomes_one_event_each() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    let write = async |number: usize| {
        let body = serde_json::json!({ "to": device, "text": format!("order {number}") });
        text(&phones.post(&format!("/accounts/{contact}/messages"), body).await["id"])
    };
    let mut written = Vec::new();
    for number in 0..20 {
        written.push(write(number).await);
    }
    gateway.kill();
    for number in 20..40 {
        written.push(write(number).await);
    }

    let gateway = Gateway::start(folder.path(), &simulator);
    let path = gateway.device("/events?cursor=0&limit=500&type=message.received");
    let events = until("forty events", async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap_or_default();
        (events.len() >= written.len()).then_some(events)
    })
    .await;

    let seen: Vec<String> = events.iter().map(|event| text(&event["payload"]["id"])).collect();
    let mut sorted = (seen.clone(), written.clone());
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1, "each message is one event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_asked_to_stop_ends_with_zero() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);

    let told = std::process::Command::new("kill").arg(gateway.process().to_string()).status().unwrap();

    assert!(told.success());
    assert!(gateway.wait().success());
}
