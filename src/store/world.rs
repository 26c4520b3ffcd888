//! A store with one tenant and one linked device, for tests of what is kept of its messages.

use super::{Accepted, Lease, Link, NewInboxRow, NewKey, NewMessage, Observation, Store, StoreSettings};
use crate::domain::aftermath::Aftermath;
use crate::domain::clock::Clock;
use crate::domain::device::Observed;
use crate::domain::ids::{MessageId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::Content;
use crate::domain::secret::Secret;
use crate::telemetry::metrics::Metrics;
use serde_json::json;
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
        let key = NewKey {
            name: "key".into(),
            hash: "hash".into(),
            scopes: vec![],
            allowed_ips: vec![],
            expires_at: i64::MAX,
        };
        let tenant = store.create_tenant(TenantId::generate(), "Acme", key).await.expect("tenant").id;
        let device = store.create_device(&tenant, "desk").await.expect("device").id;
        let jid = Some("6280@s.whatsapp.net".to_owned());
        let link = Link { phone_number: Some("6280".into()), jid, lid: Some("80@lid".into()), name: None };
        let lease = store.acquire_lease(&tenant, &device).await.expect("lease");
        store.link_device(&tenant, &lease, link).await.expect("linked");
        let seen = Observation { status: Observed::Connected, error: None, reconnect_attempts: 0 };
        store.observe_device(&tenant, &device, seen).await.expect("observed");
        Self { store, tenant, lease, folder }
    }

    /// A message that was taken for sending.
    pub(super) async fn accepted(&self, chat: &str, wa_id: &str, content: Content) -> MessageId {
        self.accepted_in(ChatId::parse(chat).expect("a chat"), wa_id, content).await
    }

    pub(super) async fn accepted_in(&self, chat: ChatId, wa_id: &str, content: Content) -> MessageId {
        let id = MessageId::generate();
        let aftermath = Aftermath::default();
        let new = NewMessage { id: id.clone(), chat, wa_id: wa_id.into(), content, idempotency: None, aftermath };
        let taken = self.store.accept_message(&self.tenant, &self.lease.device, new, true).await;
        assert_eq!(taken.expect("taken"), Accepted::New);
        id
    }

    /// A received message, with the sender's other address beside the one that is given.
    pub(super) async fn received(&self, chat: &str, sender: &str, wa_id: &str, message: &[u8]) {
        let row = received(chat, sender, wa_id, message);
        self.store.record_inbound(&self.tenant, &self.lease, vec![row], false).await.expect("recorded");
    }
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
