//! Groups: members write, clients read and change them.

use crate::support::{BUDI, Rig, SARI, SHOP, chat, text};
use serde_json::json;
use wacore_binary::Jid;
use whatsapp_rust::features::{GroupCreateOptions, GroupParticipantOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_written_to_by_clients_and_by_phones() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    let new = json!({ "subject": "Order 42", "creator": SHOP, "members": [BUDI, SARI] });
    let id = text(&rig.post("/groups", new).await["id"]).to_owned();
    let group = Jid::group(id.as_str());

    let sent = shop.client.send_text(&group, "to the group").await.unwrap().message_id;
    rig.post(&format!("/groups/{id}/messages"), json!({ "from": SARI, "text": "from Sari" })).await;

    let shown = rig.shown(SARI, &sent).await;
    assert_eq!((&shown["text"], &shown["chat"]), (&json!("to the group"), &json!(group.to_string())));
    budi.said("to the group").await;
    budi.said("from Sari").await;
    shop.said("from Sari").await;
    let again = shop.client.send_text(&group, "again").await.unwrap().message_id;
    rig.shown(SARI, &again).await;
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_creates_a_group_and_reads_it_back() {
    let rig = Rig::start().await;
    let shop = rig.linked(SHOP).await;
    let options = GroupCreateOptions::new("Order 43").with_participant(GroupParticipantOptions::new(chat(BUDI)));

    let created = shop.client.groups().create_group(options).await.unwrap();
    let read = shop.client.groups().get_metadata(&created.metadata.id).await.unwrap();

    assert_eq!(read.subject, "Order 43");
    assert_eq!(read.participants.len(), 2);
    rig.all_answered().await;
}
