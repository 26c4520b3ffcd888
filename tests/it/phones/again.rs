//! Messages that are sent again: by our own phone, by who wrote them, and ours to who could not read them.

use super::{events, send, shown, write};
use crate::support::{Gateway, Phones, Tenant, simulator, tenant, text, until};
use serde_json::{Value, json};

/// The next message to the device comes as one that only the phone can read.
async fn withhold(gateway: &Tenant) {
    let device = &gateway.info["devicePhone"];
    let fault = json!({ "phone": device, "match": { "tag": "message" }, "action": "withhold", "count": 1 });
    gateway.phones().post("/faults", fault).await;
}

async fn received(gateway: &Tenant, id: &str) -> Value {
    let device = text(&gateway.info["deviceId"]);
    let events = events(gateway, &device, "message.received", |data| data["id"] == id).await;
    let of: Vec<&Value> = events.iter().filter(|data| data["id"] == id).collect();
    assert_eq!(of.len(), 1, "{of:?}");
    of[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_only_the_phone_can_read_is_asked_of_it_and_is_the_message_it_is() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let device = text(&gateway.info["deviceId"]);
    withhold(&gateway).await;

    let id =
        write(&gateway, &contact, json!({ "to": gateway.info["devicePhone"], "text": "for the phone alone" })).await;
    let message = received(&gateway, &id).await;

    assert_eq!((&message["text"], &message["fromMe"]), (&json!("for the phone alone"), &json!(false)), "{message}");
    assert_eq!(
        (&message["sender"]["phone"], &message["sender"]["name"]),
        (&json!(contact), &json!("Budi")),
        "{message}"
    );
    assert!(message["sender"]["lid"].is_string(), "{message}");
    let told = events(&gateway, &device, "message.undecryptable", |data| data["id"] == id).await;
    assert_eq!(told.len(), 1, "that it could not be read was told before: {told:?}");
    let chat = gateway.get(&gateway.device(&format!("/chats/{contact}/messages"))).await;
    let lines = chat["messages"].as_array().unwrap().iter().filter(|one| one["waMessageId"] == id).count();
    assert_eq!(lines, 1, "{chat}");
    // What is written next comes as ever.
    let next = write(&gateway, &contact, json!({ "to": gateway.info["devicePhone"], "text": "for all" })).await;
    assert_eq!(received(&gateway, &next).await["text"], "for all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_group_that_the_phone_sends_again_has_its_author() {
    let gateway = tenant().await;
    let (own, contact) = (text(&gateway.info["devicePhone"]), text(&gateway.info["contactPhone"]));
    let new = json!({ "subject": "Order", "creator": own, "members": [contact] });
    let group = text(&gateway.phones().post("/groups", new).await["id"]);
    withhold(&gateway).await;

    let id = write(&gateway, &contact, json!({ "to": group, "text": "for the phone alone" })).await;
    let message = received(&gateway, &id).await;

    assert_eq!((&message["text"], &message["isGroup"]), (&json!("for the phone alone"), &json!(true)), "{message}");
    assert_eq!((&message["chat"], &message["sender"]["phone"]), (&json!(format!("{group}@g.us")), &json!(contact)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_its_author_and_the_phone_both_send_again_is_stored_once() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let fault = json!({
        "phone": gateway.info["devicePhone"], "match": { "tag": "message" }, "action": "corrupt", "count": 1
    });
    gateway.phones().post("/faults", fault).await;

    let id = write(&gateway, &contact, json!({ "to": gateway.info["devicePhone"], "text": "damaged" })).await;
    received(&gateway, &id).await;
    let next = write(&gateway, &contact, json!({ "to": gateway.info["devicePhone"], "text": "behind it" })).await;

    received(&gateway, &next).await;
    assert_eq!(received(&gateway, &id).await["text"], "damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_could_not_read_a_message_of_ours_gets_it_again_though_the_gateway_was_killed_since() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (contact, own) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    // Its request to send again, and that of our own phone, come behind the next stanza, which comes after the kill.
    for fault in [
        json!({ "phone": own, "match": { "tag": "message", "direction": "in" }, "action": "corrupt", "count": 1 }),
        json!({ "phone": own, "match": { "tag": "receipt", "type": "retry", "direction": "out" }, "action": "reorder", "count": 2 }),
    ] {
        phones.post("/faults", fault).await;
    }

    let id = send(&gateway, "damaged on its way").await;
    until("the acknowledgement", async || {
        let path = gateway.device(&format!("/messages/{id}/status"));
        (gateway.get(&path).await["status"] == "sent").then_some(())
    })
    .await;
    gateway.kill();
    let gateway = Gateway::start(folder.path(), &simulator);
    write(&gateway, &contact, json!({ "to": own, "text": "are you there?" })).await;

    let entry = shown(&gateway, &contact, &id).await;
    assert_eq!((&entry["text"], &entry["copies"]), (&json!("damaged on its way"), &json!(1)));
    let device = text(&gateway.info["deviceId"]);
    events(&gateway, &device, "receipt.read", |data| data["waMessageId"] == id || data["id"] == id).await;
}
