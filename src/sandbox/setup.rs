//! Starts the parts and makes the demo world: tenant, webhook, linked device, contact.

use super::Options;
use super::client::{Client, until};
use super::plugin::Demo;
use super::receiver::Receiver;
use crate::app::App;
use crate::config::{self, Sources};
use crate::domain::allowance::SendKind;
use crate::vault::api_key;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use whatsapp_simulator::Simulator;

pub(super) const DEVICE_PHONE: &str = "6281100000001";
pub(super) const CONTACT_PHONE: &str = "6281100000002";
const CONTACT_NAME: &str = "Budi";
const CONTACT_REPLY: &str = "Got it: {text}";

/// What is kept in the data folder, so that the same folder resumes the same world.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct World {
    pub(super) master_key: String,
    pub(super) tenant_id: String,
    pub(super) api_key: String,
    pub(super) device_id: String,
    pub(super) webhook_id: String,
    pub(super) webhook_secret: String,
}

pub(super) struct Sandbox {
    /// Goes before the folder that it may be in.
    pub(super) demo: Option<Demo>,
    app: App,
    _simulator: Option<Simulator>,
    /// Removed at the end, unless the folder was named.
    _folder: Option<OwnFolder>,
    pub(super) receiver: Receiver,
    receiver_address: SocketAddr,
    simulator_url: String,
    pub(super) world: World,
    pub(super) tenant: Client,
    pub(super) admin: Client,
    pub(super) phones: Client,
}

/// A folder that goes when the sandbox does.
struct OwnFolder(PathBuf);

impl Drop for OwnFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the sandbox's folder was not removed");
        }
    }
}

impl Sandbox {
    pub(super) async fn start(options: &Options) -> Result<Self> {
        let (folder, own) = match &options.data {
            Some(folder) => (folder.clone(), None),
            None => {
                let folder = std::env::temp_dir().join(format!("rijan-sandbox-{}", uuid::Uuid::now_v7().simple()));
                (folder.clone(), Some(OwnFolder(folder)))
            }
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let simulator = match options.simulator_url {
            Some(_) => None,
            None => Some(Simulator::start(SocketAddr::from(([127, 0, 0, 1], options.simulator_port))).await?),
        };
        let named = options.simulator_url.as_ref().map(ToString::to_string);
        let simulator_url = named.or_else(|| simulator.as_ref().map(Simulator::url)).unwrap_or_default();
        let show = !options.json && !options.once;
        let (receiver, receiver_address) = Receiver::start(options.receiver_port, show).await?;

        let remembered = remembered(&folder)?;
        let password =
            remembered.as_ref().map_or_else(|| hex::encode(rand::random::<[u8; 12]>()), |w| w.master_key.clone());
        let app = App::start(settings(options, &folder, &simulator_url, &password)?).await?;
        let api = format!("http://{}", app.address);
        let admin = Client::new(&api, Some(("x-master-key", password.clone())))?;
        let phones = Client::new(&simulator_url, None)?;
        let world = match remembered {
            Some(world) => world,
            None => make_world(&admin, &api, &password, receiver_address).await?,
        };
        std::fs::write(folder.join("sandbox.json"), serde_json::to_vec_pretty(&world)?)?;
        let tenant = Client::new(&api, Some(("authorization", format!("Bearer {}", world.api_key))))?;
        phones.post("/accounts", json!({ "phone": DEVICE_PHONE, "name": "Demo shop" })).await?;
        phones.post("/accounts", json!({ "phone": CONTACT_PHONE, "name": CONTACT_NAME })).await?;
        let behaviour = json!({ "reply": CONTACT_REPLY });
        phones.post(&format!("/accounts/{CONTACT_PHONE}/behaviour"), behaviour).await?;
        let demo = match options.no_plugin {
            true => None,
            false => Demo::start(options.plugin.as_deref(), &folder, &world, &app, show).await?,
        };
        let sandbox = Self {
            demo,
            app,
            _simulator: simulator,
            _folder: own,
            receiver,
            receiver_address,
            simulator_url,
            world,
            tenant,
            admin,
            phones,
        };
        if !options.once {
            sandbox.link().await?;
        }
        Ok(sandbox)
    }

    /// Links the demo device. One that is linked comes back by itself, unless its phone is gone with its simulator.
    async fn link(&self) -> Result<()> {
        let id = &self.world.device_id;
        let session = self.tenant.get(&format!("/v1/devices/{id}/session")).await?;
        if session["data"]["has_session"] == true {
            let settled = until("the demo device's return", || async {
                let status = self.status(id).await?;
                Ok(["connected", "needs_pairing", "failed"].contains(&status.as_str()).then_some(status))
            })
            .await?;
            if settled == "connected" {
                return Ok(());
            }
        }
        self.pair_by_qr(id, DEVICE_PHONE).await
    }

    pub(super) async fn status(&self, device: &str) -> Result<String> {
        let answer = self.tenant.get(&format!("/v1/devices/{device}")).await?;
        Ok(answer["data"]["device"]["status"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) async fn is(&self, device: &str, status: &str) -> Result<()> {
        until(&format!("device status {status}"), || async { Ok((self.status(device).await? == status).then_some(())) })
            .await
    }

    pub(super) async fn pair_by_qr(&self, device: &str, phone: &str) -> Result<()> {
        let answer = self.tenant.post(&format!("/v1/devices/{device}/pairing/qr"), json!({})).await?;
        let qr = &answer["data"]["qr_text"];
        self.phones.post(&format!("/accounts/{phone}/scan"), json!({ "qr": qr })).await?;
        self.is(device, "connected").await
    }

    /// One line for scripts.
    pub(super) fn described(&self) -> String {
        json!({
            "api": format!("http://{}", self.app.address),
            "simulator": self.simulator_url.trim_end_matches('/'),
            "receiver": format!("http://{}", self.receiver_address),
            "masterKey": self.world.master_key,
            "tenantId": self.world.tenant_id,
            "apiKey": self.world.api_key,
            "deviceId": self.world.device_id,
            "devicePhone": DEVICE_PHONE,
            "contactPhone": CONTACT_PHONE,
            "plugin": self.plugin(),
        })
        .to_string()
    }

    fn plugin(&self) -> Option<Value> {
        let demo = self.demo.as_ref()?;
        let (name, version, sha256) = demo.served().serving?;
        Some(json!({ "name": name, "version": version, "sha256": sha256, "folder": demo.folder }))
    }

    /// For a person: where everything is, and lines to paste.
    pub(super) fn introduced(&self) -> String {
        let (api, key, device) = (format!("http://{}", self.app.address), &self.world.api_key, &self.world.device_id);
        let simulator = self.simulator_url.trim_end_matches('/');
        let answered = if self.demo.is_some() { ", and the plugin answers: look at the phone again" } else { "" };
        let edit = self.demo.as_ref().map_or_else(String::new, |demo| {
            format!(
                "\n# the plugin that answered: change what it says in\n#   {}\n# save it, wait for \"it serves\" below, and \
                 send the ping again\n",
                demo.source().display()
            )
        });
        format!(
            "Rijan's sandbox is running. Press Ctrl-C to stop it.\n\n\
             gateway    {api}\nsimulator  {simulator}\nreceiver   http://{}\n\
             master key {}\n\n\
             export API={api} SIMULATOR={simulator}\nexport KEY={key}\nexport DEVICE={device}\n\n\
             # the device and its status\n\
             curl -s $API/v1/devices/$DEVICE -H \"Authorization: Bearer $KEY\"\n\
             # send a message to {CONTACT_NAME}, who answers by himself\n\
             curl -s $API/v1/devices/$DEVICE/messages/text -H \"Authorization: Bearer $KEY\" \
             -H 'Content-Type: application/json' -d '{{\"to\":\"{CONTACT_PHONE}\",\"text\":\"hello\"}}'\n\
             # what {CONTACT_NAME}'s phone shows\n\
             curl -s \"$SIMULATOR/accounts/{CONTACT_PHONE}/inbox?wait_ms=5000\"\n\
             # {CONTACT_NAME} writes to the device; the webhook appears below{answered}\n\
             curl -s $SIMULATOR/accounts/{CONTACT_PHONE}/messages -H 'Content-Type: application/json' \
             -d '{{\"to\":\"{DEVICE_PHONE}\",\"text\":\"ping\"}}'\n\
             # everything that happened\n\
             curl -s $API/v1/devices/$DEVICE/events -H \"Authorization: Bearer $KEY\"\n{edit}",
            self.receiver_address, self.world.master_key
        )
    }

    pub(super) async fn stop(self) -> bool {
        self.app.stop().await
    }
}

fn remembered(folder: &Path) -> Result<Option<World>> {
    let file = folder.join("sandbox.json");
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&file)?;
    let world = serde_json::from_str(&text)
        .with_context(|| format!("{} is not of this version; remove the folder to begin anew", file.display()))?;
    Ok(Some(world))
}

fn settings(options: &Options, folder: &Path, simulator: &str, password: &str) -> Result<crate::config::Settings> {
    let flags = [
        ("master_key", api_key::sha256_hex(password)),
        ("server.port", options.port.to_string()),
        ("store.path", folder.join("rijan.db").display().to_string()),
        ("whatsapp.simulator_url", simulator.to_owned()),
        ("egress.allow", "[\"127.0.0.1\"]".to_owned()),
        ("tenants.folder", folder.join("tenants").display().to_string()),
        ("plugins.folder", folder.join("plugins").display().to_string()),
        // A person who watches a dead socket being noticed should not wait for a minute.
        ("whatsapp.ping_interval_s", "2".to_owned()),
        ("whatsapp.ping_timeout_s", "2".to_owned()),
        ("server.shutdown_grace_s", "5".to_owned()),
    ];
    let general = ["tenant", "public_per_minute", "failed_auth_per_minute", "groups_per_minute", "pairing_per_minute"];
    let windows = general.into_iter().chain(SendKind::ALL.map(SendKind::key));
    let windows = windows.filter(|_| !options.limits).map(|key| (format!("limits.{key}"), "off".to_owned()));
    let flags = flags.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(windows);
    let flags = flags.chain(options.settings.iter().cloned()).collect();
    Ok(config::load(&Sources { flags, ..Sources::default() })?)
}

async fn make_world(admin: &Client, api: &str, password: &str, receiver: SocketAddr) -> Result<World> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("an answer lacks a field");
    let tenant = admin.post("/admin/tenants", json!({ "name": "Demo" })).await?;
    let tenant_id = text(&tenant["data"]["tenant"]["id"])?;
    let api_key = text(&tenant["data"]["api_key"])?;
    let device = admin.post(&format!("/admin/tenants/{tenant_id}/devices"), json!({ "label": "Demo shop" })).await?;
    let client = Client::new(api, Some(("authorization", format!("Bearer {api_key}"))))?;
    let hook = json!({ "url": format!("http://{receiver}/hook"), "events": ["*"], "name": "sandbox" });
    let webhook = client.post("/v1/webhooks", hook).await?;
    Ok(World {
        master_key: password.to_owned(),
        tenant_id,
        api_key,
        device_id: text(&device["data"]["device"]["id"])?,
        webhook_id: text(&webhook["id"])?,
        webhook_secret: text(&webhook["secret"])?,
    })
}
