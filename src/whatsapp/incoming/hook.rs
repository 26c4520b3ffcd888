//! Inbound messages: the hook that stores them before they are acknowledged, and the reading of a stored one.
//!
//! What is stored is the decrypted protobuf without its key material (a sender key distribution and a message secret
//! are session secrets; they are in the vault already, and what opens a file goes there too) and what the stanza said. The reading is done later, by
//! `inbound`, so that a message of a kind we do not know yet can be read by a version that does.

use super::media::{Origin, take_file};
use super::{Vitals, poll};
use crate::domain::chat::{Line, is_group};
use crate::domain::clock::Clock;
use crate::domain::event::EventType;
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::poll::Poll;
use crate::store::{Lease, NewInboxRow, NewPoll, NewVote, OpenPoll, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use async_trait::async_trait;
use buffa::Message as _;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::watch;
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::client::Client;
use whatsapp_rust::types::durability_hook::{InboundDurabilityHook, InboundMessage};

/// Commits what a device received. One per connection.
#[derive(Clone)]
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
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        Ok(self.record(&client, batch).await?)
    }
}

impl Hook {
    /// What the account's phone sent again. It may name people by phone number where the message named them by lid.
    pub(super) async fn recovered(&self, client: &Client, mut batch: Vec<InboundMessage>) -> Result<(), StoreError> {
        for message in &mut batch {
            let source = &message.info.source;
            if source.sender_alt.is_some() {
                continue;
            }
            let Ok(Some(entry)) = client.get_lid_pn_entry(&source.sender.to_non_ad()).await else { continue };
            let other = if source.sender.is_lid() {
                Jid::pn(entry.phone_number.to_string())
            } else {
                Jid::lid(entry.lid.to_string())
            };
            Arc::make_mut(&mut message.info).source.sender_alt = Some(other);
        }
        self.record(client, &batch).await
    }

    /// What came from newsletters, as `posts` reads it.
    pub(super) async fn posted(&self, client: &Client, posts: &[InboundMessage]) -> Result<(), StoreError> {
        self.record(client, posts).await
    }

    async fn record(&self, client: &Client, batch: &[InboundMessage]) -> Result<(), StoreError> {
        let mut rows: Vec<NewInboxRow> = Vec::with_capacity(batch.len());
        for inbound in batch {
            let mut row = row(inbound, &self.lease.device);
            if row.message.is_some() {
                row.poll = asked(inbound);
                row.vote = self.vote(client, inbound, &rows).await?;
            }
            rows.push(row);
        }
        self.vitals.send_modify(|v| v.last_decrypted_event_at = Some(self.clock.now_ms()));
        let new = self.store.record_inbound(&self.tenant, &self.lease, rows, self.eager).await?;
        self.metrics.messages_received(new);
        Ok(())
    }
}

impl Hook {
    /// The vote that a message casts, when it is one that opens. `before` came in the same batch.
    async fn vote(
        &self,
        client: &Client,
        inbound: &InboundMessage,
        before: &[NewInboxRow],
    ) -> Result<Option<NewVote>, StoreError> {
        let Some((id, sealed)) = poll::vote(inside(&inbound.message)) else { return Ok(None) };
        let earlier = before.iter().find(|row| row.wa_id == id).and_then(|row| row.poll.as_ref());
        let known = match earlier {
            Some(new) => {
                let new = new.clone();
                Some(OpenPoll { poll: new.poll, authors: new.authors, secret: new.secret })
            }
            // A poll that does not read costs its votes, and no message.
            None => match self.store.open_poll(&self.lease.device, id).await {
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(device = %self.lease.device, poll = id, %error, "a vote is not opened");
                    return Ok(None);
                }
                known => known?,
            },
        };
        let Some(known) = known else {
            tracing::info!(device = %self.lease.device, poll = id, "a vote on a poll that is not known");
            return Ok(None);
        };
        let own: Vec<String> =
            [client.pn(), client.lid()].into_iter().flatten().map(|jid| jid.to_non_ad().to_string()).collect();
        let from_me = inbound.info.source.is_from_me;
        let authors = if known.authors.is_empty() { &own } else { &known.authors };
        let theirs = addresses(inbound);
        let voters = if from_me { &own } else { &theirs };
        let Some(chosen) = poll::open(id, &known, sealed, authors, voters) else {
            tracing::warn!(device = %self.lease.device, poll = id, "a vote does not open");
            return Ok(None);
        };
        let voter = contact_id(voters.iter().map(String::as_str)).unwrap_or_default().to_owned();
        Ok(Some(NewVote { poll: id.to_owned(), voter, chosen }))
    }
}

/// Of who sent it: the one it came with, and the other one where the stanza says it.
fn addresses(inbound: &InboundMessage) -> Vec<String> {
    let source = &inbound.info.source;
    let both = [Some(&source.sender), source.sender_alt.as_ref()];
    both.into_iter().flatten().map(|jid| jid.to_non_ad().to_string()).collect()
}

/// What a message asks, when it is a poll whose votes can be opened and are counted.
fn asked(inbound: &InboundMessage) -> Option<NewPoll> {
    let poll = poll::asked(inside(&inbound.message)).filter(Poll::is_countable)?;
    let secret = poll::secret(&inbound.message)?;
    let authors = if inbound.info.source.is_from_me { Vec::new() } else { addresses(inbound) };
    Some(NewPoll { poll, authors, secret })
}

/// One name for a person, whichever of the addresses a message came from: the phone's where it is known.
fn contact_id<'a>(addresses: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let by_server = |server: &str| addresses.clone().find(|jid| jid.ends_with(server));
    by_server("@s.whatsapp.net").or_else(|| by_server("@lid")).or_else(|| addresses.clone().next())
}

fn row(inbound: &InboundMessage, device: &DeviceId) -> NewInboxRow {
    let mut message = without_keys(&inbound.message);
    let info = &inbound.info;
    let source = &info.source;
    let sender = source.sender.to_non_ad().to_string();
    let alternative = source.sender_alt.as_ref().map(|jid| jid.to_non_ad().to_string());
    let media = message.as_mut().and_then(|message| {
        take_file(message, || Origin {
            chat: source.chat.to_non_ad().to_string(),
            sender: sender.clone(),
            wa_id: info.id.to_string(),
            from_me: source.is_from_me,
            is_group: source.is_group,
        })
    });
    let media_id = media.as_ref().map(|media| media.id.clone());
    NewInboxRow {
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
            // The library takes status posts for those of a group.
            "isGroup": source.is_group && is_group(&source.chat.to_string()),
            "pushName": info.push_name,
            "timestamp": info.timestamp.timestamp(),
            "offline": info.is_offline,
            // By which a newsletter counts its posts; messages have none.
            "serverId": (info.server_id > 0).then_some(info.server_id),
            "mediaId": media_id,
            "mediaUrl": media_id.as_ref().map(|id| format!("/v1/devices/{device}/media/{id}")),
        }),
        message: message.map(|message| message.encode_to_vec()),
        line: line(&inbound.message),
        poll: None,
        vote: None,
        media,
    }
}

/// What a message does to the lines of its chat; nothing for what is only about another one.
pub(super) fn line(message: &wa::Message) -> Option<Line> {
    let (event, kind, fields) = content(&without_keys(message)?);
    let text = |of: &Value| {
        let found = ["text", "question", "title", "name"].iter().find_map(|key| of.get(*key).and_then(Value::as_str));
        let caption = of.get("caption").and_then(Value::as_str);
        (caption.or(found).map(str::to_owned), caption.is_some())
    };
    let target = || fields.get("messageId").and_then(Value::as_str).map(str::to_owned);
    match event {
        EventType::MessageReceived => {
            let (text, is_caption) = text(&fields);
            Some(Line::New { kind, text, is_caption })
        }
        EventType::MessageUpdated => Some(Line::Edited { target: target()?, text: text(&fields["content"]).0 }),
        EventType::MessageDeleted => Some(Line::Deleted { target: target()? }),
        _ => None,
    }
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
    for key in ["mimeType", "size", "fileName", "width", "height", "seconds", "ptt", "viewOnce"] {
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
    if let Some(several) = message.contacts_array_message.as_option() {
        let one = |contact: &wa::message::ContactMessage| json!({ "displayName": contact.display_name, "vcard": contact.vcard });
        let contacts: Vec<Value> = several.contacts.iter().map(one).collect();
        return (received, "contact", json!({ "contacts": contacts }));
    }
    if let Some(poll) = poll::asked(message) {
        return (
            received,
            "poll",
            json!({ "question": poll.question, "options": poll.options, "selectableCount": poll.selectable_count }),
        );
    }
    if let Some((id, _)) = poll::vote(message) {
        // What was opened of it stands in the envelope, and takes the place of these.
        let sealed = json!({ "messageId": id, "question": null, "selectedOptions": null, "tallies": null });
        return (EventType::PollVote, "vote", sealed);
    }
    if let Some((id, title)) = chosen(message) {
        let quoted = chosen_from(message);
        return (received, "interactive_reply", json!({ "replyId": id, "title": title, "quotedMessageId": quoted }));
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

/// What somebody chose among buttons or in a list: its id, and what stood on it.
fn chosen(message: &wa::Message) -> Option<(Option<String>, Option<String>)> {
    use wa::message::interactive_response_message::InteractiveResponseMessage as Response;
    if let Some(answer) = message.interactive_response_message.as_option() {
        let Some(Response::NativeFlowResponseMessage(flow)) = &answer.interactive_response_message else { return None };
        let params: Value = serde_json::from_str(flow.params_json.as_deref()?).ok()?;
        let id = params.get("id").and_then(Value::as_str).map(str::to_owned);
        return Some((id, answer.body.as_option().and_then(|body| body.text.clone())));
    }
    if let Some(answer) = message.list_response_message.as_option() {
        let id = answer.single_select_reply.as_option().and_then(|reply| reply.selected_row_id.clone());
        return Some((id, answer.title.clone()));
    }
    if let Some(answer) = message.buttons_response_message.as_option() {
        use wa::message::buttons_response_message::Response;
        let Some(Response::SelectedDisplayText(text)) = &answer.response else {
            return Some((answer.selected_button_id.clone(), None));
        };
        return Some((answer.selected_button_id.clone(), Some(text.clone())));
    }
    let answer = message.template_button_reply_message.as_option()?;
    Some((answer.selected_id.clone(), answer.selected_display_text.clone()))
}

/// WhatsApp's id of the message that somebody chose from.
fn chosen_from(message: &wa::Message) -> Option<String> {
    let contexts = [
        message.interactive_response_message.as_option().map(|answer| &answer.context_info),
        message.list_response_message.as_option().map(|answer| &answer.context_info),
        message.buttons_response_message.as_option().map(|answer| &answer.context_info),
        message.template_button_reply_message.as_option().map(|answer| &answer.context_info),
    ];
    contexts.into_iter().flatten().find_map(|context| context.as_option()?.stanza_id.clone())
}

/// The message inside every wrapper.
fn inside(message: &wa::Message) -> &wa::Message {
    wrapped(message).map_or(message, inside)
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
