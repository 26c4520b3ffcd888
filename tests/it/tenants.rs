//! Tenants as files: applied at the start, on a change and when asked, whole or not at all.

use crate::support::{Gateway, Phones, answer, simulator, text, until};
use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use whatsapp_simulator::Simulator;

const HOOK_SECRET: &str = "a secret of the hook, in a file";
const HEADER_SECRET: &str = "a token in a header";
const PLUGIN_SECRET: &str = "a token of the plugin";
const DEVICE_PHONE: &str = "6281100000077";

/// The example plugin in Rust, as a component.
fn guest() -> PathBuf {
    let beside = || Path::new(env!("CARGO_BIN_EXE_rijan")).ancestors().nth(2).map(|target| target.join("guests"));
    let folder = std::env::var_os("RIJAN_GUESTS").map(PathBuf::from).or_else(beside).unwrap();
    let guest = folder.join("rust.wasm");
    assert!(
        guest.exists(),
        "{} is not there: build the example plugin with \"rijan plugin build\" in examples/plugins/rust, copy its \
         component there as rust.wasm, or name its folder with RIJAN_GUESTS",
        guest.display()
    );
    guest
}

/// Deliveries that came to a listener of this test.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Value>>>);

impl Receiver {
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let kept = receiver.clone();
        let take = move |body: String| async move {
            kept.0.lock().unwrap().push(serde_json::from_str(&body).unwrap_or(Value::String(body)));
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
        (receiver, url)
    }

    fn of_type(&self, type_: &str) -> Vec<Value> {
        self.0.lock().unwrap().iter().filter(|one| one["eventType"] == type_).cloned().collect()
    }

    async fn applied(&self, times: usize) -> Value {
        until("config.applied to arrive", async || {
            let all = self.of_type("config.applied");
            (all.len() >= times).then(|| all.last().cloned().unwrap())
        })
        .await
    }
}

/// What a test's tenant says; each test changes some of it.
#[derive(Clone)]
struct Acme {
    name: &'static str,
    url: String,
    blocked_word: &'static str,
    devices: &'static [&'static str],
    secret: &'static str,
    more: &'static str,
}

impl Acme {
    fn new(url: &str) -> Self {
        let devices = ["sales", "support"].as_slice();
        Self { name: "Acme", url: url.to_owned(), blocked_word: "spam", devices, secret: "hook.secret", more: "" }
    }

    fn text(&self) -> String {
        let Self { name, url, blocked_word, devices, secret, more } = self;
        let device = |slug: &&str| format!("[[devices]]\nslug = \"{slug}\"\nlabel = \"The {slug}\"\n\n");
        let devices: String = devices.iter().map(device).collect();
        format!(
            r#"
            name = "{name}"
            {more}

            {devices}
            [[webhooks]]
            slug = "crm"
            url = "{url}"
            events = ["config.applied", "message.sent"]
            secret_file = "{secret}"
            [webhooks.headers]
            x-token = "{HEADER_SECRET}"

            [[plugins]]
            name = "assistant"
            file = "assistant.wasm"
            hooks = ["outbound"]
            [plugins.config]
            blocked-word = "{blocked_word}"
            [plugins.grants]
            imports = ["kv", "http", "media", "secrets"]
            secrets = ["api-token"]
            [plugins.secrets]
            api-token = {{ value = "{PLUGIN_SECRET}" }}
            "#
        )
    }
}

struct World {
    folder: TempDir,
    simulator: Simulator,
}

impl World {
    async fn new() -> Self {
        let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
        for inner in ["tenants", "plugins"] {
            std::fs::create_dir(folder.path().join(inner)).unwrap();
        }
        let world = Self { folder, simulator };
        std::fs::copy(guest(), world.folder.path().join("plugins/assistant.wasm")).unwrap();
        world.write("hook.secret", &format!("{HOOK_SECRET}\n"));
        world
    }

    /// Whole at once, as an editor does.
    fn write(&self, name: &str, text: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.folder.path().join("tenants").join(name)).unwrap();
    }

    fn start(&self) -> Gateway {
        Gateway::start_with(self.folder.path(), &self.simulator, &["--log-level", "info"])
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("gateway.log")).unwrap()
    }

    async fn logged(&self, what: &str) {
        until(&format!("{what:?} in the log"), async || self.log().contains(what).then_some(())).await;
    }
}

/// `rijan config ...` against this gateway: exit code, standard output, standard error.
async fn command(gateway: &Gateway, arguments: &[&str]) -> (i32, String, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_rijan"))
        .arg("config")
        .args(arguments)
        .env("RIJAN_URL", text(&gateway.info["api"]))
        .env("RIJAN_MASTER_PASSWORD", text(&gateway.info["masterKey"]))
        .output()
        .await
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), said(&output.stdout), said(&output.stderr))
}

/// A key of the tenant, and requests with it.
struct Key<'a> {
    gateway: &'a Gateway,
    key: String,
}

impl<'a> Key<'a> {
    async fn of(gateway: &'a Gateway, slug: &str) -> Self {
        let (status, made) = answer(gateway.admin("POST", &format!("/admin/tenants/{slug}/regenerate-key"))).await;
        assert_eq!(status, 200, "{made}");
        Self { gateway, key: text(&made["data"]["api_key"]) }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.gateway.http.request(method.parse().unwrap(), self.gateway.url(path));
        let request = request.header("x-api-key", &self.key);
        answer(if method == "GET" { request } else { request.json(&body) }).await
    }

    async fn device(&self, slug: &str) -> String {
        let (_, all) = self.call("GET", "/v1/devices", Value::Null).await;
        let all = all["data"]["devices"].as_array().unwrap().clone();
        let found = all.iter().find(|device| device["slug"] == slug);
        text(&found.unwrap_or_else(|| panic!("no device {slug} in {all:?}"))["id"])
    }

    async fn link(&self, device: &str, phones: &Phones) {
        phones.post("/accounts", json!({ "phone": DEVICE_PHONE, "name": "Acme" })).await;
        let (status, code) = self.call("POST", &format!("/v1/devices/{device}/pairing/qr"), json!({})).await;
        assert_eq!(status, 200, "{code}");
        phones.post(&format!("/accounts/{DEVICE_PHONE}/scan"), json!({ "qr": code["data"]["qr_text"] })).await;
        until("the device to connect", async || {
            let (_, read) = self.call("GET", &format!("/v1/devices/{device}"), Value::Null).await;
            (read["data"]["device"]["status"] == "connected").then_some(())
        })
        .await;
    }

    async fn send(&self, device: &str, words: &str) -> u16 {
        let body = json!({ "to": self.gateway.info["contactPhone"], "text": words });
        self.call("POST", &format!("/v1/devices/{device}/messages/text"), body).await.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_applied_at_the_start_and_again_when_it_changes_and_a_broken_one_changes_nothing() {
    let world = World::new().await;
    let ((first, first_url), (second, second_url)) = (Receiver::start().await, Receiver::start().await);
    let phones = Phones::of(&world.simulator);
    let acme = Acme::new(&first_url);
    world.write("acme.toml", &acme.text());
    let gateway = world.start();

    // At the start.
    let told = first.applied(1).await;
    assert_eq!(told["data"]["file"], "acme.toml");
    let (_, tenant) = answer(gateway.admin("GET", "/admin/tenants/acme")).await;
    let tenant = &tenant["data"]["tenant"];
    assert_eq!((&tenant["slug"], &tenant["managed_by"]), (&json!("acme"), &json!("acme.toml")));
    assert!(world.log().contains("no API key opens this tenant"));
    let key = Key::of(&gateway, "acme").await;
    let sales = key.device("sales").await;
    let (_, hooks) = key.call("GET", "/v1/webhooks", Value::Null).await;
    assert_eq!((&hooks[0]["slug"], &hooks[0]["managedBy"]), (&json!("crm"), &json!("acme.toml")));
    key.link(&sales, &phones).await;
    assert_eq!((key.send(&sales, "some spam").await, key.send(&sales, "an offer").await), (422, 200));

    // An edit while it runs: the webhook goes elsewhere, and the plugin follows another word.
    let acme = Acme { url: second_url, blocked_word: "offer", ..acme };
    world.write("acme.toml", &acme.text());
    let told = second.applied(1).await;
    let changes: Vec<Value> = told["data"]["changes"].as_array().unwrap().clone();
    let expected = [
        json!({ "action": "change", "kind": "webhook", "name": "crm", "fields": ["url"] }),
        json!({ "action": "change", "kind": "plugin", "name": "assistant", "fields": ["config.blocked-word"] }),
    ];
    assert_eq!(changes, expected);
    assert_eq!((key.send(&sales, "some spam").await, key.send(&sales, "an offer").await), (200, 422));
    until("the message to be told", async || (!second.of_type("message.sent").is_empty()).then_some(())).await;
    assert_eq!(first.of_type("config.applied").len(), 1, "the change was told where it went to");

    // A broken file: told once with its key, and everything is as it was.
    let broken = Acme { name: "Renamed", blocked_word: "other", ..acme.clone() };
    world.write("acme.toml", &broken.text().replace("blocked-word", "blokced-word"));
    world.logged("the tenants' files were not applied").await;
    assert!(world.log().contains("blokced-word"), "{}", world.log());
    let (status, said) = answer(gateway.admin("POST", "/admin/config/plan")).await;
    assert_eq!((status, &said["error"]["code"]), (400, &json!("VALIDATION_ERROR")));
    assert_eq!(said["error"]["details"][0]["field"], "acme.toml: plugins[0].config");
    let (_, tenant) = answer(gateway.admin("GET", "/admin/tenants/acme")).await;
    assert_eq!(tenant["data"]["tenant"]["name"], "Acme");
    assert_eq!(key.send(&sales, "an offer").await, 422);

    // After a restart with the broken file the store goes on serving.
    let api_key = key.key;
    gateway.kill();
    let gateway = world.start();
    let key = Key { gateway: &gateway, key: api_key };
    until("the device's return", async || (key.send(&sales, "an offer").await == 422).then_some(())).await;
    assert_eq!(second.of_type("config.applied").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_shows_the_difference_and_never_a_secret() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start().await;
    let acme = Acme::new(&url);
    world.write("acme.toml", &acme.text());
    let gateway = world.start();
    receiver.applied(1).await;
    let same = command(&gateway, &["plan"]).await;
    assert_eq!((same.0, same.1.lines().next()), (0, Some("nothing would change")), "{}", same.2);
    // From here on only what is asked for is applied: a device goes, and that is refused when nobody asks.
    world.write("other.secret", "another secret of the hook");
    let changed = Acme {
        name: "Acme Trading",
        devices: &["sales", "desk"],
        secret: "other.secret",
        blocked_word: "offer",
        more: "limits = { text_per_minute = 30 }\nmedia = { received = \"eager\" }",
        ..acme.clone()
    };
    world.write("acme.toml", &changed.text());
    world.logged("refused without --allow-remove").await;

    let (code, plan, _) = command(&gateway, &["plan"]).await;

    let expected = "acme.toml: tenant \"acme\"
  ~ tenant \"acme\"
      name: \"Acme\" -> \"Acme Trading\"
      limits.text_per_minute: (none) -> 30
      media.received: (none) -> \"eager\"
  + device \"desk\" (The desk)
  - device \"support\" (not linked)
  ~ webhook \"crm\"
      secret: changed
  ~ plugin \"assistant\"
      config.blocked-word: \"spam\" -> \"offer\"
1 to add, 3 to change, 1 to remove
needs --allow-remove: device \"support\" of tenant \"acme\" (not linked)
no API key opens tenant \"acme\": POST /admin/tenants/acme/regenerate-key makes one
";
    assert_eq!((code, plan.as_str()), (2, expected));
    let (status, shown) = answer(gateway.admin("POST", "/admin/config/plan")).await;
    let over_the_api = text(&shown["data"]["text"]);
    assert!(status == 200 && over_the_api.contains("3 to change") && expected.starts_with(&over_the_api), "{shown}");

    let (code, _, refused) = command(&gateway, &["apply"]).await;
    assert_eq!(code, 1);
    assert!(refused.contains("device \"support\" of tenant \"acme\" (not linked)"), "{refused}");
    let (code, applied, _) = command(&gateway, &["apply", "--allow-remove"]).await;
    assert_eq!((code, applied.as_str()), (0, expected));
    assert_eq!(command(&gateway, &["plan"]).await.0, 0);

    let (_, audit) = answer(gateway.admin("GET", "/admin/audit-logs?action=config.applied")).await;
    let actors: Vec<&Value> = audit["data"]["logs"].as_array().unwrap().iter().map(|line| &line["actor"]).collect();
    assert_eq!(actors, ["admin", "gateway"]);
    let told = receiver.applied(2).await;
    for secret in [HOOK_SECRET, HEADER_SECRET, PLUGIN_SECRET, "another secret of the hook"] {
        for (place, said) in [
            ("the plan", &plan),
            ("the audit", &audit.to_string()),
            ("the event", &told.to_string()),
            ("the log", &world.log()),
        ] {
            assert!(!said.contains(secret), "{secret:?} is in {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_device_and_a_tenant_go_only_when_that_is_allowed_and_a_renamed_file_changes_nothing() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start().await;
    let acme = Acme { more: "slug = \"acme\"\nlimits = { text_per_minute = 2 }", ..Acme::new(&url) };
    world.write("acme.toml", &acme.text());
    let gateway = world.start();
    receiver.applied(1).await;
    let key = Key::of(&gateway, "acme").await;
    let sales = key.device("sales").await;
    key.link(&sales, &Phones::of(&world.simulator)).await;
    let (_, before) = key.call("GET", "/v1/webhooks", Value::Null).await;

    // Renamed: the same tenant, device and webhook, under the new file's name.
    let tenants = world.folder.path().join("tenants");
    std::fs::rename(tenants.join("acme.toml"), tenants.join("renamed.toml")).unwrap();
    let told = receiver.applied(2).await;
    let fields = json!([{ "action": "change", "kind": "tenant", "name": "acme", "fields": ["file"] }]);
    assert_eq!(told["data"]["changes"], fields);
    let (_, after) = key.call("GET", "/v1/webhooks", Value::Null).await;
    assert_eq!((&after[0]["id"], &after[0]["managedBy"]), (&before[0]["id"], &json!("renamed.toml")));
    assert_eq!(key.send(&sales, "some spam").await, 422);

    // The linked device vanishes from the file: refused until it is allowed.
    world.write("renamed.toml", &Acme { devices: &["support"], ..acme.clone() }.text());
    world.logged("(linked)").await;
    // The limit of the file holds too; what a plugin refused did not count.
    let sent = [key.send(&sales, "one").await, key.send(&sales, "two").await, key.send(&sales, "three").await];
    assert_eq!(sent, [200, 200, 429]);
    let (status, said) = answer(gateway.admin("POST", "/admin/config/apply").json(&json!({}))).await;
    assert_eq!((status, &said["error"]["code"]), (409, &json!("CONFLICT")));
    let body = json!({ "allow_remove": true });
    let (status, said) = answer(gateway.admin("POST", "/admin/config/apply").json(&body)).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(key.send(&sales, "gone").await, 404);
    let phones = Phones::of(&world.simulator);
    until("the device to be unlinked at WhatsApp", async || {
        let devices = phones.get(&format!("/accounts/{DEVICE_PHONE}/devices")).await;
        devices.as_array().unwrap().iter().all(|device| device["removed"] == true).then_some(())
    })
    .await;

    // The file goes, and then the tenant, once that is allowed.
    std::fs::remove_file(tenants.join("renamed.toml")).unwrap();
    world.logged("(devices: 1, linked: 0)").await;
    assert_eq!(key.call("GET", "/v1/devices", Value::Null).await.0, 200);
    let (status, said) = answer(gateway.admin("POST", "/admin/config/apply").json(&body)).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(key.call("GET", "/v1/devices", Value::Null).await.0, 401);
    assert_eq!(answer(gateway.admin("GET", "/admin/tenants/acme")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_sends_and_waits_for_its_window_follows_another_limit_at_once() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start().await;
    let answers = |text: String| {
        let hooks = text.replace("hooks = [\"outbound\"]", "hooks = [\"inbound\"]");
        hooks.replace("[plugins.grants]", "[plugins.grants]\neffects = [\"reply\"]")
    };
    let acme = Acme { more: "limits = { text_per_minute = 1 }", ..Acme::new(&url) };
    world.write("acme.toml", &answers(acme.text()));
    let gateway = world.start();
    receiver.applied(1).await;
    let key = Key::of(&gateway, "acme").await;
    let sales = key.device("sales").await;
    let phones = Phones::of(&world.simulator);
    key.link(&sales, &phones).await;
    // Three chats: each that waits is told a time of its own, a minute behind the one before.
    let people = ["6281100000031", "6281100000032", "6281100000033"];
    for who in people {
        phones.post("/accounts", json!({ "phone": who, "name": "Somebody" })).await;
        let ask = json!({ "to": DEVICE_PHONE, "text": format!("echo {who}") });
        phones.post(&format!("/accounts/{who}/messages"), ask).await;
    }
    let answered = async || {
        let mut count = 0;
        for who in people {
            let inbox = phones.get(&format!("/accounts/{who}/inbox?after=0")).await;
            count += inbox.as_array().unwrap().iter().filter(|entry| entry["text"] == who).count();
        }
        count
    };
    until("the first answer", async || (answered().await == 1).then_some(())).await;
    assert_eq!(key.send(&sales, "hello").await, 429, "the plugin has used the window");

    world.write("acme.toml", &answers(Acme { more: "limits = { text_per_minute = \"off\" }", ..acme }.text()));

    // By the earlier limit the last of them has two minutes to go, which is longer than anything is waited for here.
    until("the other answers", async || (answered().await == 3).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_file_declares_the_api_leaves_alone_and_its_limits_hold() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start().await;
    let acme = Acme { more: "limits = { requests = 6 }", ..Acme::new(&url) };
    world.write("acme.toml", &acme.text());
    let gateway = world.start();
    receiver.applied(1).await;
    let key = Key::of(&gateway, "acme").await;
    let sales = key.device("sales").await;
    let (_, hooks) = key.call("GET", "/v1/webhooks", Value::Null).await;
    let hook = format!("/v1/webhooks/{}", text(&hooks[0]["id"]));

    let device = format!("/admin/tenants/acme/devices/{sales}");
    for (method, path) in [
        ("PATCH", "/admin/tenants/acme/suspend"),
        ("PATCH", "/admin/tenants/acme/activate"),
        ("DELETE", "/admin/tenants/acme"),
        ("DELETE", device.as_str()),
    ] {
        let (status, said) = answer(gateway.admin(method, path)).await;
        assert_eq!((status, &said["error"]["code"]), (409, &json!("CONFLICT")), "{method} {path}");
        assert!(text(&said["error"]["message"]).contains("\"acme.toml\""), "{said}");
    }
    for method in ["PUT", "DELETE"] {
        let (status, said) = key.call(method, &hook, json!({ "enabled": false })).await;
        assert_eq!((status, &said["error"]["code"]), (409, &json!("CONFLICT")), "{method}");
        assert!(text(&said["error"]["message"]).contains("webhook \"crm\" is managed by \"acme.toml\""), "{said}");
    }
    // What the API makes beside it is the API's.
    let (status, own) =
        answer(gateway.admin("POST", "/admin/tenants/acme/devices").json(&json!({ "label": "own" }))).await;
    assert_eq!(status, 201);
    let path = format!("/admin/tenants/acme/devices/{}", text(&own["data"]["device"]["id"]));
    assert_eq!(answer(gateway.admin("DELETE", &path)).await.0, 200);

    // Four of six requests are used up; the general limit of this gateway is off.
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(key.call("GET", "/v1/devices", Value::Null).await.0);
    }
    assert_eq!(answers, [200, 200, 429]);
    world.write("acme.toml", &Acme { more: "limits = { requests = \"off\" }", ..acme.clone() }.text());
    receiver.applied(2).await;
    assert_eq!(key.call("GET", "/v1/devices", Value::Null).await.0, 200);
    // Suspended in the file, it is suspended at once.
    world.write("acme.toml", &Acme { more: "suspended = true", ..acme }.text());
    until("the suspension", async || (key.call("GET", "/v1/devices", Value::Null).await.0 == 403).then_some(())).await;
}

/// Killed at different moments while it applies, a gateway has all of the files or none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_leaves_all_of_the_files_or_none() {
    const TENANTS: usize = 90;
    let (mut some_had_none, mut some_had_all) = (false, false);
    // Around the moment when the folder was quiet for long enough; the last one is let finish.
    for after_ms in [Some(150), Some(200), Some(250), Some(300), Some(350), Some(400), Some(450), Some(500), None] {
        let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
        let (staged, tenants) = (folder.path().join("staged"), folder.path().join("tenants"));
        std::fs::create_dir(&staged).unwrap();
        for number in 0..TENANTS {
            let devices: String =
                (0..50).map(|n| format!("[[devices]]\nslug = \"d{n}\"\nlabel = \"Device {n}\"\n")).collect();
            let text = format!("name = \"Tenant {number}\"\n{devices}");
            std::fs::write(staged.join(format!("t{number}.toml")), text).unwrap();
        }
        std::fs::create_dir(&tenants).unwrap();
        let gateway = Gateway::start(folder.path(), &simulator);
        for entry in std::fs::read_dir(&staged).unwrap() {
            let entry = entry.unwrap();
            std::fs::rename(entry.path(), tenants.join(entry.file_name())).unwrap();
        }
        match after_ms {
            Some(ms) => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
            None => {
                until("the files to be applied", async || {
                    (answer(gateway.admin("GET", "/admin/tenants/t0")).await.0 == 200).then_some(())
                })
                .await
            }
        }
        gateway.kill();
        // The store is asked, not the files.
        std::fs::rename(&tenants, folder.path().join("away")).unwrap();

        let gateway = Gateway::start(folder.path(), &simulator);
        let (_, all) = answer(gateway.admin("GET", "/admin/tenants?limit=100")).await;
        let of_files = all["data"]["tenants"].as_array().unwrap().iter();
        let of_files: Vec<&Value> = of_files.filter(|tenant| tenant["managed_by"] != "api").collect();
        assert!([0, TENANTS].contains(&of_files.len()), "{} of {TENANTS} after {after_ms:?} ms", of_files.len());
        if let Some(one) = of_files.first() {
            let key = Key::of(&gateway, &text(&one["slug"])).await;
            let (_, devices) = key.call("GET", "/v1/devices", Value::Null).await;
            assert_eq!(devices["data"]["total"], 50);
        }
        some_had_none |= of_files.is_empty();
        some_had_all |= !of_files.is_empty();
    }
    assert!(some_had_none && some_had_all, "every kill came too early or too late; nothing was proven");
}

#[test]
fn a_folder_that_cannot_be_read_keeps_a_gateway_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("file");
    std::fs::write(&no_folder, "").unwrap();

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rijan"))
        .arg("serve")
        .current_dir(folder.path())
        .envs([("PORT", "0"), ("MASTER_KEY", &rijan::vault::api_key::sha256_hex("x"))])
        .env("RIJAN__TENANTS__FOLDER", &no_folder)
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot read the folder of tenants") && said.contains("tenants.folder"), "{said}");
}

#[tokio::test]
async fn the_example_passes_the_check_and_a_wrong_file_is_told_with_every_key() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest(), folder.path().join("example-rust.wasm")).unwrap();
    let check = async |tenants: &Path, secrets: &[&str]| {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_rijan"))
            .args(["config", "check", "--tenants"])
            .arg(tenants)
            .arg("--plugins")
            .arg(folder.path())
            .current_dir(folder.path())
            .envs(secrets.iter().map(|name| (name, "a secret from the environment")))
            .output()
            .await
            .unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), said(&output.stdout), said(&output.stderr))
    };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tenants");
    let secrets = ["ACME_CRM_SECRET", "ACME_CRM_TOKEN", "ACME_DESK_SECRET", "ACME_API_TOKEN"];

    let (code, said, wrong) = check(&example, &secrets).await;
    assert_eq!((code, wrong.as_str()), (0, ""), "{said}");
    assert!(said.ends_with("acme.toml: tenant \"acme\"\ntenants: 1, nothing to correct\n"), "{said}");

    let text = std::fs::read_to_string(example.join("acme.toml")).unwrap();
    let broken = text
        .replace("blocked-word = \"spam\"", "blocked-word = 7")
        .replace("hooks = [\"inbound\", \"outbound\", \"webhook\"]", "hooks = [\"inbound\"]")
        .replace("imports = [\"kv\", ", "imports = [")
        .replace("call_ms = 500", "call_ms = 1");
    let folder_of_broken = folder.path().join("broken");
    std::fs::create_dir(&folder_of_broken).unwrap();
    std::fs::write(folder_of_broken.join("acme.toml"), broken).unwrap();
    let (code, _, wrong) = check(&folder_of_broken, &secrets).await;
    assert_eq!(code, 1);
    for part in [
        "plugins[0].config.blocked-word: ",
        "plugins[0].limits.call_ms: must be",
        "plugins[0].grants.imports: plugin \"example-rust\" asks for \"kv\"",
        "webhooks[1].format: names the plugin \"assistant\", which has no webhook hook in use",
    ] {
        assert!(wrong.contains(part), "{part} is missing in\n{wrong}");
    }
    let (code, _, wrong) = check(&example, &secrets[..1]).await;
    assert_eq!(code, 1);
    assert_eq!(wrong.matches("is not set (from acme.toml)").count(), 3, "{wrong}");
}

/// The example with another reason for what it rejects.
fn next_version() -> Vec<u8> {
    let mut bytes = std::fs::read(guest()).unwrap();
    for (from, to) in [("a blocked word", "another! word!"), ("\"version\":\"0.1.0\"", "\"version\":\"0.2.0\"")] {
        let place = (0..bytes.len()).find(|at| bytes[*at..].starts_with(from.as_bytes())).unwrap();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_names_a_candidate_which_is_planned_watched_and_promoted_there() {
    let world = World::new().await;
    let (receiver, url) = Receiver::start().await;
    let plugins = world.folder.path().join("plugins");
    std::fs::write(plugins.join("next.wasm"), next_version()).unwrap();
    let acme = Acme::new(&url);
    world.write("acme.toml", &acme.text());
    let gateway = world.start();
    receiver.applied(1).await;
    let key = Key::of(&gateway, "acme").await;
    let sales = key.device("sales").await;
    key.link(&sales, &Phones::of(&world.simulator)).await;
    let plugin = async || key.call("GET", "/v1/plugins/assistant", Value::Null).await.1["data"]["plugin"].clone();
    let with = |acme: &Acme, component: &str| acme.text().replace("file = \"assistant.wasm\"", component);
    let shadow = "file = \"assistant.wasm\"\ncandidate = { file = \"next.wasm\", mode = \"shadow\" }";
    let canary = "file = \"assistant.wasm\"\ncandidate = { file = \"next.wasm\", weight = 100 }";

    // A device goes too, so that nothing is applied before the plan was seen.
    world.write("acme.toml", &with(&Acme { devices: &["sales"], ..acme.clone() }, shadow));
    world.logged("refused without --allow-remove").await;
    let (code, plan, _) = command(&gateway, &["plan"]).await;
    assert_eq!(code, 2);
    for line in ["candidate.mode: (none) -> \"shadow\"", "candidate.sha256: (none) -> ", "next.wasm"] {
        assert!(plan.contains(line), "{line} is not in {plan}");
    }
    assert_eq!(plugin().await["candidate"], Value::Null);

    world.write("acme.toml", &with(&acme, shadow));
    receiver.applied(2).await;
    let about = plugin().await;
    assert_eq!((&about["version"], &about["candidate"]["version"]), (&json!("0.1.0"), &json!("0.2.0")), "{about}");
    assert_eq!((&about["candidate"]["state"], &about["candidate"]["from_file"]), (&json!("shadow"), &json!(true)));
    assert_eq!(key.send(&sales, "some spam").await, 422);
    let found = until("the shadow to have run", async || {
        let (_, found) = key.call("GET", "/v1/plugins/assistant/differences", Value::Null).await;
        found["data"]["differences"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&found["comparison"], &found["hook"]), (&json!("differ"), &json!("outbound")));
    let said = |side: &str| text(&found[side]["said"]["verdict"]["reject"]["message"]);
    assert_eq!(
        (said("serving").as_str(), said("candidate").as_str()),
        ("the text holds a blocked word", "the text holds another! word!")
    );

    for (method, path, todo) in [
        ("PUT", "", "change it there"),
        ("POST", "/promote", "make the candidate's file or sha256 the plugin's own there"),
        ("POST", "/rollback", "take the candidate away there"),
    ] {
        let (status, said) = key.call(method, &format!("/v1/plugins/assistant{path}"), json!({ "weight": 5 })).await;
        assert_eq!((status, &said["error"]["code"]), (409, &json!("CONFLICT")), "{method} {path}");
        let message = text(&said["error"]["message"]);
        assert!(message.contains("acme.toml") && message.contains(todo), "{message}");
    }

    // Its file is watched as that of what serves.
    let mut newer = next_version();
    let version = b"\"version\":\"0.3.0\"";
    let place = (0..newer.len()).find(|at| newer[*at..].starts_with(b"\"version\":\"0.2.0\"")).unwrap();
    newer[place..place + version.len()].copy_from_slice(version);
    std::fs::write(plugins.join("beside"), newer).unwrap();
    std::fs::rename(plugins.join("beside"), plugins.join("next.wasm")).unwrap();
    until("the candidate to be read again", async || (plugin().await["candidate"]["version"] == "0.3.0").then_some(()))
        .await;

    world.write("acme.toml", &with(&acme, canary));
    receiver.applied(3).await;
    assert_eq!(plugin().await["candidate"]["weight"], 100);
    let send = json!({ "to": "6281100000088", "text": "some spam" });
    let (_, rejected) = key.call("POST", &format!("/v1/devices/{sales}/messages/text"), send).await;
    assert!(text(&rejected["error"]["message"]).contains("another! word!"), "{rejected}");
    world.write("acme.toml", &with(&acme, "file = \"next.wasm\""));
    receiver.applied(4).await;
    let about = plugin().await;
    assert_eq!((&about["version"], &about["candidate"]), (&json!("0.3.0"), &Value::Null));
    assert_eq!(about["previous"]["version"], "0.1.0");
}
