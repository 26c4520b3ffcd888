//! Templates that show a file: made, filled, and holding on to what they show.

use super::kinds::{fields, send, shown};
use crate::support::{Tenant, answer, database, form, png, sha256, tenant, text};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

async fn uploaded(gateway: &Tenant, bytes: &[u8]) -> String {
    let (kind, body) = form(&[("file", Some(("offer.png", "image/png")), bytes)]);
    let path = gateway.device("/media/upload");
    text(&answer(gateway.request("POST", &path).header("content-type", kind).body(body)).await.1["mediaId"])
}

async fn write(gateway: &Tenant, method: &str, path: &str, body: Value) -> (u16, Value) {
    answer(gateway.request(method, path).json(&body)).await
}

/// A server with this picture under every path.
async fn served(picture: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/offer.png", listener.local_addr().unwrap());
    let router = Router::new().fallback(move || {
        let picture = picture.clone();
        async move { ([(CONTENT_TYPE, "image/png")], picture).into_response() }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_with_a_file_is_sent_with_its_text_filled_below() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let (first, second) = (png(300), png(500));
    let id = uploaded(&gateway, &first).await;
    let offer = json!({ "name": "offer", "text": "{{what}}, today only", "mediaId": id });
    let (status, made) = write(&gateway, "POST", "/v1/templates", offer).await;
    assert_eq!(status, 201, "{made}");
    let template = &made["data"]["template"];
    assert_eq!(template["media"], json!({ "mediaId": id, "mediaType": "image" }), "{template}");
    assert_eq!(template["variables"], json!(["what"]));

    let fill = json!({ "to": contact, "template": "offer", "variables": { "what": "Nasi goreng" } });
    let sent = send(&gateway, "template", fill).await;
    let seen = shown(&gateway, &sent).await;
    assert_eq!((&seen["type"], &seen["media"]["kind"]), (&json!("media"), &json!("image")), "{seen}");
    assert_eq!(seen["media"]["caption"], "Nasi goreng, today only");
    assert_eq!(seen["media"]["sha256"], sha256(&first));

    let url = served(second.clone()).await;
    let other = json!({ "name": "offer", "mediaUrl": url, "mediaType": "document", "fileName": "offer.png" });
    let (status, changed) = write(&gateway, "PUT", "/v1/templates/offer", other).await;
    assert_eq!(status, 200, "{changed}");
    let sent = send(&gateway, "template", json!({ "to": contact, "template": "offer" })).await;
    let seen = shown(&gateway, &sent).await;
    assert_eq!((&seen["media"]["kind"], &seen["media"]["file_name"]), (&json!("document"), &json!("offer.png")));
    assert_eq!((&seen["media"]["sha256"], &seen["media"]["caption"]), (&json!(sha256(&second)), &Value::Null));
    let plain = json!({ "name": "offer", "text": "nothing today" });
    let (_, changed) = write(&gateway, "PUT", "/v1/templates/offer", plain).await;
    assert_eq!(changed["data"]["template"]["media"], Value::Null, "{changed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_a_template_is_not_deleted_before_the_template_lets_it_go() {
    let gateway = tenant().await;
    let (first, second) = (uploaded(&gateway, &png(300)).await, uploaded(&gateway, &png(300)).await);
    let delete = async |id: &str| {
        let path = gateway.device(&format!("/media/{id}"));
        gateway.request("DELETE", &path).send().await.unwrap().status().as_u16()
    };
    write(&gateway, "POST", "/v1/templates", json!({ "name": "offer", "mediaId": first })).await;

    assert_eq!(delete(&first).await, 409);
    write(&gateway, "PUT", "/v1/templates/offer", json!({ "name": "offer", "mediaId": second })).await;
    assert_eq!((delete(&first).await, delete(&second).await), (204, 409));
    assert_eq!(answer(gateway.request("DELETE", "/v1/templates/offer")).await.0, 200);
    assert_eq!(delete(&second).await, 204);

    let gone = json!({ "name": "again", "mediaId": second });
    let (status, refused) = write(&gateway, "POST", "/v1/templates", gone).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("NOT_FOUND")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_whose_file_is_not_here_any_more_is_not_sent() {
    let gateway = tenant().await;
    let id = uploaded(&gateway, &png(300)).await;
    write(&gateway, "POST", "/v1/templates", json!({ "name": "offer", "mediaId": id })).await;
    // As when it was removed from the folder of files, and the row after it.
    let database = rusqlite::Connection::open(database()).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    assert_eq!(database.execute("DELETE FROM media WHERE id = ?1", [&id]).unwrap(), 1);

    let ask = json!({ "to": text(&gateway.info["contactPhone"]), "template": "offer" });
    let (status, refused) = write(&gateway, "POST", &gateway.device("/messages/template"), ask).await;

    assert_eq!((status, &refused["error"]["code"]), (404, &json!("NOT_FOUND")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_template_cannot_show_is_refused_and_leaves_no_file() {
    let gateway = tenant().await;
    let id = uploaded(&gateway, &png(300)).await;
    let url = served(png(300)).await;

    for (body, wrong) in [
        (json!({ "name": "a", "mediaId": id, "mediaUrl": url }), vec!["mediaUrl"]),
        (json!({ "name": "a", "mediaId": id, "text": "x".repeat(4_097) }), vec!["text"]),
        (json!({ "name": "a", "mediaId": "no id", "mediaType": "film" }), vec!["mediaId", "mediaType"]),
        (json!({ "name": "a", "mediaUrl": "http://10.0.0.1/a.png" }), vec!["mediaUrl"]),
        (json!({ "name": "a", "mediaType": "image" }), vec!["text", "mediaType"]),
    ] {
        let (status, refused) = write(&gateway, "POST", "/v1/templates", body.clone()).await;
        assert_eq!((status, fields(&refused)), (400, wrong.iter().map(ToString::to_string).collect()), "{body}");
    }
    let film = json!({ "name": "a", "mediaUrl": url, "mediaType": "video" });
    assert_eq!(write(&gateway, "POST", "/v1/templates", film).await.0, 415);
    write(&gateway, "POST", "/v1/templates", json!({ "name": "taken", "text": "a" })).await;
    let (status, refused) = write(&gateway, "POST", "/v1/templates", json!({ "name": "taken", "mediaUrl": url })).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("ALREADY_EXISTS")), "{refused}");
    let database = rusqlite::Connection::open(database()).unwrap();
    let sql = "SELECT group_concat(id) FROM media WHERE tenant_id = ?1 AND state = 'stored'";
    let kept: String = database.query_row(sql, [text(&gateway.info["tenantId"])], |row| row.get(0)).unwrap();
    assert_eq!(kept, id, "what was fetched for nothing is gone");
    let sticker = json!({ "name": "s", "mediaId": id, "mediaType": "sticker", "text": "below" });
    assert_eq!(write(&gateway, "POST", "/v1/templates", sticker).await.0, 415, "a PNG is no sticker");
}
