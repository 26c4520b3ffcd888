//! `rijan serve` with a tenant, as a client sees it.

use super::{CHATS, Phones, contact};
use rijan::vault::api_key::sha256_hex;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PASSWORD: &str = "a password of the benchmark";

pub(super) struct Gateway {
    child: Child,
    _folder: tempfile::TempDir,
    http: reqwest::Client,
    base: String,
    tenant: String,
    key: String,
}

impl Gateway {
    pub(super) async fn start(simulator: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rijan"))
            .arg("serve")
            .current_dir(folder.path())
            .env_clear()
            .env("PORT", "0")
            .env("MASTER_KEY", sha256_hex(PASSWORD))
            .env("DATABASE_PATH", folder.path().join("rijan.db"))
            .env("RIJAN__WHATSAPP__SIMULATOR_URL", simulator)
            .envs(["TENANT", "TEXT_PER_MINUTE"].map(|name| (format!("RIJAN__LIMITS__{name}"), "off")))
            .env("RIJAN__LIMITS__PUBLIC_PER_MINUTE", "off")
            .env("RIJAN__LIMITS__FAILED_AUTH_PER_MINUTE", "off")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("the gateway listens")).unwrap();
        let address = line.split("address=").nth(1).unwrap().trim().to_owned();
        // Its log is read on, or it would stall on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut gateway = Self {
            child,
            _folder: folder,
            http,
            base: format!("http://{address}"),
            tenant: String::new(),
            key: String::new(),
        };
        let made = gateway.call("POST", "/admin/tenants", json!({ "name": "Bench" })).await;
        gateway.tenant = made["data"]["tenant"]["id"].as_str().unwrap().to_owned();
        gateway.key = made["data"]["api_key"].as_str().unwrap().to_owned();
        gateway
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base)).json(&body);
        let answer = request.header("x-master-key", PASSWORD).header("x-api-key", &self.key).send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// A device linked to the account of this phone; returns its id when it is connected.
    pub(super) async fn link(&self, phones: &Phones, phone: &str) -> String {
        let made =
            self.call("POST", &format!("/admin/tenants/{}/devices", self.tenant), json!({ "label": phone })).await;
        let id = made["data"]["device"]["id"].as_str().unwrap().to_owned();
        let shown = self.call("POST", &format!("/v1/devices/{id}/pairing/qr"), json!({})).await;
        phones.scan(phone, shown["data"]["qr_text"].as_str().unwrap()).await;
        loop {
            let device = self.call("GET", &format!("/v1/devices/{id}"), json!({})).await;
            if device["data"]["device"]["status"] == "connected" {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Posts so many texts, side by side over the chats; returns when all are accepted.
    pub(super) async fn send_round(&self, device: &str, text: &str, count: usize) {
        let path = format!("/v1/devices/{device}/messages/text");
        let chats = (0..CHATS).map(|chat| {
            let path = path.as_str();
            async move {
                for number in (chat..count).step_by(CHATS) {
                    let body = json!({ "to": contact(chat), "text": format!("{text} {number}") });
                    self.call("POST", path, body).await;
                }
            }
        });
        futures_util::future::join_all(chats).await;
    }

    /// Waits until WhatsApp's server has acknowledged so many messages in all.
    pub(super) async fn acknowledged(&self, count: usize) {
        loop {
            let text = self.http.get(format!("{}/metrics", self.base)).send().await.unwrap().text().await.unwrap();
            let sent = text.lines().find_map(|line| line.strip_prefix("rijan_messages_sent ")).unwrap();
            if sent.trim().parse::<usize>().unwrap() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
