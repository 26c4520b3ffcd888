//! Editing and deleting what was sent.

use super::kinds::{send, shown, told, written};
use crate::support::{Tenant, answer, tenant, text, until};
use serde_json::{Value, json};

fn path(gateway: &Tenant, id: &Value) -> String {
    gateway.device(&format!("/messages/{}", text(id)))
}

async fn edit(gateway: &Tenant, id: &Value, words: &str) -> (u16, Value) {
    answer(gateway.request("PATCH", &path(gateway, id)).json(&json!({ "text": words }))).await
}

/// Waits until WhatsApp's server has it.
async fn sent(gateway: &Tenant, receipt: &Value) -> Value {
    let status = format!("{}/status", path(gateway, &receipt["id"]));
    until("the message to be sent", async || {
        let status = gateway.get(&status).await;
        status["sentAt"].is_i64().then_some(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_shown_is_told_and_is_what_is_quoted_afterwards() {
    let gateway = tenant().await;
    let first = gateway.send_text("ten", "key").await.unwrap();
    sent(&gateway, &first).await;

    let (status, receipt) = edit(&gateway, &first["id"], "nine").await;

    assert_eq!((status, &receipt["status"]), (200, &json!("queued")), "{receipt}");
    let seen = shown(&gateway, &receipt).await;
    assert_eq!(seen["edit"], json!({ "id": first["messageId"], "text": "nine" }));
    let event = told(&gateway, |event| event["type"] == "message.updated").await;
    let data = &event["payload"];
    assert_eq!((&data["messageId"], &data["content"]["text"]), (&first["messageId"], &json!("nine")));
    assert_eq!((&data["id"], &data["type"], &data["fromMe"]), (&receipt["id"], &json!("edit"), &json!(true)));
    assert!(sent(&gateway, &first).await["editedAt"].is_i64());
    let answer = json!({ "to": gateway.info["contactPhone"], "text": "as I said", "quotedMessageId": first["id"] });
    let answer = send(&gateway, "text", answer).await;
    assert_eq!(shown(&gateway, &answer).await["quote"]["text"], "nine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_text_of_ours_that_was_sent_can_be_edited_and_a_repeat_is_answered_as_before() {
    let gateway = tenant().await;
    let theirs = written(&gateway, json!({ "text": "hi" })).await;
    let place = json!({ "to": gateway.info["contactPhone"], "latitude": 1, "longitude": 2 });
    let place = send(&gateway, "location", place).await;
    sent(&gateway, &place).await;
    let first = gateway.send_text("ten", "key").await.unwrap();
    sent(&gateway, &first).await;
    answer(gateway.request("POST", &gateway.device("/stop"))).await;
    let waiting = gateway.send_text("later", "another key").await.unwrap();

    for (id, code, said) in [
        (&json!(theirs), "CONFLICT", "only what this gateway sent"),
        (&place["id"], "CONFLICT", "only a text"),
        (&waiting["id"], "CONFLICT", "not been sent"),
        (&json!("3EB0FFFFFFFFFFFFFFFFFF"), "NOT_FOUND", "no such message"),
        (&json!("msg_00000000000000000000000000000000"), "NOT_FOUND", "no such message"),
    ] {
        let (_, refused) = edit(&gateway, id, "nine").await;
        assert_eq!(refused["error"]["code"], code, "{id}: {refused}");
        assert!(text(&refused["error"]["message"]).contains(said), "{refused}");
    }
    let with_key = async |words: &str| {
        let body = json!({ "text": words, "idempotencyKey": "an edit" });
        answer(gateway.request("PATCH", &path(&gateway, &first["messageId"])).json(&body)).await
    };
    let (_, once) = with_key("nine").await;
    assert_eq!(with_key("nine").await, (200, once));
    assert_eq!(with_key("eight").await.1["error"]["code"], "IDEMPOTENCY_MISMATCH");
    let window = "UPDATE messages_outbox SET sent_at = sent_at - 901000 WHERE id = ?1";
    let database = rusqlite::Connection::open(crate::support::database()).unwrap();
    database.execute(window, [text(&first["id"])]).unwrap();
    let (status, late) = edit(&gateway, &first["id"], "eight").await;
    assert_eq!((status, &late["error"]["code"]), (409, &json!("CONFLICT")));
    assert!(text(&late["error"]["message"]).contains("15 minutes"), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_follows_its_message_is_told_and_written_down() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    answer(gateway.request("POST", &gateway.device("/stop"))).await;
    let first = gateway.send_text("oops", "key").await.unwrap();
    for _ in 0..2 {
        let delete = gateway.request("DELETE", &path(&gateway, &first["id"])).header("idempotency-key", "a deletion");
        assert_eq!(answer(delete).await, (200, json!({ "success": true })));
    }

    answer(gateway.request("POST", &gateway.device("/start"))).await;

    let inbox = until("both on the phone", async || {
        let inbox = gateway.phones().inbox(&contact, 0).await;
        (inbox.len() >= 2).then_some(inbox)
    })
    .await;
    assert_eq!((&inbox[0]["text"], &inbox[1]["delete"]["id"]), (&json!("oops"), &first["messageId"]));
    let event = told(&gateway, |event| event["type"] == "message.deleted").await;
    assert_eq!((&event["payload"]["messageId"], &event["payload"]["fromMe"]), (&first["messageId"], &json!(true)));
    assert!(sent(&gateway, &first).await["deletedAt"].is_i64());
    let deletions = gateway.get(&gateway.device("/events?type=message.deleted")).await;
    assert_eq!(deletions.as_array().unwrap().len(), 1, "a repeat deletes nothing more");
    let (_, refused) = edit(&gateway, &first["id"], "nine").await;
    assert!(text(&refused["error"]["message"]).contains("was deleted"), "{refused}");
    let (_, lines) = answer(gateway.admin("GET", "/admin/audit-logs?action=message.deleted&limit=100")).await;
    let lines = lines["data"]["logs"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["resource_id"] == first["id"]), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_whatsapp_refuses_is_told_and_leaves_the_message_as_it_was() {
    let gateway = tenant().await;
    let first = gateway.send_text("ten", "key").await.unwrap();
    sent(&gateway, &first).await;
    let nack = json!({ "phone": gateway.info["devicePhone"], "match": { "tag": "message", "direction": "in" },
        "action": "nack", "code": "479", "count": 1 });
    gateway.phones().post("/faults", nack).await;

    let (_, receipt) = edit(&gateway, &first["id"], "nine").await;

    let event = told(&gateway, |event| event["payload"]["id"] == receipt["id"]).await;
    let data = &event["payload"];
    assert_eq!((&event["type"], &data["status"]), (&json!("message.updated"), &json!("failed")), "{event}");
    assert!(text(&data["error"]).contains("479"), "{event}");
    assert_eq!(sent(&gateway, &first).await["editedAt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_others_only_a_group_admin_deletes_and_an_unknown_message_needs_its_chat() {
    let gateway = tenant().await;
    let (phones, contact) = (gateway.phones(), text(&gateway.info["contactPhone"]));
    let theirs = json!(written(&gateway, json!({ "text": "hi" })).await);
    let group = json!({ "subject": "Team", "creator": gateway.info["devicePhone"], "members": [contact] });
    let id = text(&phones.post("/groups", group).await["id"]);
    let said = json!({ "from": contact, "text": "spam" });
    let said = phones.post(&format!("/groups/{id}/messages"), said).await["id"].clone();
    told(&gateway, |event| event["payload"]["id"] == said).await;
    let delete = async |id: &Value, query: &str| {
        answer(gateway.request("DELETE", &format!("{}{query}", path(&gateway, id)))).await
    };
    let unknown = json!("3EB0FFFFFFFFFFFFFFFFFF");

    assert_eq!(delete(&theirs, "").await.1["error"]["code"], "CONFLICT");
    assert_eq!(delete(&unknown, "").await.0, 404);
    assert_eq!(delete(&json!("msg_00000000000000000000000000000000"), &format!("?to={contact}")).await.0, 404);
    let (status, refused) = delete(&unknown, &format!("?to={contact}&participant={contact}")).await;
    assert_eq!((status, super::kinds::fields(&refused)), (400, vec!["participant".to_owned()]));
    assert_eq!(delete(&unknown, &format!("?to={contact}")).await.0, 200);
    assert_eq!(delete(&said, "").await.0, 200);

    let inbox = until("both deletions on the phone", async || {
        let inbox = phones.inbox(&contact, 0).await;
        let deletions: Vec<Value> =
            inbox.iter().filter(|entry| entry["type"] == "delete").map(|entry| entry["delete"]["id"].clone()).collect();
        (deletions.len() >= 2).then_some(deletions)
    })
    .await;
    assert!(inbox.contains(&unknown) && inbox.contains(&said), "{inbox:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_in_a_group_waits_until_whatsapp_tells_how_the_group_is_addressed() {
    let gateway = tenant().await;
    let (phones, contact) = (gateway.phones(), text(&gateway.info["contactPhone"]));
    let group = json!({ "subject": "Team", "creator": gateway.info["devicePhone"], "members": [contact] });
    let group = format!("{}@g.us", text(&phones.post("/groups", group).await["id"]));
    let first = send(&gateway, "text", json!({ "to": group, "text": "ten" })).await;
    sent(&gateway, &first).await;
    // Another connection has to ask again.
    answer(gateway.request("POST", &gateway.device("/stop"))).await;
    let (_, receipt) = edit(&gateway, &first["id"], "nine").await;
    let refusal = json!({ "phone": gateway.info["devicePhone"], "match": { "tag": "iq", "xmlns": "w:g2" },
        "action": "nack", "code": "500", "count": 1 });
    phones.post("/faults", refusal).await;

    answer(gateway.request("POST", &gateway.device("/start"))).await;

    assert_eq!(shown(&gateway, &receipt).await["edit"], json!({ "id": first["messageId"], "text": "nine" }));
    let database = rusqlite::Connection::open(crate::support::database()).unwrap();
    let tries = "SELECT attempts FROM messages_outbox WHERE id = ?1";
    let tries: i64 = database.query_row(tries, [text(&receipt["id"])], |row| row.get(0)).unwrap();
    assert_eq!(tries, 2, "the first try did not guess");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_somebody_else_used_too_names_a_message_of_the_chat_that_is_named() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let first = gateway.send_text("ours", "key").await.unwrap();
    sent(&gateway, &first).await;
    let theirs = written(&gateway, json!({ "text": "buy here" })).await;
    // As of somebody who has seen the id of ours and gives it to a message in another chat.
    let copy = "UPDATE messages_inbox SET wa_id = ?1, chat = '77@lid', sender = '77@lid' WHERE wa_id = ?2";
    let database = rusqlite::Connection::open(crate::support::database()).unwrap();
    assert_eq!(database.execute(copy, [&text(&first["messageId"]), &theirs]).unwrap(), 1);
    let forward = async |from: Value| {
        let body = json!({ "to": contact, "messageId": first["messageId"], "from": from });
        answer(gateway.request("POST", &gateway.device("/messages/forward")).json(&body)).await
    };
    let delete = async |query: &str| {
        let path = format!("{}{query}", path(&gateway, &first["messageId"]));
        answer(gateway.request("DELETE", &path)).await
    };

    let (status, refused) = forward(Value::Null).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")), "{refused}");
    assert!(text(&refused["error"]["message"]).contains("`from`"), "{refused}");
    let (status, ours) = forward(json!(contact)).await;
    assert_eq!(status, 200, "{ours}");
    assert_eq!(shown(&gateway, &ours).await["text"], "ours");
    let (status, refused) = delete("").await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")), "{refused}");
    assert!(text(&refused["error"]["message"]).contains("`to`"), "{refused}");
    assert_eq!(delete("?to=77@lid").await.0, 409, "that one is not ours to delete");
    assert_eq!(delete(&format!("?to={contact}")).await.0, 200);
    let event = told(&gateway, |event| event["type"] == "message.deleted").await;
    let data = &event["payload"];
    assert_eq!((&data["messageId"], &data["fromMe"]), (&first["messageId"], &json!(true)), "{event}");
    assert!(text(&data["chat"]).starts_with(&contact), "{event}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_another_device_is_not_found_by_our_id_nor_by_whatsapps() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let poll = json!({ "to": contact, "question": "?", "options": ["a", "b"] });
    let poll = send(&gateway, "poll", poll).await;
    let third = format!("{contact}8");
    gateway.phones().post("/accounts", json!({ "phone": third, "name": "Dewi" })).await;
    let other = gateway.link(&third).await;

    for id in [text(&poll["id"]), text(&poll["messageId"])] {
        for (method, of) in [
            ("PATCH", format!("/messages/{id}")),
            ("DELETE", format!("/messages/{id}")),
            ("GET", format!("/messages/{id}/poll")),
            ("GET", format!("/messages/{id}/status")),
            ("POST", "/messages/forward".to_owned()),
        ] {
            let body = json!({ "text": "x", "to": contact, "messageId": id });
            let request = gateway.request(method, &format!("/v1/devices/{other}{of}")).json(&body);
            let (status, refused) = answer(request).await;
            assert_eq!((status, &refused["error"]["code"]), (404, &json!("NOT_FOUND")), "{method} {of}: {refused}");
        }
    }
}
