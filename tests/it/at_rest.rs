//! What can be read from the disk: message text, yes; secrets, no.

use crate::support::{Gateway, Phones, answer, simulator, text, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_run_stands_in_database_wal_or_log() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let contact = text(&gateway.info["contactPhone"]);
    let secret = "a webhook secret that nobody should read";
    let hook = json!({
        "url": format!("{}/hook", text(&gateway.info["receiver"])),
        "events": ["*"],
        "secret": secret,
        "headers": { "x-token": "a token that nobody should read" },
    });
    assert!(gateway.request("POST", "/v1/webhooks").json(&hook).send().await.unwrap().status().is_success());
    gateway.send_text("a text that may be searched", "key").await.unwrap();
    until("the contact's answer", async || {
        let events = gateway.get(&gateway.device("/events?type=message.received")).await;
        (!events.as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    assert!(!Phones::of(&simulator).inbox(&contact, 0).await.is_empty());
    let info = gateway.info.clone();
    let world: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("sandbox.json")).unwrap()).unwrap();
    // Not stopped: the WAL holds what was written last.
    let mut disk = Vec::new();
    for name in ["rijan.db", "rijan.db-wal", "gateway.log"] {
        disk.extend(std::fs::read(folder.path().join(name)).unwrap_or_default());
    }
    gateway.kill();

    assert!(contains(&disk, b"a text that may be searched"), "the search finds what is there");
    for secret in [
        secret.to_owned(),
        "a token that nobody should read".to_owned(),
        text(&info["apiKey"]),
        text(&info["masterKey"]),
        text(&world["webhookSecret"]),
        rijan::vault::api_key::sha256_hex(&text(&info["masterKey"])),
    ] {
        let raw = secret.as_bytes();
        for form in [raw.to_vec(), hex::encode(raw).into_bytes(), BASE64.encode(raw).into_bytes()] {
            assert!(!contains(&disk, &form), "{secret} is on disk as {}", String::from_utf8_lossy(&form));
        }
    }
    // The device's record is JSON with these names when it is not sealed; a session record names its protobuf fields not,
    // but the record of the device proves the path they all take.
    for name in ["noise_key", "identity_key", "adv_secret_key"] {
        assert!(!contains(&disk, name.as_bytes()), "{name} is on disk");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_said_stands_on_disk_after_its_tenant_was_deleted() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    gateway.send_text("a quokka crosses the road", "key").await.unwrap();
    until("the contact's answer, with the words in it", async || {
        let events = gateway.get(&gateway.device("/events?type=message.received")).await;
        events.to_string().contains("quokka").then_some(())
    })
    .await;
    let found = gateway.get(&gateway.device("/messages/search?q=quokka")).await;
    assert!(!found["data"]["messages"].as_array().unwrap().is_empty(), "{found}");
    let on_disk = || {
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap_or_default();
        let disk = [read("rijan.db"), read("rijan.db-wal")].concat();
        [&b"quokka"[..], b"crosses the road"].iter().filter(|words| contains(&disk, words)).count()
    };
    assert_eq!(on_disk(), 2, "the search finds what is there");
    let tenant = text(&gateway.info["tenantId"]);
    assert_eq!(answer(gateway.admin("DELETE", &format!("/admin/tenants/{tenant}"))).await.0, 200);

    // A pass that finds somebody reading leaves the log of the database to the next.
    until("the words to be gone from the disk", async || {
        let (status, cleaned) = answer(gateway.admin("POST", "/admin/cleanup")).await;
        assert_eq!(status, 200, "{cleaned}");
        (on_disk() == 0).then_some(())
    })
    .await;
    let (_, log) = answer(gateway.admin("GET", &format!("/admin/audit-logs?tenantId={tenant}"))).await;
    assert_eq!(log["data"]["logs"][0]["action"], "tenant.deleted", "what was done stays: {log}");
}

fn contains(disk: &[u8], needle: &[u8]) -> bool {
    disk.windows(needle.len()).any(|window| window == needle)
}
