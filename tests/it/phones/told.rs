//! What WhatsApp tells once, and forgets as soon as it is acknowledged.

use super::events;
use crate::support::{Gateway, Phones, simulator, text, until};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// How a gateway ends.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Stop,
}

impl End {
    fn of(self, gateway: Gateway) {
        match self {
            Self::Kill => gateway.kill(),
            Self::Stop => {
                let told = Command::new("kill").arg(gateway.process().to_string()).status().unwrap();
                assert!(told.success() && gateway.wait().success());
            }
        }
    }
}

/// Until it is dropped by name, writing to `table` fails for what `when` names.
fn refuse(folder: &Path, table: &str, when: &str) -> Connection {
    let database = Connection::open(folder.join("rijan.db")).unwrap();
    let refuse = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
    );
    database.execute_batch(&refuse).unwrap();
    database
}

/// The connection ended because something could not be written.
async fn ended_for_it(gateway: &Gateway) {
    let degraded = |data: &Value| data.to_string().contains("could not be written");
    events(gateway, &text(&gateway.info["deviceId"]), "device.disconnected", degraded).await;
}

/// A newsletter of the contact's that the gateway's account follows.
async fn newsletter(gateway: &Gateway, phones: &Phones) -> String {
    let new = json!({ "name": "Bakery", "owner": gateway.info["contactPhone"] });
    let id = text(&phones.post("/newsletters", new).await["id"]);
    let follow = json!({ "phone": gateway.info["devicePhone"], "follows": true });
    phones.post(&format!("/newsletters/{id}/follow"), follow).await;
    id
}

/// What was posted there, as it was told, in order, once there are so many.
async fn posts(gateway: &Gateway, newsletter: &str, count: usize) -> Vec<String> {
    until("the posts", async || {
        let told = gateway.get(&gateway.device("/events?cursor=0&type=message.received&limit=500")).await;
        let posts = told.as_array()?.iter().filter(|event| event["payload"]["chat"] == newsletter);
        let posts: Vec<String> = posts.map(|event| text(&event["payload"]["text"])).collect();
        (posts.len() >= count).then_some(posts)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_in_a_newsletter_is_not_acknowledged_before_it_is_written() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let newsletter = newsletter(&gateway, &phones).await;
    let database = refuse(folder.path(), "messages_inbox", "new.chat LIKE '%@newsletter'");

    phones.post(&format!("/newsletters/{newsletter}/posts"), json!({ "text": "we open at nine" })).await;
    ended_for_it(&gateway).await;
    gateway.kill();
    database.execute_batch("DROP TRIGGER refuse").unwrap();

    let gateway = Gateway::start(folder.path(), &simulator);
    assert_eq!(posts(&gateway, &newsletter, 1).await, ["we open at nine"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_or_a_stop_among_many_posts_loses_none_and_tells_each_once() {
    const POSTS: usize = 40;
    for end in [End::Kill, End::Stop] {
        let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
        let phones = Phones::of(&simulator);
        let gateway = Gateway::start(folder.path(), &simulator);
        let newsletter = newsletter(&gateway, &phones).await;

        for number in 0..POSTS {
            phones.post(&format!("/newsletters/{newsletter}/posts"), json!({ "text": format!("{number:02}") })).await;
        }
        posts(&gateway, &newsletter, 1).await;
        end.of(gateway);

        let gateway = Gateway::start(folder.path(), &simulator);
        let mut told = posts(&gateway, &newsletter, POSTS).await;
        told.sort();
        assert_eq!(told, (0..POSTS).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_in_a_group_is_not_acknowledged_before_it_is_written() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (own, contact) = (text(&gateway.info["devicePhone"]), text(&gateway.info["contactPhone"]));
    let device = text(&gateway.info["deviceId"]);
    let new = json!({ "subject": "Order", "creator": own, "members": [contact] });
    let group = text(&phones.post("/groups", new).await["id"]);
    let database = refuse(folder.path(), "event_logs", "new.type = 'participant.removed'");

    phones.post(&format!("/groups/{group}/leave"), json!({ "phone": contact })).await;
    // The connection ends, and the next one is told it again, as often as it takes.
    ended_for_it(&gateway).await;
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
