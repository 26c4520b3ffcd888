//! Plugins, with real components: the examples, built from their sources. One that is missing fails its test.

mod event_data;
mod install;
mod killed;
mod load;
mod loops;
mod paced;
mod passing;
mod refusals;
mod trial;
mod trying;
mod versions;

use crate::guests::example;
use crate::support::{Gateway, Phones, Tenant, answer, text, until};
use serde_json::{Value, json};

/// The name that the example in Rust has.
const EXAMPLE: &str = "/v1/plugins/example-rust";
const UPLOADS: [&str; 2] = ["--set", "plugins.uploads=true"];
const BOUNDARY: &str = "a-boundary-that-no-component-holds";

/// The example plugin in Rust, or another that the test cannot do without.
pub fn guest(language: &str) -> Vec<u8> {
    example(language).unwrap_or_else(|| panic!("the example in {language} is not built; plugins/build.sh builds it"))
}

/// The component with other bytes at the places of these; both are of one length, so that nothing else moves.
fn altered(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component.to_vec();
    let places: Vec<usize> =
        (0..bytes.len().saturating_sub(from.len())).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from:?} is not in the component");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in parts {
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// The form that brings a component, behind the header that announces it.
pub fn component_form(component: &[u8]) -> (String, Vec<u8>) {
    (format!("multipart/form-data; boundary={BOUNDARY}"), form(&[("component", component)]))
}

pub async fn upload(gateway: &Tenant, component: &[u8], settings: Option<Value>) -> (u16, Value) {
    let settings = settings.map(|settings| settings.to_string().into_bytes());
    let mut parts = vec![("component", component)];
    parts.extend(settings.as_deref().map(|settings| ("settings", settings)));
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    answer(gateway.request("POST", "/v1/plugins").header("content-type", kind).body(form(&parts))).await
}

/// All that the example asks for.
pub fn everything() -> Value {
    json!({
        "imports": ["secrets", "kv", "http", "media"],
        "effects": ["reply", "send", "forward", "react", "mark-read", "route"],
        "hosts": ["api.example.com"],
        "secrets": ["api-token"],
    })
}

async fn post(gateway: &Tenant, path: &str) -> (u16, Value) {
    answer(gateway.request("POST", path)).await
}

async fn put(gateway: &Tenant, body: Value) -> (u16, Value) {
    answer(gateway.request("PUT", EXAMPLE).json(&body)).await
}

/// The example, installed with all it asks for and enabled.
async fn serving(gateway: &Tenant) {
    let (status, made) = upload(gateway, &guest("rust"), Some(json!({ "grants": everything() }))).await;
    assert_eq!(status, 201, "{made}");
    let (status, enabled) = post(gateway, &format!("{EXAMPLE}/enable")).await;
    assert_eq!((status, &enabled["data"]["outcome"]), (200, &json!("swapped")), "{enabled}");
}

/// The contact writes to the device; returns the event that tells it.
async fn written(gateway: &Tenant, phones: &Phones, words: &str) -> Value {
    write(gateway, phones, words).await;
    told(gateway, "message.received", |event| event["payload"]["text"] == words).await
}

async fn write(gateway: &Tenant, phones: &Phones, words: &str) {
    let contact = text(&gateway.info["contactPhone"]);
    phones
        .post(&format!("/accounts/{contact}/messages"), json!({ "to": gateway.info["devicePhone"], "text": words }))
        .await;
}

/// The newest event of this type that fits.
async fn told(gateway: &Tenant, type_: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until(&format!("an event {type_}"), async || {
        let events = gateway.get(&format!("/v1/events?type={type_}&limit=500")).await;
        events.as_array().unwrap().iter().find(|event| fits(event)).cloned()
    })
    .await
}

/// Waits until the contact's phone shows these words.
async fn shown(gateway: &Tenant, phones: &Phones, words: &str) {
    let contact = text(&gateway.info["contactPhone"]);
    until(&format!("{words:?} on the contact's phone"), async || {
        let inbox = phones.get(&format!("/accounts/{contact}/inbox?after=0")).await;
        inbox.as_array().unwrap().iter().any(|message| message["text"] == words).then_some(())
    })
    .await;
}

async fn plugin(gateway: &Tenant) -> Value {
    gateway.get(EXAMPLE).await["data"]["plugin"].clone()
}

async fn audited(gateway: &Tenant, action: &str) -> Vec<Value> {
    let (_, lines) = answer(gateway.admin("GET", &format!("/admin/audit-logs?action={action}"))).await;
    lines["data"]["logs"].as_array().unwrap().clone()
}

fn fields(body: &Value) -> Vec<String> {
    let details = body["error"]["details"].as_array().unwrap_or_else(|| panic!("{body} names no field"));
    details.iter().map(|detail| text(&detail["field"])).collect()
}
