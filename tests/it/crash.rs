//! What a kill -9 leaves behind.

use crate::support::{Gateway, Phones, simulator, text, until};
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
