//! Status posts: the account's own, as those see them whom they are for, and those of others.

use super::kinds::{fields, stored, told};
use crate::plugins::{everything, guest, upload};
use crate::support::{Tenant, answer, form, mp4, png, sha256, tenant, text, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const STATUS: &str = "status@broadcast";

/// Posts, and returns the receipt.
async fn post(gateway: &Tenant, kind: &str, body: Value) -> Value {
    let (status, receipt) = tried(gateway, kind, body).await;
    assert_eq!((status, &receipt["status"]), (200, &json!("queued")), "{kind}: {receipt}");
    receipt
}

async fn tried(gateway: &Tenant, kind: &str, body: Value) -> (u16, Value) {
    answer(gateway.request("POST", &gateway.device(&format!("/status/{kind}"))).json(&body)).await
}

/// What this phone shows of the post.
async fn shown(gateway: &Tenant, phone: &str, id: &Value) -> Value {
    until("the post on a phone", async || {
        let inbox = gateway.phones().inbox(phone, 0).await;
        inbox.into_iter().find(|entry| entry["id"] == *id)
    })
    .await
}

async fn nothing_shown(gateway: &Tenant, phone: &str) -> bool {
    gateway.phones().get(&format!("/accounts/{phone}/inbox")).await == json!([])
}

/// An account beside the contact, who is told nothing of yet.
async fn stranger(gateway: &Tenant, last: char) -> String {
    let phone = format!("{}{last}", text(&gateway.info["contactPhone"]));
    gateway.phones().post("/accounts", json!({ "phone": phone, "name": "Siti" })).await;
    phone
}

/// What the contact posts; returns its id once the gateway has told it.
async fn posted_by_contact(gateway: &Tenant, body: Value) -> (String, Value) {
    let contact = text(&gateway.info["contactPhone"]);
    let mut body = body;
    body["to"] = json!(STATUS);
    let made = gateway.phones().post(&format!("/accounts/{contact}/messages"), body).await;
    let id = text(&made["id"]);
    let event = told(gateway, |event| event["payload"]["id"] == id.as_str()).await;
    (id, event)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_reaches_those_it_is_for_and_everybody_who_sees_it_is_told() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let (second, third) = (stranger(&gateway, '7').await, stranger(&gateway, '8').await);
    let body = json!({ "text": "open until nine", "backgroundColor": "#102030", "font": "system_bold",
        "recipients": [contact, format!("+{second}"), contact], "idempotencyKey": "one" });

    let receipt = post(&gateway, "text", body.clone()).await;

    let id = &receipt["messageId"];
    for phone in [&contact, &second] {
        let seen = shown(&gateway, phone, id).await;
        assert_eq!((&seen["chat"], &seen["text"]), (&json!(STATUS), &json!("open until nine")));
        assert_eq!(seen["style"], json!({ "background": 0xFF10_2030_u32, "font": 6 }));
    }
    let viewers = until("both to be told as viewers", async || {
        let events = gateway.get(&gateway.device("/events?limit=500&type=receipt.read")).await;
        let of = |event: &&Value| event["payload"]["waMessageId"] == *id && event["payload"]["chat"] == STATUS;
        let by: Vec<String> =
            events.as_array().unwrap().iter().filter(of).map(|one| text(&one["payload"]["by"])).collect();
        (by.len() >= 2).then_some(by)
    })
    .await;
    assert!(viewers.len() == 2 && viewers[0] != viewers[1], "{viewers:?}");
    let progress = gateway.get(&gateway.device(&format!("/messages/{}/status", text(&receipt["id"])))).await;
    assert_eq!((&progress["status"], &progress["waMessageId"]), (&json!("read"), id), "{progress}");
    let sent = told(&gateway, |event| event["type"] == "message.sent" && event["payload"]["waMessageId"] == *id).await;
    assert_eq!((&sent["payload"]["chat"], &sent["payload"]["type"]), (&json!(STATUS), &json!("text")));
    assert!(nothing_shown(&gateway, &third).await, "it is not for everybody");
    let (status, again) = tried(&gateway, "text", body.clone()).await;
    assert_eq!((status, &again["id"]), (200, &receipt["id"]), "a repeat posts nothing");
    let mut other = body;
    other["recipients"] = json!([contact]);
    assert_eq!(tried(&gateway, "text", other).await.1["error"]["code"], "IDEMPOTENCY_MISMATCH");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_recipients_a_post_is_for_the_address_book_and_is_taken_back_from_the_same_people() {
    let gateway = tenant().await;
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    let other = stranger(&gateway, '7').await;
    let (status, nobody) = tried(&gateway, "text", json!({ "text": "hello" })).await;
    assert_eq!((status, &nobody["error"]["code"]), (409, &json!("CONFLICT")), "{nobody}");
    let named = json!({ "contact": { "phone": contact, "name": "Budi Santoso" } });
    gateway.phones().post(&format!("/accounts/{device}/settings"), named).await;
    until("the address book", async || {
        let people = gateway.get(&gateway.device("/contacts")).await;
        people["data"]["contacts"].as_array().unwrap().iter().any(|one| one["name"] == "Budi Santoso").then_some(())
    })
    .await;

    let receipt = post(&gateway, "text", json!({ "text": "hello" })).await;
    let id = &receipt["messageId"];
    shown(&gateway, &contact, id).await;
    // Who joins the address book later has not seen it and hears nothing of its end.
    let named = json!({ "contact": { "phone": other, "name": "Siti" } });
    gateway.phones().post(&format!("/accounts/{device}/settings"), named).await;
    let path = gateway.device(&format!("/status/{}", text(&receipt["id"])));
    let (status, deleted) = answer(gateway.request("DELETE", &path)).await;

    assert_eq!((status, &deleted), (200, &json!({ "success": true })));
    let event =
        told(&gateway, |event| event["type"] == "message.deleted" && event["payload"]["messageId"] == *id).await;
    assert_eq!((&event["payload"]["chat"], &event["payload"]["fromMe"]), (&json!(STATUS), &json!(true)));
    until("the phone to take it back", async || {
        let inbox = gateway.phones().inbox(&contact, 0).await;
        inbox.into_iter().find(|entry| entry["type"] == "delete" && entry["delete"]["id"] == *id)
    })
    .await;
    let progress = gateway.get(&gateway.device(&format!("/messages/{}/status", text(&receipt["id"])))).await;
    assert!(progress["deletedAt"].is_i64(), "{progress}");
    assert!(nothing_shown(&gateway, &other).await);
    let no_post = text(&gateway.send_text("no post", "key").await.unwrap()["id"]);
    for id in ["3EB0FF", &no_post] {
        assert_eq!(answer(gateway.request("DELETE", &gateway.device(&format!("/status/{id}")))).await.0, 404, "{id}");
    }
    let chats = gateway.get(&gateway.device("/chats?limit=200")).await;
    assert!(chats["chats"].as_array().unwrap().iter().all(|chat| chat["jid"] != STATUS), "{chats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_posted_from_each_place_that_a_file_comes_from() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let file = png(400);
    let (kind, body) = form(&[
        ("file", Some(("a.png", "image/png")), &file),
        ("caption", None, b"new in"),
        ("recipients", None, format!("{contact}, {contact}").as_bytes()),
    ]);
    let path = gateway.device("/status/image");
    let by_form = gateway.request("POST", &path).header("content-type", kind).body(body);
    let (status, first) = answer(by_form).await;
    assert_eq!(status, 200, "{first}");
    let content = stored(&text(&gateway.info["deviceId"]), &text(&first["messageId"]));
    let id = &content["shown"]["media_id"];
    let second = post(&gateway, "image", json!({ "mediaId": id, "recipients": [contact] })).await;

    for (receipt, caption) in [(&first, json!("new in")), (&second, Value::Null)] {
        let seen = shown(&gateway, &contact, &receipt["messageId"]).await;
        assert_eq!((&seen["chat"], &seen["media"]["kind"]), (&json!(STATUS), &json!("image")), "{seen}");
        assert_eq!((&seen["media"]["sha256"], &seen["media"]["caption"]), (&json!(sha256(&file)), &caption));
    }
    assert_eq!(content["audience"]["people"].as_array().map(Vec::len), Some(1), "{content}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_is_posted_too() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let film = mp4();
    let body = json!({ "mediaBuffer": STANDARD.encode(&film), "caption": "moving", "recipients": [contact] });

    let receipt = post(&gateway, "video", body).await;

    let seen = shown(&gateway, &contact, &receipt["messageId"]).await;
    assert_eq!((&seen["media"]["kind"], &seen["media"]["sha256"]), (&json!("video"), &json!(sha256(&film))), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_post_is_told_stands_in_no_chat_and_is_viewed_once_asked() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);

    let (id, event) = posted_by_contact(&gateway, json!({ "text": "at the beach" })).await;

    let data = &event["payload"];
    assert_eq!(
        (&event["type"], &data["chat"], &data["type"]),
        (&json!("message.received"), &json!(STATUS), &json!("text"))
    );
    assert_eq!(
        (&data["text"], &data["isGroup"], &data["fromMe"]),
        (&json!("at the beach"), &json!(false), &json!(false))
    );
    assert_eq!(data["sender"]["phone"], json!(contact), "{data}");
    let chats = gateway.get(&gateway.device("/chats?limit=200")).await;
    assert!(chats["chats"].as_array().unwrap().iter().all(|chat| chat["jid"] != STATUS), "{chats}");
    let views = format!("/accounts/{contact}/views");
    assert_eq!(gateway.phones().get(&views).await, json!([]), "receiving is not viewing");
    let path = gateway.device(&format!("/status/{id}/view"));
    let (status, done) = answer(gateway.request("POST", &path)).await;
    assert_eq!(status, 200, "{done}");
    let seen = until("the view", async || {
        let seen = gateway.phones().get(&views).await;
        (seen != json!([])).then_some(seen)
    })
    .await;
    assert_eq!(seen, json!([{ "id": id, "by": gateway.info["devicePhone"] }]));
    let mine = post(&gateway, "text", json!({ "text": "mine", "recipients": [contact] })).await;
    for (other, status) in [(text(&mine["messageId"]), 409), (text(&mine["id"]), 404), ("3EB0FF".into(), 404)] {
        let path = gateway.device(&format!("/status/{other}/view"));
        assert_eq!(answer(gateway.request("POST", &path)).await.0, status, "{other}");
    }
    let delete = gateway.request("DELETE", &gateway.device(&format!("/status/{id}")));
    assert_eq!(answer(delete).await.1["error"]["code"], "CONFLICT", "it is the contact's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contacts_posts_are_muted_on_every_device_of_the_account() {
    let gateway = tenant().await;
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    let second = gateway.link(&device).await;
    let path = gateway.device(&format!("/contacts/{contact}/status-mute"));
    let muted = async |id: &str, on: bool| {
        until("the mute", async || {
            let people = gateway.get(&format!("/v1/devices/{id}/contacts")).await;
            let jid = format!("{contact}@s.whatsapp.net");
            let people = people["data"]["contacts"].as_array().unwrap().clone();
            people.iter().any(|one| one["jid"] == jid && one["statusMuted"] == on).then_some(())
        })
        .await;
    };

    let (status, done) = answer(gateway.request("POST", &path).json(&json!({ "mute": true }))).await;

    assert_eq!(status, 200, "{done}");
    muted(&text(&gateway.info["deviceId"]), true).await;
    muted(&second, true).await;
    told(&gateway, |event| {
        event["type"] == "contact.updated" && event["payload"]["changes"] == json!({ "statusMuted": true })
    })
    .await;
    let end = json!({ "mute_status": { "phone": contact, "on": false } });
    gateway.phones().post(&format!("/accounts/{device}/settings"), end).await;
    muted(&text(&gateway.info["deviceId"]), false).await;
    muted(&second, false).await;
    for (body, field) in [(json!({}), "mute"), (json!({ "mute": "yes" }), "mute")] {
        let (status, refused) = answer(gateway.request("POST", &path).json(&body)).await;
        assert_eq!((status, fields(&refused)), (400, vec![field.to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_of_a_post_is_named_and_nothing_is_posted() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let long = "x".repeat(701);
    let many: Vec<String> = (0..1_001).map(|number| format!("62811{number:07}")).collect();

    for (kind, body, wrong) in [
        ("text", json!({}), vec!["text"]),
        (
            "text",
            json!({ "text": long, "backgroundColor": "red", "font": "comic", "recipients": ["0812", "1@g.us"] }),
            vec!["text", "backgroundColor", "font", "recipients[0]", "recipients[1]"],
        ),
        ("text", json!({ "text": "a", "recipients": [] }), vec!["recipients"]),
        ("text", json!({ "text": "a", "recipients": many }), vec!["recipients"]),
        ("text", json!({ "text": "a", "recipients": [STATUS] }), vec!["recipients[0]"]),
        ("image", json!({ "recipients": [contact] }), vec!["media"]),
        ("video", json!({ "mediaBuffer": "!", "recipients": contact }), vec!["mediaBuffer"]),
    ] {
        let (status, refused) = tried(&gateway, kind, body).await;
        assert_eq!((status, fields(&refused)), (400, wrong.iter().map(ToString::to_string).collect()), "{kind}");
    }
    let (status, refused) =
        answer(gateway.request("POST", &gateway.device("/messages/text")).json(&json!({ "to": STATUS, "text": "a" })))
            .await;
    assert_eq!((status, fields(&refused)), (400, vec!["to".to_owned()]), "a post is no message to a chat");
    let audio = json!({ "mediaBuffer": "T2dnUwACAAAAAAAAAAA=", "mimeType": "audio/ogg", "recipients": [contact] });
    assert_eq!(tried(&gateway, "image", audio).await.0, 415);
    assert!(nothing_shown(&gateway, &contact).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_sees_a_post_before_it_is_taken() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let settings = json!({ "grants": everything() });
    assert_eq!(upload(&gateway, &guest("rust"), Some(settings)).await.0, 201);
    answer(gateway.request("POST", "/v1/plugins/example-rust/enable")).await;

    let (status, refused) = tried(&gateway, "text", json!({ "text": "buy spam", "recipients": [contact] })).await;

    assert_eq!((status, &refused["error"]["code"]), (422, &json!("PLUGIN_REJECTED")), "{refused}");
    let taken = post(&gateway, "text", json!({ "text": "buy ham", "recipients": [contact] })).await;
    shown(&gateway, &contact, &taken["messageId"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_on_whatsapp_is_not_asked_about_again_with_the_next_post() {
    let gateway = tenant().await;
    let nobody = json!([format!("{}9", text(&gateway.info["contactPhone"]))]);
    let failed = async |words: &str| {
        let receipt = post(&gateway, "text", json!({ "text": words, "recipients": nobody })).await;
        until("the post to fail", async || {
            let path = gateway.device(&format!("/messages/{}/status", text(&receipt["id"])));
            (gateway.get(&path).await["status"] == "failed").then_some(())
        })
        .await;
    };

    failed("one").await;
    // Nobody answers such a question any more.
    let unanswered = json!({ "phone": gateway.info["devicePhone"], "action": "drop",
        "match": { "tag": "iq", "xmlns": "usync", "direction": "in" } });
    gateway.phones().post("/faults", unanswered).await;

    failed("two").await;
}
