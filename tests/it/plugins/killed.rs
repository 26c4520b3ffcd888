//! A gateway that is killed while a plugin answers, counts and tells.

use super::*;
use crate::guests::guests;
use crate::support::simulator;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KILLS: usize = 7;
const MESSAGES_PER_KILL: usize = 15;

/// The ids under which each message was delivered.
type Delivered = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

async fn receiver() -> (String, Delivered) {
    let delivered = Delivered::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let kept = delivered.clone();
    let take = async move |headers: HeaderMap, body: String| {
        let event: Value = serde_json::from_str(&body).unwrap();
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        kept.lock().unwrap().entry(text(&event["data"]["id"])).or_default().insert(id);
    };
    let router = Router::new().route("/hook", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, delivered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_answered_counted_and_told_once_though_the_gateway_is_killed_again_and_again() {
    killed_again_and_again(KILLS * MESSAGES_PER_KILL).await;
}

/// One Signal session, that messages and answers step forward, and that a kill may set back to what is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_long_conversation_goes_on_though_the_gateway_is_killed_again_and_again() {
    killed_again_and_again(1).await;
}

/// So many people write in turn.
async fn killed_again_and_again(people: usize) {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Arc::new(Phones::of(&simulator));
    let (url, delivered) = receiver().await;
    let cache = format!("plugins.cache={}", guests().join("cache").display());
    let flags = ["--set", "plugins.uploads=true", "--set", &cache];
    let mut gateway = Gateway::start_with(folder.path(), &simulator, &flags);
    serving(&gateway).await;
    let hook = json!({ "url": url, "events": ["message.received"] });
    assert_eq!(answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await.0, 201);
    let device = text(&gateway.info["devicePhone"]);
    let all = KILLS * MESSAGES_PER_KILL;
    let people: Vec<String> = (0..people).map(|number| format!("62814{number:08}")).collect();
    for contact in &people {
        phones.post("/accounts", json!({ "phone": contact, "name": "Somebody" })).await;
    }
    let contacts: Vec<String> = people.iter().cycle().take(all).cloned().collect();
    // From which contact each message is.
    let mut written = BTreeMap::new();
    for some in contacts.chunks(MESSAGES_PER_KILL) {
        let (phones, device, some) = (phones.clone(), device.clone(), some.to_vec());
        let (tell, mut told) = tokio::sync::mpsc::channel(MESSAGES_PER_KILL);
        let writing = tokio::spawn(async move {
            let mut ids = Vec::new();
            for contact in some {
                let body = json!({ "to": device, "text": "count" });
                let id = text(&phones.post(&format!("/accounts/{contact}/messages"), body).await["id"]);
                ids.push((id, contact));
                let _ = tell.send(()).await;
            }
            ids
        });
        // While some are on their way through the plugin.
        for _ in 0..rand::random_range(3..MESSAGES_PER_KILL) {
            told.recv().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..60))).await;
        gateway.kill();
        written.extend(writing.await.unwrap());
        gateway = Gateway::start_with(folder.path(), &simulator, &flags);
    }
    assert_eq!(written.len(), all);

    // Behind all that waited on WhatsApp's side.
    let last = "628149999999";
    phones.post("/accounts", json!({ "phone": last, "name": "Somebody" })).await;
    let body = json!({ "to": device, "text": "count" });
    let id = text(&phones.post(&format!("/accounts/{last}/messages"), body).await["id"]);
    written.insert(id, last.to_owned());
    // A message that a kill met between its decryption and its row comes again when its phone is asked for it.
    until("every delivery", async || (delivered.lock().unwrap().len() == written.len()).then_some(())).await;
    let database = rusqlite::Connection::open(folder.path().join("rijan.db")).unwrap();
    let count = |query: &str| database.query_row(query, [], |row| row.get::<_, usize>(0)).unwrap();
    until("everything to be done", async || {
        let waiting = count("SELECT count(*) FROM messages_inbox WHERE processed = 0");
        let unsent = count("SELECT count(*) FROM messages_outbox WHERE status NOT IN ('sent', 'delivered', 'read')");
        let untold = count("SELECT count(*) FROM webhook_deliveries WHERE status IN ('due', 'sending')");
        (waiting + unsent + untold == 0).then_some(())
    })
    .await;

    let stored: Vec<String> = database
        .prepare("SELECT data ->> 'id' FROM event_logs WHERE type = 'message.received' AND data ->> 'text' = 'count'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let once: BTreeSet<&String> = stored.iter().collect();
    assert_eq!(once.len(), stored.len(), "an event is twice in the log");
    assert_eq!(once, written.keys().collect(), "what was written is not what was stored");
    let mut answers = BTreeMap::<&String, usize>::new();
    for contact in written.values() {
        *answers.entry(contact).or_default() += 1;
    }
    for (contact, answers) in answers {
        let inbox = phones.get(&format!("/accounts/{contact}/inbox?after=0")).await;
        assert_eq!(inbox.as_array().unwrap().len(), answers, "{contact} is to have an answer to each: {inbox}");
    }
    for id in &stored {
        let told = delivered.lock().unwrap().get(id).cloned().unwrap_or_default();
        assert_eq!(told.len(), 1, "{id} was delivered under {told:?}");
    }
    let counted = count("SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM plugin_kv WHERE key = 'count'");
    assert_eq!(counted, stored.len());
}
