//! Labels of chats, read back by another device of the account, and those of its phone.

use super::kinds::fields;
use crate::support::{Tenant, answer, tenant, text, until};
use serde_json::{Value, json};

async fn ask(gateway: &Tenant, device: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    answer(gateway.request(method, &format!("/v1/devices/{device}{path}")).json(&body)).await
}

async fn done(gateway: &Tenant, device: &str, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = ask(gateway, device, method, path, body).await;
    assert!([200, 201].contains(&status), "{method} {path}: {answer}");
    answer
}

/// The labels of a device, once they are as wanted.
async fn labels(gateway: &Tenant, device: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    until("the labels to be as wanted", async || {
        let listed = done(gateway, device, "GET", "/labels", Value::Null).await;
        let labels = listed["data"]["labels"].as_array().cloned().unwrap();
        wanted(&labels).then_some(labels)
    })
    .await
}

/// What the contact's chat is labelled with, by name, once it is as wanted.
async fn chat_labels(gateway: &Tenant, device: &str, wanted: &[&str]) {
    let jid = format!("{}@s.whatsapp.net", text(&gateway.info["contactPhone"]));
    until("the chat to have these labels", async || {
        let listed = done(gateway, device, "GET", "/chats?limit=200", Value::Null).await;
        let chats = listed["chats"].as_array().cloned().unwrap();
        let chat = chats.iter().find(|chat| chat["jid"] == jid)?;
        let names: Vec<&str> = chat["labels"].as_array()?.iter().filter_map(|label| label["name"].as_str()).collect();
        (names == wanted).then_some(())
    })
    .await;
}

async fn event(gateway: &Tenant, device: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/devices/{device}/events?cursor=0&type=chat.updated&limit=500");
    until("the event", async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        events.into_iter().map(|event| event["payload"].clone()).find(|data| fits(data))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_is_made_named_put_on_a_chat_and_deleted_and_another_device_has_the_same() {
    let gateway = tenant().await;
    let (first, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let second = gateway.link(&text(&gateway.info["devicePhone"])).await;

    let made = done(&gateway, &first, "POST", "/labels", json!({ "name": "New order", "color": 3 })).await;
    let other = done(&gateway, &first, "POST", "/labels", json!({ "name": "Paid" })).await;

    let (id, other) = (text(&made["data"]["label"]["id"]), text(&other["data"]["label"]["id"]));
    assert_ne!(id, other);
    let seen = labels(&gateway, &second, |labels| labels.len() == 2).await;
    assert_eq!((&seen[0]["id"], &seen[0]["name"], &seen[0]["color"]), (&json!(id), &json!("New order"), &json!(3)));
    let label = format!("/labels/{id}");
    let renamed = done(&gateway, &first, "PUT", &label, json!({ "name": "Order" })).await;
    assert_eq!((&renamed["data"]["label"]["name"], &renamed["data"]["label"]["color"]), (&json!("Order"), &json!(3)));
    labels(&gateway, &second, |labels| labels[0]["name"] == "Order").await;

    let on_chat = format!("/chats/{contact}/labels/{id}");
    for _ in 0..2 {
        done(&gateway, &first, "PUT", &on_chat, Value::Null).await;
    }
    done(&gateway, &first, "PUT", &format!("/chats/{contact}/labels/{other}"), Value::Null).await;
    for device in [&first, &second] {
        chat_labels(&gateway, device, &["Order", "Paid"]).await;
        let told = event(&gateway, device, |data| data["changes"]["label"] == id.as_str()).await;
        assert_eq!(told["changes"]["labeled"], true, "{told}");
        assert_eq!(told["changes"]["labels"][0], json!({ "id": id, "name": "Order", "color": 3 }), "{told}");
    }
    let labels_now = labels(&gateway, &second, |labels| labels[0]["chats"] == 1).await;
    assert_eq!(labels_now.len(), 2);

    done(&gateway, &second, "DELETE", &on_chat, Value::Null).await;
    for device in [&first, &second] {
        chat_labels(&gateway, device, &["Paid"]).await;
        event(&gateway, device, |data| data["changes"]["labeled"] == false).await;
    }
    done(&gateway, &second, "DELETE", &format!("/labels/{other}"), Value::Null).await;
    for device in [&first, &second] {
        labels(&gateway, device, |labels| labels.len() == 1).await;
        chat_labels(&gateway, device, &[]).await;
    }
    let path = format!("/v1/devices/{first}/events?cursor=0&type=chat.updated&limit=500");
    let events = gateway.get(&path).await;
    let put = events.as_array().unwrap().iter().filter(|event| event["payload"]["changes"]["label"] == id.as_str());
    assert_eq!(put.count(), 2, "put on once and taken off once, whatever was repeated: {events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_phone_labels_is_taken_in_and_its_ids_are_not_given_again() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let settings = format!("/accounts/{}/settings", text(&gateway.info["devicePhone"]));
    let set = async |change: Value| gateway.phones().post(&settings, change).await;

    // A device that was linked a moment ago may still be taking in what was before.
    until("the phone's label to be taken in", async || {
        set(json!({ "label": { "id": "7", "name": "VIP", "color": 5 } })).await;
        set(json!({ "label_chat": { "id": "7", "phone": contact, "on": true } })).await;
        let listed = done(&gateway, &device, "GET", "/labels", Value::Null).await;
        (listed["data"]["labels"][0]["chats"] == 1).then_some(())
    })
    .await;

    chat_labels(&gateway, &device, &["VIP"]).await;
    let made = done(&gateway, &device, "POST", "/labels", json!({ "name": "Mine" })).await;
    assert_eq!(made["data"]["label"]["id"], "8");
    set(json!({ "label": { "id": "7" } })).await;
    let left = labels(&gateway, &device, |labels| labels.len() == 1).await;
    assert_eq!(left[0]["name"], "Mine");
    chat_labels(&gateway, &device, &[]).await;
    done(&gateway, &device, "DELETE", "/labels/8", Value::Null).await;
    let next = done(&gateway, &device, "POST", "/labels", json!({ "name": "Next" })).await;
    assert_eq!(next["data"]["label"]["id"], "9", "an id is given once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_label_is_named() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));

    for (body, wrong) in [
        (json!({}), vec!["name"]),
        (json!({ "name": "  ", "color": 20 }), vec!["color", "name"]),
        (json!({ "name": "x".repeat(101), "color": "red" }), vec!["color", "name"]),
    ] {
        let (status, refused) = ask(&gateway, &device, "POST", "/labels", body).await;
        assert_eq!((status, fields(&refused)), (400, wrong.iter().map(ToString::to_string).collect()));
    }
    for (method, path) in [
        ("PUT", "/labels/99".to_owned()),
        ("DELETE", "/labels/99".to_owned()),
        ("PUT", format!("/chats/{contact}/labels/99")),
        ("DELETE", format!("/chats/{contact}/labels/99")),
    ] {
        let (status, refused) = ask(&gateway, &device, method, &path, json!({ "name": "a" })).await;
        assert_eq!((status, &refused["error"]["code"]), (404, &json!("NOT_FOUND")), "{method} {path}");
    }
    let made = done(&gateway, &device, "POST", "/labels", json!({ "name": "a" })).await;
    let path = format!("/chats/nobody/labels/{}", text(&made["data"]["label"]["id"]));
    let (status, refused) = ask(&gateway, &device, "PUT", &path, Value::Null).await;
    assert_eq!((status, fields(&refused)), (400, vec!["chat".to_owned()]));
}
