//! The host with real components, a real store, and no WhatsApp: what hooks decide is looked at before anybody acts on it.

mod decide;
mod endurance;
mod hostile;
mod limits;
mod refused;
mod reload;
mod trial;

use crate::guests::{example, guests, hostile, rust_example};
use rijan::domain::clock::Clock;
use rijan::domain::event::{Event, EventType};
use rijan::domain::ids::{DeviceId, TenantId};
use rijan::domain::secret::Secret;
use rijan::egress::{AllowList, Egress, EgressSettings};
use rijan::plugins::manifest::Hook;
use rijan::plugins::pipeline::{Decided, Passed};
use rijan::plugins::settings::PluginSettings;
use rijan::plugins::{EngineSettings, Plugins, ReloadOutcome, Wanted};
use rijan::store::{NewKey, Store, StoreSettings};
use rijan::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub struct World {
    pub plugins: Plugins,
    pub store: Store,
    pub tenant: TenantId,
    pub device: DeviceId,
    pub clock: Clock,
    _folder: tempfile::TempDir,
}

pub const NOW: i64 = 1_700_000_000_000;

impl World {
    pub async fn new() -> Self {
        // The receivers of tests are on this machine.
        Self::reaching(&["127.0.0.1"]).await
    }

    /// One whose egress opens these addresses that are not public.
    pub async fn reaching(open: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("folder");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let clock = Clock::manual(NOW);
        let settings = StoreSettings {
            path: folder.path().join("rijan.db"),
            readers: 2,
            batch_time_max: Duration::from_millis(2),
            batch_requests_max: 64,
            instance_id: None,
        };
        let store = Store::open(&settings, &Secret::new("key"), clock.clone(), metrics.clone()).expect("store");
        let tenant = TenantId::generate();
        let key =
            NewKey { name: "k".into(), hash: "h".into(), scopes: vec![], allowed_ips: vec![], expires_at: i64::MAX };
        store.create_tenant(tenant.clone(), "Acme", key).await.expect("tenant");
        let device = store.create_device(&tenant, "shop").await.expect("device").id;
        let egress = EgressSettings {
            allow: AllowList::new(open.iter().map(|entry| entry.parse().expect("entry")).collect()),
            connect_timeout: Duration::from_secs(2),
            answer_bytes_max: 1 << 16,
        };
        let engine = EngineSettings { cache: Some(guests().join("cache")), pool_instances: 50 };
        let egress = Egress::new(egress).expect("egress");
        let plugins = Plugins::start(&engine, store.clone(), egress, metrics).expect("engine");
        Self { plugins, store, tenant, device, clock, _folder: folder }
    }

    pub async fn put(&self, name: &str, component: Vec<u8>, settings: Value) -> ReloadOutcome {
        let (sha256, _) = self.plugins.keep(component).await.expect("a plugin");
        self.plugins.put(&self.tenant, self.wanted(name, sha256, settings)).await.expect("put")
    }

    pub fn wanted(&self, name: &str, sha256: String, settings: Value) -> Wanted {
        Wanted {
            name: name.into(),
            managed_by: "api".into(),
            enabled: true,
            sha256,
            file: None,
            settings: PluginSettings::from_json(&settings).expect("settings"),
            secrets: BTreeMap::from([("api-token".to_owned(), Secret::new("hunter2"))]),
            trial: None,
        }
    }

    pub fn event(&self, id: &str, text: &str) -> Event {
        self.event_in("6281100000002@s.whatsapp.net", id, text)
    }

    pub fn event_in(&self, chat: &str, id: &str, text: &str) -> Event {
        let phone = chat.split('@').next().expect("phone");
        let data = json!({
            "id": id, "chat": chat, "from": chat, "fromMe": false, "isGroup": false, "type": "text", "text": text,
            "sender": { "contactId": chat, "jid": chat, "phone": phone, "lid": null, "name": "Budi" },
            "timestamp": NOW / 1000,
        });
        let event = Event::new(self.tenant.clone(), Some(self.device.clone()), EventType::MessageReceived, NOW, data);
        Event { id: rijan::domain::ids::EventId::derived(NOW, &[id]), ..event }
    }

    pub async fn decide(&self, event: Event) -> Decided {
        let pipeline = self.plugins.pipeline(&self.tenant).expect("a pipeline");
        assert!(pipeline.has(Hook::Inbound));
        match pipeline.on_event(event, true).await {
            Passed::Decided(decided) => *decided,
            Passed::Later(_) => unreachable!("the last try decides"),
        }
    }

    /// As the inbox does: decided, then committed.
    pub async fn process(&self, event: Event) -> Decided {
        let decided = self.decide(event).await;
        self.store.commit_aftermath(&self.tenant, decided.aftermath.clone()).await.expect("commits");
        decided
    }
}

/// Everything the example may do.
pub fn everything() -> Value {
    json!({
        "grants": {
            "imports": ["secrets", "kv", "http", "media"],
            "effects": ["reply", "send", "forward", "react", "mark-read", "route"],
            "hosts": ["api.example.com"],
            "secrets": ["api-token"],
        },
    })
}

/// What was sent, as kind and text.
pub fn sent(decided: &Decided) -> Vec<String> {
    use rijan::domain::outgoing::Content;
    let text = |content: &Content| match content {
        Content::Text { text, .. } => text.clone(),
        other => other.kind().to_owned(),
    };
    decided.aftermath.sends.iter().map(|send| text(&send.content)).collect()
}

pub fn errors(decided: &Decided) -> Vec<String> {
    let failed = decided.aftermath.traces.iter().filter(|trace| trace.decision == "error");
    failed.map(|trace| trace.detail["error"].as_str().unwrap_or_default().to_owned()).collect()
}
