//! What an account shows, sees and lets others do: set by one device, read back by another.

use crate::support::{Tenant, answer, form, png, tenant, text, until};
use futures_util::future::join_all;
use serde_json::{Value, json};

async fn ask(gateway: &Tenant, device: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    answer(gateway.request(method, &format!("/v1/devices/{device}{path}")).json(&body)).await
}

async fn done(gateway: &Tenant, device: &str, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = ask(gateway, device, method, path, body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

/// A tenant, its device, and one more device of the same account.
async fn two_devices() -> (Tenant, String, String) {
    let gateway = tenant().await;
    let first = text(&gateway.info["deviceId"]);
    let second = gateway.link(&text(&gateway.info["devicePhone"])).await;
    (gateway, first, second)
}

async fn event(gateway: &Tenant, device: &str, type_: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/devices/{device}/events?cursor=0&type={type_}&limit=500");
    until(type_, async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap();
        events.into_iter().map(|event| event["payload"].clone()).find(&fits)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_privacy_setting_that_is_set_is_read_back_by_another_device() {
    let (gateway, first, second) = two_devices().await;
    let never = done(&gateway, &second, "GET", "/privacy/disappearing", Value::Null).await;
    assert_eq!(never["data"], json!({ "seconds": 0, "setAt": null }), "{never}");
    let before = done(&gateway, &second, "GET", "/privacy/settings", Value::Null).await;
    assert!(before.as_object().unwrap().values().all(Value::is_string), "{before}");

    // Half of them as earlier systems spelled them.
    let new = json!({
        "readreceipts": "none", "online": "match_last_seen", "lastseen": "contacts", "groupadd": "contacts",
        "status": "contact_blacklist", "profilePicture": "none", "callAdd": "known", "messages": "contacts",
        "defense": "on_standard", "defaultEphemeralSeconds": 86400
    });
    let set = done(&gateway, &first, "POST", "/privacy/settings", new).await;

    let names = json!([
        "readreceipts",
        "online",
        "lastSeen",
        "groupAdd",
        "statusPrivacy",
        "profilePicture",
        "callAdd",
        "messages",
        "defense",
        "defaultEphemeralSeconds"
    ]);
    assert_eq!(set, json!({ "success": true, "updated": names }));
    let read = done(&gateway, &second, "GET", "/privacy/settings", Value::Null).await;
    let expected = json!({
        "readreceipts": "none", "online": "match_last_seen", "lastSeen": "contacts", "groupAdd": "contacts",
        "statusPrivacy": "contact_blacklist", "profilePicture": "none", "callAdd": "known", "messages": "contacts",
        "defense": "on_standard"
    });
    assert_eq!(read, expected);
    let timer = done(&gateway, &second, "GET", "/privacy/disappearing", Value::Null).await;
    assert_eq!(timer["data"]["seconds"], 86_400, "{timer}");
    assert!(timer["data"]["setAt"].as_i64().is_some_and(|at| at > 1_700_000_000), "unix seconds: {timer}");
    let phone = text(&gateway.info["devicePhone"]);
    let shown = gateway.phones().get(&format!("/accounts/{phone}/settings")).await;
    assert_eq!(shown["default_timer_s"], 86_400, "{shown}");
    assert_eq!((&shown["privacy"]["last"], &shown["privacy"]["messages"]), (&json!("contacts"), &json!("contacts")));
    let tenant = text(&gateway.info["tenantId"]);
    let path = format!("/admin/audit-logs?tenantId={tenant}&action=privacy.settings.updated");
    let (_, lines) = answer(gateway.admin("GET", &path)).await;
    assert!(lines["data"].to_string().contains("defaultEphemeralSeconds"), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_a_setting_cannot_have_is_named_with_those_that_it_can() {
    let gateway = tenant().await;
    let device = text(&gateway.info["deviceId"]);

    let wrong =
        json!({ "online": "none", "lastSeen": "all", "last": "all", "callAdd": 3, "defaultEphemeralSeconds": 5 });
    let (status, refused) = ask(&gateway, &device, "POST", "/privacy/settings", wrong).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("VALIDATION_ERROR")));
    let details = refused["error"]["details"].as_array().unwrap();
    let fields: Vec<String> = details.iter().map(|one| text(&one["field"])).collect();
    assert_eq!(fields, ["online", "last", "callAdd", "defaultEphemeralSeconds"]);
    assert_eq!(details[0]["message"], "must be one of all, match_last_seen");

    let (status, empty) = ask(&gateway, &device, "POST", "/privacy/settings", json!({ "unknown": 1 })).await;
    assert_eq!((status, &empty["error"]["details"][0]["field"]), (400, &json!("body")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_is_read_back_by_another_device_until_unblocked() {
    let (gateway, first, second) = two_devices().await;
    let contact = text(&gateway.info["contactPhone"]);

    done(&gateway, &first, "POST", &format!("/contacts/+{contact}/block"), Value::Null).await;
    let blocked = done(&gateway, &second, "GET", "/blocklist", Value::Null).await;
    assert_eq!(blocked["data"]["count"], 1, "{blocked}");
    let lid = text(&blocked["data"]["blocked"][0]["lid"]);
    let identity = done(&gateway, &second, "GET", &format!("/contacts/{lid}/identity"), Value::Null).await;
    assert_eq!(identity["data"]["phone"], json!(contact));

    done(&gateway, &second, "POST", &format!("/contacts/{lid}/unblock"), Value::Null).await;
    let blocked = done(&gateway, &first, "GET", "/blocklist", Value::Null).await;
    assert_eq!(blocked["data"]["count"], 0, "{blocked}");
    let (status, _) = ask(&gateway, &first, "POST", "/contacts/6281299999999/block", Value::Null).await;
    assert_eq!(status, 404, "nobody has that number");
    let (status, wrong) = ask(&gateway, &first, "POST", "/contacts/0812/block", Value::Null).await;
    assert_eq!((status, &wrong["error"]["details"][0]["field"]), (400, &json!("contact")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_is_read_back_by_another_device_and_by_a_contact() {
    let (gateway, first, second) = two_devices().await;
    let (phone, contact) = (text(&gateway.info["devicePhone"]), text(&gateway.info["contactPhone"]));
    let other = gateway.link(&contact).await;
    done(&gateway, &other, "POST", "/presence/subscribe", json!({ "to": phone })).await;
    // WhatsApp answers a subscription with how it is now.
    event(&gateway, &other, "presence.updated", |_| true).await;

    let set =
        done(&gateway, &first, "PATCH", "/profile", json!({ "name": "Toko Baru", "about": "open until nine" })).await;
    assert_eq!(set["data"]["updated"], json!(["name", "about"]));
    let picture = json!({ "picture": "data:image/jpeg;base64,/9j/4AAQSkZJRg==" });
    let picture = done(&gateway, &first, "PUT", "/profile/picture", picture).await;

    let read = until("the new name", async || {
        let read = done(&gateway, &second, "GET", "/profile", Value::Null).await;
        (read["data"]["name"] == "Toko Baru").then_some(read)
    })
    .await;
    assert_eq!((&read["data"]["about"], &read["data"]["phone"]), (&json!("open until nine"), &json!(phone)));
    assert_eq!(read["data"]["picture"]["id"], picture["data"]["id"]);
    let seen = done(&gateway, &other, "GET", &format!("/contacts/{phone}"), Value::Null).await;
    assert_eq!((&seen["data"]["about"], &seen["data"]["phone"]), (&json!("open until nine"), &json!(phone)));
    let path = format!("/contacts/{phone}/picture");
    let found = done(&gateway, &other, "GET", &format!("{path}?preview=true"), Value::Null).await;
    assert_eq!(found["data"]["id"], picture["data"]["id"]);
    assert!(text(&found["data"]["url"]).starts_with("https://"));
    let about = event(&gateway, &other, "contact.updated", |data| data["changes"]["about"] == "open until nine").await;
    assert_eq!(about["contact"]["phone"], json!(phone));
    event(&gateway, &other, "contact.updated", |data| data["changes"]["picture"] == picture["data"]["id"]).await;

    done(&gateway, &second, "DELETE", "/profile/picture", Value::Null).await;
    assert_eq!(ask(&gateway, &other, "GET", &path, Value::Null).await.0, 404);
    let (status, wrong) = ask(&gateway, &first, "PATCH", "/profile", json!({ "name": "", "about": 4 })).await;
    assert_eq!((status, wrong["error"]["details"].as_array().unwrap().len()), (400, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_whatsapp_is_answered_in_the_order_of_the_question_and_kept() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let late = format!("{contact}7");
    let question = json!({ "contacts": [late, format!("+{contact}"), "6281299999999"] });
    let verdicts = async |question: &Value| {
        let answer = done(&gateway, &device, "POST", "/contacts/check", question.clone()).await;
        let contacts = answer["data"]["contacts"].as_array().unwrap();
        contacts.iter().map(|one| one["isOnWhatsapp"].as_bool().unwrap()).collect::<Vec<_>>()
    };

    assert_eq!(verdicts(&question).await, [false, true, false]);
    gateway.phones().post("/accounts", json!({ "phone": late, "name": "Sari" })).await;
    assert_eq!(verdicts(&question).await, [false, true, false], "the answer is believed for its time");
    let mut fresh = question.clone();
    fresh["fresh"] = true.into();
    assert_eq!(verdicts(&fresh).await, [true, true, false]);

    let identity = done(&gateway, &device, "GET", &format!("/contacts/{contact}/identity"), Value::Null).await;
    let lid = text(&identity["data"]["lid"]);
    let back = done(&gateway, &device, "GET", &format!("/contacts/{lid}/identity"), Value::Null).await;
    assert_eq!((&back["data"], &back["data"]["phone"]), (&identity["data"], &json!(contact)));
    assert_eq!(ask(&gateway, &device, "GET", "/contacts/6281299999999/identity", Value::Null).await.0, 404);
    let many: Vec<String> = (0..101).map(|n| format!("62812777{n:05}")).collect();
    let (status, wrong) = ask(&gateway, &device, "POST", "/contacts/check", json!({ "contacts": many })).await;
    assert_eq!((status, &wrong["error"]["details"][0]["field"]), (400, &json!("contacts")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_whose_number_whatsapp_writes_otherwise_is_found_and_blocked_by_either() {
    let gateway = tenant().await;
    let device = text(&gateway.info["deviceId"]);
    let canonical = format!("{}5", text(&gateway.info["contactPhone"]));
    let dialled = format!("{}95", text(&gateway.info["contactPhone"]));
    gateway.phones().post("/accounts", json!({ "phone": canonical, "name": "Bia", "also": [dialled] })).await;

    let question = json!({ "contacts": [dialled, canonical] });
    let verdicts = done(&gateway, &device, "POST", "/contacts/check", question).await;

    for verdict in verdicts["data"]["contacts"].as_array().unwrap() {
        assert_eq!((&verdict["isOnWhatsapp"], &verdict["phone"]), (&json!(true), &json!(canonical)), "{verdicts}");
    }
    let identity = done(&gateway, &device, "GET", &format!("/contacts/{dialled}/identity"), Value::Null).await;
    assert_eq!(identity["data"]["phone"], json!(canonical), "{identity}");
    done(&gateway, &device, "POST", &format!("/contacts/{dialled}/block"), Value::Null).await;
    let blocked = done(&gateway, &device, "GET", "/blocklist", Value::Null).await;
    assert!(blocked.to_string().contains(&canonical), "{blocked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_told_of_people_who_are_watched_and_of_nobody_else() {
    let gateway = tenant().await;
    let (device, phone) = (text(&gateway.info["deviceId"]), text(&gateway.info["devicePhone"]));
    let contact = text(&gateway.info["contactPhone"]);
    let other = gateway.link(&contact).await;
    let show = async |body: Value| done(&gateway, &other, "POST", "/presence", body).await;
    let told = async |presence: &str| {
        let of = event(&gateway, &device, "presence.updated", |data| data["presence"] == json!(presence)).await;
        assert_eq!(of["contact"]["phone"], json!(contact), "{of}");
    };

    // A text behind it tells that what came before it on the same connection has been seen too.
    let written = async |body: &str| {
        done(&gateway, &other, "POST", "/messages/text", json!({ "to": phone, "text": body })).await;
        event(&gateway, &device, "message.received", |data| data["text"] == json!(body)).await;
    };

    assert_eq!(show(json!({ "to": phone, "type": "recording" })).await, json!({ "success": true }));
    written("first").await;
    done(&gateway, &device, "POST", "/presence/subscribe", json!({ "to": contact })).await;
    for presence in ["available", "composing", "paused", "unavailable"] {
        // The last one by the older name of the field.
        let field = if presence == "unavailable" { "presence" } else { "type" };
        show(json!({ "to": phone, field: presence })).await;
        told(presence).await;
    }
    done(&gateway, &device, "POST", "/presence/unsubscribe", json!({ "to": contact })).await;

    show(json!({ "to": phone, "type": "composing" })).await;
    written("last").await;
    let path = gateway.device("/events?cursor=0&type=presence.updated&limit=500");
    let all = gateway.get(&path).await;
    let of = |presence: &str| {
        let events = all.as_array().unwrap().iter();
        events.filter(|event| event["payload"]["presence"] == json!(presence)).count()
    };
    assert_eq!((of("recording"), of("composing")), (0, 1), "{all}");
    let (status, wrong) = ask(&gateway, &device, "POST", "/presence", json!({ "to": "x", "type": "away" })).await;
    assert_eq!((status, wrong["error"]["details"].as_array().unwrap().len()), (400, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_told_once_and_can_be_rejected() {
    let gateway = tenant().await;
    let (device, contact) = (text(&gateway.info["deviceId"]), text(&gateway.info["contactPhone"]));
    let calls = format!("/accounts/{contact}/calls");
    let ring = json!({ "to": gateway.info["devicePhone"], "video": true });
    let id = text(&gateway.phones().post(&calls, ring).await["id"]);

    let told = event(&gateway, &device, "call.received", |data| data["callId"] == json!(id)).await;
    assert_eq!((&told["isVideo"], &told["isGroup"], &told["status"]), (&json!(true), &json!(false), &json!("ringing")));
    assert_eq!(told["from"]["phone"], json!(contact), "{told}");

    done(&gateway, &device, "POST", &format!("/calls/{id}/reject"), Value::Null).await;
    until("the rejection to reach the caller", async || {
        (gateway.phones().get(&calls).await[0]["state"] == "reject").then_some(())
    })
    .await;
    let (status, gone) = ask(&gateway, &device, "POST", &format!("/calls/{id}/reject"), Value::Null).await;
    assert_eq!((status, &gone["error"]["message"]), (404, &json!("no such call")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_stopped_answers_409_and_a_server_that_is_silent_504() {
    let gateway = tenant().await;
    let device = text(&gateway.info["deviceId"]);
    let silent = json!({
        "phone": gateway.info["devicePhone"],
        "match": { "tag": "iq", "direction": "in", "type": "set", "xmlns": "privacy" },
        "action": "drop",
        "count": 1
    });
    gateway.phones().post("/faults", silent).await;

    let (status, late) = ask(&gateway, &device, "POST", "/privacy/settings", json!({ "online": "all" })).await;
    assert_eq!((status, &late["error"]["code"]), (504, &json!("UPSTREAM_TIMEOUT")), "{late}");
    done(&gateway, &device, "POST", "/privacy/settings", json!({ "online": "all" })).await;

    done(&gateway, &device, "POST", "/stop", Value::Null).await;
    let asked = [
        ("GET", "/groups"),
        ("GET", "/profile"),
        ("GET", "/blocklist"),
        ("GET", "/privacy/settings"),
        ("GET", "/privacy/disappearing"),
        ("GET", "/privacy/exceptions"),
        ("PUT", "/privacy/exceptions"),
        ("GET", "/business-profile"),
        ("GET", "/catalog"),
        ("PUT", "/chats/6281299999999/disappearing"),
    ];
    for (method, path) in asked {
        let body = json!({ "setting": "lastSeen", "people": [], "seconds": 0 });
        let (status, offline) = ask(&gateway, &device, method, path, body).await;
        assert_eq!((status, &offline["error"]["code"]), (409, &json!("DEVICE_NOT_CONNECTED")), "{path}: {offline}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_library_has_no_call_for_is_answered_501_with_its_name() {
    let gateway = tenant().await;
    let (_, document) = answer(gateway.http.get(gateway.url("/docs/json"))).await;
    let (type_, body) = form(&[("file", Some(("a.png", "image/png")), &png(100))]);
    let upload = gateway.request("POST", &gateway.device("/media/upload")).header("content-type", type_).body(body);
    let id = answer(upload).await.1["mediaId"].clone();
    let shown = json!({ "name": "with-a-file", "mediaId": id });
    assert_eq!(answer(gateway.request("POST", "/v1/templates").json(&shown)).await.0, 201);
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["responses"].get("501").is_none() {
                continue;
            }
            let path = path.replace("{device}", &text(&gateway.info["deviceId"]));
            let request = gateway.request(&method.to_uppercase(), &path);
            // Files are sent, and only a newsletter cannot have them.
            let to = "120363400000000001@newsletter";
            let to_newsletter = match path.ends_with("/template") {
                true => json!({ "to": to, "template": "with-a-file" }),
                false => json!({ "to": to, "mediaBuffer": "AAAA" }),
            };
            let is_file = operation["requestBody"]["content"].get("multipart/form-data").is_some();
            let request = if is_file || path.ends_with("/template") { request.json(&to_newsletter) } else { request };
            let (status, answer) = answer(request).await;
            assert_eq!((status, &answer["error"]["code"]), (501, &json!("NOT_SUPPORTED")), "{method} {path}");
            assert!(text(&answer["error"]["message"]).ends_with("is missing"), "{answer}");
            asked += 1;
        }
    }
    assert!(asked > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_watched_is_watched_again_on_the_next_connection() {
    let gateway = tenant().await;
    let (device, phone) = (text(&gateway.info["deviceId"]), text(&gateway.info["devicePhone"]));
    let contact = text(&gateway.info["contactPhone"]);
    let path = gateway.device("/events?cursor=0&type=presence.updated&limit=500");
    // WhatsApp answers a subscription with how it is now.
    let answers = async |count: usize| {
        until("the answer to a subscription", async || {
            (gateway.get(&path).await.as_array().unwrap().len() >= count).then_some(())
        })
        .await;
    };
    done(&gateway, &device, "POST", "/presence/subscribe", json!({ "to": contact })).await;
    answers(1).await;
    let devices = gateway.phones().get(&format!("/accounts/{phone}/devices")).await;
    let number = devices[0]["device"].clone();

    gateway.phones().post(&format!("/accounts/{phone}/devices/{number}/kick"), json!({})).await;
    answers(2).await;
    gateway.phones().post(&format!("/accounts/{contact}/presence"), json!({ "available": true })).await;

    let told = event(&gateway, &device, "presence.updated", |data| data["presence"] == "available").await;
    assert_eq!(told["contact"]["phone"], json!(contact));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_code_of_whatsapps_is_an_error_that_says_what_to_do() {
    let gateway = tenant().await;
    let device = text(&gateway.info["deviceId"]);
    let answered = async |code: &str| {
        let refuse = json!({
            "phone": gateway.info["devicePhone"],
            "match": { "tag": "iq", "direction": "in", "type": "set", "xmlns": "privacy" },
            "action": "nack",
            "code": code,
            "count": 1
        });
        gateway.phones().post("/faults", refuse).await;
        let (status, answer) = ask(&gateway, &device, "POST", "/privacy/settings", json!({ "online": "all" })).await;
        (status, text(&answer["error"]["code"]))
    };

    for (code, status, name) in [
        ("401", 403, "FORBIDDEN"),
        ("403", 403, "FORBIDDEN"),
        ("404", 404, "NOT_FOUND"),
        ("406", 409, "CONFLICT"),
        ("409", 409, "CONFLICT"),
        ("410", 404, "NOT_FOUND"),
        ("429", 429, "RATE_LIMIT_EXCEEDED"),
        ("500", 503, "OVERLOADED"),
        ("503", 503, "OVERLOADED"),
    ] {
        assert_eq!(answered(code).await, (status, name.to_owned()), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_has_sixteen_requests_under_way_and_refuses_the_next_at_once() {
    let gateway = tenant().await;
    let device = text(&gateway.info["deviceId"]);
    let slow = json!({
        "phone": gateway.info["devicePhone"],
        "match": { "tag": "iq", "direction": "in", "xmlns": "privacy" },
        "action": "delay",
        "delay_ms": 5_000,
        "count": 16
    });
    gateway.phones().post("/faults", slow).await;

    let asked = (0..20).map(|_| ask(&gateway, &device, "GET", "/privacy/settings", Value::Null));
    let answers = join_all(asked).await;

    let of = |status: u16| answers.iter().filter(|(answered, _)| *answered == status).count();
    assert_eq!((of(200), of(503)), (16, 4), "{answers:?}");
    let refused = answers.iter().find(|(status, _)| *status == 503).unwrap();
    assert_eq!(refused.1["error"]["code"], "OVERLOADED");
    done(&gateway, &device, "GET", "/privacy/settings", Value::Null).await;
}
