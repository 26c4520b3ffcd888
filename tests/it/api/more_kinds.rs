//! Forwarded messages, templates, buttons and lists, and kinds that only others send.

use super::kinds::{fields, send, shown, told, written};
use crate::support::{Tenant, answer, tenant, text};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forwarded_says_so_and_counts_how_often() {
    let gateway = tenant().await;
    let to = &gateway.info["contactPhone"];
    let theirs = written(&gateway, json!({ "text": "news" })).await;
    let ours = json!({ "to": to, "latitude": 1.5, "longitude": 2.5, "name": "Here" });
    let ours = send(&gateway, "location", ours).await;
    shown(&gateway, &ours).await;

    let received = send(&gateway, "forward", json!({ "to": to, "messageId": theirs })).await;
    let sent = send(&gateway, "forward", json!({ "to": to, "messageId": ours["id"] })).await;
    let again = send(&gateway, "forward", json!({ "to": to, "messageId": sent["id"] })).await;

    let seen = shown(&gateway, &received).await;
    assert_eq!((&seen["text"], &seen["forwarded"]), (&json!("news"), &json!(0)));
    for receipt in [&sent, &again] {
        let seen = shown(&gateway, receipt).await;
        assert_eq!((&seen["location"]["name"], &seen["forwarded"]), (&json!("Here"), &json!(0)), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_or_a_poll_is_not_forwarded_and_an_unknown_message_is_not_found() {
    let gateway = tenant().await;
    let to = &gateway.info["contactPhone"];
    let theirs = written(&gateway, json!({ "text": "news" })).await;
    let reaction = send(&gateway, "reaction", json!({ "to": to, "messageId": theirs, "emoji": "👍" })).await;
    let poll = written(&gateway, json!({ "poll": { "question": "?", "options": ["a", "b"] } })).await;
    let path = gateway.device("/messages/forward");
    let forward = async |id: &Value| {
        let (status, refused) =
            answer(gateway.request("POST", &path).json(&json!({ "to": to, "messageId": id }))).await;
        (status, text(&refused["error"]["code"]))
    };

    assert_eq!(forward(&reaction["id"]).await, (409, "CONFLICT".into()));
    assert_eq!(forward(&json!(poll)).await, (409, "CONFLICT".into()));
    assert_eq!(forward(&json!("3EB0FFFFFFFFFFFFFFFFFF")).await, (404, "NOT_FOUND".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_kept_changed_filled_and_deleted() {
    let gateway = tenant().await;
    let body = json!({ "name": "order-ready", "text": "Hello {{name}}, order {{ order }} is ready, {{name}}." });
    let (status, made) = answer(gateway.request("POST", "/v1/templates").json(&body)).await;
    assert_eq!((status, &made["data"]["template"]["variables"]), (201, &json!(["name", "order"])), "{made}");
    let (status, taken) = answer(gateway.request("POST", "/v1/templates").json(&body)).await;
    assert_eq!((status, &taken["error"]["code"]), (409, &json!("ALREADY_EXISTS")));
    let path = format!("/v1/templates/{}", text(&made["data"]["template"]["id"]));

    let fill = |variables: Value| json!({ "to": gateway.info["contactPhone"], "template": "order-ready", "variables": variables });
    let filled = send(&gateway, "template", fill(json!({ "name": "Ana", "order": "{{7}}" }))).await;
    let send_path = gateway.device("/messages/template");
    let (status, misfit) =
        answer(gateway.request("POST", &send_path).json(&fill(json!({ "name": "Ana", "nmae": "Ana" })))).await;
    let missing = json!({ "to": gateway.info["contactPhone"], "template": "no-such" });
    let (none, _) = answer(gateway.request("POST", &send_path).json(&missing)).await;

    assert_eq!(shown(&gateway, &filled).await["text"], "Hello Ana, order {{7}} is ready, Ana.");
    assert_eq!((status, fields(&misfit)), (400, vec!["variables.order".into(), "variables.nmae".into()]), "{misfit}");
    assert_eq!(none, 404);
    let changed = json!({ "name": "ready", "text": "Done" });
    let (status, changed) = answer(gateway.request("PUT", &path).json(&changed)).await;
    assert_eq!((status, &changed["data"]["template"]["variables"]), (200, &json!([])));
    assert_eq!(gateway.get("/v1/templates/ready").await["data"]["template"], changed["data"]["template"]);
    let all = gateway.get("/v1/templates").await;
    assert_eq!((&all["data"]["total"], &all["data"]["templates"][0]["name"]), (&json!(1), &json!("ready")));
    let (status, refused) = answer(gateway.request("PUT", &path).json(&json!({ "name": "a b" }))).await;
    assert_eq!((status, fields(&refused)), (400, vec!["name".into(), "text".into()]));
    assert_eq!(answer(gateway.request("DELETE", &path)).await.0, 200);
    assert_eq!(answer(gateway.request("GET", &path)).await.0, 404);
    assert_eq!(gateway.get("/v1/templates").await["data"]["templates"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buttons_and_a_list_are_shown_and_what_is_chosen_is_told() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let buttons = json!({ "to": contact, "body": "Shall we?", "header": "Order 7", "footer": "Toko", "buttons": [
        { "id": "yes", "text": "Yes" }, { "text": "See it", "url": "https://toko.id/7" }] });
    let list = json!({ "to": contact, "body": "Which size?", "buttonText": "Sizes", "sections": [
        { "rows": [{ "id": "s", "title": "Small" }, { "id": "l", "title": "Large", "description": "40 cm" }] }] });

    let buttons = send(&gateway, "interactive", buttons).await;
    let list = send(&gateway, "interactive", list).await;

    let seen = shown(&gateway, &buttons).await["interactive"].clone();
    assert_eq!(
        (&seen["header"], &seen["body"], &seen["footer"]),
        (&json!("Order 7"), &json!("Shall we?"), &json!("Toko"))
    );
    assert_eq!(seen["buttons"][0], json!({ "name": "quick_reply", "params": { "display_text": "Yes", "id": "yes" } }));
    assert_eq!(seen["buttons"][1]["params"]["url"], "https://toko.id/7");
    let seen = shown(&gateway, &list).await["interactive"].clone();
    assert_eq!(seen["buttons"][0]["params"]["sections"][0]["rows"][1]["description"], "40 cm");
    for (receipt, choice, title) in [(&buttons, "yes", "Yes"), (&list, "l", "Large")] {
        let choose =
            json!({ "to": gateway.info["devicePhone"], "choose": { "id": receipt["messageId"], "choice": choice } });
        let made = gateway.phones().post(&format!("/accounts/{contact}/messages"), choose).await;
        let event = told(&gateway, |event| event["payload"]["id"] == made["id"]).await;
        let data = &event["payload"];
        assert_eq!((&event["type"], &data["type"]), (&json!("message.received"), &json!("interactive_reply")));
        assert_eq!((&data["replyId"], &data["title"]), (&json!(choice), &json!(title)));
        assert_eq!(data["quotedMessageId"], receipt["messageId"]);
    }
}

/// The event of a message that the contact writes now.
async fn received(gateway: &Tenant, draft: Value) -> Value {
    let id = written(gateway, draft).await;
    told(gateway, |event| event["payload"]["id"] == id.as_str()).await["payload"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn received_files_keep_what_they_answer_and_who_is_mentioned() {
    let gateway = tenant().await;
    let question = send(&gateway, "text", json!({ "to": gateway.info["contactPhone"], "text": "which one?" })).await;
    shown(&gateway, &question).await;
    let files = [
        json!({ "kind": "image", "size": 90, "caption": "this" }),
        json!({ "kind": "video", "size": 90 }),
        json!({ "kind": "video", "size": 90, "round": true }),
        json!({ "kind": "audio", "size": 90 }),
        json!({ "kind": "document", "size": 90, "file_name": "one.pdf" }),
        json!({ "kind": "document", "size": 90, "file_name": "two.pdf", "caption": "and this" }),
        json!({ "kind": "sticker", "size": 90 }),
    ];

    for file in files {
        let phone = text(&gateway.info["devicePhone"]);
        let draft = json!({ "media": file, "quote": question["messageId"], "mentions": [phone] });
        let data = received(&gateway, draft).await;
        assert_eq!((&data["type"], data["media"]["mediaId"].is_string()), (&file["kind"], true), "{data}");
        assert_eq!(data["quotedMessageId"], question["messageId"], "{data}");
        assert_eq!(data["quotedText"], "which one?");
        assert!(text(&data["quotedAuthor"]).ends_with("@lid"), "{data}");
        assert_eq!(data["mentions"], json!([data["quotedAuthor"]]), "the device's owner wrote it, and is meant");
        if file["kind"] == "video" {
            assert_eq!(data["ptv"], file["round"] == true);
        }
    }
    let data = received(&gateway, json!({ "media": { "kind": "image", "size": 90 } })).await;
    assert!(data.get("quotedMessageId").is_none() && data.get("mentions").is_none(), "{data}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rarely_sent_has_a_type_of_its_own_and_what_is_not_read_has_its_name() {
    let gateway = tenant().await;
    let live = json!({ "latitude": -6.2, "longitude": 106.8, "accuracy": 12, "caption": "on my way", "sequence": 3 });
    let invite =
        json!({ "group": "120363040000000001", "name": "Team Lunch", "code": "AbCdEf", "expires_at": 1_800_000_000 });
    let event = json!({ "name": "Stocktaking", "description": "all of us", "starts_at": 1_800_000_000,
        "location": { "latitude": 1.5, "longitude": 2.5, "name": "Office" } });
    let cases = [
        (
            json!({ "live_location": live }),
            json!({ "type": "live_location", "latitude": -6.2, "longitude": 106.8, "accuracyMeters": 12,
                "caption": "on my way", "sequence": 3 }),
        ),
        (
            json!({ "group_invite": invite }),
            json!({ "type": "group_invite", "groupId": "120363040000000001@g.us", "name": "Team Lunch",
                "inviteCode": "AbCdEf", "expiresAt": 1_800_000_000, "caption": null }),
        ),
        (
            json!({ "event": event }),
            json!({ "type": "event", "name": "Stocktaking", "description": "all of us", "startsAt": 1_800_000_000,
                "endsAt": null, "joinLink": null, "cancelled": false,
                "location": { "latitude": 1.5, "longitude": 2.5, "name": "Office", "address": null } }),
        ),
        (json!({ "strange": "payment_invite" }), json!({ "type": "unsupported", "kind": "payment_invite" })),
        (json!({ "strange": "future" }), json!({ "type": "unsupported", "kind": "unknown" })),
    ];
    let mut types = Vec::new();
    for (draft, expected) in cases {
        let mut data = received(&gateway, draft).await;
        let said = data.as_object_mut().unwrap();
        for of_any in ["id", "chat", "from", "fromMe", "isGroup", "sender", "timestamp"] {
            assert!(said.remove(of_any).is_some(), "{of_any}");
        }
        assert_eq!(data, expected);
        types.push(text(&expected["type"]));
    }

    let chat = gateway.device(&format!("/chats/{}/messages", text(&gateway.info["contactPhone"])));
    let lines = gateway.get(&chat).await["messages"].clone();
    let of_chat: Vec<String> = lines.as_array().unwrap().iter().rev().map(|line| text(&line["type"])).collect();
    assert_eq!(of_chat, types);
    for (word, kind) in [("Stocktaking", "event"), ("Lunch", "group_invite"), ("way", "live_location")] {
        let found = gateway.get(&gateway.device(&format!("/messages/search?q={word}"))).await;
        let found = &found["data"]["messages"];
        assert_eq!((found.as_array().unwrap().len(), &found[0]["type"]), (1, &json!(kind)), "{word}: {found}");
    }
}
