//! Another version on live traffic before it serves, over the API.

use super::*;
use crate::support::simulator;
use rijan::plugins::sha256_hex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Another version, which gives another reason for what it drops.
fn candidate() -> Vec<u8> {
    let newer = altered(&guest("rust"), "\"version\":\"0.1.0\"", "\"version\":\"0.2.0\"");
    altered(&newer, "blocked word", "another word")
}

async fn compared(gateway: &Tenant, query: &str) -> Value {
    let (status, body) = answer(gateway.request("GET", &format!("{EXAMPLE}/differences?{query}"))).await;
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_uploaded_watched_and_promoted_and_what_served_comes_back() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    serving(&gateway).await;
    assert_eq!(compared(&gateway, "").await["summary"]["sha256"], Value::Null);
    for action in ["promote", "rollback"] {
        let (status, refused) = post(&gateway, &format!("{EXAMPLE}/{action}")).await;
        assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")), "{action}");
    }
    let (status, body) = upload(&gateway, &candidate(), Some(json!({ "mode": "canary", "weight": 101 }))).await;
    assert_eq!((status, fields(&body)), (400, vec!["mode".to_owned(), "weight".to_owned()]), "{body}");

    let (status, made) = upload(&gateway, &candidate(), Some(json!({ "mode": "shadow" }))).await;
    assert_eq!((status, &made["data"]["outcome"]), (200, &json!("swapped")), "{made}");
    let about = &made["data"]["plugin"];
    assert_eq!((&about["state"], &about["version"]), (&json!("serving"), &json!("0.1.0")));
    assert_eq!((&about["candidate"]["state"], &about["candidate"]["version"]), (&json!("shadow"), &json!("0.2.0")));
    told(&gateway, "plugin.loaded", |event| event["payload"]["mode"] == "shadow").await;

    assert_eq!(written(&gateway, &phones, "ping").await["payload"]["tags"], json!(["ping"]));
    write(&gateway, &phones, "buy spam").await;
    let differs = until("the difference", async || {
        let found = compared(&gateway, "comparison=differ").await;
        found["differences"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!(differs["serving"]["said"]["verdict"], json!({ "drop": "blocked word" }));
    assert_eq!(differs["candidate"]["said"]["verdict"], json!({ "drop": "another word" }));
    assert!(differs["serving"]["took_us"].as_u64() > Some(0) && differs["candidate"]["took_us"].as_u64() > Some(0));
    let all = compared(&gateway, "limit=1").await;
    assert_eq!((&all["summary"]["differ"], &all["summary"]["sha256"]), (&json!(1), &json!(sha256_hex(&candidate()))));
    assert!(all["summary"]["agree"].as_u64() > Some(0) && all["summary"]["failed"] == 0, "{all}");
    let rest = compared(&gateway, &format!("limit=1&cursor={}", text(&all["nextCursor"]))).await;
    assert_ne!(all["differences"], rest["differences"]);
    let (status, wrong) = answer(gateway.request("GET", &format!("{EXAMPLE}/differences?comparison=maybe"))).await;
    assert_eq!((status, fields(&wrong)), (400, vec!["comparison".to_owned()]));
    let figures = gateway.http.get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let tenant = text(&gateway.info["tenantId"]);
    for line in [
        format!("rijan_plugin_shadow_compared{{comparison=\"differ\",plugin=\"example-rust\",tenant=\"{tenant}\"}} 1"),
        format!(
            "rijan_plugin_candidate_weight{{mode=\"shadow\",plugin=\"example-rust\",sha256=\"{}\"",
            sha256_hex(&candidate())
        ),
    ] {
        assert!(figures.contains(&line), "{line} is not in {figures}");
    }

    gateway.kill();
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let about = plugin(&gateway).await;
    assert_eq!((&about["candidate"]["mode"], &about["candidate"]["state"]), (&json!("shadow"), &json!("shadow")));
    assert_eq!(compared(&gateway, "").await["summary"]["differ"], 1);
    let (status, refused) = put(&gateway, json!({ "mode": "serving" })).await;
    assert_eq!((status, fields(&refused)), (400, vec!["mode".to_owned()]), "{refused}");
    let (status, refused) = put(&gateway, json!({ "mode": "shadow", "weight": 5 })).await;
    assert_eq!((status, fields(&refused)), (400, vec!["weight".to_owned()]));
    let (status, canary) = put(&gateway, json!({ "weight": 100 })).await;
    assert_eq!((status, &canary["data"]["plugin"]["candidate"]["weight"]), (200, &json!(100)), "{canary}");
    let event = written(&gateway, &phones, "PING").await;
    let traces = gateway.get(&format!("{EXAMPLE}/traces?limit=500")).await["data"]["traces"].clone();
    let trace = traces.as_array().unwrap().iter().find(|trace| trace["subject"] == event["id"]).unwrap();
    assert_eq!((&trace["sha256"], &trace["shadow"]), (&json!(sha256_hex(&candidate())), &json!(false)));
    shown(&gateway, &phones, "pong").await;

    let (_, promoted) = post(&gateway, &format!("{EXAMPLE}/promote")).await;
    let about = &promoted["data"]["plugin"];
    assert_eq!((&about["version"], &about["previous"]["version"]), (&json!("0.2.0"), &json!("0.1.0")), "{promoted}");
    assert_eq!((&about["candidate"], &about["state"]), (&Value::Null, &json!("serving")));
    let (_, back) = post(&gateway, &format!("{EXAMPLE}/rollback")).await;
    assert_eq!(back["data"]["plugin"]["version"], "0.1.0");
    assert_eq!(audited(&gateway, "plugin.promoted").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plugin_begins_as_a_shadow_and_serves_once_it_is_promoted() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    let settings = json!({ "grants": everything(), "mode": "shadow" });
    assert_eq!(upload(&gateway, &guest("rust"), Some(settings)).await.0, 201);
    assert_eq!(post(&gateway, &format!("{EXAMPLE}/enable")).await.1["data"]["plugin"]["state"], "shadow");

    assert_eq!(written(&gateway, &phones, "ping").await["payload"]["tags"], Value::Null);
    let found = until("the shadow to have run", async || {
        let found = compared(&gateway, "comparison=differ").await;
        found["differences"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&found["serving"], &found["candidate"]["decision"]), (&Value::Null, &json!("patch")));

    let (_, promoted) = post(&gateway, &format!("{EXAMPLE}/promote")).await;
    assert_eq!(promoted["data"]["plugin"]["state"], "serving", "{promoted}");
    assert_eq!(written(&gateway, &phones, "PING").await["payload"]["tags"], json!(["ping"]));
    shown(&gateway, &phones, "pong").await;
    let (status, alone) = put(&gateway, json!({ "weight": 0 })).await;
    assert_eq!((status, &alone["data"]["plugin"]["state"]), (200, &json!("canary")), "{alone}");
    let (_, given_up) = post(&gateway, &format!("{EXAMPLE}/rollback")).await;
    assert_eq!(given_up["data"]["plugin"]["state"], "disabled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_promoted_and_rolled_back_under_traffic_and_nothing_is_lost() {
    const ROUNDS: usize = 6;
    const CHATS: usize = 4;
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Arc::new(Phones::of(&simulator));
    let settings = json!({ "grants": everything(), "limits": { "call_ms": 60_000 } });
    assert_eq!(upload(&gateway, &guest("rust"), Some(settings)).await.0, 201);
    assert_eq!(post(&gateway, &format!("{EXAMPLE}/enable")).await.0, 200);
    let device = text(&gateway.info["devicePhone"]);
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for chat in 0..CHATS {
        let phone = format!("62815000000{chat}");
        phones.post("/accounts", json!({ "phone": phone, "name": "Somebody" })).await;
        let (phones, device, done) = (phones.clone(), device.clone(), done.clone());
        writers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let body = json!({ "to": device, "text": "steady" });
                ids.push(text(&phones.post(&format!("/accounts/{phone}/messages"), body).await["id"]));
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            ids
        }));
    }

    for round in 0..ROUNDS {
        let settings = [json!({ "mode": "shadow" }), json!({ "weight": 50 })][round % 2].clone();
        let component = if round % 4 < 2 { candidate() } else { guest("rust") };
        let (status, made) = upload(&gateway, &component, Some(settings)).await;
        assert_eq!((status, &made["data"]["outcome"]), (200, &json!("swapped")), "{made}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let end = ["promote", "promote", "rollback"][round % 3];
        assert_eq!(post(&gateway, &format!("{EXAMPLE}/{end}")).await.1["data"]["outcome"], "swapped", "{end}");
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
                "SELECT event.data ->> 'id', trace.decision FROM event_logs event LEFT JOIN plugin_traces trace \
                 ON trace.subject = event.id AND trace.hook = 'inbound' AND trace.shadow = 0 \
                 WHERE event.type = 'message.received' AND event.data ->> 'text' = 'steady'",
            )
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().collect::<Result<Vec<(String, Option<String>)>, _>>().unwrap()
    };
    until("the last event", async || (told().len() >= written.len()).then_some(())).await;
    let told = told();
    assert_eq!(told.len(), written.len(), "an event or its trace is there twice");
    let decisions: BTreeMap<String, Option<String>> = told.into_iter().collect();
    assert_eq!(decisions.keys().cloned().collect::<BTreeSet<_>>(), written, "each message is one event");
    assert!(decisions.values().all(|decision| decision.as_deref() == Some("pass")), "{decisions:?}");
}
