//! People link devices, install WhatsApp anew and change their number.

use super::{events, send, shown, write};
use crate::support::{Gateway, answer, simulator, tenant, text, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_a_contact_links_later_gets_the_next_message_too() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let first = send(&gateway, "before").await;
    shown(&gateway, &contact, &first).await;

    let linked = gateway.link(&contact).await;
    let second = send(&gateway, "after").await;

    let received = events(&gateway, &linked, "message.received", |data| data["id"] == second).await;
    assert!(received.iter().all(|data| data["id"] != first), "{received:?}");
    shown(&gateway, &contact, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_goes_on_with_who_installed_whatsapp_anew() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let device = text(&gateway.info["deviceId"]);
    let to_us = |words: &str| json!({ "to": gateway.info["devicePhone"], "text": words });
    let before = send(&gateway, "before").await;
    shown(&gateway, &contact, &before).await;
    let theirs = write(&gateway, &contact, to_us("before")).await;
    events(&gateway, &device, "message.received", |data| data["id"] == theirs).await;

    gateway.phones().post(&format!("/accounts/{contact}/reinstall"), json!({})).await;
    let ours = send(&gateway, "from us, after").await;
    assert_eq!(shown(&gateway, &contact, &ours).await["text"], "from us, after");
    gateway.phones().post(&format!("/accounts/{contact}/reinstall"), json!({})).await;
    let theirs = write(&gateway, &contact, to_us("from them, after")).await;

    let received = events(&gateway, &device, "message.received", |data| data["id"] == theirs).await;
    assert_eq!(received.iter().filter(|data| data["id"] == theirs).count(), 1);
    let again = send(&gateway, "and again").await;
    assert_eq!(shown(&gateway, &contact, &again).await["text"], "and again");
    let missed = gateway.get(&gateway.device("/events?cursor=0&type=message.undecryptable")).await;
    assert_eq!(missed, json!([]), "nothing was lost between");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_the_number_is_told_and_is_written_to_under_the_new_one() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let device = text(&gateway.info["deviceId"]);
    let first = send(&gateway, "to the old number").await;
    shown(&gateway, &contact, &first).await;
    let new = format!("{contact}4");

    gateway.phones().post(&format!("/accounts/{contact}/number"), json!({ "new": new })).await;
    let told = events(&gateway, &device, "contact.updated", |data| data["changes"]["phone"] == new).await;

    let told = told.iter().find(|data| data["changes"]["phone"] == new).unwrap();
    assert_eq!(
        (&told["changes"]["previousPhone"], &told["contact"]["phone"]),
        (&json!(contact), &json!(new)),
        "{told}"
    );
    let json = json!({ "to": new, "text": "to the new number" });
    let (status, taken) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&json)).await;
    assert_eq!(status, 200, "{taken}");
    let entry = shown(&gateway, &new, &text(&taken["messageId"])).await;
    assert_eq!(entry["text"], "to the new number");
    let theirs = write(&gateway, &new, json!({ "to": gateway.info["devicePhone"], "text": "it is me" })).await;
    let received = events(&gateway, &device, "message.received", |data| data["id"] == theirs).await;
    let received = received.iter().find(|data| data["id"] == theirs).unwrap();
    assert_eq!(received["sender"]["phone"], json!(new), "{received}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_settings_reach_a_device_that_is_linked_later_in_one_file() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (own, phones) = (text(&gateway.info["devicePhone"]), gateway.phones());
    let prepared = json!({ "chats": 12, "messages": 1 });
    phones.post(&format!("/accounts/{own}/history"), prepared).await;
    let chats: Vec<String> = (0..12).map(|number| format!("62899000000{number:02}")).collect();
    let second = gateway.link(&own).await;
    let change = async |chat: &str, archive: bool| {
        let path = format!("/v1/devices/{second}/chats/{chat}/archive");
        until("the chat to be archived", async || {
            let change = gateway.request("POST", &path).json(&json!({ "archive": archive }));
            (answer(change).await.0 == 200).then_some(())
        })
        .await;
    };
    events(&gateway, &second, "history.synced", |data| data["progress"] == 100).await;
    for chat in &chats {
        change(chat, true).await;
    }
    change(&chats[3], false).await;
    let files = phones.get("/stats").await["files"].as_u64().unwrap();

    let third = gateway.link(&own).await;
    let archived = until("the settings", async || {
        let listed = gateway.get(&format!("/v1/devices/{third}/chats?limit=200")).await;
        let chats = listed["chats"].as_array().cloned().unwrap_or_default();
        let archived: Vec<String> =
            chats.iter().filter(|chat| chat["archived"] == true).map(|chat| text(&chat["phoneNumber"])).collect();
        (archived.len() == 11).then_some(archived)
    })
    .await;

    assert!(!archived.contains(&chats[3]), "{archived:?}");
    let now = phones.get("/stats").await["files"].as_u64().unwrap();
    // One of history, and at least one of settings.
    assert!(now >= files + 2, "there were {files} files and are {now}");
}
