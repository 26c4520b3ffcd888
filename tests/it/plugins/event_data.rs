//! What a plugin reads of an event through `event-data` is what its webhook gets and its schema says: for every kind of event
//! that passes plugins, with a real component that keeps what it was shown.

use super::*;
use crate::guests::witness;
use crate::support::{Receiver, problems, simulator};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rijan::domain::event::{Event, EventType};
use rijan::domain::ids::TenantId;
use std::collections::{BTreeMap, BTreeSet};

const WITNESS: &str = "/v1/plugins/witness";
/// Bytes of a value that the API shows.
const SHOWN_BYTES_MAX: usize = 4_096;

/// A gateway with the witness and a webhook that wants everything.
struct Scene {
    gateway: Gateway,
    phones: Phones,
    receiver: Receiver,
    contact: String,
    device: String,
}

impl Scene {
    async fn new(folder: &std::path::Path, simulator: &whatsapp_simulator::Simulator) -> Self {
        let gateway = Gateway::start_with(folder, simulator, &UPLOADS);
        let (phones, receiver) = (Phones::of(simulator), Receiver::start().await);
        let grants = json!({ "grants": { "imports": ["event-data", "kv"] } });
        let (status, made) = upload(&gateway, &witness(), Some(grants)).await;
        assert_eq!(status, 201, "{made}");
        let (status, enabled) = post(&gateway, &format!("{WITNESS}/enable")).await;
        assert_eq!((status, &enabled["data"]["outcome"]), (200, &json!("swapped")), "{enabled}");
        let hook = json!({ "url": receiver.url, "events": ["*"] });
        assert_eq!(answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await.0, 201);
        let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
        Self { gateway, phones, receiver, contact, device }
    }

    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = answer(self.gateway.request(method, path).json(&body)).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// By the demo device.
    async fn ours(&self, method: &str, path: &str, body: Value) -> Value {
        self.done(method, &self.gateway.device(path), body).await
    }

    async fn told(&self, type_: &str) -> Value {
        told(&self.gateway, type_, |_| true).await
    }

    /// The contact's phone writes; returns the id.
    async fn writes(&self, mut draft: Value) -> Value {
        draft["to"] = json!(self.device);
        self.phones.post(&format!("/accounts/{}/messages", self.contact), draft).await["id"].clone()
    }

    async fn behaves(&self, behaviour: Value) {
        self.phones.post(&format!("/accounts/{}/behaviour", self.contact), behaviour).await;
    }

    /// The number that the simulator has for the device of this phone that was linked last.
    async fn newest_device(&self, phone: &str) -> Value {
        let devices = self.phones.get(&format!("/accounts/{phone}/devices")).await;
        devices.as_array().unwrap().last().unwrap()["device"].clone()
    }

    /// Somebody writes by lid alone, and then shows the number.
    async fn becomes_known(&self) {
        self.behaves(json!({ "hide_number": true })).await;
        let hidden = self.writes(json!({ "text": "guess who" })).await;
        told(&self.gateway, "message.received", |event| event["payload"]["id"] == hidden).await;
        self.behaves(json!({ "hide_number": false })).await;
        self.writes(json!({ "text": "it is me" })).await;
        self.told("identity.merged").await;
    }

    async fn messages(&self) {
        // By itself first: a phone that reads at once confirms both at once, and what is read is delivered too.
        self.behaves(json!({ "read": false })).await;
        self.gateway.send_text("take your time", "unread").await.unwrap();
        self.told("receipt.delivery").await;
        self.behaves(json!({ "read": true, "play": true })).await;
        let voice =
            json!({ "to": self.contact, "ptt": true, "mediaBuffer": STANDARD.encode(crate::api::media::opus()) });
        self.ours("POST", "/messages/audio", voice).await;
        self.told("receipt.played").await;
        let first = self.writes(json!({ "text": "hello" })).await;
        let poll = self.writes(json!({ "poll": { "question": "Which?", "options": ["a", "b"] } })).await;
        for draft in [
            json!({ "location": { "latitude": 1.5, "longitude": 2.5, "name": "here" } }),
            json!({ "contact": { "name": "A", "phone": self.contact } }),
            json!({ "media": { "kind": "image", "size": 100 } }),
            json!({ "vote": { "id": poll, "options": ["b"] } }),
            json!({ "reaction": { "id": first, "emoji": "👍", "own": true } }),
            json!({ "edit": { "id": first, "text": "hello again" } }),
            json!({ "delete": { "id": first } }),
        ] {
            self.writes(draft).await;
        }
        self.told("message.deleted").await;
        let spoilt = json!({ "tag": "message", "direction": "out" });
        let fault = json!({ "phone": self.device, "match": spoilt, "action": "corrupt", "count": 1 });
        self.phones.post("/faults", fault).await;
        self.writes(json!({ "text": "nobody can read this" })).await;
        self.told("message.undecryptable").await;
    }

    async fn groups(&self) {
        let third = format!("{}3", self.contact);
        self.phones.post("/accounts", json!({ "phone": third, "name": "Sari" })).await;
        let members = json!([self.device, third]);
        let body = json!({ "subject": "Theirs", "creator": self.contact, "members": members });
        let theirs = text(&self.phones.post("/groups", body).await["id"]);
        let body = json!({ "subject": "Order 42", "participants": [self.contact] });
        let group = text(&self.ours("POST", "/groups/create", body).await["data"]["groupJid"]);
        let one = json!({ "participants": [third] });
        for action in ["add", "promote", "demote", "remove"] {
            self.ours("POST", &format!("/groups/{group}/participants/{action}"), one.clone()).await;
        }
        self.ours("PUT", &format!("/groups/{group}/subject"), json!({ "subject": "Orders" })).await;
        self.told("participant.removed").await;
        // A device of the contact hears of a new group that somebody else has made.
        let other = self.gateway.link(&self.contact).await;
        let body = json!({ "subject": "Order 43", "participants": [self.contact] });
        self.ours("POST", "/groups/create", body).await;
        self.told("group.created").await;
        self.done("POST", &format!("/v1/devices/{other}/stop"), Value::Null).await;
        self.phones.delete(&format!("/groups/{theirs}")).await;
        self.told("group.deleted").await;
    }

    async fn people(&self) {
        self.ours("POST", "/presence/subscribe", json!({ "to": self.contact })).await;
        self.told("presence.updated").await;
        self.phones.post(&format!("/accounts/{}/picture", self.contact), json!({ "data": "/9j/4AAQSkZJRg==" })).await;
        self.told("contact.updated").await;
        let path = format!("/chats/{}/archive", self.contact);
        self.ours("POST", &path, json!({ "archive": true })).await;
        self.told("chat.updated").await;
        self.phones.post(&format!("/accounts/{}/calls", self.contact), json!({ "to": self.device })).await;
        self.told("call.received").await;
    }

    async fn newsletters(&self) {
        let body = json!({ "name": "Bakery" });
        let (_, made) = answer(self.gateway.request("POST", &self.gateway.device("/newsletters")).json(&body)).await;
        let path = format!("/newsletters/{}", text(&made["data"]["id"]));
        let (one, other) = (self.gateway.link(&self.contact).await, self.gateway.link(&self.contact).await);
        let by = async |device: &str, rest: &str, body: Value| {
            self.done("POST", &format!("/v1/devices/{device}{rest}"), body).await;
        };
        by(&one, &format!("{path}/follow"), Value::Null).await;
        self.told("newsletter.joined").await;
        self.phones.post(&format!("{path}/posts"), json!({ "text": "bread" })).await;
        self.ours("POST", &format!("{path}/live-updates"), Value::Null).await;
        let posts = self.gateway.get(&self.gateway.device(&format!("{path}/messages?limit=1"))).await;
        let reaction = format!("{path}/messages/{}/reaction", posts["data"]["posts"][0]["serverId"]);
        by(&one, &reaction, json!({ "emoji": "👍" })).await;
        self.told("newsletter.reactions").await;
        self.ours("PATCH", &path, json!({ "name": "Bread" })).await;
        self.told("newsletter.updated").await;
        by(&one, &format!("{path}/unfollow"), Value::Null).await;
        self.told("newsletter.left").await;
        for device in [one, other] {
            by(&device, "/stop", Value::Null).await;
        }
    }

    async fn devices(&self) {
        // A new phone, with chats from before, which then throws its device out.
        let fourth = format!("{}4", self.contact);
        self.phones.post("/accounts", json!({ "phone": fourth, "name": "Another shop" })).await;
        self.phones.post(&format!("/accounts/{fourth}/history"), json!({ "chats": 2, "messages": 2 })).await;
        self.gateway.link(&fourth).await;
        self.told("history.synced").await;
        let kick = format!("/accounts/{fourth}/devices/{}/kick", self.newest_device(&fourth).await);
        self.phones.post(&kick, json!({ "reason": "401" })).await;
        self.told("device.needs_pairing").await;
        // One ping that nobody answers, and the next one that is.
        let ping = json!({ "tag": "iq", "direction": "in", "xmlns": "w:p" });
        let fault = json!({ "phone": self.device, "match": ping, "action": "drop", "count": 1 });
        self.phones.post("/faults", fault).await;
        self.told("device.recovered").await;
        self.ours("POST", "/stop", Value::Null).await;
        self.told("device.disconnected").await;
        self.ours("POST", "/start", Value::Null).await;
    }

    /// What the witness was shown, by the id of the event.
    async fn witnessed(&self) -> BTreeMap<String, Value> {
        let (mut seen, mut next) = (BTreeMap::new(), String::new());
        loop {
            let page = self.gateway.get(&format!("{WITNESS}/kv?limit=100{next}")).await["data"].clone();
            for entry in page["entries"].as_array().unwrap_or_else(|| panic!("{page}")) {
                let value = text(&entry["value"]);
                assert!(value.len() < SHOWN_BYTES_MAX, "{value} is not shown whole");
                seen.insert(text(&entry["key"]), serde_json::from_str(&value).unwrap());
            }
            let Some(cursor) = page["nextCursor"].as_str() else { return seen };
            next = format!("&cursor={cursor}");
        }
    }
}

fn passes_plugins(type_: EventType) -> bool {
    Event::new(TenantId::generate(), None, type_, 0, Value::Null).passes_plugins()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_is_shown_is_the_data_of_the_webhook_and_of_its_schema_for_every_kind_of_event() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let scene = Scene::new(folder.path(), &simulator).await;
    scene.becomes_known().await;
    scene.messages().await;
    scene.groups().await;
    scene.people().await;
    scene.newsletters().await;
    scene.devices().await;
    let id = scene.gateway.send_text("that is all", "last").await.unwrap()["id"].clone();
    told(&scene.gateway, "receipt.read", |event| event["payload"]["id"] == id).await;

    let events = scene.gateway.get("/v1/events?cursor=0&limit=500").await.as_array().cloned().unwrap();
    let seen = scene.witnessed().await;
    let delivered = until("the deliveries", async || {
        let arrived = scene.receiver.arrived();
        let bodies: BTreeMap<String, Value> =
            arrived.iter().map(|one| one.json()).map(|body| (text(&body["id"]), body)).collect();
        let all = seen.keys().all(|id| bodies.contains_key(id));
        all.then_some(bodies)
    })
    .await;

    for event in events.iter().filter(|event| seen.contains_key(&text(&event["id"]))) {
        let (id, type_) = (text(&event["id"]), text(&event["type"]));
        assert_eq!(seen[&id], event["payload"], "{type_} as the plugin saw it, and as it is pulled");
        assert_eq!(seen[&id], delivered[&id]["data"], "{type_} as the plugin saw it, and as it was delivered");
        assert_eq!(problems(&type_, &seen[&id]), Vec::<String>::new());
    }
    let kinds: BTreeSet<String> =
        events.iter().filter(|one| seen.contains_key(&text(&one["id"]))).map(|one| text(&one["type"])).collect();
    let all: BTreeSet<String> =
        EventType::ALL.iter().filter(|type_| passes_plugins(**type_)).map(|type_| type_.as_str().to_owned()).collect();
    assert_eq!(kinds, all, "every kind that passes plugins, and no other");
}
