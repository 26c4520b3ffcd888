//! What tests stand on: a gateway in a process of its own beside a simulator in this one, or, for tests that only talk to
//! the API, a tenant of their own on a gateway that they share.

mod alone;
mod client;
mod files;
mod operations;
mod own;
mod receiver;
pub mod record;
mod schemas;
mod shared;

pub use alone::{alone, resident_mib};
pub use client::{Call, Client};
pub use files::{form, mp4, png, sha256};
pub use operations::{Caller, Operations};
pub use own::{Own, own, own_at, own_with};
pub use receiver::Receiver;
pub use schemas::{hold_to_its_schema, problems};
pub use shared::{database, tenant};

use schemas::Told;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use whatsapp_simulator::Simulator;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A tenant with a linked device and a contact, and what a client needs to act for it. `info` is what the sandbox prints.
pub struct Tenant {
    pub info: Value,
    pub http: Client,
    /// What was told of it is held against the schemas in the end.
    _told: Option<Told>,
}

/// `rijan sandbox --json`, killed when dropped. Acts for its demo tenant.
pub struct Gateway {
    child: Child,
    tenant: Tenant,
}

impl Deref for Gateway {
    type Target = Tenant;
    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Gateway {
    pub fn start(data: &Path, simulator: &Simulator) -> Self {
        Self::start_with(data, simulator, &[])
    }

    pub fn start_with(data: &Path, simulator: &Simulator, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rijan"))
            .args(["sandbox", "--json", "--no-plugin", "--port", "0", "--receiver-port", "0"])
            .args(["--simulator-url", &simulator.url()])
            .arg("--data")
            .arg(data)
            .args(flags)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(std::fs::OpenOptions::new().create(true).append(true).open(data.join("gateway.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let info = serde_json::from_str(&line).unwrap_or_else(|error| {
            let log = std::fs::read_to_string(data.join("gateway.log")).unwrap_or_default();
            panic!("the sandbox printed {line:?} ({error}); its log:\n{log}")
        });
        let told = Told::new(data.join("rijan.db"), None);
        Self { child, tenant: Tenant { info, http: Client::new(), _told: Some(told) } }
    }

    /// SIGKILL: no goodbye, no flush.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Tenant {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", text(&self.info["api"]))
    }

    /// A path below the demo device.
    pub fn device(&self, path: &str) -> String {
        format!("/v1/devices/{}{path}", text(&self.info["deviceId"]))
    }

    pub fn request(&self, method: &str, path: &str) -> Call {
        self.http
            .request(method.parse().unwrap(), self.url(path))
            .header("authorization", format!("Bearer {}", text(&self.info["apiKey"])))
    }

    pub fn admin(&self, method: &str, path: &str) -> Call {
        let method = method.parse().unwrap();
        self.http.request(method, self.url(path)).header("x-master-key", text(&self.info["masterKey"]))
    }

    pub async fn get(&self, path: &str) -> Value {
        answer(self.request("GET", path)).await.1
    }

    /// The simulator that the device is linked to.
    pub fn phones(&self) -> Phones {
        Phones::at(text(&self.info["simulator"]))
    }

    /// One more device of this tenant, linked to the account with this phone; returns its id.
    pub async fn link(&self, phone: &str) -> String {
        let devices = format!("/admin/tenants/{}/devices", text(&self.info["tenantId"]));
        let (_, made) = answer(self.admin("POST", &devices).json(&json!({ "label": "a device" }))).await;
        let id = text(&made["data"]["device"]["id"]);
        let (_, shown) = answer(self.request("POST", &format!("/v1/devices/{id}/pairing/qr"))).await;
        let scan = json!({ "qr": shown["data"]["qr_text"] });
        self.phones().post(&format!("/accounts/{phone}/scan"), scan).await;
        until("the device to connect", async || {
            let device = self.get(&format!("/v1/devices/{id}")).await;
            (device["data"]["device"]["status"] == "connected").then_some(())
        })
        .await;
        id
    }

    pub async fn send_text(&self, body: &str, key: &str) -> Option<Value> {
        let json = json!({ "to": self.info["contactPhone"], "text": body });
        let path = self.device("/messages/text");
        let sent = self.request("POST", &path).header("idempotency-key", key).json(&json).send().await.ok()?;
        if !sent.status().is_success() {
            return None;
        }
        sent.json().await.ok()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn answer(request: Call) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// The control API of the simulator.
pub struct Phones {
    http: reqwest::Client,
    base: String,
}

impl Phones {
    pub fn of(simulator: &Simulator) -> Self {
        Self::at(simulator.url())
    }

    pub fn at(base: String) -> Self {
        Self { http: http(), base }
    }

    /// Entries behind `after`; waits for one.
    pub async fn inbox(&self, phone: &str, after: u64) -> Vec<Value> {
        let url = format!("{}/accounts/{phone}/inbox?after={after}&wait_ms=20000", self.base);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.http.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap().json().await.unwrap()
    }

    pub async fn clear_faults(&self) {
        self.http.delete(format!("{}/faults", self.base)).send().await.unwrap();
    }

    pub async fn delete(&self, path: &str) -> Value {
        self.http.delete(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }
}

pub async fn simulator() -> Simulator {
    Simulator::start(([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// Asks until `found` answers; panics with `what` when it takes too long.
pub async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = found().await {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
