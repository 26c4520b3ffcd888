//! What a plugin sends takes from the device's windows, and waits where they are full.

use super::*;
use crate::guests::guests;
use crate::support::{Own, own_at, simulator};
use rijan::domain::clock::Clock;
use std::time::Duration;
use whatsapp_simulator::Simulator;

const PHONE: &str = "6281100000001";
const CONTACT: &str = "6281100000002";
const SOMEBODY: &str = "6281100000003";
const MINUTE: Duration = Duration::from_secs(60);

/// A gateway whose clock stands still until the test moves it, with a linked device that may send so many texts in a minute
/// and the example plugin, which answers.
async fn answering(clock: &Clock, simulator: &Simulator, texts: &str) -> Own {
    let (url, cache) = (simulator.url(), guests().join("cache").display().to_string());
    let settings = [
        ("whatsapp.simulator_url", url.as_str()),
        ("plugins.cache", &cache),
        ("plugins.uploads", "true"),
        ("limits.text_per_minute", texts),
    ];
    let mut own = own_at(clock, &settings).await;
    own.link_with_contact(PHONE, CONTACT).await;
    own.phones().post("/accounts", json!({ "phone": SOMEBODY, "name": "Somebody" })).await;
    serving(&own).await;
    own
}

fn standing() -> Clock {
    Clock::manual(Clock::system().now_ms())
}

async fn writes(gateway: &Tenant, from: &str, words: &str) {
    let body = json!({ "to": gateway.info["devicePhone"], "text": words });
    gateway.phones().post(&format!("/accounts/{from}/messages"), body).await;
}

/// The contact asks for so many answers, each by its number.
async fn asked(gateway: &Tenant, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        writes(gateway, CONTACT, &format!("echo {number}")).await;
    }
}

/// What the phone of somebody shows, oldest first.
async fn phone_of(gateway: &Tenant, who: &str) -> Vec<Value> {
    gateway.phones().get(&format!("/accounts/{who}/inbox?after=0")).await.as_array().unwrap().clone()
}

/// The answers that the contact's phone shows, once it shows this many.
async fn answers(gateway: &Tenant, count: usize) -> Vec<String> {
    until(&format!("{count} answers"), async || {
        let shown = phone_of(gateway, CONTACT).await;
        let answers: Vec<String> = shown.iter().filter_map(|entry| entry["text"].as_str().map(str::to_owned)).collect();
        (answers.len() >= count).then_some(answers)
    })
    .await
}

/// What the gateway says of the answer with this text, once it waits for its window.
async fn waiting(gateway: &Tenant, words: &str) -> Value {
    until(&format!("the answer {words} to wait"), async || {
        let path = gateway.device(&format!("/chats/{CONTACT}@s.whatsapp.net/messages"));
        let lines = gateway.get(&path).await["messages"].as_array().cloned()?;
        let line = lines.into_iter().find(|line| line["text"] == words && line["fromMe"] == true)?;
        let now = gateway.get(&gateway.device(&format!("/messages/{}/status", text(&line["id"])))).await;
        now["lastError"].as_str().is_some_and(|why| why.contains("text_per_minute")).then_some(now)
    })
    .await
}

/// The status of the answer to a text that the API is asked to send, and what is left of its window.
async fn sends_text(gateway: &Tenant) -> (u16, String) {
    let body = json!({ "to": gateway.info["contactPhone"], "text": "from a request" });
    let sent = gateway.request("POST", &gateway.device("/messages/text")).json(&body).send().await.unwrap();
    (sent.status().as_u16(), sent.headers()["x-ratelimit-remaining"].to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_beyond_the_devices_window_wait_for_room_and_arrive_once_and_in_order() {
    let (clock, simulator) = (standing(), simulator().await);
    let gateway = answering(&clock, &simulator, "3").await;

    asked(&gateway, 1..=5).await;

    let waits = waiting(&gateway, "4").await;
    assert_eq!((&waits["status"], &waits["attempts"]), (&json!("queued"), &json!(0)), "{waits}");
    let free_at = (clock.now_ms() + 60_000 + 999) / 1_000;
    assert_eq!(waits["nextAttemptAt"], free_at, "the three charges are of now");
    assert_eq!(sends_text(&gateway).await, (429, "0".to_owned()), "the plugin has used the window");
    // Another kind in another chat does not wait for it.
    writes(&gateway, SOMEBODY, "thanks").await;
    until("the reaction", async || {
        phone_of(&gateway, SOMEBODY).await.iter().any(|entry| entry["reaction"].is_object()).then_some(())
    })
    .await;
    assert_eq!(answers(&gateway, 3).await, ["1", "2", "3"]);

    clock.advance(MINUTE);

    assert_eq!(answers(&gateway, 5).await, ["1", "2", "3", "4", "5"]);
    let sent = gateway.get(&gateway.device(&format!("/messages/{}/status", text(&waits["id"])))).await;
    assert_eq!((&sent["attempts"], &sent["nextAttemptAt"]), (&json!(1), &Value::Null), "{sent}");
    assert_eq!(sends_text(&gateway).await, (200, "0".to_owned()), "two of three went to the plugin");
    answers(&gateway, 6).await;
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_goes_when_the_windows_are_emptied_and_after_a_restart() {
    let (clock, simulator) = (standing(), simulator().await);
    let gateway = answering(&clock, &simulator, "1").await;
    asked(&gateway, 1..=3).await;
    waiting(&gateway, "2").await;

    let (status, said) = answer(gateway.admin("POST", "/admin/rate-limit/reset").json(&json!({}))).await;
    assert_eq!(status, 200, "{said}");

    assert_eq!(answers(&gateway, 2).await, ["1", "2"]);
    waiting(&gateway, "3").await;
    let gateway = gateway.restart().await;
    assert_eq!(answers(&gateway, 3).await, ["1", "2", "3"], "a restart begins with empty windows");
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_survives_a_kill_and_goes_out_once() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let cache = format!("plugins.cache={}", guests().join("cache").display());
    let windows = ["--limits", "--set", "limits.tenant=off", "--set", "limits.text_per_minute=2"];
    let flags = [&windows[..], &["--set", "plugins.uploads=true", "--set", &cache]].concat();
    let gateway = Gateway::start_with(folder.path(), &simulator, &flags);
    serving(&gateway).await;
    gateway.phones().post(&format!("/accounts/{CONTACT}/behaviour"), json!({ "reply": "" })).await;
    asked(&gateway, 1..=4).await;
    waiting(&gateway, "3").await;
    answers(&gateway, 2).await;

    gateway.kill();
    let gateway = Gateway::start_with(folder.path(), &simulator, &flags);
    gateway.phones().post(&format!("/accounts/{CONTACT}/behaviour"), json!({ "reply": "" })).await;

    assert_eq!(answers(&gateway, 4).await, ["1", "2", "3", "4"]);
}
