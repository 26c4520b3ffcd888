//! Linking, logging in again, being removed.

use crate::support::{Rig, SHOP};
use serde_json::json;
use wacore::types::events::Event;
use whatsapp_rust::pair_code::PairCodeOptions;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_links_by_qr_and_learns_the_accounts_name() {
    let rig = Rig::start().await;

    let device = rig.linked(SHOP).await;

    device
        .seen("the name", |event| match event {
            Event::SelfPushNameUpdated(update) => (update.new_name == "Shop").then_some(()),
            _ => None,
        })
        .await;
    assert_eq!(device.client.pn().unwrap().user, SHOP);
    assert!(device.client.lid().is_some());
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_links_by_code() {
    let rig = Rig::start().await;
    let options = PairCodeOptions { phone_number: SHOP.to_owned(), ..Default::default() };
    let device = rig.device(std::sync::Arc::default(), Some(options)).await;
    let code = device
        .seen("a code", |event| match event {
            Event::PairingCode(code) => Some(code.code.clone()),
            _ => None,
        })
        .await;

    rig.post(&format!("/accounts/{SHOP}/code"), json!({ "code": code })).await;

    device.connected().await;
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_device_is_told_so_and_refused_at_its_next_login() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;

    rig.post(&format!("/accounts/{SHOP}/devices/1/kick"), json!({ "reason": "device_removed" })).await;

    let logged_out = |event: &Event| matches!(event, Event::LoggedOut(_)).then_some(());
    device.seen("the removal", logged_out).await;
    let again = rig.device(device.store.clone(), None).await;
    again.seen("the refusal", logged_out).await;
}
