//! Newsletters: made and posted in by one account, followed and read by another.

use crate::support::{Tenant, answer, form, png, tenant, text, until};
use serde_json::{Value, json};

/// A tenant whose device owns a newsletter, with a second device linked to its contact.
struct Bakery {
    gateway: Tenant,
    contact: String,
    /// The contact's device.
    other: String,
    id: String,
}

impl Bakery {
    async fn new() -> Self {
        let gateway = tenant().await;
        let contact = text(&gateway.info["contactPhone"]);
        let other = gateway.link(&contact).await;
        let body = json!({ "name": " Bakery ", "description": "bread" });
        let (status, made) = answer(gateway.request("POST", &gateway.device("/newsletters")).json(&body)).await;
        assert_eq!(status, 201, "{made}");
        let id = text(&made["data"]["id"]);
        Self { gateway, contact, other, id }
    }

    /// By the device that owns it; the path is below the device.
    async fn owner(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        answer(self.gateway.request(method, &self.gateway.device(path)).json(&body)).await
    }

    /// By the contact's device.
    async fn other(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/v1/devices/{}{path}", self.other);
        answer(self.gateway.request(method, &path).json(&body)).await
    }

    fn path(&self, rest: &str) -> String {
        format!("/newsletters/{}{rest}", self.id)
    }

    async fn follow(&self) {
        let (status, followed) = self.other("POST", &self.path("/follow"), Value::Null).await;
        assert_eq!(status, 200, "{followed}");
    }

    async fn post(&self, words: &str) -> Value {
        let (status, sent) = self.owner("POST", "/messages/text", json!({ "to": self.id, "text": words })).await;
        assert_eq!(status, 200, "{sent}");
        sent
    }

    /// One event at a device.
    async fn told(&self, device: &str, type_: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/devices/{device}/events?cursor=0&type={type_}&limit=500");
        until(type_, async || {
            let events = self.gateway.get(&path).await.as_array().cloned().unwrap();
            let mut found = events.into_iter().filter(|event| fits(&event["payload"]));
            let first = found.next()?;
            assert!(found.next().is_none(), "{type_} was told twice");
            Some(first["payload"].clone())
        })
        .await
    }

    /// As the simulator has it.
    async fn there(&self) -> Value {
        self.gateway.phones().get(&format!("/newsletters/{}", self.id)).await
    }
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newsletter_is_made_found_by_its_link_changed_and_ended() {
    let bakery = Bakery::new().await;
    let (_, made) = bakery.owner("GET", &bakery.path(""), Value::Null).await;
    let made = &made["data"];
    assert_eq!((&made["name"], &made["description"]), (&json!("Bakery"), &json!("bread")));
    assert_eq!((&made["role"], &made["state"], &made["muted"]), (&json!("owner"), &json!("active"), &json!(false)));

    let link = text(&made["link"]);
    let (_, seen) = bakery.other("GET", &format!("/newsletters/preview?code={link}"), Value::Null).await;
    assert_eq!((&seen["data"]["id"], &seen["data"]["role"]), (&json!(bakery.id), &json!("guest")));
    bakery.follow().await;
    let (_, listed) = bakery.other("GET", "/newsletters", Value::Null).await;
    assert_eq!(
        (&listed["data"]["count"], &listed["data"]["newsletters"][0]["role"]),
        (&json!(1), &json!("subscriber"))
    );
    let (_, read) = bakery.other("GET", &bakery.path(""), Value::Null).await;
    assert_eq!(read["data"]["subscribers"], 1);

    let change = json!({ "name": "Bread", "description": "" });
    let (status, changed) = bakery.owner("PATCH", &bakery.path(""), change).await;
    assert_eq!(
        (status, &changed["data"]["name"], &changed["data"]["description"]),
        (200, &json!("Bread"), &Value::Null)
    );
    let told = bakery.told(&bakery.other, "newsletter.updated", |data| data["changes"].get("name").is_some()).await;
    assert_eq!(
        (&told["newsletter"], &told["changes"]),
        (&json!(bakery.id), &json!({ "name": "Bread", "description": null }))
    );
    let (status, shown) = bakery.owner("PUT", &bakery.path("/picture"), json!({ "picture": "/9j/4AAQSkZJRg==" })).await;
    assert_eq!(status, 200, "{shown}");
    assert!(shown["data"]["picture"].is_string(), "{shown}");
    bakery.told(&bakery.other, "newsletter.updated", |data| data["changes"].get("picture").is_some()).await;
    let (_, bare) = bakery.owner("DELETE", &bakery.path("/picture"), Value::Null).await;
    assert_eq!(bare["data"]["picture"], Value::Null);

    assert_eq!(code(&bakery.other("PATCH", &bakery.path(""), json!({ "name": "Mine" })).await), (403, "FORBIDDEN"));
    assert_eq!(code(&bakery.other("DELETE", &bakery.path(""), Value::Null).await), (403, "FORBIDDEN"));
    assert_eq!(code(&bakery.owner("POST", &bakery.path("/unfollow"), Value::Null).await), (403, "FORBIDDEN"));
    assert_eq!(bakery.owner("DELETE", &bakery.path(""), Value::Null).await.0, 200);
    let told = bakery.told(&bakery.other, "newsletter.updated", |data| data["changes"].get("state").is_some()).await;
    assert_eq!(told["changes"]["state"], "deleted");
    assert_eq!(code(&bakery.other("GET", &bakery.path(""), Value::Null).await), (404, "NOT_FOUND"));
    for action in ["newsletter.created", "newsletter.deleted"] {
        let path = format!("/admin/audit-logs?tenantId={}&action={action}", text(&bakery.gateway.info["tenantId"]));
        let (_, lines) = answer(bakery.gateway.admin("GET", &path)).await;
        assert!(lines.to_string().contains(&bakery.id), "{action}: {lines}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_posted_edited_and_taken_back_reaches_who_follows() {
    let bakery = Bakery::new().await;
    bakery.follow().await;

    let sent = bakery.post("we open at nine").await;
    let wa_id = text(&sent["messageId"]);
    let received = bakery.told(&bakery.other, "message.received", |data| data["chat"] == json!(bakery.id)).await;
    assert_eq!((&received["id"], &received["text"]), (&json!(wa_id), &json!("we open at nine")));
    assert_eq!((&received["fromMe"], &received["isGroup"]), (&json!(false), &json!(false)));
    let server_id = received["serverId"].as_u64().unwrap();
    let own = text(&bakery.gateway.info["deviceId"]);
    let told = bakery.told(&own, "message.sent", |data| data["waMessageId"] == json!(wa_id)).await;
    assert_eq!(told["chat"], json!(bakery.id));
    let shown = bakery.gateway.phones().inbox(&bakery.contact, 0).await;
    assert!(shown.iter().any(|entry| entry["id"] == json!(wa_id) && entry["text"] == "we open at nine"), "{shown:?}");

    let id = text(&sent["id"]);
    let (status, edit) = bakery.owner("PATCH", &format!("/messages/{id}"), json!({ "text": "we open at ten" })).await;
    assert_eq!(status, 200, "{edit}");
    let updated = bakery.told(&bakery.other, "message.updated", |data| data["messageId"] == json!(wa_id)).await;
    assert_eq!((&updated["content"]["text"], &updated["serverId"]), (&json!("we open at ten"), &json!(server_id)));
    bakery.told(&own, "message.updated", |data| data["messageId"] == json!(wa_id) && data["type"] == "edit").await;
    let path = format!("/chats/{}/messages", bakery.id);
    let (_, lines) = bakery.other("GET", &path, Value::Null).await;
    assert!(lines.to_string().contains("we open at ten"), "{lines}");
    assert_eq!(bakery.there().await["posts"][0]["text"], "we open at ten");

    assert_eq!(bakery.owner("DELETE", &format!("/messages/{id}"), Value::Null).await.0, 200);
    bakery.told(&bakery.other, "message.deleted", |data| data["messageId"] == json!(wa_id)).await;
    assert_eq!(bakery.there().await["posts"][0]["deleted"], true);
    let (_, page) = bakery.other("GET", &bakery.path("/messages"), Value::Null).await;
    assert_eq!(page["data"]["posts"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_of_who_may_not_post_fails_with_whatsapps_code() {
    let bakery = Bakery::new().await;
    bakery.follow().await;

    let (status, sent) = bakery.other("POST", "/messages/text", json!({ "to": bakery.id, "text": "mine" })).await;

    assert_eq!(status, 200, "{sent}");
    let id = text(&sent["id"]);
    let failed = bakery.told(&bakery.other, "message.updated", |data| data["status"] == "failed").await;
    assert!(failed.to_string().contains("403"), "{failed}");
    let (_, status) = bakery.other("GET", &format!("/messages/{id}/status"), Value::Null).await;
    assert_eq!(status["status"], "failed");
    assert_eq!(bakery.there().await["posts"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_are_read_a_page_at_a_time_with_what_people_made_of_them() {
    let bakery = Bakery::new().await;
    bakery.follow().await;
    for words in ["one", "two", "three"] {
        bakery.gateway.phones().post(&format!("/newsletters/{}/posts", bakery.id), json!({ "text": words })).await;
    }

    let (status, first) = bakery.other("GET", &bakery.path("/messages?limit=2"), Value::Null).await;
    assert_eq!(status, 200, "{first}");
    let words = |page: &Value| -> Vec<String> {
        page["data"]["posts"].as_array().unwrap().iter().map(|post| text(&post["content"]["text"])).collect()
    };
    assert_eq!(words(&first), ["three", "two"]);
    let before = first["data"]["nextBefore"].as_u64().unwrap();
    let (_, second) =
        bakery.other("GET", &bakery.path(&format!("/messages?limit=2&before={before}")), Value::Null).await;
    assert_eq!(words(&second), ["one"]);
    let before = second["data"]["nextBefore"].as_u64().unwrap();
    let (_, end) = bakery.other("GET", &bakery.path(&format!("/messages?limit=2&before={before}")), Value::Null).await;
    assert_eq!((words(&end).len(), &end["data"]["nextBefore"]), (0, &Value::Null), "an empty page is the end");
    let own = &bakery.owner("GET", &bakery.path("/messages?limit=1"), Value::Null).await.1["data"]["posts"][0];
    assert_eq!((&own["fromMe"], &first["data"]["posts"][0]["fromMe"]), (&json!(true), &json!(false)));
    assert_eq!((&own["type"], &own["views"]), (&json!("text"), &json!(1)));

    let (_, live) = bakery.owner("POST", &bakery.path("/live-updates"), Value::Null).await;
    assert_eq!(live["data"]["seconds"], 300);
    let newest = own["serverId"].as_u64().unwrap();
    let reaction = bakery.path(&format!("/messages/{newest}/reaction"));
    assert_eq!(bakery.other("POST", &reaction, json!({ "emoji": "👍" })).await.0, 200);
    let device = text(&bakery.gateway.info["deviceId"]);
    let told = bakery.told(&device, "newsletter.reactions", |data| data["newsletter"] == json!(bakery.id)).await;
    let counts = json!([{ "serverId": newest, "reactions": [{ "emoji": "👍", "count": 1 }] }]);
    assert_eq!(told["messages"], counts);
    let (_, page) = bakery.other("GET", &bakery.path("/messages?limit=1"), Value::Null).await;
    assert_eq!(page["data"]["posts"][0]["reactions"], json!([{ "emoji": "👍", "count": 1 }]));
    assert_eq!(bakery.other("POST", &reaction, json!({ "emoji": "" })).await.0, 200);
    let (_, page) = bakery.other("GET", &bakery.path("/messages?limit=1"), Value::Null).await;
    assert_eq!(page["data"]["posts"][0]["reactions"], json!([]));

    let none = bakery.path("/messages/99999/reaction");
    assert_eq!(code(&bakery.other("POST", &none, json!({ "emoji": "👍" })).await), (404, "NOT_FOUND"));
    let path = format!("/newsletters/{}/unfollow", bakery.id);
    assert_eq!(bakery.other("POST", &path, Value::Null).await.0, 200);
    assert_eq!(code(&bakery.other("POST", &reaction, json!({ "emoji": "👍" })).await), (403, "FORBIDDEN"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_on_another_device_of_the_account_is_told() {
    let bakery = Bakery::new().await;
    let second = bakery.gateway.link(&bakery.contact).await;
    let by_second = async |method: &str, rest: &str, body: Value| {
        let path = format!("/v1/devices/{second}{}", bakery.path(rest));
        let (status, done) = answer(bakery.gateway.request(method, &path).json(&body)).await;
        assert_eq!(status, 200, "{method} {rest}: {done}");
    };

    by_second("POST", "/follow", Value::Null).await;
    let joined = bakery.told(&bakery.other, "newsletter.joined", |data| data["newsletter"] == json!(bakery.id)).await;
    assert_eq!((&joined["details"]["name"], &joined["details"]["role"]), (&json!("Bakery"), &json!("subscriber")));
    by_second("POST", "/mute", json!({ "mute": true })).await;
    let muted = bakery.told(&bakery.other, "newsletter.updated", |data| data["changes"]["muted"] == true).await;
    assert_eq!(muted["chat"], json!(bakery.id));
    let (_, read) = bakery.other("GET", &bakery.path(""), Value::Null).await;
    assert_eq!(read["data"]["muted"], true);
    let (_, chats) = bakery.other("GET", "/chats", Value::Null).await;
    assert!(chats.to_string().contains("Bakery"), "{chats}");
    by_second("POST", "/unfollow", Value::Null).await;
    bakery.told(&bakery.other, "newsletter.left", |data| data["newsletter"] == json!(bakery.id)).await;

    assert_eq!(bakery.there().await["followers"].get(&bakery.contact), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newsletter_does_not_take_is_refused_before_anything_is_kept() {
    let bakery = Bakery::new().await;
    let to = json!(bakery.id);
    let (kind, body) = form(&[("file", Some(("a.png", "image/png")), &png(100)), ("to", None, bakery.id.as_bytes())]);
    let path = bakery.gateway.device("/messages/image");
    let brought = answer(bakery.gateway.request("POST", &path).header("content-type", kind).body(body)).await;
    assert_eq!(code(&brought), (501, "NOT_SUPPORTED"), "{}", brought.1);

    let contacts = json!([{ "displayName": "Ana", "phoneNumber": "6281100000002" }]);
    for (kind, mut body) in [
        ("location", json!({ "latitude": 1, "longitude": 2 })),
        ("contact", json!({ "contacts": contacts })),
        ("poll", json!({ "question": "Which?", "options": ["a", "b"] })),
        ("reaction", json!({ "messageId": "3EB0AA", "emoji": "x" })),
        ("forward", json!({ "messageId": "3EB0AA" })),
        ("text", json!({ "text": "hi", "mentions": ["6281100000002"] })),
        ("text", json!({ "text": "hi", "quotedMessageId": "3EB0AA" })),
    ] {
        body["to"] = to.clone();
        let refused = bakery.owner("POST", &format!("/messages/{kind}"), body).await;
        assert_eq!(code(&refused), (400, "VALIDATION_ERROR"), "{kind}: {}", refused.1);
    }
    let presence = bakery.owner("POST", "/presence", json!({ "to": to, "type": "composing" })).await;
    assert_eq!(code(&presence), (400, "VALIDATION_ERROR"));
    let pin = bakery.owner("POST", &format!("/chats/{}/pin", bakery.id), json!({ "pin": true })).await;
    assert_eq!(code(&pin), (409, "CONFLICT"));

    for (method, path, body, field) in [
        ("POST", "/newsletters".to_owned(), json!({ "name": " " }), "name"),
        ("PATCH", bakery.path(""), json!({}), "body"),
        ("POST", bakery.path("/mute"), json!({ "mute": "yes" }), "mute"),
        ("POST", bakery.path("/mute"), json!({}), "mute"),
        ("POST", bakery.path("/messages/100/reaction"), json!({}), "emoji"),
        ("PUT", bakery.path("/picture"), json!({ "picture": "!" }), "picture"),
        ("GET", "/newsletters/preview?code=a%20b".to_owned(), Value::Null, "code"),
        ("GET", bakery.path("/messages?before=x"), Value::Null, "before"),
        ("GET", bakery.path("/messages?limit=101"), Value::Null, "limit"),
    ] {
        let refused = bakery.owner(method, &path, body).await;
        assert_eq!(code(&refused), (400, "VALIDATION_ERROR"), "{method} {path}: {}", refused.1);
        assert_eq!(refused.1["error"]["details"][0]["field"], field, "{method} {path}");
    }
    for path in ["/newsletters/none", "/newsletters/120363499999999999"] {
        assert_eq!(code(&bakery.owner("GET", path, Value::Null).await), (404, "NOT_FOUND"), "{path}");
    }
    assert_eq!(bakery.there().await["posts"], json!([]));
}
