//! Messages between linked clients and phones.

use crate::support::{BUDI, Rig, SARI, SHOP, chat};
use serde_json::json;
use wacore::types::events::Event;
use wacore_binary::JidExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_go_both_ways_and_receipts_come_back() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;

    let sent = device.client.send_text(&chat(BUDI), "hello Budi").await.unwrap().message_id;
    let shown = rig.shown(BUDI, &sent).await;
    device.receipt("Delivered", &sent).await;
    device.receipt("Read", &sent).await;
    let answer = rig.write(BUDI, json!({ "to": SHOP, "text": "hello Shop" })).await;
    let received = device.message(&answer).await;

    assert_eq!((&shown["type"], &shown["text"], &shown["copies"]), (&json!("text"), &json!("hello Budi"), &json!(1)));
    assert_eq!(received.message.conversation.as_deref(), Some("hello Shop"));
    assert_eq!(received.info.push_name, "Budi");
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_a_client_is_away_comes_once_in_order_at_its_next_login() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    device.forget();
    rig.post(&format!("/accounts/{SHOP}/devices/1/kick"), json!({})).await;
    let mut written = Vec::new();
    for number in 0..5 {
        written.push(rig.write(BUDI, json!({ "to": SHOP, "text": format!("number {number}") })).await);
    }

    device.connected().await;
    device.message(&written[4]).await;

    let received: Vec<String> = device.messages().iter().map(|message| message.info.id.clone()).collect();
    assert_eq!(received, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_reports_its_code_and_is_displayed_to_nobody() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let nack = json!({ "match": { "tag": "message" }, "action": "nack", "code": "479", "count": 1 });
    rig.post("/faults", nack).await;

    let refused = device.client.send_text(&chat(BUDI), "refused").await.unwrap().message_id;
    let code = device
        .seen("the refusal", |event| match event {
            Event::ServerAck(ack) if ack.id == refused => Some(ack.error.clone()),
            _ => None,
        })
        .await;
    let taken = device.client.send_text(&chat(BUDI), "taken").await.unwrap().message_id;

    assert_eq!(code.as_deref(), Some("479"));
    assert_eq!(rig.inbox(BUDI, 0).await[0]["id"], taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stanza_that_is_not_confirmed_comes_again() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    rig.post("/faults", json!({ "match": { "tag": "receipt" }, "action": "drop" })).await;
    let id = rig.write(BUDI, json!({ "to": SHOP, "text": "unconfirmed" })).await;
    device.message(&id).await;

    let waiting = rig.get(&format!("/accounts/{SHOP}/devices")).await[0]["waiting"].as_u64();

    assert!(waiting >= Some(1), "{waiting:?} stanzas wait, and the message was never confirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_owner_writes_on_the_phone_comes_to_the_linked_client_too() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;

    let id = rig.write(SHOP, json!({ "to": BUDI, "text": "from the phone" })).await;
    let copy = device.message(&id).await;

    assert!(copy.info.source.is_from_me);
    assert_eq!(copy.info.source.chat, chat(BUDI));
    assert_eq!(copy.message.conversation.as_deref(), Some("from the phone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_posts_reach_those_they_are_for() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    let readers = [chat(BUDI), chat(SARI)];
    shop.client.contacts().is_on_whatsapp(&readers).await.unwrap();

    let status = shop.client.status();
    let mut posted = Vec::new();
    for text in ["first", "second"] {
        let sent = status.send_text(text, 0xff00_0000, Default::default(), &readers, Default::default()).await.unwrap();
        posted.push(sent.message_id);
    }
    let written = rig.write(SARI, json!({ "to": "status@broadcast", "text": "from Sari" })).await;

    for id in &posted {
        assert_eq!(rig.shown(SARI, id).await["chat"], "status@broadcast");
        assert!(budi.message(id).await.info.source.chat.is_status_broadcast());
    }
    assert!(shop.message(&written).await.info.source.chat.is_status_broadcast());
    rig.all_answered().await;
}
