//! A store with one tenant and one linked device, for tests of what is kept of its messages.

use super::{
    Accepted, ChatRow, EventQuery, Incoming, Lease, Link, NewInboxRow, NewKey, NewMessage, NewRemoteMedia, Observation,
    Store, StoreSettings,
};
use crate::domain::aftermath::Aftermath;
use crate::domain::chat::Line;
use crate::domain::clock::Clock;
use crate::domain::device::Observed;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{MediaId, MessageId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::media::{Dimensions, MediaKind, RemoteMedia};
use crate::domain::outgoing::Content;
use crate::domain::secret::Secret;
use crate::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct World {
    pub(super) store: Store,
    pub(super) tenant: TenantId,
    pub(super) lease: Lease,
    pub(super) folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let settings = StoreSettings {
            path: folder.path().join("test.db"),
            readers: 1,
            batch_time_max: Duration::from_millis(1),
            batch_requests_max: 1,
            instance_id: None,
        };
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let store = Store::open(&settings, &Secret::new("key"), Clock::manual(1_000), metrics).expect("store");
        let (tenant, lease) = owner(&store, "hash").await;
        Self { store, tenant, lease, folder }
    }

    /// A message that was taken for sending.
    pub(super) async fn accepted(&self, chat: &str, wa_id: &str, content: Content) -> MessageId {
        self.accepted_in(ChatId::parse(chat).expect("a chat"), wa_id, content).await
    }

    pub(super) async fn accepted_in(&self, chat: ChatId, wa_id: &str, content: Content) -> MessageId {
        let (id, taken) = self.asked(chat, wa_id, content).await;
        assert_eq!(taken, Accepted::New);
        id
    }

    /// What came of a message that is to be sent.
    pub(super) async fn taken(&self, chat: &str, wa_id: &str, content: Content) -> Accepted {
        self.asked(ChatId::parse(chat).expect("a chat"), wa_id, content).await.1
    }

    async fn asked(&self, chat: ChatId, wa_id: &str, content: Content) -> (MessageId, Accepted) {
        let id = MessageId::generate();
        let aftermath = Aftermath::default();
        let new = NewMessage { id: id.clone(), chat, wa_id: wa_id.into(), content, idempotency: None, aftermath };
        let taken = self.store.accept_message(&self.tenant, &self.lease.device, new, true).await.expect("an answer");
        (id, taken)
    }

    /// A received message, with the sender's other address beside the one that is given.
    pub(super) async fn received(&self, chat: &str, sender: &str, wa_id: &str, message: &[u8]) {
        let row = received(chat, sender, wa_id, message);
        self.store.record_inbound(&self.tenant, &self.lease, vec![row], false).await.expect("recorded");
    }

    /// A message in a chat of two, at a time in seconds.
    pub(super) async fn wrote(&self, chat: &str, id: &str, at_s: i64, other: Option<&str>, line: Line) {
        let envelope = json!({ "fromMe": false, "timestamp": at_s, "senderAlternative": other, "pushName": "Budi" });
        let row = NewInboxRow { envelope, line: Some(line), ..received(chat, chat, id, b"") };
        self.store.record_inbound(&self.tenant, &self.lease, vec![row], false).await.expect("recorded");
    }

    /// What waits becomes events; of these messages a plugin replaced what was said.
    pub(super) async fn processed(&self, redacted: &[&str]) {
        let waiting = self.store.waiting(&self.tenant, Vec::new(), 100).await.expect("waiting");
        for row in &waiting.rows {
            let Incoming::Message { sender, wa_id, .. } = &row.what else { panic!("a message") };
            let data = json!({ "id": wa_id, "chat": row.chat, "text": "said" });
            let device = Some(row.device.clone());
            let event = Event {
                id: row.event_id(sender, wa_id),
                ..Event::new(self.tenant.clone(), device, EventType::MessageReceived, row.received_at, data)
            };
            let redacted = redacted.contains(&wa_id.as_str());
            self.store.complete_inbound(row, vec![event], Aftermath::default(), redacted).await.expect("completed");
        }
    }

    pub(super) async fn listed(&self) -> Vec<ChatRow> {
        self.store.chats(&self.tenant, &self.lease.device, 10, 0).await.expect("chats")
    }

    pub(super) async fn told_of(&self, type_: EventType) -> Vec<Value> {
        let query =
            EventQuery { after: Some(0), types: vec![type_.as_str().to_owned()], limit: 100, ..EventQuery::default() };
        self.store.events(&self.tenant, query).await.expect("events").into_iter().map(|row| row.data).collect()
    }
}

/// A tenant with a device that is linked and connected.
pub(super) async fn owner(store: &Store, hash: &str) -> (TenantId, Lease) {
    let key =
        NewKey { name: "key".into(), hash: hash.into(), scopes: vec![], allowed_ips: vec![], expires_at: i64::MAX };
    let tenant = store.create_tenant(TenantId::generate(), "Acme", key).await.expect("tenant").id;
    let device = store.create_device(&tenant, "desk").await.expect("device").id;
    let jid = Some("6280@s.whatsapp.net".to_owned());
    let link = Link { phone_number: Some("6280".into()), jid, lid: Some("80@lid".into()), name: None };
    let lease = store.acquire_lease(&tenant, &device).await.expect("lease");
    store.link_device(&tenant, &lease, link).await.expect("linked");
    let seen = Observation { status: Observed::Connected, error: None, reconnect_attempts: 0 };
    store.observe_device(&tenant, &device, seen).await.expect("observed");
    (tenant, lease)
}

/// A message that came with a picture, and the picture's id.
pub(super) async fn picture(store: &Store, tenant: &TenantId, lease: &Lease, wa_id: &str, eager: bool) -> MediaId {
    let id = MediaId::generate();
    let jid = || "62811@s.whatsapp.net".to_owned();
    let remote = RemoteMedia {
        kind: MediaKind::Image,
        direct_path: "/v/a-secret-path".into(),
        key: vec![7; 32],
        sha256: vec![1; 32],
        sealed_sha256: vec![2; 32],
        size: 9,
        chat: jid(),
        sender: jid(),
        wa_id: wa_id.into(),
        from_me: false,
        is_group: false,
    };
    let media = NewRemoteMedia {
        id: id.clone(),
        mime: "image/png".into(),
        file_name: None,
        dimensions: Dimensions::default(),
        remote,
    };
    let row =
        NewInboxRow { envelope: json!({ "mediaId": id }), media: Some(media), ..received(&jid(), &jid(), wa_id, b"") };
    store.record_inbound(tenant, lease, vec![row], eager).await.expect("recorded");
    id
}

pub(super) fn received(chat: &str, sender: &str, wa_id: &str, message: &[u8]) -> NewInboxRow {
    let (user, server) = sender.split_once('@').expect("an address");
    let other = if server == "lid" { "s.whatsapp.net" } else { "lid" };
    NewInboxRow {
        chat: chat.into(),
        sender: sender.into(),
        wa_id: wa_id.into(),
        envelope: json!({ "fromMe": false, "senderAlternative": format!("{user}@{other}") }),
        message: Some(message.to_vec()),
        line: None,
        poll: None,
        vote: None,
        media: None,
    }
}

pub(super) fn said(text: &str) -> Line {
    Line::New { kind: "text", text: Some(text.into()), is_caption: false }
}
