//! What the operator sees of all tenants, and sets right.

use crate::support::{Gateway, Receiver, answer, simulator, tenant, text, until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_health_figures_and_usage_tell_what_is_there() {
    let gateway = tenant().await;
    gateway.send_text("one", "one").await.unwrap();
    let id = text(&gateway.info["tenantId"]);
    let admin = async |path: &str| answer(gateway.admin("GET", path)).await;

    let (_, devices) = admin(&format!("/admin/devices?tenantId={id}&status=connected")).await;
    assert_eq!(
        (&devices["data"]["total"], &devices["data"]["devices"][0]["id"]),
        (&json!(1), &gateway.info["deviceId"])
    );
    let (_, health) = admin("/admin/health").await;
    assert_eq!((&health["data"]["status"], &health["data"]["db"]), (&json!("ok"), &json!(true)), "{health}");
    assert!(health["data"]["devices"]["connected"].as_u64().unwrap() >= 1);
    assert!(health["data"]["database_bytes"].as_u64().unwrap() > 4_096);
    let (_, figures) = admin("/admin/metrics").await;
    let figure = |name: &str| {
        let all = figures["data"]["metrics"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap()["series"][0]["value"].as_f64().unwrap()
    };
    assert!(figure("rijan_tenants_active") >= 1.0 && figure("process_resident_memory_bytes") > 0.0);

    let stats = until("the text to be sent and answered", async || {
        let (_, stats) = admin(&format!("/admin/messages/stats?tenantId={id}")).await;
        (stats["data"]["received"] == 1).then_some(stats["data"].clone())
    })
    .await;
    assert_eq!((&stats["accepted"], &stats["by_kind"]), (&json!(1), &json!({ "text": 1 })));
    let (_, before) = admin(&format!("/admin/messages/stats?tenantId={id}&since=0&until=1")).await;
    assert_eq!((&before["data"]["accepted"], &before["data"]["received"]), (&json!(0), &json!(0)));
    let (_, usage) = admin(&format!("/admin/tenants/{id}/usage")).await;
    assert_eq!((&usage["data"]["linked_devices"], &usage["data"]["keys"]), (&json!(1), &json!(1)));
    assert_eq!(usage["data"]["messages"]["received"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_parameters_are_named_all_at_once() {
    let gateway = tenant().await;
    for (path, wrong) in [
        ("/admin/devices?tenantId=x&status=lost&limit=0&offset=-1", json!(["tenantId", "status", "limit", "offset"])),
        ("/admin/messages/stats?tenantId=x&since=y&until=z", json!(["tenantId", "since", "until"])),
        ("/admin/audit-logs?since=y&tenantId=x&cursor=1&limit=900", json!(["since", "tenantId", "cursor", "limit"])),
        ("/admin/dlq?tenantId=x&since=y&webhookId=z&cursor=1", json!(["tenantId", "since", "webhookId", "cursor"])),
    ] {
        let (status, body) = answer(gateway.admin("GET", path)).await;
        let fields: Vec<&Value> =
            body["error"]["details"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
        assert_eq!((status, json!(fields)), (400, wrong), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_is_filtered_and_paged() {
    let gateway = tenant().await;
    let id = text(&gateway.info["tenantId"]);
    let admin = async |query: &str| {
        let path = format!("/admin/audit-logs?tenantId={id}&{query}");
        answer(gateway.admin("GET", &path)).await.1["data"].clone()
    };
    answer(gateway.admin("PATCH", &format!("/admin/tenants/{id}/suspend"))).await;
    answer(gateway.admin("PATCH", &format!("/admin/tenants/{id}/activate"))).await;

    let by_operator = admin("actor=admin").await;
    let actions: Vec<String> =
        by_operator["logs"].as_array().unwrap().iter().map(|line| text(&line["action"])).collect();
    assert_eq!(actions, ["tenant.activated", "tenant.suspended", "device.created", "tenant.created"]);
    let first = admin("actor=admin&limit=1").await;
    let second = admin(&format!("actor=admin&limit=1&cursor={}", text(&first["nextCursor"]))).await;
    assert_eq!(second["logs"][0]["action"], "tenant.suspended");
    let of_device = admin(&format!("resourceId={}", text(&gateway.info["deviceId"]))).await;
    assert!(of_device["logs"].as_array().unwrap().iter().any(|line| line["action"] == "device.qr_requested"));
    assert_eq!(admin("until=2020-01-01").await["logs"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_of_all_tenants_are_seen_and_what_has_had_its_time_is_forgotten() {
    let (gateway, receiver) = (tenant().await, Receiver::start().await);
    receiver.answer(404);
    let hook = json!({ "url": receiver.url, "events": ["message.sent"], "retryCount": 1 });
    answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await;
    gateway.send_text("one", "one").await.unwrap();

    let id = text(&gateway.info["tenantId"]);
    let letters = until("the dead letter", async || {
        let (_, all) = answer(gateway.admin("GET", &format!("/admin/dlq?tenantId={id}"))).await;
        (all["data"]["total"] == 1).then_some(all["data"]["deadLetters"].clone())
    })
    .await;
    assert_eq!((&letters[0]["tenantId"], &letters[0]["lastStatus"]), (&json!(id), &json!(404)));

    let (status, cleaned) = answer(gateway.admin("POST", "/admin/cleanup")).await;
    assert_eq!((status, &cleaned["data"]["deliveries"]), (200, &json!(0)), "nothing of it is old: {cleaned}");
    let (_, all) = answer(gateway.admin("GET", &format!("/admin/dlq?tenantId={id}"))).await;
    assert_eq!(all["data"]["total"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_replays_the_dead_letters_of_a_tenant_or_of_all() {
    let (folder, simulator, receiver) = (tempfile::tempdir().unwrap(), simulator().await, Receiver::start().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    receiver.answer(404);
    let hook = json!({ "url": receiver.url, "events": ["message.sent"], "retryCount": 1 });
    answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await;
    let parked = async |count: usize| {
        until("the dead letters", async || {
            (gateway.get("/v1/webhooks/dlq").await["data"]["total"] == count).then_some(())
        })
        .await;
    };
    gateway.send_text("one", "one").await.unwrap();
    parked(1).await;
    let replay = async |body: Value| answer(gateway.admin("POST", "/admin/dlq").json(&body)).await;
    let (_, made) = answer(gateway.admin("POST", "/admin/tenants").json(&json!({ "name": "Other" }))).await;

    let (status, refused) = replay(json!({ "tenantId": "x", "since": "y" })).await;
    let fields: Vec<&Value> = refused["error"]["details"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
    assert_eq!((status, json!(fields)), (400, json!(["tenantId", "since"])));
    assert_eq!(replay(json!({ "tenantId": gateway.info["tenantId"] })).await.0, 400, "which of them is said");
    let nobody = json!({ "tenantId": "tenant_0000000000000000000000000000000f", "all": true });
    let (status, refused) = replay(nobody).await;
    assert_eq!((status, &refused["error"]["details"][0]["field"]), (400, &json!("tenantId")));
    let other = replay(json!({ "tenantId": made["data"]["tenant"]["id"], "all": true })).await.1;
    assert_eq!(other["data"], json!({ "replayed": 0, "remaining": 0 }), "another tenant's stay");
    let later = json!({ "tenantId": gateway.info["tenantId"], "since": 4_000_000_000_i64 });
    assert_eq!(replay(later).await.1["data"]["replayed"], 0, "a moment is a number too");
    let as_tenant = answer(gateway.request("POST", "/admin/dlq").json(&json!({ "all": true }))).await;
    assert_eq!(as_tenant.0, 401);

    let own = replay(json!({ "tenantId": gateway.info["tenantId"], "all": true })).await.1;
    assert_eq!(own["data"]["replayed"], 1, "{own}");
    parked(1).await;
    receiver.answer(204);
    let (_, all) = replay(json!({ "eventType": "message.sent" })).await;
    assert_eq!(all["data"], json!({ "replayed": 1, "remaining": 0 }));

    parked(0).await;
    let (_, log) = answer(gateway.admin("GET", "/admin/audit-logs?action=webhook.dead_letters_replayed")).await;
    let lines: Vec<(&Value, &Value)> =
        log["data"]["logs"].as_array().unwrap().iter().map(|line| (&line["resource_id"], &line["meta"])).collect();
    assert_eq!(lines[0], (&json!("all"), &json!({ "count": 1 })), "{log}");
    assert_eq!(lines[1], (&gateway.info["tenantId"], &json!({ "count": 1 })), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_stanzas_are_shown_without_their_contents() {
    let gateway = tenant().await;
    gateway.send_text("the words of a message", "one").await.unwrap();
    let path = gateway.device("/debug/protocol?limit=200");

    let shown = until("the answer's stanza", async || {
        let shown = gateway.get(&path).await["data"].clone();
        let is_message = |one: &Value| one["nodeTag"] == "message";
        shown["items"].as_array().unwrap().iter().any(is_message).then_some(shown)
    })
    .await;

    assert_eq!(shown["enabled"], true);
    let message = shown["items"].as_array().unwrap().iter().find(|one| one["nodeTag"] == "message").unwrap();
    assert!(text(&message["nodePreview"]).contains(" bytes]</enc>"), "{message}");
    assert_eq!((&message["direction"], &message["deviceId"]), (&json!("in"), &gateway.info["deviceId"]));
    assert_eq!(answer(gateway.request("GET", &gateway.device("/debug/protocol?limit=201"))).await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_codes_has_a_limit() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &["--set", "limits.pairing_per_minute=2"]);
    let devices = format!("/admin/tenants/{}/devices", text(&gateway.info["tenantId"]));
    let (_, made) = answer(gateway.admin("POST", &devices).json(&json!({ "label": "another" }))).await;
    let path = format!("/v1/devices/{}/pairing/qr", text(&made["data"]["device"]["id"]));

    let mut answers = Vec::new();
    for _ in 0..3 {
        let response = gateway.request("POST", &path).send().await.unwrap();
        answers.push((response.status().as_u16(), response.headers().contains_key("retry-after")));
    }

    assert_eq!(answers, [(200, false), (200, false), (429, true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_windows_are_shown_and_emptied() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &["--limits"]);
    gateway.send_text("one", "one").await.unwrap();
    let (tenant, device) = (text(&gateway.info["tenantId"]), text(&gateway.info["deviceId"]));
    let windows = async || {
        let stats = answer(gateway.admin("GET", "/admin/rate-limit/stats")).await.1["data"].clone();
        let entries = stats["entries"].as_array().unwrap().clone();
        assert_eq!(stats["totalKeys"], entries.len());
        entries
    };
    let texts = format!("text_per_minute:{device}");
    let of_device = windows().await.into_iter().find(|one| one["key"] == json!(texts)).unwrap();
    assert_eq!(of_device["count"], 1);
    assert!((1..=60).contains(&of_device["resetIn"].as_u64().unwrap()));

    let only = json!({ "deviceId": device });
    assert_eq!(answer(gateway.admin("POST", "/admin/rate-limit/reset").json(&only)).await.0, 200);
    let left: Vec<String> = windows().await.iter().map(|one| text(&one["key"])).collect();
    assert!(!left.contains(&texts) && left.contains(&format!("tenant:{tenant}")), "{left:?}");
    let of_tenant = json!({ "tenantId": tenant });
    assert_eq!(answer(gateway.admin("POST", "/admin/rate-limit/reset").json(&of_tenant)).await.0, 200);
    let left: Vec<String> = windows().await.iter().map(|one| text(&one["key"])).collect();
    assert!(!left.contains(&format!("tenant:{tenant}")), "{left:?}");
    let nobodys = json!({ "deviceId": "device_0000000000000000000000000000000f" });
    assert_eq!(answer(gateway.admin("POST", "/admin/rate-limit/reset").json(&nobodys)).await.0, 404);
    let bad = json!({ "tenantId": "x", "deviceId": "y" });
    let (status, body) = answer(gateway.admin("POST", "/admin/rate-limit/reset").json(&bad)).await;
    assert_eq!((status, body["error"]["details"].as_array().unwrap().len()), (400, 2));
}
