//! Messages that pass a plugin, and what can be read of it afterwards.

use super::*;
use crate::support::simulator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_gets_the_plugins_answer_and_leaves_a_trace_and_a_figure() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    serving(&gateway).await;

    let event = written(&gateway, &phones, "ping").await;

    assert_eq!(event["payload"]["tags"], json!(["ping"]));
    assert_eq!(event["deviceId"], gateway.info["deviceId"]);
    shown(&gateway, &phones, "pong").await;
    // "pong" made the contact answer, which is another call.
    let traces = gateway.get(&format!("{EXAMPLE}/traces?limit=500")).await["data"]["traces"].clone();
    let trace = traces.as_array().unwrap().iter().find(|trace| trace["subject"] == event["id"]).unwrap();
    assert_eq!(
        (&trace["hook"], &trace["decision"], &trace["shadow"]),
        (&json!("inbound"), &json!("patch"), &json!(false))
    );
    assert_eq!(trace["detail"]["effects"][0]["effect"], "reply");
    let about = plugin(&gateway).await;
    assert!(about["calls"].as_u64() >= Some(1) && about["errors"] == 0, "{about}");
    assert!(about["p50_us"].as_u64() > Some(0) && about["p99_us"].as_u64() >= about["p50_us"].as_u64(), "{about}");
    let (one, rest) = page(&gateway, "traces", "limit=1").await;
    assert_eq!(one["traces"].as_array().unwrap().len(), 1);
    let (two, _) = page(&gateway, "traces", &format!("limit=1&cursor={}", rest.unwrap())).await;
    assert_ne!(one["traces"], two["traces"]);
    let figures = gateway.http.get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let tenant = text(&gateway.info["tenantId"]);
    let call = format!(
        "rijan_plugin_calls{{hook=\"inbound\",outcome=\"decided\",plugin=\"example-rust\",tenant=\"{tenant}\"}}"
    );
    assert!(figures.contains(&call), "{figures}");
    let info = format!(
        "rijan_plugin_info{{plugin=\"example-rust\",sha256=\"{}\",tenant=\"{tenant}\",version=\"0.1.0\"}} 1",
        text(&about["sha256"])
    );
    assert!(figures.contains(&info), "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_event_is_found_with_its_reason_and_told_once_when_somebody_asks() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    serving(&gateway).await;
    write(&gateway, &phones, "buy spam").await;
    let dropped = until("the dropped event", async || {
        let events = gateway.get(&gateway.device("/events?dropped=true")).await;
        events.as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&dropped["droppedBy"], &dropped["droppedWhy"]), (&json!("example-rust"), &json!("blocked word")));
    let (all, _) = page(&gateway, "logs", "").await;
    assert_eq!((&all["logs"][0]["message"], &all["logs"][0]["subject"]), (&json!("dropped"), &dropped["id"]));
    // One that is told later than the dropped one, and is behind it in the log.
    let later = written(&gateway, &phones, "hello there").await;
    let is_spam = |event: &Value| event["id"] == dropped["id"];
    let follow = async || gateway.get("/v1/events?cursor=0&limit=500").await.as_array().unwrap().clone();
    assert!(!follow().await.iter().any(is_spam));
    let webhook = text(&gateway.get("/v1/webhooks").await[0]["id"]);
    let deliveries = format!("/v1/webhooks/{webhook}/deliveries?limit=200");

    let replay = format!("/v1/events/{}/replay", text(&dropped["id"]));
    let (status, replayed) = post(&gateway, &replay).await;

    assert_eq!((status, &replayed["data"]["event"]["id"]), (200, &dropped["id"]), "{replayed}");
    assert_eq!(replayed["data"]["event"]["droppedBy"], Value::Null);
    let log = follow().await;
    let place = |id: &Value| log.iter().position(|event| event["id"] == *id).unwrap();
    assert!(place(&dropped["id"]) > place(&later["id"]), "who follows the log comes by it");
    until("the delivery", async || {
        let all = gateway.get(&deliveries).await;
        all.as_array()
            .unwrap()
            .iter()
            .any(|d| d["eventId"] == dropped["id"] && d["status"] == "delivered")
            .then_some(())
    })
    .await;
    let (status, again) = post(&gateway, &replay).await;
    assert_eq!((status, &again["error"]["code"]), (409, &json!("CONFLICT")));
    assert_eq!(gateway.get("/v1/events?dropped=true").await, json!([]));
    assert_eq!(answer(gateway.request("GET", "/v1/events?dropped=perhaps")).await.0, 400);
    assert_eq!(audited(&gateway, "event.replayed").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_keeps_is_read_page_by_page_and_deleted_by_key_or_prefix() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    serving(&gateway).await;
    let long = format!("note {}", "é".repeat(3_000));
    for words in ["count", "note one", &long] {
        written(&gateway, &phones, words).await;
    }

    let (all, rest) = page(&gateway, "kv", "").await;
    let entries = all["entries"].as_array().unwrap();
    assert_eq!((entries.len(), rest), (3, None));
    assert_eq!(
        (&entries[0]["key"], &entries[0]["value"], &entries[0]["encoding"]),
        (&json!("count"), &json!("1"), &json!("text"))
    );
    let cut = entries.iter().find(|entry| entry["bytes"] == 6_000).unwrap();
    assert_eq!(text(&cut["value"]).len(), 4_096);
    let (first, rest) = page(&gateway, "kv", "prefix=note/&limit=1").await;
    let (second, _) = page(&gateway, "kv", &format!("prefix=note/&limit=1&cursor={}", rest.unwrap())).await;
    assert_ne!(first["entries"][0]["key"], second["entries"][0]["key"]);
    assert_eq!(plugin(&gateway).await["kv"]["keys"], 3);

    let delete = async |query: &str| answer(gateway.request("DELETE", &format!("{EXAMPLE}/kv{query}"))).await;
    assert_eq!(delete("").await.0, 400, "which ones has to be said");
    assert_eq!(delete("?key=coun").await.1["data"]["deleted"], 0);
    assert_eq!(delete("?key=count").await.1["data"]["deleted"], 1);
    assert_eq!(plugin(&gateway).await["kv"]["keys"], 2);
    assert_eq!(delete("?prefix=note/").await.1["data"]["deleted"], 2);

    assert_eq!(
        plugin(&gateway).await["kv"],
        json!({ "keys": 0, "keys_max": 10_000, "bytes": 0, "bytes_max": 10 << 20 })
    );
    assert_eq!(audited(&gateway, "plugin.kv_deleted").await.len(), 3);
}

/// A page, and the cursor of the next one.
async fn page(gateway: &Tenant, what: &str, query: &str) -> (Value, Option<String>) {
    let (status, body) = answer(gateway.request("GET", &format!("{EXAMPLE}/{what}?{query}"))).await;
    assert_eq!(status, 200, "{body}");
    (body["data"].clone(), body["data"]["nextCursor"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_in_a_group_is_told_once_also_behind_a_pipeline() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    serving(&gateway).await;
    let (device, contact) = (text(&gateway.info["devicePhone"]), text(&gateway.info["contactPhone"]));
    let new = json!({ "subject": "Order 42", "creator": contact, "members": [device] });
    let group = text(&phones.post("/groups", new).await["id"]);
    let twice = json!({
        "phone": device,
        "match": { "tag": "notification", "direction": "out", "type": "w:gp2" },
        "action": "duplicate"
    });
    phones.post("/faults", twice).await;

    phones.post(&format!("/groups/{group}/leave"), json!({ "phone": contact })).await;
    let event = told(&gateway, "participant.removed", |_| true).await;
    written(&gateway, &phones, "hello there").await;

    let payload = &event["payload"];
    assert_eq!(payload["group"], json!(format!("{group}@g.us")));
    assert_eq!(payload["participants"][0]["phone"], json!(contact), "{payload}");
    let all = gateway.get("/v1/events?type=participant.removed").await;
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_reads_a_received_file_to_its_end() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let phones = Phones::of(&simulator);
    // The file has to come from WhatsApp within half of a call, however busy the machine is.
    let settings = json!({ "grants": everything(), "limits": { "call_ms": 60_000 } });
    assert_eq!(upload(&gateway, &guest("rust"), Some(settings)).await.0, 201);
    assert_eq!(post(&gateway, &format!("{EXAMPLE}/enable")).await.0, 200);
    let contact = text(&gateway.info["contactPhone"]);
    let media = json!({ "kind": "document", "size": 2_500_000, "caption": "a plan", "mime": "application/x-plan" });

    phones
        .post(&format!("/accounts/{contact}/messages"), json!({ "to": gateway.info["devicePhone"], "media": media }))
        .await;

    let event = told(&gateway, "message.received", |event| event["payload"]["type"] == "document").await;
    let traces = gateway.get(&format!("{EXAMPLE}/traces?limit=500")).await["data"]["traces"].clone();
    assert_eq!(event["payload"]["caption"], "(2500000 bytes read)", "{traces}");
}
