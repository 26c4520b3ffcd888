//! One gateway and one simulator for every test that only talks to the API. They run in this process, on threads of their
//! own, because a test's runtime ends with its test; nothing is left behind when the process ends but its folder.

use super::schemas::Told;
use super::{Client, Phones, Tenant, answer, simulator, text};
use crate::guests::guests;
use rijan::app::App;
use rijan::config::{self, Sources};
use rijan::vault::api_key::sha256_hex;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

/// Windows that tests beside each other would fill.
const WINDOWS: [&str; 9] = [
    "limits.text_per_minute",
    "limits.media_per_minute",
    "limits.location_per_minute",
    "limits.contact_per_minute",
    "limits.reaction_per_minute",
    "limits.poll_per_minute",
    "limits.forward_per_minute",
    "limits.status_per_minute",
    "limits.groups_per_minute",
];

const MASTER_PASSWORD: &str = "the operator of the shared gateway";

struct World {
    api: String,
    simulator: String,
}

/// A new tenant of the shared gateway: a linked device, and a contact who answers.
pub async fn tenant() -> Tenant {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::start);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let [device, contact] = [1, 2].map(|last| format!("62812{number:06}{last}"));

    let phones = Phones::at(world.simulator.clone());
    phones.post("/accounts", json!({ "phone": device, "name": "Shop" })).await;
    phones.post("/accounts", json!({ "phone": contact, "name": "Budi" })).await;
    phones.post(&format!("/accounts/{contact}/behaviour"), json!({ "reply": "Got it: {text}" })).await;
    let mut tenant = Tenant {
        info: json!({
            "api": world.api,
            "simulator": world.simulator,
            "masterKey": MASTER_PASSWORD,
            "devicePhone": device,
            "contactPhone": contact,
        }),
        http: Client::new(),
        _told: None,
    };
    let (_, made) = answer(tenant.admin("POST", "/admin/tenants").json(&json!({ "name": "Shop" }))).await;
    tenant.info["tenantId"] = made["data"]["tenant"]["id"].clone();
    let id = Some(text(&made["data"]["tenant"]["id"]));
    tenant._told = Some(Told::new(database(), id));
    tenant.info["apiKey"] = made["data"]["api_key"].clone();
    let id = tenant.link(&text(&tenant.info["devicePhone"])).await;
    tenant.info["deviceId"] = id.into();
    tenant
}

/// The shared gateway's database file.
pub fn database() -> PathBuf {
    folder().join("rijan.db")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shared-{}", std::process::id()))
}

impl World {
    fn start() -> Self {
        forget_ended_processes();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let simulator = simulator().await;
                let mut flags = vec![
                    ("master_key", sha256_hex(MASTER_PASSWORD)),
                    ("server.port", "0".to_owned()),
                    ("store.path", database().display().to_string()),
                    ("whatsapp.simulator_url", simulator.url()),
                    ("egress.allow", "127.0.0.1".to_owned()),
                    ("plugins.uploads", "true".to_owned()),
                    ("plugins.cache", guests().join("cache").display().to_string()),
                    ("debug.protocol_tap", "true".to_owned()),
                    ("limits.pairing_per_minute", "off".to_owned()),
                    ("limits.tenant", "off".to_owned()),
                    ("limits.public_per_minute", "off".to_owned()),
                    ("limits.failed_auth_per_minute", "off".to_owned()),
                ];
                flags.extend(WINDOWS.map(|window| (window, "off".to_owned())));
                let flags = flags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                let settings = config::load(&Sources { flags, ..Sources::default() }).unwrap();
                let _running = App::start(settings).await.unwrap();
                let api = format!("http://{}", _running.address);
                tell.send(Self { api, simulator: simulator.url() }).unwrap();
                std::future::pending::<()>().await;
            });
        });
        told.recv().unwrap()
    }
}

/// Removes the folders of earlier runs.
fn forget_ended_processes() {
    for entry in std::fs::read_dir(env!("CARGO_TARGET_TMPDIR")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("shared-").filter(|id| !Path::new("/proc").join(id).exists());
        if process.is_some() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
