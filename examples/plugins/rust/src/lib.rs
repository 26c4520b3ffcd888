//! The example plugin: every hook and every import. What it answers to is in `../README.md`.

use rijan_plugin::inbound::{Effect, Outcome, Patch};
use rijan_plugin::webhook::{Formatted, WebhookRef};
use rijan_plugin::{
    Content, Event, Inbound, Media, Millis, NewMessage, Outbound, PluginError, Result, Scheduled, Webhook, clock,
    event_data, http, info, kv, media, outbound, random, scheduled, secrets,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The configuration, as the schema in `rijan-plugin.toml` describes it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Example {
    blocked_word: String,
    ask_url: String,
    digest_device: String,
    digest_to: String,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            blocked_word: "spam".into(),
            ask_url: "https://api.example.com/ask".into(),
            digest_device: "support".into(),
            digest_to: "+5511999990000".into(),
        }
    }
}

rijan_plugin::export!(Example: config, inbound, outbound, webhook, scheduled);

impl Example {
    fn blocks(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.blocked_word.to_lowercase())
    }

    /// Posts the question, with the tenant's token, and answers with what comes back.
    fn ask(&self, question: &str) -> Result<Outcome> {
        let token = secrets::get("api-token")?;
        let request = http::Request::post_json(&self.ask_url, json!({ "question": question }).to_string())
            .header("authorization", format!("Bearer {token}"));
        let response = http::fetch(&request)?;
        if response.status >= 500 {
            return Err(PluginError::temporary(format!("the API answered {}", response.status)));
        }
        Ok(Outcome::pass().reply(response.text().unwrap_or("(no text)")))
    }
}

impl Inbound for Example {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        let text = match &event.content {
            Some(Content::Text(text)) => text.trim(),
            Some(Content::Media(media)) => return measure(media),
            _ => return Ok(Outcome::pass()),
        };
        if self.blocks(text) {
            info!("dropped", event = event.id);
            return Ok(Outcome::drop("blocked word"));
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Ok(match (word.to_lowercase().as_str(), rest.trim()) {
            ("ping", "") => Outcome::patch(Patch::tag("ping")).reply("pong"),
            ("echo", what) => Outcome::pass().reply(what),
            ("count", "") => Outcome::pass().reply(kv::increment("count", 1, None)?.to_string()),
            ("count", "then fail") => {
                // Nothing of a failed call remains, this increment neither.
                kv::increment("count", 1, None)?;
                return Err(PluginError::temporary_after("asked to fail", 1500));
            }
            ("note", what) => {
                kv::set_text(&format!("note/{}", event.id), what, None)?;
                Outcome::pass()
            }
            ("notes", "") => Outcome::pass().reply(notes()?),
            ("find", "") => {
                let contact: Option<String> = event_data::read("/sender/contactId")?;
                Outcome::pass().reply(contact.unwrap_or_else(|| "?".into()))
            }
            ("data", "") => {
                let data: Value = serde_json::from_str(&event_data::get())?;
                Outcome::pass().reply(data["sender"]["contactId"].as_str().unwrap_or("?"))
            }
            ("ask", question) => self.ask(question)?,
            ("time", "") => Outcome::pass().reply(clock::now().to_string()),
            ("dice", "") => Outcome::pass().reply((1 + random::next() % 6).to_string()),
            ("thanks", "") => Outcome::pass().with(Effect::React("🙏".into())).with(Effect::MarkRead),
            ("forward", to) => Outcome::pass().with(Effect::Forward(to.into())),
            ("route", webhook) => Outcome::pass().with(Effect::Route(vec![webhook.into()])),
            _ => Outcome::pass(),
        })
    }
}

/// Reads media to its end, and puts its size in the caption.
fn measure(media: &Media) -> Result<Outcome> {
    let mut bytes = 0;
    loop {
        let chunk = media::read(&media.handle, bytes, 1 << 20)?;
        if chunk.is_empty() {
            return Ok(Outcome::patch(Patch::text(format!("({bytes} bytes read)"))));
        }
        bytes += chunk.len() as u64;
    }
}

/// Every note, in the order of their keys.
fn notes() -> Result<String> {
    let mut lines = Vec::new();
    let mut cursor = None;
    loop {
        let page = kv::list_keys("note/", cursor.as_deref(), 100)?;
        for key in &page.keys {
            lines.extend(kv::text(key)?);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(if lines.is_empty() { "no notes".into() } else { lines.join("\n") });
        }
    }
}

impl Outbound for Example {
    fn on_send(&self, message: outbound::Message) -> Result<outbound::Verdict> {
        let text = message.text().unwrap_or_default();
        if self.blocks(text) {
            return Ok(outbound::Verdict::reject("BLOCKED_WORD", "the text holds a blocked word"));
        }
        if text.starts_with("hello") {
            let signed = format!("{text} ({})", message.tenant);
            return Ok(outbound::Verdict::Patch(outbound::Patch::text(signed).and_tag("signed")));
        }
        Ok(outbound::Verdict::Pass)
    }
}

impl Webhook for Example {
    /// What a Slack webhook takes, for the webhook of that name.
    fn format(&self, event: Event, webhook: WebhookRef) -> Result<Formatted> {
        if webhook.name != "slack" {
            return Ok(Formatted::Default);
        }
        let (Some(_), Some(sender)) = (&event.content, &event.sender) else { return Ok(Formatted::Skip) };
        let who = sender.push_name.as_ref().unwrap_or(&sender.contact_id);
        let text = event.text().unwrap_or("(no text)");
        Ok(Formatted::json(json!({ "text": format!("*{who}*: {text}"), "username": event.device }).to_string()))
    }
}

impl Scheduled for Example {
    fn tick(&self, name: &str, scheduled_for: Millis, _now: Millis) -> Result<Vec<scheduled::Effect>> {
        if name != "digest" {
            return Ok(Vec::new());
        }
        let count = kv::text("count")?.unwrap_or_else(|| "0".into());
        let message = NewMessage::new(&self.digest_device, &self.digest_to, format!("{count} so far"));
        Ok(vec![scheduled::Effect::Send(message.once(format!("digest-{scheduled_for}")))])
    }
}
