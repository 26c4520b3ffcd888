//! A gateway of a test's own in this process, without a phone: for tests that write into its log themselves, stop it, or
//! set it up in another way.

use super::{Client, Tenant, answer, text, until};
use rijan::app::{App, StartError};
use rijan::config::{self, Sources};
use rijan::domain::clock::Clock;
use rijan::domain::event::{Event, EventType};
use rijan::domain::ids::{DeviceId, TenantId};
use rijan::store::OpenError;
use rijan::vault::api_key::sha256_hex;
use serde_json::{Value, json};
use std::ops::Deref;
use std::path::Path;

const MASTER_PASSWORD: &str = "the operator of a gateway";

/// Acts for its first tenant, which has a device that is not linked.
pub struct Own {
    pub app: App,
    tenant: Tenant,
    flags: Vec<(String, String)>,
    clock: Clock,
    folder: tempfile::TempDir,
}

impl Deref for Own {
    type Target = Tenant;
    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

pub async fn own(settings: &[(&str, &str)]) -> Own {
    own_with(settings, |_| {}).await
}

/// As [`own`], by a clock that the test moves.
pub async fn own_at(clock: &Clock, settings: &[(&str, &str)]) -> Own {
    made(settings, clock.clone(), |_| {}).await
}

/// As [`own`], in a folder that is prepared first; files of tenants lie in `tenants` there.
pub async fn own_with(settings: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Own {
    made(settings, Clock::system(), prepare).await
}

async fn made(settings: &[(&str, &str)], clock: Clock, prepare: impl FnOnce(&Path)) -> Own {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut flags = vec![
        ("master_key".to_owned(), sha256_hex(MASTER_PASSWORD)),
        ("server.port".to_owned(), "0".to_owned()),
        ("store.path".to_owned(), path("rijan.db")),
        ("tenants.folder".to_owned(), path("tenants")),
        ("plugins.cache".to_owned(), String::new()),
        ("egress.allow".to_owned(), "127.0.0.1".to_owned()),
        ("limits.tenant".to_owned(), "off".to_owned()),
    ];
    flags.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let app = started(&flags, &clock).await.unwrap();
    let simulator = settings.iter().find(|(key, _)| *key == "whatsapp.simulator_url").map(|(_, url)| *url);
    let info = json!({ "api": address(&app), "masterKey": MASTER_PASSWORD, "simulator": simulator });
    let mut tenant = Tenant { info, http: Client::new(), _told: None };
    let (_, made) = answer(tenant.admin("POST", "/admin/tenants").json(&json!({ "name": "Shop" }))).await;
    tenant.info["tenantId"] = made["data"]["tenant"]["id"].clone();
    tenant.info["apiKey"] = made["data"]["api_key"].clone();
    let mut own = Own { app, tenant, flags, clock, folder };
    own.tenant.info["deviceId"] = own.new_device().await.into();
    own
}

async fn started(flags: &[(String, String)], clock: &Clock) -> Result<App, StartError> {
    let settings = config::load(&Sources { flags: flags.to_vec(), ..Sources::default() }).unwrap();
    App::start_at(settings, clock.clone()).await
}

fn address(app: &App) -> String {
    format!("http://{}", app.address)
}

impl Own {
    /// Stops and starts again, as the same gateway.
    pub async fn restart(self) -> Self {
        let Self { app, mut tenant, flags, clock, folder } = self;
        assert!(app.stop().await);
        // The database is free once the last task of the one before has let go of it; in a process of its own, at its end.
        let app = until("the database to be free", async || match started(&flags, &clock).await {
            Err(StartError::Store(OpenError::InUse { .. })) => None,
            started => Some(started.unwrap()),
        })
        .await;
        tenant.info["api"] = address(&app).into();
        Self { app, tenant, flags, clock, folder }
    }

    /// From now on this device is the one that is meant.
    pub fn use_device(&mut self, id: &str) {
        self.tenant.info["deviceId"] = id.into();
    }

    /// Links another device, to this account, whose contact is that one; both are the ones that are meant from now on.
    pub async fn link_with_contact(&mut self, phone: &str, contact: &str) {
        for (key, who) in [("devicePhone", phone), ("contactPhone", contact)] {
            self.phones().post("/accounts", json!({ "phone": who, "name": key })).await;
            self.tenant.info[key] = who.into();
        }
        let device = self.link(phone).await;
        self.use_device(&device);
    }

    /// One more device of the tenant; returns its id.
    pub async fn new_device(&self) -> String {
        let devices = format!("/admin/tenants/{}/devices", text(&self.info["tenantId"]));
        let (_, made) = answer(self.admin("POST", &devices).json(&json!({ "label": "a device" }))).await;
        text(&made["data"]["device"]["id"])
    }

    /// Something happens on a device of this tenant.
    pub fn event(&self, device: &str, type_: EventType, data: Value) -> Event {
        let tenant = TenantId::parse(&text(&self.info["tenantId"])).unwrap();
        let now = self.app.store().clock().now_ms();
        Event::new(tenant, Some(DeviceId::parse(device).unwrap()), type_, now, data)
    }

    /// Texts arrive, numbered.
    pub async fn texts(&self, numbers: std::ops::Range<usize>) {
        let device = text(&self.info["deviceId"]);
        let one = |number: usize| {
            let data =
                json!({ "id": number.to_string(), "chat": "1@s.whatsapp.net", "text": format!("text {number}") });
            self.event(&device, EventType::MessageReceived, data)
        };
        self.app.store().append_events_once(numbers.map(one).collect()).await.unwrap();
    }

    /// Whether it ended as it should.
    pub async fn stop(self) -> bool {
        self.app.stop().await
    }
}
