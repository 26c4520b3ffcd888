//! A plugin's file is replaced again and again while messages come in.

use super::*;
use crate::support::simulator;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// As many as a run in a minute bears; `RIJAN_VERSIONS` asks for more, as `.ci/run --long` does.
const VERSIONS: u32 = 50;
const CHATS: usize = 3;

fn versions() -> u32 {
    let more = std::env::var("RIJAN_VERSIONS").ok().map(|text| text.parse().expect("RIJAN_VERSIONS is a number"));
    more.unwrap_or(VERSIONS)
}

/// The example as another version: one section more makes another hash.
fn version(number: u32) -> Vec<u8> {
    let data = number.to_le_bytes();
    let section = wasm_encoder::CustomSection { name: "mark".into(), data: data.as_slice().into() };
    let mut bytes = guest("rust");
    bytes.push(0);
    wasm_encoder::Encode::encode(&section, &mut bytes);
    bytes
}

/// Whole or not at all, as an author's editor or a deployment writes it.
fn replace(file: &Path, component: &[u8]) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, component).unwrap();
    std::fs::rename(beside, file).unwrap();
}

/// The gateway with the example, which comes from this file.
async fn from_file(folder: &Path, simulator: &whatsapp_simulator::Simulator, file: &Path) -> Gateway {
    std::fs::write(file, version(0)).unwrap();
    let gateway = Gateway::start_with(folder, simulator, &UPLOADS);
    let settings = json!({ "grants": everything(), "limits": { "call_ms": 60_000 } });
    assert_eq!(upload(&gateway, &version(0), Some(settings)).await.0, 201);
    assert_eq!(post(&gateway, &format!("{EXAMPLE}/enable")).await.0, 200);
    gateway.kill();
    let database = rusqlite::Connection::open(folder.join("rijan.db")).unwrap();
    let declared = "UPDATE plugins SET managed_by = 'acme.toml', file = ?1";
    assert_eq!(database.execute(declared, [file.display().to_string()]).unwrap(), 1);
    drop(database);
    Gateway::start_with(folder, simulator, &UPLOADS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_replaced_under_load_loses_nothing_and_never_goes_back() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Arc::new(Phones::of(&simulator));
    let file = folder.path().join("example.wasm");
    let gateway = from_file(folder.path(), &simulator, &file).await;
    let device = text(&gateway.info["devicePhone"]);
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for chat in 0..CHATS {
        let phone = format!("62813000000{chat}");
        phones.post("/accounts", json!({ "phone": phone, "name": "Somebody" })).await;
        let (phones, device, done) = (phones.clone(), device.clone(), done.clone());
        writers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let body = json!({ "to": device, "text": "steady" });
                ids.push(text(&phones.post(&format!("/accounts/{phone}/messages"), body).await["id"]));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            ids
        }));
    }

    let all = versions();
    for number in 1..all {
        let component = version(number);
        replace(&file, &component);
        let sha256 = rijan::plugins::sha256_hex(&component);
        until("the version in the file to serve", async || (plugin(&gateway).await["sha256"] == sha256).then_some(()))
            .await;
    }
    done.store(true, Ordering::Relaxed);
    let mut written = BTreeSet::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    let database = rusqlite::Connection::open(folder.path().join("rijan.db")).unwrap();
    let told = || {
        let mut statement = database
            .prepare(
                "SELECT event.data ->> 'id', event.data ->> 'chat', trace.sha256, trace.decision \
                 FROM event_logs event LEFT JOIN plugin_traces trace \
                 ON trace.subject = event.id AND trace.hook = 'inbound' \
                 WHERE event.type = 'message.received' AND event.data ->> 'text' = 'steady' ORDER BY event.seq",
            )
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.unwrap().collect::<Result<Vec<(String, String, Option<String>, Option<String>)>, _>>().unwrap()
    };
    until("the last event", async || (told().len() >= written.len()).then_some(())).await;

    let told = told();
    assert_eq!(told.len(), written.len(), "an event or its trace is there twice");
    assert_eq!(told.iter().map(|row| row.0.clone()).collect::<BTreeSet<_>>(), written, "each message is one event");
    let order: Vec<String> = (0..all).map(|number| rijan::plugins::sha256_hex(&version(number))).collect();
    let mut by_chat: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (id, chat, sha256, decision) in &told {
        assert_eq!(decision.as_deref(), Some("pass"), "{id} passed no version, or failed");
        let place = order.iter().position(|known| Some(known) == sha256.as_ref());
        by_chat.entry(chat).or_default().push(place.unwrap_or_else(|| panic!("{id} was seen by {sha256:?}")));
    }
    assert_eq!(by_chat.len(), CHATS);
    for (chat, places) in by_chat {
        assert!(places.is_sorted(), "{chat} went back: {places:?}");
        let versions: BTreeSet<_> = places.iter().collect();
        assert!(versions.len() > all as usize / 4, "{chat} saw {} versions; nothing was proven", versions.len());
    }
}
