//! Chats: which there are, what stands in them, and what is done to one: read back by another device of the account.

use super::kinds::{fields, send, written};
use crate::support::{Phones, Tenant, answer, png, tenant, text, until};
use serde_json::{Value, json};

async fn ask(gateway: &Tenant, device: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    answer(gateway.request(method, &format!("/v1/devices/{device}{path}")).json(&body)).await
}

pub async fn done(gateway: &Tenant, device: &str, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = ask(gateway, device, method, path, body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

async fn two_devices() -> (Tenant, String, String) {
    let gateway = tenant().await;
    let first = text(&gateway.info["deviceId"]);
    let second = gateway.link(&text(&gateway.info["devicePhone"])).await;
    (gateway, first, second)
}

/// Two devices of an account with a chat, each of which has taken in something of the other: neither is still taking in
/// what was before it was linked.
pub async fn devices_in_step() -> (Tenant, String, String) {
    let (gateway, first, second) = two_devices().await;
    let contact = text(&gateway.info["contactPhone"]);
    written(&gateway, json!({ "text": "are you open?" })).await;
    chat(&gateway, &second, &contact_jid(&gateway), |_| true).await;
    for (by, seen_by) in [(&first, &second), (&second, &first)] {
        for on in [true, false] {
            until("the other device to take it in", async || {
                for action in ["pin", "mute"] {
                    done(&gateway, by, "POST", &format!("/chats/{contact}/{action}"), json!({ action: on })).await;
                }
                let listed = done(&gateway, seen_by, "GET", "/chats", Value::Null).await;
                let chat = &listed["chats"][0];
                (chat["pinned"] == on && chat["muted"] == on).then_some(())
            })
            .await;
        }
    }
    (gateway, first, second)
}

/// The chat with this address as the device lists it, once it is as wanted.
pub async fn chat(gateway: &Tenant, device: &str, jid: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until("the chat to be as wanted", async || {
        let listed = done(gateway, device, "GET", "/chats?limit=200", Value::Null).await;
        listed["chats"].as_array().unwrap().iter().find(|chat| chat["jid"] == jid && wanted(chat)).cloned()
    })
    .await
}

async fn event(gateway: &Tenant, device: &str, type_: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/devices/{device}/events?cursor=0&type={type_}&limit=500");
    until(type_, async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        events.into_iter().map(|event| event["payload"].clone()).find(&fits)
    })
    .await
}

pub fn contact_jid(gateway: &Tenant) -> String {
    format!("{}@s.whatsapp.net", text(&gateway.info["contactPhone"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_has_both_directions_and_is_found_by_every_address_of_a_person() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let received = written(&gateway, json!({ "text": "is it open?" })).await;
    let sent = send(&gateway, "text", json!({ "to": contact, "text": "until nine" })).await;

    let shown = chat(&gateway, &device, &contact_jid(&gateway), |chat| chat["unreadCount"].as_u64() >= Some(1)).await;
    assert_eq!((&shown["phoneNumber"], &shown["isGroup"]), (&json!(contact), &json!(false)), "{shown}");
    assert_eq!((&shown["name"], &shown["archived"], &shown["muted"]), (&json!("Budi"), &json!(false), &json!(false)));
    assert!(shown["lastMessageTime"].is_i64(), "{shown}");
    let lid = text(
        &done(&gateway, &device, "GET", &format!("/contacts/{contact}/identity"), Value::Null).await["data"]["lid"],
    );

    for name in [contact.clone(), format!("+{contact}"), contact_jid(&gateway), lid] {
        let path = format!("/chats/{}/messages", name.replace('+', "%2B"));
        let read = until("the answer of the contact", async || {
            let read = done(&gateway, &device, "GET", &path, Value::Null).await;
            (read["messages"].as_array().unwrap().len() >= 3).then_some(read)
        })
        .await;
        let messages = read["messages"].as_array().unwrap();
        let of = |id: &Value| {
            messages.iter().find(|one| one["waMessageId"] == *id).unwrap_or_else(|| panic!("{id}: {read}"))
        };
        let theirs = of(&json!(received));
        assert_eq!(
            (&theirs["text"], &theirs["fromMe"], &theirs["id"]),
            (&json!("is it open?"), &json!(false), &json!(received))
        );
        assert!(theirs.get("status").is_none(), "{theirs}");
        let ours = of(&sent["messageId"]);
        assert_eq!((&ours["text"], &ours["fromMe"], &ours["id"]), (&json!("until nine"), &json!(true), &sent["id"]));
        assert!(ours["status"].is_string() && ours["timestamp"].is_i64(), "{ours}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_chat_follow_each_other_without_a_gap() {
    let gateway = tenant().await;
    let device = text(&gateway.info["deviceId"]);
    let contact = text(&gateway.info["contactPhone"]);
    for number in 0..5 {
        written(&gateway, json!({ "text": format!("number {number}") })).await;
    }

    let path = format!("/chats/{contact}/messages?limit=2");
    let (mut texts, mut next) = (Vec::new(), String::new());
    loop {
        let page = done(&gateway, &device, "GET", &format!("{path}{next}"), Value::Null).await;
        texts.extend(page["messages"].as_array().unwrap().iter().map(|one| text(&one["text"])));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        next = format!("&before={cursor}");
    }
    assert_eq!(texts, ["number 4", "number 3", "number 2", "number 1", "number 0"]);

    let all = done(&gateway, &device, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
    let third = text(&all["messages"][2]["id"]);
    let before = done(&gateway, &device, "GET", &format!("{path}&before={third}"), Value::Null).await;
    assert_eq!(before["messages"][0]["text"], "number 1");
    let first = all["messages"][4]["timestamp"].as_i64().unwrap();
    let none = done(&gateway, &device, "GET", &format!("{path}&before={first}"), Value::Null).await;
    assert_eq!(none, json!({ "messages": [] }));
    for (query, field) in
        [("limit=0", "limit"), ("limit=201", "limit"), ("before=1.x", "before"), ("before=3EB0FF", "before")]
    {
        let path = format!("/chats/{contact}/messages?{query}");
        let (status, refused) = ask(&gateway, &device, "GET", &path, Value::Null).await;
        assert_eq!((status, fields(&refused)), (400, vec![field.to_owned()]), "{query}");
    }
    let (status, _) = ask(&gateway, &device, "GET", "/chats/6281299999999/messages", Value::Null).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_a_chat_is_read_back_by_another_device() {
    let (gateway, first, second) = devices_in_step().await;
    let (contact, jid) = (text(&gateway.info["contactPhone"]), contact_jid(&gateway));
    let id = written(&gateway, json!({ "text": "keep this" })).await;
    chat(&gateway, &second, &jid, |chat| chat["unreadCount"] == 2).await;
    let post =
        async |path: &str, body: Value| done(&gateway, &first, "POST", &format!("/chats/{contact}{path}"), body).await;

    assert_eq!(post("/archive", json!({ "archive": true })).await, json!({ "success": true }));
    chat(&gateway, &second, &jid, |chat| chat["archived"] == true).await;
    chat(&gateway, &first, &jid, |chat| chat["archived"] == true).await;
    event(&gateway, &second, "chat.updated", |data| data["changes"]["archived"] == true && data["chat"] == jid).await;
    post("/archive", json!({ "archived": false })).await;
    chat(&gateway, &second, &jid, |chat| chat["archived"] == false).await;

    post("/pin", json!({ "pin": true })).await;
    chat(&gateway, &second, &jid, |chat| chat["pinned"] == true).await;

    post(&format!("/messages/{id}/star"), json!({ "star": true })).await;
    event(&gateway, &second, "chat.updated", |data| data["changes"]["messageId"] == id.as_str()).await;
    let read = done(&gateway, &second, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
    assert_eq!(read["messages"][0]["starred"], true, "{read}");

    written(&gateway, json!({ "text": "and not this" })).await;
    chat(&gateway, &second, &jid, |chat| chat["unreadCount"] == 3).await;
    post("/clear", json!({ "keepStarred": true })).await;
    event(&gateway, &second, "chat.updated", |data| data["changes"]["cleared"] == true).await;
    let read = done(&gateway, &second, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
    assert_eq!(read["messages"].as_array().unwrap().len(), 1, "{read}");
    post("/clear", json!({})).await;
    until("nothing to be left", async || {
        let read = done(&gateway, &second, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
        (read == json!({ "messages": [] })).then_some(())
    })
    .await;

    done(&gateway, &first, "DELETE", &format!("/chats/{contact}"), Value::Null).await;
    event(&gateway, &second, "chat.updated", |data| data["changes"]["deleted"] == true).await;
    for device in [&first, &second] {
        let (status, _) = ask(&gateway, device, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
        assert_eq!(status, 404, "the chat is gone");
    }
    let sync = done(&gateway, &second, "GET", "/debug/chats-sync", Value::Null).await;
    assert_eq!(
        (&sync["data"]["deviceId"], &sync["data"]["connection"]["is_connected"]),
        (&json!(second), &json!(true))
    );
    assert_eq!(sync["data"]["db"]["chatCount"], 0);
    assert!(sync["data"]["sync"]["lastChatsDeleteAt"].is_i64(), "{sync}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marking_as_read_tells_who_wrote_and_the_other_devices() {
    let (gateway, first, second) = two_devices().await;
    let (phone, contact) = (text(&gateway.info["devicePhone"]), text(&gateway.info["contactPhone"]));
    let writer = gateway.link(&contact).await;
    let say = async |words: &str| {
        let body = json!({ "to": phone, "text": words });
        done(&gateway, &writer, "POST", "/messages/text", body).await
    };
    let (one, two) = (say("one").await, say("two").await);
    for device in [&first, &second] {
        chat(&gateway, device, &contact_jid(&gateway), |chat| chat["unreadCount"] == 2).await;
    }

    let path = format!("/chats/{contact}/mark-read");
    done(&gateway, &first, "POST", &path, json!({ "messageIds": [one["messageId"]] })).await;
    event(&gateway, &writer, "receipt.read", |data| data["id"] == one["id"]).await;
    chat(&gateway, &first, &contact_jid(&gateway), |chat| chat["unreadCount"] == 1).await;

    assert_eq!(done(&gateway, &first, "POST", &path, json!({})).await, json!({ "success": true }));
    event(&gateway, &writer, "receipt.read", |data| data["id"] == two["id"]).await;
    for device in [&first, &second] {
        chat(&gateway, device, &contact_jid(&gateway), |chat| chat["unreadCount"] == 0).await;
    }
    let read = done(&gateway, &writer, "GET", &format!("/chats/{phone}/messages"), Value::Null).await;
    assert_eq!(
        (&read["messages"][0]["text"], &read["messages"][0]["status"]),
        (&json!("two"), &json!("read")),
        "{read}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_side_hears_after_which_time_messages_of_the_chat_disappear() {
    let (gateway, first, second) = two_devices().await;
    let contact = text(&gateway.info["contactPhone"]);
    let path = format!("/chats/{contact}/disappearing");

    done(&gateway, &first, "PUT", &path, json!({ "seconds": 604_800 })).await;
    done(&gateway, &second, "PUT", &path, json!({ "seconds": 0 })).await;

    let timers = until("both times to be shown", async || {
        let shown = gateway.phones().get(&format!("/accounts/{contact}/inbox")).await;
        let timers = shown.as_array()?.iter().filter(|entry| entry["type"] == "timer");
        let timers: Vec<Value> = timers.map(|entry| entry["timer"]["seconds"].clone()).collect();
        (timers.len() == 2).then_some(timers)
    })
    .await;
    assert_eq!(timers, [json!(604_800), json!(0)]);
    // It is a message to WhatsApp alone: nothing of it stands in the chat, on neither device.
    written(&gateway, json!({ "text": "behind it" })).await;
    event(&gateway, &second, "message.received", |data| data["text"] == "behind it").await;
    for device in [&first, &second] {
        let stands = done(&gateway, device, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
        assert_eq!(stands["messages"].as_array().unwrap().len(), 1, "{stands}");
    }
    for (chat, body, expected) in [
        (contact.as_str(), json!({ "seconds": 60 }), vec!["seconds"]),
        (contact.as_str(), json!({}), vec!["seconds"]),
        ("120363000000000001@g.us", json!({ "seconds": "x" }), vec!["chat", "seconds"]),
    ] {
        let path = format!("/chats/{chat}/disappearing");
        let (status, refused) = ask(&gateway, &first, "PUT", &path, body).await;
        assert_eq!((status, fields(&refused)), (400, expected.iter().map(ToString::to_string).collect()), "{chat}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_of_a_change_is_named_and_an_unknown_chat_is_not_found() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    written(&gateway, json!({ "text": "hello" })).await;
    for (path, body, expected) in [
        ("/archive", json!({}), vec!["archive"]),
        ("/archive", json!({ "archive": "yes" }), vec!["archive"]),
        ("/archive", json!({ "archive": true, "archived": true }), vec!["archived"]),
        ("/mute", json!({ "mute": 1, "durationMs": 0 }), vec!["mute", "durationMs"]),
        ("/mute", json!({ "mute": true, "durationMs": 1, "durationSeconds": 1 }), vec!["durationSeconds"]),
        ("/pin", json!({ "pin": null }), vec!["pin"]),
        ("/mark-read", json!({ "messageIds": [7, ""] }), vec!["messageIds[0]", "messageIds[1]"]),
        ("/mark-read", json!({ "messageIds": ["3EB0FFFF"] }), vec!["messageIds[0]"]),
        ("/clear", json!({ "keepStarred": "no" }), vec!["keepStarred"]),
        ("/messages/X/star", json!({}), vec!["star"]),
    ] {
        let (status, refused) = ask(&gateway, &device, "POST", &format!("/chats/{contact}{path}"), body.clone()).await;
        assert_eq!(
            (status, fields(&refused)),
            (400, expected.iter().map(ToString::to_string).collect()),
            "{path} {body}"
        );
    }
    let (status, refused) = ask(&gateway, &device, "POST", "/chats/0812/archive", json!({ "archive": true })).await;
    assert_eq!((status, fields(&refused)), (400, vec!["chat".to_owned()]));
    for (method, path) in [
        ("POST", "/chats/6281299999999/mark-read".to_owned()),
        ("POST", "/chats/6281299999999/clear".to_owned()),
        ("DELETE", "/chats/6281299999999".to_owned()),
        ("POST", format!("/chats/{contact}/messages/3EB0FFFF/star")),
    ] {
        let (status, refused) = ask(&gateway, &device, method, &path, json!({ "star": true })).await;
        assert_eq!((status, &refused["error"]["code"]), (404, &json!("NOT_FOUND")), "{path}");
    }
    for query in ["limit=201", "offset=x"] {
        let (status, _) = ask(&gateway, &device, "GET", &format!("/chats?{query}"), Value::Null).await;
        assert_eq!(status, 400, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_of_history_are_taken_in_beside_what_happens_now() {
    let gateway = tenant().await;
    let phone = "6281277000001";
    let phones = Phones::at(text(&gateway.info["simulator"]));
    phones.post("/accounts", json!({ "phone": phone, "name": "Old" })).await;
    phones.post(&format!("/accounts/{phone}/history"), json!({ "chats": 20, "messages": 500 })).await;

    let device = gateway.link(phone).await;
    let path = format!("/v1/devices/{device}/messages/text");
    let body = json!({ "to": gateway.info["contactPhone"], "text": "meanwhile" });
    let (status, sent) = answer(gateway.request("POST", &path).json(&body)).await;
    assert_eq!(status, 200, "{sent}");
    event(&gateway, &device, "message.sent", |data| data["id"] == sent["id"]).await;

    let synced = event(&gateway, &device, "history.synced", |data| data["progress"] == 100).await;
    assert_eq!((&synced["chats"], &synced["messages"]), (&json!(20), &json!(10_000)), "{synced}");
    let listed = done(&gateway, &device, "GET", "/chats?limit=5", Value::Null).await;
    assert_eq!((&listed["synced"], &listed["count"]), (&json!(true), &json!(21)), "{listed}");
    assert!(listed["lastHistorySyncAt"].is_i64() && listed["chats"].as_array().unwrap().len() == 5);
    let mut newest = done(&gateway, &device, "GET", "/chats/6289900000003/messages?limit=200", Value::Null).await;
    assert_eq!(newest["messages"][0]["text"], "number 499");
    assert_eq!((&newest["messages"][0]["fromMe"], &newest["messages"][0]["status"]), (&json!(true), &json!("sent")));
    let mut count = 0;
    loop {
        count += newest["messages"].as_array().unwrap().len();
        let Some(cursor) = newest["nextCursor"].as_str() else { break };
        let path = format!("/chats/6289900000003/messages?limit=200&before={cursor}");
        newest = done(&gateway, &device, "GET", &path, Value::Null).await;
    }
    assert_eq!(count, 500);

    let (mut people, mut next) = (Vec::new(), String::new());
    loop {
        let page = done(&gateway, &device, "GET", &format!("/contacts?limit=7{next}"), Value::Null).await;
        people.extend(page["data"]["contacts"].as_array().unwrap().clone());
        let Some(cursor) = page["data"]["nextCursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    let old: Vec<&Value> = people.iter().filter(|one| text(&one["jid"]).starts_with("62899")).collect();
    assert_eq!(old.len(), 20, "{people:?}");
    assert_eq!((&old[3]["phone"], &old[3]["pushName"]), (&json!("6289900000003"), &json!("Contact 6289900000003")));
    assert!(old.iter().all(|one| text(&one["lid"]).ends_with("@lid")), "{old:?}");

    let found = done(&gateway, &device, "GET", "/messages/search?q=NUMBER%20321&limit=100", Value::Null).await;
    assert_eq!(found["data"]["messages"].as_array().unwrap().len(), 20, "{found}");
    let path = "/messages/search?q=number%20321&chat=6289900000003";
    let found = done(&gateway, &device, "GET", path, Value::Null).await;
    assert_eq!(
        (&found["data"]["messages"][0]["text"], found["data"]["messages"].as_array().unwrap().len()),
        (&json!("number 321"), 1)
    );
    let other = text(&gateway.info["deviceId"]);
    let nothing = done(&gateway, &other, "GET", "/messages/search?q=number%20321", Value::Null).await;
    assert_eq!(nothing["data"], json!({ "messages": [] }), "another device's messages are not found");
    for (query, field) in [("", "q"), ("q=%20-%20", "q"), ("q=a&limit=101", "limit"), ("q=a&cursor=x", "cursor")] {
        let (status, refused) = ask(&gateway, &device, "GET", &format!("/messages/search?{query}"), Value::Null).await;
        assert_eq!((status, fields(&refused)), (400, vec![field.to_owned()]), "{query}");
    }

    let asked = done(&gateway, &device, "POST", "/history/sync", json!({ "chat": "6289900000003", "count": 10 })).await;
    assert_eq!(asked, json!({ "success": true }));
    let (status, refused) = ask(&gateway, &device, "POST", "/history/sync", json!({ "count": 501 })).await;
    assert_eq!((status, fields(&refused)), (400, vec!["chat".to_owned(), "count".to_owned()]));
    let (status, _) = ask(&gateway, &device, "POST", "/history/sync", json!({ "chat": "6281299999999" })).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_and_a_deletion_show_in_the_chat_and_leave_the_search() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let mine = send(&gateway, "text", json!({ "to": contact, "text": "opens at ten" })).await;
    event(&gateway, &device, "message.sent", |data| data["id"] == mine["id"]).await;
    let theirs = written(&gateway, json!({ "text": "a secretword of theirs" })).await;

    done(&gateway, &device, "PATCH", &format!("/messages/{}", text(&mine["id"])), json!({ "text": "opens at eleven" }))
        .await;
    let line = async |id: &Value, wanted: &str| {
        until(wanted, async || {
            let read = done(&gateway, &device, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
            let found = read["messages"].as_array().unwrap().iter().find(|one| one["waMessageId"] == *id).cloned();
            found.filter(|one| one[wanted] == true)
        })
        .await
    };
    assert_eq!(line(&mine["messageId"], "edited").await["text"], "opens at eleven");
    written(&gateway, json!({ "delete": { "id": theirs } })).await;
    assert!(line(&json!(theirs), "deleted").await.get("text").is_none());
    let found = done(&gateway, &device, "GET", "/messages/search?q=secretword", Value::Null).await;
    assert_eq!(found["data"]["messages"], json!([]), "what was taken back is not found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_within_the_same_second_stands_behind_what_it_answers() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let mut expected = Vec::new();

    for number in 0..6 {
        let words = format!("question {number}");
        send(&gateway, "text", json!({ "to": contact, "text": words })).await;
        let answer = format!("Got it: {words}");
        event(&gateway, &device, "message.received", |data| data["text"] == json!(answer)).await;
        expected.extend([words, answer]);
    }

    let read = done(&gateway, &device, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
    let texts: Vec<String> = read["messages"].as_array().unwrap().iter().map(|one| text(&one["text"])).collect();
    expected.reverse();
    assert_eq!(texts, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_a_chat_has_the_path_to_read_it_at_in_both_directions() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let theirs = written(&gateway, json!({ "media": { "kind": "image", "size": 3_000, "caption": "the menu" } })).await;
    let picture = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, png(2_000));
    let ours = json!({ "to": contact, "mediaBuffer": picture, "caption": "the shop" });
    let ours = send(&gateway, "image", ours).await;
    let words = written(&gateway, json!({ "text": "no file" })).await;

    let read = done(&gateway, &device, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
    let of = |id: &Value| {
        read["messages"].as_array().unwrap().iter().find(|one| one["waMessageId"] == *id).cloned().unwrap()
    };
    for (id, caption, size) in [(&json!(theirs), "the menu", 3_000), (&ours["messageId"], "the shop", 2_000)] {
        let line = of(id);
        assert_eq!(line["caption"], caption);
        let file = gateway.request("GET", &text(&line["mediaUrl"])).send().await.unwrap();
        assert_eq!((file.status().as_u16(), file.bytes().await.unwrap().len()), (200, size), "{line}");
    }
    assert!(of(&json!(words)).get("mediaUrl").is_none());

    let found = done(&gateway, &device, "GET", "/messages/search?q=menu", Value::Null).await;
    assert_eq!(found["data"]["messages"][0]["mediaUrl"], of(&json!(theirs))["mediaUrl"]);
    written(&gateway, json!({ "delete": { "id": theirs } })).await;
    let read = done(&gateway, &device, "GET", &format!("/chats/{contact}/messages"), Value::Null).await;
    let gone = read["messages"].as_array().unwrap().iter().find(|one| one["waMessageId"] == json!(theirs)).unwrap();
    assert_eq!((&gone["deleted"], gone.get("mediaUrl")), (&json!(true), None), "{gone}");
}
