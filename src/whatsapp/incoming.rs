//! Inbound messages: the hook that stores them before they are acknowledged, and the reading of a stored one.
//!
//! What is stored is the decrypted protobuf without its key material (a sender key distribution and a message secret
//! are session secrets; they are in the vault already, and what opens a file goes there too) and what the stanza said. The reading is done later, by
//! `inbound`, so that a message of a kind we do not know yet can be read by a version that does.

use super::Vitals;
use super::media::{Origin, take_file};
use crate::domain::clock::Clock;
use crate::domain::event::EventType;
use crate::domain::ids::{DeviceId, TenantId};
use crate::store::{Lease, NewInboxRow, Store};
use crate::telemetry::metrics::Metrics;
use async_trait::async_trait;
use buffa::Message as _;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::watch;
use waproto::whatsapp as wa;
use whatsapp_rust::client::Client;
use whatsapp_rust::types::durability_hook::{InboundDurabilityHook, InboundMessage};

/// Commits what a device received. One per connection.
pub(super) struct Hook {
    pub(super) store: Store,
    pub(super) tenant: TenantId,
    pub(super) lease: Lease,
    pub(super) vitals: watch::Sender<Vitals>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    /// Whether received files are fetched without being asked for, where the tenant's file does not say.
    pub(super) eager: bool,
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, _client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let device = &self.lease.device;
        let rows: Vec<NewInboxRow> = batch.iter().filter_map(|inbound| row(inbound, device)).collect();
        self.vitals.send_modify(|v| v.last_decrypted_event_at = Some(self.clock.now_ms()));
        if rows.is_empty() {
            return Ok(());
        }
        let new = self.store.record_inbound(&self.tenant, &self.lease, rows, self.eager).await?;
        self.metrics.messages_received(new);
        Ok(())
    }
}

/// `None` for what is between devices and not a message of anybody.
fn row(inbound: &InboundMessage, device: &DeviceId) -> Option<NewInboxRow> {
    let mut message = without_keys(&inbound.message)?;
    let info = &inbound.info;
    let source = &info.source;
    let sender = source.sender.to_non_ad().to_string();
    let alternative = source.sender_alt.as_ref().map(|jid| jid.to_non_ad().to_string());
    let media = take_file(&mut message, || Origin {
        chat: source.chat.to_non_ad().to_string(),
        sender: sender.clone(),
        wa_id: info.id.to_string(),
        from_me: source.is_from_me,
        is_group: source.is_group,
    });
    let media_id = media.as_ref().map(|media| media.id.clone());
    Some(NewInboxRow {
        chat: source.chat.to_non_ad().to_string(),
        sender: sender.clone(),
        wa_id: info.id.to_string(),
        envelope: json!({
            "id": info.id.to_string(),
            "chat": source.chat.to_non_ad().to_string(),
            "sender": sender,
            "senderAlternative": alternative,
            "recipientAlternative": source.recipient_alt.as_ref().map(|jid| jid.to_non_ad().to_string()),
            "fromMe": source.is_from_me,
            "isGroup": source.is_group,
            "pushName": info.push_name,
            "timestamp": info.timestamp.timestamp(),
            "offline": info.is_offline,
            "mediaId": media_id,
            "mediaUrl": media_id.as_ref().map(|id| format!("/v1/devices/{device}/media/{id}")),
        }),
        message: message.encode_to_vec(),
        media,
    })
}

/// The message as it may be stored, or `None` when nothing is left that a person would call a message.
fn without_keys(message: &wa::Message) -> Option<wa::Message> {
    if let Some(protocol) = message.protocol_message.as_option() {
        let is_delete = protocol.r#type == Some(wa::message::protocol_message::Type::REVOKE);
        if !is_delete && !protocol.edited_message.is_set() {
            return None;
        }
    }
    let mut message = message.clone();
    message.sender_key_distribution_message = Default::default();
    message.fast_ratchet_key_sender_key_distribution_message = Default::default();
    message.message_context_info = Default::default();
    (message != wa::Message::default()).then_some(message)
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
    let (event, kind, content) = content(&message);
    let chat = text(envelope, "chat");
    let sender = text(envelope, "sender");
    let alternative = envelope.get("senderAlternative").and_then(Value::as_str);
    let from_me = envelope.get("fromMe").and_then(Value::as_bool).unwrap_or(false);
    let by_server = |server: &str| {
        [Some(sender), alternative].into_iter().flatten().find(|jid| jid.ends_with(server)).map(str::to_owned)
    };
    let (phone_jid, lid) = (by_server("@s.whatsapp.net"), by_server("@lid"));
    // One name for a person, whichever of the addresses a message came from.
    let contact_id = phone_jid.as_deref().or(lid.as_deref()).unwrap_or(sender).to_owned();
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
    for key in ["mimeType", "size", "fileName", "width", "height", "seconds", "ptt", "viewOnce"] {
        media.extend(content.get(key).filter(|value| !value.is_null()).map(|value| (key.to_owned(), value.clone())));
    }
    Value::Object(media)
}

fn text<'a>(envelope: &'a Value, key: &str) -> &'a str {
    envelope.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The event, the public name of the kind, and its own fields. Kinds that come in a wrapper are read inside it.
fn content(message: &wa::Message) -> (EventType, &'static str, Value) {
    if let Some(inner) = wrapped(message) {
        return content(inner);
    }
    let received = EventType::MessageReceived;
    if let Some(text) = &message.conversation {
        return (received, "text", json!({ "text": text }));
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        let context = extended.context_info.as_option();
        return (
            received,
            "text",
            json!({
                "text": extended.text,
                "quotedMessageId": context.and_then(|c| c.stanza_id.clone()),
                "mentions": context.map(|c| c.mentioned_jid.clone()).unwrap_or_default(),
            }),
        );
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        let target = reaction.key.as_option().and_then(|key| key.id.clone());
        return (EventType::MessageReaction, "reaction", json!({ "messageId": target, "emoji": reaction.text }));
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        let target = protocol.key.as_option().and_then(|key| key.id.clone());
        return match protocol.edited_message.as_option() {
            Some(edited) => {
                let (_, kind, fields) = content(edited);
                (EventType::MessageUpdated, "edit", json!({ "messageId": target, "kind": kind, "content": fields }))
            }
            None => (EventType::MessageDeleted, "delete", json!({ "messageId": target })),
        };
    }
    if let Some(location) = message.location_message.as_option() {
        return (
            received,
            "location",
            json!({
                "latitude": location.degrees_latitude,
                "longitude": location.degrees_longitude,
                "name": location.name,
                "address": location.address,
            }),
        );
    }
    if let Some(contact) = message.contact_message.as_option() {
        let one = json!({ "displayName": contact.display_name, "vcard": contact.vcard });
        return (received, "contact", json!({ "contacts": [one] }));
    }
    if let Some(image) = message.image_message.as_option() {
        return (
            received,
            "image",
            json!({
                "caption": image.caption,
                "mimeType": image.mimetype,
                "size": image.file_length,
                "width": image.width,
                "height": image.height,
                "viewOnce": image.view_once,
            }),
        );
    }
    if let Some(video) = message.video_message.as_option().or(message.ptv_message.as_option()) {
        return (
            received,
            "video",
            json!({
                "caption": video.caption,
                "mimeType": video.mimetype,
                "size": video.file_length,
                "width": video.width,
                "height": video.height,
                "seconds": video.seconds,
                "viewOnce": video.view_once,
            }),
        );
    }
    if let Some(audio) = message.audio_message.as_option() {
        return (
            received,
            "audio",
            json!({
                "mimeType": audio.mimetype,
                "size": audio.file_length,
                "ptt": audio.ptt,
                "seconds": audio.seconds,
                "viewOnce": audio.view_once,
            }),
        );
    }
    if let Some(document) = message.document_message.as_option() {
        return (
            received,
            "document",
            json!({
                "fileName": document.file_name,
                "caption": document.caption,
                "mimeType": document.mimetype,
                "size": document.file_length,
            }),
        );
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        return (received, "sticker", json!({ "mimeType": sticker.mimetype, "size": sticker.file_length }));
    }
    (received, "unsupported", json!({}))
}

/// The message inside a wrapper that only says how to show it.
fn wrapped(message: &wa::Message) -> Option<&wa::Message> {
    let wrappers = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
    ];
    if let Some(sent) = message.device_sent_message.as_option() {
        return sent.message.as_option();
    }
    wrappers.into_iter().find_map(|wrapper| wrapper.as_option()).and_then(|inner| inner.message.as_option())
}
