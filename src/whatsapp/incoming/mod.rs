//! Inbound messages: the hook that stores them before they are acknowledged, and the reading of a stored one.
//!
//! The reading is done later, by `inbound`, so that a message of a kind we do not know yet can be read by a version that does.
//! Each family of kinds is a file; what any kind may say about other messages and people is `context`. A new kind is a new arm
//! of its family, its fields in docs/events/message.received.json; until then it is `unsupported`, under WhatsApp's name.

mod about;
mod choices;
mod context;
mod files;
mod hook;
mod places;
#[cfg(test)]
mod tests;
mod trade;
mod unsupported;

pub(super) use hook::Hook;

use super::wrappers::inside;
use crate::domain::chat::Line;
use crate::domain::event::EventType;
use buffa::Message as _;
use serde_json::{Map, Value, json};
use waproto::whatsapp as wa;

/// The event, the public name of the kind, and its own fields.
type Said = (EventType, &'static str, Value);

fn received(kind: &'static str, fields: Value) -> Option<Said> {
    Some((EventType::MessageReceived, kind, fields))
}

/// What a message does to the lines of its chat; nothing for what is only about another one.
pub(in crate::whatsapp) fn line(message: &wa::Message) -> Option<Line> {
    line_of(&hook::without_keys(message)?)
}

/// The same of a message as it is stored.
fn line_of(message: &wa::Message) -> Option<Line> {
    let (event, kind, fields) = content(message);
    let target = || fields.get("messageId").and_then(Value::as_str).map(str::to_owned);
    match event {
        // It is about another message.
        EventType::MessageReceived if kind == "pin" => None,
        EventType::MessageReceived => {
            let (text, is_caption) = shown(&fields);
            Some(Line::New { kind, text, is_caption })
        }
        EventType::MessageUpdated => Some(Line::Edited { target: target()?, text: shown(&fields["content"]).0 }),
        EventType::MessageDeleted => Some(Line::Deleted { target: target()? }),
        _ => None,
    }
}

/// What a person reads of a message at a glance, and whether it stands below something else.
fn shown(fields: &Value) -> (Option<String>, bool) {
    let of = |key: &&str| fields.get(*key).and_then(Value::as_str).map(str::to_owned);
    let caption = of(&"caption");
    let is_caption = caption.is_some();
    (caption.or_else(|| ["text", "question", "title", "name", "body"].iter().find_map(of)), is_caption)
}

/// One name for a person, whichever of the addresses a message came from: the phone's where it is known.
fn contact_id<'a>(addresses: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let by_server = |server: &str| addresses.clone().find(|jid| jid.ends_with(server));
    by_server("@s.whatsapp.net").or_else(|| by_server("@lid")).or_else(|| addresses.clone().next())
}

/// What a stored message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    pub event: EventType,
    /// The public payload of that event.
    pub data: Value,
}

/// The stored bytes are not a message.
#[derive(Debug, thiserror::Error)]
#[error("a stored message does not decode")]
pub struct Unreadable;

/// Reads a row of the inbox: `envelope` and `message` as the hook wrote them.
pub fn describe(envelope: &Value, message: &[u8]) -> Result<Described, Unreadable> {
    let message = wa::Message::decode_from_slice(message).map_err(|_| Unreadable)?;
    let (event, kind, mut content) = content(&message);
    if let (EventType::PollVote, Some(opened)) = (event, envelope.get("vote").and_then(Value::as_object)) {
        content.as_object_mut().into_iter().for_each(|content| content.extend(opened.clone()));
    }
    let chat = text(envelope, "chat");
    let sender = text(envelope, "sender");
    let alternative = envelope.get("senderAlternative").and_then(Value::as_str);
    let from_me = envelope.get("fromMe").and_then(Value::as_bool).unwrap_or(false);
    let by_server = |server: &str| {
        [Some(sender), alternative].into_iter().flatten().find(|jid| jid.ends_with(server)).map(str::to_owned)
    };
    let (phone_jid, lid) = (by_server("@s.whatsapp.net"), by_server("@lid"));
    let contact_id = contact_id([Some(sender), alternative].into_iter().flatten()).unwrap_or(sender).to_owned();
    let mut data = json!({
        "id": text(envelope, "id"),
        "chat": chat,
        "from": sender,
        "fromMe": from_me,
        "isGroup": envelope.get("isGroup").and_then(Value::as_bool).unwrap_or(false),
        "sender": {
            "contactId": contact_id,
            "jid": sender,
            "phone": phone_jid.as_deref().and_then(|jid| jid.split('@').next()),
            "lid": lid,
            "name": envelope.get("pushName").and_then(Value::as_str).filter(|name| !name.is_empty()),
        },
        "type": kind,
        "timestamp": envelope.get("timestamp"),
    });
    if let Some(server_id) = envelope.get("serverId").filter(|id| id.is_number()) {
        data["serverId"] = server_id.clone();
    }
    if let (Some(data), Value::Object(mut content)) = (data.as_object_mut(), content) {
        if let Some(id) = envelope.get("mediaId").filter(|id| id.is_string()) {
            let url = envelope.get("mediaUrl").cloned().unwrap_or_default();
            content.insert("media".to_owned(), media_of(id, &content));
            content.insert("mediaId".to_owned(), id.clone());
            content.insert("mediaUrl".to_owned(), url);
        }
        data.extend(content);
    }
    Ok(Described { event, data })
}

/// What is known of a message's file, in one place.
fn media_of(id: &Value, content: &Map<String, Value>) -> Value {
    let mut media = Map::from_iter([("mediaId".to_owned(), id.clone())]);
    for key in ["mimeType", "size", "fileName", "width", "height", "seconds", "ptt", "ptv", "viewOnce"] {
        media.extend(content.get(key).filter(|value| !value.is_null()).map(|value| (key.to_owned(), value.clone())));
    }
    Value::Object(media)
}

fn text<'a>(envelope: &'a Value, key: &str) -> &'a str {
    envelope.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The public name of a message's kind, and its own fields.
pub(super) fn kind_and_fields(message: &wa::Message) -> (&'static str, Value) {
    let (_, kind, fields) = content(message);
    (kind, fields)
}

/// What a message says, of whatever kind it is.
fn content(message: &wa::Message) -> Said {
    let inner = inside(message);
    let (event, kind, mut fields) = said(inner).unwrap_or_else(|| {
        // A wrapper around nothing is known by its own name.
        let name = unsupported::name(inner).or_else(|| unsupported::name(message));
        let name = name.unwrap_or_else(|| unsupported::NAMELESS.to_owned());
        (EventType::MessageReceived, "unsupported", json!({ "kind": name }))
    });
    if let Some(fields) = fields.as_object_mut() {
        context::add(fields, inner);
    }
    (event, kind, fields)
}

/// The same without what it says about others; `None` when its kind is not read. `message` stands within no wrapper.
fn said(message: &wa::Message) -> Option<Said> {
    if let Some(text) = &message.conversation {
        return received("text", json!({ "text": text }));
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        return received("text", json!({ "text": extended.text, "quotedMessageId": null, "mentions": [] }));
    }
    let families = [about::said, places::said, choices::said, files::said, trade::said];
    families.into_iter().find_map(|family| family(message))
}
