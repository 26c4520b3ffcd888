//! The story that `--once` tells: every step does what a user would do and checks what a user would see.

use super::client::{PATIENCE, until};
use super::plugin::Demo;
use super::setup::{CONTACT_PHONE, DEVICE_PHONE, Sandbox};
use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::Path;
use std::time::{Duration, Instant};

const SECOND_PHONE: &str = "6281100000003";
/// A device that must stay as it is, is looked at again after this long: several reconnects would fit in.
const STAYS_FOR: Duration = Duration::from_secs(3);

pub(super) async fn tell(sandbox: &Sandbox, capture: Option<&Path>) -> Result<()> {
    let device = sandbox.world.device_id.as_str();
    let story = Story { sandbox, began: Instant::now() };

    sandbox.pair_by_qr(device, DEVICE_PHONE).await?;
    story.says("paired by QR");
    story.pair_by_code().await?;
    story.says("paired by code");

    let message = story.send("hello from the sandbox").await?;
    story.reaches(&message, "sent").await?;
    story.says("sent: WhatsApp's server acknowledged it");
    story.reaches(&message, "delivered").await?;
    story.says("delivered");
    story.reaches(&message, "read").await?;
    story.says("read");

    let ping = json!({ "to": DEVICE_PHONE, "text": "ping" });
    let id = sandbox.phones.post(&format!("/accounts/{CONTACT_PHONE}/messages"), ping).await?["id"].clone();
    story.event("message.received", |event| event["id"] == id && event["text"] == "ping").await?;
    story.says("received");
    let delivery = story.delivered(&id).await?;
    story.says("webhook delivered, signature verified");
    if let Some(file) = capture {
        let captured = json!({ "secret": sandbox.world.webhook_secret, "delivery": delivery });
        std::fs::write(file, captured.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    }

    if let Some(demo) = &sandbox.demo {
        story.plugin(demo).await?;
    }

    story.kick("").await?;
    story.reconnects("device.disconnected").await?;
    story.says("device kicked and reconnected");

    let swallow = json!({ "phone": DEVICE_PHONE, "match": { "direction": "in" }, "action": "swallow", "count": 1 });
    sandbox.phones.post("/faults", swallow).await?;
    story.reconnects("device.degraded").await?;
    story.says("half-open socket noticed and replaced");

    story.kick("device_removed").await?;
    sandbox.is(device, "needs_pairing").await?;
    tokio::time::sleep(STAYS_FOR).await;
    ensure!(sandbox.status(device).await? == "needs_pairing", "needs_pairing did not stay");
    story.says("401 -> needs_pairing, and it stays");

    let unanswered = sandbox.phones.get("/unanswered").await?;
    ensure!(unanswered == json!([]), "the simulator has no answer for {unanswered}");
    story.says("every stanza was answered");
    Ok(())
}

struct Story<'a> {
    sandbox: &'a Sandbox,
    began: Instant,
}

impl Story<'_> {
    #[expect(clippy::print_stdout, reason = "the steps are the output")]
    fn says(&self, what: &str) {
        println!("{:>7.2} s  {what}", self.began.elapsed().as_secs_f64());
    }

    async fn pair_by_code(&self) -> Result<()> {
        let sandbox = self.sandbox;
        sandbox.phones.post("/accounts", json!({ "phone": SECOND_PHONE, "name": "Second shop" })).await?;
        let devices = format!("/admin/tenants/{}/devices", sandbox.world.tenant_id);
        let made = sandbox.admin.post(&devices, json!({ "label": "Second shop" })).await?;
        let device = made["data"]["device"]["id"].as_str().context("no device id")?.to_owned();
        let asked = json!({ "phone_number": SECOND_PHONE });
        let answer = sandbox.tenant.post(&format!("/v1/devices/{device}/pairing/code"), asked).await?;
        let code = json!({ "code": answer["data"]["pairing_code"] });
        sandbox.phones.post(&format!("/accounts/{SECOND_PHONE}/code"), code).await?;
        sandbox.is(&device, "connected").await
    }

    /// The plugin answers, also after it was edited, and after it was broken.
    async fn plugin(&self, demo: &Demo) -> Result<()> {
        let first = demo.served();
        ensure!(first.serving.is_some(), "the plugin does not serve: {}", first.refused.unwrap_or_default());
        if !demo.is_ours {
            return Ok(());
        }
        let ms = self.answered("pong").await?;
        self.says(&format!("plugin answered: \"pong\" on the contact's phone {ms} ms after \"ping\""));
        let file = demo.source();
        let source = std::fs::read_to_string(&file)?;
        let edited = source.replace("reply(\"pong\")", "reply(\"pong, edited\")");
        ensure!(edited != source, "{} answers no \"pong\"", file.display());

        let saved = Instant::now();
        std::fs::write(&file, &edited)?;
        let second = demo.built_after(first.builds).await?;
        let serves = saved.elapsed().as_secs_f64();
        ensure!(second.refused.is_none(), "the edited plugin was not taken: {}", second.refused.unwrap_or_default());
        let ms = self.answered("pong, edited").await?;
        let built = second.took.as_secs_f64();
        self.says(&format!(
            "plugin edited and saved: serves after {serves:.2} s ({built:.2} s to build and swap), next answer in {ms} ms"
        ));

        std::fs::write(&file, format!("{edited}\nthis does not compile\n"))?;
        let third = demo.built_after(second.builds).await?;
        ensure!(third.refused.is_some(), "a source that does not compile was taken");
        self.answered("pong, edited").await?;
        self.says("plugin broken on purpose: not taken, the version before answers");
        std::fs::write(&file, &edited)?;
        let fourth = demo.built_after(third.builds).await?;
        ensure!(fourth.refused.is_none(), "the mended plugin was not taken: {}", fourth.refused.unwrap_or_default());
        Ok(())
    }

    /// Milliseconds from the contact's "ping" to this answer on the contact's phone.
    async fn answered(&self, answer: &str) -> Result<u128> {
        let inbox = |after: u64| format!("/accounts/{CONTACT_PHONE}/inbox?after={after}&wait_ms=1000");
        let last = |shown: &[Value]| shown.last().and_then(|one| one["seq"].as_u64());
        let look = async |after: u64| -> Result<Vec<Value>> {
            Ok(self.sandbox.phones.get(&inbox(after)).await?.as_array().cloned().unwrap_or_default())
        };
        let mut after = last(&look(0).await?).unwrap_or(0);
        let began = Instant::now();
        let ping = json!({ "to": DEVICE_PHONE, "text": "ping" });
        self.sandbox.phones.post(&format!("/accounts/{CONTACT_PHONE}/messages"), ping).await?;
        loop {
            let shown = look(after).await?;
            let says = |one: &&Value| one["text"].as_str().is_some_and(|text| text.starts_with("pong"));
            if let Some(one) = shown.iter().find(says) {
                ensure!(one["text"] == answer, "the plugin answered {}", one["text"]);
                return Ok(began.elapsed().as_millis());
            }
            ensure!(began.elapsed() < PATIENCE, "the plugin did not answer {answer:?}");
            after = last(&shown).unwrap_or(after);
        }
    }

    async fn send(&self, text: &str) -> Result<String> {
        let path = format!("/v1/devices/{}/messages/text", self.sandbox.world.device_id);
        let answer = self.sandbox.tenant.post(&path, json!({ "to": CONTACT_PHONE, "text": text })).await?;
        answer["id"].as_str().map(str::to_owned).context("no message id")
    }

    /// Waits until the message stands at `status` or beyond it.
    async fn reaches(&self, message: &str, status: &str) -> Result<()> {
        let order = ["queued", "sending", "sent", "delivered", "read", "played"];
        let place = |name: &str| order.iter().position(|known| *known == name);
        let path = format!("/v1/devices/{}/messages/{message}/status", self.sandbox.world.device_id);
        until(&format!("message status {status}"), || async {
            let now = self.sandbox.tenant.get(&path).await?;
            ensure!(now["status"] != "failed", "the message failed: {now}");
            let reached = now["status"].as_str().and_then(place) >= place(status);
            Ok(reached.then_some(()))
        })
        .await
    }

    async fn events(&self) -> Result<Vec<Value>> {
        let path = format!("/v1/devices/{}/events?cursor=0&limit=500", self.sandbox.world.device_id);
        Ok(self.sandbox.tenant.get(&path).await?.as_array().cloned().unwrap_or_default())
    }

    async fn event(&self, type_: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        until(&format!("an event {type_}"), || async {
            let events = self.events().await?;
            Ok(events.iter().any(|event| event["type"] == type_ && is(&event["payload"])).then_some(()))
        })
        .await
    }

    /// The delivery of one received message, with the gateway's own signature checked here.
    async fn delivered(&self, message: &Value) -> Result<Value> {
        let delivery = until("a webhook delivery", || async {
            let all = self.sandbox.receiver.after(0);
            Ok(all.into_iter().find(|delivery| {
                let body: Value =
                    serde_json::from_str(delivery["body"].as_str().unwrap_or_default()).unwrap_or_default();
                body["eventType"] == "message.received" && body["data"]["id"] == *message
            }))
        })
        .await?;
        let body = delivery["body"].as_str().context("no body")?;
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.sandbox.world.webhook_secret.as_bytes())?;
        mac.update(body.as_bytes());
        let expected = hex::encode(mac.finalize().into_bytes());
        ensure!(delivery["headers"]["x-rijan-signature"] == expected.as_str(), "the signature does not verify");
        Ok(delivery)
    }

    async fn kick(&self, reason: &str) -> Result<()> {
        let devices = self.sandbox.phones.get(&format!("/accounts/{DEVICE_PHONE}/devices")).await?;
        let online = devices.as_array().and_then(|all| all.iter().find(|d| d["connected"] == true)).cloned();
        let number = online.context("the device is not connected")?["device"].clone();
        let path = format!("/accounts/{DEVICE_PHONE}/devices/{number}/kick");
        self.sandbox.phones.post(&path, json!({ "reason": reason })).await.map(|_| ())
    }

    /// Waits for an event of this type and a `device.connected` behind it.
    async fn reconnects(&self, first: &str) -> Result<()> {
        until(&format!("{first} and a new connection"), || async {
            let events = self.events().await?;
            let lost = events.iter().rposition(|event| event["type"] == first);
            let back = events.iter().rposition(|event| event["type"] == "device.connected");
            Ok((lost.is_some() && back > lost).then_some(()))
        })
        .await
    }
}
