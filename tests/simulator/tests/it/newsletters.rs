//! Newsletters: the real client makes one, posts, and reads what others made of it.

use crate::support::{BUDI, Rig, SHOP, text, words};
use serde_json::json;
use wacore::types::events::Event;
use wacore::types::message::EditAttribute;
use wacore_binary::Jid;
use waproto::whatsapp as wa;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_posts_reaches_who_follows_and_is_read_again() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    let made = shop.client.newsletter().create("Bakery", Some("bread")).await.unwrap();
    let id: Jid = made.jid.clone();
    assert_eq!((made.name.as_str(), made.description.as_deref()), ("Bakery", Some("bread")));
    let found = budi.client.newsletter().get_metadata_by_invite(&made.invite_code.unwrap()).await.unwrap();
    assert_eq!(found.jid, id);
    budi.client.newsletter().join(&id).await.unwrap();
    budi.client.newsletter().subscribe_live_updates(&id).await.unwrap();

    let sent = shop.client.send_text(&id, "we open at nine").await.unwrap().message_id;
    let first = budi.message(&sent).await;
    assert_eq!((words(&first.message), first.info.server_id >= 100), (Some("we open at nine"), true));
    assert_eq!(rig.shown(BUDI, &sent).await["chat"], json!(id.to_string()));
    let new = wa::Message { conversation: Some("we open at ten".into()), ..Default::default() };
    shop.client.newsletter().edit_message(&id, sent.clone(), new).await.unwrap();
    assert_eq!(budi.said("we open at ten").await.info.edit, EditAttribute::AdminEdit);
    let server_id = u64::try_from(first.info.server_id).unwrap();
    budi.client.newsletter().send_reaction(&id, server_id, "👍").await.unwrap();
    let count = budi
        .seen("live updates", |event| match event {
            Event::NewsletterLiveUpdate(update) => Some(update.messages[0].reactions[0].count),
            _ => None,
        })
        .await;
    assert_eq!(count, 1);
    let read = budi.client.newsletter().get_messages(&id, 10, None).await.unwrap();
    assert_eq!((read.len(), read[0].message_id.as_str(), read[0].reactions[0].count), (1, sent.as_str(), 1));
    shop.client.newsletter().revoke_message(&id, sent.clone()).await.unwrap();
    budi.seen("the deletion", |event| match event {
        Event::Messages(batch) => {
            batch.iter().any(|one| one.info.id == sent && one.info.edit == EditAttribute::AdminRevoke).then_some(())
        }
        _ => None,
    })
    .await;
    assert!(budi.client.newsletter().get_messages(&id, 10, None).await.unwrap().is_empty());
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_posts_and_only_its_owner_changes_a_newsletter() {
    let rig = Rig::start().await;
    let budi = rig.linked(BUDI).await;
    let made = rig.post("/newsletters", json!({ "name": "Bakery", "owner": SHOP })).await;
    let (name, id) = (text(&made["id"]).to_owned(), text(&made["id"]).parse::<Jid>().unwrap());
    rig.post(&format!("/newsletters/{name}/follow"), json!({ "phone": BUDI, "follows": true })).await;

    rig.post(&format!("/newsletters/{name}/posts"), json!({ "text": "we open at nine" })).await;

    budi.said("we open at nine").await;
    assert!(budi.client.newsletter().update(&id, Some("Mine"), None).await.is_err());
    assert_eq!(budi.client.newsletter().list_subscribed().await.unwrap()[0].name, "Bakery");
    budi.client.newsletter().set_follower_mute(&id, true).await.unwrap();
    assert_eq!(rig.get(&format!("/newsletters/{name}")).await["followers"][BUDI], true);
    budi.client.newsletter().leave(&id).await.unwrap();
    assert!(budi.client.newsletter().list_subscribed().await.unwrap().is_empty());
    rig.all_answered().await;
}
