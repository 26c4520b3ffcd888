//! Files across kills, limits and the forgetting of WhatsApp's hosts, each with a gateway and a simulator of its own.

use crate::support::{Gateway, Phones, answer, form, png, sha256, simulator, text, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What the contact writes, as the gateway's event tells it.
async fn written(gateway: &Gateway, phones: &Phones, file: &[u8]) -> Value {
    let contact = text(&gateway.info["contactPhone"]);
    let media = json!({ "kind": "image", "data": BASE64.encode(file), "mime": "image/png" });
    let write = json!({ "to": gateway.info["devicePhone"], "media": media });
    let id = phones.post(&format!("/accounts/{contact}/messages"), write).await["id"].clone();
    until("the event", async || {
        let events = gateway.get(&gateway.device("/events?type=message.received")).await;
        let events = events.as_array().cloned().unwrap_or_default();
        events.into_iter().find(|event| event["payload"]["id"] == id).map(|event| event["payload"].clone())
    })
    .await
}

async fn read(gateway: &Gateway, told: &Value) -> (u16, Vec<u8>) {
    let response = gateway.request("GET", &text(&told["mediaUrl"])).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

async fn upload(gateway: &Gateway, bytes: &[u8]) -> (u16, Value) {
    let (kind, body) = form(&[("file", Some(("a.png", "image/png")), bytes)]);
    let path = gateway.device("/media/upload");
    answer(gateway.request("POST", &path).header("content-type", kind).body(body)).await
}

/// The files below the media folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_uploaded_before_a_kill_is_sent_once_and_not_uploaded_again() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let contact = text(&gateway.info["contactPhone"]);
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    let before = phones.get("/stats").await["files"].as_u64().unwrap();
    // Uploaded, and the message swallowed: the moment between the two.
    let lost = json!({ "match": { "tag": "message", "direction": "in" }, "action": "drop" });
    phones.post("/faults", lost).await;
    let (picture, path) = (png(400_000), gateway.device("/messages/image"));
    let body = json!({ "to": contact, "mediaBuffer": BASE64.encode(&picture) });
    let (status, taken) = answer(gateway.request("POST", &path).json(&body)).await;
    assert_eq!(status, 200, "{taken}");
    until("the upload", async || (phones.get("/stats").await["files"] == before + 1).then_some(())).await;
    let remembered = rusqlite::Connection::open(folder.path().join("rijan.db")).unwrap();
    until("the upload to be remembered", async || {
        let count = remembered.query_row("SELECT count(*) FROM media_uploads", [], |row| row.get::<_, u32>(0));
        (count.unwrap() == 1).then_some(())
    })
    .await;
    drop(remembered);
    gateway.kill();
    phones.delete("/faults").await;

    let gateway = Gateway::start(folder.path(), &simulator);
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;

    let inbox = phones.inbox(&contact, 0).await;
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert_eq!((&inbox[0]["id"], &inbox[0]["media"]["opened"]), (&taken["messageId"], &json!(true)));
    assert_eq!(inbox[0]["media"]["sha256"], sha256(&picture));
    assert_eq!(phones.get("/stats").await["files"], before + 1, "uploaded again");
    let status = gateway.device(&format!("/messages/{}/status", text(&taken["id"])));
    until("it to be read", async || (gateway.get(&status).await["status"] == "read").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_being_sent_when_the_gateway_is_killed_arrive_once() {
    const SENDS: usize = 40;
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let contact = text(&gateway.info["contactPhone"]);
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    let path = gateway.device("/messages/image");
    for number in 0..SENDS {
        let body = json!({ "to": contact, "mediaBuffer": BASE64.encode(png(1_000 + number)) });
        let (status, taken) = answer(gateway.request("POST", &path).json(&body)).await;
        assert_eq!(status, 200, "{taken}");
    }
    until("the first arrivals", async || (phones.inbox(&contact, 0).await.len() >= 3).then_some(())).await;
    gateway.kill();
    let before = phones.inbox(&contact, 0).await.len();
    assert!(before < SENDS, "everything was sent before the kill; nothing was proven");

    let _gateway = Gateway::start(folder.path(), &simulator);
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    let inbox = until("the last arrivals", async || {
        let inbox = phones.inbox(&contact, 0).await;
        (inbox.len() >= SENDS).then_some(inbox)
    })
    .await;

    assert_eq!(inbox.len(), SENDS);
    for (number, entry) in inbox.iter().enumerate() {
        assert_eq!(entry["media"]["sha256"], sha256(&png(1_000 + number)), "in the order they were accepted");
        assert_eq!(entry["media"]["opened"], true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_whatsapp_forgot_comes_from_the_phone_again_and_one_that_is_lost_is_gone() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (first, second) = (png(5_000), png(6_000));
    let told = written(&gateway, &phones, &first).await;
    phones.post("/files/expire", json!({})).await;

    assert_eq!(read(&gateway, &told).await, (200, first));

    let told = written(&gateway, &phones, &second).await;
    phones.post("/files/expire", json!({ "lost": true })).await;
    let (status, body) = read(&gateway, &told).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["error"]["code"]), (410, &json!("MEDIA_UNAVAILABLE")), "{body}");
    assert_eq!(phones.get("/unanswered").await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eager_tenant_has_its_files_before_anybody_asks() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start_with(folder.path(), &simulator, &["--set", "media.received=eager"]);
    let picture = png(250_000);
    let told = written(&gateway, &phones, &picture).await;
    let done = "rijan_media_transfer_seconds_count{direction=\"download\",outcome=\"done\"} 1";
    until("the download", async || {
        let metrics = gateway.http.get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap();
        metrics.contains(done).then_some(())
    })
    .await;
    phones.post("/files/expire", json!({ "lost": true })).await;

    assert_eq!(read(&gateway, &told).await, (200, picture.clone()));
    let on_disk: Vec<u8> = files(folder.path()).iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let piece = &picture[100_000..100_032];
    assert!(!on_disk.windows(piece.len()).any(|window| window == piece), "the file is readable on disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_too_large_and_one_too_many_are_refused_by_the_limit_they_meet() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let limits = ["--set", "media.file_bytes_max=200000", "--set", "media.tenant_bytes_max=300000"];
    let gateway = Gateway::start_with(folder.path(), &simulator, &limits);

    let (status, refused) = upload(&gateway, &png(200_001)).await;
    assert_eq!((status, &refused["error"]["code"]), (413, &json!("PAYLOAD_TOO_LARGE")));
    let body = json!({ "to": gateway.info["contactPhone"], "mediaBuffer": BASE64.encode(png(200_001)) });
    let (status, _) = answer(gateway.request("POST", &gateway.device("/messages/image")).json(&body)).await;
    assert_eq!(status, 413);
    let (status, kept) = upload(&gateway, &png(200_000)).await;
    assert_eq!(status, 200, "{kept}");
    let (status, refused) = upload(&gateway, &png(150_000)).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")));
    assert!(text(&refused["error"]["message"]).contains("media.tenant_bytes_max"), "{refused}");

    let path = gateway.device(&format!("/media/{}", text(&kept["mediaId"])));
    assert_eq!(answer(gateway.request("DELETE", &path)).await.0, 204);
    assert_eq!(upload(&gateway, &png(150_000)).await.0, 200, "there is room again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_kill_leaves_of_an_upload_is_gone_after_the_next_start() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (kind, body) = form(&[("file", Some(("a.png", "image/png")), &png(3_000_000))]);
    let address = text(&gateway.info["api"]).strip_prefix("http://").unwrap().to_owned();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        gateway.device("/media/upload"),
        text(&gateway.info["apiKey"]),
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body[..1_500_000]).unwrap();
    let media = folder.path().join("media");
    until("half of a file", async || (!files(&media).is_empty()).then_some(())).await;
    gateway.kill();
    assert!(!files(&media).is_empty());

    let gateway = Gateway::start(folder.path(), &simulator);

    assert_eq!(files(&media), Vec::<PathBuf>::new());
    let (status, kept) = upload(&gateway, &png(1_000)).await;
    assert_eq!(status, 200, "{kept}");
    assert_eq!(files(&media).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_thirty_first_file_of_a_minute_is_refused_and_neither_a_refusal_nor_a_repeat_costs_anything() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let flags = ["--limits", "--set", "limits.tenant=off"];
    let gateway = Gateway::start_with(folder.path(), &simulator, &flags);
    let path = gateway.device("/messages/media");
    let send = async |key: &str, buffer: &str| {
        let body = json!({ "to": gateway.info["contactPhone"], "mediaBuffer": buffer });
        gateway.request("POST", &path).header("idempotency-key", key).json(&body).send().await.unwrap()
    };
    let (picture, left) = (BASE64.encode(png(100)), |answer: &reqwest::Response| {
        answer.headers()["x-ratelimit-remaining"].to_str().unwrap().to_owned()
    });

    for number in 1..=30 {
        let answer = send(&format!("key {number}"), &picture).await;
        assert_eq!((answer.status().as_u16(), left(&answer)), (200, (30 - number).to_string()));
        assert_eq!(send("wrong", "no base64!").await.status().as_u16(), 400);
    }

    let refused = send("key 31", &picture).await;
    assert_eq!((refused.status().as_u16(), left(&refused).as_str()), (429, "0"));
    let text = json!({ "to": gateway.info["contactPhone"], "text": "a window of its own" });
    let (status, _) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&text)).await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_deleted_tenant_go_with_it() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    assert_eq!(upload(&gateway, &png(1_000)).await.0, 200);
    let media = folder.path().join("media");
    assert_eq!(files(&media).len(), 1);

    let tenant = format!("/admin/tenants/{}", text(&gateway.info["tenantId"]));
    assert_eq!(answer(gateway.admin("DELETE", &tenant)).await.0, 200);

    until("the file to go", async || files(&media).is_empty().then_some(())).await;
}
