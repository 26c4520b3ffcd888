//! Forwarded messages, templates, buttons and lists.

use super::kinds::{fields, send, shown, told, written};
use crate::support::{answer, tenant, text};
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
    assert_eq!((status, &taken["error"]["code"]), (409, &json!("CONFLICT")));
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
