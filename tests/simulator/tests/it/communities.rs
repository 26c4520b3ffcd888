//! Communities: the real client makes one, puts groups into it, and ends it.

use crate::support::{BUDI, Rig, SARI, SHOP, chat, text};
use serde_json::json;
use wacore_binary::Jid;
use whatsapp_rust::features::CreateCommunityOptions;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_makes_a_community_fills_it_and_ends_it() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    let new = json!({ "subject": "Number 42", "creator": SHOP, "members": [BUDI] });
    let group = Jid::group(text(&rig.post("/groups", new).await["id"]));
    let community = shop.client.community();

    let made = community.create(CreateCommunityOptions::new("Our street")).await.unwrap().metadata;
    let id = made.id.clone();
    assert!(made.is_parent_group);
    let linked = community.link_subgroups(&id, &[group.clone(), Jid::group("1")]).await.unwrap();
    assert_eq!((linked.linked_jids, linked.failed_groups), (vec![group.clone()], vec![(Jid::group("1"), 404)]));
    let inside = community.create_subgroup("Number 43", &[chat(SARI)], &id).await.unwrap().metadata;
    assert_eq!(inside.parent_group_jid, Some(id.clone()));

    let groups = budi.client.community().get_subgroups(&id).await.unwrap();
    let subjects: Vec<_> = groups.iter().map(|group| group.subject.as_str()).collect();
    assert_eq!((groups.len(), subjects[0], groups[0].is_default_sub_group), (4, "Our street", true));
    assert!(groups.iter().any(|group| group.is_general_chat), "{groups:?}");
    let joined = budi.client.community().join_subgroup(&id, &inside.id).await.unwrap();
    assert_eq!(joined.participants.len(), 3);
    let counts = community.get_subgroup_participant_counts(&id).await.unwrap();
    assert!(counts.contains(&(inside.id.clone(), 3)), "{counts:?}");
    assert_eq!(community.get_linked_groups_participants(&id).await.unwrap().len(), 3);
    assert!(community.get_participating().await.unwrap().contains_key(&id));

    community.remove_participants(&id, &[chat(BUDI)]).await.unwrap();
    assert!(budi.client.community().get_subgroups(&id).await.is_err(), "no member any more");
    community.unlink_subgroups(&id, std::slice::from_ref(&group), false).await.unwrap();
    community.deactivate(&id).await.unwrap();
    assert!(shop.client.groups().get_metadata(&id).await.is_err());
    assert_eq!(shop.client.groups().get_metadata(&inside.id).await.unwrap().parent_group_jid, None);
    rig.all_answered().await;
}
