//! Rows that do not read back as what was written.

use crate::support::{Gateway, Phones, simulator, text, until};
use rusqlite::Connection;
use serde_json::{Value, json};

/// More than one batch of the processor, so that the order between batches shows too.
const WAITING: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_does_not_read_is_set_aside_and_the_rest_becomes_events_in_order() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    let body = json!({ "to": device, "text": "a model for the rows below" });
    Phones::of(&simulator).post(&format!("/accounts/{contact}/messages"), body).await;
    let path = gateway.device("/events?cursor=0&limit=500&type=message.received");
    until("the first event", async || (gateway.get(&path).await != json!([])).then_some(())).await;
    gateway.kill();
    let database = Connection::open(folder.path().join("rijan.db")).unwrap();
    for number in 0..WAITING {
        copy_of_the_first(&database, &format!("waiting {number}"));
    }
    damage(&database, "waiting 3", "envelope = 'not JSON'");
    damage(&database, "waiting 4", "envelope = CAST(x'ff' AS TEXT)");
    damage(&database, "waiting 200", "envelope = CAST(x'7b22c328' AS TEXT), sender = CAST(x'ff' AS TEXT)");
    drop(database);

    let gateway = Gateway::start(folder.path(), &simulator);

    let unreadable = ["waiting 3", "waiting 4", "waiting 200"];
    let events = until("every event", async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        (events.len() >= WAITING + 1 - unreadable.len()).then_some(events)
    })
    .await;
    let ids = |events: &[Value]| events.iter().map(|event| text(&event["payload"]["id"])).collect::<Vec<_>>();
    let readable = (0..WAITING).map(|number| format!("waiting {number}"));
    let expected: Vec<String> = readable.filter(|id| !unreadable.contains(&id.as_str())).collect();
    assert_eq!(ids(&events)[1..], expected);
    let told = gateway.get(&gateway.device("/events?cursor=0&type=message.undecryptable")).await;
    assert_eq!(told.as_array().unwrap().len(), unreadable.len(), "{told}");
    let database = Connection::open(folder.path().join("rijan.db")).unwrap();
    let waiting = "SELECT count(*) FROM messages_inbox WHERE processed = 0";
    assert_eq!(database.query_row(waiting, [], |row| row.get::<_, usize>(0)).unwrap(), 0);
}

fn copy_of_the_first(database: &Connection, wa_id: &str) {
    database
        .execute(
            "INSERT INTO messages_inbox (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at) \
             SELECT tenant_id, device_id, chat, sender, ?1, json_set(envelope, '$.id', ?1), message, received_at \
             FROM messages_inbox WHERE length(message) > 0 ORDER BY seq LIMIT 1",
            [wa_id],
        )
        .unwrap();
}

fn damage(database: &Connection, wa_id: &str, change: &str) {
    let changed = database.execute(&format!("UPDATE messages_inbox SET {change} WHERE wa_id = ?1"), [wa_id]).unwrap();
    assert_eq!(changed, 1);
}
