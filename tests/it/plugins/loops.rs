//! A plugin that answers everything it sees, its own answers too.

use super::*;
use crate::guests::hostile;
use crate::support::simulator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_answers_its_own_messages_answers_each_message_of_the_contact_once() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    let contact = text(&gateway.info["contactPhone"]);
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    let grants = json!({ "imports": ["secrets", "kv", "http"], "effects": ["reply"] });
    let (status, made) = upload(&gateway, &hostile(), Some(json!({ "grants": grants }))).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(post(&gateway, "/v1/plugins/hostile/enable").await.1["data"]["outcome"], "swapped");
    let answers = async || {
        let inbox = phones.get(&format!("/accounts/{contact}/inbox?after=0")).await;
        inbox.as_array().unwrap().iter().filter(|message| message["text"] == "answer to myself").count()
    };

    // What is sent makes events that the plugin sees too, and their text asks for another answer.
    for number in 1..=2 {
        write(&gateway, &phones, "answer").await;
        until("the answer", async || (answers().await >= number).then_some(())).await;
        until("the answer's own event", async || {
            let events = gateway.get("/v1/events?type=message.sent&limit=500").await;
            (events.as_array().unwrap().len() >= number).then_some(())
        })
        .await;
    }
    let sent = gateway.send_text("answer the phone", "key").await;
    assert!(sent.is_some());
    write(&gateway, &phones, "answer").await;
    until("the last answer", async || (answers().await >= 3).then_some(())).await;

    assert_eq!(answers().await, 3, "it answered itself");
}
