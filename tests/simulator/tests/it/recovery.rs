//! Devices that come and go, keys that run out, messages that cannot be read.

use crate::support::{BUDI, Rig, SARI, SHOP, chat, text};
use serde_json::json;
use wacore::types::events::Event;
use wacore_binary::Jid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_of_an_account_see_what_either_sends() {
    let rig = Rig::start().await;
    let (first, second) = (rig.linked(SHOP).await, rig.linked(SHOP).await);

    let sent = first.client.send_text(&chat(BUDI), "from the first").await.unwrap().message_id;

    let copy = second.message(&sent).await;
    assert!(copy.info.source.is_from_me);
    rig.shown(BUDI, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sends_more_keys_when_they_run_out() {
    let rig = Rig::start().await;
    let _device = rig.linked(SHOP).await;
    let first = 6_281_500_000_000_u64;
    rig.post("/accounts/bulk", json!({ "first": first, "count": 25 })).await;

    for number in first..first + 25 {
        rig.write(&number.to_string(), json!({ "to": SHOP, "text": "hello" })).await;
    }

    let refilled = async {
        while rig.get(&format!("/accounts/{SHOP}/devices")).await[0]["prekeys"].as_u64() < Some(20) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, refilled).await.expect("more keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_sends_again_what_a_client_could_not_read() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let corrupt = json!({ "phone": SHOP, "match": { "tag": "message" }, "action": "corrupt", "count": 1 });
    rig.post("/faults", corrupt).await;

    let id = rig.write(BUDI, json!({ "to": SHOP, "text": "damaged on its way" })).await;
    let received = device.message(&id).await;

    assert_eq!(received.message.conversation.as_deref(), Some("damaged on its way"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_sends_again_what_a_client_could_not_read_in_a_group() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let new = json!({ "subject": "Order", "creator": SHOP, "members": [BUDI, SARI] });
    let group = text(&rig.post("/groups", new).await["id"]).to_owned();
    let corrupt = json!({ "phone": SHOP, "match": { "tag": "message" }, "action": "corrupt", "count": 1 });
    rig.post("/faults", corrupt).await;

    let id = rig.write(BUDI, json!({ "to": group, "text": "damaged on its way" })).await;
    let received = device.message(&id).await;

    assert_eq!(received.info.source.chat, Jid::group(group.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sends_again_what_a_phone_could_not_read() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let matching = json!({ "tag": "message", "direction": "in" });
    let corrupt = json!({ "phone": SHOP, "match": matching, "action": "corrupt", "count": 1 });
    rig.post("/faults", corrupt).await;

    let id = device.client.send_text(&chat(BUDI), "damaged on its way").await.unwrap().message_id;

    assert_eq!(rig.shown(BUDI, &id).await["text"], "damaged on its way");
    device.receipt("Delivered", &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_client_receives_all_of_the_prepared_history() {
    let rig = Rig::start().await;
    rig.post(&format!("/accounts/{SHOP}/history"), json!({ "chats": 300, "messages": 50 })).await;

    let device = rig.linked(SHOP).await;

    let chats = |event: &Event| match event {
        Event::HistorySync(history) => history.get().map(|sync| sync.conversations.len()),
        _ => None,
    };
    let first = device.seen("the first part of the history", chats).await;
    let second = device.seen_times("the second part of the history", 2, chats).await;
    assert_eq!(first + second, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_device_reads_many_settings_from_one_file() {
    let rig = Rig::start().await;
    let first = rig.linked(SHOP).await;
    let chats = 12;
    for number in 0..chats {
        let contact = chat(&(6_281_600_000_000_u64 + number).to_string());
        first.client.chat_actions().archive_chat(&contact, None).await.unwrap();
    }
    first.client.chat_actions().unarchive_chat(&chat("6281600000003"), None).await.unwrap();

    let second = rig.linked(SHOP).await;

    let archived = |event: &Event| match event {
        Event::ArchiveUpdate(update) => Some((update.jid.user.to_string(), update.action.archived == Some(true))),
        _ => None,
    };
    let back = |event: &Event| archived(event).filter(|(user, _)| user == "6281600000003");
    assert!(!second.seen("the chat that was taken back", back).await.1);
    let count = usize::try_from(chats).unwrap();
    second.seen_times("the last archived chat", count, archived).await;
    let files = rig.get("/stats").await["files"].as_u64();
    assert!(files >= Some(1), "there is no snapshot: {files:?} files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_gives_its_device_what_only_the_phone_can_read() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let withhold = json!({ "phone": SHOP, "match": { "tag": "message" }, "action": "withhold", "count": 1 });
    rig.post("/faults", withhold).await;

    let id = rig.write(BUDI, json!({ "to": SHOP, "text": "for the phone alone" })).await;
    let received = device.message(&id).await;

    assert_eq!(received.message.conversation.as_deref(), Some("for the phone alone"));
    assert!(received.info.unavailable_request_id.is_some());
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_comes_in_three_kinds_and_older_messages_when_a_device_asks() {
    let rig = Rig::start().await;
    let prepared = json!({ "chats": 4, "messages": 3, "older": 7, "per_file": 3 });
    rig.post(&format!("/accounts/{SHOP}/history"), prepared).await;
    let device = rig.linked(SHOP).await;
    let file = |event: &Event| match event {
        Event::HistorySync(file) => Some((file.sync_type(), file.chunk_order(), file.progress())),
        _ => None,
    };
    let mut files = Vec::new();
    for number in 1..=4 {
        files.push(device.seen_times("a file", number, file).await);
    }
    files.sort_by_key(|(_, order, _)| *order);
    let kinds = [(0, Some(0), Some(25)), (3, Some(1), Some(50)), (3, Some(2), Some(75)), (2, Some(3), Some(100))];
    assert_eq!(files, kinds);

    let chat = chat("6289900000002");
    let oldest = format!("3EB0{:X}{:08X}", 6_289_900_000_002_u64, 0);
    let asked = device.client.fetch_message_history(&chat, &oldest, false, 0, 5).await.unwrap();

    let answer = |event: &Event| match event {
        Event::HistorySync(file) if file.peer_data_request_session_id() == Some(asked.as_str()) => {
            Some(file.get()?.conversations.iter().map(|chat| chat.messages.len()).sum::<usize>())
        }
        _ => None,
    };
    assert_eq!(device.seen("the answer", answer).await, 5);
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_who_was_installed_anew_and_goes_on() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let first = device.client.send_text(&chat(BUDI), "before").await.unwrap().message_id;
    rig.shown(BUDI, &first).await;

    rig.post(&format!("/accounts/{BUDI}/reinstall"), json!({})).await;
    device.seen("another identity", |event| matches!(event, Event::IdentityChange(_)).then_some(())).await;
    let second = device.client.send_text(&chat(BUDI), "after").await.unwrap().message_id;

    assert_eq!(rig.shown(BUDI, &second).await["text"], "after");
    let answer = rig.write(BUDI, json!({ "to": SHOP, "text": "I am back" })).await;
    device.message(&answer).await;
}
