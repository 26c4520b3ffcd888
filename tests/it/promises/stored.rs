//! Nothing is promised before it is on disk: not to a client, not to WhatsApp, and not by the outbox to itself.

use crate::support::{Gateway, Phones, answer, simulator, text, until};
use rusqlite::Connection;
use serde_json::json;
use std::path::Path;

/// From now on the gateway cannot write rows of this table.
fn refuse_rows(folder: &Path, table: &str) {
    let database = Connection::open(folder.join("rijan.db")).unwrap();
    let trigger = "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    database.execute_batch(&format!("CREATE TRIGGER refuse BEFORE INSERT ON {table} {trigger}")).unwrap();
}

fn take_rows_again(folder: &Path) {
    Connection::open(folder.join("rijan.db")).unwrap().execute_batch("DROP TRIGGER refuse").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_cannot_be_stored_is_not_answered_as_accepted() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let send = async || {
        let body = json!({ "to": gateway.info["contactPhone"], "text": "once", "idempotencyKey": "key" });
        answer(gateway.request("POST", &gateway.device("/messages/text")).json(&body)).await
    };

    refuse_rows(folder.path(), "messages_outbox");
    let (status, body) = send().await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("INTERNAL_ERROR")), "{body}");
    assert!(!body.to_string().contains("refused by the test"), "{body}");

    take_rows_again(folder.path());
    let (status, taken) = send().await;
    assert_eq!(status, 200, "the failed request left its idempotency key behind: {taken}");
    let inbox = Phones::of(&simulator).inbox(&text(&gateway.info["contactPhone"]), 0).await;
    assert_eq!((inbox.len(), &inbox[0]["id"]), (1, &taken["messageId"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_stored_is_not_acknowledged_and_comes_again() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let (gateway, phones) = (Gateway::start(folder.path(), &simulator), Phones::of(&simulator));
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    refuse_rows(folder.path(), "messages_inbox");

    let body = json!({ "to": device, "text": "an order" });
    let written = text(&phones.post(&format!("/accounts/{contact}/messages"), body).await["id"]);
    until("the message to reach the gateway", async || {
        let health = gateway.get(&gateway.device("/health")).await;
        health["data"]["last_decrypted_event_at"].is_i64().then_some(())
    })
    .await;
    // A text there and back: what the gateway has acknowledged until now, it has acknowledged.
    gateway.send_text("anything new?", "key").await.unwrap();
    assert_eq!(phones.inbox(&contact, 0).await.len(), 1);
    gateway.kill();
    take_rows_again(folder.path());

    let gateway = Gateway::start(folder.path(), &simulator);
    let path = gateway.device("/events?cursor=0&type=message.received");
    let events = until("the order", async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        events.iter().any(|event| event["payload"]["id"] == json!(written)).then_some(events)
    })
    .await;
    assert_eq!(events.iter().filter(|event| event["payload"]["id"] == json!(written)).count(), 1, "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_whatsapp_acknowledged_is_not_sent_again_after_a_kill_though_no_receipt_came() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let (gateway, phones) = (Gateway::start(folder.path(), &simulator), Phones::of(&simulator));
    let contact = text(&gateway.info["contactPhone"]);
    let silent = json!({ "receipts": false, "read": false });
    phones.post(&format!("/accounts/{contact}/behaviour"), silent.clone()).await;
    let first = gateway.send_text("first", "first").await.unwrap();
    let path = gateway.device(&format!("/messages/{}/status", text(&first["id"])));
    until("the acknowledgement", async || (gateway.get(&path).await["status"] == "sent").then_some(())).await;

    gateway.kill();
    let gateway = Gateway::start(folder.path(), &simulator);
    phones.post(&format!("/accounts/{contact}/behaviour"), silent).await;
    gateway.send_text("second", "second").await.unwrap();

    let inbox = until("the second text", async || {
        let inbox = phones.inbox(&contact, 0).await;
        (inbox.len() >= 2).then_some(inbox)
    })
    .await;
    let copies: Vec<_> = inbox.iter().map(|entry| (text(&entry["text"]), entry["copies"].as_u64())).collect();
    assert_eq!(copies, [("first".to_owned(), Some(1)), ("second".to_owned(), Some(1))]);
}

/// The message is delivered, acknowledged to nobody, and taken out of the database behind a session that is on disk: as
/// after a kill that came when the session was written, and the row not yet. Answers with its id.
async fn lost(folder: &Path, simulator: &whatsapp_simulator::Simulator) -> String {
    let (gateway, phones) = (Gateway::start(folder, simulator), Phones::of(simulator));
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    for tag in ["ack", "receipt"] {
        let stanzas = json!({ "tag": tag, "direction": "in" });
        phones.post("/faults", json!({ "phone": device, "match": stanzas, "action": "drop" })).await;
    }
    let body = json!({ "to": device, "text": "an order" });
    let written = text(&phones.post(&format!("/accounts/{contact}/messages"), body).await["id"]);
    until("the message", async || (!told(&gateway, &written).await.is_empty()).then_some(())).await;
    // Shut down in order, so that the session is on disk for certain.
    let stop = std::process::Command::new("kill").args(["-TERM", &gateway.process().to_string()]).status().unwrap();
    assert!(stop.success() && gateway.wait().success());
    let database = Connection::open(folder.join("rijan.db")).unwrap();
    for gone in ["DELETE FROM messages_inbox WHERE wa_id = ?1", "DELETE FROM event_logs WHERE data ->> 'id' = ?1"] {
        assert_eq!(database.execute(gone, [&written]).unwrap(), 1);
    }
    phones.clear_faults().await;
    written
}

/// The types of the events about a message, oldest first.
async fn told(gateway: &Gateway, message: &str) -> Vec<String> {
    let events = gateway.get(&gateway.device("/events?cursor=0")).await.as_array().cloned().unwrap();
    let ours = events.iter().filter(|event| event["payload"]["id"] == json!(message));
    ours.map(|event| text(&event["type"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_decrypted_and_not_stored_is_asked_for_again() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let written = lost(folder.path(), &simulator).await;

    let (gateway, phones) = (Gateway::start(folder.path(), &simulator), Phones::of(&simulator));
    let contact = text(&gateway.info["contactPhone"]);
    let events = until("the message to come again", async || {
        let events = told(&gateway, &written).await;
        events.iter().any(|type_| type_ == "message.received").then_some(events)
    })
    .await;
    assert_eq!(events, ["message.undecryptable", "message.received"]);
    // Now it is acknowledged: a third start hears nothing of it.
    gateway.send_text("thank you", "key").await.unwrap();
    phones.inbox(&contact, 0).await;
    gateway.kill();
    let gateway = Gateway::start(folder.path(), &simulator);
    gateway.send_text("anything else?", "another key").await.unwrap();
    until("the second text", async || (phones.inbox(&contact, 0).await.len() == 2).then_some(())).await;
    assert_eq!(told(&gateway, &written).await, events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_that_nobody_sends_again_is_told_once_and_asked_for_three_times() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let written = lost(folder.path(), &simulator).await;
    let phones = Phones::of(&simulator);
    // No phone hears that it is asked for.
    let asking = json!({ "tag": "receipt", "direction": "in", "type": "retry" });
    phones.post("/faults", json!({ "match": asking, "action": "drop" })).await;
    // Nor does the account's own.
    let asking = json!({ "tag": "message", "direction": "in" });
    phones.post("/faults", json!({ "match": asking, "action": "drop" })).await;

    let database = Connection::open(folder.path().join("rijan.db")).unwrap();
    let asked = || {
        let query = "SELECT envelope ->> 'asked' FROM messages_inbox WHERE wa_id = ?1";
        database.query_row(query, [&written], |row| row.get::<_, i64>(0)).unwrap_or(0)
    };
    for start in 1..=3 {
        let gateway = Gateway::start(folder.path(), &simulator);
        until("the message to be asked for", async || (asked() == start).then_some(())).await;
        assert_eq!(told(&gateway, &written).await, ["message.undecryptable"]);
        gateway.kill();
    }
    let waiting = async || {
        let stats = phones.get("/stats").await;
        stats["waiting"].as_u64().unwrap_or_else(|| panic!("{stats}"))
    };
    assert!(waiting().await > 0, "it was acknowledged though it was to be asked for again");
    let gateway = Gateway::start(folder.path(), &simulator);
    until("the message to be acknowledged", async || (waiting().await == 0).then_some(())).await;
    assert_eq!((told(&gateway, &written).await, asked()), (vec!["message.undecryptable".to_owned()], 3));
}
