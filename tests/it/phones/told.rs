//! What WhatsApp tells once, and forgets as soon as it is acknowledged.

use super::events;
use crate::support::{Gateway, Phones, simulator, text, until};
use rusqlite::Connection;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_in_a_group_is_not_acknowledged_before_it_is_written() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (own, contact) = (text(&gateway.info["devicePhone"]), text(&gateway.info["contactPhone"]));
    let device = text(&gateway.info["deviceId"]);
    let new = json!({ "subject": "Order", "creator": own, "members": [contact] });
    let group = text(&phones.post("/groups", new).await["id"]);
    let database = Connection::open(folder.path().join("rijan.db")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON event_logs WHEN new.type = 'participant.removed' \
                  BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    database.execute_batch(refuse).unwrap();

    phones.post(&format!("/groups/{group}/leave"), json!({ "phone": contact })).await;
    // The connection ends, and the next one is told it again, as often as it takes.
    let degraded = |data: &serde_json::Value| data.to_string().contains("could not be written");
    events(&gateway, &device, "device.disconnected", degraded).await;
    gateway.kill();
    database.execute_batch("DROP TRIGGER refuse").unwrap();

    let gateway = Gateway::start(folder.path(), &simulator);
    let told = events(&gateway, &device, "participant.removed", |data| data["group"].as_str().is_some()).await;
    assert_eq!((told.len(), &told[0]["participants"][0]["phone"]), (1, &json!(contact)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_among_many_changes_of_groups_loses_none_and_tells_each_once() {
    const GROUPS: usize = 40;
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (own, contact) = (text(&gateway.info["devicePhone"]), text(&gateway.info["contactPhone"]));
    let device = text(&gateway.info["deviceId"]);
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        let new = json!({ "subject": format!("Order {number}"), "creator": own, "members": [contact] });
        groups.push(text(&phones.post("/groups", new).await["id"]));
    }

    for (number, group) in groups.iter().enumerate() {
        phones.post(&format!("/groups/{group}/leave"), json!({ "phone": contact })).await;
        if number == GROUPS / 2 {
            until("a change", async || {
                let told = gateway.get(&gateway.device("/events?cursor=0&type=participant.removed&limit=500")).await;
                (!told.as_array()?.is_empty()).then_some(())
            })
            .await;
        }
    }
    gateway.kill();
    let gateway = Gateway::start(folder.path(), &simulator);

    let mut told: Vec<String> = until("all changes", async || {
        let told = events(&gateway, &device, "participant.removed", |_| true).await;
        (told.len() >= GROUPS).then_some(told)
    })
    .await
    .iter()
    .map(|data| text(&data["group"]).trim_end_matches("@g.us").to_owned())
    .collect();
    told.sort();
    groups.sort();
    assert_eq!(told, groups);
}
