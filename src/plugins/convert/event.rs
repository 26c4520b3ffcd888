//! An event as plugins see it, and as they forward it.

use super::bounds::{Unusable, unusable};
use super::sendable::sendable;
use crate::domain::event::Event;
use crate::domain::ids::MediaId;
use crate::domain::media::MediaKind;
use crate::domain::outgoing::{Content, MediaContent};
use crate::plugins::bindings::types::{self, Content as WitContent, Sendable};
use serde_json::Value;

fn text(data: &Value, key: &str) -> Option<String> {
    data.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn sender(data: &Value) -> Option<types::Sender> {
    let sender = data.get("sender")?;
    let phone = text(sender, "phone");
    let lid = text(sender, "lid");
    let contact_id = text(sender, "contactId").or_else(|| text(sender, "jid"))?;
    Some(types::Sender {
        contact_id,
        phone: phone.map(|phone| format!("+{phone}")),
        lid,
        push_name: text(sender, "name"),
    })
}

fn chat(data: &Value) -> Option<types::Chat> {
    let jid = text(data, "chat").filter(|jid| !jid.is_empty())?;
    let kind = match jid.rsplit_once('@').map(|(_, server)| server) {
        Some("s.whatsapp.net" | "lid" | "c.us") => types::ChatKind::Direct,
        Some("g.us") => types::ChatKind::Group,
        Some("newsletter") => types::ChatKind::Newsletter,
        Some("broadcast") if jid.starts_with("status@") => types::ChatKind::Status,
        Some("broadcast") => types::ChatKind::Broadcast,
        _ => types::ChatKind::Other,
    };
    Some(types::Chat { jid, kind, name: None })
}

fn content(event_type: &str, data: &Value) -> Option<WitContent> {
    if event_type == "message.reaction" {
        return Some(WitContent::Reaction(types::Reaction {
            message_id: text(data, "messageId").unwrap_or_default(),
            emoji: text(data, "emoji").unwrap_or_default(),
        }));
    }
    if !["message.received", "message.sent"].contains(&event_type) {
        return None;
    }
    let kind = text(data, "type")?;
    let media = |kind: types::MediaKind| {
        WitContent::Media(types::Media {
            handle: text(data, "mediaId").unwrap_or_default(),
            kind,
            mime: text(data, "mimeType").unwrap_or_default(),
            size: data.get("size").and_then(Value::as_u64).unwrap_or(0),
            file_name: text(data, "fileName"),
            caption: text(data, "caption"),
        })
    };
    let number = |key: &str| data.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    Some(match kind.as_str() {
        "text" => WitContent::Text(text(data, "text").unwrap_or_default()),
        "image" => media(types::MediaKind::Image),
        "video" => media(types::MediaKind::Video),
        "audio" => media(types::MediaKind::Audio),
        "document" => media(types::MediaKind::Document),
        "sticker" => media(types::MediaKind::Sticker),
        "location" => WitContent::Location(types::Location {
            latitude: number("latitude"),
            longitude: number("longitude"),
            name: text(data, "name"),
            address: text(data, "address"),
        }),
        "contact" => WitContent::Contacts(cards(data)),
        "poll" => WitContent::Poll(types::Poll {
            question: text(data, "question").unwrap_or_default(),
            choices: texts(data, "options"),
            selectable: data
                .get("selectableCount")
                .and_then(Value::as_u64)
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(0),
        }),
        "interactive_reply" => WitContent::InteractiveReply(types::InteractiveReply {
            id: text(data, "replyId").unwrap_or_default(),
            title: text(data, "title").unwrap_or_default(),
        }),
        _ => WitContent::Other(types::NamedJson { name: kind, value: data.to_string() }),
    })
}

pub(super) fn cards(data: &Value) -> Vec<types::ContactCard> {
    let contacts = data.get("contacts").and_then(Value::as_array).cloned().unwrap_or_default();
    contacts
        .iter()
        .map(|contact| {
            let vcard = text(contact, "vcard");
            let numbers = vcard.as_deref().unwrap_or_default().lines().filter(|line| line.starts_with("TEL"));
            types::ContactCard {
                name: text(contact, "displayName").unwrap_or_default(),
                phones: numbers
                    .filter_map(|line| line.rsplit_once(':'))
                    .map(|(_, phone)| phone.trim().to_owned())
                    .collect(),
                vcard,
            }
        })
        .collect()
}

pub(super) fn texts(data: &Value, key: &str) -> Vec<String> {
    let list = data.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// An event as plugins see it.
pub(in crate::plugins) fn event(event: &Event) -> types::Event {
    let data = &event.data;
    let event_type = event.type_.as_str();
    types::Event {
        id: event.id.to_string(),
        event_type: event_type.to_owned(),
        tenant: event.tenant.to_string(),
        device: event.device.as_ref().map(ToString::to_string).unwrap_or_default(),
        time: u64::try_from(event.at).unwrap_or(0),
        message_id: text(data, "id"),
        chat: chat(data),
        sender: sender(data),
        from_me: data.get("fromMe").and_then(Value::as_bool).unwrap_or(false),
        content: content(event_type, data),
        quoted: text(data, "quotedMessageId").map(|message_id| types::Quoted {
            message_id,
            sender: None,
            text: text(data, "quotedText"),
        }),
        mentions: texts(data, "mentions"),
        tags: texts(data, "tags"),
    }
}

/// The event's message again, for somebody else.
pub(in crate::plugins) fn forwardable(event: &Event) -> Result<Content, Unusable> {
    let data = &event.data;
    match text(data, "type").as_deref() {
        Some("text") => Ok(Content::Text {
            text: text(data, "text").unwrap_or_default(),
            mentions: Vec::new(),
            quoted_message_id: None,
            link_preview: None,
        }),
        Some("location") => match content(event.type_.as_str(), data) {
            Some(WitContent::Location(at)) => sendable(&Sendable::Location(at), None, &[]),
            _ => Err(unusable("the location does not read")),
        },
        Some("contact") => sendable(&Sendable::Contacts(cards(data)), None, &[]),
        Some(kind) if MediaKind::parse(kind).is_some() && data["mediaId"].is_string() => forwardable_media(kind, data),
        Some(kind) => Err(unusable(format!("this version of the gateway cannot forward {kind:?} yet"))),
        None => Err(unusable("the event is no message to forward")),
    }
}

/// The file again; it has to be here when the message is sent.
fn forwardable_media(kind: &str, data: &Value) -> Result<Content, Unusable> {
    let media_id = text(data, "mediaId").as_deref().map(MediaId::parse).transpose().ok().flatten();
    let kind = MediaKind::parse(kind);
    let (Some(media_id), Some(kind)) = (media_id, kind) else { return Err(unusable("the media does not read")) };
    Ok(Content::Media(MediaContent {
        media_id,
        kind,
        mime_type: text(data, "mimeType"),
        file_name: text(data, "fileName"),
        caption: text(data, "caption"),
        ptt: data["ptt"] == true,
        view_once: false,
        quoted_message_id: None,
    }))
}
