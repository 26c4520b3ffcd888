//! What phones do beside writing: they give history, send again, link devices, are installed anew, change their number.

mod again;
mod history;
mod people;
mod told;

use crate::support::{Tenant, answer, text, until};
use serde_json::{Value, json};

pub async fn write(gateway: &Tenant, from: &str, draft: Value) -> String {
    text(&gateway.phones().post(&format!("/accounts/{from}/messages"), draft).await["id"])
}

/// Events of a type of the gateway's device, oldest first, once there is one that fits.
pub async fn events(gateway: &Tenant, device: &str, type_: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let path = format!("/v1/devices/{device}/events?cursor=0&type={type_}&limit=500");
    until(type_, async || {
        let events = gateway.get(&path).await.as_array().cloned().unwrap_or_default();
        let events: Vec<Value> = events.into_iter().map(|event| event["payload"].clone()).collect();
        events.iter().any(&fits).then_some(events)
    })
    .await
}

/// Sends a text to the contact; returns its id of WhatsApp's.
pub async fn send(gateway: &Tenant, body: &str) -> String {
    let json = json!({ "to": gateway.info["contactPhone"], "text": body });
    let (status, taken) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&json)).await;
    assert_eq!(status, 200, "{taken}");
    text(&taken["messageId"])
}

/// What a phone shows under this id.
pub async fn shown(gateway: &Tenant, phone: &str, id: &str) -> Value {
    until("the message on the phone", async || {
        gateway.phones().inbox(phone, 0).await.into_iter().find(|entry| entry["id"] == id)
    })
    .await
}
