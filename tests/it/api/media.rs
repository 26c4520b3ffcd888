//! Files: sent in every way, served in parts, and refused when they are not what they are said to be.

use crate::support::{Tenant, answer, form, mp4, png, sha256, tenant, text, until};
use axum::Router;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub async fn quiet() -> Tenant {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    gateway.phones().post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "" })).await;
    gateway
}

pub async fn send(gateway: &Tenant, route: &str, body: Value) -> (u16, Value) {
    answer(gateway.request("POST", &gateway.device(&format!("/messages/{route}"))).json(&body)).await
}

/// The contact's view of a message that was taken.
async fn shown(gateway: &Tenant, taken: &Value) -> Value {
    let (id, contact) = (text(&taken["messageId"]), text(&gateway.info["contactPhone"]));
    until("the phone to show it", async || {
        let inbox = gateway.phones().inbox(&contact, 0).await;
        inbox.into_iter().find(|entry| entry["id"] == json!(id))
    })
    .await
}

pub async fn upload(gateway: &Tenant, name: &str, type_: &str, bytes: &[u8]) -> (u16, Value) {
    let (kind, body) = form(&[("file", Some((name, type_)), bytes)]);
    let path = gateway.device("/media/upload");
    answer(gateway.request("POST", &path).header("content-type", kind).body(body)).await
}

/// The only event of this kind with a file, once it is there.
async fn received(gateway: &Tenant, id: &str) -> Value {
    until("the event", async || {
        let events = gateway.get(&gateway.device("/events?type=message.received")).await;
        let events = events.as_array().cloned().unwrap_or_default();
        events.into_iter().find(|event| event["payload"]["id"] == json!(id)).map(|event| event["payload"].clone())
    })
    .await
}

fn wav() -> Vec<u8> {
    [&b"RIFF\x24\0\0\0WAVEfmt "[..], &[0; 400]].concat()
}

pub fn opus() -> Vec<u8> {
    let page = |sample: u64| [&b"OggS\0\x02"[..], &sample.to_le_bytes(), &[0; 14], b"OpusHead", &[0; 40]].concat();
    [page(0), page(48_000 * 7)].concat()
}

fn webp() -> Vec<u8> {
    [&b"RIFF\x24\x01\0\0WEBPVP8 "[..], &[3; 300]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_file_in_base64_arrives_at_the_phone_byte_for_byte() {
    let gateway = quiet().await;
    let contact = &gateway.info["contactPhone"];
    for (route, file, more) in [
        ("image", png(90_000), json!({ "caption": "look" })),
        ("video", mp4(), json!({ "caption": "moving" })),
        ("audio", wav(), json!({})),
        ("document", b"%PDF-1.7 and more".to_vec(), json!({ "fileName": "plan.pdf", "caption": "the plan" })),
        ("sticker", webp(), json!({})),
        ("media", png(100), json!({ "mediaType": "document", "fileName": "raw.png" })),
        ("media", png(100), json!({ "viewOnce": true })),
    ] {
        let mut body = json!({ "to": contact, "mediaBuffer": BASE64.encode(&file) });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());

        let (status, taken) = send(&gateway, route, body).await;
        assert_eq!((status, &taken["status"]), (200, &json!("queued")), "{route}: {taken}");
        let shown = shown(&gateway, &taken).await;

        let media = &shown["media"];
        assert_eq!((&shown["type"], &media["opened"]), (&json!("media"), &json!(true)), "{route}: {shown}");
        assert_eq!(media["sha256"], sha256(&file), "{route}");
        assert_eq!(media["size"], file.len(), "{route}");
        assert_eq!((&media["caption"], &media["file_name"]), (&more["caption"], &more["fileName"]), "{route}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voice_note_names_its_codec_and_a_data_url_is_a_buffer_too() {
    let gateway = quiet().await;
    let buffer = format!("data:audio/ogg;base64,{}", BASE64.encode(opus()));
    let body = json!({ "to": gateway.info["contactPhone"], "mediaBuffer": buffer, "ptt": true });

    let (status, taken) = send(&gateway, "audio", body).await;

    assert_eq!(status, 200, "{taken}");
    let shown = shown(&gateway, &taken).await;
    assert_eq!(shown["media"]["mime"], "audio/ogg; codecs=opus");
    assert_eq!(shown["media"]["opened"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uploaded_file_is_sent_twice_and_a_form_brings_one_with_its_message() {
    let gateway = quiet().await;
    let picture = png(200_000);
    let (status, uploaded) = upload(&gateway, "../../holiday.png", "image/png", &picture).await;
    assert_eq!(status, 200, "{uploaded}");
    assert_eq!((&uploaded["fileName"], &uploaded["mimeType"]), (&json!("holiday.png"), &json!("image/png")));
    assert_eq!(uploaded["size"], picture.len());
    let before = gateway.phones().get("/stats").await["files"].as_u64().unwrap();

    for _ in 0..2 {
        let body = json!({ "to": gateway.info["contactPhone"], "mediaId": uploaded["mediaId"] });
        let (status, taken) = send(&gateway, "media", body).await;
        assert_eq!(status, 200, "{taken}");
        let shown = shown(&gateway, &taken).await;
        assert_eq!((&shown["media"]["kind"], &shown["media"]["sha256"]), (&json!("image"), &json!(sha256(&picture))));
    }
    let (kind, body) = form(&[
        ("to", None, text(&gateway.info["contactPhone"]).as_bytes()),
        ("caption", None, b"in a form"),
        ("viewOnce", None, b"false"),
        ("file", Some(("beach.png", "image/png")), &picture),
    ]);
    let path = gateway.device("/messages/image");
    let (status, taken) = answer(gateway.request("POST", &path).header("content-type", kind).body(body)).await;

    assert_eq!(status, 200, "{taken}");
    assert_eq!(shown(&gateway, &taken).await["media"]["caption"], "in a form");
    // Other tests use the same media host: at most this many are ours, and a repeat of an upload would make one more.
    let after = gateway.phones().get("/stats").await["files"].as_u64().unwrap();
    assert!(after >= before + 2, "{before} {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_served_in_parts() {
    let gateway = quiet().await;
    let picture = png(150_000);
    let (_, uploaded) = upload(&gateway, "r\u{e9}sum\u{e9}.png", "image/png", &picture).await;
    let path = gateway.device(&format!("/media/{}", text(&uploaded["mediaId"])));
    let get = async |headers: &[(&'static str, &str)]| {
        let mut request = gateway.request("GET", &path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let headers = response.headers().clone();
        (response.status().as_u16(), headers, response.bytes().await.unwrap())
    };

    let (status, headers, body) = get(&[]).await;
    assert_eq!((status, &body[..]), (200, &picture[..]));
    assert_eq!(
        (&headers["content-type"], &headers["accept-ranges"]),
        (&"image/png".parse().unwrap(), &"bytes".parse().unwrap())
    );
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers["content-disposition"].to_str().unwrap().starts_with("inline; filename=\"r_sum_.png\""));
    let etag = headers["etag"].to_str().unwrap().to_owned();

    for (range, from, to) in
        [("bytes=0-9", 0, 10), ("bytes=65530-65545", 65_530, 65_546), ("bytes=-7", 149_993, 150_000)]
    {
        let (status, headers, body) = get(&[("range", range)]).await;
        assert_eq!((status, &body[..]), (206, &picture[from..to]), "{range}");
        assert_eq!(headers["content-range"].to_str().unwrap(), format!("bytes {from}-{}/150000", to - 1));
    }
    let (status, headers, body) = get(&[("range", "bytes=150000-")]).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (416, "bytes */150000"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["code"], "RANGE_NOT_SATISFIABLE");
    assert_eq!(get(&[("range", "bytes=0-1"), ("if-range", &etag)]).await.0, 206);
    assert_eq!(get(&[("range", "bytes=0-1"), ("if-range", "\"another\"")]).await.0, 200);
    assert_eq!(get(&[("range", "bytes=0-1,5-6")]).await.0, 200);
    assert_eq!(get(&[("if-none-match", &etag)]).await.0, 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_phone_sends_is_told_and_fetched_when_somebody_asks() {
    let gateway = quiet().await;
    let (picture, contact) = (png(300_000), text(&gateway.info["contactPhone"]));
    let media = json!({ "kind": "image", "data": BASE64.encode(&picture), "mime": "image/png", "caption": "mine" });
    let write = json!({ "to": gateway.info["devicePhone"], "media": media });

    let id = text(&gateway.phones().post(&format!("/accounts/{contact}/messages"), write).await["id"]);
    let told = received(&gateway, &id).await;

    assert_eq!(
        (&told["type"], &told["caption"], &told["mimeType"]),
        (&json!("image"), &json!("mine"), &json!("image/png"))
    );
    assert_eq!(told["media"], json!({ "mediaId": told["mediaId"], "mimeType": "image/png", "size": picture.len() }));
    let stored = || {
        let database = rusqlite::Connection::open(crate::support::database()).unwrap();
        let media = text(&told["mediaId"]);
        let state =
            database.query_row("SELECT state FROM media WHERE id = ?1", [&media], |row| row.get::<_, String>(0));
        let kept = database.query_row("SELECT message FROM messages_inbox WHERE wa_id = ?1", [&id], |row| row.get(0));
        (state.unwrap(), kept.map(|message: Vec<u8>| message).unwrap())
    };
    let (state, message) = stored();
    assert_eq!(state, "remote", "nobody has asked for it");
    assert!(!String::from_utf8_lossy(&message).contains("/v/image/"), "where it lies is kept apart, sealed");

    // Many ask at once, and it is fetched once.
    let asking = (0..8).map(|_| async {
        let response = gateway.request("GET", &text(&told["mediaUrl"])).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    });
    for (status, body) in futures_util::future::join_all(asking).await {
        assert_eq!((status, &body[..]), (200, &picture[..]));
    }
    assert_eq!(stored().0, "stored");

    // What came can be sent on by its id.
    let body = json!({ "to": gateway.info["contactPhone"], "mediaId": told["mediaId"], "caption": "yours again" });
    let (status, taken) = send(&gateway, "media", body).await;
    assert_eq!(status, 200, "{taken}");
    assert_eq!(shown(&gateway, &taken).await["media"]["sha256"], sha256(&picture));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_what_it_is_said_to_be_is_refused() {
    let gateway = quiet().await;
    let (pdf, contact) = (b"%PDF-1.7 and more", gateway.info["contactPhone"].clone());
    let buffer = BASE64.encode(pdf);
    for (route, more) in [
        ("image", json!({})),
        ("video", json!({})),
        ("audio", json!({})),
        ("sticker", json!({})),
        ("media", json!({ "mediaType": "image" })),
        ("media", json!({ "mimeType": "image/png" })),
    ] {
        let mut body = json!({ "to": contact, "mediaBuffer": buffer });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let (status, refused) = send(&gateway, route, body).await;
        assert_eq!((status, &refused["error"]["code"]), (415, &json!("UNSUPPORTED_MEDIA_TYPE")), "{route} {more}");
    }
    let (status, refused) = upload(&gateway, "a.png", "image/png", pdf).await;
    assert_eq!(status, 415, "{refused}");
    assert!(text(&refused["error"]["message"]).contains("application/pdf"), "{refused}");

    for body in [
        json!({ "to": contact }),
        json!({ "to": contact, "mediaBuffer": buffer, "mediaUrl": "https://example.com/a.pdf" }),
        json!({ "to": contact, "mediaBuffer": "no base64!" }),
        json!({ "to": contact, "mediaId": "nonsense" }),
        json!({ "to": contact, "mediaBuffer": buffer, "mediaType": "hologram" }),
        json!({ "to": contact, "mediaBuffer": buffer, "ptt": true }),
    ] {
        let (status, refused) = send(&gateway, "media", body.clone()).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!("VALIDATION_ERROR")), "{body}: {refused}");
    }
    // Nothing of what was refused is kept.
    let database = rusqlite::Connection::open(crate::support::database()).unwrap();
    let tenant = text(&gateway.info["tenantId"]);
    until("the refused files to go", async || {
        let left = database
            .query_row("SELECT count(*) FROM media WHERE tenant_id = ?1", [&tenant], |row| row.get::<_, i64>(0));
        (left.unwrap() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_file_arrives_byte_for_byte_and_says_so_whoever_sent_it_first() {
    let gateway = quiet().await;
    let (contact, device) = (text(&gateway.info["contactPhone"]), gateway.info["devicePhone"].clone());
    let third = format!("{contact}6");
    gateway.phones().post("/accounts", json!({ "phone": third, "name": "Eka" })).await;
    let (theirs, ours) = (png(7_000), png(9_000));
    let media = json!({ "kind": "image", "data": BASE64.encode(&theirs), "caption": "theirs" });
    let write = json!({ "to": device, "media": media });
    let id = text(&gateway.phones().post(&format!("/accounts/{contact}/messages"), write).await["id"]);
    received(&gateway, &id).await;
    let sent = json!({ "to": contact, "mediaBuffer": BASE64.encode(&ours), "caption": "ours" });
    let (_, sent) = send(&gateway, "image", sent).await;
    shown(&gateway, &sent).await;

    for (id, picture, caption) in [(json!(id), &theirs, "theirs"), (sent["messageId"].clone(), &ours, "ours")] {
        let (status, taken) = send(&gateway, "forward", json!({ "to": third, "messageId": id })).await;
        assert_eq!(status, 200, "{taken}");
        let seen = until("the file on the third phone", async || {
            let inbox = gateway.phones().inbox(&third, 0).await;
            inbox.into_iter().find(|entry| entry["id"] == taken["messageId"])
        })
        .await;

        let media = &seen["media"];
        assert_eq!((&media["opened"], &media["sha256"]), (&json!(true), &json!(sha256(picture))), "{seen}");
        assert_eq!((&media["caption"], &seen["forwarded"]), (&json!(caption), &json!(0)), "{seen}");
    }
    let once = json!({ "to": contact, "mediaBuffer": BASE64.encode(&ours), "viewOnce": true });
    let (_, once) = send(&gateway, "media", once).await;
    shown(&gateway, &once).await;
    let (status, refused) = send(&gateway, "forward", json!({ "to": third, "messageId": once["id"] })).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")), "{refused}");
}

/// A web server with one picture, which counts how often it is asked.
async fn host(picture: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let answer = move |uri: Uri| {
        let (picture, counted) = (picture.clone(), counted.clone());
        async move {
            counted.fetch_add(1, Ordering::Relaxed);
            match uri.path() {
                "/beach.png" => ([(CONTENT_TYPE, "binary/octet-stream")], picture).into_response(),
                "/moved" => (StatusCode::FOUND, [(LOCATION, "/beach.png")]).into_response(),
                _ => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_fetched_by_its_url_once_and_only_from_where_the_guard_allows() {
    let gateway = quiet().await;
    let picture = png(70_000);
    let (url, asked) = host(picture.clone()).await;
    let by_url = async |url: &str, key: &str| {
        let body = json!({ "to": gateway.info["contactPhone"], "mediaUrl": url });
        let path = gateway.device("/messages/media");
        answer(gateway.request("POST", &path).header("idempotency-key", key).json(&body)).await
    };

    let (status, taken) = by_url(&format!("{url}/beach.png"), "key").await;
    assert_eq!(status, 200, "{taken}");
    let shown = shown(&gateway, &taken).await;
    assert_eq!((&shown["media"]["kind"], &shown["media"]["sha256"]), (&json!("image"), &json!(sha256(&picture))));
    assert_eq!(by_url(&format!("{url}/beach.png"), "key").await, (200, taken), "a repeat gets the first answer");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "and fetches nothing");
    assert_eq!(by_url(&format!("{url}/other.png"), "key").await.0, 409);

    for refused in [
        "http://10.0.0.1/beach.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/beach.png",
        "file:///etc/passwd",
        &format!("{url}/moved"),
        &format!("{url}/gone.png"),
    ] {
        let (status, body) = by_url(refused, refused).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("VALIDATION_ERROR")), "{refused}: {body}");
        assert_eq!(body["error"]["details"][0]["field"], "mediaUrl");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_and_file_are_one_message_and_another_file_is_a_mistake() {
    let gateway = quiet().await;
    let path = gateway.device("/messages/image");
    let by_form = async |picture: &[u8]| {
        let to = text(&gateway.info["contactPhone"]);
        let (kind, body) = form(&[("to", None, to.as_bytes()), ("file", Some(("a.png", "image/png")), picture)]);
        let request = gateway.request("POST", &path).header("idempotency-key", "form").header("content-type", kind);
        answer(request.body(body)).await
    };
    let (status, first) = by_form(&png(500)).await;
    assert_eq!(status, 200, "{first}");

    assert_eq!(by_form(&png(500)).await, (200, first));
    let (status, refused) = by_form(&png(501)).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("IDEMPOTENCY_MISMATCH")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_when_it_is_deleted_but_not_while_a_message_waits_for_it() {
    let gateway = quiet().await;
    let (_, uploaded) = upload(&gateway, "a.png", "image/png", &png(100)).await;
    let path = gateway.device(&format!("/media/{}", text(&uploaded["mediaId"])));
    answer(gateway.request("POST", &gateway.device("/stop"))).await;
    let body = json!({ "to": gateway.info["contactPhone"], "mediaId": uploaded["mediaId"] });
    let (status, taken) = send(&gateway, "media", body).await;
    assert_eq!(status, 200, "{taken}");

    let (status, refused) = answer(gateway.request("DELETE", &path)).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")));
    answer(gateway.request("POST", &gateway.device("/start"))).await;
    shown(&gateway, &taken).await;
    let status = gateway.device(&format!("/messages/{}/status", text(&taken["id"])));
    until("the message to be settled", async || (gateway.get(&status).await["status"] != "sending").then_some(()))
        .await;

    assert_eq!(answer(gateway.request("DELETE", &path)).await.0, 204);
    assert_eq!(answer(gateway.request("GET", &path)).await.0, 404);
    assert_eq!(answer(gateway.request("DELETE", &path)).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_at_whatsapp_waits_for_its_device_and_is_fetched_when_that_is_back() {
    let gateway = quiet().await;
    let (picture, contact) = (png(2_000), text(&gateway.info["contactPhone"]));
    let media = json!({ "kind": "document", "data": BASE64.encode(&picture), "file_name": "../a plan.png" });
    let write = json!({ "to": gateway.info["devicePhone"], "media": media });
    let id = text(&gateway.phones().post(&format!("/accounts/{contact}/messages"), write).await["id"]);
    let told = received(&gateway, &id).await;
    assert_eq!(told["fileName"], "../a plan.png", "as it was sent");
    answer(gateway.request("POST", &gateway.device("/stop"))).await;

    let (status, refused) = answer(gateway.request("GET", &text(&told["mediaUrl"]))).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("DEVICE_NOT_CONNECTED")));

    answer(gateway.request("POST", &gateway.device("/start"))).await;
    let response = until("the device to be back", async || {
        let response = gateway.request("GET", &text(&told["mediaUrl"])).send().await.unwrap();
        (response.status() == 200).then_some(response)
    })
    .await;
    let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.contains("filename=\"a plan.png\""), "{disposition}");
    assert_eq!(response.headers()["content-type"], "image/png", "what it is, whatever it was called");
    assert_eq!(&response.bytes().await.unwrap()[..], &picture[..]);
}
