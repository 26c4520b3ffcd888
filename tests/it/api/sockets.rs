//! The WebSocket of a device's chats, with a real client.

use super::streams::{Stream, long_texts};
use crate::support::{Gateway, PATIENCE, Tenant, answer, own, simulator, tenant, text, until};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, handshake::client::Request};

pub type Socket = WebSocketStream<TcpStream>;

fn request(gateway: &Tenant, path: &str, header: Option<(&'static str, String)>) -> Request {
    let mut request = gateway.url(path).replacen("http", "ws", 1).into_client_request().unwrap();
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// Opens it over a connection that takes little at once.
pub async fn open(gateway: &Tenant, path: &str, header: Option<(&'static str, String)>) -> Socket {
    let request = request(gateway, path, header);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address = request.uri().authority().unwrap().as_str().parse().unwrap();
    let connection = socket.connect(address).await.unwrap();
    let (opened, answer) = tokio_tungstenite::client_async(request, connection).await.unwrap();
    gateway.http.note("GET", path.split('?').next().unwrap(), answer.status().as_u16(), None);
    opened
}

fn key(gateway: &Tenant) -> String {
    text(&gateway.info["apiKey"])
}

async fn with_key(gateway: &Tenant) -> Socket {
    open(gateway, &gateway.device("/chat-ws"), Some(("x-api-key", key(gateway)))).await
}

/// The next thing that the server says: a message as JSON, or the code it closes with.
pub async fn heard(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        let next = tokio::time::timeout(PATIENCE, socket.next()).await.expect("nothing was said");
        match next.expect("it ended without a close").unwrap() {
            Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => return Err(frame.unwrap().code.into()),
            _ => {}
        }
    }
}

/// The next message of this type; the others before it are passed over.
async fn message(socket: &mut Socket, type_: &str) -> Value {
    loop {
        let message = heard(socket).await.unwrap();
        if message["type"] == type_ {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_tells_what_there_is_and_then_what_happens() {
    let gateway = tenant().await;
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["deviceId"]));
    let mut socket = with_key(&gateway).await;
    let mut behind = open(&gateway, &gateway.device(&format!("/chat-ws?token={}", key(&gateway))), None).await;

    let connected = heard(&mut socket).await.unwrap();
    assert_eq!((&connected["type"], &connected["deviceId"]), (&json!("connected"), &json!(device)));
    assert_eq!(connected["data"]["status"], "connected");
    assert!(connected["timestamp"].as_i64().unwrap() > 1_700_000_000_000, "milliseconds: {connected}");
    let chats = heard(&mut socket).await.unwrap();
    assert_eq!(chats["type"], "chats.set");
    for field in ["chats", "count", "synced", "lastHistorySyncAt"] {
        assert!(chats["data"].get(field).is_some(), "{chats} lacks {field}");
    }

    socket.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    assert_eq!(message(&mut socket, "pong").await["deviceId"], json!(device));
    socket.send(Message::text("what?")).await.unwrap();
    assert_eq!(message(&mut socket, "error").await["code"], "VALIDATION_ERROR");

    let body = json!({ "to": gateway.info["devicePhone"], "text": "is it there?" });
    let written = gateway.phones().post(&format!("/accounts/{contact}/messages"), body).await;
    for socket in [&mut socket, &mut behind] {
        let said = message(socket, "messages.upsert").await["data"].clone();
        assert_eq!((&said["event"], &said["messages"][0]["id"]), (&json!("message.received"), &written["id"]));
        let chat = message(socket, "chats.upsert").await["data"]["chats"][0].clone();
        assert_eq!((&chat["jid"], &chat["name"]), (&said["messages"][0]["chat"], &json!("Budi")));
    }
    gateway.send_text("yes", "key").await.unwrap();
    until("the receipt", async || {
        let said = message(&mut socket, "messages.upsert").await["data"].clone();
        (said["event"] == "receipt.delivery" && said["messages"][0]["chat"] == json!(contact_jid(&contact)))
            .then_some(())
    })
    .await;

    answer(gateway.request("POST", &gateway.device("/stop"))).await;
    assert_eq!(message(&mut socket, "connection.update").await["data"]["status"], "disconnected");
    assert_eq!(answer(gateway.request("GET", &gateway.device("/chat-ws"))).await.0, 400, "no WebSocket was asked for");
}

fn contact_jid(phone: &str) -> String {
    format!("{phone}@s.whatsapp.net")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_judged_like_a_header_and_one_of_another_tenant_is_answered_like_a_bad_one() {
    let gateway = own(&[]).await;
    let (_, made) = answer(gateway.admin("POST", "/admin/tenants").json(&json!({ "name": "Other" }))).await;
    let (own_key, other) = (key(&gateway), text(&made["data"]["api_key"]));
    let path = |token: &str| gateway.device(&format!("/chat-ws?token={token}"));

    for token in
        [own_key.clone(), format!("Bearer%20{own_key}"), format!("Bearer_{own_key}"), format!("bearer+{own_key}")]
    {
        let mut socket = open(&gateway, &path(&token), None).await;
        assert_eq!(heard(&mut socket).await.unwrap()["type"], "connected", "{token}");
    }
    let bearer = Some(("authorization", format!("Bearer {own_key}")));
    let mut socket = open(&gateway, &path("wrong"), bearer).await;
    assert_eq!(heard(&mut socket).await.unwrap()["type"], "connected", "a header wins");

    let mut refusals = Vec::new();
    let unknown = format!("/v1/devices/device_{}/chat-ws?token={own_key}", "0".repeat(32));
    for path in
        [path("wrong"), path(&other), path(""), path(&format!("Bearer_{other}")), unknown, gateway.device("/chat-ws")]
    {
        let mut socket = open(&gateway, &path, None).await;
        let error = heard(&mut socket).await.unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("UNAUTHORIZED")), "{path}");
        assert_eq!(heard(&mut socket).await, Err(4001), "{path}");
        refusals.push(error);
    }
    assert!(refusals.iter().all(|refusal| refusal == &refusals[0]), "none says more than another: {refusals:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_closes_with_its_key_its_tenant_and_one_too_many() {
    let gateway = own(&[("limits.streams", "1")]).await;
    let tenant = format!("/admin/tenants/{}", text(&gateway.info["tenantId"]));
    let mut socket = with_key(&gateway).await;
    message(&mut socket, "chats.set").await;
    let mut second = with_key(&gateway).await;
    assert_eq!(heard(&mut second).await.unwrap()["code"], "CONFLICT");
    assert_eq!(heard(&mut second).await, Err(4009));

    let (_, made) = answer(gateway.admin("POST", &format!("{tenant}/regenerate-key"))).await;
    assert_eq!(message(&mut socket, "error").await["code"], "UNAUTHORIZED");
    assert_eq!(heard(&mut socket).await, Err(4001));
    drop(socket);

    let mut socket = until("the place to be free", async || {
        let header = Some(("x-api-key", text(&made["data"]["api_key"])));
        let mut socket = open(&gateway, &gateway.device("/chat-ws"), header).await;
        (heard(&mut socket).await.unwrap()["type"] == "connected").then_some(socket)
    })
    .await;
    answer(gateway.admin("PATCH", &format!("{tenant}/suspend"))).await;
    assert_eq!(message(&mut socket, "error").await["code"], "FORBIDDEN");
    assert_eq!(heard(&mut socket).await, Err(4003));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_closed_as_slow() {
    let gateway = own(&[("server.stream_stall_s", "0.3")]).await;
    let mut socket = with_key(&gateway).await;
    message(&mut socket, "chats.set").await;
    long_texts(&gateway, 400).await;
    // This is the slow reader.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;

    let mut messages = 0;
    let code = loop {
        match heard(&mut socket).await {
            Ok(_) => messages += 1,
            Err(code) => break code,
        }
    };

    assert_eq!(code, 4008);
    assert!(messages < 800, "all of it was kept for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_no_ping_is_closed() {
    let gateway = own(&[("server.ws_ping_s", "0.2")]).await;
    // From here on nobody reads frames, so that nobody answers.
    let mut connection = with_key(&gateway).await.into_inner();

    let mut said = Vec::new();
    tokio::time::timeout(PATIENCE, connection.read_to_end(&mut said)).await.expect("it stayed open").unwrap();

    let close = [4007_u16.to_be_bytes().as_slice(), b"pings were not answered"].concat();
    assert!(said.ends_with(&close), "{:?}", String::from_utf8_lossy(&said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_sockets_are_told_when_the_gateway_stops() {
    let gateway = own(&[]).await;
    let mut socket = with_key(&gateway).await;
    message(&mut socket, "chats.set").await;
    let mut stream = Stream::open(gateway.request("GET", "/v1/events/stream")).await;

    let (is_clean, code, event) = tokio::join!(gateway.stop(), heard(&mut socket), stream.event());

    assert!(is_clean);
    assert_eq!(code, Err(1001));
    assert!(event.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_an_address_is_in_no_log() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &["--log-level", "debug"]);
    let path = gateway.device(&format!("/chat-ws?token={}", key(&gateway)));
    let mut socket = open(&gateway, &path, None).await;
    message(&mut socket, "chats.set").await;
    drop(socket);

    let log = until("the line of the request", async || {
        let log = std::fs::read_to_string(folder.path().join("gateway.log")).unwrap();
        log.contains("/chat-ws").then_some(log)
    })
    .await;

    let secret = key(&gateway);
    let secret = secret.rsplit('.').next().unwrap();
    assert!(!log.contains(secret) && !log.contains("token="), "a line of the log tells the key");
}
