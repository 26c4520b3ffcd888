//! Every type of event is documented, with a schema. That what is told fits them is looked at where it is told: at the end
//! of every test with a gateway (`support::schemas`).

use crate::support::{problems, tenant, text, until};
use rijan::domain::event::EventType;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs"))
}

#[test]
fn every_type_of_event_has_a_schema_and_a_row_and_nothing_else_has() {
    let page = std::fs::read_to_string(docs().join("events.md")).unwrap();
    let files: BTreeSet<String> = std::fs::read_dir(docs().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();

    let expected: BTreeSet<String> = EventType::ALL.iter().map(|type_| format!("{}.json", type_.as_str())).collect();

    assert_eq!(files, expected);
    for type_ in EventType::ALL {
        let name = type_.as_str();
        let text = std::fs::read_to_string(docs().join(format!("events/{name}.json"))).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema["title"], name);
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        let about = schema["description"].as_str().unwrap();
        let row = format!("| [{name}](events/{name}.json) | {about}");
        assert!(page.contains(&row), "docs/events.md lacks the row {row:?}");
    }
}

#[test]
fn a_field_that_is_wrong_missing_or_not_documented_is_seen() {
    let vote = |change: &dyn Fn(&mut Value)| {
        let person = json!({ "contactId": "1", "jid": "1", "phone": null, "lid": null, "name": null });
        let mut vote = json!({
            "id": "1", "chat": "1", "from": "1", "fromMe": false, "isGroup": false, "sender": person,
            "type": "vote", "timestamp": 1, "messageId": "2", "question": null, "selectedOptions": null, "tallies": null,
        });
        change(&mut vote);
        problems("poll.vote", &vote).len()
    };

    assert_eq!(vote(&|_| {}), 0);
    assert_eq!(vote(&|vote| vote["timestamp"] = json!("now")), 1);
    assert_eq!(vote(&|vote| vote["more"] = json!(1)), 1);
    assert_eq!(vote(&|vote| vote["sender"]["more"] = json!(1)), 1);
    assert_eq!(vote(&|vote| vote["tallies"] = json!([{ "option": "a", "votes": 1 }])), 1);
    assert_eq!(vote(&|vote| drop(vote.as_object_mut().unwrap().remove("tallies"))), 1);
    assert_eq!(problems("no.such", &json!({})).len(), 1);
}

/// Every kind that a phone writes and every type that follows from what it does to a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_phone_writes_is_told_as_its_schema_says() {
    let gateway = tenant().await;
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    let write = async |kind: &str, what: Value| {
        let mut body = json!({ "to": device });
        body[kind] = what;
        text(&gateway.phones().post(&format!("/accounts/{contact}/messages"), body).await["id"])
    };
    let first = write("text", json!("hello")).await;
    let poll = write("poll", json!({ "question": "Which?", "options": ["a", "b"] })).await;
    for (kind, what) in [
        ("location", json!({ "latitude": 1.5, "longitude": 2.5, "name": "here" })),
        ("contact", json!({ "name": "A", "phone": contact })),
        ("vote", json!({ "id": poll, "options": ["b"] })),
        ("reaction", json!({ "id": first, "emoji": "👍", "own": true })),
        ("edit", json!({ "id": first, "text": "hello again" })),
        ("delete", json!({ "id": first })),
    ] {
        write(kind, what).await;
    }
    for kind in ["image", "video", "audio", "document", "sticker"] {
        write("media", json!({ "kind": kind, "size": 100 })).await;
    }

    let path = gateway.device("/events?cursor=0&limit=500");
    let events = until("all of it", async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        let stickers = events.iter().filter(|event| event["payload"]["type"] == "sticker").count();
        (stickers == 1).then_some(events)
    })
    .await;

    let told: BTreeSet<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for type_ in ["message.received", "poll.vote", "message.reaction", "message.updated", "message.deleted"] {
        assert!(told.contains(type_), "{type_} is not among {told:?}");
    }
    let wrong: Vec<String> =
        events.iter().flat_map(|event| problems(event["type"].as_str().unwrap(), &event["payload"])).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
