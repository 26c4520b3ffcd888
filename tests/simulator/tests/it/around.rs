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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_account_says_about_itself_sticks_and_who_watches_is_told() {
    let rig = Rig::start().await;
    let (shop, budi) = (rig.linked(SHOP).await, rig.linked(BUDI).await);
    budi.client.presence().subscribe(&chat(SHOP)).await.unwrap();
    budi.seen("the answer", |event| matches!(event, Event::Presence(_)).then_some(())).await;

    shop.client.profile().set_status_text("open until nine").await.unwrap();

    let told = |event: &Event| match event {
        Event::UserAboutUpdate(update) => Some(update.status.clone()),
        _ => None,
    };
    assert_eq!(budi.seen("the new text", told).await, "open until nine");
    let info = budi.client.contacts().get_user_info(&[chat(SHOP)]).await.unwrap();
    assert_eq!(info[&chat(SHOP)].status.as_deref(), Some("open until nine"));
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_refused_with_the_code_of_a_fault() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let refuse = json!({ "match": { "tag": "iq", "xmlns": "privacy" }, "action": "nack", "code": "429", "count": 1 });
    rig.post("/faults", refuse).await;

    let refused = device.client.fetch_privacy_settings().await.unwrap_err();
    let taken = device.client.fetch_privacy_settings().await.unwrap();

    assert!(refused.to_string().contains("429"), "{refused}");
    assert_eq!(taken.settings.len(), 9);
}
