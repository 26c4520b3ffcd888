//! Delivers events as Slack messages, for a webhook whose URL is a Slack incoming webhook.

use rijan_plugin::webhook::{Formatted, WebhookRef};
use rijan_plugin::{Content, Event, MediaKind, Result, Webhook};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct Slack {
    username: Option<String>,
    icon_emoji: Option<String>,
    other_events: bool,
}

rijan_plugin::export!(Slack: config, webhook);

impl Webhook for Slack {
    fn format(&self, event: Event, _webhook: WebhookRef) -> Result<Formatted> {
        let text = match (&event.content, &event.sender) {
            (Some(content), Some(_)) => format!("*{}*{}: {}", escaped(&who(&event)), place(&event), said(content)),
            _ if self.other_events => format!("`{}` on {}", event.event_type, escaped(&event.device)),
            _ => return Ok(Formatted::Skip),
        };
        let mut body = json!({ "text": text, "username": self.username.as_ref().unwrap_or(&event.device) });
        if let Some(icon) = &self.icon_emoji {
            body["icon_emoji"] = json!(icon);
        }
        Ok(Formatted::json(body.to_string()))
    }
}

/// The name and the number, as far as they are known.
fn who(event: &Event) -> String {
    let Some(sender) = &event.sender else { return String::new() };
    let phone = sender.phone.as_deref().or(sender.lid.as_deref()).unwrap_or(&sender.contact_id);
    match &sender.push_name {
        Some(name) => format!("{name} ({phone})"),
        None => phone.to_owned(),
    }
}

fn place(event: &Event) -> String {
    let group = event.chat.as_ref().and_then(|chat| chat.name.as_deref());
    group.map(|name| format!(" in _{}_", escaped(name))).unwrap_or_default()
}

fn said(content: &Content) -> String {
    match content {
        Content::Text(text) => escaped(text),
        Content::Media(media) => {
            let kind = match media.kind {
                MediaKind::Image => "image",
                MediaKind::Video => "video",
                MediaKind::Audio => "audio",
                MediaKind::Document => "document",
                MediaKind::Sticker => "sticker",
                MediaKind::Other => "file",
            };
            let words = media.caption.as_ref().or(media.file_name.as_ref());
            words.map_or_else(|| format!("[{kind}]"), |words| format!("[{kind}] {}", escaped(words)))
        }
        Content::Location(place) => {
            format!("[location] <https://maps.google.com/?q={0},{1}|{0}, {1}>", place.latitude, place.longitude)
        }
        Content::Reaction(reaction) if reaction.emoji.is_empty() => "took a reaction back".to_owned(),
        Content::Reaction(reaction) => format!("reacted {}", escaped(&reaction.emoji)),
        Content::Poll(poll) => format!("[poll] {}", escaped(&poll.question)),
        Content::Contacts(cards) => {
            let names = cards.iter().map(|card| escaped(&card.name)).collect::<Vec<_>>();
            format!("[contacts] {}", names.join(", "))
        }
        Content::InteractiveReply(choice) => format!("chose {}", escaped(&choice.title)),
        Content::Other(other) => format!("[{}]", escaped(&other.name)),
    }
}

/// Slack gives these three a meaning: a message could otherwise mention a whole channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
