//! What belongs to another tenant is not there, by whatever way somebody asks.

use crate::api::media::{quiet, send, upload};
use crate::api::sockets::{heard, open};
use crate::support::{Tenant, answer, own, png, tenant, text};
use serde_json::{Value, json};

/// What is answered to who asks for a file by this name, without the id of the request.
async fn read(gateway: &Tenant, name: &str) -> (u16, Value) {
    let (status, mut body) = answer(gateway.request("GET", &gateway.device(&format!("/media/{name}")))).await;
    body.as_object_mut().unwrap().remove("requestId");
    (status, body)
}

/// What is answered when there is no file of that id.
async fn unknown(gateway: &Tenant) -> (u16, Value) {
    let unknown = read(gateway, &format!("media_{}", "0".repeat(32))).await;
    assert_eq!((unknown.0, &unknown.1["error"]["code"]), (404, &json!("NOT_FOUND")));
    unknown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_another_tenant_is_not_there() {
    let (gateway, other) = (quiet().await, tenant().await);
    let (_, uploaded) = upload(&other, "secret.png", "image/png", &png(100)).await;
    let theirs = text(&uploaded["mediaId"]);

    assert_eq!(read(&gateway, &theirs).await, unknown(&gateway).await, "neither answer says more than the other");
    assert_eq!(answer(gateway.request("DELETE", &gateway.device(&format!("/media/{theirs}")))).await.0, 404);
    let body = json!({ "to": gateway.info["contactPhone"], "mediaId": theirs });
    let (status, refused) = send(&gateway, "media", body).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("NOT_FOUND")));
    let (status, _) = answer(other.request("GET", &other.device(&format!("/media/{theirs}")))).await;
    assert_eq!(status, 200, "its owner has it still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_in_place_of_a_media_id_reaches_no_file() {
    let gateway = quiet().await;
    let unknown = unknown(&gateway).await;

    for name in ["..%2F..%2Frijan.db", "%2e%2e%2frijan.db", "media_..%2f..%2f..%2frijan.db", "rijan.db"] {
        assert_eq!(read(&gateway, name).await, unknown, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_takes_no_token_of_another_tenant() {
    let gateway = own(&[]).await;
    let (_, made) = answer(gateway.admin("POST", "/admin/tenants").json(&json!({ "name": "Other" }))).await;
    let theirs = text(&made["data"]["api_key"]);

    for token in [theirs.clone(), format!("Bearer_{theirs}"), format!("Bearer%20{theirs}")] {
        let mut socket = open(&gateway, &gateway.device(&format!("/chat-ws?token={token}")), None).await;
        let error = heard(&mut socket).await.unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("UNAUTHORIZED")));
        assert_eq!(heard(&mut socket).await, Err(4001));
    }
    let mut socket = open(&gateway, &gateway.device("/chat-ws"), Some(("x-api-key", theirs))).await;
    assert_eq!(heard(&mut socket).await.unwrap()["code"], "UNAUTHORIZED", "in a header neither");
}
