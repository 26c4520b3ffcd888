//! The host with real components, a real store, and no WhatsApp: what hooks decide is looked at before anybody acts on it.

mod decide;
mod limits;
mod reload;

use super::manifest::Hook;
use super::pipeline::{Decided, Passed};
use super::settings::PluginSettings;
use super::{EngineSettings, Plugins, ReloadOutcome, Wanted};
use crate::domain::clock::Clock;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::secret::Secret;
use crate::egress::{AllowList, Egress, EgressSettings};
use crate::store::{NewKey, Store, StoreSettings};
use crate::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The folder of built components.
fn guests() -> PathBuf {
    let beside_the_target = || std::env::current_exe().ok()?.ancestors().nth(3).map(|target| target.join("guests"));
    std::env::var_os("RIJAN_GUESTS").map(PathBuf::from).or_else(beside_the_target).expect("a folder")
}

/// A component by the name of its file; `None` when its language's toolchain is not here.
pub(super) fn guest(name: &str) -> Option<Vec<u8>> {
    let file = guests().join(format!("{name}.wasm"));
    let found = std::fs::read(&file).ok();
    if found.is_none() {
        eprintln!("skipped: {} is not there; .ci/guests builds it", file.display());
    }
    found
}

/// The example of `examples/plugins/rust`; the toolchain of this repository builds it, so it must be there.
pub(super) fn rust_example() -> Vec<u8> {
    guest("rust").expect("examples/plugins/rust is built: run .ci/guests")
}

pub(super) struct World {
    pub(super) plugins: Plugins,
    pub(super) store: Store,
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    pub(super) clock: Clock,
    _folder: tempfile::TempDir,
}

pub(super) const NOW: i64 = 1_700_000_000_000;

impl World {
    pub(super) async fn new() -> Self {
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
        let key = NewKey { name: "k".into(), hash: "h".into(), scopes: vec![], expires_at: i64::MAX };
        store.create_tenant(tenant.clone(), "Acme", key).await.expect("tenant");
        let device = store.create_device(&tenant, "shop").await.expect("device").id;
        let egress = EgressSettings {
            allow: AllowList::new(vec!["127.0.0.1".parse().expect("entry")]),
            connect_timeout: Duration::from_secs(2),
            answer_bytes_max: 1 << 16,
        };
        let engine = EngineSettings { cache: Some(guests().join("cache")), pool_instances: 50 };
        let egress = Egress::new(egress).expect("egress");
        let plugins = Plugins::start(&engine, store.clone(), egress, metrics).expect("engine");
        Self { plugins, store, tenant, device, clock, _folder: folder }
    }

    pub(super) async fn put(&self, name: &str, component: Vec<u8>, settings: Value) -> ReloadOutcome {
        let (sha256, _) = self.plugins.keep(component).await.expect("a plugin");
        self.plugins.put(&self.tenant, self.wanted(name, sha256, settings)).await.expect("put")
    }

    pub(super) fn wanted(&self, name: &str, sha256: String, settings: Value) -> Wanted {
        Wanted {
            name: name.into(),
            managed_by: "api".into(),
            enabled: true,
            sha256,
            file: None,
            settings: PluginSettings::from_json(&settings).expect("settings"),
            secrets: BTreeMap::from([("api-token".to_owned(), Secret::new("hunter2"))]),
        }
    }

    pub(super) fn event(&self, id: &str, text: &str) -> Event {
        self.event_in("6281100000002@s.whatsapp.net", id, text)
    }

    pub(super) fn event_in(&self, chat: &str, id: &str, text: &str) -> Event {
        let phone = chat.split('@').next().expect("phone");
        let data = json!({
            "id": id, "chat": chat, "from": chat, "fromMe": false, "isGroup": false, "type": "text", "text": text,
            "sender": { "contactId": chat, "jid": chat, "phone": phone, "lid": null, "name": "Budi" },
            "timestamp": NOW / 1000,
        });
        let event = Event::new(self.tenant.clone(), Some(self.device.clone()), EventType::MessageReceived, NOW, data);
        Event { id: crate::domain::ids::EventId::derived(NOW, &[id]), ..event }
    }

    pub(super) async fn decide(&self, event: Event) -> Decided {
        let pipeline = self.plugins.pipeline(&self.tenant).expect("a pipeline");
        assert!(pipeline.has(Hook::Inbound));
        match pipeline.on_event(event, true).await {
            Passed::Decided(decided) => *decided,
            Passed::Later(_) => unreachable!("the last try decides"),
        }
    }

    /// As the inbox does: decided, then committed.
    pub(super) async fn process(&self, event: Event) -> Decided {
        let decided = self.decide(event).await;
        self.store.commit_aftermath(&self.tenant, decided.aftermath.clone()).await.expect("commits");
        decided
    }
}

/// Everything the example may do.
pub(super) fn everything() -> Value {
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
pub(super) fn sent(decided: &Decided) -> Vec<String> {
    use crate::domain::outgoing::Content;
    let text = |content: &Content| match content {
        Content::Text { text, .. } => text.clone(),
        other => other.kind().to_owned(),
    };
    decided.aftermath.sends.iter().map(|send| text(&send.content)).collect()
}

pub(super) fn errors(decided: &Decided) -> Vec<String> {
    let failed = decided.aftermath.traces.iter().filter(|trace| trace.decision == "error");
    failed.map(|trace| trace.detail["error"].as_str().unwrap_or_default().to_owned()).collect()
}
