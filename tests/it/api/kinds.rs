//! Kinds of messages beside texts, as the phone of who gets them shows them.

use crate::plugins::{everything, guest, upload};
use crate::support::{Tenant, answer, tenant, text, until};
use serde_json::{Value, json};

/// Sends, and returns the receipt.
pub async fn send(gateway: &Tenant, kind: &str, body: Value) -> Value {
    let path = gateway.device(&format!("/messages/{kind}"));
    let (status, receipt) = answer(gateway.request("POST", &path).json(&body)).await;
    assert_eq!((status, &receipt["status"]), (200, &json!("queued")), "{kind}: {receipt}");
    receipt
}

/// What the contact's phone shows of the message with this id of WhatsApp's.
pub async fn shown(gateway: &Tenant, receipt: &Value) -> Value {
    let contact = text(&gateway.info["contactPhone"]);
    until("the message on the contact's phone", async || {
        let inbox = gateway.phones().inbox(&contact, 0).await;
        inbox.into_iter().find(|entry| entry["id"] == receipt["messageId"])
    })
    .await
}

/// The contact writes to the device; returns WhatsApp's id once the gateway has it.
pub async fn written(gateway: &Tenant, mut draft: Value) -> String {
    let contact = text(&gateway.info["contactPhone"]);
    draft["to"] = gateway.info["devicePhone"].clone();
    let made = gateway.phones().post(&format!("/accounts/{contact}/messages"), draft).await;
    let id = text(&made["id"]);
    told(gateway, |event| event["payload"]["id"] == id.as_str()).await;
    id
}

/// An event of the device that fits.
pub async fn told(gateway: &Tenant, fits: impl Fn(&Value) -> bool) -> Value {
    until("an event", async || {
        let events = gateway.get(&gateway.device("/events?limit=500")).await;
        events.as_array().unwrap().iter().find(|event| fits(event)).cloned()
    })
    .await
}

pub fn fields(body: &Value) -> Vec<String> {
    let details = body["error"]["details"].as_array().unwrap_or_else(|| panic!("{body} names no field"));
    details.iter().map(|detail| text(&detail["field"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_contacts_and_a_link_preview_arrive_as_they_were_sent() {
    let gateway = tenant().await;
    let to = &gateway.info["contactPhone"];
    let asked = written(&gateway, json!({ "text": "where are you?" })).await;

    let place = json!({ "to": to, "latitude": -6.2, "longitude": 106.8, "name": "Toko", "address": "Jl. Merdeka 1",
        "quotedMessageId": asked });
    let place = send(&gateway, "location", place).await;
    let ana = json!({ "displayName": "Ana", "phoneNumber": "+62 811-0000-002" });
    let one = send(&gateway, "contact", json!({ "to": to, "contacts": [ana] })).await;
    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Budi\nEND:VCARD";
    let budi = json!({ "displayName": "Budi", "vcard": card });
    let two = send(&gateway, "contact", json!({ "to": to, "contacts": [ana, budi] })).await;
    let preview = json!({ "url": "https://toko.id/1", "title": "Toko", "description": "All you need" });
    let link = json!({ "to": to, "text": "look: https://toko.id/1", "linkPreview": preview });
    let link = send(&gateway, "text", link).await;

    let seen = shown(&gateway, &place).await;
    let expected = json!({ "latitude": -6.2, "longitude": 106.8, "name": "Toko", "address": "Jl. Merdeka 1" });
    assert_eq!((&seen["type"], &seen["location"]), (&json!("location"), &expected));
    assert_eq!((&seen["quote"]["id"], &seen["quote"]["text"]), (&json!(asked), &json!("where are you?")));
    let seen = shown(&gateway, &one).await;
    assert_eq!(seen["contact"]["name"], "Ana");
    assert!(text(&seen["contact"]["vcard"]).contains("waid=628110000002:+628110000002"), "{seen}");
    let seen = shown(&gateway, &two).await;
    assert_eq!((&seen["text"], &seen["contacts"][1]["vcard"]), (&json!("2 contacts"), &json!(card)));
    let seen = shown(&gateway, &link).await;
    assert_eq!((&seen["text"], &seen["preview"]), (&json!("look: https://toko.id/1"), &preview));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_knows_whose_message_it_is_about_and_an_empty_one_takes_it_back() {
    let gateway = tenant().await;
    let to = &gateway.info["contactPhone"];
    let theirs = written(&gateway, json!({ "text": "done?" })).await;
    let ours = gateway.send_text("done", "key").await.unwrap();

    let to_theirs = send(&gateway, "reaction", json!({ "to": to, "messageId": theirs, "emoji": "👍" })).await;
    let to_ours = send(&gateway, "reaction", json!({ "to": to, "messageId": ours["id"], "emoji": "🎉" })).await;
    let back = send(&gateway, "reaction", json!({ "to": to, "messageId": theirs, "emoji": "" })).await;
    let unknown = json!({ "to": to, "messageId": "3EB0FFFFFFFFFFFFFFFFFF", "emoji": "👀", "fromMe": true });
    let unknown = send(&gateway, "reaction", unknown).await;

    let reacted = async |receipt: &Value| shown(&gateway, receipt).await["reaction"].clone();
    assert_eq!(reacted(&to_theirs).await, json!({ "id": theirs, "emoji": "👍", "from_me": false }));
    assert_eq!(reacted(&to_ours).await, json!({ "id": ours["messageId"], "emoji": "🎉", "from_me": true }));
    assert_eq!(reacted(&back).await, json!({ "id": theirs, "emoji": "", "from_me": false }));
    assert_eq!(reacted(&unknown).await["from_me"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_group_a_reaction_names_the_author_and_an_unknown_message_needs_one() {
    let gateway = tenant().await;
    let (phones, contact) = (gateway.phones(), text(&gateway.info["contactPhone"]));
    let group = json!({ "subject": "Team", "creator": contact, "members": [gateway.info["devicePhone"]] });
    let id = text(&phones.post("/groups", group).await["id"]);
    let chat = format!("{id}@g.us");
    let said = json!({ "from": contact, "text": "who comes?" });
    let said = text(&phones.post(&format!("/groups/{id}/messages"), said).await["id"]);
    let event = told(&gateway, |event| event["payload"]["id"] == said.as_str()).await;

    let reaction = json!({ "to": chat, "messageId": said, "emoji": "✋" });
    let reaction = send(&gateway, "reaction", reaction).await;
    let unknown = json!({ "to": chat, "messageId": "3EB0FFFFFFFFFFFFFFFFFF", "emoji": "✋" });
    let path = gateway.device("/messages/reaction");
    let (status, refused) = answer(gateway.request("POST", &path).json(&unknown)).await;
    let elsewhere = json!({ "to": contact, "messageId": said, "emoji": "✋" });
    let (_, other_chat) = answer(gateway.request("POST", &path).json(&elsewhere)).await;

    assert_eq!(shown(&gateway, &reaction).await["reaction"]["id"], json!(said));
    let (device, wa_id) = (text(&gateway.info["deviceId"]), text(&reaction["messageId"]));
    assert_eq!(stored(&device, &wa_id)["participant"], event["payload"]["from"]);
    assert_eq!((status, fields(&refused)), (400, vec!["participant".to_owned()]));
    assert_eq!(fields(&other_chat), ["messageId"]);
}

/// What the outbox has of a message.
pub fn stored(device: &str, wa_id: &str) -> Value {
    let database = rusqlite::Connection::open(crate::support::database()).unwrap();
    let sql = "SELECT content FROM messages_outbox WHERE device_id = ?1 AND wa_id = ?2";
    let content: String = database.query_row(sql, [device, wa_id], |row| row.get(0)).unwrap();
    serde_json::from_str(&content).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_of_every_kind_is_named_and_nothing_is_sent() {
    let gateway = tenant().await;
    let two = |id: &str| json!({ "text": "a", "id": id });
    let cases = [
        (
            "text",
            json!({ "to": "0812", "linkPreview": { "url": "x", "title": "" } }),
            vec!["to", "text", "linkPreview.title"],
        ),
        (
            "text",
            json!({ "to": "62812", "text": "a", "linkPreview": { "url": "https://b.id", "title": "B" } }),
            vec!["to", "linkPreview.url"],
        ),
        ("location", json!({ "latitude": 90.5, "longitude": "east" }), vec!["to", "latitude", "longitude"]),
        ("contact", json!({ "to": "6281100000002", "contacts": [] }), vec!["contacts"]),
        (
            "contact",
            json!({ "to": "6281100000002", "contacts": [
                { "displayName": "A", "vcard": "FN:A" }, { "displayName": " " }, 7,
                { "displayName": "B", "phoneNumber": "0811", "vcard": "BEGIN:VCARD\nEND:VCARD" }] }),
            vec![
                "contacts[2]",
                "contacts[0].vcard",
                "contacts[1].displayName",
                "contacts[1].vcard",
                "contacts[3].phoneNumber",
                "contacts[3].vcard",
            ],
        ),
        ("reaction", json!({ "to": "x", "participant": "y" }), vec!["to", "messageId", "emoji", "participant"]),
        (
            "poll",
            json!({ "to": "6281100000002", "options": ["a"], "selectableCount": 13 }),
            vec!["question", "options", "selectableCount"],
        ),
        (
            "poll",
            json!({ "to": "6281100000002", "question": "?", "options": ["a", "b", "a", ""], "selectableCount": 5 }),
            vec!["options[3]", "selectableCount", "options[2]"],
        ),
        ("forward", json!({}), vec!["to", "messageId"]),
        ("template", json!({ "to": "6281100000002", "variables": { "a": 1 } }), vec!["template", "variables.a"]),
        ("interactive", json!({ "to": "6281100000002", "body": "" }), vec!["body", "buttons"]),
        (
            "interactive",
            json!({ "to": "6281100000002", "body": "b", "buttons": [two("1"), two("1"), { "text": "c", "url": "ftp://x" }] }),
            vec!["buttons[1].id", "buttons[2].url"],
        ),
        (
            "interactive",
            json!({ "to": "6281100000002", "body": "b", "sections": [{ "rows": [] }, { "title": "t", "rows": [{ "id": "1" }] }] }),
            vec!["buttonText", "sections[0].title", "sections[0].rows", "sections[1].rows[0].title"],
        ),
    ];
    for (kind, body, expected) in cases {
        let path = gateway.device(&format!("/messages/{kind}"));
        let key = "k".repeat(300);
        let request = gateway.request("POST", &path).header("idempotency-key", key).json(&body);
        let (status, refused) = answer(request).await;

        let mut named = fields(&refused);
        assert_eq!(named.pop().as_deref(), Some("Idempotency-Key"), "{kind}: {refused}");
        assert_eq!((status, &refused["error"]["code"]), (400, &json!("VALIDATION_ERROR")));
        let (mut named, mut expected) = (named, expected.into_iter().map(str::to_owned).collect::<Vec<_>>());
        named.sort();
        expected.sort();
        named.dedup();
        assert_eq!(named, expected, "{kind}: {refused}");
    }
    assert_eq!(gateway.get(&gateway.device("/events?type=message.sent")).await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_with_the_same_key_is_one_message_of_every_kind_and_another_body_is_refused() {
    let gateway = tenant().await;
    let to = &gateway.info["contactPhone"];
    let theirs = written(&gateway, json!({ "text": "hi" })).await;
    let template = json!({ "name": "hello", "text": "Hello {{name}}" });
    assert_eq!(answer(gateway.request("POST", "/v1/templates").json(&template)).await.0, 201);
    let kinds = [
        ("location", json!({ "latitude": 1, "longitude": 2 }), "name"),
        ("contact", json!({ "contacts": [{ "displayName": "A", "phoneNumber": "6281100000002" }] }), "to"),
        ("reaction", json!({ "messageId": theirs, "emoji": "👍" }), "emoji"),
        ("poll", json!({ "question": "?", "options": ["a", "b"] }), "question"),
        ("forward", json!({ "messageId": theirs }), "to"),
        ("template", json!({ "template": "hello", "variables": { "name": "Ana" } }), "to"),
        ("interactive", json!({ "body": "b", "buttons": [{ "id": "1", "text": "Yes" }] }), "footer"),
    ];
    for (kind, mut body, differs) in kinds {
        body["to"] = to.clone();
        body["idempotencyKey"] = json!(format!("key of a {kind}"));
        let first = send(&gateway, kind, body.clone()).await;

        let again = send(&gateway, kind, body.clone()).await;
        body[differs] = json!("6281100000009");
        let path = gateway.device(&format!("/messages/{kind}"));
        let (status, refused) = answer(gateway.request("POST", &path).json(&body)).await;

        assert_eq!(first, again, "{kind}");
        assert_eq!((status, &refused["error"]["code"]), (409, &json!("IDEMPOTENCY_MISMATCH")), "{kind}");
        assert_eq!(shown(&gateway, &first).await["copies"], 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_see_every_kind_and_what_they_reject_is_not_sent() {
    let gateway = tenant().await;
    let to = &gateway.info["contactPhone"];
    let spam = written(&gateway, json!({ "text": "buy spam" })).await;
    let ours = gateway.send_text("buy ham", "key").await.unwrap();
    let status = gateway.device(&format!("/messages/{}/status", text(&ours["id"])));
    until("the text to be sent", async || gateway.get(&status).await["sentAt"].as_i64()).await;
    let settings = json!({ "grants": everything() });
    assert_eq!(upload(&gateway, &guest("rust"), Some(settings)).await.0, 201);
    let (_, enabled) = answer(gateway.request("POST", "/v1/plugins/example-rust/enable")).await;
    assert_eq!(enabled["data"]["outcome"], "swapped", "{enabled}");

    let forward = json!({ "to": to, "messageId": spam });
    let forward = gateway.request("POST", &gateway.device("/messages/forward")).json(&forward);
    let edit = gateway.device(&format!("/messages/{}", text(&ours["id"])));
    let edit = gateway.request("PATCH", &edit).json(&json!({ "text": "buy spam" }));
    let template = json!({ "name": "offer", "text": "buy {{what}}" });
    assert_eq!(answer(gateway.request("POST", "/v1/templates").json(&template)).await.0, 201);
    let filled = json!({ "to": to, "template": "offer", "variables": { "what": "spam" } });
    let filled = gateway.request("POST", &gateway.device("/messages/template")).json(&filled);
    for (what, request) in [("forward", forward), ("edit", edit), ("template", filled)] {
        let (status, refused) = answer(request).await;
        assert_eq!((status, &refused["error"]["code"]), (422, &json!("PLUGIN_REJECTED")), "{what}: {refused}");
    }
    let location = send(&gateway, "location", json!({ "to": to, "latitude": 1, "longitude": 2 })).await;
    assert_eq!(shown(&gateway, &location).await["type"], "location");
    let traces = gateway.get("/v1/plugins/example-rust/traces?limit=500").await["data"]["traces"].clone();
    let seen = traces.as_array().unwrap().iter().any(|trace| trace["subject"] == location["id"]);
    assert!(seen, "{traces}");
}
