//! Groups: members write, clients read and change them.

use crate::support::{BUDI, Rig, SARI, SHOP, chat, text};
use serde_json::json;
use wacore::stanza::groups::GroupNotificationAction;
use wacore::types::events::Event;
use wacore_binary::Jid;
use whatsapp_rust::features::{
    GroupCreateOptions, GroupDescription, GroupParticipantOptions, GroupSubject, JoinGroupResult,
    MembershipApprovalMode, PreviousDescription,
};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_changes_all_of_a_group_and_others_are_told() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    let new = json!({ "subject": "Order", "creator": SHOP, "members": [BUDI] });
    let id = text(&rig.post("/groups", new).await["id"]).to_owned();
    let group = Jid::group(id.as_str());
    let groups = shop.client.groups();

    groups.set_subject(&group, GroupSubject::new("Orders").unwrap()).await.unwrap();
    let described = GroupDescription::new("all of them").unwrap();
    groups.set_description(&group, Some(described), PreviousDescription::Resolve).await.unwrap();
    groups.add_participants(&group, &[chat(SARI)]).await.unwrap();
    groups.promote_participants(&group, &[chat(BUDI)]).await.unwrap();
    groups.set_announce(&group, true).await.unwrap();
    groups.set_locked(&group, true).await.unwrap();
    groups.set_profile_picture(&group, b"a picture".to_vec()).await.unwrap();

    let read = budi.client.groups().get_metadata(&group).await.unwrap();
    assert_eq!((read.subject.as_str(), read.description.as_deref()), ("Orders", Some("all of them")));
    assert!(read.is_announcement && read.is_locked);
    assert_eq!(read.participants.iter().filter(|one| one.is_admin()).count(), 2);
    let told = |event: &Event| match event {
        Event::GroupUpdate(update) => matches!(update.action, GroupNotificationAction::Locked { .. }).then_some(()),
        _ => None,
    };
    budi.seen("that the group is locked", told).await;
    let refused = rig.refused(&format!("/groups/{id}/messages"), json!({ "from": SARI, "text": "may I?" })).await;
    assert_eq!(refused, (400, "only admins write to this group".to_owned()));
    groups.demote_participants(&group, &[chat(BUDI)]).await.unwrap();
    groups.remove_participants(&group, &[chat(SARI)]).await.unwrap();
    budi.client.groups().leave(&group).await.unwrap();
    let left = rig.get(&format!("/groups/{id}")).await;
    assert_eq!(left["members"], json!([{ "phone": SHOP, "admin": true }]));
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leads_in_at_once_or_through_an_admin_until_it_is_revoked() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    let id = text(&rig.post("/groups", json!({ "subject": "Order", "creator": SHOP, "members": [] })).await["id"])
        .to_owned();
    let group = Jid::group(id.as_str());
    let groups = shop.client.groups();

    let link = groups.get_invite_link(&group, false).await.unwrap();
    let code = link.rsplit('/').next().unwrap().to_owned();
    let seen = budi.client.groups().get_invite_info(&code).await.unwrap();
    let joined = budi.client.groups().join_with_invite_code(&code).await.unwrap();
    groups.set_membership_approval(&group, MembershipApprovalMode::On).await.unwrap();
    let waits = rig.post("/groups/join", json!({ "phone": SARI, "code": code })).await;
    let requests = groups.get_membership_requests(&group).await.unwrap();
    groups.approve_membership_requests(&group, &[requests[0].jid.clone()]).await.unwrap();
    groups.get_invite_link(&group, true).await.unwrap();

    assert_eq!(seen.subject, "Order");
    assert!(matches!(joined, JoinGroupResult::Joined(jid) if jid == group));
    assert_eq!((&waits["waits"], requests.len()), (&json!(true), 1));
    assert_eq!(rig.get(&format!("/groups/{id}")).await["members"].as_array().unwrap().len(), 3);
    let (status, _) = rig.refused("/groups/join", json!({ "phone": SARI, "code": code })).await;
    assert_eq!(status, 404);
    rig.all_answered().await;
}
