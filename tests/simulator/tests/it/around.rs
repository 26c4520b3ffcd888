//! What stands around messages: pictures, presence, calls, who is on WhatsApp.

use crate::support::{BUDI, Rig, SHOP, chat};
use serde_json::json;
use wacore::types::call::CallAction;
use wacore::types::events::Event;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_set_is_there_for_others() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    let none = budi.client.contacts().get_profile_picture(&chat(SHOP), false).await.unwrap();

    let set = shop.client.profile().set_profile_picture(b"a face".to_vec()).await.unwrap();
    let found = budi.client.contacts().get_profile_picture(&chat(SHOP), false).await.unwrap();

    assert!(none.is_none());
    assert_eq!(found.unwrap().id, set.id);
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_subscribed_is_told_who_comes_and_goes_and_types() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    device.client.presence().subscribe(&chat(BUDI)).await.unwrap();
    let presence = |gone: bool| {
        move |event: &Event| match event {
            Event::Presence(update) => (update.unavailable == gone && update.from.user == BUDI).then_some(()),
            _ => None,
        }
    };
    // The answer to the subscription.
    rig.post(&format!("/accounts/{BUDI}/presence"), json!({ "available": true })).await;
    device.seen("that Budi is there", presence(false)).await;

    rig.post(&format!("/accounts/{BUDI}/presence"), json!({ "doing": "typing", "to": SHOP })).await;
    rig.post(&format!("/accounts/{BUDI}/presence"), json!({ "available": false })).await;

    device.seen("that Budi types", |event| matches!(event, Event::ChatPresence(_)).then_some(())).await;
    device.seen("that Budi left", presence(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_rings_and_ends() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let path = format!("/accounts/{BUDI}/calls");

    let id = rig.post(&path, json!({ "to": SHOP, "video": true })).await["id"].clone();
    let video = device
        .seen("the call", |event| match event {
            Event::IncomingCall(call) => match &call.action {
                CallAction::Offer { call_id, is_video, .. } if id == *call_id => Some(*is_video),
                _ => None,
            },
            _ => None,
        })
        .await;
    rig.post(&format!("{path}/{}/end", id.as_str().unwrap()), json!({})).await;
    device
        .seen("its end", |event| match event {
            Event::IncomingCall(call) => matches!(call.action, CallAction::Terminate { .. }).then_some(()),
            Event::MissedCall(_) => Some(()),
            _ => None,
        })
        .await;

    assert!(video);
    assert_eq!(rig.get(&path).await, json!([{ "id": id, "to": SHOP, "state": "terminate" }]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_without_an_account_is_not_on_whatsapp() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;

    let found = device.client.contacts().is_on_whatsapp(&[chat(BUDI), chat("6281299999999")]).await.unwrap();

    let there: Vec<_> = found.iter().map(|one| (one.jid.user.to_string(), one.is_registered)).collect();
    assert!(there.contains(&(BUDI.to_owned(), true)), "{there:?}");
    assert!(!there.iter().any(|(user, registered)| user == "6281299999999" && *registered), "{there:?}");
}
