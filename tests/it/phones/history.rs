//! Ten thousand messages of history, and more of it on demand.

use super::events;
use crate::support::{Gateway, Phones, Tenant, answer, own, simulator, tenant, text, until};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const PHONE: &str = "6281277000002";
const CHATS: u32 = 250;
const MESSAGES: u32 = 40;
const PER_FILE: u32 = 2_000;
const ALL: u64 = 10_000;
/// What taking in may add to the memory of a gateway that has nothing to do.
const GROWTH_MIB_MAX: u64 = 128;

/// Lines of the device that are history.
fn lines(folder: &Path, device: &str) -> u64 {
    let database = Connection::open_with_flags(folder.join("rijan.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT count(*) FROM chat_messages AS m JOIN chats AS c ON c.id = m.chat_id \
               WHERE m.device_id = ?1 AND c.jid LIKE '62899%'";
    database.query_row(sql, [device], |row| row.get(0)).unwrap()
}

/// Memory in use of a process, now and at its peak, in MiB.
fn memory_mib(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let of = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// The next download from the media host, by whomever, waits until the faults are cleared.
async fn hold_a_download(phones: &Phones) {
    phones.post("/faults", json!({ "match": { "tag": "download" }, "action": "swallow", "count": 1 })).await;
}

/// Once every fault has acted as often as it was to.
async fn all_faults_met(phones: &Phones) {
    until("the faults to be met", async || (phones.get("/faults").await == json!([])).then_some(())).await;
}

/// What was told of the files, once it is so many.
async fn files_told(gateway: &Tenant, device: &str, count: usize) -> Vec<Value> {
    until("all files to be told of", async || {
        let told = events(gateway, device, "history.synced", |_| true).await;
        (told.len() >= count).then_some(told)
    })
    .await
}

async fn sent(gateway: &Tenant, device: &str, body: &str) {
    let path = format!("/v1/devices/{device}/messages/text");
    let json = json!({ "to": gateway.info["contactPhone"], "text": body });
    let (status, taken) = answer(gateway.request("POST", &path).json(&json)).await;
    assert_eq!(status, 200, "{taken}");
    events(gateway, device, "message.sent", |data| data["id"] == taken["id"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_of_history_are_all_there_once_though_the_gateway_is_killed_in_the_middle() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let contact = text(&gateway.info["contactPhone"]);
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    phones.post("/accounts", json!({ "phone": PHONE, "name": "Old" })).await;
    let prepared = json!({ "chats": CHATS, "messages": MESSAGES, "per_file": PER_FILE });
    phones.post(&format!("/accounts/{PHONE}/history"), prepared).await;

    let (before, _) = memory_mib(gateway.process());
    let device = gateway.link(PHONE).await;
    let live = json!({ "to": PHONE, "text": "while it is taken in" });
    let live = text(&phones.post(&format!("/accounts/{contact}/messages"), live).await["id"]);
    until("some of the history", async || (lines(folder.path(), &device) >= ALL / 10).then_some(())).await;
    let (_, peak) = memory_mib(gateway.process());
    gateway.kill();
    let left = lines(folder.path(), &device);
    assert!(left < ALL, "all of it was there before the kill; nothing was proven");
    assert!(peak < before + GROWTH_MIB_MAX, "from {before} MiB to {peak} MiB");

    let gateway = Gateway::start(folder.path(), &simulator);
    let (before, _) = memory_mib(gateway.process());
    until("all of the history", async || (lines(folder.path(), &device) >= ALL).then_some(())).await;
    sent(&gateway, &device, "afterwards").await;
    events(&gateway, &device, "message.received", |data| data["id"] == live).await;
    let synced = files_told(&gateway, &device, 5).await;

    let (_, peak) = memory_mib(gateway.process());
    assert!(peak < before + GROWTH_MIB_MAX, "from {before} MiB to {peak} MiB");
    assert_eq!(lines(folder.path(), &device), ALL);
    let files: Vec<(u64, String)> =
        synced.iter().map(|file| (file["chunkOrder"].as_u64().unwrap(), text(&file["syncType"]))).collect();
    let kinds = ["initial_bootstrap", "recent", "recent", "full", "full"];
    let expected: BTreeSet<(u64, String)> = (0..).zip(kinds.map(str::to_owned)).collect();
    assert_eq!((files.len(), files.into_iter().collect::<BTreeSet<_>>()), (5, expected), "each file is told once");
    let total: u64 = synced.iter().map(|file| file["messages"].as_u64().unwrap()).sum();
    assert_eq!(total, ALL);
    let chat = gateway.get(&format!("/v1/devices/{device}/chats/6289900000249/messages?limit=200")).await;
    let texts: Vec<String> = chat["messages"].as_array().unwrap().iter().map(|one| text(&one["text"])).collect();
    let numbers: Vec<String> = (0..MESSAGES).rev().map(|number| format!("number {number}")).collect();
    assert_eq!(texts, numbers);
    let path = format!("/v1/devices/{device}/events?cursor=0&type=message.received&limit=500");
    let received = gateway.get(&path).await;
    let of = |id: &str| received.as_array().unwrap().iter().filter(|event| event["payload"]["id"] == *id).count();
    assert_eq!(of(&live), 1, "{received}");
    assert_eq!(phones.get("/unanswered").await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_file_of_history_could_not_write_comes_again() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    phones.post("/accounts", json!({ "phone": PHONE, "name": "Old" })).await;
    let prepared = json!({ "chats": 10, "messages": 40, "per_file": 200 });
    phones.post(&format!("/accounts/{PHONE}/history"), prepared).await;
    let database = Connection::open(folder.path().join("rijan.db")).unwrap();
    let full = "CREATE TRIGGER refuse BEFORE INSERT ON chat_messages WHEN (SELECT count(*) FROM chat_messages) >= 130 \
                BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    database.execute_batch(full).unwrap();

    let device = gateway.link(PHONE).await;
    until("what there is room for", async || (lines(folder.path(), &device) >= 100).then_some(())).await;
    gateway.kill();
    database.execute_batch("DROP TRIGGER refuse").unwrap();
    let gateway = Gateway::start(folder.path(), &simulator);

    until("all of the history", async || (lines(folder.path(), &device) == 400).then_some(())).await;
    let synced = files_told(&gateway, &device, 2).await;
    assert_eq!(synced.len(), 2, "{synced:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_messages_are_given_on_demand_until_there_are_none() {
    let gateway = tenant().await;
    let phone = format!("{}8", text(&gateway.info["devicePhone"]));
    let phones = gateway.phones();
    phones.post("/accounts", json!({ "phone": phone, "name": "Old" })).await;
    phones.post(&format!("/accounts/{phone}/history"), json!({ "chats": 3, "messages": 5, "older": 12 })).await;
    let device = gateway.link(&phone).await;
    events(&gateway, &device, "history.synced", |data| data["progress"] == 100).await;
    let chat = "6289900000001";
    let texts = async || {
        let read = gateway.get(&format!("/v1/devices/{device}/chats/{chat}/messages?limit=200")).await;
        let messages = read["messages"].as_array().unwrap();
        messages.iter().map(|one| text(&one["text"])).collect::<Vec<String>>()
    };
    let ask = async |count: u32| {
        let path = format!("/v1/devices/{device}/history/sync");
        let json = json!({ "chat": chat, "count": count });
        assert_eq!(answer(gateway.request("POST", &path).json(&json)).await, (200, json!({ "success": true })));
    };
    let given = async |times: usize| {
        until("the answers of the phone", async || {
            let of = |data: &Value| data["syncType"] == "on_demand";
            let told: Vec<Value> = events(&gateway, &device, "history.synced", |_| true).await;
            let told: Vec<Value> = told.into_iter().filter(of).collect();
            (told.len() >= times).then_some(told)
        })
        .await
    };
    assert_eq!(texts().await.len(), 5);

    ask(10).await;
    let told = given(1).await;
    assert_eq!((&told[0]["chats"], &told[0]["messages"]), (&json!(1), &json!(10)), "{told:?}");
    let now = texts().await;
    assert_eq!(
        (now.len(), now[4].as_str(), now[5].as_str(), now[14].as_str()),
        (15, "number 0", "older 1", "older 10")
    );
    ask(10).await;
    assert_eq!(given(2).await[1]["messages"], 2);
    for times in 3..5 {
        ask(10).await;
        assert_eq!(given(times).await[times - 1]["messages"], 0, "each question has an answer");
    }

    let now = texts().await;
    assert_eq!((now.len(), now[16].as_str()), (17, "older 12"));
    let other = gateway.get(&format!("/v1/devices/{device}/chats/6289900000000/messages?limit=200")).await;
    assert_eq!(other["messages"].as_array().unwrap().len(), 5, "nobody asked for another chat's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_history_that_a_stop_meets_in_its_download_is_there_after_the_next_start() {
    let simulator = simulator().await;
    let phones = Phones::of(&simulator);
    phones.post("/accounts", json!({ "phone": PHONE, "name": "Old" })).await;
    phones.post(&format!("/accounts/{PHONE}/history"), json!({ "chats": 2, "messages": 5 })).await;
    let gateway = own(&[("whatsapp.simulator_url", &simulator.url())]).await;
    hold_a_download(&phones).await;
    let device = gateway.link(PHONE).await;
    all_faults_met(&phones).await;

    let gateway = gateway.restart().await;

    let synced = files_told(&gateway, &device, 1).await;
    assert_eq!((synced.len(), &synced[0]["messages"]), (1, &json!(10)), "{synced:?}");
    let chat = gateway.get(&format!("/v1/devices/{device}/chats/6289900000001/messages?limit=200")).await;
    assert_eq!(chat["messages"].as_array().unwrap().len(), 5, "{chat}");
    // Or the held download would keep this process from its end for a while.
    phones.clear_faults().await;
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_history_whose_download_fails_is_asked_for_on_the_next_connection() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    phones.post("/accounts", json!({ "phone": PHONE, "name": "Old" })).await;
    phones.post(&format!("/accounts/{PHONE}/history"), json!({ "chats": 10, "messages": 40, "per_file": 200 })).await;
    // The client tries several hosts: so it stands until it was met.
    phones.post("/faults", json!({ "match": { "tag": "download" }, "action": "nack" })).await;
    let database =
        Connection::open_with_flags(folder.path().join("rijan.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let failed = "SELECT count(*) FROM messages_inbox WHERE processed = 4 AND envelope ->> 'asked' = 1";

    let device = gateway.link(PHONE).await;
    let both = || database.query_row(failed, [], |row| row.get::<_, u64>(0)).unwrap() == 2;
    until("both downloads to fail", async || both().then_some(())).await;
    phones.clear_faults().await;
    gateway.kill();
    assert_eq!(lines(folder.path(), &device), 0);
    let gateway = Gateway::start(folder.path(), &simulator);

    until("all of the history", async || (lines(folder.path(), &device) == 400).then_some(())).await;
    let synced = files_told(&gateway, &device, 2).await;
    assert_eq!(synced.len(), 2, "{synced:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_file_of_history_is_fetched_messages_are_received() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let contact = text(&gateway.info["contactPhone"]);
    phones.post("/accounts", json!({ "phone": PHONE, "name": "Old" })).await;
    phones.post(&format!("/accounts/{PHONE}/history"), json!({ "chats": 2, "messages": 5 })).await;
    hold_a_download(&phones).await;
    let device = gateway.link(PHONE).await;
    all_faults_met(&phones).await;

    let written = json!({ "to": PHONE, "text": "meanwhile" });
    let id = text(&phones.post(&format!("/accounts/{contact}/messages"), written).await["id"]);
    events(&gateway, &device, "message.received", |data| data["id"] == id).await;

    assert_eq!(lines(folder.path(), &device), 0, "the file came too early; nothing was proven");
    phones.clear_faults().await;
    until("the history", async || (lines(folder.path(), &device) == 10).then_some(())).await;
}
